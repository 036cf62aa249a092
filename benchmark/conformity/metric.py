"""Checks of a metric's promises, on toy images and in the way that a run asks it.

Each promise is a sentence; a metric that cannot be tried here (its network is missing, or it needs what no pictures
give, such as paths in w) is not tried.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.conformity.conform import Verdict
from benchmark.conformity.expect import Broken, expect
from benchmark.conformity.trial import global_random_state
from benchmark.domains.toys import ToyPictures
from benchmark.errors import DataError, as_line
from benchmark.metrics import Evaluator, MetricInfo, Samples, Score
from benchmark.metrics.base import Images
from benchmark.metrics.catalogue import find_metric

PX, COUNT = 64, 32


@dataclass(frozen=True)
class Trial:
    """A metric with pictures to ask it about: real ones in three sets, and generated ones with known faults."""

    info: MetricInfo
    evaluator: Evaluator
    held_out: Images
    training: Images
    good: Images

    def ask(self, fakes: Images, sources: Images | None = None) -> Score:
        """The metric's score of generated images; the source's are the good ones, where nothing else is said."""
        sources = self.good if sources is None else sources
        samples = Samples(fakes.copy(), sources.copy(), fakes[: len(sources)].copy(), before=sources.copy())
        return self.evaluator(samples, self.held_out, "conform", training=self.training).scores[self.info.name]

    def faults(self) -> dict[str, Images]:
        """Generated images that a metric may be asked to find worse than good ones."""
        rng = np.random.default_rng(5)
        return {
            "noise": rng.integers(0, 256, self.good.shape, dtype=np.uint8),
            "one picture again and again": np.repeat(self.good[:1], len(self.good), axis=0),
            "copies of training images": self.training[: len(self.good)],
        }


def conform_metric(name: str, cache: Path) -> Verdict:
    """Try every promise of the metric `name`; UnknownName, ConfigError where there is none.

    ``cache`` is where weight files are looked for; nothing else there is used: features that are kept are those of the
    network as it was when they were made, and what is tried is often being written.
    """
    info = find_metric(name)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as features:
        evaluator = Evaluator([name], cache, batch=16, features=Path(features))
        return _verdict(Trial(info, evaluator, *pictures()))


def _verdict(trial: Trial) -> Verdict:
    """Whether the trial's metric keeps each of the promises."""
    info, verdict = trial.info, Verdict(trial.info.name)
    try:
        first = trial.ask(trial.good)
    except Exception as error:  # somebody's network may fail in any way
        verdict.broken["scores pictures"] = as_line(error)
        return verdict
    if first.value is None:
        reason = str(first.reason)
        if failed(info, reason):
            verdict.broken["scores pictures"] = reason
        else:
            verdict.not_tried += list(PROMISES)
            verdict.why_not = reason.removeprefix("not available: ")
        return verdict
    for promise, keeps in PROMISES.items():
        try:
            keeps(trial, first)
            verdict.kept.append(promise)
        except Broken as error:
            verdict.broken[promise] = str(error)
        except Exception as error:
            verdict.broken[promise] = as_line(error)
    return verdict


def failed(info: MetricInfo, reason: str) -> bool:
    """Whether a package's metric has no value because its formula or its network failed, or gave what is no Score.

    Whatever else it says, as that it needs more images than there are here, is its right.
    """
    own, network = f"not available: {info.name}", f"not available: {info.network}"
    said = (f"{own} failed (", f"{own} gave ", f"{network} failed: ")
    return info.own is not None and reason.startswith(said)


def pictures() -> tuple[Images, Images, Images]:
    """Held-out, training and good generated images, uint8 [n, 3, PX, PX]: rings, no two alike.

    They are grained by a level or two, so that no set has copies.
    """
    drawn = [image for _, image in ToyPictures("rings", 3 * COUNT, PX).draw(0, 3 * COUNT) if not isinstance(image, str)]
    rng = np.random.default_rng(4)
    grain = rng.integers(-2, 3, (len(drawn), 3, PX, PX))
    images = np.clip(np.stack(drawn) + grain, 0, 255).astype(np.uint8)
    return images[:COUNT], images[COUNT : 2 * COUNT], images[2 * COUNT :]


def says_the_same_again(trial: Trial, first: Score) -> None:
    before = global_random_state()
    again = trial.ask(trial.good)
    expect(again == first, f"{first.value!r} and then {again.value!r}, of the same pictures")
    expect(global_random_state() == before, "it used or seeded the global random generators; make your own")


def does_not_hang_on_the_order(trial: Trial, first: Score) -> None:
    """Shuffled, not only reversed: what compares neighbours finds the same ones there; and three times, for chance."""
    if trial.info.kind in FIRST_COUNT:
        return
    rng = np.random.default_rng(6)
    for _ in range(3):
        shuffled = trial.good[rng.permutation(len(trial.good))]
        found = trial.ask(shuffled, shuffled).value
        expect(
            found is not None and math.isclose(found, first.value or 0, rel_tol=1e-3, abs_tol=1e-6),
            f"{first.value!r}, of the same pictures in another order {found!r}",
        )


def has_a_direction(trial: Trial, first: Score) -> None:
    """What moves it most makes it worse, or most of what moves it does: each metric is blind to some fault."""
    found = {fault: trial.ask(images).value for fault, images in trial.faults().items()}
    sign = 1 if trial.info.better == "higher" else -1
    good = first.value or 0.0
    losses = [sign * (good - value) for value in found.values() if value is not None]
    shown = ", ".join(f"{fault} {'nothing' if value is None else f'{value:.4g}'}" for fault, value in found.items())
    moved = [loss for loss in losses if abs(loss) > 1e-9]
    expect(
        max(moved, key=abs, default=0) > 0 or sum(loss > 0 for loss in moved) > len(moved) / 2,
        f"{trial.info.better} is better, real pictures score {good:.4g}, and faults do not score worse: {shown}",
    )


def counts_its_images(trial: Trial, first: Score) -> None:
    fewer = trial.ask(trial.good[:-8], trial.good[:-8])
    expect(0 < first.n <= COUNT, f"n is {first.n} of {COUNT} pictures")
    expect(fewer.value is None or fewer.n == first.n - 8, f"n is {first.n} of {COUNT} pictures, {fewer.n} of 8 fewer")


def gives_numbers_that_hang_together(trial: Trial, first: Score) -> None:
    numbers = [first.value, first.std_error, *(first.interval or ())]
    expect(all(math.isfinite(x) for x in numbers if x is not None), f"not all finite: {numbers}")
    expect(first.std_error is None or first.std_error >= 0, f"standard error {first.std_error}")
    value = first.value or 0.0
    low, high = first.interval or (value, value)
    expect(low <= value <= high, f"{value} is not in its interval {first.interval}")
    ends = {"share": (0, 1), "images": (1, first.n)}.get(trial.info.units, (-math.inf, math.inf))
    expect(ends[0] - 1e-9 <= value <= ends[1] + 1e-9, f"{value} is no {trial.info.units}: it lies outside {ends}")


def refuses_what_is_too_little(trial: Trial, first: Score) -> None:
    """Two images: a number or a reason, no error of any kind but our own, and no NaN."""
    try:
        few = trial.ask(trial.good[:2], trial.good[:2])
    except DataError:
        return
    expect(few.value is None or math.isfinite(few.value), f"{few.value} of two pictures")


def says_what_it_is(trial: Trial, first: Score) -> None:
    info = trial.info
    expect(info.title and info.version >= 1, "it needs a title and a version from 1 on")
    expect(info.units, "it does not say what its values are counted in: give it a unit")
    expect(trial.evaluator.infos == (info,), "the evaluator knows it by another name")


PROMISES: Mapping[str, Callable[[Trial, Score], None]] = {
    "says what it is": says_what_it_is,
    "says the same of the same pictures, and leaves global random generators alone": says_the_same_again,
    "does not depend on the order of pictures": does_not_hang_on_the_order,
    "has the direction that it says": has_a_direction,
    "counts its images": counts_its_images,
    "gives finite numbers in its unit, and an interval around its value": gives_numbers_that_hang_together,
    "says so where there is too little": refuses_what_is_too_little,
}
FIRST_COUNT = ("intra", "intra_balanced", "fd_infinity")
"""Kinds that take the first images of a cluster, or subsets: another order is another draw."""

"""`run --plan`: what a suite would train, how long that takes, and what this machine still lacks for it."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.api import Method
from benchmark.cards import list_cards
from benchmark.composition import described
from benchmark.config import NetConfig, Suite
from benchmark.errors import BenchmarkError, DataError
from benchmark.metrics.base import STAND_IN
from benchmark.metrics.catalogue import find_metric
from benchmark.metrics.weights import NETWORK_FILES, WEIGHT_FILES, locate
from benchmark.plan import budgeted
from benchmark.results import ResultStore, RunRecord
from benchmark.sources import find_source
from benchmark.targets import list_targets, target_folder

RUN = "python -m benchmark"
FULL_WIDTH = {"channel_base": 32768, "channel_max": 512}
"""Of the networks of a source that is not here: the widest that are usual."""


@dataclass(frozen=True)
class Forecast:
    """What a suite amounts to. `hours` None: nothing says how fast this machine is."""

    suite: Suite
    jobs: int
    trainings: int
    kimg: float
    records: int
    gigabytes: float
    hours: float | None
    speed: str
    missing: tuple[str, ...]

    def text(self) -> str:
        """For a person, several lines."""
        s = self.suite
        images = f"{self.records * s.eval.samples:,} images to generate and measure"
        hours = f"{self.hours:,.1f} h of training" if self.hours is not None else "hours of training unknown"
        return "\n".join(
            [
                f"{s.name}: {', '.join(s.domains)} from {s.source}, {s.resolution} px",
                f"  {self.jobs} jobs, {self.records} records, {images}",
                f"  {self.trainings} trainings, {self.kimg:,g} kimg: {hours} ({self.speed})",
                f"  about {self.gigabytes:,.1f} GB of checkpoints and prepared images, beside what is fetched",
            ]
        )


def forecast(
    suite: Suite, methods: Sequence[Method], cache: Path, results: Path, given: float | None = None
) -> Forecast:
    """`given` are seconds per kimg of any training; without, they come from the records in the folder `results`."""
    places = len(suite.domains) * len(suite.seeds)
    own = {str(described(method.training())): method for method in methods}
    lengths = {m.training().name: budgeted(suite, m).train.kimg for m in own.values()}
    speeds, speed = speeds_of(suite, lengths, results, given)
    seconds = sum(kimg * speeds[name] for name, kimg in lengths.items()) * places if speeds else None
    records = (1 + sum(len(method.controls) for method in methods)) * places
    return Forecast(
        suite=suite,
        jobs=(1 + len(methods)) * places,
        trainings=len(own) * places,
        kimg=sum(lengths.values()) * places,
        records=records,
        gigabytes=gigabytes(suite, lengths, cache) * places
        + sum(data_gigabytes(name, suite) for name in suite.domains),
        hours=None if seconds is None else seconds / 3600,
        speed=speed,
        missing=(*missing_source(suite, cache), *missing_domains(suite, cache), *missing_files(suite, cache)),
    )


def speeds_of(
    suite: Suite, names: Mapping[str, float], results: Path, given: float | None
) -> tuple[dict[str, float], str]:
    """Seconds per kimg of each training and where they come from; nothing where neither says it."""
    if given is not None:
        return dict.fromkeys(names, given), f"{given:g} s/kimg as given"
    found: dict[str, list[float]] = {}
    for r in stored(results):
        if r.source == suite.source and r.timing.seconds_per_kimg and not r.timing.reused_training:
            found.setdefault(r.method, []).append(r.timing.seconds_per_kimg)
    if not found:
        return {}, "give --seconds-per-kimg, or --out with a folder that has records of this source"
    known = {name: statistics.median(values) for name, values in found.items()}
    usual = statistics.median_low(known.values())
    guessed = [name for name in names if name not in known]
    said = f"measured: {', '.join(f'{name} {known[name]:.3g} s/kimg' for name in names if name in known)}"
    said += f"; {', '.join(guessed)} taken for {usual:.3g}" if guessed else ""
    return {name: known.get(name, usual) for name in names}, said


def stored(results: Path) -> list[RunRecord]:
    """The records of a folder; none where it is no results folder."""
    try:
        return ResultStore(results).read_all()[0]
    except DataError:
        return []


def gigabytes(suite: Suite, lengths: Mapping[str, float], cache: Path) -> float:
    """Of the weights that a (domain, seed) leaves: three networks at the end, G at each snapshot."""
    import torch

    from benchmark.stylegan2 import Discriminator, Generator
    from benchmark.stylegan2.weights import architecture_of

    cfg = NetConfig.model_validate({"resolution": suite.resolution, **FULL_WIDTH})
    try:
        source = find_source(suite.source, cache)
        cfg = source.card.networks or architecture_of(source.path)
    except (BenchmarkError, OSError):
        pass  # it is reported as missing
    with torch.device("meta"):
        g, d = (sum(p.numel() for p in net(cfg).parameters()) for net in (Generator, Discriminator))
    snapshots = sum(kimg < length for length in lengths.values() for kimg in set(suite.train.snapshot_kimg))
    return 4e-9 * (len(lengths) * (2 * g + d) + snapshots * g)


def data_gigabytes(name: str, suite: Suite) -> float:
    """Of a standard target's pixels, prepared and in the cache of domains."""
    card = list_targets("target").get(name)
    return 2e-9 * 3 * suite.resolution**2 * (card.count or 0) if card else 0.0


def missing_source(suite: Suite, cache: Path) -> list[str]:
    """The source, and how to get it."""
    try:
        find_source(suite.source, cache)
    except BenchmarkError:
        card = list_targets("source").get(suite.source)
        if card is None:
            return [f"source {suite.source}: {RUN} sources import FILE --out {suite.source}"]
        fetch = f"{RUN} datasets fetch {card.name} --accept-licence"
        return [f"source {card.name}: {fetch} && {RUN} sources import {card.name}"]
    return []


def missing_domains(suite: Suite, cache: Path) -> list[str]:
    """The target sets, and how to get them."""
    chosen = suite.split.filter
    option = "" if chosen == "lanczos" else f" --filter {chosen}"
    found = []
    for name in suite.domains:
        here = target_folder(cache, name).prepared(suite.resolution, chosen).is_file()
        if not here and name not in list_cards() and not Path(name).exists():
            fetch = f"{RUN} datasets fetch {name} --accept-licence"
            prepare = f"{RUN} datasets prepare {name} --resolution {suite.resolution}{option}"
            card = list_targets("target").get(name)
            size = f" ({card.raw_gb:g} GB)" if card and card.raw_gb else ""
            found.append(f"target {name}{size}: {fetch} && {prepare}")
    return found


def missing_files(suite: Suite, cache: Path) -> list[str]:
    """Weight files of the measuring networks, and how to get them."""
    wanted = dict.fromkeys(find_metric(name).network for name in (*suite.eval.metrics, *suite.eval.curve_metrics))
    found = []
    for network in (name for name in wanted if not name.startswith(STAND_IN)):
        for key in NETWORK_FILES[network]:
            file = WEIGHT_FILES[key]
            if reason := locate(file, {}, cache).reason:
                get = f"curl -fL --create-dirs -o {cache / 'weights' / file.filename} {file.url}"
                found.append(f"weights {file.filename}: {get if file.url else reason}")
    return found

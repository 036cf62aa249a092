"""The forecast of `run --plan`: what a suite would train, how long that takes, and what this machine lacks for it.

It also estimates the seconds and memory of a training by trying one image.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from benchmark.api import Method
from benchmark.config import NetConfig, Suite
from benchmark.domains.assets import list_targets, target_folder
from benchmark.domains.cards import list_cards
from benchmark.domains.packaged import images_at, package_domains
from benchmark.errors import BenchmarkError, ConfigError, DataError
from benchmark.metrics.base import STAND_IN
from benchmark.metrics.catalogue import find_metric
from benchmark.metrics.networks.weight_files import NETWORK_FILES, WEIGHT_FILES, for_methods
from benchmark.results import ResultStore, RunRecord
from benchmark.running.plan import Job, plan, trainings
from benchmark.sources import find_source
from benchmark.stylegan2 import Discriminator, Generator, Nets
from benchmark.stylegan2.weights import architecture_of
from benchmark.training.batches import images_per_round

RUN = "python -m benchmark"
FULL_WIDTH = {"channel_base": 32768, "channel_max": 512}
"""Widths assumed for a source that is not available locally: the widest usual ones."""
LARGE_PX = 256
"""From here on a training on a CPU is tried before it starts."""
PATIENCE_HOURS = 2.0
GIB = 2**30


@dataclass(frozen=True)
class Forecast:
    """What a suite amounts to. `hours` are those of its trainings one after the other, whatever number of ranks does
    each; None: nothing says how fast this machine is.
    """

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
        ranks = s.train.ranks
        hours = "hours of training unknown" if self.hours is None else f"{self.hours:,.1f} h of training"
        if ranks > 1:
            hours += f" by {ranks} ranks each"
            hours += "" if self.hours is None else f", together {self.hours * ranks:,.1f} h of GPUs or shares of a CPU"
        return "\n".join(
            [
                f"{s.name}: {', '.join(s.domains)} from {s.source}, {s.resolution} px",
                f"  {self.jobs} jobs, {self.records} records, {images}",
                f"  {self.trainings} trainings, {self.kimg:,g} kimg: {hours} ({self.speed})",
                f"  about {self.gigabytes:,.1f} GB of checkpoints and prepared images, besides downloads",
            ]
        )


@dataclass(frozen=True)
class Unseen:
    """A domain of which nothing but the name is known; its keys are no keys of records."""

    name: str
    selection: tuple[()] = ()

    @property
    def digest(self) -> str:
        """Different for each."""
        return f"unseen {self.name}"


def forecast(
    suite: Suite, methods: Sequence[Method], cache: Path, results: Path, given: float | None = None
) -> Forecast:
    """What the plan of a run amounts to, without its images and its source.

    `given` are seconds per kimg of any training, by all its ranks; without, they come from the records in the folder
    `results`. ConfigError where the batch cannot be divided among the ranks.
    """
    cfg = networks_of(suite, cache)
    images_per_round(suite.train, cfg.mbstd_group, suite.train.ranks)
    jobs = plan(suite, methods, {name: Unseen(name) for name in suite.domains}, "unseen")
    lengths = [(name_of(job), job.training.kimg) for job in trainings(jobs).values()]
    speeds, speed = speeds_of(suite, dict(lengths), results, given)
    seconds = math.fsum(kimg * speeds[name] for name, kimg in lengths) if speeds else None
    kimg = [kimg for _, kimg in lengths]
    return Forecast(
        suite=suite,
        jobs=len(jobs),
        trainings=len(lengths),
        kimg=math.fsum(kimg),
        records=sum(len(job.record_keys) for job in jobs),
        gigabytes=gigabytes(suite, kimg, cfg) + sum(data_gigabytes(name, suite) for name in suite.domains),
        hours=None if seconds is None else seconds / 3600,
        speed=speed,
        missing=(*missing_source(suite, cache), *missing_domains(suite, cache), *missing_files(suite, methods, cache)),
    )


def name_of(job: Job) -> str:
    """Of the method whose training a job uses."""
    assert job.method is not None
    return job.method.training().name


def speeds_of(suite: Suite, names: Collection[str], results: Path, given: float | None) -> tuple[dict[str, float], str]:
    """Seconds per kimg of each training and where they come from; nothing where neither says it.

    Only trainings by as many ranks say how fast so many are.
    """
    if given is not None:
        return dict.fromkeys(names, given), f"{given:g} s/kimg as given"
    found: dict[str, list[float]] = {}
    for r in stored(results):
        alike = r.source == suite.source and ranks_of(r) == suite.train.ranks
        if alike and r.timing.seconds_per_kimg and not r.timing.reused_training:
            found.setdefault(r.method, []).append(r.timing.seconds_per_kimg)
    if not found:
        ranks = f" trained by {suite.train.ranks} ranks" if suite.train.ranks > 1 else ""
        return {}, f"give --seconds-per-kimg, or --out with a folder that has records of this source{ranks}"
    known = {name: statistics.median(values) for name, values in found.items()}
    usual = statistics.median_low(known.values())
    guessed = [name for name in names if name not in known]
    said = f"measured: {', '.join(f'{name} {known[name]:.3g} s/kimg' for name in names if name in known)}"
    said += f"; {', '.join(guessed)} taken for {usual:.3g}" if guessed else ""
    return {name: known.get(name, usual) for name in names}, said


def ranks_of(record: RunRecord) -> int:
    """That trained it; 1 in records from before they could be several."""
    train = record.settings.get("train")
    ranks = train.get("ranks", 1) if isinstance(train, dict) else 1
    return ranks if isinstance(ranks, int) else 1


def stored(results: Path) -> list[RunRecord]:
    """The records of a folder; none where it is no results folder."""
    try:
        return ResultStore(results).read_all()[0]
    except DataError:
        return []


def networks_of(suite: Suite, cache: Path) -> NetConfig:
    """Of the suite's source; where that is missing, the widest usual ones."""
    try:
        source = find_source(suite.source, cache)
        return source.card.networks or architecture_of(source.path)
    except (BenchmarkError, OSError):  # it is reported as missing
        return NetConfig.model_validate({"resolution": suite.resolution, **FULL_WIDTH})


def gigabytes(suite: Suite, lengths: Sequence[float], cfg: NetConfig) -> float:
    """Of the weights that trainings of these lengths (kimg) leave: three networks at the end, G at each snapshot."""
    with torch.device("meta"):
        g, d = (sum(p.numel() for p in net(cfg).parameters()) for net in (Generator, Discriminator))
    snapshots = sum(kimg < length for length in lengths for kimg in set(suite.train.snapshot_kimg))
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
        known = name in list_cards() or name in package_domains()
        if not here and not known and images_at(name) is None:
            fetch = f"{RUN} datasets fetch {name} --accept-licence"
            prepare = f"{RUN} datasets prepare {name} --resolution {suite.resolution}{option}"
            card = list_targets("target").get(name)
            size = f" ({card.raw_gb:g} GB)" if card and card.raw_gb else ""
            found.append(f"target {name}{size}: {fetch} && {prepare}")
    return found


def missing_files(suite: Suite, methods: Sequence[Method], cache: Path) -> list[str]:
    """Weight files of the measuring networks and of methods, and how to get them."""
    wanted = dict.fromkeys(find_metric(name).network for name in (*suite.eval.metrics, *suite.eval.curve_metrics))
    networks = (name for name in wanted if not name.startswith(STAND_IN))
    keys = [key for network in networks for key in NETWORK_FILES[network]]
    keys += [key for method in methods for key in method.training().needs]
    found = []
    for key, handed in for_methods(keys, None, cache).items():
        file = WEIGHT_FILES[key]
        if reason := handed.place.reason:
            found.append(f"weights {file.filename}: {f'{RUN} weights fetch {key}' if file.url else reason}")
    return found


def remaining_kimg(jobs: Sequence[Job], out: Path) -> float:
    """Lengths of the trainings whose weights are not in the folder `out` yet, each once."""
    left = (job for key, job in trainings(jobs).items() if not (out / "checkpoints" / f"{key}.safetensors").is_file())
    return sum(job.training.kimg for job in left)


@torch.no_grad()
def seconds_per_kimg(nets: Nets) -> float:
    """Of plain fine-tuning, from one image through both networks; regularisers and methods add to it.

    A step makes an image twice and goes back once, judges it three times (G's fake, D's fake, a real) and goes back
    each time; going back costs about two passes.
    """
    times = [time.perf_counter()]
    image = one_image(nets)
    times.append(time.perf_counter())
    nets.d(image)
    times.append(time.perf_counter())
    return 1000 * (4 * (times[1] - times[0]) + 9 * (times[2] - times[1]))


def one_image(nets: Nets) -> Tensor:
    """Of the trained generator, float32 [1, 3, R, R]; nothing is drawn."""
    z = torch.ones(1, nets.cfg.z_dim, device=device_of(nets))
    return nets.g(z, noise=nets.g.synthesis.anchor_noise())


def device_of(nets: Nets) -> torch.device:
    """Where the networks are."""
    return nets.g.mapping.w_avg.device


def require_patience(prepared: Sequence[tuple[Nets, Sequence[Job]]], out: Path, yes: bool) -> str | None:
    """What is to be said before long trainings on a CPU; None where they are short or small.

    Raises ConfigError if they would take hours and `yes` is false.
    """
    hours = sum(
        remaining_kimg(jobs, out) * seconds_per_kimg(nets) / 3600
        for nets, jobs in prepared
        if nets.cfg.resolution >= LARGE_PX and device_of(nets).type == "cpu" and remaining_kimg(jobs, out)
    )
    if hours < PATIENCE_HOURS:
        return None
    said = f"on this CPU the trainings will take {hours:,.0f} hours or more"
    if not yes:
        raise ConfigError(
            f"{said}. Use --device cuda on a machine that has one, rehearse with --scale 0.001, or add --yes."
        )
    return said


def memory_gib(nets: Nets, images: int, bf16: bool) -> float:
    """Of a step with `images` at a time, about: weights, gradients, Adam's moments, and what goes back through two
    passes of G (methods that match features make two) and one of D."""
    kept = 0

    def count(tensor: Tensor) -> Tensor:
        nonlocal kept
        kept += 0 if isinstance(tensor, torch.nn.Parameter) else tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        image = one_image(nets)
        of_g = kept
        nets.d(image)
    g, d = (sum(p.numel() * 4 for p in net.parameters()) for net in (nets.g, nets.d))
    fixed = 6 * g + 4 * d  # weight, gradient and two moments each; G also as average and as source
    return (fixed + images * (of_g + kept) * (0.5 if bf16 else 1)) / GIB

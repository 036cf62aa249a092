"""NaN and infinity anywhere from the training to a score: the job fails, and says where."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import Tensor

from benchmark.api import Control, Generator, GeneratorStep, Method, copy_of
from benchmark.errors import BenchmarkError
from benchmark.metrics import Evaluator
from benchmark.metrics.base import Samples, TranslatedPictures
from benchmark.metrics.formulas.path_length import ShortPaths, path_lengths
from benchmark.metrics.networks.features import RandConv
from benchmark.metrics.networks.perceptual import RandConvDistance
from benchmark.running.job import run_job
from benchmark.running.launch import here
from benchmark.running.plan import make_job
from benchmark.running.setup import Request, Run, prepare
from benchmark.stylegan2 import Noise

METRICS = (
    *("kid_randconv", "fd_randconv", "consistency_randconv", "step_randconv", "distance_averaged_l1"),
    "legacy_uniform_z_independent_noise_randconv",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("run")
    settings = (
        *("train.kimg=0.008", "eval.samples=8", "eval.pairs=4", "split.train=8", "split.test=8"),
        f"eval.metrics=[{','.join(METRICS)}]",
    )
    overrides = {"domains": ["toy-rings"], "methods": ["finetune"]}
    return prepare(Request("smoke", settings, overrides, "cpu", folder / "cache", 1), folder, Console(quiet=True))


class Broken(Method):
    """Spoils one place."""

    name = "broken"
    control_name = "strength"
    controls: ClassVar[tuple[Control, ...]] = (0.0, 1.0)
    default_control: ClassVar[Control] = 1.0
    place: str = "weights"

    @torch.no_grad()
    def finalize(self, source: Generator, adapted: Generator, control: Control) -> Generator:
        g = copy_of(adapted)
        if control == 1.0 and self.place == "weights":
            g.mapping.fc0.weight.fill_(torch.nan)
        if control == 1.0 and self.place == "one weight":
            g.synthesis.blocks[32].torgb.bias[0] = torch.inf
        if control == 1.0 and self.place == "buffer":
            g.mapping.w_avg.fill_(torch.nan)
        if control == 1.0 and self.place == "large weights":
            for p in g.parameters():
                p.mul_(1e30)
        return g

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        if self.place == "average":
            with torch.no_grad():
                step.nets.g_ema.mapping.fc0.weight.fill_(torch.nan)
        if self.place == "mean latent":
            step.nets.g.mapping.w_avg.fill_(torch.nan)
        if self.place == "gradient":
            return {"steep": 1e24 * step.nets.g.mapping.fc0.weight.mean()}
        return {}


class BrokenNoise(Method):
    """Noise that is not finite."""

    name = "broken_noise"

    def noise(self, g: Generator, n: int, control: Control, rng: torch.Generator) -> Noise:
        return {name: torch.full_like(t, torch.nan) for name, t in g.synthesis.anchor_noise().items()}


@pytest.mark.parametrize(
    ("method", "said"),
    [
        (Broken(place="weights"), "broken.finalize gave weights that are not finite .*fc0.*at strength 1.0"),
        (Broken(place="one weight"), "broken.finalize gave weights .*torgb.bias"),
        (Broken(place="buffer"), "broken.finalize gave weights .*w_avg"),
        (Broken(place="large weights"), "generated images: 8 of 8 are not finite"),
        (Broken(place="average"), "diverged before 8 images: generator's average weights not finite: .*fc0"),
        (Broken(place="mean latent"), "diverged before 8 images: generator weights not finite: .*w_avg"),
        (BrokenNoise(), "generated images: 8 of 8 are not finite .*evaluate broken_noise on toy-rings"),
    ],
    ids=lambda value: getattr(value, "place", getattr(value, "name", None)),
)
def test_a_job_that_is_not_finite_fails_with_the_place(run: Run, method: Method, said: str) -> None:
    job = make_job(run.jobs[0].suite, method, run.domains["toy-rings"], 0, "sha")
    with pytest.raises(BenchmarkError, match=said):
        run_job(job, run)
    assert run.store.has(job.record_keys[method.default_control]) is None


def test_the_record_of_such_a_job_is_failed_with_the_reason(run: Run) -> None:
    job = make_job(run.jobs[0].suite, BrokenNoise(), run.domains["toy-rings"], 7, "sha")
    reasons: list[str] = []
    here(replace(run, jobs=[job]), [0], run.bars, lambda number, status, why: reasons.append(f"{status}: {why}"), False)  # type: ignore[arg-type]
    assert len(reasons) == 1 and reasons[0].startswith("failed: generated images: 8 of 8 are not finite")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_features_that_are_not_finite_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: float) -> None:
    """A network may overflow on images that are in order."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (8, 3, 32, 32), np.uint8)
    forward = RandConv.forward

    def overflow(self: RandConv, images: Tensor) -> Tensor:
        return forward(self, images).index_fill(0, torch.tensor([1]), bad)

    evaluator = Evaluator(("kid_randconv",), tmp_path)
    monkeypatch.setattr(RandConv, "forward", overflow)
    with pytest.raises(BenchmarkError, match=r"randconv: features of real images: 1 of 8 are not finite"):
        evaluator(Samples(images, images[:4], images[:4]), images, "digest")


PAIRED = (
    *("consistency_randconv", "consistency_anchor_randconv", "step_randconv", "intra_randconv"),
    *("intra_balanced_randconv", "picture_distance_randconv", "ppl_randconv"),
    *(f"legacy_uniform_z_independent_noise{crop}_randconv" for crop in ("", "_face_crop")),
)


class Paths(list[tuple[Tensor, Tensor]]):
    """Pairs of images, as many paths as there are images."""

    def __len__(self) -> int:
        return sum(len(first) for first, _ in self)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("metric", PAIRED)
def test_a_distance_that_is_not_finite_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metric: str, bad: float
) -> None:
    """One of 200: no trimming, no nearest neighbour and no cluster without a pair may hide it."""
    rng = np.random.default_rng(0)
    sets = [rng.integers(0, 256, (200, 3, 16, 16), np.uint8) for _ in range(6)]
    fakes, sources, anchored, before, *legacy = sets
    pictures = TranslatedPictures(sources, fakes, fakes / np.float32(255), "not asked for")
    paths = Paths([(torch.from_numpy(fakes).float(), torch.from_numpy(sources).float())])
    samples = Samples(fakes, sources, anchored, before, (legacy[0], legacy[1]), None, paths, pictures)  # type: ignore[arg-type]
    evaluator = Evaluator((metric,), tmp_path)
    assert evaluator(samples, fakes, "digest", training=sources).scores[metric].value is not None
    distance = RandConvDistance.distance

    def overflow(self: RandConvDistance, a: list[Tensor], b: list[Tensor]) -> Tensor:
        found = distance(self, a, b)
        return found.index_fill(0, torch.tensor([len(found) // 3]), bad)

    monkeypatch.setattr(RandConvDistance, "distance", overflow)
    with pytest.raises(BenchmarkError, match=r"distances .*not finite"):
        evaluator(samples, fakes, "digest", training=sources)


def test_images_along_paths_that_are_not_finite_are_named(run: Run) -> None:
    g = copy_of(run.nets.g_ema)
    with torch.no_grad():
        g.synthesis.blocks[32].torgb.bias[1] = torch.inf
    paths = ShortPaths(g, torch.randn(2, 3, g.cfg.z_dim), lambda: lambda n: "const", 2)
    with pytest.raises(BenchmarkError, match=r"images along paths: 2 of 2 are not finite"):
        path_lengths(RandConvDistance(), paths, "cpu", lambda n: None)


def test_gradients_that_overflow_the_optimiser_fail_the_job(run: Run) -> None:
    """An infinite second moment stops a weight for ever, while all weights and losses are finite."""
    job = make_job(run.jobs[0].suite, Broken(place="gradient"), run.domains["toy-rings"], 0, "sha")
    with pytest.raises(BenchmarkError, match="diverged before 8 images: generator: moments of Adam not finite"):
        run_job(job, run)

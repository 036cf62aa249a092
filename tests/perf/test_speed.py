"""Timings without limits, not part of the default run: `pytest tests/perf -o addopts= --benchmark-only`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from phases import EVERY, networks, step_phases
from pytest_benchmark.fixture import BenchmarkFixture

from benchmark.metrics.formulas.frechet import features_to_gaussian, frechet_distance
from benchmark.metrics.networks.features import images_to_features, load_feature_network
from benchmark.metrics.networks.weight_files import WEIGHT_FILES, locate
from benchmark.stylegan2 import Nets
from benchmark.system.hardware import pick_precision

SIZE = networks(channel_base=2048, channel_max=128)
BATCH = 16
PRECISIONS = [*dict.fromkeys(("fp32", pick_precision("auto", "cpu")))]
"""bf16 where the processor multiplies it natively; it is ten times slower than fp32 elsewhere."""


@pytest.mark.parametrize("precision", PRECISIONS)
def test_generator_forward(benchmark: BenchmarkFixture, precision: str) -> None:
    """16 images of 64 px."""
    g = Nets.create(SIZE, seed=0).to("cpu").g
    g.synthesis.dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    z = torch.randn(BATCH, SIZE.z_dim)

    def images() -> torch.Tensor:
        with torch.inference_mode():
            return g(z)

    assert benchmark.pedantic(images, rounds=5, warmup_rounds=1).shape == (BATCH, 3, 64, 64)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("phase", EVERY)
def test_phase_of_a_training_step(benchmark: BenchmarkFixture, phase: str, precision: str) -> None:
    """Batch 16 at 64 px; `python tests/perf/step_speed.py` adds them up."""
    benchmark.pedantic(step_phases(SIZE, BATCH, precision)[phase], rounds=3, warmup_rounds=1)


def test_evaluation_features(benchmark: BenchmarkFixture) -> None:
    """EfficientNet-Lite0 at 128 px: 50 images of 64 px."""
    file = locate(WEIGHT_FILES["effnetlite0"], {}, Path("no-cache")).path
    assert file is not None
    net = load_feature_network("effnetlite0_128", {"effnetlite0": file})
    images = np.random.default_rng(0).integers(0, 256, (50, 3, 64, 64), dtype=np.uint8)
    features = benchmark.pedantic(
        images_to_features, args=(net, images, "cpu", 50, lambda n: None), rounds=3, warmup_rounds=1
    )
    assert features.shape == (50, 1280)


def test_frechet_distance(benchmark: BenchmarkFixture) -> None:
    """Two sets of 1000 features of 1280 dimensions, fits included."""
    a, b = np.random.default_rng(0).normal(size=(2, 1000, 1280)).astype(np.float32)

    def distance() -> float:
        return frechet_distance(features_to_gaussian(a), features_to_gaussian(b))

    assert benchmark.pedantic(distance, rounds=3, warmup_rounds=1) > 0

"""A compiled training, whole; only with --benchmark-only, since compiling takes a minute or several."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from benchmark.api import Method
from benchmark.config import NetConfig, TrainConfig
from benchmark.stylegan2 import Nets
from benchmark.training.train import train

CFG = NetConfig(resolution=8, z_dim=4, w_dim=4, mapping_layers=1, channel_base=64, channel_max=8)
STEPS = TrainConfig(kimg=0.008, batch=4, r1_every=2, pl_weight=2, pl_every=2, precision="fp32", lr_g=0.002, lr_d=0.002)


class Plain(Method):
    name = "plain"


def weights(compile: bool) -> list[torch.Tensor]:
    reals = np.random.default_rng(0).integers(0, 256, (8, 3, 8, 8), dtype=np.uint8)
    cfg = STEPS.model_copy(update={"compile": compile})
    state = train(Nets.create(CFG, 0), reals, Plain(), cfg, (0,))
    return [p for net in (state.nets.g_ema, state.nets.d) for p in net.parameters()]


@pytest.mark.skipif(not any(map(shutil.which, ("g++", "clang++", "c++"))), reason="no C++ compiler")
def test_a_compiled_training_gives_the_same_weights_but_for_rounding(
    benchmark: BenchmarkFixture, pytestconfig: pytest.Config
) -> None:
    """Regularisers included, which run beside the compiled phases."""
    if not pytestconfig.getoption("benchmark_only"):
        pytest.skip("heavy: run with --benchmark-only")
    compiled = benchmark.pedantic(weights, args=(True,), rounds=1)
    for a, b in zip(compiled, weights(False), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)  # a step is 0.002 at most; tiny gradients may turn

"""How a training computes: which kernels a GPU may choose, and compiled main phases."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

from benchmark.config import TrainConfig
from benchmark.errors import ConfigError
from benchmark.stylegan2 import Nets
from benchmark.system.hardware import cuda_arithmetic
from benchmark.training.determinism import deterministic, require_pinned


@contextmanager
def held(cfg: TrainConfig, nets: Nets) -> Iterator[None]:
    """For a whole training: what `deterministic` asks for, if the settings say so; ConfigError where it cannot be."""
    if cfg.deterministic:
        require_pinned(str(nets.g.mapping.w_avg.device))
    with deterministic(cfg.deterministic):
        yield


@contextmanager
def kernels(cfg: TrainConfig) -> Iterator[None]:
    """`cudnn_benchmark` and `tf32` of the settings inside, as before afterwards; without effect on a CPU."""
    with cuda_arithmetic(cfg.tf32, benchmark=cfg.cudnn_benchmark):
        yield


class Arithmetic:
    """How phases are computed: `main` ones, and those that differentiate `twice`.

    With `train.compile` the networks' blocks are compiled one by one when a main phase first runs them. Compiled code
    cannot differentiate twice, so regularisers run the plain blocks, whose parameters are the same.
    """

    def __init__(self, nets: Nets, cfg: TrainConfig, backend: str = "inductor") -> None:
        self.cfg = cfg
        self.compiled: list[tuple[nn.Module, Callable[..., Any]]] = []
        if cfg.deterministic and not torch.are_deterministic_algorithms_enabled():
            raise ConfigError("train.deterministic=true was asked of a training outside of `kernels.held`.")
        if not cfg.compile:
            return
        if backend == "inductor":
            require_compiler(str(nets.g.mapping.w_avg.device))
        blocks: list[nn.Module] = [*nets.g.synthesis.blocks.values(), *nets.d.blocks.values()]
        self.compiled = [(block, torch.compile(block.forward, backend=backend, dynamic=False)) for block in blocks]

    @contextmanager
    def main(self) -> Iterator[None]:
        """For phases that differentiate once."""
        with kernels(self.cfg), ExitStack() as stack:
            for block, forward in self.compiled:
                block.__dict__["forward"] = forward
                stack.callback(block.__dict__.pop, "forward")
            yield

    def twice(self) -> AbstractContextManager[None]:
        """For regularisers."""
        return kernels(self.cfg)


def require_compiler(device: str) -> None:
    """ConfigError where torch.compile has nothing to compile with: a C++ compiler, on a GPU also Triton."""
    names = [os.environ["CXX"]] if "CXX" in os.environ else ["g++", "clang++", "c++"]
    missing = [] if any(map(shutil.which, names)) else [f"a C++ compiler ({', '.join(names)})"]
    if device != "cpu" and find_spec("triton") is None:
        missing.append("the package triton")
    if missing:
        raise ConfigError(
            f"train.compile=true needs {' and '.join(missing)}, and this machine has none. Install what is missing, or "
            "leave train.compile at false."
        )

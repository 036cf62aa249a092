"""The same bits on every x86-64 processor with AVX2: what has to be said before torch computes, and while it does.

Libraries choose code by the processor, and sums in another order round differently. A training is chaotic, so that
a last digit becomes another result within a few hundred steps. What chooses here, and how it is held:

ATen's kernels      ATEN_CPU_CAPABILITY=avx2
MKL's products      MKL_CBWR=COMPATIBLE: Intel documents equal bits on Intel's and compatible processors for it
oneDNN and NNPACK   off: they choose blocks by the sizes of caches, and nothing limits that
threads             one
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from benchmark.errors import ConfigError

PINNED = {"ATEN_CPU_CAPABILITY": "avx2", "MKL_CBWR": "COMPATIBLE"}
"""Read by the libraries once, when they first compute."""


def pinned() -> bool:
    """Whether this process was started with the variables that hold the libraries."""
    return all(os.environ.get(name) == value for name, value in PINNED.items())


def start_pinned(wanted: bool) -> None:
    """Start this command again with the variables set, in the same process, where that is wanted and not done yet."""
    if wanted and not pinned():
        sys.stdout.flush(), sys.stderr.flush()
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | PINNED)


def require_pinned(device: str) -> None:
    """ConfigError where this process cannot give the bits that every other would."""
    import torch

    if device != "cpu":
        raise ConfigError(
            f"train.deterministic=true holds the processor's arithmetic, and the device is {device}: add --device cpu."
        )
    if not pinned():
        words = " ".join(f"{name}={value}" for name, value in PINNED.items())
        raise ConfigError(
            f"train.deterministic=true needs variables that PyTorch reads when it first computes: start Python with "
            f"{words}. The command line does so by itself."
        )
    if (found := torch.backends.cpu.get_cpu_capability()) != "AVX2":
        raise ConfigError(
            f"train.deterministic=true needs an x86-64 processor with AVX2; PyTorch computes with {found} here."
        )


@contextmanager
def deterministic(on: bool) -> Iterator[None]:
    """One thread, one order of summation and no code that chooses by the processor inside; as before afterwards."""
    if not on:
        yield
        return
    import torch

    threads, algorithms = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with ExitStack() as stack:
        was_on, *_ = torch.backends.mkldnn.set_flags(_enabled=False)
        stack.callback(torch.backends.mkldnn.set_flags, _enabled=was_on)
        stack.enter_context(torch.backends.nnpack.flags(enabled=False))
        stack.callback(torch.set_num_threads, threads)
        stack.callback(torch.use_deterministic_algorithms, algorithms)
        torch.set_num_threads(1)
        torch.use_deterministic_algorithms(True)
        yield

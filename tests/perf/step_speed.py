"""How fast a training step is, and how near to what this machine can do: `python tests/perf/step_speed.py [--quick]`.

The peak is the best fp32 3x3 convolution that PyTorch reaches here, measured in the same run. The work of a step is
counted in convolutions and matrix products (2 per multiply-add), without the FIR filters. bf16 is timed where the
processor multiplies it natively; elsewhere a step takes a minute.
"""

# ruff: noqa: E402 (process settings come before torch)
from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS / "helpers")]  # the checkout's benchmark, installed or not

from benchmark.system.startup import prepare_process

prepare_process()

import torch
from phases import EVERY, networks, step_phases
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from benchmark.system.hardware import device_name, peak_memory_mb, pick_precision, reset_peak_memory

BATCH = 16
SIZES = {"64 px 2048/128": networks(2048, 128), "64 px 8192/256": networks(8192, 256)}
CONVOLUTIONS = [(64, 64), (128, 32), (256, 32), (256, 16), (512, 8)]
"""(channels, px) of the convolutions that may be the fastest."""


def best_seconds(run: Callable[[], object], repeats: int) -> float:
    """The shortest of `repeats` timings: whatever else the machine does can only slow a run down."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def convolution_peak(dtype: torch.dtype, repeats: int) -> float:
    """FLOP per second of the fastest 3x3 convolution, channels_last, batch 16."""
    found = []
    for channels, px in CONVOLUTIONS:
        x = torch.randn(BATCH, channels, px, px, dtype=dtype).to(memory_format=torch.channels_last)
        w = torch.randn(channels, channels, 3, 3, dtype=dtype).to(memory_format=torch.channels_last)
        with torch.inference_mode():
            seconds = best_seconds(lambda x=x, w=w: torch.nn.functional.conv2d(x, w, padding=1), repeats)
        found.append(2 * 9 * channels**2 * BATCH * px**2 / seconds)
    return max(found)


class Work(TorchDispatchMode):
    """Adds up the FLOP of what runs inside, first and second derivatives too."""

    total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        fir = func.overloadpacket is torch.ops.aten.convolution and args[8] != 1  # depthwise
        if func.overloadpacket in flop_registry and not fir:
            self.total += flop_registry[func.overloadpacket](*args, **(kwargs or {}), out_val=out)
        return out


def flops(run: Callable[[], None]) -> int:
    """Work of one call."""
    with Work() as work:
        run()
    return work.total


def report(size: str, precision: str, peak: float, repeats: int) -> None:
    """Print one line of the table, and one of its phases."""
    phases = step_phases(SIZES[size], BATCH, precision)
    work = {name: flops(run) for name, run in phases.items()}  # also the warm-up
    reset_peak_memory("cpu")
    seconds = {name: best_seconds(run, repeats) for name, run in phases.items()}
    memory = peak_memory_mb("cpu")

    def kimg(parts: dict[str, float]) -> float:
        """A phase's number, spread over the steps between two of its runs, for 1000 images."""
        return sum(value / EVERY[name] for name, value in parts.items()) * 1000 / BATCH

    default = kimg({name: t for name, t in seconds.items() if name != "path_length"})
    share = kimg(work) / kimg(seconds) / peak
    print(f"{size}  {precision}  {kimg(seconds):6.1f} s/kimg ({default:.1f} without path length)  ", end="")
    print(f"{kimg(work) / 1e12:5.2f} TFLOP/kimg  {share:4.0%} of the fp32 peak  {memory or float('nan'):5.0f} MB")
    print("    " + "  ".join(f"{name} {t * 1000:.0f} ms" for name, t in seconds.items()), flush=True)


def main() -> None:
    spawn = multiprocessing.get_context("spawn")
    repeats = 1 if "--quick" in sys.argv else 5
    peak = convolution_peak(torch.float32, 10 * repeats)
    print(f"{device_name('cpu')}, {torch.get_num_threads()} threads, torch {torch.__version__}, batch {BATCH}")
    print(f"fp32 convolution peak {peak / 1e9:.0f} GFLOP/s")
    for size in SIZES:
        for precision in dict.fromkeys(("fp32", pick_precision("auto", "cpu"))):
            own = spawn.Process(target=report, args=(size, precision, peak, repeats))  # for its own peak memory
            own.start()
            own.join()


if __name__ == "__main__":
    main()

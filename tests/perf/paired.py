"""Training steps of this checkout beside those of another one: `python tests/perf/paired.py PATH`.

PATH is an earlier commit of this project or a checkout of stylegan2-ada-pytorch. Both run in this process, phase by
phase in turns, so that whatever else the machine does slows both; what counts is the median of the paired ratios. The
clock is the processor's, for machines that others use; `--clock wall` is for quiet ones.
"""

# ruff: noqa: E402 (process settings come before torch)
from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS / "helpers")]

from benchmark.system.startup import prepare_process

prepare_process()

import torch
from nvidia_phases import nvidia_phases
from phases import EVERY, step_phases

from benchmark.config import NetConfig
from benchmark.system.hardware import device_name, prepare_torch

Phases = dict[str, Callable[[], None]]
SIZES = {"32": (32, 4096, 128), "64": (64, 2048, 128), "64-wide": (64, 8192, 256), "256": (256, 16384, 512)}
"""Name: resolution, channel_base, channel_max."""
OURS = {"benchmark", "phases"}


@contextmanager
def modules_of(checkout: Path, names: set[str]) -> Iterator[None]:
    """Imports inside find the other checkout's modules of these names; afterwards ours are back."""
    aside = {name: module for name, module in sys.modules.items() if name.split(".")[0] in names}
    for name in aside:
        del sys.modules[name]
    places = [str(checkout), str(checkout / "tests" / "helpers")]
    sys.path[:0] = places
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] in names]:
            del sys.modules[name]
        sys.modules.update(aside)
        for place in places:
            sys.path.remove(place)


def phases_of(checkout: Path, cfg: NetConfig, batch: int, precision: str) -> Phases:
    """The other checkout's phases, under the names of ours."""
    if (checkout / "training" / "networks.py").is_file():
        with modules_of(checkout, {"training", "torch_utils", "dnnlib"}):
            return nvidia_phases(importlib.import_module("training.networks"), cfg, batch)
    with modules_of(checkout, OURS):
        found = importlib.import_module("phases")
        theirs = importlib.import_module("benchmark.config").NetConfig(**cfg.model_dump())
        return found.step_phases(theirs, batch, precision)


def compare(ours: Phases, theirs: Phases, rounds: int, clock: Callable[[], float]) -> dict[str, list[list[float]]]:
    """{phase: [(seconds of ours, seconds of theirs), ...]}, who begins changes from round to round."""
    found: dict[str, list[list[float]]] = {name: [] for name in ours}
    for number in range(rounds + 1):
        for name in ours:
            seconds = [0.0, 0.0]
            for k in (0, 1) if number % 2 else (1, 0):
                begun = clock()
                (ours, theirs)[k][name]()
                seconds[k] = clock() - begun
            if number:  # the first round warms up
                found[name].append(seconds)
    return found


def print_table(found: dict[str, list[list[float]]], batch: int) -> None:
    """A line for each phase, then seconds for 1000 images; the ratio is theirs over ours."""
    kimg = [0.0, 0.0]
    for name, pairs in found.items():
        ratios = sorted(theirs / ours for ours, theirs in pairs)
        middle = [median(side) for side in zip(*pairs, strict=True)]
        kimg = [total + value / EVERY[name] * 1000 / batch for total, value in zip(kimg, middle, strict=True)]
        spread = f"{ratios[len(ratios) // 4]:.2f} to {ratios[-1 - len(ratios) // 4]:.2f}"
        print(
            f"  {name:14} {middle[0] * 1000:8.1f} ms  other {middle[1] * 1000:8.1f} ms  x{median(ratios):.3f}"
            f" ({spread})"
        )
    print(f"  {'1000 images':14} {kimg[0]:8.2f} s   other {kimg[1]:8.2f} s   x{kimg[1] / kimg[0]:.3f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--size", choices=SIZES, default="64")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--no-clamp", action="store_true", help="convolutions without the clamp at 256")
    parser.add_argument("--clock", choices=["cpu", "wall"], default="cpu")
    asked = parser.parse_args()
    prepare_torch(asked.threads)
    resolution, base, most = SIZES[asked.size]
    clamp = None if asked.no_clamp else 256.0
    cfg = NetConfig(resolution=resolution, channel_base=base, channel_max=most, conv_clamp=clamp)
    ours = step_phases(cfg, asked.batch, asked.precision)
    theirs = phases_of(asked.checkout.resolve(), cfg, asked.batch, asked.precision)
    clock = time.process_time if asked.clock == "cpu" else time.perf_counter
    print(f"{device_name('cpu')}, {torch.get_num_threads()} threads, torch {torch.__version__}, {asked.clock} time")
    print(f"{asked.size} {base}/{most}, batch {asked.batch}, {asked.precision}, clamp {clamp}, {asked.rounds} rounds")
    print_table(compare(ours, theirs, asked.rounds, clock), asked.batch)
    print(f"  load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()

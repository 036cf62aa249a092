"""All that is to be known of a new GPU in five minutes: `python tests/perf/gpu.py | tee gpu.txt`.

Prints the card's convolution peaks; seconds for 1000 training images at 256 px by phase, in float32, TF32 and bf16,
compiled or not, with peak memory and the share of the peak; operations for which a step waits; images per second that
are generated and that pass through Inception. `--toy` runs all of it on tiny networks, on a CPU if need be.
"""

# ruff: noqa: E402 (process settings come before torch)
from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS / "helpers"), str(TESTS / "perf")]

from benchmark.system.startup import prepare_process

prepare_process()

import torch
from phases import EVERY, step_phases
from step_speed import flops

from benchmark.config import NetConfig, TrainConfig
from benchmark.stylegan2 import Nets
from benchmark.system.hardware import device_name, peak_memory_mb, reset_peak_memory
from benchmark.training.kernels import kernels

PAPER = NetConfig(resolution=256, channel_base=16384, channel_max=512)
TOY = NetConfig(resolution=16, z_dim=16, w_dim=16, mapping_layers=2, channel_base=256, channel_max=32)
ROWS = [("bf16", 32, False), ("tf32", 32, False), ("fp32", 32, False), ("bf16", 64, False), ("bf16", 32, True)]
"""(precision, batch, compiled), the most wanted first."""


def seconds_of(run: Callable[[], object], device: str, repeats: int = 5) -> float:
    """Median over `repeats`, after one run to warm up."""
    times = []
    for _ in range(repeats + 1):
        wait(device)
        begun = time.perf_counter()
        run()
        wait(device)
        times.append(time.perf_counter() - begun)
    return median(times[1:])


def wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize(device)


def peak(precision: str, device: str, toy: bool) -> float:
    """FLOP per second of the best of a few 3x3 convolutions."""
    best = 0.0
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    for channels, px in [(32, 16)] if toy else [(128, 128), (256, 64), (512, 32)]:
        x = torch.randn(32, channels, px, px, dtype=dtype, device=device).to(memory_format=torch.channels_last)
        w = torch.randn(channels, channels, 3, 3, dtype=dtype, device=device).to(memory_format=torch.channels_last)
        with torch.inference_mode(), kernels(TrainConfig(tf32=precision == "tf32")):
            seconds = seconds_of(lambda x=x, w=w: torch.nn.functional.conv2d(x, w, padding=1), device)
        best = max(best, 2 * 9 * channels**2 * 32 * px**2 / seconds)
    return best


def training(cfg: NetConfig, row: tuple[str, int, bool], device: str, peaks: dict[str, float]) -> None:
    """Print one row, and its phases below."""
    precision, batch, compiled = row
    phases = step_phases(cfg, batch, precision, device, compiled)
    begun = time.perf_counter()
    phases["generator"](), phases["discriminator"]()
    first = time.perf_counter() - begun
    reset_peak_memory(device)
    seconds = {name: seconds_of(run, device, 3) for name, run in phases.items()}
    memory = peak_memory_mb(device) or float("nan")
    work = {} if compiled else {name: flops(run) for name, run in phases.items()}

    def kimg(parts: dict[str, float]) -> float:
        return sum(value / EVERY[name] for name, value in parts.items()) * 1000 / batch

    share = f"{kimg(work) / kimg(seconds) / peaks[precision]:4.0%} of the peak" if work else f"first step {first:.0f} s"
    how = "compiled" if compiled else "eager"
    print(f"{precision} batch {batch} {how}: {kimg(seconds):.2f} s/kimg, {memory:,.0f} MB, {share}")
    print("    " + "  ".join(f"{name} {t * 1000:.1f} ms" for name, t in seconds.items()), flush=True)


def waits(cfg: NetConfig, device: str) -> None:
    """Print for which operations the processor waits within a step."""
    phases = step_phases(cfg, 8, "bf16", device)
    for run in phases.values():
        run()
    if device == "cpu":
        print("waiting operations: known only on a GPU")
        return
    torch.cuda.set_sync_debug_mode("warn")
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for run in phases.values():
            run()
    torch.cuda.set_sync_debug_mode("default")
    print(f"waiting operations in a step: {len(found)}")
    for one in found[:10]:
        print(f"    {one.filename}:{one.lineno} {one.message}")


@torch.inference_mode()
def evaluation(cfg: NetConfig, device: str, toy: bool) -> None:
    """Print images per second: generated, and through torchvision's Inception with random weights at 299 px."""
    g = Nets.create(cfg, seed=0).to(device).g_ema
    n = 8 if toy else 64
    z = torch.randn(n, cfg.z_dim, device=device)
    print(f"generator: {n / seconds_of(lambda: g(z), device):,.0f} images/s in float32, batch {n}")
    try:
        from torchvision.models import inception_v3
    except Exception as error:  # a torchvision made for another PyTorch fails in many ways
        print(f"Inception: not measured, torchvision does not load ({type(error).__name__})")
        return
    net = inception_v3(weights=None, init_weights=False).eval().to(device, memory_format=torch.channels_last)
    x = torch.randn(n, 3, 299, 299, device=device).to(memory_format=torch.channels_last)
    print(f"Inception: {n / seconds_of(lambda: net(x), device, 2):,.0f} images/s in float32, batch {n}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--toy", action="store_true", help="tiny networks")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--minutes", type=float, default=5, help="begin no further row after this time")
    asked = parser.parse_args()
    begun, device, cfg = time.perf_counter(), asked.device, TOY if asked.toy else PAPER
    print(f"{device_name(device)}, torch {torch.__version__}, {cfg.resolution} px {cfg.channel_base}/{cfg.channel_max}")
    peaks = {precision: peak(precision, device, asked.toy) for precision in ("fp32", "tf32", "bf16")}
    print("convolution peaks: " + ", ".join(f"{name} {value / 1e12:.2f} TFLOP/s" for name, value in peaks.items()))
    waits(cfg, device)
    evaluation(cfg, device, asked.toy)
    for precision, batch, compiled in ROWS:
        if time.perf_counter() - begun > 60 * asked.minutes:
            print("out of time")
            break
        try:
            training(cfg, (precision, 8 if asked.toy else batch, compiled), device, peaks)
        except torch.OutOfMemoryError:
            print(f"{precision} batch {batch}: out of memory", flush=True)


if __name__ == "__main__":
    main()

"""What a training will ask of this machine: seconds and memory, found by trying one image."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from benchmark.errors import ConfigError
from benchmark.plan import Job
from benchmark.stylegan2 import Nets

LARGE_PX = 256
"""From here on a training on a CPU is tried before it starts."""
PATIENCE_HOURS = 2.0
GIB = 2**30


def remaining_kimg(jobs: Sequence[Job], out: Path) -> float:
    """Lengths of the trainings whose weights are not in the folder `out` yet, each once."""
    lengths = {job.train_key: job.suite.train.kimg for job in jobs if job.method is not None}
    done = {key for key in lengths if (out / "checkpoints" / f"{key}.safetensors").is_file()}
    return sum(kimg for key, kimg in lengths.items() if key not in done)


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

    Raises ConfigError where they take hours and nobody said `yes`.
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

"""Strictly from a checkpoint's tensors to our networks: every name and shape has to fit, or to be allowed by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import Tensor

from benchmark.checkpoints.architecture import differing_gains, infer
from benchmark.checkpoints.reading import Checkpoint
from benchmark.config import NetConfig
from benchmark.errors import WeightsError
from benchmark.stylegan2 import Discriminator, Generator, Nets
from benchmark.stylegan2.ops import fir_kernel

W_AVERAGE_OF = 10_000
"""Latents behind a w_avg that the file does not have."""


@dataclass
class Converted:
    """Networks of a checkpoint, and what had to be said about them."""

    nets: Nets
    present: tuple[str, ...]
    """Which of g, g_ema, d were in the file, or were allowed to be new."""
    notes: tuple[str, ...]


def convert(checkpoint: Checkpoint, allow: Sequence[str], where: str) -> Converted:
    """Our networks, float32 on the CPU, with the checkpoint's tensors.

    `allow` holds names or patterns ("d.b4.out.*") that may be missing (they start as new networks do), unexpected
    (left out) or misshapen (start new). Everything else that does not fit is listed in one WeightsError. A generator
    that is missing altogether is its twin's copy; a discriminator that is missing altogether is a new one, and not in
    `present` unless `allow` names all of it ("d.*").
    """
    cfg = infer(checkpoint, where)
    given = {f"{part}.{name}": t for part, net in checkpoint.networks.items() for name, t in net.items()}
    present = tuple(part for part in ("g", "g_ema", "d") if part in checkpoint.networks)
    expected = expected_tensors(cfg, present)
    notes: list[str] = []
    averages = {f"{part}.mapping.w_avg" for part in present if part != "d" and not cfg.c_dim}
    average_missing = sorted(averages - given.keys())
    given.update({name: torch.zeros(cfg.w_dim) for name in average_missing})
    problems, skipped = compare(expected, given, allow)
    problems += gain_problems(cfg, checkpoint)
    if problems:
        raise WeightsError(
            f"{where} does not fit the architecture that its weights show: {'; '.join(shorten(problems))}. "
            "Is the file whole? --allow NAME accepts single differences."
        )
    notes += [f"allowed: {problem}" for problem in skipped]
    nets = fill(cfg, {name: t for name, t in given.items() if name in expected}, {n.split(" ")[0] for n in skipped})
    notes += complete(nets, present, average_missing)
    if "d" not in present and any(fnmatchcase("d.b4.out.weight", pattern) for pattern in allow):
        present, notes = (*present, "d"), [*notes[:-1], "allowed: d was not in the file and starts as a new network"]
    return Converted(nets, present, tuple(notes))


def expected_tensors(cfg: NetConfig, present: Iterable[str]) -> dict[str, torch.Size]:
    """{name: shape} of the networks, without allocating them (a file's shapes may be absurd)."""
    with torch.device("meta"):
        nets = {part: Discriminator(cfg) if part == "d" else Generator(cfg) for part in present}
    return {f"{part}.{name}": t.shape for part, net in nets.items() for name, t in net.state_dict().items()}


def compare(
    expected: dict[str, torch.Size], given: dict[str, Tensor], allow: Sequence[str]
) -> tuple[list[str], list[str]]:
    """(what does not fit, what does not fit but is allowed); each begins with the tensor's name."""
    found = [f"{name} is missing" for name in sorted(expected.keys() - given.keys())]
    found += [f"{name} is unexpected" for name in sorted(given.keys() - expected.keys())]
    for name in sorted(expected.keys() & given.keys()):
        tensor, shape = given[name], expected[name]
        if tensor.shape != shape:
            found.append(f"{name} has shape {list(tensor.shape)}, expected {list(shape)}")
        elif not tensor.is_floating_point():
            found.append(f"{name} is of {tensor.dtype}, not of floating point numbers")
        elif not torch.isfinite(tensor).all():
            found.append(f"{name} holds numbers that are not finite")
        elif name.endswith("resample_filter") and not torch.allclose(tensor.float(), fir_kernel(), atol=1e-5):
            found.append(f"{name} is another low-pass filter than [1, 3, 3, 1]")
    allowed = [text for text in found if any(fnmatchcase(text.split(" ")[0], pattern) for pattern in allow)]
    return [text for text in found if text not in allowed], allowed


def gain_problems(cfg: NetConfig, checkpoint: Checkpoint) -> list[str]:
    """Layers that scale their weights differently than ours."""
    problems = []
    with torch.device("meta"):
        for part, settings in checkpoint.settings.items():
            if part not in checkpoint.networks:
                continue
            net = Discriminator(cfg) if part == "d" else Generator(cfg)
            problems += [f"{part}.{problem}" for problem in differing_gains(net, settings)]
    return problems


def shorten(problems: Sequence[str], most: int = 200) -> list[str]:
    """All problems, unless a file has absurdly many."""
    more = [f"and {len(problems) - most} more"] if len(problems) > most else []
    return [*problems[:most], *more]


def fill(cfg: NetConfig, tensors: dict[str, Tensor], not_taken: set[str]) -> Nets:
    """New networks (seed 0) with these tensors copied in."""
    nets = Nets.create(cfg, seed=0)
    own = nets.state_dict()
    with torch.no_grad():
        for name, tensor in tensors.items():
            if name not in not_taken:
                own[name].copy_(tensor)
    return nets


def complete(nets: Nets, present: Sequence[str], average_missing: Sequence[str]) -> list[str]:
    """Fill in what a file may lack as a whole; each is said in a note."""
    notes = []
    for name in average_missing:
        part = name.split(".")[0]
        net = nets.g if part == "g" else nets.g_ema
        net.mapping.w_avg.copy_(mean_w(net))
        notes.append(f"{name} was not in the file: it is the mean over {W_AVERAGE_OF:,} mapped latents (seed 0)")
    if "g" not in present:
        nets.g.load_state_dict(nets.g_ema.state_dict())
        notes.append("g was not in the file: it is a copy of g_ema")
    if "g_ema" not in present:
        nets.g_ema.load_state_dict(nets.g.state_dict())
        notes.append("g_ema was not in the file: it is a copy of g")
    if "d" not in present:
        notes.append("d was not in the file: no run can start from this source")
    return notes


@torch.no_grad()
def mean_w(g: Generator) -> Tensor:
    """Mean of w over fixed latents, [w_dim]; rosinality's tools estimate it so, NVIDIA's training tracks it."""
    z = torch.randn(W_AVERAGE_OF, g.cfg.z_dim, generator=torch.Generator().manual_seed(0))
    return g.mapping(z)[:, 0].mean(dim=0)

"""Strict conversion of a checkpoint's tensors to our networks: every name and shape must fit, or be allowed by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import Tensor

from benchmark.checkpoints.architecture import differing_gains, infer
from benchmark.checkpoints.damage import shown
from benchmark.checkpoints.reading import Checkpoint
from benchmark.config import NetConfig
from benchmark.errors import WeightsError
from benchmark.stylegan2 import Discriminator, Generator, Nets
from benchmark.stylegan2.ops import fir_kernel
from benchmark.stylegan2.weights import shapes_of

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

MAX_NUMBERS = 2**30
"""In all three networks; those of 1024 px have fewer than 2**27."""
W_AVERAGE_OF = 10_000
"""Latents behind a w_avg that the file does not have."""
AT_ONCE = 500
"""So many of them; a file may have absurdly wide networks."""


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
    all_shapes = shapes_of(cfg)
    numbers = sum(shape.numel() for shape in all_shapes.values())
    if numbers > MAX_NUMBERS:
        raise WeightsError(f"{where} would be networks of {numbers:,} weights ({cfg}); no StyleGAN2 is that large.")
    averages = {f"{part}.mapping.w_avg" for part in present if part != "d" and not cfg.c_dim}
    average_missing = averages - given.keys()
    lacking, lacked = lacking_kinds(all_shapes, given, present)
    expected = {name: shape for name, shape in all_shapes.items() if name.split(".")[0] in present}
    found = compare({name: shape for name, shape in expected.items() if name not in average_missing | lacking}, given)
    skipped = {name for name in found if allowed(name, allow)}
    problems = [f"{shown(name)} {what}" for name, what in found.items() if name not in skipped]
    problems += gain_problems(cfg, checkpoint)
    if problems:
        hint = "" if at_the_ends(found) else " --allow NAME accepts single differences."
        raise WeightsError(
            f"{where} does not fit the architecture that its weights show: {'; '.join(shorten(problems))}. "
            f"Is the file whole?{hint}"
        )
    notes = [f"allowed: {shown(name)} {what}" for name, what in found.items() if name in skipped] + lacked
    nets = fill(cfg, {name: t for name, t in given.items() if name in expected and name not in skipped})
    notes += complete(nets, present, sorted(average_missing | averages & skipped))
    if "d" not in present and all(allowed(name, allow) for name in all_shapes if name.startswith("d.")):
        present, notes = (*present, "d"), [*notes, "allowed: d was not in the file and starts as a new network"]
    elif "d" not in present:
        notes.append("d was not in the file: no run can start from this source")
    return Converted(nets, present, tuple(in_order(notes)))


KINDS = {
    "noise_const": "the file has no noise maps (it was saved before they existed): new random ones (seed 0)",
    "resample_filter": "the file has no low-pass filters: those of StyleGAN2, [1, 3, 3, 1]",
}
"""Buffers that a whole generation of files lacks, and the note for the card where new ones take their place."""


def lacking_kinds(
    shapes: Mapping[str, torch.Size], given: Mapping[str, Tensor], present: Sequence[str]
) -> tuple[set[str], list[str]]:
    """(names, a note for each kind) of buffers of which the file has none at all; a single one missing is a fault."""
    names, notes = set[str](), list[str]()
    for kind, note in KINDS.items():
        here = {name for name in shapes if name.endswith(f".{kind}") and name.split(".")[0] in present}
        if here and not any(name.endswith(f".{kind}") for name in given):
            names |= here
            notes.append(note)
    return names, notes


def at_the_ends(problems: Mapping[str, str]) -> bool:
    """Whether layers that read or make images are misshapen: new ones would be random."""
    ends = ("torgb.weight", "torgb.bias", "fromrgb.weight", "b4.const")
    return any(name.endswith(ends) and what.startswith("has shape") for name, what in problems.items())


def allowed(name: str, allow: Sequence[str]) -> bool:
    """Whether one of the names or patterns means this tensor."""
    return any(fnmatchcase(name, pattern) for pattern in allow)


def compare(expected: dict[str, torch.Size], given: dict[str, Tensor]) -> dict[str, str]:
    """{name: what does not fit}: what is missing, unexpected, of another shape, or no weight."""
    found = {name: "is missing" for name in sorted(expected.keys() - given.keys())}
    found |= {name: "is unexpected" for name in sorted(given.keys() - expected.keys())}
    for name in sorted(expected.keys() & given.keys()):
        tensor, shape = given[name], expected[name]
        if tensor.shape != shape:
            found[name] = f"has shape {list(tensor.shape)}, expected {list(shape)}"
        elif tensor.dtype not in FLOATS:
            found[name] = f"is of {tensor.dtype}, not of floating point numbers"
        elif not torch.isfinite(tensor.float()).all():  # as the networks will have them
            found[name] = "holds numbers that are not finite"
        elif name.endswith("resample_filter") and not torch.allclose(tensor.float(), fir_kernel(), atol=1e-5):
            found[name] = "is another low-pass filter than [1, 3, 3, 1]"
    return found


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


def in_order(notes: Sequence[str], most: int = 200) -> list[str]:
    """All notes of what is new, by which methods are refused; then, of what was left out, `most` and how many more."""
    left_out = [note for note in notes if note.endswith("is unexpected")]
    others = [note for note in notes if not note.endswith("is unexpected")]
    more = len(left_out) - most
    return [*others, *left_out[:most], *([f"allowed: {more} more tensors that are unexpected"] if more > 0 else [])]


def fill(cfg: NetConfig, tensors: dict[str, Tensor]) -> Nets:
    """New networks (seed 0) with these tensors copied in."""
    nets = Nets.create(cfg, seed=0)
    own = nets.state_dict()
    with torch.no_grad():
        for name, tensor in tensors.items():
            own[name].copy_(tensor)
    return nets


def complete(nets: Nets, present: Sequence[str], average_missing: Sequence[str]) -> list[str]:
    """Fill in what a file may lack as a whole; each is said in a note."""
    notes = []
    for name in average_missing:
        part = name.split(".")[0]
        net = nets.g if part == "g" else nets.g_ema
        net.mapping.w_avg.copy_(mean_w(net))
        notes.append(f"{name} is not the file's: it is the mean over {W_AVERAGE_OF:,} mapped latents (seed 0)")
    if "g" not in present:
        nets.g.load_state_dict(nets.g_ema.state_dict())
        notes.append("g was not in the file: it is a copy of g_ema")
    if "g_ema" not in present:
        nets.g_ema.load_state_dict(nets.g.state_dict())
        notes.append("g_ema was not in the file: it is a copy of g")
    return notes


@torch.no_grad()
def mean_w(g: Generator) -> Tensor:
    """Mean of w over fixed latents, [w_dim]; rosinality's tools estimate it so, NVIDIA's training tracks it."""
    rng = torch.Generator().manual_seed(0)
    total = torch.zeros(g.cfg.w_dim, dtype=torch.float64)
    for _ in range(0, W_AVERAGE_OF, AT_ONCE):
        z = torch.randn(AT_ONCE, g.cfg.z_dim, generator=rng)
        total += g.mapping(z)[:, 0].sum(dim=0, dtype=torch.float64)
    return (total / W_AVERAGE_OF).float()

"""Export of a source or an adapted network for other tools: rosinality's `.pt` layout, or NVIDIA's names."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from benchmark.checkpoints import convert, read_checkpoint, rosinality
from benchmark.errors import DataError, WeightsError
from benchmark.sources.source import Source, load_source
from benchmark.stylegan2 import Nets
from benchmark.stylegan2.weights import write_tensors
from benchmark.system.files import new_file

NVIDIA_NAMES = {"g": "G", "g_ema": "G_ema", "d": "D"}


def export_source(source: Source, layout: str, out: Path) -> tuple[str, ...]:
    """Write the networks of `source` to `out` as `layout` (a key of LAYOUTS), re-read and compare every tensor.

    Gives notes about what the other layout cannot say. Raises WeightsError where it cannot hold these networks, and
    DataError where `out` cannot be written.
    """
    nets, _ = load_source(source)
    present = source.card.origin.networks if source.card.origin else tuple(NVIDIA_NAMES)
    return export_nets(nets, present, layout, out, source.name)


def export_nets(nets: Nets, present: tuple[str, ...], layout: str, out: Path, name: str) -> tuple[str, ...]:
    """`export_source` for networks called `name`, of which `present` are written ("g", "g_ema", "d")."""
    try:
        with new_file(out) as temporary:
            return write_nets(nets, present, layout, temporary, name)
    except OSError as error:
        raise DataError(f"cannot write {out}: {error.strerror or error}; choose another --out.") from None


def write_nets(nets: Nets, present: tuple[str, ...], layout: str, path: Path, name: str) -> tuple[str, ...]:
    """`export_nets` to `path` itself, which stays where it fails. Raises WeightsError, and OSError as usual."""
    if nets.cfg.miner_layers:
        raise WeightsError(f"{name} has a miner in front of its latents; no other tool can read that.")
    notes = LAYOUTS[layout](nets, present, path)
    compare(nets, present, path)
    return notes


def parts_of(nets: Nets, present: tuple[str, ...]) -> dict[str, dict[str, Tensor]]:
    """{"g" | "g_ema" | "d": state dict} of the networks that the source has."""
    networks = {"g": nets.g, "g_ema": nets.g_ema, "d": nets.d}
    return {part: net.state_dict() for part, net in networks.items() if part in present}


def write_nvidia(nets: Nets, present: tuple[str, ...], path: Path) -> tuple[str, ...]:
    """One safetensors file with names like "G_ema.mapping.fc0.weight"."""
    tensors = {
        f"{NVIDIA_NAMES[part]}.{name}": tensor
        for part, state in parts_of(nets, present).items()
        for name, tensor in state.items()
    }
    write_tensors(path, tensors, {"architecture": nets.cfg.model_dump()})
    return ()


def write_rosinality(nets: Nets, present: tuple[str, ...], path: Path) -> tuple[str, ...]:
    """{"g", "g_ema", "d": state dicts, "latent_avg": w_avg}, as rosinality's training and converters save."""
    content: dict[str, object] = {
        part: {
            name: tensor.contiguous()
            for name, tensor in (rosinality.discriminator_to if part == "d" else rosinality.generator_to)(state).items()
        }
        for part, state in parts_of(nets, present).items()
    }
    data = io.BytesIO()  # because PyTorch hides why a disk refuses
    torch.save({**content, "latent_avg": nets.g_ema.mapping.w_avg.clone()}, data)
    path.write_bytes(data.getbuffer())
    notes = rosinality_notes(nets)
    if "g" in present and not nets.g.mapping.w_avg.equal(nets.g_ema.mapping.w_avg):
        notes = (*notes, "latent_avg is that of g_ema; the other one, of g, has no place there")
    return notes


def rosinality_notes(nets: Nets) -> tuple[str, ...]:
    """How to build the networks there, and what that code does differently."""
    cfg = nets.cfg
    notes = [f"build it with size={cfg.resolution}, style_dim={cfg.w_dim}, n_mlp={cfg.mapping_layers}"]
    multiplier = math.ceil(cfg.channel_base / 16384)
    theirs = {px: 512 if px <= 32 else 16384 // px * multiplier for px in cfg.block_resolutions}
    if all(cfg.channels(px) == n for px, n in theirs.items()):
        notes[0] += f", channel_multiplier={multiplier}"
    else:
        own = ", ".join(f"{px}: {cfg.channels(px)}" for px in cfg.block_resolutions)
        notes.append(f"its table of channels has to be changed to {{{own}}}")
    if cfg.conv_clamp is not None:
        notes.append(f"that code does not clamp activations (here: ±{cfg.conv_clamp:g}), which seldom matters")
    if cfg.mbstd_group != 4:
        notes.append(f"that code has minibatch-std groups of 4 (here: {cfg.mbstd_group}): logits differ")
    return tuple(notes)


LAYOUTS: dict[str, Callable[[Nets, tuple[str, ...], Path], tuple[str, ...]]] = {
    "rosinality": write_rosinality,
    "nvidia": write_nvidia,
}
SUFFIXES = {"rosinality": ".pt", "nvidia": ".safetensors"}


def compare(nets: Nets, present: tuple[str, ...], path: Path) -> None:
    """Raise WeightsError where an import of `path` would not give back every tensor exactly."""
    again = convert(read_checkpoint(path), (), path.name).nets.state_dict()
    for part, state in parts_of(nets, present).items():
        for name, tensor in state.items():
            # one latent_avg serves both generators there
            if not again[f"{part}.{name}"].equal(tensor) and not (part == "g" and name == "mapping.w_avg"):
                raise WeightsError(f"{part}.{name} does not survive the export; nothing was written.")

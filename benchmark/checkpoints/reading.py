"""From a checkpoint file to networks under our names, whichever code base wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from benchmark.checkpoints import rosinality, tensorflow
from benchmark.checkpoints.containers import open_checkpoint
from benchmark.checkpoints.inert import PERSISTENT, TF_NETWORK, Record
from benchmark.checkpoints.nvidia import Network, Reader, Settings
from benchmark.checkpoints.tensorflow_records import static_settings, variables_of
from benchmark.checkpoints.tensors import LazyTensor
from benchmark.errors import WeightsError

PARTS = {
    "g": ("G", "g", "generator"),
    "g_ema": ("G_ema", "g_ema", "Gs", "params_ema"),
    "d": ("D", "d", "discriminator"),
}
"""Our name of a network: its names in files."""

SHARING = 4
"""Tensors may declare this many times the file's size (G and its average may share memory), and no more."""


@dataclass
class Checkpoint:
    """What a file holds, under our names; nothing was checked against an architecture yet."""

    format: str
    networks: dict[str, dict[str, Tensor]]
    """{"g" | "g_ema" | "d": {name: tensor in its stored dtype}}"""
    settings: dict[str, Settings] = field(default_factory=dict)
    """What the modules recorded of themselves (NVIDIA's pickles and TensorFlow's), by network."""
    left_out: list[str] = field(default_factory=list)
    """What else was in the file and is not needed."""


def read_checkpoint(path: Path) -> Checkpoint:
    """A `.pkl`, `.pt` or `.safetensors` of a StyleGAN2, recognised by what is in it. Nothing of it is run.

    Raises WeightsError where the file is damaged, wants to run something, or holds no networks.
    """
    with open_checkpoint(path) as (container, data):
        found = recognise(container, data, path.name)
        size = path.stat().st_size
        total = sum(t.numel() * t.element_size() for net in found.networks.values() for t in net.values())
        if total > SHARING * size:
            raise WeightsError(f"{path.name} declares {total:,} bytes of weights in a file of {size:,}; refused.")
    return found


def recognise(container: str, data: Any, where: str) -> Checkpoint:
    """Inert data -> networks, by what the data looks like."""
    if container == "safetensors":
        tensors, architecture = data
        return from_state_dicts("safetensors", split_prefixes(tensors), where, architecture)
    if isinstance(data, tuple | list) and data and is_record(data[0], TF_NETWORK):
        return from_tensorflow(list(data), where)
    if isinstance(data, Record):
        data = {"D" if "Discriminator" in data.kind else "G_ema": data}
    if not isinstance(data, Mapping):
        raise WeightsError(f"{where} holds a {type(data).__name__}, no networks of a GAN.")
    records = {part: data[name] for part, names in PARTS.items() for name in names if is_record(data.get(name))}
    if records:
        return from_records(records, left_out(data), where)
    dicts = {
        part: tensors_of(data[name])
        for part, names in PARTS.items()
        for name in names
        if isinstance(data.get(name), Mapping)
    }
    if not dicts and any(isinstance(value, LazyTensor) for value in data.values()):
        dicts = split_prefixes(tensors_of(data))
    average = data.get("latent_avg")
    checkpoint = from_state_dicts("PyTorch state dicts", dicts, where)
    if isinstance(average, LazyTensor):
        for part in {"g", "g_ema"} & checkpoint.networks.keys():
            checkpoint.networks[part].setdefault("mapping.w_avg", average.read())
    checkpoint.left_out += left_out(data)
    return checkpoint


def is_record(value: Any, kind: str = PERSISTENT) -> bool:
    """True for an inert record of this kind."""
    return isinstance(value, Record) and value.kind.startswith(kind)


def left_out(data: Mapping[Any, Any]) -> list[str]:
    """Names beside the networks: optimisers, options, the augmentation pipe ..."""
    known = {name for names in PARTS.values() for name in names} | {"latent_avg"}
    return sorted(str(name)[:40] for name in data if name not in known and not isinstance(data[name], LazyTensor))[:50]


def tensors_of(state: Any) -> dict[str, Tensor]:
    """The tensors of a state dict; other entries are no weights. DataParallel's prefix is taken off."""
    found = {
        name: value.read() for name, value in state.items() if isinstance(name, str) and isinstance(value, LazyTensor)
    }
    if found and all(name.startswith("module.") for name in found):
        return {name.removeprefix("module."): tensor for name, tensor in found.items()}
    return found


def split_prefixes(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """ "G_ema.mapping.fc0.weight" and the like, by network; names without a prefix belong to one generator or D."""
    parts: dict[str, dict[str, Tensor]] = {}
    prefixes = {name: part for part, names in PARTS.items() for name in names}
    for name, tensor in state.items():
        prefix, _, rest = name.partition(".")
        if prefix in prefixes and rest:
            parts.setdefault(prefixes[prefix], {})[rest] = tensor
    if parts:
        extra = [name for name in state if name.partition(".")[0] not in prefixes]
        for name in extra:  # for the strict loader to report
            parts[next(iter(parts))][name] = state[name]
        return parts
    return {"d" if "b4.out.weight" in state or rosinality.is_discriminator(state) else "g_ema": dict(state)}


def from_records(records: Mapping[str, Record], other: list[str], where: str) -> Checkpoint:
    """NVIDIA's pickles."""
    networks: dict[str, Network] = {part: Reader(where).read(record) for part, record in records.items()}
    checkpoint = Checkpoint(
        "NVIDIA pickle",
        {part: network.tensors for part, network in networks.items()},
        {part: network.settings for part, network in networks.items()},
        other,
    )
    drop_stored_noise(checkpoint)
    return checkpoint


def drop_stored_noise(checkpoint: Checkpoint) -> None:
    """FixNoise's pickles have a second map per layer, drawn at random once; its method draws its own."""
    for tensors in checkpoint.networks.values():
        extra = [name for name in tensors if name.endswith(".noise_rand")]
        for name in extra:
            del tensors[name]
        if extra and "noise_rand (FixNoise's stored random maps)" not in checkpoint.left_out:
            checkpoint.left_out.append("noise_rand (FixNoise's stored random maps)")


def from_state_dicts(
    kind: str, parts: Mapping[str, dict[str, Tensor]], where: str, architecture: Mapping[str, Any] | None = None
) -> Checkpoint:
    """State dicts under NVIDIA's names or rosinality's; `architecture` is what a file of this suite says of itself."""
    if not parts or not all(parts.values()):
        raise WeightsError(
            f"{where} holds no networks: expected G, D, G_ema (NVIDIA's names) or g, d, g_ema (rosinality's)."
        )
    networks, names = {}, set()
    for part, state in parts.items():
        if part == "d" and rosinality.is_discriminator(state):
            state = rosinality.discriminator_from(state)
            names.add("rosinality")
        elif part != "d" and rosinality.is_generator(state):
            state = rosinality.generator_from(state)
            names.add("rosinality")
        networks[part] = state
    said = architecture or {}
    settings: Settings = {("", "conv_clamp"): said.get("conv_clamp")}
    if "mbstd_group" in said:
        settings["", "mbstd_group_size"] = said["mbstd_group"]
    checkpoint = Checkpoint(f"{kind}, {'rosinality' if names else 'NVIDIA'} names", networks, {"file": settings})
    drop_stored_noise(checkpoint)
    return checkpoint


def from_tensorflow(records: list[Any], where: str) -> Checkpoint:
    """The TensorFlow generation: a tuple of G, D and the averaged G."""
    if len(records) != 3 or not all(is_record(record, TF_NETWORK) for record in records):
        raise WeightsError(f"{where} holds {len(records)} TensorFlow objects; expected the networks G, D and Gs.")
    networks: dict[str, dict[str, Tensor]] = {}
    settings: dict[str, Settings] = {}
    for part, record in zip(("g", "d", "g_ema"), records, strict=True):
        variables, static = variables_of(record), static_settings(record)
        convert = tensorflow.discriminator_from if part == "d" else tensorflow.generator_from
        scale = {"mapping_lr_mult": static["mapping_lrmul"]} if "mapping_lrmul" in static else {}
        networks[part] = convert(variables, **scale)
        settings[part] = {("", name): static[name] for name in ("conv_clamp", "mbstd_group_size") if name in static}
    return Checkpoint("NVIDIA TensorFlow pickle", networks, settings)

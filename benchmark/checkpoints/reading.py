"""Checkpoint files as networks under our names, whichever code base wrote them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmark.checkpoints import rosinality, tensorflow
from benchmark.checkpoints.containers import open_checkpoint
from benchmark.checkpoints.damage import shown
from benchmark.checkpoints.foreign import Foreign
from benchmark.checkpoints.inert import PERSISTENT, TF_NETWORK, Array, Record
from benchmark.checkpoints.nvidia import Network, Reader, Settings
from benchmark.checkpoints.tensorflow_records import static_settings, variables_of
from benchmark.checkpoints.tensors import NETWORKS, LazyTensor, read_all
from benchmark.checkpoints.wrapped import from_mmgeneration, is_mmgeneration, refuse_objects, unwrapped
from benchmark.errors import WeightsError

PARTS = {
    "g": ("G", "g", "generator"),
    "g_ema": ("G_ema", "g_ema", "Gs", "params_ema"),
    "d": ("D", "d", "discriminator"),
}
"""Our name of a network: its names in files."""

WRAPPERS = ("module.", "_orig_mod.")
"""What the names begin with that DataParallel and torch.compile leave."""

AVERAGE = "latent_avg"
"""Where rosinality's files have w_avg, beside the networks."""

STORED_NOISE = "noise_rand (stored random noise maps)"

SHARING = 4
"""Tensors may declare this many times the file's size (G and its average may share memory), and no more."""


OF_COLOURS = (
    "networks that mmgeneration trained itself draw blue where red belongs (BGR), its conversions of others' do not; "
    "if the colours are exchanged, import the file again with --bgr"
)


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
    notes: list[str] = field(default_factory=list)
    """What the file does not say and somebody has to know."""


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
        return from_state_dicts("safetensors", split_prefixes(tensors, where), where, architecture)
    if isinstance(data, tuple | list) and data and is_record(data[0], TF_NETWORK):
        return from_tensorflow(list(data), where)
    refuse_objects(data, PARTS, where)
    if isinstance(data, Record):
        data = {"D" if "Discriminator" in data.kind else "G_ema": data}
    if not isinstance(data, Mapping):
        kind = "tensor" if isinstance(data, LazyTensor) else type(data).__name__
        raise WeightsError(f"{where} holds a {kind}, no networks of a GAN.")
    used = networks_in(data, is_record, where)
    if used:
        records = {part: data[name] for part, name in used.items()}
        return from_records(records, left_out(data, used.values()), where)
    data = unwrapped(data, PARTS, where)
    used = networks_in(data, lambda value: isinstance(value, Mapping), where)
    others = {name: value for name, value in data.items() if name not in used.values() and name != AVERAGE}
    if used:
        dicts = {part: tensors_of(data[name], where) for part, name in used.items()}
    else:
        dicts = split_prefixes(tensors_of(others, where, NETWORKS), where)
        refuse_unknown_entries(dicts, others, where)
        others = {name: value for name, value in others.items() if not isinstance(value, LazyTensor)}
    checkpoint = from_state_dicts("PyTorch state dicts", dicts, where)
    if isinstance(data.get(AVERAGE), LazyTensor | Array):
        given = data[AVERAGE]
        read = torch.from_numpy(given.value) if isinstance(given, Array) else read_all({AVERAGE: given}, where)[AVERAGE]
        average = averaged(read, where)
        for part in {"g", "g_ema"} & checkpoint.networks.keys():
            checkpoint.networks[part].setdefault("mapping.w_avg", average)
    checkpoint.left_out += left_out(others)
    return checkpoint


def refuse_unknown_entries(dicts: Mapping[str, dict[str, Tensor]], entries: Mapping[Any, Any], where: str) -> None:
    """WeightsError where no tensor lies beside entries of unknown names: these are told."""
    names = [shown(name, 40) for name, value in entries.items() if isinstance(value, Mapping)]
    if names and not any(dicts.values()):
        raise WeightsError(
            f"{where} holds no networks: expected G, D, G_ema (NVIDIA's names) or g, d, g_ema (rosinality's), and its "
            f"entries are {', '.join(names[:8])}. Where one is a StyleGAN2 generator, save it alone: "
            "torch.save({'g_ema': STATE_DICT}, FILE)."
        )


def averaged(average: Tensor, where: str) -> Tensor:
    """`latent_avg` as [w]: some files have it as [1, w], or repeated for each layer. WeightsError for anything else."""
    rows = average.reshape(-1, average.shape[-1]) if average.numel() and average.ndim else average.reshape(1, -1)
    if not average.numel() or (len(rows) > 1 and not rows.eq(rows[:1]).all()):
        raise WeightsError(
            f"{where}: {AVERAGE} has shape {list(average.shape)}, another average for each layer; expected one [w]."
        )
    return rows[0]


def networks_in(data: Mapping[Any, Any], wanted: Callable[[Any], bool], where: str) -> dict[str, str]:
    """{"g" | "g_ema" | "d": its name in the file} for the entries that are `wanted`."""
    found: dict[str, str] = {}
    for part, names in PARTS.items():
        there = [name for name in names if wanted(data.get(name))]
        if len(there) > 1:
            raise WeightsError(f"{where} has {' and '.join(there)}; it is not clear which of them counts.")
        if there:
            found[part] = there[0]
    return found


def is_record(value: Any, kind: str = PERSISTENT) -> bool:
    """True for an inert record of this kind."""
    return isinstance(value, Record) and value.kind.startswith(kind)


def left_out(data: Mapping[Any, Any], used: Collection[str] = ()) -> list[str]:
    """Names beside the networks: optimisers, options, the augmentation pipe, objects of other code with their class."""
    kinds = {name: f" ({value.name})" if isinstance(value, Foreign) else "" for name, value in data.items()}
    return sorted(shown(name, 40) + kind for name, kind in kinds.items() if name not in used)[:50]


def tensors_of(state: Any, where: str, networks: int = 1) -> dict[str, Tensor]:
    """The tensors of a state dict of so many networks at most; other entries are no weights. Prefixes of wrappers are
    taken off.
    """
    lazy = {str(name): value for name, value in state.items() if isinstance(value, LazyTensor)}
    found = read_all(lazy, where, networks)
    while wrapper := next((w for w in WRAPPERS if found and all(name.startswith(w) for name in found)), None):
        found = {name.removeprefix(wrapper): tensor for name, tensor in found.items()}
    return found


def split_prefixes(state: Mapping[str, Tensor], where: str) -> dict[str, dict[str, Tensor]]:
    """ "G_ema.mapping.fc0.weight" and the like, by network; names without a prefix belong to one generator or D."""
    prefixes = {name: part for part, names in PARTS.items() for name in names}
    first = next((prefixes[p] for name in state if (p := name.partition(".")[0]) in prefixes), None)
    if first is None:
        return {"d" if "b4.out.weight" in state or rosinality.is_discriminator(state) else "g_ema": dict(state)}
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in state.items():
        prefix, _, rest = name.partition(".")
        # What has no prefix goes to any network, for the strict loader to report.
        part, own = (prefixes[prefix], rest) if prefix in prefixes else (first, name)
        if own in parts.setdefault(part, {}):
            raise WeightsError(f"{where} has {shown(own)} of {part} under two names; it is not clear which counts.")
        parts[part][own] = tensor
    return parts


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
    """One fork's pickles have a second noise map per layer, drawn at random once; methods here draw their own."""
    for tensors in checkpoint.networks.values():
        extra = [name for name in tensors if name.endswith(".noise_rand")]
        for name in extra:
            del tensors[name]
        if extra and STORED_NOISE not in checkpoint.left_out:
            checkpoint.left_out.append(STORED_NOISE)


def from_state_dicts(
    kind: str, parts: Mapping[str, dict[str, Tensor]], where: str, architecture: Mapping[str, Any] | None = None
) -> Checkpoint:
    """State dicts under NVIDIA's names or rosinality's; `architecture` is what a file of this suite records."""
    if not parts or not all(parts.values()):
        raise WeightsError(
            f"{where} holds no networks: expected G, D, G_ema (NVIDIA's names) or g, d, g_ema (rosinality's)."
        )
    networks, names = {}, set()
    notes = [OF_COLOURS] if any(map(is_mmgeneration, parts.values())) else []
    for part, state in parts.items():
        state = from_mmgeneration(state)
        if part == "d" and rosinality.is_discriminator(state):
            state = rosinality.discriminator_from(state)
            names.add("rosinality")
        elif part != "d" and rosinality.is_generator(state):
            state = rosinality.generator_from(state)
            names.add("rosinality")
        networks[part] = state
    said = {"conv_clamp": None, **(architecture or {})}
    if not all(value is None or isinstance(value, int | float) for value in said.values()):
        raise WeightsError(f"{where} does not say its architecture as this suite does: a setting is no number.")
    settings: Settings = {("", name): value for name, value in said.items()}
    if "mbstd_group" in said:
        settings["", "mbstd_group_size"] = said["mbstd_group"]
    layout = "rosinality names" if names else "NVIDIA names"
    if not names and not architecture:
        layout += ", conv_clamp not recorded"
    layout += " of mmgeneration" if notes else ""
    checkpoint = Checkpoint(f"{kind}, {layout}", networks, {"file": settings}, notes=notes)
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

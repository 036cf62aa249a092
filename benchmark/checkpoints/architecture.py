"""The architecture of a network, read from its tensors' names and shapes and from what its modules recorded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from torch import Tensor, nn

from benchmark.checkpoints.nvidia import Settings
from benchmark.checkpoints.reading import Checkpoint
from benchmark.config import NetConfig
from benchmark.errors import WeightsError

GROUP = 4
"""Minibatch-std group where a file records none: NVIDIA's default and rosinality's only value."""
WHOLE_BATCH = 2**20
"""The group of networks that recorded None: as large as any batch."""


def infer(checkpoint: Checkpoint, where: str) -> NetConfig:
    """The NetConfig that these networks have. Raises WeightsError where they are no StyleGAN2 that we can build."""
    tensors = checkpoint.networks.get("g_ema") or checkpoint.networks.get("g")
    if not tensors:
        raise WeightsError(f"{where} holds no generator, only {', '.join(checkpoint.networks) or 'nothing'}.")
    if any(name.startswith("synthesis.input.") for name in tensors):
        raise WeightsError(f"{where} is a StyleGAN3; this suite's backbone is StyleGAN2.")
    refuse_other_kinds(checkpoint.settings, where)
    resolutions = sorted({int(m[1]) for name in tensors if (m := re.match(r"synthesis\.b(\d{1,4})\.", name))})
    if len(resolutions) < 2 or resolutions != [4 * 2**i for i in range(len(resolutions))]:
        raise WeightsError(f"{where}: its synthesis blocks are {resolutions}, expected 4, 8, 16, ... px.")
    labels = "mapping.embed.weight" in tensors
    w_dim = size_of(tensors, "synthesis.b4.conv1.affine.weight", 1, where)
    base, top = channel_rule(
        {px: size_of(tensors, f"synthesis.b{px}.conv1.weight", 0, where) for px in resolutions}, where
    )
    try:
        return NetConfig(
            resolution=resolutions[-1],
            z_dim=size_of(tensors, "mapping.fc0.weight", 1, where) - (w_dim if labels else 0),
            w_dim=w_dim,
            c_dim=size_of(tensors, "mapping.embed.weight", 1, where) if labels else 0,
            mapping_layers=len({name for name in tensors if re.fullmatch(r"mapping\.fc\d{1,3}\.weight", name)}),
            channel_base=base,
            channel_max=top,
            conv_clamp=recorded_clamp(checkpoint.settings, where),
            mbstd_group=recorded_group(checkpoint.settings, where),
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise WeightsError(f"{where}: {first['loc'][0]} = {first['input']}: {first['msg']}; not supported.") from None


def size_of(tensors: Mapping[str, Tensor], name: str, dim: int, where: str) -> int:
    """One length of a tensor that every StyleGAN2 has."""
    if name not in tensors or tensors[name].ndim <= dim:
        found = ", ".join(list(tensors)[:3])
        raise WeightsError(f"{where} is no StyleGAN2 generator: it has no {name}; its names are like {found}.")
    return tensors[name].shape[dim]


def channel_rule(channels: Mapping[int, int], where: str) -> tuple[int, int]:
    """{px: feature maps} -> (channel_base, channel_max) with min(base // px, max) at each resolution."""
    top = max(channels.values())
    base = max(px * n for px, n in channels.items())
    if any(min(base // px, top) != n for px, n in channels.items()):
        raise WeightsError(f"{where}: {dict(channels)} feature maps by px do not follow min(base / px, max).")
    return base, top


def values_of(settings: Mapping[str, Settings], attribute: str, paths: str = ".*") -> set[Any]:
    """All values that the modules whose path matches recorded for `attribute`."""
    return {
        value
        for network in settings.values()
        for (path, name), value in network.items()
        if name == attribute and re.fullmatch(paths, path)
    }


def refuse_other_kinds(settings: Mapping[str, Settings], where: str) -> None:
    """Raise WeightsError for architectures that the backbone does not have."""
    known: dict[str, set[Any]] = {
        "architecture": {"skip", "resnet"},
        "activation": {"lrelu", "linear"},
        "use_noise": {True},
        "num_channels": {1},  # of the minibatch-std layer
    }
    for attribute, supported in known.items():
        other = values_of(settings, attribute) - supported
        if other:
            raise WeightsError(f"{where}: {attribute} = {sorted(map(str, other))[0][:40]} is not supported.")
    kinds = {part: values_of({part: found}, "architecture", r".*b\d+") for part, found in settings.items()}
    for part, kind in kinds.items():
        expected = "resnet" if part == "d" else "skip"
        if kind - {expected}:
            raise WeightsError(
                f"{where}: the architecture of {part} is {sorted(map(str, kind))[0]}, expected {expected}."
            )


def recorded_clamp(settings: Mapping[str, Settings], where: str) -> float | None:
    """conv_clamp of the modules that clamp; None where none was recorded."""
    clamping = r"(|.*\.)(b\d+\.(conv0|conv1|torgb|fromrgb|conv))|"
    found = values_of(settings, "conv_clamp", clamping)
    if len(found) > 1:
        raise WeightsError(f"{where}: its layers clamp differently ({sorted(map(str, found))}); not supported.")
    value = next(iter(found), None)
    if isinstance(value, bool | str):
        raise WeightsError(f"{where}: conv_clamp = {value!r:.40} is no number.")
    return None if value is None else float(value)


def recorded_group(settings: Mapping[str, Settings], where: str) -> int:
    """Minibatch-std group size of D."""
    found = values_of(settings, "group_size", r"b4\.mbstd") | values_of(settings, "mbstd_group_size", "")
    if not found:
        return GROUP
    [value, *more] = found
    if value is None and not more:
        return WHOLE_BATCH
    if more or type(value) is not int:
        raise WeightsError(f"{where}: minibatch-std group {sorted(map(str, found))} is not supported.")
    return value


GAINS = ("weight_gain", "bias_gain")


def differing_gains(net: nn.Module, settings: Settings) -> list[str]:
    """Layers whose recorded gains are not ours (another learning-rate multiplier, for one)."""
    ours = {
        (path, gain): float(getattr(module, gain))
        for path, module in net.named_modules()
        for gain in GAINS
        if hasattr(module, gain)
    }
    return [
        f"{path}.{gain} is {settings[path, gain]}, expected {value:g}"
        for (path, gain), value in ours.items()
        if isinstance(settings.get((path, gain)), int | float) and abs(settings[path, gain] / value - 1) > 1e-6
    ]

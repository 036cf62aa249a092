"""The architecture of a network, read from its tensors' names and shapes and from what its modules recorded."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError
from torch import Tensor, nn

from benchmark.checkpoints.damage import shown
from benchmark.checkpoints.nvidia import Settings
from benchmark.checkpoints.reading import Checkpoint
from benchmark.config import NetConfig
from benchmark.errors import WeightsError
from benchmark.stylegan2.networks import ConvLayer, FullyConnected, SynthesisLayer

GROUP = 4
"""Minibatch-std group where a file records none: NVIDIA's default and rosinality's only value."""
BLOCK_TENSORS = 13
"""Fewest tensors of a block (that of 4 px has as many, others more)."""
MAX_CLAMP = 2**32
WHOLE_BATCH = 2**20
"""The group of networks that recorded None: as large as any batch."""


def infer(checkpoint: Checkpoint, where: str) -> NetConfig:
    """The NetConfig that these networks have. Raises WeightsError where they are no StyleGAN2 that we can build."""
    tensors = checkpoint.networks.get("g_ema") or checkpoint.networks.get("g")
    if not tensors:
        raise WeightsError(f"{where} holds no generator, only {', '.join(checkpoint.networks) or 'nothing'}.")
    if any(name.startswith("synthesis.input.") for name in tensors):
        raise WeightsError(f"{where} is a StyleGAN3; this suite's backbone is StyleGAN2.")
    refuse_miners(checkpoint, where)
    refuse_other_kinds(checkpoint.settings, where)
    resolutions = block_resolutions(tensors, where)
    refuse_other_images(tensors, where)
    labels = any(name.startswith("mapping.embed.") for name in tensors)
    affine = [(f"synthesis.b{px}.{layer}.affine.weight", 1) for px in resolutions for layer in ("conv1", "torgb")]
    w_dim = size_of(tensors, affine, where)
    base, top = channel_rule({px: size_of(tensors, made_of_maps(px), where) for px in resolutions}, where)
    layers = [int(m[1]) for name in tensors if (m := re.fullmatch(r"mapping\.fc(\d{1,3})\.(weight|bias)", name))]
    try:
        cfg = NetConfig(
            resolution=resolutions[-1],
            z_dim=size_of(tensors, [("mapping.fc0.weight", 1)], where) - (w_dim if labels else 0),
            w_dim=w_dim,
            c_dim=size_of(tensors, [("mapping.embed.weight", 1)], where) if labels else 0,
            mapping_layers=max(layers, default=-1) + 1,
            channel_base=base,
            channel_max=top,
            conv_clamp=recorded_clamp(checkpoint.settings, where),
            mbstd_group=recorded_group(checkpoint.settings, where),
        )
    except ValidationError as error:
        first = error.errors()[0]
        found = f"{first['loc'][0]} = {shown(first['input'])}: {first['msg']}" if first["loc"] else first["msg"]
        raise WeightsError(f"{where} is no StyleGAN2 generator: {found}; not supported.") from None
    refuse_unlike_networks(cfg, checkpoint, where)
    refuse_other_sizes(cfg, checkpoint.settings, where)
    refuse_lost_labels(cfg, checkpoint, where)
    return cfg


def refuse_miners(checkpoint: Checkpoint, where: str) -> None:
    """WeightsError where a network begins with a miner: without it, it is another one, and a second has no place."""
    if any(name.startswith("mapping.miner.") for net in checkpoint.networks.values() for name in net):
        raise WeightsError(
            f"{where} has a miner in front of its latents, as some of this suite's methods train it; such a network "
            "cannot be adapted or evaluated from a file. Give its run's results folder to generate or to export (as "
            "onnx or torch), and evaluate the pictures that generate draws."
        )


def refuse_other_images(tensors: Mapping[str, Tensor], where: str) -> None:
    """WeightsError where a generator makes other images than square RGB ones: no --allow mends that."""
    outputs = {t.shape[0] for name, t in tensors.items() if name.endswith((".torgb.bias", ".torgb.weight")) and t.ndim}
    channels = next(iter(outputs)) if len(outputs) == 1 else 3  # where they differ, the strict loader names the layer
    if channels != 3:
        kind = {1: "grey", 2: "grey with alpha", 4: "RGBA"}.get(channels, "other")
        raise WeightsError(
            f"{where} makes {kind} images of {channels} channel{'s' if channels > 1 else ''}; this suite's networks "
            "make RGB. Train it on RGB images, or choose another checkpoint."
        )
    const = tensors.get("synthesis.b4.const")
    if const is not None and const.ndim == 3 and const.shape[1] != const.shape[2]:
        shape = f"{const.shape[1]}x{const.shape[2]}"
        raise WeightsError(
            f"{where} makes images that are not square (it begins at {shape} px, not at 4x4); this suite's networks "
            "are square. Choose another checkpoint."
        )


def refuse_unlike_networks(cfg: NetConfig, checkpoint: Checkpoint, where: str) -> None:
    """WeightsError where the networks of a file are of different resolutions, or conditional and not."""
    for part, tensors in checkpoint.networks.items():
        found = (re.fullmatch(r"(?:synthesis\.)?b([0-9]{1,4})\.conv[01]\.weight", name) for name in tensors)
        sides = [px for px, n in Counter(int(m[1]) for m in found if m).items() if n == 2]  # one may be a stray
        labels = any(name.startswith("mapping.embed.") for name in tensors)
        unlike = ""
        if sides and max(sides) != cfg.resolution:
            unlike = f"its {part} is for {max(sides)} px, its generator makes {cfg.resolution} px"
        elif sides and labels != bool(cfg.c_dim):
            unlike = f"its {part} is {'' if labels else 'not '}conditional, its generator is{' not' if labels else ''}"
        if unlike:
            raise WeightsError(
                f"{where}: {unlike}. These networks were not trained together; give a file of one training."
            )


def refuse_lost_labels(cfg: NetConfig, checkpoint: Checkpoint, where: str) -> None:
    """WeightsError where the latents' size, which one tensor shows, may be that of latents and labels together.

    In a conditional network the first mapping layer takes both; converters lose the embedding that says so. Latents
    wider than w are accepted where the file records their size.
    """
    recorded = any(("", "z_dim") in settings for settings in checkpoint.settings.values())
    one_size = "rosinality" in checkpoint.format
    if cfg.c_dim or recorded or cfg.z_dim == cfg.w_dim or (cfg.z_dim < cfg.w_dim and not one_size):
        return
    raise WeightsError(
        f"{where}: its first mapping layer takes {cfg.z_dim} numbers where w has {cfg.w_dim}, so it seems to be a "
        f"conditional network ({cfg.z_dim} = latent and label) without its mapping.embed. Use the file that it was "
        "converted from."
    )


def block_resolutions(tensors: Mapping[str, Tensor], where: str) -> list[int]:
    """4, 8, ... px, of the blocks that most of a block's tensors are there for."""
    count = Counter(int(m[1]) for name in tensors if (m := re.match(r"synthesis\.b(\d{1,4})\.", name)))
    resolutions = sorted(px for px, n in count.items() if n >= BLOCK_TENSORS // 2)
    if len(resolutions) < 2 or resolutions != [4 * 2**i for i in range(len(resolutions))]:
        raise WeightsError(
            f"{where} is no StyleGAN2 generator: its synthesis blocks are {resolutions}, expected 4, 8, 16, ... px; "
            f"its names are like {', '.join(map(shown, list(tensors)[:3]))}."
        )
    return resolutions


def made_of_maps(px: int) -> list[tuple[str, int]]:
    """Tensors whose length is the number of feature maps at `px`, and in which dimension."""
    block = f"synthesis.b{px}"
    sizes = {"conv1.weight": 0, "conv1.bias": 0, "torgb.weight": 1, "torgb.affine.bias": 0}
    return [(f"{block}.{name}", dim) for name, dim in sizes.items()]


def size_of(tensors: Mapping[str, Tensor], places: Iterable[tuple[str, int]], where: str) -> int:
    """The length that most of the places (tensor, dimension) show, so that a single wrong one is found by its name."""
    sizes = [tensors[name].shape[dim] for name, dim in places if name in tensors and tensors[name].ndim > dim]
    if not sizes:
        raise WeightsError(
            f"{where} is no StyleGAN2 generator: it has no {next(iter(places))[0]}, or not of a StyleGAN2's shape."
        )
    return Counter(sizes).most_common(1)[0][0]


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
            raise WeightsError(f"{where}: {attribute} = {shown(min(map(str, other)))} is not supported.")
    kinds = {part: values_of({part: found}, "architecture", r".*b\d+") for part, found in settings.items()}
    for part, kind in kinds.items():
        expected = "resnet" if part == "d" else "skip"
        if kind - {expected}:
            other_kind = min(map(str, kind - {expected}))
            raise WeightsError(f"{where}: the architecture of {part} is {other_kind}, expected {expected}.")


def refuse_other_sizes(cfg: NetConfig, settings: Mapping[str, Settings], where: str) -> None:
    """Raise WeightsError where a network recorded another size than its weights show."""
    sizes = {"z_dim": cfg.z_dim, "w_dim": cfg.w_dim, "c_dim": cfg.c_dim, "img_resolution": cfg.resolution}
    for part, network in settings.items():
        for name, value in sizes.items():
            found = network.get(("", name), value)
            if found != value:
                raise WeightsError(f"{where}: {part} says that {name} is {shown(found)}; its weights show {value}.")


def recorded_clamp(settings: Mapping[str, Settings], where: str) -> float | None:
    """conv_clamp of the modules that clamp; None where none was recorded."""
    clamping = r"(|.*\.)(b\d+\.(conv0|conv1|torgb|fromrgb|conv))|"
    found = values_of(settings, "conv_clamp", clamping)
    if len(found) > 1:
        values = ", ".join(sorted(map(shown, found)))
        raise WeightsError(f"{where}: its layers have different conv_clamp ({values}); not supported.")
    value = next(iter(found), None)
    if value is None:
        return None
    if type(value) not in (int, float) or not 0 < value < MAX_CLAMP:
        raise WeightsError(f"{where}: conv_clamp = {shown(value)} is no positive number.")
    return float(value)


def recorded_group(settings: Mapping[str, Settings], where: str) -> int:
    """Minibatch-std group size of D."""
    found = values_of(settings, "group_size", r"b4\.mbstd") | values_of(settings, "mbstd_group_size", "")
    if not found:
        return GROUP
    [value, *more] = found
    if value is None and not more:
        return WHOLE_BATCH
    if more or type(value) is not int:
        values = ", ".join(sorted(map(shown, found)))
        raise WeightsError(f"{where}: minibatch-std group_size {values} is not supported.")
    return value


def same_number(found: Any, expected: float) -> bool:
    """True for a number that is `expected`, up to rounding."""
    return isinstance(found, int | float) and abs(found / expected - 1) <= 1e-6


GAINS = ("weight_gain", "bias_gain")


def differing_gains(net: nn.Module, settings: Settings) -> list[str]:
    """Layers whose recorded gains or activation are not ours (another learning-rate multiplier, for one)."""
    ours = {
        (path, gain): float(getattr(module, gain))
        for path, module in net.named_modules()
        for gain in GAINS
        if hasattr(module, gain)
    }
    found = [
        f"{path}.{gain} is {shown(settings[path, gain])}, expected {value:g}"
        for (path, gain), value in ours.items()
        if (path, gain) in settings and not same_number(settings[path, gain], value)
    ]
    return found + [
        f"{path}.activation is {shown(settings[path, 'activation'])}, expected {own}"
        for path, own in activations(net).items()
        if settings.get((path, "activation"), own) != own
    ]


def activations(net: nn.Module) -> dict[str, str]:
    """{path of a layer: its activation under NVIDIA's names}; those of ToRGB record none."""
    found = {}
    for path, module in net.named_modules():
        if isinstance(module, FullyConnected | ConvLayer):
            found[path] = "lrelu" if module.act else "linear"
        elif isinstance(module, SynthesisLayer):
            found[path] = "lrelu"
    return found

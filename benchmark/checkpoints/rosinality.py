"""State dicts in the layout of rosinality/stylegan2-pytorch to and from our names.

Both implementations compute the same function of the same numbers; only names and axes of length one differ:

    style.1, style.2, ...               mapping.fc0, fc1, ...    (style.0 normalises z and has no parameters)
    input.input, conv1, to_rgb1         synthesis.b4
    convs.0, convs.1, to_rgbs.0         synthesis.b8.conv0, .conv1, .torgb; and so on, coarse to fine
    noises.noise_0, noise_1, ...        noise_const of b4.conv1, b8.conv0, b8.conv1, ...
    convs.0; convs.1, convs.2, ...      fromrgb; blocks, fine to coarse                              (discriminator)
    final_conv, final_linear            b4.conv; b4.fc and b4.out

Their layout has no `mapping.w_avg` (files keep it beside the network), no labels, no z of another size than w, and no
clamp of convolution outputs: after export a clamped network agrees wherever no feature reaches its clamp.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from itertools import count, takewhile
from typing import NamedTuple

import torch
from torch import Tensor

from benchmark.errors import WeightsError
from benchmark.stylegan2 import ops

MAX_BLOCKS = 8
"""Blocks above 4 px that our networks can have: 8 to 1024 px. What a file has beyond stays under its own name."""


class _Ours(NamedTuple):
    """What one of their tensors is with us."""

    name: str
    axes: str = ""
    """Their axes if they are more than ours: a "1" is one that we do not have."""
    kernel: float = 0.0
    """Sum of the blur kernel if it is one; theirs contain the gain of upsampling, ours do not."""


_Layout = dict[str, _Ours]
"""{their name: ours}"""


def is_generator(names: Collection[str]) -> bool:
    """Whether these are the names of a generator in this layout; it may lack some, which loading then reports."""
    return not {"input.input", "conv1.conv.weight", "to_rgb1.conv.weight"}.isdisjoint(names)


def is_discriminator(names: Collection[str]) -> bool:
    """Whether these are the names of a discriminator in this layout; as `is_generator`."""
    return not {"convs.0.0.weight", "final_conv.0.weight", "final_linear.1.weight"}.isdisjoint(names)


def generator_from(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Their generator under our names and shapes, without `mapping.w_avg`; views of `state` except for the filters.

    Nothing is dropped or made up, so that strict loading sees every disagreement: an unknown name stays as it is, a
    tensor of unexpected shape keeps it, and a missing one (blur kernels included) stays missing. WeightsError where a
    blur kernel is not the one that our networks compute with, or where our own names are mixed in.
    """
    depth, blocks = _count(state, _mapping_layer), _count(state, _synthesis_block, MAX_BLOCKS)
    return _from(*_generator_layout(depth, blocks), state)


def discriminator_from(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Their discriminator under our names and shapes; otherwise as `generator_from`."""
    blocks = _count(state, lambda i: _residual_block(i, px=0), MAX_BLOCKS)  # px names our side, which does not matter
    return _from(*_discriminator_layout(blocks), state)


def generator_to(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """State dict of our `Generator` -> their complete one, kernels and noise maps included; views where possible.

    It loads strictly into a network with the same channels at each resolution. `mapping.w_avg` is left out.
    WeightsError if the network is conditional, has z and w of different sizes, other filters, or other tensors.
    """
    if "mapping.embed.weight" in state:
        raise WeightsError("a conditional generator cannot be written in rosinality's layout, which has no labels.")
    first = state.get("mapping.fc0.weight")
    if first is not None and len(set(first.shape)) > 1:
        raise WeightsError(
            f"this generator cannot be written in rosinality's layout, in which z and w have one size: its"
            f" mapping.fc0.weight is {list(first.shape)}."
        )
    depth = sum(name.startswith("mapping.fc") and name.endswith(".weight") for name in state)
    blocks = sum(name.endswith(".torgb.weight") for name in state) - 1
    layout, idle = _generator_layout(depth, blocks)
    return _to(layout, idle, {name: t for name, t in state.items() if name != "mapping.w_avg"})


def discriminator_to(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """State dict of our `Discriminator` -> their complete one; otherwise as `generator_to`."""
    if any(name.startswith("mapping.") for name in state):
        raise WeightsError("a conditional discriminator cannot be written in rosinality's layout, which has no labels.")
    return _to(*_discriminator_layout(sum(name.endswith(".skip.weight") for name in state)), state)


# --- the layout


def _same(theirs: str, ours: str) -> _Layout:
    return {f"{theirs}.{x}": _Ours(f"{ours}.{x}") for x in ("weight", "bias")}


def _mapping_layer(i: int) -> _Layout:
    return _same(f"style.{i + 1}", f"mapping.fc{i}")


def _styled_conv(theirs: str, ours: str, noise: int) -> _Layout:
    return {
        f"{theirs}.conv.weight": _Ours(f"{ours}.weight", "1oihw"),
        **_same(f"{theirs}.conv.modulation", f"{ours}.affine"),
        f"{theirs}.noise.weight": _Ours(f"{ours}.noise_strength", "1"),
        f"{theirs}.activate.bias": _Ours(f"{ours}.bias"),
        f"noises.noise_{noise}": _Ours(f"{ours}.noise_const", "11hw"),
    }


def _to_rgb(theirs: str, ours: str) -> _Layout:
    return {
        f"{theirs}.conv.weight": _Ours(f"{ours}.weight", "1oihw"),
        **_same(f"{theirs}.conv.modulation", f"{ours}.affine"),
        f"{theirs}.bias": _Ours(f"{ours}.bias", "1o11"),
    }


def _synthesis_block(i: int) -> _Layout:
    """Block `i` above 4 px, coarse to fine."""
    block, up = f"synthesis.b{8 << i}", 2 * i
    return {
        **_styled_conv(f"convs.{up}", f"{block}.conv0", noise=up + 1),
        f"convs.{up}.conv.blur.kernel": _Ours(f"{block}.conv0.resample_filter", kernel=4.0),
        **_styled_conv(f"convs.{up + 1}", f"{block}.conv1", noise=up + 2),
        **_to_rgb(f"to_rgbs.{i}", f"{block}.torgb"),
        f"to_rgbs.{i}.upsample.kernel": _Ours(f"{block}.resample_filter", kernel=4.0),
    }


def _generator_layout(depth: int, blocks: int) -> tuple[_Layout, list[str]]:
    """The layout, and the filters of ours that nothing is computed with and that theirs therefore lacks."""
    layout = {
        "input.input": _Ours("synthesis.b4.const", "1chw"),
        **_styled_conv("conv1", "synthesis.b4.conv1", noise=0),
        **_to_rgb("to_rgb1", "synthesis.b4.torgb"),
    }
    for i in range(depth):
        layout |= _mapping_layer(i)
    for i in range(blocks):
        layout |= _synthesis_block(i)
    idle = [f"synthesis.b{4 << i}.conv1.resample_filter" for i in range(blocks + 1)]
    return layout, ["synthesis.b4.resample_filter", *idle]


def _residual_block(i: int, px: int) -> _Layout:
    """Block `i`, fine to coarse, that works at `px`."""
    theirs, ours = f"convs.{i + 1}", f"b{px}"
    return {
        f"{theirs}.conv1.0.weight": _Ours(f"{ours}.conv0.weight"),
        f"{theirs}.conv1.1.bias": _Ours(f"{ours}.conv0.bias"),
        f"{theirs}.conv2.0.kernel": _Ours(f"{ours}.conv1.resample_filter", kernel=1.0),
        f"{theirs}.conv2.1.weight": _Ours(f"{ours}.conv1.weight"),
        f"{theirs}.conv2.2.bias": _Ours(f"{ours}.conv1.bias"),
        f"{theirs}.skip.0.kernel": _Ours(f"{ours}.skip.resample_filter", kernel=1.0),
        f"{theirs}.skip.1.weight": _Ours(f"{ours}.skip.weight"),
    }


def _discriminator_layout(blocks: int) -> tuple[_Layout, list[str]]:
    """As `_generator_layout`."""
    finest = 4 << blocks
    layout = {
        "convs.0.0.weight": _Ours(f"b{finest}.fromrgb.weight"),
        "convs.0.1.bias": _Ours(f"b{finest}.fromrgb.bias"),
        "final_conv.0.weight": _Ours("b4.conv.weight"),
        "final_conv.1.bias": _Ours("b4.conv.bias"),
        **_same("final_linear.0", "b4.fc"),
        **_same("final_linear.1", "b4.out"),
    }
    idle = [f"b{finest}.fromrgb.resample_filter", "b4.conv.resample_filter"]
    for i in range(blocks):
        px = finest >> i
        layout |= _residual_block(i, px)
        idle += [f"b{px}.resample_filter", f"b{px}.conv0.resample_filter"]
    return layout, idle


# --- translation


def _count(names: Collection[str], part: Callable[[int], _Layout], most: int | None = None) -> int:
    """How many parts 0, 1, ... in a row (at most `most`) are there.

    Half of its names make a part: a missing tensor or a stray one must not move all others to another resolution.
    """

    def present(i: int) -> bool:
        expected = part(i)
        return 2 * sum(name in names for name in expected) >= len(expected)

    return sum(1 for _ in takewhile(present, count() if most is None else range(most)))


def _from(layout: _Layout, idle: list[str], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    mixed = sorted(state.keys() & {"mapping.w_avg", *idle, *(ours.name for ours in layout.values())})
    if mixed:
        raise WeightsError(
            f"this network is in rosinality's layout, but has {mixed[0]} too, a name of NVIDIA's: it is not clear which"
            " tensors count. Write it in one of the two layouts."
        )
    kernels = any(ours.kernel for name, ours in layout.items() if name in state)
    result = {name: ops.fir_kernel() for name in idle} if kernels else {}  # files without any have no filters at all
    for name, t in state.items():
        ours = layout.get(name)
        if ours is None:
            result[name] = t
        elif ours.kernel:
            _check_kernel(name, t, ours.kernel)
            result[ours.name] = ops.fir_kernel()
        else:
            result[ours.name] = _without_axes(t, ours.axes)
    return result


def _to(layout: _Layout, idle: list[str], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    differing = sorted(state.keys() ^ {*idle, *(ours.name for ours in layout.values())})
    if differing:
        raise WeightsError(
            "only a complete network of this suite can be written in rosinality's layout; missing or unknown here are"
            f" {len(differing)} tensors: {', '.join(differing[:3])}{' ...' if len(differing) > 3 else ''}."
        )
    for name in state:
        if name.endswith("resample_filter"):
            _check_kernel(name, state[name], 1.0)
    return {
        name: ops.fir_kernel() * ours.kernel if ours.kernel else _with_axes(state[ours.name], ours.axes)
        for name, ours in layout.items()
    }


def _without_axes(t: Tensor, axes: str) -> Tensor:
    """Their shape -> ours; as it is where it is not of their shape, so that strict loading reports it."""
    extra = [i for i, axis in enumerate(axes) if axis == "1"]
    if t.ndim != len(axes or t.shape) or any(t.shape[i] != 1 for i in extra):
        return t
    return t.squeeze(extra)


def _with_axes(t: Tensor, axes: str) -> Tensor:
    """Our shape -> theirs."""
    for i, axis in enumerate(axes):
        if axis == "1":
            t = t.unsqueeze(i)
    return t


def _check_kernel(name: str, kernel: Tensor, total: float) -> None:
    expected = ops.fir_kernel() * total
    if kernel.shape != expected.shape or not torch.allclose(kernel.detach().cpu().float(), expected, rtol=0, atol=1e-5):
        raise WeightsError(
            f"{name} is not the filter [1, 3, 3, 1] x [1, 3, 3, 1] with sum {total:g} that our networks compute with;"
            " a network with another filter cannot be used."
        )

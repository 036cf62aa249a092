"""Networks of StyleGAN2's TensorFlow generation (arXiv 1912.04958; ADA's, arXiv 2006.06676) under our names.

Their file holds a record for each network, which has variables and components with variables of their own. Both
implementations scale weights at run time, so values carry over; axes, and what is added when, do not:

    mapping/Dense0/weight               [I, O]        mapping.fc0.weight                    [O, I]
    synthesis/4x4/Conv/weight           [k, k, I, O]  synthesis.b4.conv1.weight             [O, I, k, k]
    synthesis/8x8/Conv0_up/weight       [k, k, I, O]  synthesis.b8.conv0.weight             [O, I, k, k], turned by 180°
    synthesis/8x8/Conv0_up/mod_weight   [W, I]        synthesis.b8.conv0.affine.weight      [I, W]
    synthesis/8x8/Conv0_up/mod_bias     [I]           synthesis.b8.conv0.affine.bias        [I], plus 1
    synthesis/noise0, noise1, noise2    [1, 1, r, r]  noise_const of b4.conv1, b8.conv0, b8.conv1     [r, r]
    8x8/Conv1_down/weight               [k, k, I, O]  b8.conv1.weight                       [O, I, k, k] (discriminator)

Every generation but this one (progressive growing, StyleGAN, StyleGAN2's configurations A to D) has names that are not
listed here. They stay as they are, for the strict loader to report.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmark.errors import WeightsError
from benchmark.stylegan2 import ops

OUR_LR_MULT = 0.01
"""The multiplier with which all our mapping layers scale their weights and biases."""

MAPPING_LAYERS = 64
RESOLUTIONS = tuple(2**i for i in range(3, 11))
"""Above 4 px. Names beyond these two stay as they are."""


def generator_from(variables: Mapping[str, np.ndarray], mapping_lr_mult: float = 0.01) -> dict[str, Tensor]:
    """Variables of a G or Gs (see `variables_of`) under our names and shapes, float32, with our low-pass filters.

    `mapping_lr_mult` is the network's static `mapping_lrmul` (the default is theirs). Tensors may be views of
    `variables`, not to be written to. For the strict loader to report: unknown names stay, arrays of an unexpected
    rank keep their shape, what is missing stays missing. WeightsError where our own names are mixed in.
    """
    return _translate(variables, _generator_layout(), mapping_lr_mult)


def discriminator_from(variables: Mapping[str, np.ndarray], mapping_lr_mult: float = 0.1) -> dict[str, Tensor]:
    """Variables of a D under our names and shapes, as `generator_from`; theirs has another default multiplier."""
    return _translate(variables, _discriminator_layout(), mapping_lr_mult)


class _Ours(NamedTuple):
    """What a variable is with us."""

    name: str
    ndim: int
    """Of theirs; any other is not converted."""
    convert: Callable[[Tensor], Tensor]
    filters: tuple[str, ...] = ()
    """Buffers that our module has beside this weight."""


_Layout = dict[str, _Ours]
"""{their name: ours}"""


def _translate(variables: Mapping[str, np.ndarray], layout: _Layout, mapping_lr_mult: float) -> dict[str, Tensor]:
    if type(mapping_lr_mult) not in (int, float) or not 0 < mapping_lr_mult <= 1000:
        raise WeightsError("mapping_lrmul of the TensorFlow network has to be a positive number up to 1000.")
    taken = {name for ours in layout.values() for name in (ours.name, *ours.filters)}
    mixed = sorted(taken.intersection(variables))
    if mixed:
        raise WeightsError(f"the TensorFlow network has a variable {mixed[0]!r}, which is no name of TensorFlow's.")
    scale = mapping_lr_mult / OUR_LR_MULT
    result: dict[str, Tensor] = {}
    for name, array in variables.items():
        t, ours = _tensor(array), layout.get(name)
        if ours is None:
            if not _is_schedule(name, t):
                result[name] = t
            continue
        t = ours.convert(t) if t.ndim == ours.ndim else t
        result[ours.name] = t * scale if scale != 1 and ours.name.startswith("mapping.fc") else t
        result.update({filter_name: ops.fir_kernel() for filter_name in ours.filters})
    return result


def _tensor(array: np.ndarray) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not writable.*")
        return torch.from_numpy(array)


def _is_schedule(name: str, t: Tensor) -> bool:
    """`lod` is the level of detail of progressive growing; StyleGAN2's networks still have it and do not read it."""
    return name in ("lod", "synthesis/lod") and t.ndim == 0


def _same(t: Tensor) -> Tensor:
    return t


def _transposed(t: Tensor) -> Tensor:
    return t.t()


def _oihw(t: Tensor) -> Tensor:
    return t.permute(3, 2, 0, 1)


def _oihw_turned(t: Tensor) -> Tensor:
    """Theirs correlates after inserting zeros, a transposed convolution turns the kernel."""
    return _oihw(t).flip(2, 3)


def _plus_one(t: Tensor) -> Tensor:
    """Theirs adds the one of a style when it is computed, ours is in the bias."""
    return t + 1


def _without_batch(t: Tensor) -> Tensor:
    return t.squeeze(0)


def _map(t: Tensor) -> Tensor:
    return t.squeeze((0, 1))


def _dense(theirs: str, ours: str) -> _Layout:
    return {
        f"{theirs}/weight": _Ours(f"{ours}.weight", 2, _transposed),
        f"{theirs}/bias": _Ours(f"{ours}.bias", 1, _same),
    }


def _modulated(theirs: str, ours: str, up: bool = False, filters: tuple[str, ...] = ()) -> _Layout:
    return {
        f"{theirs}/weight": _Ours(f"{ours}.weight", 4, _oihw_turned if up else _oihw, filters),
        f"{theirs}/mod_weight": _Ours(f"{ours}.affine.weight", 2, _transposed),
        f"{theirs}/mod_bias": _Ours(f"{ours}.affine.bias", 1, _plus_one),
        f"{theirs}/bias": _Ours(f"{ours}.bias", 1, _same),
    }


def _synthesis_layer(theirs: str, px: int, layer: str, noise: int) -> _Layout:
    block = f"synthesis.b{px}"
    ours = f"{block}.{layer}"
    # Each block has conv1, so its own filter comes with that.
    filters = (f"{ours}.resample_filter", *([f"{block}.resample_filter"] if layer == "conv1" else []))
    return {
        **_modulated(f"synthesis/{px}x{px}/{theirs}", ours, up=layer == "conv0", filters=filters),
        f"synthesis/{px}x{px}/{theirs}/noise_strength": _Ours(f"{ours}.noise_strength", 0, _same),
        f"synthesis/noise{noise}": _Ours(f"{ours}.noise_const", 4, _map),
    }


def _generator_layout() -> _Layout:
    layout = {
        "dlatent_avg": _Ours("mapping.w_avg", 1, _same),
        **_dense("mapping/LabelEmbed", "mapping.embed"),
        "synthesis/4x4/Const/const": _Ours("synthesis.b4.const", 4, _without_batch),
        **_synthesis_layer("Conv", 4, "conv1", noise=0),
        **_modulated("synthesis/4x4/ToRGB", "synthesis.b4.torgb"),
    }
    for i in range(MAPPING_LAYERS):
        layout |= _dense(f"mapping/Dense{i}", f"mapping.fc{i}")
    for i, px in enumerate(RESOLUTIONS):
        layout |= _synthesis_layer("Conv0_up", px, "conv0", noise=2 * i + 1)
        layout |= _synthesis_layer("Conv1", px, "conv1", noise=2 * i + 2)
        layout |= _modulated(f"synthesis/{px}x{px}/ToRGB", f"synthesis.b{px}.torgb")
    return layout


def _convolution(theirs: str, ours: str, more_filters: Iterable[str] = ()) -> _Layout:
    return {
        f"{theirs}/weight": _Ours(f"{ours}.weight", 4, _oihw, (f"{ours}.resample_filter", *more_filters)),
        f"{theirs}/bias": _Ours(f"{ours}.bias", 1, _same),
    }


def _discriminator_layout() -> _Layout:
    layout = {
        **_dense("LabelEmbed", "mapping.embed"),
        **_convolution("4x4/Conv", "b4.conv"),
        **_dense("4x4/Dense0", "b4.fc"),
        **_dense("Output", "b4.out"),
    }
    for i in range(MAPPING_LAYERS):
        layout |= _dense(f"Mapping{i}", f"mapping.fc{i}")
    for px in RESOLUTIONS:
        for theirs, ours in {"FromRGB": "fromrgb", "Conv0": "conv0", "Skip": "skip"}.items():
            layout |= _convolution(f"{px}x{px}/{theirs}", f"b{px}.{ours}")
        layout |= _convolution(f"{px}x{px}/Conv1_down", f"b{px}.conv1", [f"b{px}.resample_filter"])
    return layout

"""Files that stand in for the networks that methods need: small, random, the same everywhere; for trials and tests."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from benchmark.api.backbones import VGG_STAGES
from benchmark.api.needed import given
from benchmark.errors import MethodError
from benchmark.metrics.networks.weight_files import WEIGHT_FILES
from benchmark.system.random_streams import generator

WIDTH, PATCH, PLACES, DEPTH, DIM = 64, 32, 2, 1, 16
"""Of the stand-in for CLIP: its images are of PATCH x PLACES px."""


class NoStandIn(MethodError):
    """A weight file for which there is no stand-in: what looks through it cannot be tried here."""


@contextmanager
def with_stand_ins(needs: Iterable[str]) -> Iterator[None]:
    """Let `needed` find stand-ins for these keys."""
    needs = tuple(needs)
    if not needs:
        yield
        return
    with tempfile.TemporaryDirectory() as folder, given({key: write_stand_in(key, Path(folder)) for key in needs}):
        yield


def write_stand_in(key: str, folder: Path) -> Path:
    """A file for the weight file called `key`, in `folder`. NoStandIn, or MethodError where no file has that key."""
    makers = {"effnetlite0": efficientnet, "clip_vit_b32": clip, "vgg16": vgg}
    if key not in WEIGHT_FILES:
        known = ", ".join(WEIGHT_FILES)
        raise MethodError(f"needs the file {key}, which is unknown, so that there is no stand-in; known: {known}.")
    if key not in makers:
        raise NoStandIn(f"needs the file {key}, for which there is no stand-in; there are {', '.join(makers)}.")
    torch.save(dict(makers[key]()), path := folder / f"{key}.pt")
    return path


@cache
def efficientnet() -> Mapping[str, Tensor]:
    """EfficientNet-Lite0 with random convolutions of He's size, so that features neither vanish nor explode."""
    from efficientnet_lite_pytorch import EfficientNet

    with torch.random.fork_rng(devices=[]):
        net = EfficientNet.from_name("efficientnet-lite0")
    rng, state = generator("stand-in", "effnetlite0"), net.state_dict()
    for tensor in (t for t in state.values() if t.ndim > 1):
        tensor.copy_(torch.randn(tensor.shape, generator=rng) * (2 / tensor[0].numel()) ** 0.5)
    return {name: tensor.clone() for name, tensor in state.items()}


@cache
def clip() -> Mapping[str, Tensor]:
    """The image encoder of CLIP, a layer of it, tiny."""
    block = "transformer.resblocks.{}."
    shapes: dict[str, tuple[int, ...]] = {
        "conv1.weight": (WIDTH, 3, PATCH, PATCH),
        "class_embedding": (WIDTH,),
        "positional_embedding": (PLACES**2 + 1, WIDTH),
        "proj": (WIDTH, DIM),
    }
    dense = {"attn.in_proj_": (3 * WIDTH, WIDTH), "attn.out_proj.": (WIDTH, WIDTH)}
    dense |= {"mlp.c_fc.": (4 * WIDTH, WIDTH), "mlp.c_proj.": (WIDTH, 4 * WIDTH)}
    norms = ["ln_pre.", "ln_post."]
    for i in range(DEPTH):
        for name, shape in dense.items():
            shapes |= {f"{block.format(i)}{name}weight": shape, f"{block.format(i)}{name}bias": shape[:1]}
        norms += [f"{block.format(i)}ln_1.", f"{block.format(i)}ln_2."]
    shapes |= {f"{name}{part}": (WIDTH,) for name in norms for part in ("weight", "bias")}
    rng = generator("stand-in", "clip_vit_b32")
    return {f"visual.{name}": torch.randn(shape, generator=rng) / shape[-1] ** 0.5 for name, shape in shapes.items()}


@cache
def vgg() -> Mapping[str, Tensor]:
    """The convolutions of VGG-16, of a few channels, random, of He's size."""
    rng, state, n = generator("stand-in", "vgg16"), {}, 3
    for stage, width in zip(VGG_STAGES, (4, 4, 8, 8, 8), strict=True):
        for layer in stage:
            state[f"features.{layer}.weight"] = torch.randn(width, n, 3, 3, generator=rng) * (2 / (9 * n)) ** 0.5
            state[f"features.{layer}.bias"] = torch.randn(width, generator=rng) / 10
            n = width
    return state

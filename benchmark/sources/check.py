"""Checks that a source still draws the same images at fixed latents, kept beside the weights."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.checkpoints.containers import open_checkpoint
from benchmark.checkpoints.damage import DAMAGE, plain
from benchmark.errors import WeightsError
from benchmark.sources.source import Source, load_source
from benchmark.stylegan2 import Generator
from benchmark.stylegan2.weights import write_tensors

COUNT = 4
PX = 64
"""Larger images are averaged down to this, so that the proof stays small."""
TOLERANCE = 1e-3
"""Largest difference in [-1, 1] that other hardware or another PyTorch may make; a wrong layer makes 0.1 and more."""


def write_check(g: Generator, path: Path) -> None:
    """Latents (and classes) of a fixed seed, and the images that `g` makes of them with its anchor noise."""
    rng = torch.Generator().manual_seed(0)
    z = torch.randn(COUNT, g.cfg.z_dim, generator=rng)
    tensors = {"z": z}
    if g.cfg.c_dim:
        tensors["c"] = F.one_hot(torch.arange(COUNT) % g.cfg.c_dim, g.cfg.c_dim).float()
    tensors["images"] = small(images(g, tensors))
    write_tensors(path, tensors, {"what": "images of the averaged generator at z (and c), psi 1, anchor noise"})


@torch.no_grad()
def images(g: Generator, given: dict[str, Tensor]) -> Tensor:
    """float32 [N, 3, R, R] at given["z"] (and given["c"]), anchor noise."""
    z, c = given["z"].float(), given.get("c")
    return torch.cat([g(z[i : i + 1], None if c is None else c[i : i + 1].float(), "const") for i in range(len(z))])


def small(x: Tensor) -> Tensor:
    """Averaged down to at most PX."""
    return F.avg_pool2d(x, x.shape[-1] // PX) if x.shape[-1] > PX else x


def largest_difference(g: Generator, path: Path) -> tuple[float, int]:
    """(largest absolute difference to the expected images in `path`, how many there are).

    `path` is a `.safetensors` or `.npz` with `z` [N, z_dim], `images` [N, 3, r, r] in [-1, 1] (as the network gives
    them, not clamped; psi 1, constant noise; r is the resolution or at most PX) and for conditional networks `c`.
    Raises WeightsError where it holds something else.
    """
    given = read_expected(path)
    n = len(given["images"])
    needed = {"z": [n, g.cfg.z_dim]} | ({"c": [n, g.cfg.c_dim]} if g.cfg.c_dim else {})
    found = {name: list(given[name].shape) for name in ("z", "c") if name in given}
    if not n or found != needed:
        raise WeightsError(f"{path.name}: {n} images with {found}; this network needs {needed}.")
    made, expected = images(g, given), given["images"].float()
    if expected.shape != made.shape:
        made = small(made)
    if expected.shape != made.shape:
        raise WeightsError(f"{path.name}: images are {list(expected.shape)}, the network makes {list(made.shape)}.")
    return float((made - expected).abs().max()), n


def read_expected(path: Path) -> dict[str, Tensor]:
    """The arrays of a file of expected images."""
    if path.suffix == ".npz":
        try:
            with np.load(path, allow_pickle=False) as arrays:
                found = {name: torch.from_numpy(arrays[name]) for name in ("z", "images", "c") if name in arrays}
        except (*DAMAGE, OSError, zipfile.BadZipFile, zlib.error) as error:
            raise WeightsError(f"{path.name} cannot be read ({plain(error)}).") from None
    else:
        with open_checkpoint(path) as (container, data):
            if container != "safetensors":
                raise WeightsError(f"{path.name}: expected images come as .safetensors or .npz.")
            found = {name: data[0][name] for name in ("z", "images", "c") if name in data[0]}
    if not {"z", "images"} <= found.keys() or not all(isinstance(t, Tensor) and t.ndim for t in found.values()):
        raise WeightsError(f"{path.name} must hold z and images; found {', '.join(found) or 'neither'}.")
    return found


def verify(source: Source, expected: Path | None = None) -> Iterator[str]:
    """What was checked, a line each: the file's hash, the strict load, images against `expected` or the card's own.

    Raises WeightsError at the first thing that is wrong.
    """
    nets, digest = load_source(source)
    count = len(nets.state_dict())
    yield (
        f"file     sha256 {digest} is the card's"
        if source.card.file
        else f"networks drawn from a seed, digest {digest}"
    )
    yield f"weights  {count} tensors, every name and shape fits: {nets.cfg}"
    path = expected or source.check_path
    if path is None:
        yield "images   none to compare with; give some with --expected"
        return
    worst, n = largest_difference(nets.g_ema.eval(), path)
    if not worst <= TOLERANCE:
        raise WeightsError(
            f"source {source.name}: images differ by up to {worst:.2g} from {path.name} (allowed {TOLERANCE:g})."
        )
    yield f"images   {n} at fixed latents differ by at most {worst:.1e} from {path.name} (allowed {TOLERANCE:g})"

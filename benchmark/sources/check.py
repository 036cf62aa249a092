"""Checks that a source still draws the same images at fixed latents, kept beside the weights."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.checkpoints.containers import MAX_LISTING, Limited, open_checkpoint
from benchmark.checkpoints.damage import DAMAGE, plain
from benchmark.config import NetConfig
from benchmark.errors import WeightsError
from benchmark.sources.source import Source, load_source
from benchmark.stylegan2 import Generator
from benchmark.stylegan2.weights import write_tensors

COUNT = 4
PX = 64
"""Larger images are averaged down to this, so that the proof stays small."""
TOLERANCE = 1e-3
"""Largest difference in [-1, 1] that other hardware or another PyTorch may make; a wrong layer makes 0.1 and more."""
ARRAYS = ("z", "images", "c")
MAX_UNPACKED = 2**30
"""Bytes of a `.npz` once it is unpacked: 85 images of 1024 px. A megabyte of zeros packed unpacks to a gigabyte."""


def write_check(g: Generator, path: Path) -> None:
    """Latents (and classes) of a fixed seed, and the images that `g` makes of them with its anchor noise."""
    rng = torch.Generator().manual_seed(0)
    tensors, c = {"z": torch.randn(COUNT, g.cfg.z_dim, generator=rng)}, labels(g, COUNT)
    if c is not None:
        tensors["c"] = c
    tensors["images"] = small(images(g, tensors))
    write_tensors(path, tensors, {"what": "images of the averaged generator at z (and c), psi 1, anchor noise"})


def labels(g: Generator, n: int) -> Tensor | None:
    """One-hot labels float32 [n, c_dim], class after class; None for a network without classes."""
    if not g.cfg.c_dim:
        return None
    return F.one_hot(torch.arange(n, device=g.mapping.w_avg.device) % g.cfg.c_dim, g.cfg.c_dim).float()


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
    given = read_expected(path, g.cfg)
    made, expected = images(g, given), given["images"].float()
    if expected.shape != made.shape:
        made = small(made)
    return float((made - expected).abs().max()), len(expected)


def read_expected(path: Path, cfg: NetConfig) -> dict[str, Tensor]:
    """The arrays of a file of expected images of such a network; WeightsError for any other file."""
    if path.suffix == ".npz":
        try:
            with path.open("rb") as file:
                return read_npz(file, cfg, path.name)
        except (*DAMAGE, OSError, zipfile.BadZipFile, zlib.error) as error:
            raise WeightsError(f"{path.name} cannot be read ({plain(error)}).") from None
    with open_checkpoint(path) as (container, data):
        if container != "safetensors":
            raise WeightsError(f"{path.name}: expected images come as .safetensors or .npz.")
        found: dict[str, Tensor] = {name: data[0][name] for name in ARRAYS if name in data[0]}
    require_fit({name: tensor.shape for name, tensor in found.items()}, cfg, path.name)
    return found


def read_npz(file: BinaryIO, cfg: NetConfig, where: str) -> dict[str, Tensor]:
    """The same of an open `.npz`. It may be packed, so its declared sizes are checked before anything is unpacked."""
    with zipfile.ZipFile(Limited(file, MAX_LISTING)) as archive:  # type: ignore[call-overload]
        inside = {entry.filename: entry for entry in archive.infolist()}
        entries = {name: inside[f"{name}.npy"] for name in ARRAYS if f"{name}.npy" in inside}
        if sum(entry.file_size for entry in entries.values()) > MAX_UNPACKED:
            raise ValueError(f"unpacked it has more than {MAX_UNPACKED:,} bytes")
        require_fit({name: declared(archive, entry) for name, entry in entries.items()}, cfg, where)
        found = {}
        for name, entry in entries.items():
            with archive.open(entry) as stream:
                found[name] = torch.from_numpy(np.lib.format.read_array(stream, allow_pickle=False))
        return found


def declared(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> tuple[int, ...]:
    """The shape of an array in a `.npz`, by its header; ValueError unless the entry is as long as that says."""
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError("NumPy packs otherwise")
    with archive.open(entry) as stream:
        if np.lib.format.read_magic(stream) != (1, 0):
            raise ValueError("arrays of numbers have headers of version 1.0")
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
        if stream.tell() + math.prod(shape) * dtype.itemsize != entry.file_size:
            raise ValueError(f"{entry.filename} is not as long as its header says")
    return shape


def require_fit(shapes: Mapping[str, Sequence[int]], cfg: NetConfig, where: str) -> None:
    """WeightsError unless arrays of these shapes are expected images of such a network."""
    if not {"z", "images"} <= shapes.keys() or not all(shapes.values()):
        raise WeightsError(f"{where} must hold z and images; found {', '.join(shapes) or 'neither'}.")
    n = shapes["images"][0]
    needed = {"z": [n, cfg.z_dim]} | ({"c": [n, cfg.c_dim]} if cfg.c_dim else {})
    found = {name: list(shape) for name, shape in shapes.items() if name != "images"}
    if not n or found != needed:
        raise WeightsError(f"{where}: {n} images with {found}; this network needs {needed}.")
    given, whole = list(shapes["images"]), [n, 3, cfg.resolution, cfg.resolution]
    if given not in (whole, [n, 3, min(cfg.resolution, PX), min(cfg.resolution, PX)]):
        raise WeightsError(f"{where}: images are {given}, the network makes {whole}.")


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

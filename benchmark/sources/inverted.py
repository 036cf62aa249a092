"""Held-out pictures of a source's own domain and where it draws them: inverted once, kept in the cache."""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch

from benchmark.domains.load import clean_drawings, load_domain
from benchmark.domains.stored import pixel_hash
from benchmark.errors import BenchmarkError, DataError
from benchmark.metrics.networks.perceptual import load_perceptual_network
from benchmark.metrics.networks.weight_files import NETWORK_FILES, WEIGHT_FILES, locate
from benchmark.sources.inversion import Code, Search, invert
from benchmark.sources.source import INVERSIONS
from benchmark.stylegan2 import Generator
from benchmark.system.files import key, write_atomic
from benchmark.system.locks import alone
from benchmark.system.progress import Stages

PICTURES = 50
"""At most; a run with fewer pairs has as many as pairs."""
DISTANCE = "st_lpips_alex"
VERSION = 1
"""Raise it when other codes are found: they are made again then."""


@dataclass(frozen=True)
class Inverted:
    """Pictures of the source's domain and their codes in the source."""

    pictures: np.ndarray
    """uint8 [n, 3, R, R], held out from the source's training."""
    clean: np.ndarray
    """float64 [n, 3, R, R] in 0 to 1: the drawings before their medium."""
    code: Code
    seconds: float
    """For each picture, when they were inverted."""


@dataclass(frozen=True)
class Seeker:
    """Where a source's pictures come from, and in which network they are looked for."""

    name: str
    """Of the source."""
    digest: str
    domain: str
    """That the source was trained on; empty where it is not known."""
    g: Generator
    cache: Path
    search: Search = field(default_factory=Search)

    def held_out(self, count: int, bars: Stages) -> Inverted | str:
        """The first `count` held-out pictures with their codes, from the cache or found now; or why there are none."""
        px, none = self.g.cfg.resolution, f"not available: held-out pictures of the domain of {self.name}"
        if not self.domain:
            return f"{none}: which one that is, is not known"
        try:
            domain = load_domain(self.domain, px, 1, count, self.cache)
            pictures, card = np.array(domain.test[:count]), domain.card
            clean = clean_drawings(card, px, len(pictures)) if card.medium else pictures
        except BenchmarkError as error:
            return f"{none}: {error}"
        path = self.cache / INVERSIONS / f"{self.name}-{self._key(pictures)}.npz"
        with alone(path.with_suffix(".lock"), lambda: bars.say(f"{self.name}: another process inverts its pictures")):
            found = read(path, self.g, len(pictures))
            if found is None:
                self._make(path, pictures, bars)
                found = read(path, self.g, len(pictures))
        if found is None:
            raise DataError(f"{path} was written but does not read back; is the disk full?")
        return Inverted(pictures, clean / 255, *found)

    def _key(self, pictures: np.ndarray) -> str:
        return key(VERSION, self.digest, pixel_hash(pictures), DISTANCE, asdict(self.search))[:16]

    def _make(self, path: Path, pictures: np.ndarray, bars: Stages) -> None:
        files = {name: locate(WEIGHT_FILES[name], {}, self.cache).path for name in NETWORK_FILES[DISTANCE]}
        device = self.g.mapping.w_avg.device
        net = load_perceptual_network(DISTANCE, {name: at for name, at in files.items() if at}).to(device)
        with bars.stage(f"invert {len(pictures)} pictures in {self.name}", len(pictures)) as advance:
            found = invert(self.g, pictures, net, self.search, advance)
        z, offset = (tensor.cpu().numpy() for tensor in (found.code.z, found.code.offset))
        data = io.BytesIO()
        np.savez(data, z=z, offset=offset, seconds=np.float64(found.seconds))
        write_atomic(path, data.getvalue())


def read(path: Path, g: Generator, count: int) -> tuple[Code, float] | None:
    """Codes and seconds of a file; None where it is missing, damaged, or of other shapes."""
    shapes = {"z": (count, g.cfg.z_dim), "offset": (count, g.synthesis.num_ws, g.cfg.w_dim), "seconds": ()}
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in shapes}
    except Exception:  # a damaged archive makes the reader raise nearly anything
        return None
    if any(found[name].shape != shape or not np.isfinite(found[name]).all() for name, shape in shapes.items()):
        return None
    z, offset = (torch.from_numpy(found[name]).to(g.mapping.w_avg.device) for name in ("z", "offset"))
    return Code(z, offset), float(found["seconds"])

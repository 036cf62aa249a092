"""Features of real images on disk: made once, named by content, written whole, never pickled."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import DataError
from benchmark.system.files import clear_temporaries, new_file
from benchmark.system.locks import alone

Features = NDArray[np.float32]
"""float32 [n, d]."""


class KeptFeatures:
    """Features of one set of images [n, 3, R, R], looked up at once and made when they are asked for."""

    def __init__(self, folder: Path, mark: str, digest: str, images: NDArray[np.uint8], dim: int) -> None:
        self.images, self._dim = images, dim
        self._path = cache_file(folder, mark, digest, images.shape)
        self._found = load_features(self._path, len(images), dim)

    @property
    def absent(self) -> int:
        """Images whose features are still to be made."""
        return len(self.images) if self._found is None else 0

    def get(self, make: Callable[[NDArray[np.uint8]], Features]) -> Features:
        """The features; ``make`` makes them of the images where there are none, and what it raises is raised."""
        if self._found is None:
            with ExitStack() as held:
                try:
                    held.enter_context(alone(self._path.with_suffix(".lock")))
                except DataError as error:
                    warnings.warn(f"{error}; features of real images are made again next time.", stacklevel=2)
                    self._found = make(self.images)
                    return self._found
                clear_temporaries(self._path.parent, self._path.stem)
                self._found = load_features(self._path, len(self.images), self._dim)
                if self._found is None:
                    self._found = make(self.images)
                    store_features(self._path, self._found)
        return self._found


def cache_file(folder: Path, mark: str, digest: str, shape: tuple[int, ...]) -> Path:
    """Content-addressed: what the images are and what made the features of them."""
    key = json.dumps({"schema": 1, "network": mark, "digest": digest, "shape": shape})
    return folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npz"


def load_features(path: Path, n: int, dim: int) -> Features | None:
    """Cached features [n, dim], or None where there are none or the file is damaged (ZIP checks a CRC)."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            features = archive["features"]
    except Exception:  # a damaged archive fails in many ways, and all of them mean: make it again
        return None
    good = features.shape == (n, dim) and features.dtype == np.float32 and bool(np.isfinite(features).all())
    return features if good else None


def store_features(path: Path, features: Features) -> None:
    """Write whole or not at all; a cache that cannot be written costs time, not results."""
    try:
        with new_file(path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, features=features)
    except OSError as error:
        reason = error.strerror or error
        warnings.warn(f"cannot keep features in {path.parent}: {reason}; they are made again next time.", stacklevel=2)

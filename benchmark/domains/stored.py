"""Entries of the cache of domains: pixels of both splits in one `.npy`, what was found beside them in a `.json`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from benchmark.config import Frozen
from benchmark.domains.cards import Skipped


class About(Frozen):
    """What is kept beside the pixels of a cache entry."""

    schema_version: Literal[1] = Field(1, alias="schema")
    test: int = Field(ge=0)
    digest: str
    found: int | None
    skipped: Skipped
    probe: str | None
    remarks: tuple[str, ...] = ()


def read_entry(entry: Path) -> tuple[np.ndarray, About] | None:
    """A cache entry whose pixels are what was written; None when it is missing or damaged."""
    try:
        about = About.model_validate_json(entry.with_suffix(".json").read_bytes())
        images = np.lib.format.open_memmap(entry.with_suffix(".npy"), mode="r")
    except (OSError, ValueError, EOFError):
        return None
    good = pixel_digest(images[about.test :], images[: about.test]) == about.digest
    return (images, about) if good else None


def entry_problem(entry: Path) -> str | None:
    """Why a cache entry is not used, or None; `entry` is its path without the suffix."""
    return "damaged (pixels are not what was drawn)" if read_entry(entry) is None else None


def pixel_hash(images: Iterable[np.ndarray]) -> str:
    """Sha256 over uint8 images [3,R,R], in order."""
    state = hashlib.sha256()
    for image in images:
        state.update(image.tobytes())
    return state.hexdigest()


def pixel_digest(train: np.ndarray, test: np.ndarray) -> str:
    """Content digest of uint8 splits [N,3,R,R] and [M,3,R,R]: shapes and pixels, nothing else."""
    state = hashlib.sha256()
    for split in (train, test):
        state.update(f"{split.dtype}{split.shape}".encode())
        for image in split:
            state.update(image.tobytes())
    return state.hexdigest()

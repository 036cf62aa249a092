"""Known answers: where a target is the source's own drawings in another medium, the right translation is computable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from benchmark.domains.cards import Card
from benchmark.domains.media import apply_medium, draw_fields

INVERTIBLE = ("", "ink")
"""Media of sources whose clean drawing can be recovered: none, and those that answer linearly in each channel."""
LEVELS, DRAWS = 9, 8
"""Grey levels and draws of the fields at which a medium's mean response is fitted."""


@dataclass(frozen=True)
class KnownAnswer:
    """The right translation of source images into a target's medium."""

    source_medium: str
    medium: str

    def clean(self, averaged: np.ndarray) -> np.ndarray:
        """The clean drawings behind source images [N,3,R,R] in 0 to 1 that were averaged over the source's noise.

        The source's medium is undone in each channel: x = 1 - (1 - s / paper) / cover.
        """
        if not self.source_medium:
            return averaged
        paper, cover = mean_response(self.source_medium, averaged.shape[-1])
        shape = (1, 3, 1, 1)
        return np.clip(1 - (1 - averaged / paper.reshape(shape)) / cover.reshape(shape), 0, 1)

    def answers(self, clean: np.ndarray, seeds: Sequence[int]) -> np.ndarray:
        """Clean drawings [N,3,R,R] in the target's medium, with the fields of `seeds` (one for each): [N,3,R,R]."""
        return apply_medium(self.medium, clean, draw_fields(seeds, clean.shape[-1]))


def known_answer(source: Card | None, target: Card) -> KnownAnswer | str:
    """The answer of translating images like those of `source` to `target`, or the reason why there is none.

    `source` is the card of the domain that the source was trained on, if it is known. A user's own images in a medium
    have an answer whatever the source is: the user says that it draws such images without the medium.
    """
    none = "not available: the right answer is not known"
    if not target.medium:
        return f"{none}; {target.name} is not made by a medium"
    if target.kind in ("folder", "zip"):
        return KnownAnswer("", target.medium)
    if source is None or (source.kind, source.style, source.options) != (target.kind, target.style, target.options):
        return f"{none}; {target.name} shows other drawings than the source"
    if source.medium not in INVERTIBLE:
        return f"{none}; the source's medium {source.medium} cannot be undone"
    return KnownAnswer(source.medium, target.medium)


@lru_cache(maxsize=8)
def mean_response(medium: str, resolution: int) -> tuple[np.ndarray, np.ndarray]:
    """(paper [3], cover [3]) of a medium's mean over its fields, fitted as out = paper * (1 - cover * (1 - x))."""
    grey = np.linspace(0, 1, LEVELS)
    flat = np.broadcast_to(grey[:, None, None, None], (LEVELS, 3, resolution, resolution))
    draws = [
        apply_medium(medium, flat, draw_fields(range(i * LEVELS, (i + 1) * LEVELS), resolution)) for i in range(DRAWS)
    ]
    mean = np.mean(draws, axis=0).mean(axis=(2, 3))  # [LEVELS, 3]
    paper = mean[-1]
    dark = (1 - grey)[:, None]
    cover = ((1 - mean / paper) * dark).sum(axis=0) / np.square(dark).sum()
    return paper, cover

"""Resolutions that a paper states for one size of network, at the size of another."""

from __future__ import annotations

PAPERS_PX = 256
"""The size of network for which the papers of the shelf state resolutions, unless a method says otherwise."""


def scaled_px(px: int, resolution: int, of: int = PAPERS_PX) -> int:
    """The resolution that lies as deep in a network of `resolution` px as `px` does in one of `of` px.

    Depth is the share of blocks: 16 of 256 px is the third block of seven, and so the second of the five of 64 px, 8.
    Powers of two from 4 px on; the finest block is never reached from below it, so that something is left above.
    """
    blocks, whole = resolution.bit_length() - 2, of.bit_length() - 2
    depth = (2 * (px.bit_length() - 2) * blocks + whole) // (2 * whole)  # rounded
    return 2 ** (1 + min(max(depth, 1), max(blocks - 1, 1) if px < of else blocks))

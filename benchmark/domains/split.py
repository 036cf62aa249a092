"""The split of a person's own pictures where there are fewer than a suite asks for."""

from __future__ import annotations

LEAST_USER_IMAGES = 4


def held_out_share(found: int, train: int, test: int) -> int:
    """How many of ``found`` pictures are held out, where the suite asks for ``train`` + ``test`` and has fewer."""
    share = min(test, max(2, found // 3))
    return min(test, found - min(train, found - share))


def pictures_needed(held_out: int, training: int, train: int, test: int) -> int | None:
    """The least number of pictures of which so many are held out and trained on; None: no number would do.

    ``train`` and ``test`` are what the split asks for at most.
    """
    for found in range(LEAST_USER_IMAGES, train + test + 1):
        share = held_out_share(found, train, test)
        if share >= held_out and min(train, found - share) >= training:
            return found
    return None

"""The size of the held-out split, the split of a user's own set that is smaller than a suite asks for, and remarks."""

from __future__ import annotations

from collections.abc import Iterator

from benchmark.errors import DataError

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


def split_told(found: int, held_out: int, train: int, test: int, user: bool) -> Iterator[str]:
    """How many images train and how many are held out: of a user's set always, of others where they are too few."""
    here = min(train, found - held_out)
    few = here < train or held_out < test
    if user or (test and few):
        of = f", of {found} different ones (asked for: {train}, {test})" if few else ""
        all_of_them = "; to train on all: --set split.test=0, or --suite own-fewshot instead of own"
        yield (
            f"{here} images to train on and {held_out or 'none'} held out{of}"
            + (all_of_them if test and here < train else "")
        )


def enlarged_told(enlarged: int, count: int, resolution: int) -> tuple[str, ...]:
    """A remark on pictures smaller than the ``resolution`` in px, if there are any."""
    if not enlarged:
        return ()
    return (f"{enlarged:,} of {count:,} pictures are smaller than {resolution} px and were enlarged",)


def held_out_images(name: str, found: int, train: int, test: int, user: bool, skipped: list[tuple[str, str]]) -> int:
    """How many of ``found`` pictures are held out; `DataError` when there are too few."""
    if found >= train + test:
        return test
    if not user:
        raise DataError(
            f"domain {name!r}: asked for {train} + {test} images, it has {found} different ones; ask for fewer"
        )
    if found < LEAST_USER_IMAGES:
        reasons = sorted({reason for _, reason in skipped})
        why = f" ({len(skipped)} skipped: {'; '.join(reasons[:4])})" if skipped else ""
        raise DataError(f"domain {name!r}: {found} usable images{why}; give at least {LEAST_USER_IMAGES} usable ones")
    return held_out_share(found, train, test)

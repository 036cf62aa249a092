"""Pictures that another generator drew, from a folder or ZIP: counted, in the order of their names, never cropped.

The rules: all pictures are square and of one size, the suite's or larger; larger ones are resized with Lanczos, as
domains are. Pictures with equal pixels stay, since a generator that repeats itself does. The first ones are measured,
as many as the suite's own generators draw. What does not fit is refused, by the name of the first file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from benchmark.domains.pictures.archives import Archive, Skipped, printable
from benchmark.domains.pictures.images import FORMATS, reason_of
from benchmark.domains.pictures.pixels import to_square
from benchmark.errors import DataError
from benchmark.system.file_kinds import picture_format


@dataclass(frozen=True)
class Given:
    """Pictures uint8 [N, 3, R, R], their names without the ending, and what was done with them in words."""

    images: np.ndarray
    names: tuple[str, ...]
    said: str


def read_samples(path: Path, px: int, count: int) -> Given:
    """The first `count` pictures of a folder or ZIP at `px`; DataError where they are too few or do not fit."""
    archive, skipped = Archive(path), list[tuple[str, str]]()
    files = list(pictures_in(archive, skipped))
    if len(files) < count:
        more = f"; {len(skipped)} files are none, the first: {skipped[0][0]} ({skipped[0][1]})" if skipped else ""
        raise DataError(
            f"{path} has {len(files)} pictures, and this suite measures {count}: draw more, or lower the number for "
            f"all with --set eval.samples=N{more}."
        )
    side = require_alike(archive, files, px)
    images = np.stack([decoded(archive, file, px) for file in files[:count]])
    used = f"the first {count} of {len(files)} pictures" if len(files) > count else f"{count} pictures"
    resized = f"{side} px" if side == px else f"{side} px, resized to {px} px with Lanczos"
    names = tuple(map(stem_of, files[:count]))
    return Given(images, names, f"{printable(path.name)}: {used}, {resized}")


def read_pairs(path: Path, given: Given, px: int, count: int) -> np.ndarray:
    """uint8 [count, 3, R, R]: the source's pictures that are called like the first ones of `given`.

    DataError where one is missing, or a name does not tell which.
    """
    archive = Archive(path)
    found, wanted = list(pictures_in(archive, [])), given.names[:count]
    files = {stem_of(file): file for file in found}
    for where, names in (("the pictures to be measured", wanted), (f"--pairs {path}", map(stem_of, found))):
        if twins := [name for name, times in Counter(names).items() if times > 1 and name in wanted]:
            raise DataError(
                f"{where}: several files are called {printable(twins[0])}, whatever their ending, and pairs are found "
                "by that name; keep one of them."
            )
    if missing := [name for name in wanted if name not in files]:
        raise DataError(
            f"--pairs {path}: no picture called {printable(missing[0])} ({len(missing)} of {len(wanted)} are missing); "
            "the source's picture of a latent has the name of the other generator's."
        )
    chosen = [files[name] for name in wanted]
    require_alike(archive, chosen, px)
    return np.stack([decoded(archive, file, px) for file in chosen])


def stem_of(file: str) -> str:
    """A picture's name without the ending, by which its pair is found."""
    return str(PurePosixPath(file).with_suffix(""))


def pictures_in(archive: Archive, skipped: Skipped) -> Iterator[str]:
    """Files that are pictures, by their first bytes and in the order of their names; others go to `skipped`."""
    for name in archive.names(skipped):
        if picture_format(archive.head(name), name):
            yield name
        else:
            skipped.append((printable(name), "not a picture"))


def require_alike(archive: Archive, files: list[str], px: int) -> int:
    """The side that all pictures have, in px; DataError unless they are square, of one size, and not too small."""
    first: tuple[int, int] | None = None
    for file in files:
        try:
            with archive.stream(file) as stream, Image.open(stream, formats=FORMATS) as image:
                size = image.size
        except Exception as error:  # damaged files make the decoders raise nearly anything
            raise DataError(f"{printable(file)} in {archive.path}: {reason_of(error, archive, file)}.") from None
        first = first or size
        shown = f"{printable(file)} in {archive.path} is {size[0]} x {size[1]} px"
        if size[0] != size[1]:
            raise DataError(f"{shown}: pictures to be measured are square; nothing is cropped.")
        if size != first:
            raise DataError(f"{shown}, and {printable(files[0])} {first[0]} px: all pictures must be of one size.")
        if size[0] < px:
            raise DataError(f"{shown}, and this suite measures {px} px: nothing is enlarged; choose a smaller suite.")
    assert first is not None
    return first[0]


def decoded(archive: Archive, file: str, px: int) -> np.ndarray:
    """uint8 [3, R, R], RGB, on white where it is transparent; DataError for a file that cannot be decoded."""
    try:
        with archive.stream(file) as stream, Image.open(stream, formats=FORMATS) as image:
            return to_square(image, px)
    except Exception as error:  # as above
        raise DataError(f"{printable(file)} in {archive.path}: {reason_of(error, archive, file)}.") from None

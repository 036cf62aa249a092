"""Files that the user downloaded: which of them belong to a target, and copying them into its raw/.

They are hard links where the disk allows it, so a second copy of many gigabytes is not made.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from benchmark.domains.assets import IMAGE_SUFFIXES, Asset, Layout
from benchmark.domains.pictures.archives import UNSAFE, Archive, Skipped, is_safe, printable
from benchmark.domains.pictures.faces import read_face_list
from benchmark.errors import DataError
from benchmark.fetch.limits import require_space
from benchmark.system.files import new_file

PICTURES = "pictures"
"""Folder in raw/ of pictures that a list names."""


def fitting(
    card: Asset, given: Path, raw: Path, layouts: tuple[Layout, ...]
) -> tuple[list[tuple[Path, str]], list[str]]:
    """(file, its path in `raw`) of what belongs to `card` in a given file or folder, and a line about what is left out.

    `layouts` say which images are wanted: the card's own, and those of the sets that are parts of it. A single file is
    taken for the only one of the card that has to be given, if its own name says nothing. Raises DataError where
    nothing fits.
    """
    given, skipped = given.expanduser(), Skipped()
    if given.is_file():
        found = [(given, _name_of(card, given, raw))]
    elif given.is_dir():
        found = list(_in_folder(card, given, layouts, skipped))
    else:
        raise DataError(f"--from {given}: no such file or folder; check the path")
    notes = left_out(skipped)
    if not found:
        wanted = [file.name for file in card.files] + [pattern for layout in layouts for pattern in layout.images]
        raise DataError(
            f"--from {given}: nothing in it belongs to {card.name}; expected {', '.join(dict.fromkeys(wanted))}. "
            f"Rename the folder or the files so, or give the ZIP as it was downloaded{''.join(f'; {n}' for n in notes)}"
        )
    return found, [f"note: --from {given}: {note}" for note in notes]


def left_out(skipped: Skipped) -> list[str]:
    """A line about files that are left out, if there are any."""
    return [f"{len(skipped)} left out, the first: {min(skipped)[0]} ({min(skipped)[1]})"] if skipped else []


def _name_of(card: Asset, given: Path, raw: Path) -> str:
    """What a single given file is kept as."""
    names = {file.name for file in card.files}
    if given.name in names:
        return given.name
    kind = given.suffix.lower()
    lacking = [f.name for f in card.files if Path(f.name).suffix.lower() == kind and not (raw / f.name).exists()]
    if len(lacking) != 1:
        raise DataError(
            f"--from {given}: which of {', '.join(sorted(names))} is it? Give it that name, or a folder of them"
        )
    return lacking[0]


def _in_folder(card: Asset, folder: Path, layouts: tuple[Layout, ...], skipped: Skipped) -> Iterator[tuple[Path, str]]:
    """(file, path in raw/) of what belongs to the card; links that lead out, and the like, go to `skipped`."""
    for path, name in _belonging(card, folder, layouts, skipped):
        if is_safe(name):
            yield path, name
        else:
            skipped.append((printable(name), UNSAFE))


def _belonging(card: Asset, folder: Path, layouts: tuple[Layout, ...], skipped: Skipped) -> Iterator[tuple[Path, str]]:
    """The same, whatever the files are called."""
    names = {file.name for file in card.files}
    title, files = folder.resolve().name, Archive(folder).names(skipped)
    listed = _listed(card, folder, files)
    for file in files:
        name, at = file.rpartition("/")[2], f"{title}/{file}"
        if name in names:
            yield folder / file, name
        elif name in listed:
            yield folder / file, f"{PICTURES}/{name}"
        elif card.layout.landmarks:
            continue
        elif Path(name).suffix.lower() in IMAGE_SUFFIXES and any(layout.role(at) for layout in layouts):
            yield folder / file, at
        elif name.lower().endswith(".zip") and _holds_images(folder / file, layouts):
            yield folder / file, name


def _listed(card: Asset, folder: Path, files: list[str]) -> set[str]:
    """Names of the pictures in a given list of faces."""
    lists = [file for file in files if file.rpartition("/")[2] == card.layout.landmarks]
    return {face.raw_name for file in lists[:1] for face in read_face_list(folder / file).values()}


def _holds_images(path: Path, layouts: tuple[Layout, ...]) -> bool:
    return any(layout.role(f"{path.name}/{member}") for member in Archive(path).names([]) for layout in layouts)


def put(path: Path, to: Path) -> None:
    """A hard link, or else a copy; a file that is there already is replaced."""
    try:
        if to.exists() and to.samefile(path):
            return
        to.parent.mkdir(parents=True, exist_ok=True)
        with suppress(OSError), new_file(to) as temporary:
            os.link(path.resolve(), temporary)
            return
        require_space(to.parent, path.stat().st_size)
        with new_file(to) as temporary:
            shutil.copyfile(path, temporary)
    except OSError as error:
        raise DataError(f"{path} cannot be copied to {to}: {error.strerror or error}") from error

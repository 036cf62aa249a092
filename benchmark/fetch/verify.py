"""Checks of fetched and prepared files against their publishers, an earlier run and our own notes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmark.domains.assets import (
    Asset,
    RemoteFile,
    TargetFolder,
    md5_of_stream,
    owner,
    raw_folder,
    require_same,
    target_folder,
)
from benchmark.domains.pictures.archives import UNSAFE, Archive, Skipped, is_safe, printable
from benchmark.domains.pictures.raw_images import raw_target
from benchmark.domains.prepared import PreparedPictures, read_provenance, require_shots
from benchmark.errors import DataError
from benchmark.system.files import sha256_of

Progress = Callable[[Iterable[Any], int, str], Iterable[Any]]
ALL = 1 << 40
"""More images than any set has."""


def raw_files(folder: TargetFolder) -> list[str]:
    """Paths of the fetched files below raw/, without parts of unfinished ones and `unsafe_files`, in order."""
    return [name for name in _files(folder) if is_safe(name)]


def unsafe_files(folder: TargetFolder) -> Skipped:
    """(path below raw/, reason) of the files there that cannot be used because of their names."""
    return [(printable(name), UNSAFE) for name in _files(folder) if not is_safe(name)]


def _files(folder: TargetFolder) -> list[str]:
    found = (path for path in folder.raw.rglob("*") if path.is_file() and not path.name.startswith("."))
    return sorted(path.relative_to(folder.raw).as_posix() for path in found)


def wrong_count(target: Asset, cache: Path) -> str:
    """Says so where the images found are not as many as the card says; nothing where they are, or it does not say.

    Raises DataError where there are no images at all.
    """
    found = len(raw_target(target, cache).images)
    if target.count in (None, found):
        return ""
    return f"{target.name}: {found} images found, its card says {target.count}; is the download whole?"


def verify(target: Asset, cache: Path, progress: Progress) -> Iterator[str]:
    """Read all files of a target and yield a line for each thing that is right. DataError at the first that is not."""
    folder, card = raw_folder(cache, target), owner(target)
    lock, found = folder.read_lock(), raw_files(folder)
    if not lock.files:
        raise DataError(f"{target.name} was not fetched; first: python -m benchmark datasets fetch {card.name}")
    if strange := sorted(lock.files.keys() ^ set(found)):
        where = "is missing" if strange[0] in lock.files else "was never fetched"
        raise DataError(f"{target.name}: {strange[0]} {where} in {folder.raw}; fetch it again")
    remote = {file.name: file for file in card.files}
    for name in progress(found, len(found), f"check {card.name}"):
        path = folder.raw / name
        file = remote.get(name) or RemoteFile(name=name, login="given")
        require_same(file, path, path.stat().st_size, sha256_of(path), lock.files[name].sha256)
    published = sum(remote[name].sha256 is not None for name in found if name in remote)
    yield f"{len(found)} files as first fetched, {published} of them with a published hash; digest {lock.digest}"
    if target.kind == "source":
        return
    yield _checked_images(target, cache, folder, progress)
    if lock.dead:
        yield f"{len(lock.dead)} listed images could not be downloaded"
    for path in sorted(target_folder(cache, target.name).prepared(0, "").parent.glob("*.zip")):
        yield f"{path.name}: {_checked_prepared(path, target, progress)}"


def _checked_images(target: Asset, cache: Path, folder: TargetFolder, progress: Progress) -> str:
    """Number of images, and their published MD5 where there is a list."""
    if problem := wrong_count(target, cache):
        raise DataError(problem)
    raw = raw_target(target, cache)
    said = f"{len(raw.images)} images" + (", as published" if target.count else "; no number is published")
    said += f"; {raw.copies} more files are copies of these and left out" if raw.copies else ""
    listed = folder.raw / target.layout.checksums if target.layout.checksums else None
    if listed is None or not listed.is_file():
        return said
    published, archives = _published_md5(listed), [Archive(path) for path in raw.archives]
    for image in progress(raw.images, len(raw.images), f"compare {target.name} with {listed.name}"):
        name = image.file.rpartition("/")[2]
        with archives[image.archive].stream(image.file) as stream:
            if md5_of_stream(stream) != published.get(name):
                raise DataError(f"{target.name}: {name} has not the MD5 that {listed.name} lists; fetch it again")
    return f"{said}; MD5 of each as in {listed.name}"


def _published_md5(path: Path) -> dict[str, str]:
    """{file name: MD5} of a list such as MetFaces': objects with image_path and image_md5."""
    try:
        listed = json.loads(path.read_bytes())
        return {str(one["image_path"]).rpartition("/")[2]: str(one["image_md5"]) for one in listed}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path} is no list of image_path and image_md5; fetch it again") from error


def _checked_prepared(path: Path, target: Asset, progress: Progress) -> str:
    note = read_provenance(path)
    if note is None:
        raise DataError(f"{path} is missing; prepare the set again")
    require_shots(path.name, note.images, target.few_shot.shots if target.few_shot else None)
    pictures = PreparedPictures(path, note, ALL, ALL)
    for _ in progress(pictures.draw(0, pictures.count), pictures.count, f"check {path.name}"):
        pass
    copies = len(note.images) - pictures.count
    return f"{pictures.count} images as prepared" + (f"; {copies} more have the pixels of these" if copies else "")

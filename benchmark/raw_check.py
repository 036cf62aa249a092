"""Whether fetched and prepared files are what their publishers, an earlier run and our own notes say."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Any

from benchmark.archives import Archive
from benchmark.errors import DataError
from benchmark.files import sha256_of
from benchmark.prepared import PreparedPictures, read_provenance
from benchmark.raw_sets import raw_target
from benchmark.targets import RemoteFile, Target, TargetFolder, owner, raw_folder, target_folder

Progress = Callable[[Iterable[Any], int, str], Iterable[Any]]
ALL = 1 << 40
"""More images than any set has."""


def require_same(file: RemoteFile, path: Path, size: int, sha256: str, locked: str | None) -> None:
    """DataError unless the file at `path` is what its card and an earlier run say."""
    if file.bytes is not None and size != file.bytes:
        raise DataError(f"{file.name} has {size} bytes, its card says {file.bytes}; fetch it again")
    if file.sha256 is not None and sha256 != file.sha256:
        raise DataError(f"{file.name} has sha256 {sha256}, its card says {file.sha256}; fetch it again")
    if file.md5 is not None and md5_of(path) != file.md5:
        raise DataError(f"{file.name} has MD5 {md5_of(path)}, its card says {file.md5}; fetch it again")
    if locked is not None and sha256 != locked:
        raise DataError(
            f"{file.name} has sha256 {sha256}, it had {locked} when it was first fetched: was it published anew, or "
            "altered? To trust it as it is now, remove lock.json"
        )
    if file.name.lower().endswith(".zip") and not zipfile.is_zipfile(path):
        raise DataError(f"{file.name} is no whole ZIP ({size} bytes); fetch it again")


def md5_of(path: Path) -> str:
    """Hex digest of a file's content, to compare with published ones; MD5 proves no origin."""
    with path.open("rb") as file:
        return _md5(file)


def _md5(file: BufferedReader | BytesIO) -> str:
    return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def raw_files(folder: TargetFolder) -> list[str]:
    """Paths of the fetched files below raw/, without parts of unfinished ones, in order."""
    found = (path for path in folder.raw.rglob("*") if path.is_file() and not path.name.startswith("."))
    return sorted(path.relative_to(folder.raw).as_posix() for path in found)


def wrong_count(target: Target, cache: Path) -> str:
    """Says so where the images found are not as many as the card says; nothing where they are, or it does not say.

    Raises DataError where there are no images at all.
    """
    found = len(raw_target(target, cache).images)
    if target.count in (None, found):
        return ""
    return f"{target.name}: {found} images found, its card says {target.count}; is the download whole?"


def verify(target: Target, cache: Path, progress: Progress) -> Iterator[str]:
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
        yield f"{len(lock.dead)} listed pictures could not be had"
    for path in sorted(target_folder(cache, target.name).prepared(0, "").parent.glob("*.zip")):
        yield f"{path.name}: {_checked_prepared(path, progress)} images as prepared"


def _checked_images(target: Target, cache: Path, folder: TargetFolder, progress: Progress) -> str:
    """Number of images, and their published MD5 where there is a list."""
    if problem := wrong_count(target, cache):
        raise DataError(problem)
    raw = raw_target(target, cache)
    said = f"{len(raw.images)} images" + (", as published" if target.count else "; no number is published")
    listed = folder.raw / target.layout.checksums if target.layout.checksums else None
    if listed is None or not listed.is_file():
        return said
    published, archives = _published_md5(listed), [Archive(path) for path in raw.archives]
    for image in progress(raw.images, len(raw.images), f"compare {target.name} with {listed.name}"):
        name = image.file.rpartition("/")[2]
        with archives[image.archive].stream(image.file) as stream:
            if _md5(stream) != published.get(name):
                raise DataError(f"{target.name}: {name} has not the MD5 that {listed.name} lists; fetch it again")
    return f"{said}; MD5 of each as in {listed.name}"


def _published_md5(path: Path) -> dict[str, str]:
    """{file name: MD5} of a list such as MetFaces': objects with image_path and image_md5."""
    try:
        listed = json.loads(path.read_bytes())
        return {str(one["image_path"]).rpartition("/")[2]: str(one["image_md5"]) for one in listed}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path} is no list of image_path and image_md5; fetch it again") from error


def _checked_prepared(path: Path, progress: Progress) -> int:
    note = read_provenance(path)
    if note is None:
        raise DataError(f"{path} has gone; prepare the set again")
    pictures = PreparedPictures(path, note, ALL, ALL)
    for _ in progress(pictures.draw(0, pictures.count), pictures.count, f"check {path.name}"):
        pass
    return pictures.count

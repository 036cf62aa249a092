"""Raw archives and folders -> prepared ZIPs (see `prepared`): cropped, resized, in the same bytes on every machine.

Every image is decoded once, whatever the number of resolutions, in several processes; what waits in memory are a few
images per process. Files that are no usable images are left out with a reason.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, get_args

import PIL
from PIL import Image

from benchmark.config import Filter
from benchmark.domains.assets import Asset, prepared_path, target_folder
from benchmark.domains.pictures.archives import Archive
from benchmark.domains.pictures.faces import align
from benchmark.domains.pictures.images import FORMATS, reason_of
from benchmark.domains.pictures.pixels import VERSION, check_size, cropped, scaled, upright
from benchmark.domains.pictures.raw_images import Raw, RawSet, raw_target
from benchmark.domains.prepared import Entry, Writer, new_prepared, png, read_provenance, require_shots
from benchmark.errors import ConfigError, DataError
from benchmark.system.files import clear_temporaries
from benchmark.system.locks import alone
from benchmark.system.pool import cores, in_processes

RESAMPLING: dict[str, Image.Resampling] = {
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,  # FID on FFHQ 256 was published with it
    "squash_bilinear": Image.Resampling.BILINEAR,  # not cropped but squashed
}
CHUNK_BYTES = 4 << 20  # pixels that travel from a process at once

Progress = Callable[[Iterable[Any], int, str], Iterable[Any]]


@dataclass(frozen=True)
class Made:
    """What became of a set at one resolution."""

    path: Path
    images: int
    skipped: int
    new: bool
    enlarged: int = 0
    """Of the images: how many were smaller."""


def prepare(
    raw: RawSet,
    resolutions: Sequence[int],
    out: Path,
    filter: Filter = "lanczos",
    workers: int | None = None,
    progress: Progress | None = None,
    may_replace: bool = False,
) -> dict[int, Made]:
    """Write ``out/NAME-RESOLUTION-FILTER.zip`` for each resolution; by resolution what became of it.

    A ZIP made from the same files with the same settings is kept. ``workers`` processes, default: all cores.
    A ZIP appears when it is whole. Raises ConfigError for settings that make no sense, DataError where no image is
    usable, nothing can be written, or a ZIP there is of files that are not in the set (unless it ``may_replace`` that).
    """
    if filter not in RESAMPLING:
        raise ConfigError(f"--filter {filter}: expected {', '.join(get_args(Filter))}.")
    wrong = [px for px in resolutions if px < 4 or px > 2048]
    if not resolutions or wrong:
        raise ConfigError(f"--resolution {wrong or 'of nothing'}: give sides from 4 to 2048 px.")
    request, made = _request(raw, filter), dict[int, Made]()
    try:
        out.mkdir(parents=True, exist_ok=True)
        with alone(out / f".{raw.name}.lock"):
            wanted = []
            for px in dict.fromkeys(resolutions):
                path = prepared_path(out, raw.name, px, filter)
                there = _kept(path, request)
                if there:
                    made[px] = there
                else:
                    if not may_replace:
                        _require_same_set(path, raw)
                    wanted.append(px)
                    clear_temporaries(out, f"{path.name}.")  # of a process that was killed: we hold the lock
            if wanted:
                made |= _make(raw, wanted, out, filter, request, workers or cores(), progress)
    except OSError as error:
        raise DataError(f"{raw.name} cannot be prepared in {out}: {error}; is the disk full?") from error
    return {px: made[px] for px in dict.fromkeys(resolutions)}


def prepare_target(
    target: Asset,
    cache: Path,
    resolutions: Sequence[int],
    filter: Filter = "lanczos",
    workers: int | None = None,
    progress: Progress | None = None,
) -> dict[int, Made]:
    """`prepare` a target's fetched files to where domains look for them: `target_folder(cache, NAME).prepared(...)`."""
    out = target_folder(cache, target.name).prepared(resolutions[0] if resolutions else 0, filter).parent
    return prepare(raw_target(target, cache), resolutions, out, filter, workers, progress, may_replace=True)


def _kept(path: Path, request: str) -> Made | None:
    try:
        note = read_provenance(path)
    except DataError:
        return None  # it is prepared again
    if note is None or note.request != request:
        return None
    return Made(path, len(note.images), len(note.skipped), new=False, enlarged=note.enlarged)


def _require_same_set(path: Path, raw: RawSet) -> None:
    """DataError where the ZIP at `path` holds files that `raw` lacks: folders in two places may have one name."""
    try:
        note = read_provenance(path)
    except DataError:
        return  # it is prepared again
    here = {*(image.name for image in raw.images), *(file for file, _ in raw.skipped)}
    other = [image.file for image in note.images if image.file not in here] if note else []
    if other:
        raise DataError(
            f"{path} has {len(other)} images that are not in {raw.name}, the first: {other[0]}; is it of another "
            "folder? Remove it, or choose another --out."
        )


def _request(raw: RawSet, filter: str) -> str:
    """Sha256 of all that is asked for: settings, and names and content (size, CRC-32) of the files."""
    archives = [Archive(path) for path in raw.archives]
    images = []
    for image in raw.images:
        archive = archives[image.archive]
        try:
            content = archive.size(image.file), archive.checksum(image.file)
        except (OSError, KeyError):
            content = -1, 0
        images.append([image.name, image.split, image.label, repr(image.face), *content])
    text = json.dumps([VERSION, raw.name, raw.rule, filter, images, sorted(raw.skipped)])
    return hashlib.sha256(text.encode()).hexdigest()


def _make(
    raw: RawSet,
    resolutions: list[int],
    out: Path,
    filter: Filter,
    request: str,
    workers: int,
    progress: Progress | None,
) -> dict[int, Made]:
    facts = {"name": raw.name, "filter": filter, "rule": raw.rule, "request": request, "pillow": PIL.__version__}
    with ExitStack() as stack:
        writers = {
            px: stack.enter_context(new_prepared(prepared_path(out, raw.name, px, filter))) for px in resolutions
        }
        images: Iterable[tuple[Raw, list[Squared]]] = _squares(raw, resolutions, filter, workers)
        if progress:
            images = progress(images, len(raw.images), f"prepare {raw.name}")
        for image, squares in images:
            for writer, square in zip(writers.values(), squares, strict=True):
                if isinstance(square, str):
                    writer.skipped.append((image.name, square))
                else:
                    writer.add(Entry(file=image.name, split=image.split, sha256=square.sha256), square.png, image.label)
                    writer.enlarged += square.enlarged
        for px, writer in writers.items():
            writer.skipped = sorted([*raw.skipped, *writer.skipped])
            _require_images(raw, px, writer)
            writer.finish({**facts, "resolution": px, "enlarged": writer.enlarged})
    return {
        px: Made(prepared_path(out, raw.name, px, filter), len(w.entries), len(w.skipped), True, w.enlarged)
        for px, w in writers.items()
    }


def _require_images(raw: RawSet, px: int, writer: Writer) -> None:
    reasons = sorted({reason for _, reason in writer.skipped})[:4]
    why = f" ({len(writer.skipped)} skipped: {'; '.join(reasons)})" if reasons else ""
    if not writer.entries:
        raise DataError(f"{raw.name}: no usable image at {px} px{why}; check what was fetched.")
    require_shots(raw.name, writer.entries, raw.shots, why)


class Square(NamedTuple):
    """An image at one resolution."""

    png: bytes
    sha256: str  # of its pixels
    enlarged: bool


Squared = Square | str
"""The image, or why it is skipped."""


@dataclass(frozen=True)
class Task:
    """A few images' worth of work for one process."""

    archives: tuple[tuple[Path, int], ...]
    images: tuple[Raw, ...]
    resolutions: tuple[int, ...]
    filter: Filter


def _squares(
    raw: RawSet, resolutions: Sequence[int], filter: Filter, workers: int
) -> Iterator[tuple[Raw, list[Squared]]]:
    """Each image at each resolution, in order."""
    size = max(1, CHUNK_BYTES // sum(3 * px**2 for px in resolutions))
    archives = tuple((path, path.stat().st_mtime_ns) for path in raw.archives)
    task = Task(archives, (), tuple(resolutions), filter)
    tasks = [replace(task, images=raw.images[at : at + size]) for at in range(0, len(raw.images), size)]
    for done, results in zip(tasks, in_processes(make_squares, tasks, workers, f"preparing {raw.name}"), strict=True):
        yield from zip(done.images, results, strict=True)


def make_squares(task: Task) -> list[list[Squared]]:
    """Decode each image of a task once, and make it square at each resolution."""
    return [
        _image_squares(_archive(*task.archives[image.archive]), image, task.resolutions, task.filter)
        for image in task.images
    ]


def _image_squares(archive: Archive, raw: Raw, resolutions: Sequence[int], filter: Filter) -> list[Squared]:
    try:
        with archive.stream(raw.file) as stream, Image.open(stream, formats=FORMATS) as image:
            check_size(image.size, 0)
            picture = upright(image, turned=raw.face is None)  # the landmarks are of the picture as it is stored
        if raw.face:
            picture = align(picture, raw.face)
        square = picture if filter == "squash_bilinear" else cropped(picture)
    except Exception as error:  # damaged files make the decoders raise nearly anything
        return [_why(error, archive, raw.file)] * len(resolutions)
    return [_square(square, px, picture.size, filter) for px in resolutions]


def _square(square: Image.Image, px: int, size: tuple[int, int], filter: Filter) -> Squared:
    """At one resolution; `size` is that of the whole picture."""
    try:
        check_size(size, px)
    except ValueError as error:
        return str(error)
    pixels = scaled(square, px, RESAMPLING[filter])
    return Square(png(pixels), hashlib.sha256(pixels.tobytes()).hexdigest(), min(size) < px)


def _why(error: Exception, archive: Archive, name: str) -> str:
    return "missing" if isinstance(error, (FileNotFoundError, KeyError)) else reason_of(error, archive, name)


@lru_cache(maxsize=4)
def _archive(path: Path, changed_ns: int) -> Archive:
    """An archive, opened once per process, and again if the file changed."""
    return Archive(path)

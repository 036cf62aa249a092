"""Prepared images: a ZIP in the layout of NVIDIA's dataset tool, with a note of what it was made from.

`00000/img00000000.png` and so on, stored and uncompressed; `dataset.json` with labels; and `provenance.json`, which
NVIDIA's code does not look at, with each image's own file name, split and pixel hash, and all files that were skipped.
Equal images and settings give equal bytes. `open_target` makes a domain of such a ZIP.
"""

from __future__ import annotations

import glob
import hashlib
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image
from pydantic import Field, ValidationError

from benchmark.config import Filter, Frozen
from benchmark.domains.assets import Asset, raw_folder, target_folder
from benchmark.domains.cards import Card
from benchmark.domains.pictures.archives import Archive
from benchmark.domains.split import enlarged_told
from benchmark.errors import DataError
from benchmark.system.files import new_file

LABELS, PROVENANCE = "dataset.json", "provenance.json"
MAX_NOTE_BYTES = 128 << 20
STORED_BYTES = 0xFFFF  # of a block that is not compressed, by the format
Split = Literal["train", "test"]
Rule = Literal["official", "few_shot", "few_shot_by_name_hash", "by_name_hash"]


class Entry(Frozen):
    """One image of a prepared ZIP."""

    file: str = Field(description="where it came from, below the archive's root")
    split: Split
    sha256: str = Field(description="of its pixels, uint8 [R,R,3]")


class Provenance(Frozen):
    """What a prepared ZIP was made from, and how."""

    schema_version: Literal[1] = Field(1, alias="schema")
    name: str
    resolution: int = Field(ge=4)
    filter: str
    rule: Rule = Field(description="who decided on the splits: the authors, a published list of shots, or we by names")
    request: str = Field(description="sha256 of settings and of names and content of the files that it was made from")
    pillow: str = Field(description="version of the library that decoded and resized")
    images: tuple[Entry, ...]
    skipped: tuple[tuple[str, str], ...] = Field(description="(file, reason)")
    enlarged: int = Field(0, ge=0, description="of the images: how many were smaller")

    @property
    def digest(self) -> str:
        """Sha256 over the pixels' hashes, in order."""
        return hashlib.sha256("".join(image.sha256 for image in self.images).encode()).hexdigest()

    def count(self, split: Split) -> int:
        """Images of a split."""
        return sum(image.split == split for image in self.images)


class Writer:
    """Collects images for a prepared ZIP; use `new_prepared`."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self.entries: list[Entry] = []
        self.labels: list[int | None] = []
        self.skipped: list[tuple[str, str]] = []
        self.enlarged = 0

    def add(self, entry: Entry, png: bytes, label: int | None) -> None:
        """The next image."""
        self._write(member(len(self.entries)), png)
        self.entries.append(entry)
        self.labels.append(label)

    def finish(self, facts: dict[str, Any]) -> None:
        """Write the notes; `facts` are those of `Provenance` besides images and skipped files."""
        labels = None
        if None not in self.labels:
            labels = [[member(number), label] for number, label in enumerate(self.labels)]
        self._write(LABELS, json.dumps({"labels": labels}).encode())
        note = Provenance(schema=1, images=self.entries, skipped=self.skipped, **facts)
        self._write(PROVENANCE, note.model_dump_json(by_alias=True).encode())

    def _write(self, name: str, content: bytes) -> None:
        info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
        info.create_system, info.external_attr = 3, 0o644 << 16  # the same on every system
        self._archive.writestr(info, content)


def member(number: int) -> str:
    """Name of an image in the ZIP."""
    return f"{number // 1000:05d}/img{number:08d}.png"


@contextmanager
def new_prepared(path: Path) -> Iterator[Writer]:
    """A writer whose ZIP becomes `path` when the block ends well; otherwise nothing is left. OSError as usual."""
    with new_file(path) as temporary, zipfile.ZipFile(temporary, "x", zipfile.ZIP_STORED) as archive:
        yield Writer(archive)


def read_provenance(path: Path) -> Provenance | None:
    """The note of a prepared ZIP; None where there is no such file. Raises DataError for another kind of file."""
    if not path.is_file():
        return None
    try:
        archive = Archive(path)
        if archive.size(PROVENANCE) > MAX_NOTE_BYTES:
            raise DataError(f"{path}: its {PROVENANCE} is too large; prepare the set again.")
        return Provenance.model_validate_json(archive.stream(PROVENANCE).read())
    except (OSError, KeyError, ValidationError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is no prepared set: {PROVENANCE} is missing or damaged; prepare it again.") from error


def require_shots(name: str, images: Sequence[Entry], shots: int | None, why: str = "") -> None:
    """DataError unless there are so many different pictures to train on; None: any number will do."""
    different = len({image.sha256 for image in images if image.split == "train"})
    if shots is not None and different != shots:
        raise DataError(
            f"{name}: {shots} shots are {shots} different pictures, and {different} are usable{why}; "
            "fetch the set again, then prepare it again."
        )


class PreparedPictures:
    """Images of a prepared ZIP by split: the first ``held_out`` for testing, then those to train on.

    Of each split the first `test` and `train` in the order of their names' hashes, so a small set is the beginning of
    a large one. With `test` 0 nothing is held out: the training images are the reference, as published, and where the
    split is our own all images are trained on. Where something is held out, of equal images only one is kept: that of
    the test split, so that it is the same for all; but shots stay shots, and are not tested on.
    """

    skipped: tuple[tuple[str, str], ...]

    def __init__(self, path: Path, note: Provenance, train: int, test: int) -> None:
        self.path, self.note = path, note
        order = sorted(range(len(note.images)), key=lambda i: name_hash(note.images[i].file))
        of: dict[Split, list[int]] = {"test": [], "train": []}
        for number in order:
            of[note.images[number].split].append(number)
        copies: list[int] = []
        if test:
            first: Split = "train" if note.rule.startswith("few_shot") else "test"
            seen: set[str] = set()
            for split in sorted(of, key=lambda split: split != first):
                numbers, of[split] = of[split], []
                for number in numbers:
                    pixels = note.images[number].sha256
                    (copies if pixels in seen else of[split]).append(number)
                    seen.add(pixels)
        elif note.rule == "by_name_hash":
            of["train"] = order
        self.held_out = min(test, len(of["test"]))
        self._numbers = of["test"][: self.held_out] + of["train"][:train]
        same = [(note.images[number].file, "same pixels as another image") for number in copies]
        self.skipped = (*note.skipped, *same)
        self.count = len(self._numbers)

    def recipe(self) -> dict[str, Any]:
        """All that the pixels depend on."""
        return {"prepared": self.note.digest, "numbers": self._numbers, "held_out": self.held_out}

    def draw(self, start: int, stop: int) -> Iterator[tuple[str, np.ndarray]]:
        """Yields (file, uint8 [3,R,R]). Raises DataError where the ZIP does not hold what its note says."""
        archive = Archive(self.path)
        side = self.note.resolution
        for number in self._numbers[start:stop]:
            entry = self.note.images[number]
            try:
                with Image.open(archive.stream(member(number)), formats=("PNG",)) as image:
                    pixels = np.asarray(image)
            except Exception as error:  # damaged files make the decoders raise nearly anything
                raise DataError(f"{self.path}: {member(number)} cannot be read; prepare the set again.") from error
            if pixels.shape != (side, side, 3) or hashlib.sha256(pixels.tobytes()).hexdigest() != entry.sha256:
                raise DataError(f"{self.path}: {member(number)} was changed; prepare the set again.")
            yield entry.file, np.ascontiguousarray(pixels.transpose(2, 0, 1))


def name_hash(file: str) -> tuple[str, str]:
    """What images are put in order by: the hash of the file's name without folder and ending, then the whole name."""
    return hashlib.sha256(stem_of(file).encode()).hexdigest(), file


def stem_of(file: str, group: re.Pattern[str] | None = None) -> str:
    """A file's name without folder and ending; of that what the pattern `group` captures, where it fits."""
    stem = file.rpartition("/")[2].rpartition(".")[0] or file
    found = group.fullmatch(stem) if group else None
    return found[1] if found else stem


def held_out_by_name(file: str, share: float, group: re.Pattern[str] | None = None) -> bool:
    """Whether our own split holds out the image: so by its name that further images change nothing for this one.

    Images whose names agree in `group` (see `stem_of`) are on one side.
    """
    return int(hashlib.sha256(stem_of(file, group).encode()).hexdigest()[:8], 16) < share * 2**32


def png(pixels: np.ndarray) -> bytes:
    """uint8 [R,R,3] as a PNG without filters and compression: by hand, so that no library's choices change the bytes.

    Pillow would look for the best filter of each row even then, which takes ten times as long.
    """
    height, width, _ = pixels.shape
    rows = np.zeros((height, 1 + 3 * width), np.uint8)  # each begins with the number of its filter: none
    rows[:, 1:] = pixels.reshape(height, -1)
    raw = rows.tobytes()
    stream = [b"\x78\x01"]
    for at in range(0, len(raw), STORED_BYTES):
        part = raw[at : at + STORED_BYTES]
        stream += [struct.pack("<BHH", at + STORED_BYTES >= len(raw), len(part), len(part) ^ 0xFFFF), part]
    stream.append(struct.pack(">I", zlib.adler32(raw)))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits, RGB
    chunks = (b"IHDR", head), (b"IDAT", b"".join(stream)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))


SPLITS: dict[Rule, str] = {
    "official": "official split",
    "few_shot": "published list of shots",
    "few_shot_by_name_hash": "shots chosen by us, by their names: no list is published",
    "by_name_hash": "split by us, by names",
}


@dataclass(frozen=True)
class Wanted:
    """Which images of a domain, how large, and how they were resized."""

    name: str
    resolution: int
    train: int
    test: int
    filter: Filter = "lanczos"


def open_target(target: Asset, wanted: Wanted, cache: Path) -> tuple[Card, PreparedPictures]:
    """Card and images of a target; `DataError` where it is not prepared, with the commands that get it."""
    name, px, resized = wanted.name, wanted.resolution, wanted.filter
    path = target_folder(cache, name).prepared(px, resized)
    note = read_provenance(path)
    if note is None:
        chosen = "" if resized == "lanczos" else f" --filter {resized}"
        raise DataError(
            f"domain {name!r} is not prepared at {px} px with {resized}; first: python -m benchmark datasets fetch "
            f"{name}; then: python -m benchmark datasets prepare {name} --resolution {px}{chosen}"
            + (f". For the folder of yours that is called so: --domains ./{name}" if Path(name).exists() else "")
        )
    require_shots(f"domain {name!r}", note.images, target.few_shot.shots if target.few_shot else None)
    pictures = PreparedPictures(path, note, wanted.train, wanted.test)
    if wanted.test and not pictures.held_out:
        raise DataError(f"domain {name!r} has no held-out images; score against the training images: split.test=0")
    if pictures.count == pictures.held_out:
        raise DataError(f"domain {name!r} has no images to train on in {path}; prepare it again")
    about = {"schema": 1, "name": name, "title": target.title, "kind": "target", "homepage": target.homepage}
    about |= {"creator": target.creator, "attribution": target.creator}
    about |= {"licence": target.licence, "licence_url": target.licence_url}
    about |= {"notes": f"{SPLITS[note.rule]}; resized with {resized}"}
    remarks = enlarged_told(note.enlarged, len(note.images), px)
    if target.count not in (None, len(note.images)):
        said = f"{len(note.images):,} images, published were {target.count:,}: its published numbers are of another set"
        remarks, about["whole"] = (said, *remarks), False
    return Card.model_validate({**about, "remarks": remarks}), pictures


def state(target: Asset, cache: Path) -> str:
    """How much of a target is available locally, in a few words."""
    folder = target_folder(cache, target.name).prepared(0, "").parent
    start = f"{target.name}-"
    prepared = [
        path.stem.removeprefix(start).replace("-", " px ") for path in sorted(folder.glob(f"{glob.escape(start)}*.zip"))
    ]
    if prepared:
        return f"prepared: {', '.join(prepared)}"
    raw = raw_folder(cache, target).raw
    return "fetched, not prepared" if raw.is_dir() and any(raw.iterdir()) else "not here"

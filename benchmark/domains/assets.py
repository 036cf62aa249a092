"""The standard target sets and pretrained networks of the field: one YAML card each, and where their files lie.

Their files are not part of the suite: `python -m benchmark datasets fetch NAME` gets them. Cards of image sets are on
the shelf `datasets/targets/`, cards of checkpoints on `datasets/sources/`. A value that was never published is null.
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from io import BufferedReader, BytesIO
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, ValidationError, model_validator

from benchmark.config import Frozen
from benchmark.domains.cards import card_shelf
from benchmark.domains.pictures.archives import hidden_part, safe_name
from benchmark.errors import DataError, UnknownName
from benchmark.system.files import new_file
from benchmark.system.text.plain_yaml import plain_yaml

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp"})
Role = Literal["train", "test"]
Sha256 = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
Md5 = Annotated[str, StringConstraints(pattern="^[0-9a-f]{32}$")]


SafeName = Annotated[str, AfterValidator(safe_name)]


class RemoteFile(Frozen):
    """One file to get."""

    name: SafeName = Field(description="what it is called in raw/")
    url: str | None = Field(None, description="null: it needs a manual download, see login")
    mirrors: tuple[str, ...] = Field((), description="tried in this order when the url fails")
    bytes: int | None = Field(None, ge=1, description="null: not published")
    sha256: Sha256 | None = Field(None, description="null: not published; the first download is trusted and locked")
    md5: Md5 | None = None
    login: str | None = Field(None, description="what to do by hand, on one screen, where a login or a form is needed")
    optional: bool = Field(False, description="what the set can be used without")

    @model_validator(mode="after")
    def _can_be_had(self) -> RemoteFile:
        if self.url is None and self.login is None:
            raise ValueError(f"file {self.name}: give a url, or say under login how a person gets it")
        return self


class Layout(Frozen):
    """Where the images lie: patterns of the ends of paths; a `*` stands for anything, folders included.

    A path begins with the archive's or the folder's name, so `train/cat/*` finds `raw/afhq/train/cat/a.png`, and
    `shots.zip/*` all images of that archive.
    """

    images: tuple[str, ...] = Field((), description="all images, or those for training where test is given")
    test: tuple[str, ...] = Field((), description="the images of the official test split")
    landmarks: SafeName | None = Field(None, description="file of URLs and face landmarks: images are cut out by it")
    checksums: SafeName | None = Field(None, description="file of raw/ that lists the MD5 of each image")

    def role(self, path: str) -> Role | None:
        """Split of the image at this path with forward slashes; None for what is no image of the set."""
        at = PurePosixPath(path)
        if at.suffix.lower() not in IMAGE_SUFFIXES or hidden_part(path):
            return None
        if any(fnmatchcase(f"/{path}", f"*/{pattern}") for pattern in self.test):
            return "test"
        return "train" if any(fnmatchcase(f"/{path}", f"*/{pattern}") for pattern in self.images) else None


class Splits(Frozen):
    """Which images are held out, and what published tables do instead."""

    rule: Literal["official", "by_name_hash"]
    share: float = Field(0.0, ge=0, lt=1, description="by_name_hash: the held-out share of the names")
    group: re.Pattern[str] | None = Field(None, description="of names without ending: equal in its group, on one side")
    published: str = Field("", description="what published tables take for the reference")


class FewShot(Frozen):
    """A subset of a few training images."""

    shots: int = Field(ge=1)
    names: tuple[str, ...] | None = Field(None, description="file names without folders; null: not published as text")


class Asset(Frozen):
    """A target set or a checkpoint: who made it, under which licence, which files, how they are laid out."""

    schema_version: Literal[1] = Field(1, alias="schema")
    name: str
    kind: Literal["target", "source"] = "target"
    title: str
    homepage: str
    licence: str
    licence_url: str = ""
    non_commercial: bool
    creator: str
    paper: str = ""
    count: int | None = Field(None, ge=1, description="images there are, test split included; null: not published")
    size: str = Field("", description="of the images as published, in words")
    files: tuple[RemoteFile, ...] = ()
    files_of: str | None = Field(None, description="the set whose files these images are among; null: own files")
    raw_gb: float | None = Field(None, gt=0, description="disk space for the files, about; null: not published")
    layout: Layout = Layout()
    splits: Splits = Splits(rule="by_name_hash")
    few_shot: FewShot | None = None
    notes: str = ""

    @model_validator(mode="after")
    def _hangs_together(self) -> Asset:
        names = [f.name for f in self.files]
        if len(set(names)) < len(names):
            raise ValueError("two files have one name")
        if bool(names) == bool(self.files_of):
            raise ValueError("give either files or files_of")
        for wanted in (self.layout.landmarks, self.layout.checksums):
            if wanted is not None and wanted not in names:
                raise ValueError(f"layout names {wanted}, which is none of the files")
        if self.splits.group and self.splits.group.groups != 1:
            raise ValueError("splits.group needs one pair of parentheses, around what is equal")
        if self.splits.rule == "official" and not self.layout.test:
            raise ValueError("an official split needs layout.test")
        if self.few_shot and self.few_shot.names and len(self.few_shot.names) != self.few_shot.shots:
            raise ValueError(f"few_shot has {len(self.few_shot.names)} names for {self.few_shot.shots} shots")
        return self


class LockedFile(Frozen):
    """A file as it was first had."""

    url: str | None = Field(None, description="where from; null: given by a person")
    bytes: int
    sha256: Sha256


class Lock(Frozen):
    """What a target's raw files were on the first use; later runs have to find the same. No dates, no paths."""

    schema_version: Literal[1] = Field(1, alias="schema")
    files: dict[SafeName, LockedFile] = Field(default_factory=dict, description="by path in raw/")
    dead: dict[str, str] = Field(default_factory=dict, description="listed images whose links were dead: reason")
    digest: str | None = Field(None, description="sha256 over names and hashes of all files, in order of names")


@dataclass(frozen=True)
class TargetFolder:
    """Where the files of a target lie."""

    name: str
    path: Path

    @property
    def raw(self) -> Path:
        """Fetched files: archives as they came, and loose images."""
        return self.path / "raw"

    @property
    def lock(self) -> Path:
        """Hashes of the fetched files, trusted on first use."""
        return self.path / "lock.json"

    def prepared(self, resolution: int, filter_name: str) -> Path:
        """The prepared ZIP at `resolution` px; `filter_name` is how it was resized, such as lanczos."""
        return prepared_path(self.path / "prepared", self.name, resolution, filter_name)

    def read_lock(self) -> Lock:
        """The lock, empty before the first fetch; DataError for a damaged one."""
        if not self.lock.exists():
            return Lock(schema=1)
        try:
            return Lock.model_validate_json(self.lock.read_bytes())
        except (OSError, ValidationError) as error:
            raise DataError(
                f"target {self.name}: {self.lock} cannot be read ({type(error).__name__}); "
                "remove it and fetch again to trust the new files"
            ) from error

    def write_lock(self, lock: Lock) -> None:
        """Replace the lock."""
        with new_file(self.lock) as temporary:
            temporary.write_text(json.dumps(lock.model_dump(by_alias=True), indent=1, sort_keys=True) + "\n", "utf-8")


def prepared_path(folder: Path, name: str, resolution: int, filter_name: str) -> Path:
    """Where a prepared set lies."""
    return folder / f"{name}-{resolution}-{filter_name}.zip"


def target_folder(cache: Path, name: str) -> TargetFolder:
    """Where files of the target `name` lie below the cache, whether or not there are any.

    A part of another set uses that set's raw/ and lock: see `raw_folder`.
    """
    return TargetFolder(name, Path(cache) / "targets" / name)


def raw_folder(cache: Path, target: Asset) -> TargetFolder:
    """The folder whose raw/ holds this target's images: its own, or that of the set that it is a part of."""
    return target_folder(cache, target.files_of or target.name)


def fetched_checkpoint(card: Asset, cache: Path) -> Path:
    """The fetched file of a pretrained network; `DataError` if it was not fetched, with the command that does."""
    path = target_folder(cache, card.name).raw / card.files[0].name
    if not path.is_file():
        raise DataError(f"{card.name} was not fetched; first: python -m benchmark datasets fetch {card.name}")
    return path


def list_targets(kind: Literal["target", "source"] | None = None) -> dict[str, Asset]:
    """All cards by name, of one kind or of both. Raises `DataError` for a card that does not read."""
    found: dict[str, Asset] = {}
    for folder in ("targets", "sources"):
        for path in sorted((card_shelf() / folder).glob("*.yaml")):
            card = read_card(path)
            if card.kind != folder.removesuffix("s"):
                raise DataError(f"card {path.name} says kind: {card.kind}, but lies in {folder}/; move the file")
            if card.name in found:
                raise DataError(f"two cards are called {card.name}, one of them {folder}/{path.name}; rename one")
            found[card.name] = card
    return {name: card for name, card in found.items() if kind in (None, card.kind)}


@lru_cache(maxsize=256)
def _card(path: Path, changed: int, size: int) -> Asset:
    """The card as the file was when it was `changed`; the whole shelf is asked for often."""
    return Asset.model_validate(plain_yaml(path.read_text("utf-8")))


def read_card(path: Path) -> Asset:
    """The card in this file; `DataError` where it does not read or does not carry the file's name."""
    try:
        found = path.stat()
        card = _card(path, found.st_mtime_ns, found.st_size)
    except (OSError, ValueError) as error:
        raise DataError(f"card {path.name} cannot be read: {' '.join(str(error).split())}") from error
    if card.name != path.stem:
        raise DataError(f"card {path.name} names itself {card.name!r}; rename the file or the card")
    return card


def owner(target: Asset) -> Asset:
    """The card whose files a target's images are among: its own, mostly. `UnknownName` where that does not exist."""
    return find_target(target.files_of) if target.files_of else target


def find_target(name: str) -> Asset:
    """The card called `name`; `UnknownName` with near names otherwise."""
    known = list_targets()
    if name not in known:
        raise UnknownName("data set", name, known)
    return known[name]


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
            f"{file.name} has sha256 {sha256}, it had {locked} when it was first fetched: was it published again, or "
            "altered? To trust it as it is now, remove lock.json"
        )
    if file.name.lower().endswith(".zip") and not zipfile.is_zipfile(path):
        raise DataError(f"{file.name} is no whole ZIP ({size} bytes); fetch it again")


def md5_of(path: Path) -> str:
    """Hex digest of a file's content, to compare with published ones; MD5 proves no origin."""
    with path.open("rb") as file:
        return md5_of_stream(file)


def md5_of_stream(file: BufferedReader | BytesIO) -> str:
    """The same of an open file."""
    return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()

"""The raw images of a set and the split of each: what `prepare` starts from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.domains.assets import IMAGE_SUFFIXES, Asset, FewShot, Splits, raw_folder
from benchmark.domains.pictures.archives import HIDDEN, UNSAFE, Archive, Skipped, is_safe, printable
from benchmark.domains.pictures.faces import Face, read_face_list
from benchmark.domains.prepared import LABELS, PROVENANCE, Rule, Split, held_out_by_name, name_hash, stem_of
from benchmark.errors import DataError

HELD_OUT = 0.2
"""Share that our own split holds out of anybody's folder."""
COPY = "copy of another file"
"""Why a file with the bytes of another one is left out."""
BESIDE = "shows what a shot shows"
"""Why a held-out image of a shot's group is left out."""


@dataclass(frozen=True)
class Raw:
    """One image before it is prepared: which file of which archive; where the face is, if it is to be cut out."""

    archive: int
    file: str
    name: str  # in notes; of a face that of its aligned image
    split: Split = "train"
    label: int | None = None
    face: Face | None = None


@dataclass(frozen=True)
class RawSet:
    """All that is to be prepared, in order."""

    name: str
    archives: tuple[Path, ...]
    images: tuple[Raw, ...]
    rule: Rule
    skipped: tuple[tuple[str, str], ...] = ()
    shots: int | None = None
    """So many different pictures there must be to train on."""

    @property
    def copies(self) -> int:
        """Files that were left out because another one has the same bytes."""
        return sum(reason == COPY for _, reason in self.skipped)


def raw_set(path: Path, name: str | None = None, share: float = HELD_OUT) -> RawSet:
    """The images of anybody's folder or ZIP, split by their names; labels are those of its `dataset.json`.

    Raises DataError for a path that cannot be used.
    """
    archive, skipped = Archive(path), list[tuple[str, str]]()
    files = [file for file in archive.names(skipped) if file not in (LABELS, PROVENANCE)]
    labels = _labels(archive, skipped)
    images = [Raw(0, file, printable(file), label=labels.get(file)) for file in files]
    place = path.expanduser().resolve()
    title = name or (place.stem if archive.kind == "zip" else place.name)
    images, rule = _different([archive], images, skipped), Splits(rule="by_name_hash", share=share)
    return RawSet(title, (archive.path,), _by_name(images, rule), "by_name_hash", tuple(skipped))


def raw_target(target: Asset, cache: Path) -> RawSet:
    """The images of a target as fetched to its raw/: archives as they came, loose images, or a list of faces.

    Splits: the official one; where there is a list of shots these are trained on, the others held out; else by the hash
    of the name. Of files with the same bytes one counts. Raises DataError where files are missing, in a line that says
    how to get them, and where shots are missing.
    """
    raw = raw_folder(cache, target)
    lacking = f"{target.name}: no images in {raw.raw}; first: python -m benchmark datasets fetch {raw.name}"
    if not raw.raw.is_dir():
        raise DataError(lacking)
    archives, files, skipped = _found(raw.raw)
    if target.layout.landmarks:
        images, missing = _faces(raw.raw / target.layout.landmarks, files, raw.read_lock().dead)
        skipped += missing
    else:
        images = [
            replace(image, split=role)
            for image in files
            if (role := target.layout.role(f"{archives[image.archive].path.name}/{image.file}")) is not None
        ]
    if not images:
        raise DataError(f"{lacking}{_instead(target, files)}" if files else lacking)
    images = _different(archives, images, skipped, target.few_shot)
    split, rule = _split(target, images, skipped)
    shots = target.few_shot.shots if target.few_shot else None
    return RawSet(target.name, tuple(archive.path for archive in archives), split, rule, tuple(skipped), shots)


def _instead(target: Asset, files: Sequence[Raw]) -> str:
    """What was found where no file has a name as on the card."""
    expected = ", ".join((*target.layout.images, *target.layout.test)) or target.layout.landmarks
    return f". There are {len(files)} images such as {files[0].name}, and none is called {expected}"


def _found(raw: Path) -> tuple[list[Archive], list[Raw], Skipped]:
    """The folder and the ZIPs in it, and every file of these by its name; what is hidden is no part of a set."""
    skipped: Skipped = []
    folder = Archive(raw)
    found = folder.names(skipped)
    names = [name for name in found if is_safe(name)]
    skipped += [(printable(name), UNSAFE) for name in found if not is_safe(name)]
    archives, files = [folder], [Raw(0, name, printable(name)) for name in names if _is_image(name)]
    for name in names:
        if name.lower().endswith(".zip"):
            archive = Archive(raw / name)
            files += [
                Raw(len(archives), member, printable(member)) for member in archive.names(skipped) if _is_image(member)
            ]
            archives.append(archive)
    return archives, files, [(file, reason) for file, reason in skipped if reason != HIDDEN]


def _different(
    archives: Sequence[Archive], images: Sequence[Raw], skipped: Skipped, few: FewShot | None = None
) -> list[Raw]:
    """The images without those whose bytes are another one's, which go to `skipped`; in order.

    The one that stays is a shot, else of the test split, else the first. A file is read only where another one has its
    size and, in ZIPs, its checksum.
    """
    alike = [numbers for same in _groups(images, lambda i: archives[i.archive].size(i.file), range(len(images)))
             for numbers in _groups(images, lambda i: archives[i.archive].checksum(i.file), same)]  # fmt: skip
    left = set[int]()
    for numbers in alike:
        seen = set[tuple[bytes, Face | None]]()
        for number in sorted(numbers, key=lambda n: (not _shot(images[n], few), images[n].split != "test", n)):
            image = images[number]
            content = _content(archives[image.archive], image.file), image.face  # a photograph may have several faces
            if content[0] and content in seen:
                left.add(number)
            seen.add(content)
    skipped += [(images[number].name, COPY) for number in sorted(left)]
    return [image for number, image in enumerate(images) if number not in left]


def _groups(images: Sequence[Raw], value: Callable[[Raw], int], numbers: Iterable[int]) -> list[list[int]]:
    """Those numbers of images that share a value, which may be missing with the file: told when that is read."""
    groups: dict[int, list[int]] = {}
    for number in numbers:
        with suppress(OSError, KeyError):
            groups.setdefault(value(images[number]), []).append(number)
    return [group for group in groups.values() if len(group) > 1]


def _content(archive: Archive, file: str) -> bytes:
    """Sha256 of a file's bytes; nothing where it cannot be read."""
    try:
        with archive.stream(file) as stream:
            return hashlib.file_digest(stream, "sha256").digest()
    except Exception:  # damaged members make `zipfile` raise nearly anything
        return b""


def _shot(image: Raw, few: FewShot | None) -> bool:
    """Whether it is one of a few to train on: of those that are listed, or of all that are not for testing."""
    return few is not None and image.split == "train" and (few.names is None or _base(image) in few.names)


def _base(image: Raw) -> str:
    return image.name.rpartition("/")[2]


def _is_image(name: str) -> bool:
    return Path(name).suffix.lower() in IMAGE_SUFFIXES


def _faces(listed: Path, files: Iterable[Raw], dead: dict[str, str]) -> tuple[list[Raw], Skipped]:
    """The listed faces whose images are available locally, and the others."""
    here = {image.file.rpartition("/")[2]: image for image in files}
    images, missing = list[Raw](), Skipped()
    for name, face in read_face_list(listed).items():
        if face.raw_name in here:
            images.append(replace(here[face.raw_name], name=printable(name), face=face.landmarks.face()))
        else:
            reason = dead.get(face.raw_name) or dead.get(face.image_url)
            missing.append((printable(name), f"dead link: {reason}" if reason else "picture was not fetched"))
    return images, missing


def _split(target: Asset, images: list[Raw], skipped: Skipped) -> tuple[tuple[Raw, ...], Rule]:
    """The images that count, with their splits, and who decided on these."""
    if target.few_shot and (target.few_shot.names or not target.layout.test):
        return _shots(target, target.few_shot, images, skipped)
    if target.few_shot:
        return tuple(images), "few_shot"
    if target.splits.rule == "official":
        return tuple(images), "official"
    return _by_name(images, target.splits), "by_name_hash"


def _shots(target: Asset, few: FewShot, images: list[Raw], skipped: Skipped) -> tuple[tuple[Raw, ...], Rule]:
    """The listed shots to train on; without a list as many by the hashes of names, and no other set's test images.

    Of the rest those of a test split are held out, or where there is none all that show something else than the shots.
    """
    train = [image for image in images if image.split == "train"]
    tests = [image for image in images if image.split == "test"]
    if few.names is None:
        rule: Rule = "few_shot_by_name_hash"
        shots = sorted(train, key=lambda image: name_hash(image.name))[: few.shots]
        absent = set[str]()
    else:
        rule, shots = "few_shot", [image for image in train if _base(image) in few.names]
        absent = set(few.names) - {_base(image) for image in shots}
    if absent or len(shots) != few.shots:
        raise DataError(
            f"{target.name} is a set of {few.shots} shots, and {len(shots)} different images were found for them"
            f"{f' ({min(absent)} is missing)' if absent else ''}; fetch the set again or check its version."
        )
    order, group = set(shots), target.splits.group
    shown = {stem_of(image.name, group) for image in shots if group}
    others = [image for image in train if image not in order] if not tests else []
    skipped += [(image.name, BESIDE) for image in others if stem_of(image.name, group) in shown]
    rest = tests or [replace(i, split="test") for i in others if stem_of(i.name, group) not in shown]
    return (*(image for image in train if image in order), *rest), rule


def _by_name(images: Sequence[Raw], splits: Splits) -> tuple[Raw, ...]:
    """Held out by the hashes of files' names, so that all faces of one picture lie on the same side."""
    held_out = [held_out_by_name(printable(image.file), splits.share, splits.group) for image in images]
    return tuple(replace(image, split="test" if h else "train") for image, h in zip(images, held_out, strict=True))


def _labels(archive: Archive, skipped: Skipped) -> dict[str, int]:
    """Class numbers of a `dataset.json` as NVIDIA's tool writes it; none where it has none, or others than these."""
    try:
        with archive.stream(LABELS) as stream:
            labels = json.load(stream)["labels"] or ()
        return {str(file): _whole(label) for file, label in labels}
    except (OSError, KeyError, ValueError, TypeError, RecursionError) as error:
        if not isinstance(error, OSError | KeyError):  # there are none
            skipped.append((LABELS, "its labels are no whole numbers; left out"))
        return {}


def _whole(label: object) -> int:
    """A class number as it is; ValueError for any other kind of label."""
    if isinstance(label, bool) or not isinstance(label, int | float) or not float(label).is_integer():
        raise ValueError(label)
    return int(label)

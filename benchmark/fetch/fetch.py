"""Fetching of all files of a target: downloaded or given by the user, checked, and locked on first use.

The same command resumes where an earlier one stopped. Complete files are not requested again; the lock's
entry for a file applies to every later copy.
"""

from __future__ import annotations

from pathlib import Path

from benchmark.domains.assets import Asset, LockedFile, RemoteFile, list_targets, owner, raw_folder, require_same
from benchmark.errors import DataError
from benchmark.fetch.download import ForNow, Line, Stage, silent
from benchmark.fetch.from_disk import fitting, left_out, put
from benchmark.fetch.limits import Absent, require_space
from benchmark.fetch.listed import get_listed
from benchmark.fetch.raw import RawFiles, each
from benchmark.fetch.verify import raw_files, unsafe_files, wrong_count
from benchmark.system.files import sha256_of
from benchmark.system.locks import alone


class NeedsPerson(DataError):
    """A file that needs a manual download; `instructions` fill at most one screen."""

    def __init__(self, message: str, instructions: str) -> None:
        super().__init__(message)
        self.instructions = instructions


def fetch(
    target: Asset,
    cache: Path,
    given: Path | None = None,
    line: Line | None = None,
    stage: Stage = silent,
    retry_dead: bool = False,
) -> list[str]:
    """Get the files of `target` into raw/ of `raw_folder(cache, target)`; lines to tell the person.

    With `given`, files are taken from this file or folder and the network is not used. Raises `NeedsPerson` with
    instructions, and DataError for everything else that keeps the set from being whole.
    """
    card, folder = owner(target), raw_folder(cache, target)

    def busy() -> None:
        raise DataError(f"{card.name} is being fetched by another process; wait for it")

    try:
        folder.raw.mkdir(parents=True, exist_ok=True)
        with alone(folder.path / ".fetch.lock", busy):
            lock = folder.read_lock()
            raw = RawFiles(card, folder, line or Line(), stage, dict(lock.files), {} if retry_dead else dict(lock.dead))
            try:
                notes = _take(raw, given) if given else _download(raw)
            finally:
                with raw.mutex:
                    raw.save()
    except OSError as error:
        raise DataError(
            f"{folder.path} cannot be written: {error.strerror or error}; choose another --cache"
        ) from error
    return [*notes, *_summary(target, cache, raw, strict=given is None)]


def _summary(target: Asset, cache: Path, raw: RawFiles, strict: bool) -> list[str]:
    """What is available locally now; DataError if images are missing."""
    said = f"{raw.card.name}: {len(raw.files)} files, {sum(f.bytes for f in raw.files.values()) / 1e9:.3g} GB"
    lines = [f"{said} in {raw.folder.raw}"]
    if raw.dead:
        lines.append(f"{len(raw.dead)} listed images could not be downloaded; see {raw.folder.lock}")
    if target.kind == "target" and (problem := wrong_count(target, cache)):
        if strict:
            raise DataError(problem)
        lines.append(f"note: {problem}")
    return lines


def _take(raw: RawFiles, given: Path) -> list[str]:
    """From a person's disk."""
    parts = [card.layout for card in list_targets().values() if card.files_of == raw.card.name]
    remote = {file.name: file for file in raw.card.files}
    found, notes = fitting(raw.card, given, raw.folder.raw, (raw.card.layout, *parts))
    for path, name in found:
        file, known = remote.get(name) or RemoteFile(name=name, login="given"), raw.files.get(name)
        size, sha256 = path.stat().st_size, sha256_of(path)
        require_same(file, path, size, sha256, known.sha256 if known else None)
        put(path, raw.folder.raw / name)
        raw.files[name] = known or LockedFile(url=None, bytes=size, sha256=sha256)
    lacking = [file.name for file in raw.card.files if _lacking(raw, file)]
    return [*notes, *([f"still missing: {', '.join(lacking)}"] if lacking else [])]


def _lacking(raw: RawFiles, file: RemoteFile) -> bool:
    """Whether a file still has to be fetched; loose images may replace an archive that needs a manual download."""
    if file.optional or (raw.folder.raw / file.name).is_file():
        return False
    loose = any(name not in {f.name for f in raw.card.files} for name in raw_files(raw.folder))
    return file.url is not None or not loose


def _download(raw: RawFiles) -> list[str]:
    """From the net: the card's files, then the pictures that one of them lists."""
    lacking = [file for file in raw.card.files if not (raw.folder.raw / file.name).is_file()]
    expected = sum(file.bytes or 0 for file in lacking)
    here = sum(file.bytes for name, file in raw.files.items() if (raw.folder.raw / name).is_file())
    require_space(raw.folder.raw, max(expected, (raw.card.raw_gb or 0) * 1e9 - here))
    failed: dict[str, DataError] = {}

    def get(file: RemoteFile) -> None:
        try:
            raw.get(file)
        except DataError as error:
            failed[file.name] = error

    each(get, [file for file in raw.card.files if file.url or (raw.folder.raw / file.name).is_file()], raw.line)
    for name in raw_files(raw.folder):  # given by a person earlier
        if name not in raw.files:
            raw.note(RemoteFile(name=name, login="given"))
    notes = [
        f"note: {failed[f.name]}; {f.name} is not needed" for f in raw.card.files if f.optional and f.name in failed
    ]
    notes += [f"note: {raw.folder.raw}: {note}" for note in left_out(unsafe_files(raw.folder))]
    for file in raw.card.files:
        if not file.optional and (file.name in failed or _lacking(raw, file)):
            raise _help(raw.card, file, failed.get(file.name))
    if raw.card.layout.landmarks:
        get_listed(raw, raw.folder.raw / raw.card.layout.landmarks)
    return notes


def _help(card: Asset, file: RemoteFile, error: DataError | None) -> DataError:
    """What to tell of a file that did not come."""
    why = str(error) if error else f"{file.name} cannot be downloaded without a person"
    if file.login and (error is None or isinstance(error, Absent)):
        return NeedsPerson(f"{card.name}: {why}; get it as described and give it with --from", file.login)
    if isinstance(error, ForNow):
        return DataError(f"{card.name}: {why}; run the same command again to resume")
    if isinstance(error, Absent):
        return DataError(
            f"{card.name}: {why}; get {file.name} elsewhere ({card.homepage}) and give it with --from FILE"
        )
    return DataError(f"{card.name}: {why}")

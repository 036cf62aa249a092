"""Fetching of all files of a target: downloaded or given by the user, checked, and locked on first use.

The same command resumes where an earlier one stopped. Complete files are not requested again; the lock's
entry for a file applies to every later copy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock as Mutex
from threading import Thread
from typing import TypeVar

from benchmark.domains.assets import (
    Asset,
    Lock,
    LockedFile,
    RemoteFile,
    TargetFolder,
    list_targets,
    owner,
    raw_folder,
    require_same,
)
from benchmark.domains.pictures.faces import read_face_list
from benchmark.errors import DataError
from benchmark.fetch.download import ForNow, Line, Stage, download, silent
from benchmark.fetch.from_disk import PICTURES, fitting, put
from benchmark.fetch.http import PrivateAddress, require_public
from benchmark.fetch.limits import Absent, require_space
from benchmark.fetch.verify import raw_files, wrong_count
from benchmark.system.files import sha256_of
from benchmark.system.locks import alone

CONNECTIONS = 4
IN_A_ROW = 20
"""Images that fail in a row before the network is blamed."""
EVERY = 200
"""Pictures after which the lock is written."""

Item = TypeVar("Item")


class NeedsPerson(DataError):
    """A file that needs a manual download; `instructions` fill at most one screen."""

    def __init__(self, message: str, instructions: str) -> None:
        super().__init__(message)
        self.instructions = instructions


@dataclass
class _Raw:
    """The files of one target while they are fetched."""

    card: Asset
    folder: TargetFolder
    line: Line
    stage: Stage
    files: dict[str, LockedFile] = field(default_factory=dict)
    dead: dict[str, str] = field(default_factory=dict)
    mutex: Mutex = field(default_factory=Mutex)

    def save(self) -> None:
        """Write the lock: of the files now, and of those before."""
        state = hashlib.sha256()
        for name, file in sorted(self.files.items()):
            state.update(f"{name}\0{file.sha256}\n".encode())
        digest = state.hexdigest() if self.files else None
        self.folder.write_lock(Lock(schema=1, files=self.files, dead=self.dead, digest=digest))

    def get(self, file: RemoteFile) -> None:
        """Download one file and note it, unless it is already there."""
        path = self.folder.raw / file.name
        if path.is_file():
            self.note(file)
            return
        known = self.files.get(file.name)
        got = download(file, path, self.line, self.stage, known.sha256 if known else None)
        with self.mutex:
            self.files[file.name] = LockedFile(url=got.url, bytes=got.bytes, sha256=got.sha256)

    def note(self, file: RemoteFile) -> None:
        """Note a file that is already there; if it was noted before, DataError unless it is still the same."""
        path, known = self.folder.raw / file.name, self.files.get(file.name)
        size, sha256 = path.stat().st_size, sha256_of(path)
        if known is None:
            require_same(file, path, size, sha256, None)
            with self.mutex:
                self.files[file.name] = LockedFile(url=None, bytes=size, sha256=sha256)
        elif (size, sha256) != (known.bytes, known.sha256):
            found = f"{size} bytes, it had {known.bytes}" if size != known.bytes else "other bytes than"
            raise DataError(
                f"{self.card.name}: {path} has {found} when it was first fetched; remove it and fetch it again"
            )


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
            raw = _Raw(card, folder, line or Line(), stage, dict(lock.files), {} if retry_dead else dict(lock.dead))
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


def _summary(target: Asset, cache: Path, raw: _Raw, strict: bool) -> list[str]:
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


def _take(raw: _Raw, given: Path) -> list[str]:
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


def _lacking(raw: _Raw, file: RemoteFile) -> bool:
    """Whether a file still has to be fetched; loose images may replace an archive that needs a manual download."""
    if file.optional or (raw.folder.raw / file.name).is_file():
        return False
    loose = any(name not in {f.name for f in raw.card.files} for name in raw_files(raw.folder))
    return file.url is not None or not loose


def _download(raw: _Raw) -> list[str]:
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

    _each(get, [file for file in raw.card.files if file.url or (raw.folder.raw / file.name).is_file()], raw.line)
    for name in raw_files(raw.folder):  # given by a person earlier
        if name not in raw.files:
            raw.note(RemoteFile(name=name, login="given"))
    notes = [
        f"note: {failed[f.name]}; {f.name} is not needed" for f in raw.card.files if f.optional and f.name in failed
    ]
    for file in raw.card.files:
        if not file.optional and (file.name in failed or _lacking(raw, file)):
            raise _help(raw.card, file, failed.get(file.name))
    if raw.card.layout.landmarks:
        _pictures(raw, raw.folder.raw / raw.card.layout.landmarks)
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


def _pictures(raw: _Raw, listed: Path) -> None:
    """The pictures that a list names; those that do not exist any more are noted as dead."""
    wanted = {face.raw_name: face.image_url for face in read_face_list(listed).values()}
    here = {name for name in raw_files(raw.folder) if name in raw.files}
    todo = [name for name in wanted if name not in raw.dead and f"{PICTURES}/{name}" not in here]
    later: list[DataError] = []
    row = done = 0

    with raw.stage(f"fetch {len(todo)} pictures of {raw.card.name}", len(todo)) as advance:
        quiet = _Raw(raw.card, raw.folder, raw.line, silent, raw.files, raw.dead, raw.mutex)

        def get(name: str) -> None:
            nonlocal row, done
            error: DataError | None = None
            try:
                if not raw.line.local:
                    require_public(wanted[name], f"{listed.name} lists")
                quiet.get(RemoteFile(name=f"{PICTURES}/{name}", url=wanted[name]))
            except DataError as failure:
                error = failure
            with raw.mutex:
                if isinstance(error, Absent | PrivateAddress):
                    raw.dead[name] = str(error).removeprefix(f"{wanted[name]}: ")
                elif error:
                    later.append(error)
                row = row + 1 if isinstance(error, ForNow) else 0
                done += 1
                advance(1)
                if row >= IN_A_ROW:
                    raw.line.stopped.set()
                elif done % EVERY == 0:
                    raw.save()

        _each(get, todo, raw.line)
    if later:
        raise DataError(
            f"{raw.card.name}: {len(later)} of {len(wanted)} images could not be downloaded this time, the first: "
            f"{later[0]}; run the same command again to retry them"
        )


def _each(work: Callable[[Item], None], items: Sequence[Item], line: Line) -> None:
    """`work` of all items, a few at a time; when one raises, or at Ctrl-C, the others stop with their next bytes.

    Nobody waits for them: a server that stalls may keep a connection silent for a minute.
    """
    waiting: SimpleQueue[Item] = SimpleQueue()
    ended: SimpleQueue[BaseException | None] = SimpleQueue()
    for item in items:
        waiting.put(item)

    def fetch_until_empty() -> None:
        with suppress(Empty):
            while not line.stopped.is_set():
                item = waiting.get_nowait()
                try:
                    work(item)
                    ended.put(None)
                except BaseException as error:
                    ended.put(error)

    try:
        for _ in range(min(CONNECTIONS, len(items))):
            Thread(target=fetch_until_empty, daemon=True).start()
        for _ in items:
            if line.stopped.is_set():  # by the work itself
                return
            if error := ended.get():
                raise error
    except BaseException:
        line.stopped.set()
        raise

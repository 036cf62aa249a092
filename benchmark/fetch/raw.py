"""The files of one target while they are fetched, a few at a time, and the lock that says what they were."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Lock as Mutex
from threading import Thread
from typing import TypeVar

from benchmark.domains.assets import Asset, Lock, LockedFile, RemoteFile, TargetFolder, require_same
from benchmark.errors import DataError
from benchmark.fetch.download import Line, Stage, download
from benchmark.system.files import sha256_of

CONNECTIONS = 4

Item = TypeVar("Item")


@dataclass
class RawFiles:
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


def each(work: Callable[[Item], None], items: Sequence[Item], line: Line) -> None:
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

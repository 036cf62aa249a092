"""Download of one file: resumed by ranges, retried with back-off, refused if it is not what was asked for.

A file is written as `.NAME.part` beside its place and renamed when it is whole and right, so what has its name can be
used. Beside the part lies a note of where it is from and which version (ETag or Last-Modified) it is of: a part is
only continued with the same version (`If-Range`, RFC 9110 section 13.1.5), otherwise it starts again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import requests
import tenacity
from pydantic import Field, ValidationError

from benchmark.config import Frozen
from benchmark.domains.assets import RemoteFile, require_same
from benchmark.errors import DataError
from benchmark.fetch.http import (
    FOR_NOW,
    GONE,
    REFUSED,
    Session,
    content_length,
    content_range,
    reason_of,
    require_plain,
    retry_after,
    version_of,
)
from benchmark.fetch.limits import Absent, Gone, TooMuch, limited, require_space
from benchmark.system.files import new_file, sha256_of
from benchmark.system.progress import Advance

AGENT = "stylegan-transfer-benchmark (data sets for research; resumes, at most two connections per host)"
CHUNK = 1 << 16
"""Bytes written at a time; at most as many are lost when a connection breaks."""
FORWARD = 1 << 16
"""Bytes that an attempt must receive to count as progress."""
Stage = Callable[[str, float], AbstractContextManager[Advance]]
"""Opens a progress bar: text and total in units of work."""


@contextmanager
def silent(text: str, total: float) -> Iterator[Advance]:
    """The progress bar that shows nothing."""
    yield lambda n: None


class ForNow(DataError):
    """It did not work this time; another attempt may. `wait` is what the server asked for, in seconds."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


@dataclass(frozen=True)
class Patience:
    """How long to wait for what, in seconds."""

    connect: float = 15.0
    stall: float = 60.0  # without a byte
    tries: int = 6  # in a row that brought nothing new
    first_wait: float = 1.0  # doubled after each failure
    longest_wait: float = 120.0  # also what a server may ask for by Retry-After


@dataclass
class Line:
    """Shared by all downloads of a command: how patient, how many per host, whether to stop."""

    patience: Patience = Patience()
    per_host: int = 2
    local: bool = False
    """Whether redirections and listed links may lead to this machine and its network."""
    stopped: threading.Event = field(default_factory=threading.Event)
    _hosts: dict[str, threading.Semaphore] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def host(self, url: str) -> threading.Semaphore:
        """What a download from this address has to hold."""
        with self._lock:
            return self._hosts.setdefault(urlsplit(url).netloc, threading.Semaphore(self.per_host))


class Part(Frozen):
    """Which version of which file a part is of."""

    url: str
    version: str | None = Field(description="ETag or Last-Modified; null: a part of it cannot be continued")
    total: int | None = Field(description="bytes of the whole file; null: not told")


@dataclass(frozen=True)
class Got:
    """A file that arrived."""

    url: str
    bytes: int
    sha256: str


def download(file: RemoteFile, path: Path, line: Line, stage: Stage = silent, sha256: str | None = None) -> Got:
    """Get `file` from its address, or else its mirrors, to `path`; `sha256` is what an earlier run locked, if any.

    Raises `Absent` where no address has it, `ForNow` where it may work later, DataError otherwise.
    """
    failures: list[DataError] = []
    for url in (file.url, *file.mirrors):
        if url is None:
            continue
        try:
            with line.host(url):
                return _from(url, file, path, line, stage, sha256)
        except DataError as error:
            if line.stopped.is_set():
                raise
            failures.append(error)
    if not failures:
        raise Absent(f"{file.name} has no address")
    said = "; ".join(dict.fromkeys(str(error) for error in failures))
    later = next((error for error in failures if isinstance(error, ForNow)), None)
    if later is not None:
        raise ForNow(said, later.wait)
    raise _common_kind(failures)(said)


def _common_kind(failures: list[DataError]) -> type[DataError]:
    """The nearest kind that all of them are."""
    kinds = (kind for kind in type(failures[0]).__mro__ if issubclass(kind, DataError))
    return next(kind for kind in kinds if all(isinstance(error, kind) for error in failures))


def _from(url: str, file: RemoteFile, path: Path, line: Line, stage: Stage, sha256: str | None) -> Got:
    """From one address, in as many attempts as it takes."""
    transfer = _Transfer(url, file, path, line, stage)
    patience = line.patience

    def wait(state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.wait if isinstance(error, ForNow) else None
        backed_off = patience.first_wait * 2.0 ** min(transfer.failures - 1, 20)
        return min(backed_off if asked is None else asked, patience.longest_wait)

    def enough(state: tenacity.RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        too_long = isinstance(error, ForNow) and (error.wait or 0) > patience.longest_wait
        return too_long or transfer.failures >= patience.tries or line.stopped.is_set()

    def sleep(seconds: float) -> None:
        line.stopped.wait(seconds)

    attempts = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(ForNow),
        wait=wait,
        stop=enough,
        sleep=sleep,
        reraise=True,
    )
    try:
        attempts(transfer.attempt)
        return transfer.finished(sha256)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}; is the disk full?") from error


class _Transfer:
    """One address on its way to one place."""

    def __init__(self, url: str, file: RemoteFile, path: Path, line: Line, stage: Stage) -> None:
        self.url, self.file, self.path, self.line, self.stage = url, file, path, line, stage
        self.part = path.with_name(f".{path.name}.part")
        self.note = path.with_name(f".{path.name}.part.json")
        self.failures = 0
        self._best = self._size()

    def attempt(self) -> None:
        """Get what is lacking. ForNow where this was not all."""
        try:
            self._attempt()
        except (requests.RequestException, ForNow) as error:
            size = self._size()
            self.failures = 1 if size >= self._best + FORWARD else self.failures + 1
            self._best = max(size, self._best)
            if isinstance(error, ForNow):
                raise
            again = not isinstance(error, requests.TooManyRedirects | ValueError)  # such as an address of no known kind
            raise (ForNow if again else Absent)(f"{self.url}: {reason_of(error)}") from error

    def _attempt(self) -> None:
        headers, start, known = {"User-Agent": AGENT, "Accept-Encoding": "identity"}, 0, self._known()
        if known and known.version:
            start = self._size()
            headers |= {"Range": f"bytes={start}-", "If-Range": known.version} if start else {}
            if start and start == known.total:
                return  # a run that ended before it gave the file its name
        limits = (self.line.patience.connect, self.line.patience.stall)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with (
            Session(self.line.local) as session,
            session.get(self.url, headers=headers, stream=True, timeout=limits) as response,
        ):
            start, total = self._answer(response, start)
            require_space(self.path.parent, (total or start) - start)
            try:
                self._receive(response, start, total)
            except TooMuch:
                self.forget()
                raise

    def _answer(self, response: requests.Response, start: int) -> tuple[int, int | None]:
        """(first byte that comes, size of the file if it is told); an error where it is not the file."""
        status = response.status_code
        if status == 416:
            self.forget()
            raise ForNow(f"{self.url}: the file has become shorter")
        if status in FOR_NOW:
            raise ForNow(f"{self.url}: HTTP {status}", retry_after(response))
        if status not in (200, 206):
            kind = Gone if status in GONE else Absent if status in REFUSED else DataError
            raise kind(f"{self.url}: HTTP {status} {response.reason}".rstrip())
        if "text/html" in response.headers.get("Content-Type", "") and not self.file.name.endswith((".html", ".htm")):
            raise Absent(f"{self.url}: a web page instead of {self.file.name}; a login or a quota?")
        require_plain(response)
        first, total = self._continued(response, start) if status == 206 else self._anew(response)
        if self.file.bytes is not None and total not in (None, self.file.bytes):
            self.forget()
            raise DataError(f"{self.url}: the file has {total} bytes, the card says {self.file.bytes}")
        return first, total

    def _continued(self, response: requests.Response, start: int) -> tuple[int, int | None]:
        known, (first, total) = self._known(), content_range(response)
        if known is None or (first, total, version_of(response)) != (start, known.total, known.version):
            self.forget()
            raise ForNow(f"{self.url}: the file changed half way")
        return start, total

    def _anew(self, response: requests.Response) -> tuple[int, int | None]:
        total = content_length(response)
        self.part.unlink(missing_ok=True)
        with new_file(self.note) as temporary:
            part = Part(url=self.url, version=version_of(response), total=total)
            temporary.write_text(part.model_dump_json(), "utf-8")
        return 0, total

    def _receive(self, response: requests.Response, start: int, total: int | None) -> None:
        """Append the body to the part."""
        size, chunks = start, response.iter_content(CHUNK)
        checked = limited(chunks, self.file, self.url, start, total, self.path.parent)
        with self.stage(f"fetch {self.path.name}", total or 1) as advance, self.part.open("ab") as out:
            if total:
                advance(start)
            for chunk in checked:
                if self.line.stopped.is_set():
                    raise DataError(f"{self.url}: stopped; run the same command again to resume")
                out.write(chunk)
                size += len(chunk)
                if total:
                    advance(len(chunk))
        if total is not None and size != total:
            raise ForNow(f"{self.url}: {size} of {total} bytes arrived")

    def finished(self, locked: str | None) -> Got:
        """Check the whole file and give it its name."""
        size, found = self._size(), sha256_of(self.part)
        if self.line.stopped.is_set():  # nobody would note it any more
            raise DataError(f"{self.url}: stopped; run the same command again to resume")
        try:
            require_same(self.file, self.part, size, found, locked)
        except DataError as error:
            self.forget()
            raise type(error)(f"{self.url}: {error}") from error
        self.part.replace(self.path)
        self.note.unlink(missing_ok=True)
        return Got(self.url, size, found)

    def forget(self) -> None:
        """Start again next time."""
        self.part.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)

    def _size(self) -> int:
        with suppress(OSError):
            return self.part.stat().st_size
        return 0

    def _known(self) -> Part | None:
        """What the part is of; None where there is none, or it is from another address."""
        with suppress(OSError, ValidationError):
            part = Part.model_validate_json(self.note.read_bytes())
            return part if part.url == self.url else None
        return None

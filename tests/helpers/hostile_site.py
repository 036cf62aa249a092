"""A web site on this machine that behaves as badly as real ones do: each answer to a request is a function."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Asked = BaseHTTPRequestHandler
Answer = Callable[["Site", Asked], None]
LOGIN_PAGE = b"<!DOCTYPE html><html><body>Please sign in to continue</body></html>"


@dataclass
class Site:
    """Answers by path: those of a list one after the other, the last of them for ever."""

    root: str
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    """(path, Range header) of each request, in order."""
    busy: set[Asked] = field(default_factory=set)
    """Requests whose answers are not complete."""
    most_at_once: int = 0
    over: threading.Event = field(default_factory=threading.Event)
    """Set at the end: those who stall go home."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def url(self, path: str) -> str:
        return f"{self.root}{path}"

    def says(self, path: str, *answers: Answer) -> str:
        """The address at which these answers are given."""
        self.answers[path] = list(answers)
        return self.url(path)

    def ranges(self, path: str) -> list[str | None]:
        """Range headers of the requests for a path."""
        return [wanted for name, wanted in self.asked if name == path]

    def respond(self, request: Asked) -> None:
        with self.lock:
            self.asked.append((request.path, request.headers.get("Range")))
            known = self.answers.get(request.path, [status(404)])
            answer = known.pop(0) if len(known) > 1 else known[0]
            self.busy.add(request)
            self.most_at_once = max(len(self.busy), self.most_at_once)
        try:
            answer(self, request)
        finally:
            self.leave(request)

    def leave(self, request: Asked) -> None:
        """Before the last byte of an answer: whoever has it may ask for the next before this thread goes on."""
        with self.lock:
            self.busy.discard(request)


@contextmanager
def open_site() -> Iterator[Site]:
    """A site for as long as the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with suppress(ConnectionError):
                site.respond(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site = Site(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield site
    finally:
        site.over.set()
        server.shutdown()
        thread.join()
        server.server_close()


def head(request: Asked, code: int, headers: Mapping[str, object]) -> None:
    request.send_response(code)
    for name, value in headers.items():
        request.send_header(name, str(value))
    request.end_headers()


def file(
    data: bytes,
    tag: str | None = '"v1"',
    *,
    stops_after: int | None = None,
    stalls: bool = False,
    says_length: int | None = None,
    length: bool = True,
    ranges: bool = True,
    trusts_range: bool = False,
    kind: str = "application/octet-stream",
) -> Answer:
    """A file.

    `stops_after` so many bytes of this answer the connection ends, or `stalls`; `says_length` is a lie; without
    `ranges` each answer is the whole file; one that `trusts_range` gives a part of whatever version it has.
    """

    def answer(site: Site, request: Asked) -> None:
        wanted, start, headers = request.headers.get("Range"), 0, {"Content-Type": kind}
        if tag:
            headers["ETag"] = tag
        if wanted and ranges and (trusts_range or request.headers.get("If-Range") == tag):
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(data):
                head(request, 416, headers)
                return
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        body = data[start:]
        if length:
            headers["Content-Length"] = str(len(body) if says_length is None else says_length)
        head(request, 206 if start else 200, headers)
        sent = body if stops_after is None else body[:stops_after]
        request.wfile.write(sent[:-1])
        if not stalls:
            site.leave(request)
        request.wfile.write(sent[-1:])
        request.wfile.flush()
        if stalls:
            site.over.wait()

    return answer


def status(code: int, body: bytes = b"", **headers: object) -> Answer:
    """An answer without a file."""

    def answer(site: Site, request: Asked) -> None:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        site.leave(request)
        head(request, code, {"Content-Length": len(body), **given})
        request.wfile.write(body)

    return answer


def page(kind: str = "text/html; charset=utf-8", body: bytes = LOGIN_PAGE) -> Answer:
    """A web page in place of a file, with the code of success."""
    return status(200, body, Content_Type=kind)

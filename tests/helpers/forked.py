"""Commands of `python -m benchmark`, each in a process forked from one that has imported the libraries already.

Importing PyTorch takes more than a second of a processor, more than most commands of the tests. So a server imports
once what commands import, and forks a process for each command. It is a process like any other: a number, pipes, a
folder, a mask for new files, variables, signals, an exit code, `__main__` and an end of its own, in the process group
of the tests. What an interpreter or a library reads when it starts it shares with the server: the locale, threads, the
seed of hashes, the kind of processor. Tests of those, of starting, of lost outputs and of killing start a new Python.
"""

from __future__ import annotations

import atexit
import gc
import io
import json
import os
import runpy
import selectors
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module, invalidate_caches
from pathlib import Path
from typing import Any, NoReturn

LIBRARIES = (
    *("benchmark.cli", "benchmark.running.suite", "benchmark.running.job", "benchmark.report.write"),
    *("benchmark.metrics", "benchmark.conformity", "benchmark.cli.listing", "scipy.stats"),
)
"""What commands import, sooner or later."""
LARGEST = 1 << 20
"""Bytes of an order: words, a folder, variables."""


def run(arguments: Sequence[str], cwd: Path, variables: Mapping[str, str], seconds: float) -> tuple[int, str, str]:
    """`python -m benchmark ...` to its end: (exit code or minus a signal, output, errors).

    After so many seconds it is killed, and subprocess.TimeoutExpired is raised.
    """
    os.umask(umask := os.umask(0))
    order = {"arguments": list(arguments), "cwd": str(cwd), "variables": dict(variables), "umask": umask}
    pipes = [os.pipe() for _ in range(2)]  # output, errors
    said: dict[int, bytes] = {ours: b"" for ours, _ in pipes}
    forks = server(variables.get("PYTHONPATH", ""))
    pid = forks.start(order, [theirs for _, theirs in pipes])
    until = time.monotonic() + seconds
    with selectors.DefaultSelector() as waiting:
        for ours, theirs in pipes:
            os.close(theirs)
            waiting.register(ours, selectors.EVENT_READ)
        while waiting.get_map():
            ready = waiting.select(max(0, until - time.monotonic()))
            if not ready:
                os.kill(pid, signal.SIGKILL)
                forks.number()
                raise subprocess.TimeoutExpired(["python", "-m", "benchmark", *arguments], seconds, *said.values())
            for key, _ in ready:
                part = os.read(key.fd, 1 << 16)
                said[key.fd] += part
                if not part:
                    waiting.unregister(key.fd)
                    os.close(key.fd)
    out, err = map(text, said.values())
    return forks.number(), out, err


def text(said: bytes) -> str:
    """As a pipe in text mode gives it."""
    return said.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")


class Server:
    """The process that forks others, as those see it who give orders. It ends with them."""

    def __init__(self, path: str) -> None:
        self.orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (self.orders, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LARGEST)
        variables = os.environ | {"PYTHONPATH": path}
        command = [sys.executable, __file__, str(theirs.fileno())]
        self.process = subprocess.Popen(command, env=variables, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        theirs.close()
        atexit.register(self.end)

    def end(self) -> None:
        """Let it go, and wait, so that its time counts to those who used it."""
        self.orders.close()
        self.process.wait()

    def start(self, order: Mapping[str, Any], descriptors: list[int]) -> int:
        """The number of a new process with this output and these errors; then `number` gives its exit code."""
        socket.send_fds(self.orders, [json.dumps(order).encode()], descriptors)
        return self.number()

    def number(self) -> int:
        """What the server says next."""
        answer = self.orders.recv(4)
        assert answer, f"the server of processes has ended: {self.process.wait()}"
        return int(struct.unpack("i", answer)[0])


@cache
def server(path: str) -> Server:
    """The server whose processes find modules on this PYTHONPATH; started by the first who asks."""
    return Server(path)


def serve(orders: socket.socket) -> dict[str, Any] | None:
    """Fork a process for each order, one after the other. Returns the order in that process, None in the server."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is for those who run the tests
    while True:
        text, descriptors, _, _ = socket.recv_fds(orders, LARGEST, 2)
        if not text:
            return None
        order: dict[str, Any] = json.loads(text)
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            orders.close()
            become(order, descriptors)
            return order
        for pipe in descriptors:
            os.close(pipe)
        orders.send(struct.pack("i", pid))
        orders.send(struct.pack("i", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))


def become(order: Mapping[str, Any], descriptors: Sequence[int]) -> None:
    """Take the folder, variables, pipes and words of the order, as a new interpreter would."""
    arguments, cwd, variables, umask = (order[name] for name in ("arguments", "cwd", "variables", "umask"))
    os.chdir(cwd)
    os.umask(umask)
    own = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ.clear()
    os.environ.update(variables)
    sys.path[:] = [cwd, *own, *(place for place in sys.path[1:] if place not in own)]
    sys.argv = ["-m", *arguments]
    sys.orig_argv = [sys.executable, "-m", "benchmark", *arguments]
    invalidate_caches()
    for number, pipe in enumerate(descriptors, start=1):
        os.dup2(pipe, number)
        os.close(pipe)
    coding, _, errors = os.environ.get("PYTHONIOENCODING", "utf-8").partition(":")
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(io.FileIO(number, "w", closefd=False), coding, how, write_through=True)  # type: ignore[type-var]
        for number, how in ((1, errors or "strict"), (2, "backslashreplace"))
    )
    sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr  # type: ignore[misc]


def end(code: object) -> NoReturn:
    """End as an interpreter does, but for taking all libraries apart, which takes as long as to import them."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def main() -> None:
    """What the server's process does, and then each that it forks."""
    from benchmark.system.startup import prepare_process

    prepare_process()
    for name in LIBRARIES:
        import_module(name)
    gc.collect()
    gc.freeze()  # a collection would write to all pages, which are shared until then
    if serve(socket.socket(fileno=int(sys.argv[1]))) is None:
        return
    try:
        runpy.run_module("benchmark", run_name="__main__", alter_sys=True)
    except SystemExit as stopped:
        end(stopped.code)


if __name__ == "__main__":
    main()

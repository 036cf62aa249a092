"""Claims: one owner for each piece of work, over all machines that share a folder.

A claim on `path` is a file `path-0` that one process alone can create: O_EXCL holds on NFS, Lustre and GPFS, where a
lock of the operating system may hold on one node only. Its owner touches it again and again. Who finds a claim whose
owner is gone creates the next one, `path-1`, which again one process alone can do: the highest number counts.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path

import psutil

from benchmark.errors import DataError
from benchmark.system.folder import Folder

BEAT = 20.0
"""Seconds between two touches."""
LOST = 180.0
"""Seconds without one after which the owner is gone; network file systems may show a file as it was a minute ago."""
LONGEST_LOOK = 2.0
"""Seconds between two looks of who waits."""
MAX_BYTES = 1 << 12


@cache
def this_machine() -> str:
    """What tells machines, and containers with process numbers of their own, apart: names may be equal."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(parts)


def _born(process: int) -> float | None:
    """When a process began, seconds since 1970; None where there is none. A correction of the clock moves it."""
    try:
        return psutil.Process(process).create_time()
    except psutil.Error:
        return None


def _ticks(process: int) -> float | None:
    """The same since the machine's start, which no clock moves; None where Linux does not say it."""
    with suppress(OSError, ValueError, IndexError):
        return float(Path(f"/proc/{process}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[19])
    return None


@dataclass(frozen=True)
class Owner:
    """Who holds a claim."""

    node: str = field(default_factory=socket.gethostname)
    machine: str = field(default_factory=this_machine)
    process: int = field(default_factory=os.getpid)
    born: float | None = field(default_factory=lambda: _born(os.getpid()))
    since: float = field(default_factory=time.time)
    """When the claim was made, seconds since 1970."""
    task: str = field(default_factory=lambda: os.environ.get("SLURM_JOB_ID", ""))
    """Of Slurm. A task that is queued again keeps its number, and its `restarts` count up."""
    restarts: int = field(default_factory=lambda: int(os.environ.get("SLURM_RESTART_COUNT") or 0))

    ticks: float | None = field(default_factory=lambda: _ticks(os.getpid()))
    """As `born`, in what no clock moves; None in claims of before."""

    def gone(self, silence: float) -> bool:
        """Whether the owner has ended, `silence` seconds after its last touch."""
        if self.machine == this_machine():
            return _born(self.process) != self.born if self.ticks is None else _ticks(self.process) != self.ticks
        me = Owner()
        again = bool(self.task) and self.task == me.task and self.restarts < me.restarts
        return again or silence > LOST


@contextmanager
def claimed(path: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the claim `path` while inside; `waiting` is called once where somebody else holds it, and may raise.

    Makes the folder. Should another process take over, since this one or its file system stood still for minutes, this
    process is told to end as by SIGTERM. Raises DataError where the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        mine = _acquire(path, waiting)
    except OSError as error:
        raise DataError(f"cannot write to {path.parent}: {error.strerror or error}; choose another folder") from None
    over = threading.Event()
    beating = threading.Thread(target=_beat, args=(path, mine, over), daemon=True)
    beating.start()
    try:
        yield
    finally:
        over.set()
        beating.join()
        for number in range(mine + 1):  # one's own last: until then others see that it is held
            with suppress(OSError):
                _file(path, number).unlink()


def holder(path: Path, now: float | None = None) -> tuple[Owner, bool] | None:
    """Who holds or held the claim `path`, and whether that process is gone; None where there is no claim.

    `now` is the file system's time; without, this machine's.
    """
    number = _newest(path)
    return None if number is None else _owner(_file(path, number), now)


def _acquire(path: Path, waiting: Callable[[], None]) -> int:
    """Make a claim; its number."""
    pause, told = 0.05, False
    while True:
        newest = _newest(path)
        if newest is None or _abandoned(path, newest):
            number = 0 if newest is None else newest + 1
            me = Owner()
            if _create(_file(path, number), me) and _confirmed(path, number, me):
                return number
            continue
        if not told:
            told = True
            waiting()
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_LOOK)


def _confirmed(path: Path, number: int, me: Owner) -> bool:
    """Whether one's new claim is the newest, and the one before it still there and abandoned; else it is removed.

    Since the look at the claim before, others may have taken over and ended; if they did so since one's own claim was
    made, for want of a sign of life, even its file is another's.
    """
    file, good = _file(path, number), False
    try:
        good = _newest(path) == number and (number == 0 or _abandoned(path, number - 1)) and _is_of(file, me)
    finally:
        if not good and _is_of(file, me):
            file.unlink(missing_ok=True)
    return good


def _is_of(file: Path, me: Owner) -> bool:
    """Whether a claim is there and names nobody else."""
    found = _read(file)
    return found is not None and (found[0] == me or not found[0].machine)


def _abandoned(path: Path, number: int) -> bool:
    """Whether the claim with this number is there, and its owner gone."""
    file = _file(path, number)
    found = _owner(file)
    if found is not None and not found[1] and found[0].machine == this_machine():
        return False
    found = _owner(file, _time_of(path))  # clocks of machines differ: that of the file system decides
    return found is not None and found[1]


def _owner(file: Path, now: float | None = None) -> tuple[Owner, bool] | None:
    """Whose claim a file is, and whether that process is gone at `now`; None where the file is not there."""
    found = _read(file)
    if found is None:
        return None
    owner, touched = found
    return owner, owner.gone((time.time() if now is None else now) - touched)


def _time_of(path: Path) -> float:
    """The file system's time."""
    probe = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.now")
    try:
        probe.touch()
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)


def _create(file: Path, me: Owner) -> bool:
    """Whether the file is ours; it was not there before."""
    try:
        made = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno == errno.ELOOP:
            return False
        raise
    try:
        with os.fdopen(made, "wb") as stream:
            stream.write(json.dumps(asdict(me)).encode())
            stream.flush()
            os.fsync(stream.fileno())
    except BaseException:  # a full disk, say: nobody holds what nobody can read
        file.unlink(missing_ok=True)
        raise
    return True


def _beat(path: Path, mine: int, over: threading.Event) -> None:
    seen: int | None = None
    while not over.wait(BEAT):
        with suppress(OSError):
            os.utime(_file(path, mine))
        newest = _newest(path)
        if newest is not None and newest > mine and newest == seen:  # twice: who comes too late leaves at once
            os.kill(os.getpid(), signal.SIGTERM)
            return
        seen = newest


def _read(file: Path) -> tuple[Owner, float] | None:
    """Owner and last touch of a claim; None where it has just gone. An owner that cannot be read is of nowhere."""
    try:
        with Folder(file.parent).open(file.name, MAX_BYTES) as stream:  # opening brings NFS up to date
            touched, text = os.fstat(stream.fileno()).st_mtime, stream.read()
    except FileNotFoundError:
        return None
    except OSError:
        return Owner("unknown", "", 0, None, 0.0, "", 0), 0.0
    try:
        return Owner(**json.loads(text)), touched
    except (ValueError, TypeError):
        return Owner("unknown", "", 0, None, touched, "", 0), touched


def _file(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}-{number}")


def _newest(path: Path) -> int | None:
    """The highest number of a claim on `path`."""
    begin = f"{path.name}-"
    try:
        names = [name.removeprefix(begin) for name in os.listdir(path.parent) if name.startswith(begin)]
    except FileNotFoundError:
        return None
    return max((int(name) for name in names if name.isdecimal()), default=None)

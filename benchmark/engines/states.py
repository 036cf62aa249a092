"""The state of each job that was asked for: from records, claims and logs; what a scheduler says only adds why.

It imports no torch, and it is right where no scheduler can be asked: what is stored or held by a living process is
known from the results folder alone.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmark.engines.engine import Queued
from benchmark.engines.request import Asked, Piece, cancelled, log_of
from benchmark.results.store import ResultStore
from benchmark.system.claims import Owner, holder
from benchmark.system.folder import Folder
from benchmark.system.text.terminal import visible_line

STATES = ("stored", "running", "queued", "waiting", "failed", "lost")
"""waiting: the scheduler cannot be asked here, so that it is queued or lost."""
CHANGED = "changed"
"""In place of a record's status: it is not what was stored."""
TAIL = 1 << 13
"""Bytes at the end of a log that are looked at."""


@dataclass(frozen=True)
class JobState:
    """How it stands with a job."""

    label: str
    key: str
    """Of its training."""
    task: int
    state: str
    why: str = ""
    node: str = ""
    since: float | None = None
    """When the process took it, seconds since 1970."""
    kimg: float | None = None
    of_kimg: float | None = None
    seconds_per_kimg: float | None = None

    @property
    def seconds_left(self) -> float | None:
        """Of its training."""
        if self.kimg is None or self.of_kimg is None or self.seconds_per_kimg is None:
            return None
        return max(self.of_kimg - self.kimg, 0) * self.seconds_per_kimg

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "seconds_left": self.seconds_left}


@dataclass
class Looks:
    """Repeated looks at a results folder; a record that was found once is not read again."""

    out: Path
    asked: Asked
    found: dict[str, tuple[str, str]] = field(default_factory=dict)
    """{record: (status, reason)} of finished records."""

    def states(self, queued: Mapping[int, Queued] | None) -> list[JobState]:
        """Of all jobs, in the order of their tasks."""
        folder, now = Folder(self.out), time.time()
        there = _names(folder, "records")
        claims = {name.rpartition("-")[0] for name in _names(folder, "locks")}
        said: list[JobState] = []
        for number, task in enumerate(self.asked.tasks):
            for job in task.jobs:
                said.append(self._state(job, number, there, claims, queued, now))
        return said

    def _state(
        self,
        job: Piece,
        number: int,
        there: set[str],
        claims: set[str],
        queued: Mapping[int, Queued] | None,
        now: float,
    ) -> JobState:
        records = [self._record(key) if f"{key}.json" in there else None for key in job.records]
        if all(record is not None and record[0] == "done" for record in records):
            return JobState(job.label, job.train_key, number, "stored")
        dead = None
        for claim in (job.records[0], job.train_key):
            if claim in claims and (held := holder(self.out / "locks" / claim, now)):
                if not held[1]:
                    return self._running(job, number, held[0])
                dead = held[0]
        waits = (queued or {}).get(number)
        if waits is not None:
            why = f"its task runs on {waits.why}" if waits.running else waits.why
            return JobState(job.label, job.train_key, number, "queued", why)
        told = [record for record in records if record is not None and record[0] != "done"]
        failed = [f"{status}: {why}" for status, why in told if status != CHANGED]
        if failed:
            return JobState(job.label, job.train_key, number, "failed", failed[0])
        if told:
            return JobState(job.label, job.train_key, number, "lost", told[0][1])
        if dead is not None:
            return JobState(job.label, job.train_key, number, "lost", f"its process on {dead.node} is gone", dead.node)
        if queued is None:
            return JobState(job.label, job.train_key, number, "waiting", "the scheduler cannot be asked here")
        why = "cancelled" if cancelled(self.out).exists() else _last_line(self.out, number)
        return JobState(job.label, job.train_key, number, "lost", why)

    def _record(self, key: str) -> tuple[str, str] | None:
        """Status and reason of a record; None where it cannot be read, or is not what was stored."""
        if key in self.found:
            return self.found[key]
        store = ResultStore(self.out)
        record = store.glance(key)
        if record is not None and record[0] == "done":
            if store.changed(key):
                return CHANGED, "its record was changed after it was stored"
            self.found[key] = record
        return record

    def _running(self, job: Piece, number: int, owner: Owner) -> JobState:
        tick = _last_tick(self.out, job.train_key)
        kimg, pace = (tick["images"] / 1000, tick["seconds_per_kimg"]) if tick else (None, None)
        return JobState(
            job.label, job.train_key, number, "running", "", owner.node, owner.since, kimg, job.kimg or None, pace
        )


def counts(states: list[JobState]) -> dict[str, int]:
    """How many jobs are in each state."""
    found = Counter(state.state for state in states)
    return {name: found[name] for name in STATES}


def in_words(found: Mapping[str, int]) -> str:
    """ "5 stored, 1 running"."""
    return ", ".join(f"{number} {name}" for name, number in found.items() if number) or "no jobs"


def _names(folder: Folder, name: str) -> set[str]:
    with suppress(OSError):
        return set(folder.names(name))
    return set()


def _tail(out: Path, name: str) -> str:
    """The end of a file of the results folder; nothing where it cannot be read."""
    with suppress(OSError):
        return Folder(out).tail(name, TAIL).decode("utf-8", "replace")
    return ""


def _last_tick(out: Path, train_key: str) -> dict[str, Any] | None:
    """The last line of a training's log; None where there is none."""
    for line in reversed(_tail(out, f"logs/{train_key}.jsonl").splitlines()):
        with suppress(ValueError, TypeError, KeyError):
            tick = json.loads(line)
            return {name: float(tick[name]) for name in ("images", "seconds_per_kimg")}
    return None


def _last_line(out: Path, number: int) -> str:
    """What a task printed last."""
    lines = _tail(out, log_of(out, number).relative_to(out).as_posix()).splitlines()
    said = [re.sub(r"\s+", " ", line).strip() for line in lines]
    last = next((line for line in reversed(said) if line), "")
    return visible_line(f"neither stored nor queued; it said last: {last}" if last else "neither stored nor queued")

"""What is asked of an engine: the run's arguments, its jobs in tasks, and the file `<out>/engine/request.json`.

    <out>/engine/request.json      a Request for each suite, and which jobs belong to which task
    <out>/engine/logs/N.txt        what task N printed
    <out>/engine/cancelled         while it is there, nobody starts or repeats a task

Reading it needs neither torch nor the images, so that `status` and `cancel` answer at once on any machine.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from benchmark.config import Frozen
from benchmark.errors import DataError, UnknownName
from benchmark.system.files import write_atomic
from benchmark.system.folder import Folder

FILE = "engine/request.json"
MAX_BYTES = 1 << 30
"""Of the file; 100,000 jobs have 40 MB."""
SAME = ("requests", "tasks", "folder", "launch", "tensorboard")
"""What a task reads when it begins, which must stay as it was while tasks are queued."""


class Piece(Frozen):
    """A job, as far as its state can be told from it."""

    label: str
    method: str
    domain: str
    seed: int
    train_key: str
    records: tuple[str, ...]
    kimg: float
    """Length of the training that the job uses; 0 for the untouched source."""


class Task(Frozen):
    """Jobs that are done one after the other by one process. One training belongs to one task."""

    suite: int
    """Which of the requests they are of."""
    method: str | None
    """Whose settings of the engine apply: the method that is trained."""
    threads: int | None = None
    """That the jobs compute with on a CPU; None: as many as there are."""
    jobs: tuple[Piece, ...]


class Asked(Frozen):
    """All that is asked; `requests` and `launch` are `running.setup.Request` and `running.launch.Launch` in plain
    values.
    """

    schema_version: Literal[1] = Field(1, alias="schema")
    engine: str
    settings: dict[str, Any] = Field(default_factory=dict)
    folder: str
    """Where relative paths begin."""
    requests: tuple[dict[str, Any], ...]
    launch: dict[str, Any]
    tensorboard: bool = False
    tasks: tuple[Task, ...]

    def same_work(self, other: Asked) -> bool:
        """Whether both ask for the same jobs in the same tasks, done in the same way."""
        return all(getattr(self, what) == getattr(other, what) for what in SAME)

    def find(self, key: str) -> list[tuple[int, Piece]]:
        """The jobs, with the number of their task, of a training or record whose key begins so; UnknownName."""
        found = [
            (number, job)
            for number, task in enumerate(self.tasks)
            for job in task.jobs
            if key and any(one.startswith(key) for one in (job.train_key, *job.records))
        ]
        if not found:
            raise UnknownName("key", key, [job.train_key[:12] for task in self.tasks[:1000] for job in task.jobs])
        return found


def write_request(out: Path, asked: Asked) -> None:
    """Store what is asked; DataError where that cannot be."""
    write_atomic(out / FILE, asked.model_dump_json(by_alias=True).encode())


def read_request(out: Path) -> Asked | None:
    """What was asked of an engine for this results folder; None where nothing was. DataError for a damaged file."""
    try:
        return Asked.model_validate_json(Folder(out).read(FILE, MAX_BYTES))
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        why = str(error).splitlines()[0]
        raise DataError(f"{out / FILE} cannot be used ({why}); the `run` command writes it again.") from None


def required_request(out: Path) -> Asked:
    """As `read_request`; DataError where nothing was asked."""
    found = read_request(out)
    if found is None:
        raise DataError(f"{out}: no {FILE}, so no engine was asked for jobs there; name the folder given with --out.")
    return found


def log_of(out: Path, number: int) -> Path:
    """What a task printed."""
    return out / "engine" / "logs" / f"{number}.txt"


def cancelled(out: Path) -> Path:
    """The file that says that no task is to be started or repeated."""
    return out / "engine" / "cancelled"


def mark_cancelled(out: Path) -> None:
    """Have no task start or return to the queue."""
    Folder(out).write("engine/cancelled", b"")

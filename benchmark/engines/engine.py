"""What an engine is: four functions and its settings. Packages bring others by entry points `benchmark.engines`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from benchmark.config import Settings
from benchmark.errors import ConfigError, UnknownName
from benchmark.system.packages import offers

if TYPE_CHECKING:
    from rich.console import Console

    from benchmark.engines.settings import Chosen
    from benchmark.running.launch import Launch
    from benchmark.running.setup import Run

GROUP = "benchmark.engines"
OWN = ("local", "slurm", "ray")


@dataclass(frozen=True)
class Work:
    """A run that is checked and ready, to be handed to an engine."""

    ready: Sequence[Run]
    """A run for each suite; all have one results folder."""
    console: Console
    launch: Launch
    tensorboard: bool
    chosen: Chosen
    detach: bool = False
    """Whether to return as soon as the jobs are queued."""

    @property
    def out(self) -> Path:
        """The results folder, absolute."""
        return self.ready[0].store.out


@dataclass(frozen=True)
class Queued:
    """What a scheduler says of a task that it has not ended."""

    running: bool
    why: str
    """Why it waits, or on which node it runs."""


class Engine(Protocol):
    """Where jobs are done. All that it leaves are records in the results folder, and files in `<out>/engine`."""

    settings: type[Settings]
    """A frozen class; its fields are what `--engine-set` may set."""

    def preview(self, work: Work) -> str:
        """What would be done, for `--dry-run`."""

    def run(self, work: Work) -> bool:
        """Do all jobs that have records to make, or queue them; whether no job failed.

        Errors that a person can mend are BenchmarkErrors, raised before anything is queued.
        """

    def queued(self, out: Path) -> Mapping[int, Queued] | None:
        """What the scheduler says of the tasks of a results folder, by number; None where it cannot be asked here."""

    def cancel(self, out: Path) -> str:
        """End all tasks of a results folder; what was done, for people."""


def engine_names() -> list[str]:
    """Engines of this package, then those of other installed packages."""
    return [*OWN, *(name for name in offers(GROUP) if name not in OWN)]


def find_engine(name: str) -> Engine:
    """The engine of that name. Raises UnknownName, or ConfigError where its package cannot be used."""
    if name not in engine_names():
        raise UnknownName("engine", name, engine_names())
    if name in OWN:
        return cast(Engine, import_module(f"benchmark.engines.{name}").ENGINE)
    offer = offers(GROUP)[name]
    found = offer.load()
    if not all(callable(getattr(found, what, None)) for what in ("preview", "run", "queued", "cancel")):
        raise ConfigError(f"engine {name}: {offer.origin} must offer preview, run, queued and cancel.")
    return cast(Engine, found)


def own_settings() -> dict[str, type[Settings]]:
    """The kinds of settings of this package's engines by name."""
    return {name: find_engine(name).settings for name in OWN}

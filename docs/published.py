"""The published results that README.md and the pages of docs/ take their numbers from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from benchmark.errors import ConfigError
from benchmark.report.group import Group, group_of
from benchmark.report.lines import check_comparable, groups
from benchmark.results import ResultStore, RunRecord
from benchmark.results.reals import read_reals

ROOT = Path(__file__).resolve().parents[1]
PUBLISHED = ROOT / "results" / "published"


@dataclass(frozen=True)
class Published:
    """A published folder and its records of one suite."""

    folder: Path
    group: Group

    def link(self, name: str, page: Path) -> str:
        """A file of the folder as a link of a page."""
        return Path(os.path.relpath(self.folder / name, page.parent)).as_posix()


def newest(suite: str, published: Path = PUBLISHED) -> Published:
    """The newest folder with records of a suite; LookupError for none."""
    return every(suite, published)[-1]


@lru_cache(maxsize=32)
def every(suite: str, published: Path = PUBLISHED) -> tuple[Published, ...]:
    """All folders with records of a suite, by the day in their names, then by the last job's end."""
    folders = sorted(path.parent for path in published.glob("*/records"))
    found = [p for p in (of_suite(folder, suite) for folder in folders) if p is not None]
    if not found:
        raise LookupError(f"no folder in {published} has records of suite {suite}")
    return tuple(sorted(found, key=lambda p: (p.folder.name[:10], _ended(p.group), p.folder.name)))


def of_suite(folder: Path, suite: str) -> Published | None:
    """The records of one suite in a folder, if it has any; ConfigError where they are of several sources."""
    own = [r for r in _records(folder) if r.suite == suite]
    if not own:
        return None
    found = groups(own)
    if len(found) > 1:
        sources = ", ".join(f"{one[0].source} ({one[0].source_sha256[:12]})" for one in found)
        raise ConfigError(f"{folder} has records of several sources: {sources}.")
    return Published(folder, group_of(found[0], read_reals(folder)))


def pooled(parts: Sequence[Published]) -> Group:
    """The records of several folders, each comparable in itself, as one group.

    For what is paired within a domain and seed, so that each such pair must be of one folder and one kind of machine.
    Another folder may have been computed in another precision; ConfigError where anything else differs.
    """
    whose: dict[tuple[str, int], Path] = {}
    for p in parts:
        for place in {(r.domain, r.seed) for r in p.group.records}:
            if whose.setdefault(place, p.folder) != p.folder:
                raise ConfigError(f"{place[0]}, seed {place[1]} is in {whose[place]} and in {p.folder}.")
    records = [r for p in parts for r in p.group.records]
    sources = {r.source_sha256: f"{r.source} ({r.source_sha256[:12]})" for r in records}
    if len(sources) > 1:
        raise ConfigError(f"the records are of several sources: {', '.join(sources.values())}.")
    check_comparable([_of_any_precision(r) for r in records])
    found = group_of(records, [x for p in parts for x in read_reals(p.folder)])
    if found.mixed:
        raise ConfigError(f"{found.mixed[0][0]}, seed {found.mixed[0][1]} was measured on several kinds of machine.")
    return found


def _of_any_precision(record: RunRecord) -> RunRecord:
    train = record.settings.get("train")
    known = {"train": {**train, "precision": "auto"}} if isinstance(train, dict) else {}
    return record.model_copy(update={"settings": {**record.settings, **known}})


@lru_cache(maxsize=32)
def _records(folder: Path) -> tuple[RunRecord, ...]:
    """The folder's records; ConfigError where a file is none."""
    records, problems = ResultStore(folder).read_all()
    if problems:
        raise ConfigError(f"{folder}: {'; '.join(problems[:3])}")
    return tuple(records)


def _ended(g: Group) -> str:
    return max(str(r.environment.get("ended", "")) for r in g.records)

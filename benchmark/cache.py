"""Entries of the cache and leftovers of interrupted writes: listing, checking, pruning."""

from __future__ import annotations

import os
import re
import shutil
import time
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmark.domains.stored import entry_problem
from benchmark.errors import BenchmarkError, DataError
from benchmark.metrics.networks.weight_files import WEIGHT_FILES
from benchmark.sources import Source, list_sources
from benchmark.sources.source import IMPORTED, IMPORTING, INVERSIONS, source_digest
from benchmark.system.files import SCRATCH, clear_old_temporaries, is_temporary, sha256_or_none

DAY = 24 * 3600.0
KEPT = {"target": "targets", "source files": "sources"}
"""Kind of what was fetched, prepared or trained -> its folder in the cache; each entry is a folder."""


@dataclass(frozen=True)
class Entry:
    """One entry of the cache: its files, and the check that tells why it cannot be used."""

    kind: str
    name: str
    files: tuple[Path, ...]
    problem: Callable[[], str | None]

    def check(self) -> str | None:
        """Read the whole entry: why it cannot be used, or None. This does not count as a use."""
        times = [(file, file.stat()) for file in self.files if file.is_file()]
        found = self.problem()
        for file, at in times:
            with suppress(OSError):
                os.utime(file, ns=(at.st_atime_ns, at.st_mtime_ns))
        return found

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(file.stat().st_size for file in self.files if file.is_file())

    @property
    def idle_days(self) -> float:
        """Time since it was last read or written, as far as the file system keeps that."""
        last = [max(file.stat().st_atime, file.stat().st_mtime) for file in self.files if file.is_file()]
        return (time.time() - max(last, default=0.0)) / DAY


def cache_entries(cache: Path) -> Iterator[Entry]:
    """Everything that the suite keeps in its cache and can check, by kind and name. Unknown files are left alone."""
    for about in sorted(cache.glob("*px-*.json")):
        if re.search(r"-\d+px-[0-9a-f]{16}\.json$", about.name):
            entry = about.with_suffix("")
            yield Entry("domain", entry.name, (about, entry.with_suffix(".npy")), partial(entry_problem, entry))  # type: ignore[misc]
    for path in sorted((cache / "features").glob("*.npz")):
        yield Entry("features", path.stem, (path,), partial(_zip_problem, path))
    for path in sorted((cache / INVERSIONS).glob("*.npz")):
        yield Entry("inversions", path.stem, (path,), partial(_zip_problem, path))
    for file in WEIGHT_FILES.values():
        path = cache / "weights" / file.filename
        if path.is_file():
            yield Entry("weights", file.key, (path,), partial(_weights_problem, path, file.sha256))
    for name, source in list_sources(cache).items() if (cache / IMPORTED).is_dir() else ():
        if source.folder.parent == cache / IMPORTED:
            files = tuple(p for p in sorted(source.folder.iterdir()) if p.is_file())
            yield Entry("source", name, files, partial(_source_problem, source))


def kept_entries(cache: Path) -> Iterator[Entry]:
    """What was fetched, prepared or trained, which may be very many files: counted, neither checked nor pruned."""
    for kind, where in KEPT.items():
        for folder in sorted(path for path in (cache / where).glob("*") if path.is_dir()):
            files = tuple(path for path in sorted(folder.rglob("*")) if path.is_file())
            yield Entry(kind, folder.name, files, lambda: None)


def _zip_problem(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            return None if archive.testzip() is None else "damaged"
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return "damaged"


def _weights_problem(path: Path, sha256: str) -> str | None:
    return None if sha256_or_none(path) == sha256 else "another file than the published one (other sha256)"


def _source_problem(source: Source) -> str | None:
    try:
        source_digest(source)
    except BenchmarkError as error:
        return str(error)
    return None


def folders(cache: Path) -> tuple[Path, ...]:
    """Where the suite writes what it made."""
    return cache, cache / "features", cache / INVERSIONS


def cache_leftovers(cache: Path) -> list[Path]:
    """Unfinished drawings and temporaries of killed processes, old ones first to go."""
    found = [p for folder in folders(cache) for p in folder.glob(".*.tmp") if is_temporary(p)]
    return sorted([*found, *unfinished(cache)])


def unfinished(cache: Path) -> list[Path]:
    """Folders of drawings and imports in progress, or that a kill left."""
    return [*cache.glob(f"{SCRATCH}*"), *(cache / IMPORTED).glob(f"{IMPORTING}*")]


def prune(cache: Path, days: float | None) -> tuple[list[str], int]:
    """Remove damaged entries, day-old leftovers and, with `days`, what can be made again and was unread for so long.

    Returns (what was removed, bytes). Weights and imported sources are the user's own and stay. DataError where a file
    cannot be removed.
    """
    removed, freed = [], 0
    for entry in [e for e in cache_entries(cache) if e.kind in ("domain", "features", "inversions")]:
        why = entry.check() or ("unread" if days is not None and entry.idle_days > days else None)
        if why:
            freed += entry.size
            removed.append(f"{entry.kind} {entry.name}: {why}")
            _remove(entry.files)
    old = [p for p in unfinished(cache) if time.time() - p.lstat().st_mtime > DAY]
    for folder in old:
        shutil.rmtree(folder, ignore_errors=True)
    count, _ = clear_old_temporaries(folders(cache))
    if count + len(old):
        removed.append(f"{count + len(old)} leftovers of interrupted writes")
    return removed, freed


def _remove(files: Sequence[Path]) -> None:
    for file in files:
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            raise DataError(f"cannot remove {file}: {error.strerror or error}; is the cache read-only?") from None


def sizes(entries: Sequence[Entry]) -> Mapping[str, tuple[int, int]]:
    """{kind: (entries, bytes)}."""
    found: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for entry in entries:
        count, size = found[entry.kind]
        found[entry.kind] = (count + 1, size + entry.size)
    return found

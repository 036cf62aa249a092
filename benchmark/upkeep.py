"""Looking after folders: does a results folder hold what was stored, what is in the cache, what may go."""

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

from benchmark.domains import entry_problem
from benchmark.errors import BenchmarkError, DataError
from benchmark.files import SCRATCH, clear_old_temporaries, is_temporary, sha256_of
from benchmark.hashes import hash_file, read_hashes
from benchmark.metrics.weights import WEIGHT_FILES
from benchmark.results import ResultStore
from benchmark.sources import IMPORTED, Source, list_sources, source_digest

HASHED = ("records", "samples", "checkpoints")
"""Folders of a results folder whose files have hashes."""
DAY = 24 * 3600.0


@dataclass(frozen=True)
class Verified:
    """What `verify_results` found; every list holds lines for a person."""

    good: int
    bad: tuple[str, ...]
    """Changed, damaged or unreadable."""
    gone: tuple[str, ...]
    unhashed: tuple[str, ...]
    """Stored before there were hashes, or by somebody else."""


def verify_results(out: Path) -> Verified:
    """Hash again what lies in a results folder and compare; raises DataError where there are no records."""
    _, problems = ResultStore(out).read_all()
    expected: dict[str, str] = {}
    bad = list(problems)
    for file in sorted(hash_file(out, "x").parent.glob("*.sha256")):
        found = read_hashes(file)
        bad += [f"hashes/{file.name}: damaged"] if found is None else []
        expected |= found or {}
    good, gone = 0, []
    for name, digest in expected.items():
        path = out / name
        if not path.is_file() or not path.resolve().is_relative_to(out.resolve()):
            gone.append(name)
        elif _hash(path) == digest:
            good += 1
        else:
            bad.append(f"{name}: not what was stored (another sha256)")
    suffixes = (".json", ".png", ".safetensors")
    there = (p for folder in HASHED for p in sorted((out / folder).glob("*")) if p.suffix in suffixes and p.is_file())
    unhashed = [name for name in (p.relative_to(out).as_posix() for p in there) if name not in expected]
    return Verified(good, tuple(bad), tuple(gone), tuple(unhashed))


def tidy_results(out: Path) -> str | None:
    """Remove what interrupted writes left in a results folder a day ago or earlier; a line about all that was found."""
    names = (*HASHED, "hashes", "logs", "figures")
    removed, left = clear_old_temporaries([out, *(out / name for name in names)])
    texts = [f"{removed} leftovers of interrupted writes removed"] if removed else []
    texts += [f"{len(left)} younger than a day ignored ({left[0].name} ...)"] if left else []
    return "; ".join(texts) or None


def _hash(path: Path) -> str | None:
    try:
        return sha256_of(path)
    except OSError:
        return None


@dataclass(frozen=True)
class Entry:
    """One thing in the cache: its files, and what finds out why it may not be used."""

    kind: str
    name: str
    files: tuple[Path, ...]
    problem: Callable[[], str | None]

    def check(self) -> str | None:
        """Read it all: why it may not be used, or None. Does not count as a use of it."""
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
        """Since somebody last read or wrote it, as far as the file system keeps that."""
        last = [max(file.stat().st_atime, file.stat().st_mtime) for file in self.files if file.is_file()]
        return (time.time() - max(last, default=0.0)) / DAY


def cache_entries(cache: Path) -> Iterator[Entry]:
    """All that the suite keeps in its cache, by kind and name. Files that it does not know are left alone."""
    for about in sorted(cache.glob("*px-*.json")):
        if re.search(r"-\d+px-[0-9a-f]{16}\.json$", about.name):
            entry = about.with_suffix("")
            yield Entry("domain", entry.name, (about, entry.with_suffix(".npy")), partial(entry_problem, entry))  # type: ignore[misc]
    for path in sorted((cache / "features").glob("*.npz")):
        yield Entry("features", path.stem, (path,), partial(_zip_problem, path))
    for file in WEIGHT_FILES.values():
        path = cache / "weights" / file.filename
        if path.is_file():
            yield Entry("weights", file.key, (path,), partial(_weights_problem, path, file.sha256))
    for name, source in list_sources(cache).items() if (cache / IMPORTED).is_dir() else ():
        if source.folder.parent == cache / IMPORTED:
            files = tuple(p for p in sorted(source.folder.iterdir()) if p.is_file())
            yield Entry("source", name, files, partial(_source_problem, source))


def _zip_problem(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            return None if archive.testzip() is None else "damaged"
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return "damaged"


def _weights_problem(path: Path, sha256: str) -> str | None:
    return None if _hash(path) == sha256 else "another file than the published one (other sha256)"


def _source_problem(source: Source) -> str | None:
    try:
        source_digest(source)
    except BenchmarkError as error:
        return str(error)
    return None


def cache_leftovers(cache: Path) -> list[Path]:
    """Unfinished drawings and temporaries of killed processes, old ones first to go."""
    found = [p for folder in (cache, cache / "features") for p in folder.glob(".*.tmp") if is_temporary(p)]
    return sorted([*found, *cache.glob(f"{SCRATCH}*")])


def prune(cache: Path, days: float | None) -> tuple[list[str], int]:
    """Remove damaged entries, day-old leftovers and, with `days`, drawings and features unread for so long.

    Returns (what was removed, bytes). Weights and imported sources are the user's own and stay. DataError where a file
    cannot be removed.
    """
    removed, freed = [], 0
    for entry in [e for e in cache_entries(cache) if e.kind in ("domain", "features")]:
        why = entry.check() or ("unread" if days is not None and entry.idle_days > days else None)
        if why:
            freed += entry.size
            removed.append(f"{entry.kind} {entry.name}: {why}")
            _remove(entry.files)
    old = [p for p in cache.glob(f"{SCRATCH}*") if time.time() - p.lstat().st_mtime > DAY]
    for folder in old:
        shutil.rmtree(folder, ignore_errors=True)
    count, _ = clear_old_temporaries((cache, cache / "features"))
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

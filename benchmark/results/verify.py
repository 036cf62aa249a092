"""Verification of a results folder against the hashes noted when it was written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from benchmark.results.hashes import hash_file, hash_lines, hashes_of, read_hashes
from benchmark.results.record import KEY
from benchmark.results.store import ResultStore
from benchmark.system.files import clear_old_temporaries, sha256_or_none, write_atomic

HASHED = ("records", "samples", "checkpoints")
"""Folders of a results folder whose files have hashes."""


@dataclass(frozen=True)
class Verified:
    """What `verify_results` found; every list holds lines for a person."""

    good: int
    bad: tuple[str, ...]
    """Changed, damaged or unreadable."""
    gone: tuple[str, ...]
    unhashed: tuple[str, ...]
    """Stored before there were hashes, or by another program."""


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
        elif sha256_or_none(path) == digest:
            good += 1
        else:
            bad.append(f"{name}: not what was stored (another sha256)")
    suffixes = (".json", ".png", ".safetensors")
    there = (p for folder in HASHED for p in sorted((out / folder).glob("*")) if p.suffix in suffixes and p.is_file())
    unhashed = [name for name in (p.relative_to(out).as_posix() for p in there) if name not in expected]
    return Verified(good, tuple(bad), tuple(gone), tuple(unhashed))


def note_missing(out: Path) -> int:
    """Write the hashes of records and pictures that have none, as an earlier version stored them; the number of files.

    What has a hash keeps it. Raises DataError where there are no records or the folder cannot be written.
    """
    missing = verify_results(out).unhashed
    belongs: dict[str, list[Path]] = {}
    for name in missing:
        path = out / name
        key = path.stem.partition("-")[0]
        if path.suffix in (".json", ".png") and re.fullmatch(KEY, key) and not path.is_symlink():
            belongs.setdefault(key, []).append(path)
    for key, paths in belongs.items():
        known = read_hashes(hash_file(out, key)) or {}
        write_atomic(hash_file(out, key), hash_lines(known | hashes_of(out, paths)))
    return sum(map(len, belongs.values()))


def tidy_results(out: Path) -> str | None:
    """Remove what interrupted writes left in a results folder a day ago or earlier; a line about all that was found."""
    names = (*HASHED, "hashes", "logs", "figures")
    removed, left = clear_old_temporaries([out, *(out / name for name in names)])
    texts = [f"{removed} leftovers of interrupted writes removed"] if removed else []
    texts += [f"{len(left)} younger than a day ignored ({left[0].name} ...)"] if left else []
    return "; ".join(texts) or None

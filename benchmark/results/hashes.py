"""Hashes of what a run stored, one small file per record and per training, in the form that `sha256sum --check` reads.

<out>/hashes/<key>.sha256    lines "<sha256>  <path relative to out>"
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from benchmark.system.files import sha256_of

LINE = re.compile(r"([0-9a-f]{64})  ((?!\.)[\w.-]+(?:/(?!\.)[\w.-]+)+)", re.ASCII)


def hash_file(out: Path, key: str) -> Path:
    """Where the hashes of what belongs to a record's or a training's key lie."""
    return out / "hashes" / f"{key}.sha256"


def hashes_of(out: Path, files: Iterable[Path]) -> dict[str, str]:
    """{path relative to `out`: sha256} of those of the files that are there."""
    return {file.relative_to(out).as_posix(): sha256_of(file) for file in files if file.is_file()}


def hash_lines(found: Mapping[str, str]) -> bytes:
    """The content of a file of hashes."""
    return "".join(f"{digest}  {path}\n" for path, digest in sorted(found.items())).encode()


def read_hashes(file: Path) -> dict[str, str] | None:
    """{path relative to `out`: sha256}; None where the file is damaged or leads out of the folder."""
    try:
        lines = file.read_text("ascii").splitlines()
    except (OSError, ValueError):
        return None
    found = [LINE.fullmatch(line) for line in lines]
    return {m[2]: m[1] for m in found if m} if all(found) else None

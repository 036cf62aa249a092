"""Hashes of what a run stored, one small file per record and per training, in the form that `sha256sum --check` reads.

<out>/hashes/<key>.sha256    lines "<sha256>  <path relative to out>"
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from itertools import count
from pathlib import Path

from benchmark.system.folder import Folder

MAX_BYTES = 1 << 20
"""Of a file of hashes; it has a line of some 100 bytes for each file that belongs to its key."""
MAX_HASHED = 8 << 30
"""Of a file that is hashed: weights of three networks of 1024 px have less than 1 GB."""
CHANGED = "is not what was stored (another sha256)"
"""Of a file with another hash than was noted."""
LEFT = "left by an interrupted write; ignored, safe to delete"
LINE = re.compile(r"([0-9a-f]{64})  ((?!\.)[\w.-]+(?:/(?!\.)[\w.-]+)+)", re.ASCII)


def hash_file(out: Path, key: str) -> Path:
    """Where the hashes of what belongs to a record's or a training's key lie."""
    return out / "hashes" / f"{key}.sha256"


def differs(out: Path, key: str, name: str, digest: str) -> bool:
    """Whether another sha256 than `digest` was noted of the file `name`, relative to `out`, of this key."""
    return (read_hashes(hash_file(out, key)) or {}).get(name, digest) != digest


def hashes_of(out: Path, files: Iterable[Path]) -> dict[str, str]:
    """{path relative to `out`: sha256} of those of the files that are there."""
    names = [file.relative_to(out).as_posix() for file in files if file.is_file() and not file.is_symlink()]
    return {name: Folder(out).sha256(name, MAX_HASHED) for name in names}


def set_aside(file: Path) -> str:
    """Give a file that cannot be used another name, beside it, that nothing has yet; that name."""
    names = (f"{file.name}{f'.{number}' if number > 1 else ''}.unusable" for number in count(1))
    aside = next(path for path in map(file.with_name, names) if not os.path.lexists(path))
    file.replace(aside)
    return aside.name


def hash_lines(found: Mapping[str, str]) -> bytes:
    """The content of a file of hashes."""
    return "".join(f"{digest}  {path}\n" for path, digest in sorted(found.items())).encode()


def read_hashes(file: Path) -> dict[str, str] | None:
    """{path relative to `out`: sha256}; None where the file is damaged, is not a plain file, or leads out of `out`."""
    try:
        lines = Folder(file.parents[1]).read(f"hashes/{file.name}", MAX_BYTES).decode("ascii").splitlines()
    except (OSError, ValueError):
        return None
    found = [LINE.fullmatch(line) for line in lines]
    return {m[2]: m[1] for m in found if m} if all(found) else None

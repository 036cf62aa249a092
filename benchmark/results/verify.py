"""Verification of a results folder against the hashes noted when it was written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from benchmark.results.hashes import CHANGED, LEFT, MAX_HASHED, hash_file, hash_lines, hashes_of, read_hashes
from benchmark.results.record import KEY
from benchmark.results.store import ResultStore
from benchmark.system.files import clear_old_temporaries, write_atomic
from benchmark.system.folder import Folder, NotPlain

HASHED = ("records", "samples", "reals", "checkpoints")
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
    store = ResultStore(out)
    _, problems = store.read_all()
    # What was changed is found below, and half-written files are of a run that was killed or goes on.
    bad = [line for line in problems if CHANGED not in line and not line.endswith(LEFT)]
    expected = dict[str, str]()
    for name in listed(store.folder, "hashes", bad):
        if name.endswith(".sha256"):
            found = read_hashes(hash_file(out, name.removesuffix(".sha256")))
            bad += [f"hashes/{name}: damaged"] if found is None else []
            expected |= found or {}
    good, gone = 0, []
    for name, digest in expected.items():
        try:
            if store.folder.sha256(name, MAX_HASHED) == digest:
                good += 1
            else:
                bad.append(f"{name}: {CHANGED}")
        except FileNotFoundError:
            gone.append(name)
        except NotPlain as error:  # what is there instead, such as a link, is not what was stored
            if is_plain(out, name):
                bad.append(f"{name}: {error.strerror}")
            else:
                gone.append(name)
        except OSError as error:
            bad.append(f"{name}: cannot be read ({error.strerror or error})")
    there = [f"{folder}/{name}" for folder in HASHED for name in listed(store.folder, folder, bad)]
    suffixes = (".json", ".png", ".safetensors")
    unhashed = [name for name in there if name.endswith(suffixes) and name not in expected and is_plain(out, name)]
    return Verified(good, tuple(bad), tuple(gone), tuple(unhashed))


def listed(folder: Folder, name: str, bad: list[str]) -> list[str]:
    """What lies in a folder of a results folder; one that is a link goes to `bad`, one that is missing has nothing."""
    try:
        return folder.names(name)
    except FileNotFoundError:
        return []
    except NotPlain:
        bad.append(f"{name}/: is a link, not a folder")
    except OSError as error:
        bad.append(f"{name}/: cannot be read ({error.strerror or error})")
    return []


def is_plain(out: Path, name: str) -> bool:
    """Whether it is a regular file, and no link to one."""
    return (out / name).is_file() and not (out / name).is_symlink()


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

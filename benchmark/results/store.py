"""Results on disk: one JSON file per record, beside it one strip of sample images, and the hashes of both.

    <out>/records/<record_key>.json     a RunRecord
    <out>/samples/<record_key>.png      adapted(z_0..z_7) side by side; the zero-step record shows the source
    <out>/hashes/<record_key>.sha256    hashes of both

Whatever lies in that folder is treated as hostile: a reader reports what it cannot use and continues.
The format is described in docs/results-format.md.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import uuid
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from benchmark.errors import DataError, UnknownName
from benchmark.results.hashes import CHANGED, LEFT, differs, hash_file, hash_lines, hashes_of
from benchmark.results.record import KEY, SCHEMA, RunRecord, control_order, readable
from benchmark.system.files import write_atomic
from benchmark.system.folder import Folder, NotPlain

_MAX_BYTES = 4 * 2**20  # a record has a few kB; anything near this is not a record
FOLDERS = ("records", "samples", "reals", "hashes", "logs", "checkpoints", "locks", "figures", "engine")
"""All that a run and a report write to, below a results folder."""


class ResultStore:
    """The records and sample strips under one results folder."""

    def __init__(self, out: Path) -> None:
        self.out = Path(out)
        self.folder = Folder(self.out)
        """All files of the results are opened through this."""
        self.records = self.out / "records"
        self.samples = self.out / "samples"

    def ensure_no_links(self) -> None:
        """DataError where a folder that a run or a report writes to is a link: it leads to somebody's other files."""
        if linked := self.folder.linked(FOLDERS):
            raise DataError(
                f"{linked} in {self.out} is a link, and nothing is written through links: put a folder in its place, "
                "or choose another folder with --out"
            )

    def ensure_writable(self) -> None:
        """Create the folders and try them, so that no training ends with results that cannot be stored; DataError."""
        self.ensure_no_links()
        for folder in (self.records, self.samples):
            probe = folder / f"probe-{uuid.uuid4().hex}"
            write_atomic(probe, b"")
            with contextlib.suppress(OSError):
                probe.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # a folder among them: locking says so
            self.folder.drop_false_locks("locks")

    def record_path(self, key: str) -> Path:
        """Where the record ``key`` (lower-case hex) lies; DataError for any other key."""
        return self.records / f"{_checked(key)}.json"

    def samples_path(self, key: str) -> Path:
        """Where the strip of samples of record ``key`` lies; ``RunRecord.grid`` is this, relative to ``out``."""
        return self.samples / f"{_checked(key)}.png"

    def has(self, key: str) -> RunRecord | None:
        """The finished record ``key``; None when it is missing, unreadable, failed, skipped or not what was stored:
        that job is to run.

        Raises DataError as ``read`` does.
        """
        record = self.read(key)
        return record if record is not None and record.status == "done" else None

    def changed(self, key: str) -> bool:
        """Whether the file of record ``key`` has another hash than was noted of it; not where it cannot be read."""
        name = f"records/{self.record_path(key).name}"
        try:
            digest = self.folder.sha256(name, _MAX_BYTES)
        except OSError:
            return False
        return differs(self.out, key, name, digest)

    def note_hashes(self, record: RunRecord) -> None:
        """Store the hashes of a stored record and its pictures, if a killed process left it without."""
        file, path = hash_file(self.out, record.record_key), self.record_path(record.record_key)
        if not file.exists():
            files = [path, *(self.out / name for name in record.pictures)]
            write_atomic(file, hash_lines(hashes_of(self.out, files)))

    def read(self, key: str) -> RunRecord | None:
        """The record ``key``, whatever its status; None when it is missing, unreadable or not what was stored.

        Raises DataError when a newer version of the suite wrote it: running again would overwrite that.
        """
        record = _read(self.folder, self.record_path(key).name)
        if isinstance(record, _Newer):
            raise DataError(str(record))
        return record if isinstance(record, RunRecord) else None

    def glance(self, key: str) -> tuple[str, str] | None:
        """Status and reason of record ``key``, without a check of all the rest; None when it cannot be read."""
        try:
            found = json.loads(self.folder.read(f"records/{_checked(key)}.json", _MAX_BYTES))
            return str(found["status"]), str(found.get("reason") or "")
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None

    def write(self, record: RunRecord) -> Path:
        """Store ``record`` atomically, over an earlier one of its key; DataError when the folder cannot be written."""
        path, data = self.record_path(record.record_key), to_json(record)
        pictures = [self.out / name for name in record.pictures]
        found = {f"records/{path.name}": hashlib.sha256(data).hexdigest()} | hashes_of(self.out, pictures)
        file = hash_file(self.out, record.record_key)
        if path.exists():  # whoever is killed here must not leave a record beside the hash of another
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)
            write_atomic(path, data)
            write_atomic(file, hash_lines(found))
        else:
            write_atomic(file, hash_lines(found))
            write_atomic(path, data)
        return path

    def read_all(self) -> tuple[list[RunRecord], list[str]]:
        """All valid records in an order that does not depend on the file system, and one line per file that is not one.

        Raises DataError when there is no folder of records.
        """
        try:
            names = self.folder.names("records")
        except OSError as error:
            why = error.strerror or error
            raise DataError(f"no results in {self.out}: records/ cannot be read ({why}); name a run's folder") from None
        read = [_read(self.folder, name) for name in names]
        records = [r for r in read if isinstance(r, RunRecord)]
        return sorted(records, key=sort_key), [r for r in read if isinstance(r, str)]

    def find(self, prefix: str) -> RunRecord:
        """The one record whose key begins with ``prefix``; UnknownName or DataError (several) otherwise."""
        records, _ = self.read_all()
        hits = [r for r in records if prefix and r.record_key.startswith(prefix)]
        if not hits:
            raise UnknownName("record", prefix, (r.record_key[:12] for r in records))
        if len(hits) > 1:
            keys = ", ".join(r.record_key[:12] for r in hits[:5])
            raise DataError(f"record {prefix!r} is not unique: {len(hits)} begin so ({keys}); give more characters")
        return hits[0]


class _Newer(str):
    """The line about a record that a newer version wrote."""


def to_json(record: RunRecord) -> bytes:
    """The bytes of a record's file: UTF-8 JSON, fields in the order of the class."""
    plain = record.model_dump(mode="json", by_alias=True)
    return (json.dumps(plain, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def sort_key(record: RunRecord) -> tuple[Any, ...]:
    """Suite, source, domain, the zero-step row first, method, its fields, default control first, control, seed."""
    fields = json.dumps(record.fields, sort_keys=True)
    place = (record.suite, record.source, record.source_sha256, record.domain)
    who = (not record.zero_step, record.method, fields, not record.is_default_control, control_order(record.control))
    return (*place, *who, record.seed, record.record_key)


def _checked(key: str) -> str:
    if not re.fullmatch(KEY, key):
        raise DataError(f"record key {key!r} is not 8 to 64 lower-case hexadecimal digits; `report` lists the keys")
    return key


def _read(folder: Folder, name: str) -> RunRecord | str:
    """The record in the file ``records/<name>``, or one line that says why there is none."""
    path, shown = Path(name), f"records/{readable(name)}".replace("\n", " ")
    if path.suffix == ".tmp" and path.name.startswith("."):
        return f"{shown}: {LEFT}"
    if path.suffix != ".json" or not re.fullmatch(KEY, path.stem):
        return f"{shown}: not a record's name (<hex key>.json); ignored"
    try:
        data = folder.read(f"records/{name}", _MAX_BYTES)
        record = RunRecord.model_validate_json(data, strict=True)
    except NotPlain as error:
        return f"{shown}: {error.strerror}; ignored"
    except OSError as error:
        return f"{shown}: cannot be read ({error.strerror or error}); ignored"
    except ValidationError as error:
        return _newer(shown, data) or f"{shown}: {_first(error)}; ignored, the next run of that job replaces it"
    if record.record_key != path.stem:
        return f"{shown}: holds record {record.record_key[:12]}; ignored, files must be named by their key"
    if differs(folder.root, path.stem, f"records/{name}", hashlib.sha256(data).hexdigest()):
        return f"{shown}: {CHANGED}; ignored, the next run of that job replaces it"
    return record


def _newer(shown: str, data: bytes) -> _Newer | None:
    try:
        schema = json.loads(data)["schema"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if not isinstance(schema, int) or schema <= SCHEMA:
        return None
    return _Newer(f"{shown}: schema {schema}, this version reads {SCHEMA}; upgrade the benchmark to use it")


def _first(error: ValidationError) -> str:
    """The first complaint of pydantic on one line."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return " ".join(f"{where} {first['msg']}".split())

"""Results on disk: one JSON file per record, beside it one strip of sample images, and the hashes of both.

    <out>/records/<record_key>.json     a RunRecord
    <out>/samples/<record_key>.png      adapted(z_0..z_7) side by side; the zero-step record shows the source
    <out>/hashes/<record_key>.sha256    hashes of both

Whatever lies in that folder is treated as hostile: a reader reports what it cannot use and goes on.
The format is described in docs/results-format.md.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import uuid
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from benchmark.config import Frozen
from benchmark.errors import DataError, UnknownName
from benchmark.files import new_file
from benchmark.hashes import hash_file, hash_lines, hashes_of

SCHEMA = 1
KEY = r"[0-9a-f]{8,64}"
_MAX_BYTES = 4 * 2**20  # a record has a few kB; anything near this is not a record


def _plain_json(value: Any) -> Any:
    """``value`` as JSON would give it back (tuples become lists); NaN, infinity and unpaired surrogates are refused."""
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        text.encode()
    except (TypeError, RecursionError) as error:
        raise ValueError(f"cannot be written as JSON: {error}") from None
    return json.loads(text)


def _readable(value: Any) -> Any:
    """Reasons often quote file names; undecodable bytes in them must not cost us the record."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(_readable)]
JsonDict = Annotated[dict[str, Any], BeforeValidator(_plain_json)]
Key = Annotated[str, Field(pattern=f"^{KEY}$")]
Count = Annotated[int, Field(ge=0)]


class MetricValue(Frozen):
    """One measured number, or the reason why there is none."""

    value: float | None = None
    n: Count = Field(0, description="generated images (or pairs) it was measured on")
    std_error: float | None = Field(None, ge=0)
    interval: tuple[float, float] | None = Field(None, description="lo, hi")
    floor: float | None = Field(None, description="what the best possible images score")
    ceiling: float | None = Field(None, description="the other end of the scale, as the metric says")
    better: Literal["lower", "higher"] = "lower"
    title: Text = ""
    reason: Text | None = Field(None, description="why value is None: which file is missing, where to put it")
    note: Text | None = Field(None, description="what has to be known beside the value")

    @model_validator(mode="after")
    def _explained(self) -> MetricValue:
        if self.value is None and not self.reason:
            raise ValueError("a metric without a value needs a reason")
        if self.interval is not None and self.interval[0] > self.interval[1]:
            raise ValueError(f"interval {self.interval} is upside down")
        return self


class Timing(Frozen):
    """What a job cost; None = not measured. Further numbers are kept under their own names."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, float | int | str | bool | None] = Field(init=False)

    train_seconds: float | None = Field(None, ge=0)
    seconds_per_kimg: float | None = Field(None, ge=0, description="median over warmed-up ticks")
    ms_per_image: float | None = Field(None, ge=0, description="generator forward")
    peak_mem_mb: float | None = Field(None, ge=0)
    trainable_params: Count | None = None
    shipped_params: Count | None = None
    kimg: float | None = Field(None, ge=0, description="training length, thousands of real images")
    reused_training: bool = Field(False, description="the checkpoint was trained under another method's name")


class CurvePoint(Frozen):
    """What the weights at one moment of the training score."""

    kimg: float = Field(ge=0)
    seconds: float | None = Field(None, ge=0, description="of training, up to that moment")
    metrics: dict[str, MetricValue] = Field(default_factory=dict)


class Doctor(Frozen):
    """What `doctor` found about the measuring on this machine, before the run."""

    passed: bool
    checks: Count = 0
    failed: tuple[Text, ...] = Field((), description="one line for each failed check")


class RunRecord(Frozen):
    """One row of results: a method (at one value of its control) on a domain with a seed."""

    # `schema` would shadow a method of pydantic's base class, hence the alias
    schema_version: Literal[1] = Field(1, alias="schema")
    record_key: Key
    train_key: Key
    status: Literal["done", "failed", "timed-out", "out-of-memory", "skipped"]
    reason: Text | None = None
    suite: Text
    method: Text
    method_label: Text | None = None
    fields: JsonDict = Field(default_factory=dict, description="the method's hyper-parameters")
    domain: Text
    domain_digest: Text
    source: Text
    source_sha256: Text
    source_origin_sha256: Text | None = Field(None, description="of the file that an imported source was made of")
    architecture: JsonDict = Field(default_factory=dict, description="of the source: resolution, widths, channels ...")
    seed: int
    control: float | str | None = Field(None, description="value of the method's inference-time knob")
    is_default_control: bool = True
    control_name: Text | None = None
    zero_step: bool = Field(False, description="the untouched source measured against the domain")
    metrics: dict[str, MetricValue] = Field(default_factory=dict)
    timing: Timing = Timing()
    environment: JsonDict = Field(
        default_factory=dict, description="device, threads, torch, package version, commit ..."
    )
    settings: JsonDict = Field(default_factory=dict, description="resolved settings: train, eval, split sizes ...")
    notes: tuple[Text, ...] = ()
    grid: str | None = Field(None, description="the strip of samples, relative to the results folder")
    extremes: str | None = Field(
        None, description="two rows of samples, nearest to and farthest from the held-out images; relative likewise"
    )
    references: dict[Text, str] = Field(
        default_factory=dict, description="further strips by what they show: right answers, real images of the domain"
    )
    weights_kimg: float | None = Field(None, ge=0, description="length of training of the weights that were measured")
    curve: tuple[CurvePoint, ...] = Field((), description="metrics over the training; at the default control")
    doctor: Doctor | None = Field(None, description="None: not examined")

    @field_validator("grid", "extremes", "references")
    @classmethod
    def _inside(cls, found: str | dict[str, str] | None) -> str | dict[str, str] | None:
        for path in found.values() if isinstance(found, dict) else [found] if found is not None else []:
            if not all(re.fullmatch(r"[\w-][\w.-]*", part, re.ASCII) for part in path.split("/")):
                raise ValueError(f"{path!r} is not a plain relative path such as samples/<record_key>.png")
        return found

    @property
    def pictures(self) -> list[str]:
        """All picture files that belong to the record, relative to the results folder."""
        return [name for name in (self.grid, self.extremes, *self.references.values()) if name]

    @model_validator(mode="after")
    def _says_why(self) -> RunRecord:
        if self.status != "done" and not self.reason:
            raise ValueError(f"a {self.status} record needs a reason")
        return self


def write_atomic(path: Path, data: bytes) -> None:
    """Put ``data`` at ``path`` completely or not at all, also when power fails: a reader sees the old file or the new.

    Raises DataError when the folder cannot be written.
    """
    try:
        with new_file(path) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}; choose another folder with --out") from None


class ResultStore:
    """The records and sample strips under one results folder."""

    def __init__(self, out: Path) -> None:
        self.out = Path(out)
        self.records = self.out / "records"
        self.samples = self.out / "samples"

    def ensure_writable(self) -> None:
        """Create the folders and try them, so that an hour of training does not end at a closed door; DataError."""
        for folder in (self.records, self.samples):
            probe = folder / f"probe-{uuid.uuid4().hex}"
            write_atomic(probe, b"")
            with contextlib.suppress(OSError):
                probe.unlink(missing_ok=True)

    def record_path(self, key: str) -> Path:
        """Where the record ``key`` (lower-case hex) lies; DataError for any other key."""
        return self.records / f"{_checked(key)}.json"

    def samples_path(self, key: str) -> Path:
        """Where the strip of samples of record ``key`` lies; ``RunRecord.grid`` is this, relative to ``out``."""
        return self.samples / f"{_checked(key)}.png"

    def has(self, key: str) -> RunRecord | None:
        """The finished record ``key``; None when it is missing, unreadable, failed or skipped: that job is to run.

        Raises DataError as ``read`` does.
        """
        record = self.read(key)
        return record if record is not None and record.status == "done" else None

    def read(self, key: str) -> RunRecord | None:
        """The record ``key``, whatever its status; None when it is missing or unreadable.

        Raises DataError when a newer version of the suite wrote it: running again would overwrite that.
        """
        record = _read(self.record_path(key))
        if isinstance(record, _Newer):
            raise DataError(str(record))
        return record if isinstance(record, RunRecord) else None

    def write(self, record: RunRecord) -> Path:
        """Store ``record`` atomically, over an earlier one of its key; DataError when the folder cannot be written."""
        path, data = self.record_path(record.record_key), to_json(record)
        # The hashes first: a record that is there is never written again.
        pictures = [self.out / name for name in record.pictures]
        found = {f"records/{path.name}": hashlib.sha256(data).hexdigest()} | hashes_of(self.out, pictures)
        write_atomic(hash_file(self.out, record.record_key), hash_lines(found))
        write_atomic(path, data)
        return path

    def read_all(self) -> tuple[list[RunRecord], list[str]]:
        """All valid records in an order that does not depend on the file system, and one line per file that is not one.

        Raises DataError when there is no folder of records.
        """
        try:
            paths = sorted(self.records.iterdir())
        except OSError as error:
            why = error.strerror or error
            raise DataError(f"no results in {self.out}: records/ cannot be read ({why}); name a run's folder") from None
        read = [_read(path) for path in paths]
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


def control_order(control: float | str | None) -> tuple[int, float, str]:
    """Sorts None, then numbers by size, then words."""
    if control is None:
        return (0, 0.0, "")
    return (2, 0.0, control) if isinstance(control, str) else (1, float(control), "")


def _checked(key: str) -> str:
    if not re.fullmatch(KEY, key):
        raise DataError(f"record key {key!r} is not 8 to 64 lower-case hexadecimal digits; `report` lists the keys")
    return key


def _read(path: Path) -> RunRecord | str:
    """The record at ``path``, or one line that says why there is none. Never follows links, never waits on a pipe."""
    shown = f"{path.parent.name}/{_readable(path.name)}".replace("\n", " ")
    if path.suffix == ".tmp" and path.name.startswith("."):
        return f"{shown}: left by an interrupted write; ignored, safe to delete"
    if path.suffix != ".json" or not re.fullmatch(KEY, path.stem):
        return f"{shown}: not a record's name (<hex key>.json); ignored"
    try:
        if path.is_symlink() or not path.is_file():
            return f"{shown}: not a plain file; ignored"
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            return f"{shown}: larger than any record; ignored"
        record = RunRecord.model_validate_json(data, strict=True)
    except OSError as error:
        return f"{shown}: cannot be read ({error.strerror or error}); ignored"
    except ValidationError as error:
        return _newer(shown, data) or f"{shown}: {_first(error)}; ignored, the next run of that job replaces it"
    if record.record_key != path.stem:
        return f"{shown}: holds record {record.record_key[:12]}; ignored, files must be named by their key"
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

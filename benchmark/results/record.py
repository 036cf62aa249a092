"""The record, one row of results: its fields, and the rules that they keep.

The format is described in docs/results-format.md.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, field_validator, model_validator

from benchmark.config import Frozen

SCHEMA = 1
KEY = r"[0-9a-f]{8,64}"


def _plain_json(value: Any) -> Any:
    """``value`` as JSON would give it back: tuples become lists, texts `readable`; NaN and infinity are refused."""
    try:
        text = readable(json.dumps(value, allow_nan=False, ensure_ascii=False))
    except (TypeError, RecursionError) as error:
        raise ValueError(f"cannot be written as JSON: {error}") from None
    return json.loads(text)


def readable(value: Any) -> Any:
    """Reasons and settings quote file names; undecodable bytes in them must not cost us the record."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(readable)]
JsonDict = Annotated[dict[str, Any], BeforeValidator(_plain_json)]
Key = Annotated[str, Field(pattern=f"^{KEY}$")]
Count = Annotated[int, Field(ge=0)]


class Measurement(Frozen):
    """One measured number, with its size and its uncertainty: what a metric's score and a record's value share.

    A score adds a reason and a note; a record's value adds them after the facts of its metric.
    """

    value: float | None = Field(None, description="None only together with a reason")
    n: Count = Field(0, description="generated images or pairs that it was measured on; 0 where there is no value")
    std_error: float | None = Field(None, ge=0)
    interval: tuple[float, float] | None = Field(
        None, description="lo, hi: 95 %, value +- 1.96 std_error; of fd_infinity with Student's t for the fit"
    )
    floor: float | None = Field(None, description="what a second set of real images or right answers scores")
    ceiling: float | None = Field(None, description="the other end of the scale, as the metric says")


class MetricValue(Measurement):
    """One measured number of a record, or the reason why there is none, and how its metric is read."""

    better: Literal["lower", "higher"] = "lower"
    title: Text = ""
    reason: Text | None = Field(None, description="why value is None: which file is missing, where to put it")
    note: Text | None = Field(None, description="what must be known to read the value")

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
    status: Literal["done", "failed", "timed-out", "out-of-memory", "skipped"]  # the last is read, not written any more
    reason: Text | None = None
    suite: Text
    method: Text
    method_label: Text | None = None
    fields: JsonDict = Field(default_factory=dict, description="the method's hyper-parameters")
    domain: Text
    domain_digest: Text
    standard_set: Text | None = Field(
        None, description="NAME:DIGEST where the images are a set of the field, prepared by its card; else null"
    )
    source: Text
    source_sha256: Text
    source_origin_sha256: Text | None = Field(None, description="of the file that was imported as the source")
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
    outside: Text | None = Field(
        None, description="where a network or pictures came from that the suite measured and did not train; else null"
    )
    trained_on: tuple[Text, ...] = Field(
        (), description="keys of weight files that the training looked through; scores of such a network flatter it"
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


def control_order(control: float | str | None) -> tuple[int, float, str]:
    """Sorts None, then numbers by size, then words."""
    if control is None:
        return (0, 0.0, "")
    return (2, 0.0, control) if isinstance(control, str) else (1, float(control), "")

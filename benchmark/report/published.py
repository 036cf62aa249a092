"""Published numbers: values with protocol and provenance, and a table of them beside ours. No torch here.

One YAML file per publication in `benchmark/report/published/`. A value counts as verified when it was read where it was
published (P: paper, R: project page or repository, C: code) or where others list it (A); what is only remembered (M)
is kept as a note of what to look up, and its number is never printed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from benchmark.config import Frozen
from benchmark.errors import DataError
from benchmark.report.cautions import cautions
from benchmark.report.lines import value_of
from benchmark.report.tables.table import MISSING, Cell, Column, Footnotes, Row, Table
from benchmark.results import RunRecord
from benchmark.system.text.plain_yaml import plain_yaml

SHELF = Path(__file__).parent / "published"
Mark = Literal["P", "R", "C", "A", "M"]
UNVERIFIED = "unverified"


class Protocol(Frozen):
    """How published values were made. None: not stated."""

    source: str = Field(description="the generator that was adapted")
    resolution: int | None = Field(description="px")
    samples: int | None = Field(description="generated images")
    reference: str = Field(description="what they were compared with")
    snapshot: str | None = Field(description="as eval.snapshot has it")
    code: str = Field(description="of the metric")
    notes: str = ""


class Part(Frozen):
    """A part of a publication's tables: one target. What is given here goes before the file's protocol."""

    target: str
    metrics: tuple[str, ...] = Field(min_length=1)
    rows: dict[str, tuple[float, ...]] = Field(description="by name of method where it is one of ours, else by a label")
    mark: Mark | None = None
    where: str | None = None
    source: str | None = None
    resolution: int | None = None
    snapshot: str | None = None
    notes: str | None = None

    @model_validator(mode="after")
    def _one_value_each(self) -> Part:
        for label, values in self.rows.items():
            if len(values) != len(self.metrics):
                raise ValueError(f"{self.target}, {label}: {len(values)} values for {len(self.metrics)} metrics")
        return self


class Publication(Frozen):
    """One file: a paper or page and what is taken from it."""

    schema_version: Literal[1] = Field(1, alias="schema")
    name: str
    short: str = Field(description="for rows of tables")
    paper: str
    where: str = Field(description="table or page")
    mark: Mark
    protocol: Protocol
    tables: tuple[Part, ...]


@dataclass(frozen=True)
class Value:
    """One published number with all that belongs to it."""

    target: str
    method: str
    metric: str
    value: float
    protocol: Protocol
    short: str
    paper: str
    where: str
    mark: Mark

    @cached_property
    def verified(self) -> bool:
        """Whether it was read for this project in the place that it cites."""
        return self.mark != "M"


def list_published() -> list[Value]:
    """All published values. Raises DataError for a file that does not read."""
    found: list[Value] = []
    for path in sorted(SHELF.glob("*.yaml")):
        try:
            found += values_of(Publication.model_validate(plain_yaml(path.read_text("utf-8"))))
        except (OSError, ValueError) as error:
            raise DataError(f"published/{path.name} cannot be read: {' '.join(str(error).split())}") from error
    return found


def values_of(publication: Publication) -> Iterator[Value]:
    """The values of one file."""
    p = publication
    for part in p.tables:
        given = part.model_dump(include={"source", "resolution", "snapshot", "notes"}, exclude_none=True)
        protocol = p.protocol.model_copy(update=given)
        for method, values in part.rows.items():
            for metric, value in zip(part.metrics, values, strict=True):
                where, mark = part.where or p.where, part.mark or p.mark
                yield Value(part.target, method, metric, value, protocol, p.short, p.paper, where, mark)


def published_table(records: Sequence[RunRecord], values: Sequence[Value] | None = None) -> Table | None:
    """Published values for the records' domains, each beside ours; None where there are none.

    Only the standard set itself is meant, by its card and digest: a folder of its name is another set.
    Rows are methods by publication; a note of each row says the protocol and where it differs from ours. `values`:
    those of the package by default.
    """
    records = [r for r in records if r.standard_set == f"{r.domain}:{r.domain_digest}"]
    domains = {r.domain for r in records}
    wanted = [v for v in (list_published() if values is None else values) if v.target in domains]
    if not wanted:
        return None
    places = list(dict.fromkeys((v.target, v.metric) for v in wanted))
    notes, rows = Footnotes(), []
    for short, method in dict.fromkeys((v.short, v.method) for v in wanted):
        own = [v for v in wanted if (v.short, v.method) == (short, method)]
        marks = tuple(dict.fromkeys(notes.mark(text) for v in own for text in remarks(v, records)))
        cells = [cell for place in places for cell in beside(place, own, records, method)]
        rows.append(Row(f"{method} ({short})", tuple(cells), notes=marks))
    columns = [Column(target, metric + which) for target, metric in places for which in (" published", " here")]
    caption = (
        "Not measured here, and not to be ranked together: see each row's note for what differs. Here: mean over seeds "
        f"at the default control. {UNVERIFIED}: a number is said to exist, but was not read for this project.",
        *cautions(records),
    )
    return Table("Published numbers", tuple(columns), tuple(rows), tuple(notes), caption)


def beside(
    place: tuple[str, str], own: Sequence[Value], records: Sequence[RunRecord], method: str
) -> tuple[Cell, Cell]:
    """The published cell and ours."""
    target, metric = place
    printed = next((v for v in own if (v.target, v.metric) == place), None)
    text = MISSING if printed is None else UNVERIFIED if not printed.verified else f"{printed.value:g}"
    ours = [
        r for r in records if r.method == method and r.domain == target and r.is_default_control and not r.zero_step
    ]
    found = {r.record_key: v for r in ours if (v := value_of(r, metric)) is not None}
    if printed is None or not found:
        return Cell(text), Cell(MISSING)
    if len({json.dumps(r.fields, sort_keys=True) for r in ours}) > 1:
        return Cell(text), Cell("several settings", keys=tuple(found))
    return Cell(text), Cell(f"{sum(found.values()) / len(found):.4g}", keys=tuple(found))


def remarks(value: Value, records: Sequence[RunRecord]) -> Iterator[str]:
    """The protocol of a published value, and in what ours differs."""
    p = value.protocol
    facts = {
        "source": p.source,
        "resolution": f"{p.resolution} px" if p.resolution else "",
        "generated images": f"{p.samples:,}" if p.samples else "",
        "reference": p.reference,
        "snapshot": (p.snapshot or "").replace("_", " "),
        "code": p.code,
        "also": p.notes,
    }
    said = "; ".join(f"{name} {text or 'not stated'}" for name, text in facts.items() if text or name != "also")
    yield f"{value.paper} ({value.where}): {said}"
    here = [r for r in records if r.domain == value.target]
    if here:
        yield f"Here on {value.target}: {'; '.join(differences(p, here[-1]))}"


def differences(p: Protocol, record: RunRecord) -> list[str]:
    """What is otherwise in our record; what cannot be compared by itself is said as it is."""
    settings = record.settings
    measured, reals = (part if isinstance(part := settings.get(name), dict) else {} for name in ("eval", "reals"))
    found = [f"source {record.source}"]
    for name, theirs, ours in (
        ("resolution", p.resolution, settings.get("resolution")),
        ("generated images", p.samples, measured.get("samples")),
        ("snapshot", p.snapshot, measured.get("snapshot")),
    ):
        if theirs != ours:
            found.append(f"{name} {ours:,}" if isinstance(ours, int) else f"{name} {ours}".replace("_", " "))
    found += [f"{name} {count} images" for name, count in reals.items() if name.startswith("reference")]
    return [*found, f"{record.suite}: fid, kid by clean-fid; intra-LPIPS with empty clusters counted as 0"]

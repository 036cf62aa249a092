"""The same trainings on two machines: what a repetition in another precision changes (see docs/answers.md)."""

from __future__ import annotations

from pathlib import Path

from chosen import both

from benchmark.report.group import Group, short_title
from benchmark.report.render import markdown_table
from benchmark.report.tables.table import ARROWS, Column, Row, Table
from benchmark.results import ResultStore, RunRecord
from benchmark.system.text.lists import listed

SHOWN = (
    "kid_effnetlite0_128",
    "precision_effnetlite0_128",
    "recall_effnetlite0_128",
    "translation_error_l1",
    "share_of_the_way_l2",
    "identity_retrieval_edges",
)


def repetition(g: Group, folder: Path) -> str:
    """Markdown: for each method of both, at its default control, the value of ``folder`` and that of ``g``."""
    others = {_place(r): r for r in ResultStore(folder).read_all()[0] if r.status == "done"}
    again = [(line.base, r) for line in g.shown for r in line.records if r.status == "done"]
    pairs = [(others[_place(r)], r, base) for base, r in again if _place(r) in others]
    if not pairs:
        raise LookupError(f"nothing of {folder} was run again")
    rows = [
        Row(label, tuple(both(first, again, name, " / ") for name in SHOWN), method=label)
        for first, again, label in pairs
    ]
    columns = tuple(Column("", short_title(name), ARROWS[g.better(name)]) for name in SHOWN)
    where = listed(sorted({f"`{r.domain}` with seed {r.seed}" for _, r, _ in pairs}))
    words = " / ".join(_precision(r) for r in pairs[0][:2])
    said = f"On {where}, at default controls: {words}."
    return f"{markdown_table(Table('', columns, rows))}\n\n{said}"


def _place(r: RunRecord) -> tuple[object, ...]:
    return r.method, r.domain, r.seed, r.control


def _precision(r: RunRecord) -> str:
    return {"fp32": "float32", "bf16": "bfloat16"}[r.settings["train"]["precision"]]

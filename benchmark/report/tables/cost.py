"""What each method costs: time, memory, parameters."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from benchmark.report.group import SOURCE, Group
from benchmark.report.lines import Line, device_of
from benchmark.report.tables.table import MISSING, Cell, Column, Footnotes, Row, Table, decimals, mean_text, spread
from benchmark.results import RunRecord

COSTS = {
    "seconds_per_kimg": "s/kimg",
    "train_seconds": "training s",
    "ms_per_image": "ms/image",
    "peak_mem_mb": "peak memory MB",
    "trainable_params": "trainable parameters",
    "shipped_params": "shipped parameters",
}
"""Field of Timing -> column."""


def cost_table(group: Group) -> Table:
    """What each method costs at its default control, one row per method and device; mean ± std over seeds.

    A seed's value is the mean over its domains.
    """
    notes, found = Footnotes(), []
    trained: dict[str, set[str]] = defaultdict(set)
    for line in group.lines:
        for r in line.records:
            if not r.timing.reused_training:
                trained[r.train_key].add(line.base)
    for line in group.lines:
        if not (line.is_default or line.zero_step or line in group.without_default):
            continue
        done = [r for r in line.records if r.status == "done"]
        for device in sorted({device_of(r) for r in done}):
            here = [r for r in done if device_of(r) == device]
            shared = tuple(notes.mark(text) for text in _shared_training(line, here, trained))
            found.append((line, device, here, shared))
    means = [{name: _seed_means(here, name) for name in COSTS} for _, _, here, _ in found]
    digits = {
        name: decimals(
            max((spread(m[name]) for m in means if m[name]), default=0.0),
            max((max(m[name], default=0.0) for m in means), default=0.0),
        )
        for name in COSTS
    }
    rows = []
    for (line, device, here, shared), own in zip(found, means, strict=True):
        cells = [_cell(own[name], name, digits[name], here, shared) for name in COSTS]
        rows.append(
            Row(
                SOURCE if line.zero_step else line.base,
                (*cells, Cell(device)),
                line.zero_step,
                (),
                "" if line.zero_step else line.base,
            )
        )
    columns = [Column("", name) for name in COSTS.values()] + [Column("", "device")]
    caption = ["Mean over domains, then mean ± sample standard deviation over seeds; no ± where there is one seed."]
    if len({row.cells[-1].text for row in rows}) > 1:
        caption.append("Several devices, a row for each: times can be compared only between rows of the same device.")
    return Table("Cost", tuple(columns), tuple(rows), tuple(notes), tuple(caption))


def _seed_means(records: Sequence[RunRecord], field: str) -> list[float]:
    seeds: dict[int, list[float]] = defaultdict(list)
    for r in records:
        if (value := getattr(r.timing, field)) is not None:
            seeds[r.seed].append(float(value))
    return [sum(v) / len(v) for _, v in sorted(seeds.items())]


def _cell(
    means: Sequence[float], field: str, digits: int, records: Sequence[RunRecord], shared: tuple[int, ...]
) -> Cell:
    if not means:
        return Cell(MISSING)
    same = field.endswith("params") and len(set(means)) == 1
    text = f"{means[0]:,.0f}" if same else mean_text(means, digits)
    marks = shared if field in ("seconds_per_kimg", "train_seconds") else ()
    return Cell(text, notes=marks, keys=tuple(r.record_key for r in records if getattr(r.timing, field) is not None))


def _shared_training(line: Line, records: Sequence[RunRecord], trained: Mapping[str, set[str]]) -> list[str]:
    """A note where a method has no training of its own, naming the method whose checkpoint it uses."""
    keys = {r.train_key for r in records if r.timing.reused_training}
    if not keys:
        return []
    owners = {name for key in keys for name in trained.get(key, ())} - {line.base}
    whose = f"that of {', '.join(sorted(owners))}" if owners else "that of a method outside this table"
    return [f"{line.base} needs no training of its own: it uses {whose}."]

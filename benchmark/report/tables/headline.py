"""The headline table: which method is best where, how much of the source it keeps, what it costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from benchmark.metrics.catalogue import info_of
from benchmark.report.cautions import cautions
from benchmark.report.group import Group, short_title
from benchmark.report.lines import Line, device_of
from benchmark.report.statistics.paired import exactly
from benchmark.report.tables.metrics import BEST_POSSIBLE, column_digits, method_rows, metric_cells
from benchmark.report.tables.ranking import Ranking, ranking, tabled
from benchmark.report.tables.table import (
    ARROWS,
    MANY_DOMAINS,
    MISSING,
    TIMES,
    Cell,
    Column,
    Footnotes,
    Row,
    Table,
    decimals,
    number,
)
from benchmark.system.text.lists import listed

SHARED = "†"
WIDEST = 8
"""Columns of the table, that of the methods included: more do not fit a page, a terminal or a paper's two columns."""
FIRST = ("cost", "rank", "stored")
"""Which of the columns beside the domains' go first where there is no room for all."""
MEANING = {
    "KID": "distance between the set of generated images and the set of real target images",
    "FD": "distance between the set of generated images and the set of real target images",
    "FID": "distance between the set of generated images and the set of real target images",
    "to source": "distance from the source's image of the same latent; the source's own row is noise alone",
    "to source, averaged": "distance from the source's image of the same latent, both averaged over the noise",
    "error": "distance from the right answer, the source's drawing in the target's medium",
    "recall": "share of real images that lie near a generated one; measures variety",
    "variety": "distance of generated images from each other around one training image",
}
"""Title of a column -> what it is, for a reader who has never seen it."""
SAID = (" to the source", " to the right answer", " both")
"""What titles of metrics repeat of these meanings."""
Marked = tuple[str, str, bool, str]
"""A column: domain, metric, whether anything in it is marked, and what has to be said of its marks."""
OUTSIDE = (
    "Rows marked (outside) were measured here and trained elsewhere: what their training cost, its seed and its images "
    "are unknown; they are neither ranked nor marked."
)


def headline(group: Group) -> Table:
    """One row per method at its default control, ordered by mean rank, the untouched source first.

    Per domain: fidelity, preservation, and variety where that is off its floor; then mean rank and cost.
    """
    notes, order = Footnotes(), ranking(group)
    shown = tabled(group)
    domains = group.domains if len(group.domains) <= MANY_DOMAINS else []
    columns, cells, marked, floors = [], [], [], []
    for domain in domains:
        for metric in _metrics(group, domain):
            name = "result" if metric is None else short_title(metric)
            columns.append(Column(domain, name, ARROWS[group.better(metric)] if metric else ""))
            column, remark = metric_cells(group, domain, metric or "", shown, notes, noted=False)
            cells.append(column)
            marked.append((domain, metric or "", any(cell.best for cell in column), remark))
            best = group.best_possible.get((domain, metric or ""))
            digits = column_digits(group, domain, metric) if metric else 0
            floors.append(MISSING if best is None else number(best, digits))
    further = _fitting([*_rank_column(order, shown), *_cost_columns(group, shown)], WIDEST - 1 - len(columns))
    columns += [column for column, _ in further]
    cells += [column for _, column in further]
    rows = method_rows(shown, cells, notes)
    if any(text != MISSING for text in floors):
        rows.append(Row(BEST_POSSIBLE, tuple(Cell(text) for text in (*floors, *(MISSING for _ in further)))))
    return Table(
        title(group), tuple(columns), tuple(rows), tuple(notes), caption(group, order, marked), legend=legend(group)
    )


def title(group: Group) -> str:
    """Suite, source and the cautions that stand wherever these numbers do."""
    first = group.records[0]
    said = f"{first.suite} suite, source {first.source} ({first.source_sha256[:12]})"
    return said + "".join(f"; {text}" for text in cautions(group.records))


def _metrics(group: Group, domain: str) -> list[str | None]:
    """At most three for a domain; [None] where nothing was measured, so that failures have a column."""
    fidelity = group.fidelity
    found = [fidelity, group.preservation(domain), group.variety(domain)]
    return [name for name in dict.fromkeys(found) if name is not None] or [None]


def _fitting(found: list[tuple[Column, list[Cell]]], room: int) -> list[tuple[Column, list[Cell]]]:
    """As many columns as there is room for, in their order; cost is always told."""
    kept = sorted((column.name for column, _ in found), key=FIRST.index)[: max(room, 1)]
    return [(column, cells) for column, cells in found if column.name in kept]


def _rank_column(order: Ranking | None, shown: list[Line]) -> list[tuple[Column, list[Cell]]]:
    if order is None or not order.test.ranks or len(order.test.ranks) < 2:
        return []
    ranks = order.test.ranks
    texts = [f"{ranks[x.base]:.1f}" if not x.zero_step and x.base in ranks else MISSING for x in shown]
    return [(Column("", "rank", "↓"), [Cell(text) for text in texts])]


def _cost_columns(group: Group, shown: list[Line]) -> list[tuple[Column, list[Cell]]]:
    found = []
    if group.ratios:
        cells = []
        for line in shown:
            own = group.ratios.get(line.label, [])
            shared = SHARED if not line.zero_step and any(r.timing.reused_training for r in line.records) else ""
            text = f"{sum(own) / len(own):.2f}{shared}" if own else MISSING
            cells.append(Cell(text, keys=tuple(r.record_key for r in line.records) if own else ()))
        found.append((Column("", "cost", "↓"), cells))
    sizes = [{r.timing.shipped_params for r in line.records} - {None} for line in shown]
    if any(sizes):
        millions = [max((n for n in own if n is not None), default=None) for own in sizes]
        digits = decimals(0, max((n / 1e6 for n in millions if n), default=0))
        texts = [MISSING if n is None else number(n / 1e6, digits) if n else "0" for n in millions]
        found.append((Column("", "stored", "M"), [Cell(text) for text in texts]))
    return found


def caption(group: Group, order: Ranking | None, marked: Sequence[Marked]) -> tuple[str, ...]:
    """Network, N and units once, then what is marked and why not."""
    seeds, said = len(group.seeds), []
    spread = f"Mean ± standard deviation of {seeds} training seeds" if seeds > 1 else "One seed: no ±"
    if fewer := [f"{n} on {domain}" for domain, n in group.seeds_of.items() if n < seeds]:
        spread += f" ({listed(fewer)})"
    ordered = ""
    if order and len(order.test.ranks) > 1:
        ordered = f", at default controls, ordered by mean rank in {short_title(order.metric)}"
        ordered += f" over {order.test.blocks} (domain, seed) blocks"
    said.append(f"{spread}{ordered}.")
    said.append(_marks_words(group, marked))
    said += _outside_words(group)
    if len(group.domains) > MANY_DOMAINS:
        said.append(f"{len(group.domains)} domains: each has its column in the tables of the metrics.")
    if group.mixed:
        places = ", ".join(f"{domain} seed {seed}" for domain, seed, _ in group.mixed[:4])
        said.append(f"Several machines within one comparison ({places}): differences there include the machine's.")
    return tuple(said)


def legend(group: Group) -> tuple[tuple[str, str], ...]:
    """(name of a column, what it is with its network and N, or what its cost is relative to)."""
    name = short_title(group.fidelity or "")
    ranks = ("rank", f"rank: mean rank in {name} among the methods, within each domain and seed; 1 is best.")
    return (*_measured_with(group), ranks, *_cost_words(group), ("stored", "stored: parameters to keep, millions."))


def _measured_with(group: Group) -> list[tuple[str, str]]:
    titles: dict[tuple[str, str], list[str]] = {}
    for domain in group.domains:
        for metric in _metrics(group, domain):
            m = group.examples.get((domain, metric or ""))
            if metric and m is not None:
                unit = "pairs" if "to the" in m.title or info_of(metric).kind.startswith("translation") else "images"
                size = f", {m.n} {unit}" if m.n else ""
                name = short_title(metric)
                what = (m.title or metric).removeprefix(f"{name}, ")
                for said in SAID if name in MEANING else ():
                    what = what.replace(said, "")
                titles.setdefault((name, f"{what}{size}"), []).append(domain)
    texts, names = [], [name for name, _ in titles]
    for (name, text), where in titles.items():
        place = f" ({', '.join(where)})" if names.count(name) > 1 else ""
        what = f"{MEANING[name]} ({text})" if name in MEANING else text
        texts.append((name, f"{name}{place}: {what}."))
    return texts


def _cost_words(group: Group) -> list[tuple[str, str]]:
    if not group.ratios or group.plain is None:
        return []
    devices = sorted({device_of(r) for line in group.shown for r in line.records if r.status == "done"})
    shared = any(r.timing.reused_training for line in group.shown for r in line.records)
    mark = f" {SHARED} Uses another method's training." if shared else ""
    where = f"{TIMES} {group.plain.base} ({'; '.join(devices)})"
    return [("cost", f"cost: training time per image, {where}{_range(group)}.{mark}")]


def _range(group: Group) -> str:
    """How far apart the ratios of single runs are, of the method where that is most."""
    base = {line.label: line.base for line in group.shown}
    label, own = max(group.ratios.items(), key=lambda p: max(p[1]) / min(p[1]))
    if len(own) < 2 or max(own) < 1.01 * min(own):
        return ""
    return f"; uncertain: single runs of {base[label]} range from {min(own):.2f} to {max(own):.2f}"


def _outside_words(group: Group) -> list[str]:
    """What is unknown of rows from elsewhere, and whose seeds are several draws of one network."""
    found = [line for line in group.lines if line.outside]
    said = [OUTSIDE] if found else []
    times = [(line.base, Counter((r.domain, r.train_key) for r in line.records)) for line in found]
    if one := dict.fromkeys(base for base, own in times if max(own.values()) > 1):
        said.append(f"± of {listed(list(one))} is over draws of latents of one network, not over trainings.")
    return said


def _marks_words(group: Group, columns: Sequence[Marked]) -> str:
    """What bold means, if anything is, and of whom too few seeds are there; else why nothing is marked."""
    if len(group.seeds) < 2:
        return "Nothing is marked: one seed cannot tell a difference from chance."
    if any(marked for _, _, marked, _ in columns):
        notes = [
            f" {short_title(metric)} on {d}: {remark}." for d, metric, marked, remark in columns if marked and remark
        ]
        return (
            f"Bold: the best and what is not significantly worse ({exactly(len(group.seeds))}sign-flip test of paired "
            "differences, Holm-corrected in the column, 0.05); distances to the source are not marked: doing nothing "
            "is best there."
            f"{''.join(notes)}"
        )
    why = dict.fromkeys(remark for _, metric, _, remark in columns if remark and metric == group.fidelity)
    return f"Nothing is marked: {'; '.join(why) or 'nothing was compared'}."

"""Samples -> what an HTML page shows of them: same-z grids, best and worst, sliders that move a method's control.

A page shows grids of each domain's first seeds, and sliders of the first: those of all would make it too large to send.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

from PIL import Image

from benchmark.report.figures.courses import four_digits
from benchmark.report.figures.grids import REAL, REFERENCE_LABELS, RIGHT, Gone, read_extremes, read_strip
from benchmark.report.group import Group, row_label, short_title
from benchmark.report.lines import Line, control_text, lengths
from benchmark.report.tables.ranking import ordered
from benchmark.report.tables.table import brief
from benchmark.results import RunRecord
from benchmark.results.record import control_order

UNREADABLE = (OSError, ValueError, Image.DecompressionBombError, SyntaxError)
SMALL_PX = 64
"""Strips of smaller images are kept to the bit; others lose what nobody sees."""
MOST_SEEDS = 3
"""Whose grids are in a page."""
TILE_PX = 128
"""Strips of larger images are embedded at this height: a page of many methods stays small enough to send."""


@dataclass(frozen=True)
class Strip:
    """Images side by side as a data URI, shown at ``width`` x ``height`` px; or the reason why there are none."""

    id: str
    label: str
    alt: str
    uri: str = ""
    width: int = 0
    height: int = 0
    reason: str = ""
    method: str = ""


@dataclass(frozen=True)
class Grid:
    """The strips of a domain: the source and one row per method, then those that only the sliders show."""

    title: str
    domain: str
    rows: tuple[Strip, ...]
    more: tuple[Strip, ...]
    seed: int
    seeds: int
    count: int


@dataclass(frozen=True)
class Extremes:
    """The samples of a domain nearest to and farthest from its held-out images: two strips per method, or a reason."""

    title: str
    domain: str
    rows: tuple[tuple[Strip, ...], ...]


@dataclass(frozen=True)
class Player:
    """A method's slider on a domain. ``frames`` is JSON: the ids of the strips and what to say of each."""

    title: str
    method: str
    domain: str
    frames: str


def pictures(id: str, group: Group, results: Path) -> tuple[list[Grid], list[Player]]:
    """Grids per domain and seed and a slider per method with a control and domain; a strip that is missing says so.

    Strips are read from the folder ``results``; each is in the page once. ``id`` begins the ids of its elements.
    """
    grids: list[Grid] = []
    players: list[Player] = []
    methods = {line.base for line in group.lines if not line.zero_step}
    for domain, pairs, seeds in _first_seeds(group, MOST_SEEDS):
        grid, sliders = _of_domain(id, group, domain, pairs, results, seeds)
        absent = sorted(methods - {line.base for line, _ in pairs})
        why = f"not run with seed {pairs[0][1].seed}"
        no_rows = tuple(Strip("", name, "", reason=why, method=name) for name in absent)
        if any(s.uri for s in (*grid.rows, *grid.more)):
            grids.append(replace(grid, rows=grid.rows + no_rows))
        players += sliders
    return grids, players


def extremes(id: str, group: Group, results: Path) -> tuple[list[Extremes], list[str]]:
    """Best and worst samples of each domain that has any, and one line for each picture that cannot be used."""
    found, problems = [], []
    gone = list[str]()
    for domain, pairs, _ in _first_seeds(group, 1):
        rows = []
        for line, r in pairs:
            if line.zero_step or line.is_default or line in group.without_default:
                name = line.base if line.is_default and not line.zero_step else row_label(line)
                try:
                    rows.append(_ends(id, name, r, results))
                except UNREADABLE as error:
                    rows.append((Strip("", name, "", reason=_one_line(error), method=line.base),))
                    gone += [str(r.extremes)] if r.extremes and isinstance(error, Gone) else []
                    known = r.extremes and not isinstance(error, Gone)
                    problems += [f"best and worst samples of {name}: {_one_line(error)}"] if known else []
        if any(len(row) > 1 for row in rows):
            found.append(Extremes(_title(domain, pairs), domain, tuple(rows)))
    if gone:
        more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
        problems.append(f"{gone[0]}{more}: not a file in the results folder; no best and worst samples of these")
    return found, problems


def _ends(id: str, label: str, record: RunRecord, results: Path) -> tuple[Strip, ...]:
    if record.status != "done":
        return (Strip("", label, "", reason=f"{record.status}: {record.reason}"),)
    found = zip(("nearest", "farthest"), ("to", "from"), read_extremes(results, record), strict=True)
    return tuple(
        _encoded(f"{_id(id, record)}-{end}", f"{label}, {end}", f"samples {end} {word} held-out images", record, strip)
        for end, word, strip in found
    )


def _first_seeds(group: Group, most: int) -> Iterator[tuple[str, list[tuple[Line, RunRecord]], int]]:
    """(domain, its records of one of the first seeds with any finished one, number of seeds).

    Of the first seed all records, of others those at default controls.
    """
    for domain in group.domains:
        here = [(line, r) for line in group.lines for r in group.at(line, domain)]
        seeds = sorted({r.seed for _, r in here if r.status == "done"})
        for seed in seeds[:most]:
            own = [(line, r) for line, r in here if r.seed == seed]
            whole = seed == seeds[0]
            yield domain, [p for p in own if whole or p[0].zero_step or p[0].is_default], len(seeds)


def _of_domain(
    id: str, group: Group, domain: str, pairs: Sequence[tuple[Line, RunRecord]], results: Path, seeds: int
) -> tuple[Grid, list[Player]]:
    done = [(line, r) for line, r in pairs if r.status == "done"]
    bases = dict.fromkeys(x.base for x, _ in done if not x.zero_step)
    moved = [b for b in bases if len({x.label for x, _ in done if x.base == b}) > 1]
    rows, more = [], []
    order = {line.base: i for i, line in enumerate(ordered(group))}
    place = lambda p: (not p[0].zero_step, order.get(p[0].base, len(order)), control_order(p[0].control))  # noqa: E731
    for line, r in sorted(pairs, key=place):
        if line.zero_step or line.is_default or line in group.without_default:
            name = line.base if line.is_default and not line.zero_step else row_label(line)
            strip = _strip(id, name, r, results)
            rows.append(replace(strip, method="" if line.zero_step else line.base))
        elif r.status == "done" and line.base in moved:
            more.append(replace(_strip(id, line.label, r, results), method=line.base))
    there = {s.id: s for s in (*rows, *more) if s.uri}
    first = sum(line.zero_step for line, _ in pairs)
    rows[first:first] = _references(id, pairs, RIGHT, results)
    rows[:0] = _references(id, pairs, REAL, results)
    players: list[Player] = []
    source = next((_id(id, r) for line, r in done if line.zero_step and _id(id, r) in there), None)
    real = next((s.id for s in rows if s.label == REFERENCE_LABELS[REAL] and s.uri), None)
    for base in moved:
        own = sorted((p for p in done if p[0].base == base), key=lambda p: control_order(p[0].control))
        players += _player(id, group, domain, own, there, (source, real))
    count = max((s.width // s.height for s in rows if s.uri), default=0)
    seed = pairs[0][1].seed
    return Grid(_title(domain, pairs), domain, tuple(rows), tuple(more), seed, seeds, count), players


def _title(domain: str, pairs: Sequence[tuple[Line, RunRecord]]) -> str:
    trained = lengths(r for _, r in pairs)
    return f"{domain}, seed {pairs[0][1].seed}" + (f", trained for {trained} kimg" if trained else "")


def _player(
    id: str,
    group: Group,
    domain: str,
    own: Sequence[tuple[Line, RunRecord]],
    there: dict[str, Strip],
    fixed: tuple[str | None, str | None],
) -> Iterator[Player]:
    """One slider, or none when fewer than two of the method's strips are there."""
    frames = [
        {
            "id": _id(id, r),
            "value": control_text(line.control),
            "standard": line.is_default,
            "said": _measured(group, r),
        }
        for line, r in own
        if _id(id, r) in there
    ]
    if len(frames) > 1:
        strips = [there[str(f["id"])] for f in frames]
        line, record = own[0]
        texts = {"method": line.base, "domain": domain, "control": record.control_name or "control"}
        known = {"seed": record.seed, "source": fixed[0], "real": fixed[1], "frames": frames}
        known["count"] = min(s.width // s.height for s in strips)
        title = f"{line.base} on {domain}, seed {record.seed}"
        yield Player(title, line.base, domain, json.dumps({k: brief(v) for k, v in texts.items()} | known))


def _references(id: str, pairs: Sequence[tuple[Line, RunRecord]], what: str, results: Path) -> list[Strip]:
    """The zero-step record's strip of `what`, if there is one."""
    found = []
    for r in (r for line, r in pairs if line.zero_step and what in r.references):
        try:
            strip = read_strip(results, r, r.references[what], enlarge=False)
        except UNREADABLE as error:
            found.append(Strip("", REFERENCE_LABELS[what], "", reason=_one_line(error)))
            continue
        found.append(_encoded(f"{_id(id, r)}-{what.split()[0]}", REFERENCE_LABELS[what], what, r, strip))
    return found


def _strip(id: str, label: str, record: RunRecord, results: Path) -> Strip:
    if record.status != "done":
        return Strip(_id(id, record), label, "", reason=f"{record.status}: {record.reason}")
    try:
        strip = read_strip(results, record, record.grid, enlarge=False)
    except UNREADABLE as error:
        return Strip(_id(id, record), label, "", reason=_one_line(error))
    return _encoded(_id(id, record), label, f"images of z0 to z{strip.width // strip.height - 1}", record, strip)


def _encoded(id: str, label: str, what: str, record: RunRecord, strip: Image.Image) -> Strip:
    count = strip.width // strip.height
    if strip.height > TILE_PX:
        strip = strip.resize((count * TILE_PX, TILE_PX), Image.Resampling.LANCZOS)
    buffer = BytesIO()
    small = strip.height < SMALL_PX
    strip.save(buffer, "WEBP", lossless=small, quality=80 if small else 88, method=2)
    uri = f"data:image/webp;base64,{b64encode(buffer.getvalue()).decode()}"
    side = strip.height * max(1, round(TILE_PX / strip.height))
    alt = f"{brief(label)} on {brief(record.domain)}, seed {record.seed}: {what}"
    return Strip(id, label, alt, uri, count * side, side)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _id(id: str, record: RunRecord) -> str:
    return f"{id}-{record.record_key}"


def _measured(group: Group, record: RunRecord) -> list[tuple[str, str]]:
    """The record's numbers of the headline table, for the lines under its slider."""
    names = dict.fromkeys((group.fidelity, group.preservation(record.domain), group.variety(record.domain)))
    known = {n: m.value for n in names if n and (m := record.metrics.get(n)) and m.value is not None}
    return [(short_title(name), four_digits(value)) for name, value in known.items()]

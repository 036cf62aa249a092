"""Sample strips -> what an HTML page shows of them: same-z grids, and sliders that move a method's control."""

from __future__ import annotations

import json
import math
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image

from benchmark.figures import read_strip
from benchmark.results import RunRecord, control_order
from benchmark.rows import Line, control_text, lines
from benchmark.tables import STEPS, TIMES, brief, scale

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


@dataclass(frozen=True)
class Grid:
    """The strips of a domain: the source and one row per method, then those that only the sliders show."""

    title: str
    rows: tuple[Strip, ...]
    more: tuple[Strip, ...]
    seeds: int
    count: int


@dataclass(frozen=True)
class Player:
    """A method's slider on a domain. ``frames`` is JSON: for each seed the ids of the strips."""

    title: str
    frames: str


def pictures(id: str, records: Sequence[RunRecord], results: Path) -> tuple[list[Grid], list[Player]]:
    """A grid per domain and a slider per method with a control and domain; a strip that is missing says so.

    Strips are read from the folder ``results``; each is in the page once. ``id`` begins the ids of its elements.
    """
    grids: list[Grid] = []
    players: list[Player] = []
    done = [(line, r) for line in lines(records) for r in line.records if r.status == "done"]
    for domain in sorted({r.domain for _, r in done}):
        grid, sliders = _of_domain(id, domain, [p for p in done if p[1].domain == domain], results)
        grids.append(grid)
        players += sliders
    return grids, players


def _of_domain(
    id: str, domain: str, pairs: Sequence[tuple[Line, RunRecord]], results: Path
) -> tuple[Grid, list[Player]]:
    seeds = sorted({r.seed for _, r in pairs})
    bases = dict.fromkeys(x.base for x, _ in pairs if not x.zero_step)
    moved = [b for b in bases if len({x.label for x, _ in pairs if x.base == b}) > 1]
    rows, more = [], []
    for line, r in sorted(pairs, key=lambda p: (not p[0].zero_step, p[0].base, p[1].seed, control_order(p[0].control))):
        if r.seed == seeds[0] and (line.zero_step or line.is_default):
            rows.append(_strip(id, line.base, r, results))
        elif line.base in moved or (line.zero_step and moved):
            label = line.label + (f", seed {r.seed}" if len(seeds) > 1 else "")
            more.append(_strip(id, label, r, results))
    there = {s.id: s for s in (*rows, *more) if s.uri}
    players: list[Player] = []
    for base in moved:
        own = sorted((p for p in pairs if p[0].base == base), key=lambda p: control_order(p[0].control))
        sources = {r.seed: _id(id, r) for line, r in pairs if line.zero_step and _id(id, r) in there}
        players += _player(id, domain, own, there, sources)
    count = max((s.width // s.height for s in rows if s.uri), default=0)
    trained = sorted({f"{r.timing.kimg:g}" for x, r in pairs if not x.zero_step and r.timing.kimg is not None})
    length = f", trained for {' or '.join(trained)} kimg" if trained else ""
    return Grid(f"{domain}, seed {seeds[0]}{length}", tuple(rows), tuple(more), len(seeds), count), players


def _player(
    id: str, domain: str, own: Sequence[tuple[Line, RunRecord]], there: dict[str, Strip], sources: dict[int, str]
) -> Iterator[Player]:
    """One slider, or none when fewer than two of the method's strips of a seed are there."""
    found = []
    for seed in sorted({r.seed for _, r in own}):
        frames = [
            {"id": _id(id, r), "value": control_text(line.control), "standard": line.is_default, "said": _measured(r)}
            for line, r in own
            if r.seed == seed and _id(id, r) in there
        ]
        if len(frames) > 1:
            strips = [there[str(f["id"])] for f in frames]
            count = min(s.width // s.height for s in strips)
            found.append({"seed": seed, "source": sources.get(seed), "frames": frames, "count": count})
    if found:
        line, record = own[0]
        texts = {"method": line.base, "domain": domain, "control": record.control_name or "control"}
        yield Player(
            f"{line.base} on {domain}",
            json.dumps({name: brief(text) for name, text in texts.items()} | {"seeds": found}),
        )


def _strip(id: str, label: str, record: RunRecord, results: Path) -> Strip:
    try:
        strip = read_strip(results, record, enlarge=False)
    except (OSError, ValueError, Image.DecompressionBombError, SyntaxError) as error:
        return Strip(_id(id, record), label, "", reason=" ".join(str(error).split()))
    count = strip.width // strip.height
    if strip.height > TILE_PX:
        strip = strip.resize((count * TILE_PX, TILE_PX), Image.Resampling.LANCZOS)
    buffer = BytesIO()
    strip.save(buffer, "PNG", optimize=True)
    uri = f"data:image/png;base64,{b64encode(buffer.getvalue()).decode()}"
    side = strip.height * max(1, round(TILE_PX / strip.height))
    alt = f"{brief(label)} on {brief(record.domain)}, seed {record.seed}: images of z0 to z{count - 1}"
    return Strip(_id(id, record), label, alt, uri, count * side, side)


def _id(id: str, record: RunRecord) -> str:
    return f"{id}-{record.record_key}"


def _measured(record: RunRecord) -> list[tuple[str, str]]:
    """The record's own numbers, for the lines under its slider."""
    known = {
        k: m.value * scale(k) for k, m in record.metrics.items() if m.value is not None and not k.startswith(STEPS)
    }
    return [(brief(k) + (f" {TIMES}10³" if scale(k) > 1 else ""), _four(v)) for k, v in known.items()]


def _four(value: float) -> str:
    """At least four digits, a fixed number of them after the point for values of one size."""
    digits = 3 - math.floor(math.log10(abs(value))) if abs(value) > 1e-3 else 4
    return f"{value:,.{min(6, max(0, digits))}f}"

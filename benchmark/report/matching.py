"""Matching of two sets of records: which numbers correspond, and whether they may be subtracted."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from benchmark.report.lines import COSTS, VERSIONS, device_of, knob, measures, protocol, value_of, variant_names
from benchmark.report.statistics.paired import Better, holm, paired
from benchmark.report.tables.table import brief
from benchmark.results import RunRecord
from benchmark.results.store import sort_key

TIMES_OF = ("seconds_per_kimg", "train_seconds", "ms_per_image", "peak_mem_mb")
"""Costs that depend on the device."""
FIRST_WITHOUT_SUITE = 2
"""The first protocol whose random streams do not depend on the suite's name."""
Status = Literal["compared", "not compared", "only in A", "only in B"]
Place = tuple[str, str, str, str, str, str]
"""Suite, source, method, its fields, its control, domain: where numbers of two folders meet."""


@dataclass(frozen=True)
class Entry:
    """One number: a metric (or a cost) of a method at one value of its control on a domain, as means over seeds.

    ``difference`` is B - A. ``why`` says what stands in the way of a comparison, ``remarks`` what to know of one.
    """

    suite: str
    source: str
    label: str
    domain: str
    metric: str
    status: Status
    why: str = ""
    better: Better = "lower"
    means: tuple[float, float] | None = None
    interval: tuple[float, float] | None = None
    p_value: float | None = None
    holm_p: float | None = None
    seeds: int = 0
    remarks: tuple[str, ...] = ()
    keys_a: tuple[str, ...] = ()
    keys_b: tuple[str, ...] = ()

    @property
    def difference(self) -> float | None:
        """B - A."""
        return None if self.means is None else self.means[1] - self.means[0]


def entries_of(a: Sequence[RunRecord], b: Sequence[RunRecord], metrics: Sequence[str]) -> list[Entry]:
    """All that can be said of these metrics (or costs), in their order, then that of the records.

    Records of one set must be comparable with each other and come from one source per name.
    """
    both = sorted([*a, *b], key=sort_key)
    names, suite = variant_names(both), _common_suite(a, b)
    places = {_place(r, suite): _label(r, names) for r in both}
    cells_a, cells_b = _by_place(a, suite), _by_place(b, suite)
    entries = []
    for metric in metrics:
        found = [_entry(p, label, metric, cells_a.get(p, []), cells_b.get(p, [])) for p, label in places.items()]
        entries += _corrected([e for e in found if e])
    return entries


def _common_suite(a: Sequence[RunRecord], b: Sequence[RunRecord]) -> str | None:
    """A name for two suites that are compared with each other: one in either set, and seeds mean the same in both.

    Before protocol 2 the suite's name entered the random streams: seed 0 of one suite was not seed 0 of another.
    """
    ours, theirs = ({r.suite for r in own} for own in (a, b))
    protocols = {r.settings.get("protocol", 1) for r in (*a, *b)}
    same = all(isinstance(p, int) and p >= FIRST_WITHOUT_SUITE for p in protocols)
    return f"{min(ours)} | {min(theirs)}" if len(ours) == len(theirs) == 1 and ours != theirs and same else None


def _place(record: RunRecord, suite: str | None) -> Place:
    fields = json.dumps(record.fields, sort_keys=True)
    who = f"{record.method}{' (zero-step)' if record.zero_step else ''}"
    return suite or record.suite, record.source, who, fields, knob(record), record.domain


def _by_place(records: Sequence[RunRecord], suite: str | None) -> dict[Place, list[RunRecord]]:
    found: dict[Place, list[RunRecord]] = {}
    for record in sorted(records, key=sort_key):
        found.setdefault(_place(record, suite), []).append(record)
    return found


def _label(record: RunRecord, names: Mapping[str, str]) -> str:
    return names[record.record_key] + (f" ({knob(record)})" if record.control is not None else "")


def _entry(place: Place, label: str, metric: str, a: Sequence[RunRecord], b: Sequence[RunRecord]) -> Entry | None:
    """What there is to say of one metric at one place; None where neither folder has a value."""
    if metric in COSTS and not any(r.is_default_control for r in (*a, *b)):
        return None  # a training has one cost, whatever the control
    number = _number(metric)
    have_a, have_b = ({r.seed: r for r in own if number(r) is not None} for own in (a, b))
    if not have_a and not have_b:
        return None
    measured = next((r.metrics[metric] for r in (*a, *b) if metric in r.metrics), None)
    better: Better = measured.better if measured else "lower"
    whole = Entry(place[0], place[1], label, place[-1], metric, "compared", better=better)
    keys = (tuple(r.record_key for r in own.values()) for own in (have_a, have_b))
    whole = replace(whole, keys_a=next(keys), keys_b=next(keys))
    if not have_b:
        return replace(whole, status="only in A", why=_absence(b, metric, "B"))
    if not have_a:
        return replace(whole, status="only in B", why=_absence(a, metric, "A"))
    if why := _differences([*have_a.values()], [*have_b.values()], metric):
        return replace(whole, status="not compared", why=why)
    return _compared(whole, have_a, have_b)


def _number(metric: str) -> Callable[[RunRecord], float | None]:
    if metric in COSTS:
        return lambda r: getattr(r.timing, metric) if r.status == "done" else None
    return lambda r: value_of(r, metric)


def _absence(records: Sequence[RunRecord], metric: str, name: str) -> str:
    for r in records:
        if r.status != "done":
            return f"{r.status} in {name}: {brief(r.reason, 200)}"
        if metric in r.metrics:
            return f"no value in {name}: {brief(r.metrics[metric].reason, 200)}"
    return f"not measured in {name}" if records else ""


def _conditions(record: RunRecord, metric: str) -> dict[str, str]:
    said = {"sha256 of the source": record.source_sha256[:12]} | protocol(record)
    said = {k: v for k, v in said.items() if not k.startswith(VERSIONS) or k == VERSIONS + metric}
    return said | measures(record, metric) | ({"device": device_of(record)} if metric in TIMES_OF else {})


def _differences(a: Sequence[RunRecord], b: Sequence[RunRecord], metric: str) -> str:
    """What keeps these numbers apart, in words; empty where nothing does. What only one side recorded does not."""
    found = []
    ours, theirs = ([_conditions(r, metric) for r in own] for own in (a, b))
    for name in dict.fromkeys(name for said in ours for name in said):
        left, right = ({said[name] for said in own if name in said} for own in (ours, theirs))
        if right and (left != right or len(left) > 1):
            texts = (" and ".join(sorted(values)) for values in (left, right))
            found.append(f"{name} is {next(texts)} in A and {next(texts)} in B")
    return "; ".join(found)


def _compared(whole: Entry, a: Mapping[int, RunRecord], b: Mapping[int, RunRecord]) -> Entry:
    """B - A over the seeds that both have; where there are none, over all, without a test."""
    number, shared = _number(whole.metric), sorted(a.keys() & b.keys())
    left, right = ([float(number(own[s]) or 0) for s in shared or sorted(own)] for own in (a, b))
    means = sum(left) / len(left), sum(right) / len(right)
    remarks = _remarks(whole.metric, a, b, shared)
    if shared and left == right and all(a[s].record_key == b[s].record_key for s in shared):
        said = "the same record" if len(shared) == 1 else "the same records"
        return replace(whole, means=means, seeds=len(shared), remarks=(said, *remarks))
    whole = replace(whole, means=means, seeds=len(shared), remarks=tuple(remarks))
    if not shared:
        return whole
    test = paired(right, left, whole.better)
    return replace(whole, interval=test.interval, p_value=test.p_value)


def _remarks(metric: str, a: Mapping[int, RunRecord], b: Mapping[int, RunRecord], shared: Sequence[int]) -> list[str]:
    number, said = _number(metric), []
    twice = [s for s in shared if a[s].record_key == b[s].record_key and number(a[s]) != number(b[s])]
    if twice:
        said.append(f"same key but another value at seed {_seeds(twice)}: {_cause([(a[s], b[s]) for s in twice])}")
    if not shared:
        said.append(f"no seed in common (A: {_seeds(a)}; B: {_seeds(b)}): means of different seeds, no test")
    for name, own, other in (("A", a, b), ("B", b, a)):
        if shared and (more := own.keys() - other.keys()):
            said.append(f"seed {_seeds(more)} is in {name} only and left out")
        for r in own.values():
            if r.doctor and not r.doctor.passed:
                said.append(f"{name} was measured although the doctor failed: {brief('; '.join(r.doctor.failed), 300)}")
            if metric in r.metrics and r.metrics[metric].note:
                said.append(f"{name}: {brief(r.metrics[metric].note, 300)}")
    return list(dict.fromkeys(said))


def _cause(pairs: Sequence[tuple[RunRecord, RunRecord]]) -> str:
    """Why one job has two values, as far as the records tell: another machine, other code, or neither."""
    found = []
    for what, names in (("machine", ("device", "threads")), ("code", ("commit", "torch", "package"))):
        for name in names:
            values = dict.fromkeys((str(x.environment.get(name)), str(y.environment.get(name))) for x, y in pairs)
            differing = [(x, y) for x, y in values if x != y]
            found += [f"another {what} ({name} {x} and {y})" for x, y in differing[:1]]
    return "; ".join(found) or "the same job, run twice on the same machine with the same code"


def _seeds(seeds: Collection[int]) -> str:
    return ", ".join(str(s) for s in sorted(seeds))


def _corrected(entries: Sequence[Entry]) -> list[Entry]:
    """With Holm's p over all tests of one metric."""
    corrected = holm({str(i): e.p_value for i, e in enumerate(entries)}).p_values
    return [replace(e, holm_p=corrected.get(str(i))) for i, e in enumerate(entries)]

"""Records that share a table as one value: what they have in common, their lines, and quick access to their numbers.

It is made once and handed to every table, chart and sentence.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from benchmark.metrics.base import DISTANCES, Kind
from benchmark.metrics.catalogue import info_of
from benchmark.report.lines import (
    Line,
    control_text,
    device_of,
    lines,
    metric_names,
    of_steps,
    taught_by,
    value_of,
)
from benchmark.report.statistics.best_possible import best_possible, scores_of_reals
from benchmark.report.statistics.paired import Better
from benchmark.results import MetricValue, RunRecord
from benchmark.results.reals import RealScores
from benchmark.results.record import control_order

SOURCE = "source, untouched"
ERRORS: tuple[Kind, ...] = ("translation_error_l1", "translation_error")
PRESERVATION: tuple[Kind, ...] = ("consistency_anchor", "consistency", "distance_averaged")
WAY: tuple[Kind, ...] = ("share_of_the_way", "distance_averaged", *PRESERVATION)
VARIETY: tuple[Kind, ...] = ("recall", "intra")
FIDELITY: tuple[Kind, ...] = (
    *("kid", "fd", "fd_infinity", "cmmd", "mind", "precision", "recall", "density", "coverage", "own", "unknown"),
)
"""Kinds that compare with real images. In all others a generator may be best that has learned nothing."""
SHORT: dict[Kind, str] = {
    "kid": "KID",
    "fd": "FD",
    "fd_infinity": "FD, endless samples",
    "translation_error": "error",
    "translation_error_l1": "error",
    "intra": "variety",
    "share_of_the_way": "share of the way",
    "identity_retrieval": "identity kept",
    **dict.fromkeys(DISTANCES, "to source"),
    "distance_averaged": "to source, averaged",
}
"""Kind of metric -> its short title, where that is not the kind itself."""


def short_title(metric: str) -> str:
    """The title of a column: ``KID``, ``to source``; what it was measured with belongs in the caption."""
    if metric.startswith("fid"):
        return "FID" + SHORT["fd_infinity"].removeprefix("FD") * metric.endswith("infinity")
    info = info_of(metric)
    return metric if info.kind == "unknown" else SHORT.get(info.kind, info.kind.replace("_", " "))


@dataclass(frozen=True, eq=False)
class Group:
    """Records of one suite and one source, checked to be comparable, with what every table asks of them.

    ``lines`` are all rows; ``shown`` those of methods at their default control; ``source`` the untouched source.
    """

    records: tuple[RunRecord, ...]
    best_possible: dict[tuple[str, str], float] = field(default_factory=dict)
    """(domain, metric) -> the score of real images: the optional reference row, and the end of "gap closed"."""

    @cached_property
    def lines(self) -> list[Line]:
        return lines(self.records)

    @cached_property
    def shown(self) -> list[Line]:
        """Methods at their default control: what competes."""
        return [line for line in self.lines if line.is_default and not line.zero_step]

    @cached_property
    def without_default(self) -> list[Line]:
        """The rows of methods that have no record at their default control: they are seen, and compete with nobody."""
        known = {line.base for line in self.shown}
        return [line for line in self.lines if not line.zero_step and line.base not in known]

    @cached_property
    def by_base(self) -> dict[str, list[Line]]:
        """Name of a method -> its lines, in the order of its control."""
        found: dict[str, list[Line]] = defaultdict(list)
        for line in sorted(self.lines, key=lambda x: control_order(x.control)):
            found[line.base].append(line)
        return dict(found)

    @cached_property
    def controlled(self) -> list[str]:
        """Names of the methods with a control, in the order of the rows."""
        return list(dict.fromkeys(x.base for x in self.lines if x.control is not None and not x.zero_step))

    @cached_property
    def source(self) -> Line | None:
        return next((line for line in self.lines if line.zero_step), None)

    @cached_property
    def plain(self) -> Line | None:
        """The method that all others are compared with: no hyper-parameters and no control, as fine-tuning.

        Of several the one whose training most other methods use, then the one that trains most parameters: methods
        that freeze, scale or shift have no fields either.
        """
        users = Counter(key for line in self.shown for key in {r.train_key for r in line.records})
        fit = [x for x in self.shown if x.control is None and not x.outside and not any(r.fields for r in x.records)]

        def standing(x: Line) -> tuple[float, int]:
            used = sum(users[r.train_key] for r in x.records) / len(x.records)
            return used, max(r.timing.trainable_params or 0 for r in x.records)

        return max(fit, key=standing, default=None)

    @cached_property
    def domains(self) -> list[str]:
        return sorted({r.domain for r in self.records})

    @cached_property
    def seeds(self) -> list[int]:
        return sorted({r.seed for r in self.records})

    @cached_property
    def seeds_of(self) -> dict[str, int]:
        """{domain: number of seeds with any record there}; a run that goes on may have more on one than on another."""
        found = {(r.domain, r.seed) for r in self.records}
        return {domain: sum(d == domain for d, _ in found) for domain in self.domains}

    @cached_property
    def metrics(self) -> list[str]:
        """In the suite's order, without those between values of a control."""
        return [name for name in metric_names(self.records) if not of_steps(name)]

    @cached_property
    def cells(self) -> dict[tuple[str, str], list[RunRecord]]:
        """(label of a line, domain) -> its records there."""
        found: dict[tuple[str, str], list[RunRecord]] = defaultdict(list)
        for line in self.lines:
            for r in line.records:
                found[line.label, r.domain].append(r)
        return found

    @cached_property
    def examples(self) -> dict[tuple[str, str], MetricValue]:
        """(domain, metric) -> one of its values, for N, direction and title; one without a value where none has any."""
        found: dict[tuple[str, str], MetricValue] = {}
        for r in self.records:
            for name, m in r.metrics.items():
                if (r.domain, name) not in found or (found[r.domain, name].value is None and m.value is not None):
                    found[r.domain, name] = m
        return found

    def at(self, line: Line, domain: str) -> list[RunRecord]:
        """The records of a line on a domain, one per seed."""
        return self.cells.get((line.label, domain), [])

    def values(self, line: Line, domain: str, metric: str | None) -> dict[int, float]:
        """{seed: value} of the finished records that have one."""
        if metric is None:
            return {}
        found = {r.seed: value_of(r, metric) for r in self.at(line, domain)}
        return {seed: v for seed, v in found.items() if v is not None}

    def better(self, metric: str) -> Better:
        return next((m.better for (_, name), m in self.examples.items() if name == metric), "lower")

    def measured(self, domain: str, metric: str) -> bool:
        """Whether any adapted generator has a value of ``metric`` on ``domain``."""
        return (domain, metric) in self.adapted

    @cached_property
    def adapted(self) -> set[tuple[str, str]]:
        return {
            (r.domain, name)
            for r in self.records
            if r.status == "done" and not r.zero_step
            for name, m in r.metrics.items()
            if m.value is not None
        }

    @cached_property
    def fidelity(self) -> str | None:
        """The metric that methods are ordered by, of those with a value: the first kernel distance, else the first of
        another kind that compares with real images; None where no such metric has any.
        """
        measured = {name for _, name in self.adapted}
        kinds = {name: info_of(name).kind for name in self.metrics if name in measured}
        fit = [name for name, kind in kinds.items() if kind in FIDELITY]
        return min(fit, key=lambda name: kinds[name] != "kid", default=None)

    def preservation(self, domain: str) -> str | None:
        """The error against the right answer where that is known, else the distance to the source."""
        return self._first(domain, ERRORS) or self._first(domain, PRESERVATION)

    def way(self, domain: str) -> str | None:
        """What a control moves: the share of the way to the right answer where that is known, else the distance to the
        source, with the noise averaged out where that was measured."""
        return self._first(domain, WAY)

    def variety(self, domain: str) -> str | None:
        """A metric of variety that is off its floor: where all are near 0 it tells nothing."""
        metric = self._first(domain, VARIETY)
        means = [sum(v.values()) / len(v) for x in self.shown if (v := self.values(x, domain, metric))]
        return metric if means and max(means) >= 0.05 else None

    def _first(self, domain: str, kinds: Sequence[Kind]) -> str | None:
        found = {info_of(name).kind: name for name in reversed(self.metrics) if self.measured(domain, name)}
        return next((found[kind] for kind in kinds if kind in found), None)

    def competes(self, line: Line, domain: str, metric: str) -> bool:
        """Whether a row takes part in marks, ranks and tests.

        It does at its default control, if it was trained here, is not the source itself and was not trained on the
        metric's network.
        """
        if line.zero_step or line.outside or not line.is_default or self.is_taught(line, domain, metric):
            return False
        own = self.values(line, domain, metric)
        return bool(own) and not self.is_source(line, domain)

    def is_taught(self, line: Line, domain: str, metric: str) -> bool:
        """Whether a row's method was trained on the network that makes the metric."""
        return any(taught_by(r, metric) for r in self.at(line, domain))

    def is_source(self, line: Line, domain: str) -> bool:
        """Whether a row has the untouched source's own numbers, as a control at the end that changes nothing."""
        return (line.label, domain) in self._sources

    @cached_property
    def _sources(self) -> set[tuple[str, str]]:
        if self.source is None:
            return set()
        theirs = {(r.domain, r.seed): r for r in self.source.records if r.status == "done"}
        found = set()
        for (label, domain), own in self.cells.items():
            pairs = [
                (m.value, other.value)
                for r in own
                if r.status == "done" and not r.zero_step and (domain, r.seed) in theirs
                for name, m in r.metrics.items()
                if (other := theirs[domain, r.seed].metrics.get(name)) is not None
            ]
            known = [(a, b) for a, b in pairs if a is not None and b is not None]
            if known and all(math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12) for a, b in known):
                found.add((label, domain))
        return found

    @cached_property
    def ratios(self) -> dict[str, list[float]]:
        """label -> training time per image as a multiple of the plain method's: same domain, seed and device."""
        if self.plain is None:
            return {}
        base = {(r.domain, r.seed, device_of(r)): r.timing.seconds_per_kimg for r in self.plain.records}
        found: dict[str, list[float]] = defaultdict(list)
        for line in self.shown:
            for r in line.records:
                mine, theirs = r.timing.seconds_per_kimg, base.get((r.domain, r.seed, device_of(r)))
                if r.status == "done" and mine and theirs:
                    found[line.label].append(mine / theirs)
        return dict(found)

    @cached_property
    def mixed(self) -> list[tuple[str, str, int]]:
        """(domain, seed) blocks of the default rows that were measured on several machines, with their number."""
        seen: dict[tuple[str, int], set[str]] = defaultdict(set)
        for line in self.shown:
            for r in line.records:
                if r.status == "done":
                    seen[r.domain, r.seed].add(str(r.environment.get("device", "unknown device")))
        return [(domain, str(seed), len(found)) for (domain, seed), found in sorted(seen.items()) if len(found) > 1]


def row_label(line: Line) -> str:
    """``Layer swapping (16 px)``: the method with the value of its control."""
    if line.control is None or line.zero_step:
        return SOURCE if line.zero_step else line.base
    name = (line.records[0].control_name or "control").replace("_", " ")
    value = control_text(line.control)
    return f"{line.base} ({value} px)" if name.endswith(" px") else f"{line.base} ({name} {value})"


def group_of(records: Sequence[RunRecord], reals: Iterable[RealScores] = ()) -> Group:
    """Records of one suite and source as one value; ``reals``: what real images score, where the folder keeps it."""
    return Group(tuple(records), best_possible(records) | scores_of_reals(reals, records))

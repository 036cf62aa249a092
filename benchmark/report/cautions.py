"""Cautions that stand beside the numbers of certain records. No torch here."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.metrics.base import STAND_IN
from benchmark.report.lines import taught_by
from benchmark.results import RunRecord

TAUGHT = "trained on the network of this metric: neither marked nor ranked by it"
OPTIMISTIC = "best snapshot on the test split: optimistic"


def cautions(records: Sequence[RunRecord]) -> tuple[str, ...]:
    """What must be said wherever numbers of these records stand; nothing where they are what they seem.

    Rehearsals, files that stand in for weights, methods that were trained on a network that measures, snapshots that
    were chosen on the images that they were measured on.
    """
    scales = sorted({float(r.settings["scale"]) for r in records if isinstance(r.settings.get("scale"), int | float)})
    said = [f"rehearsal at {' and '.join(f'{x:g}' for x in scales)} of the real lengths and samples, no result"]
    stand_ins = any(name.startswith(STAND_IN) for r in records for name in r.metrics)
    weights = [f"stand-in weights: numbers whose names begin with {STAND_IN} mean nothing"]
    return (*(said if scales else ()), *(weights if stand_ins else ()), *_teachers(records), *_optimism(records))


def _teachers(records: Sequence[RunRecord]) -> tuple[str, ...]:
    """Which methods were trained on networks that measure, or on files that stand in for a network."""
    taught, other = set(), set()
    for r in records:
        label = r.method_label or r.method
        other |= {label} if any(key.startswith(STAND_IN) for key in r.trained_on) else set()
        taught |= {label} if any(taught_by(r, metric) for metric in r.metrics) else set()
    said = [f"{', '.join(sorted(taught))}: trained on a network that measures, neither marked nor ranked by it"]
    mean = [f"{', '.join(sorted(other))}: trained with stand-in weights, the numbers mean nothing"]
    return (*(said if taught else ()), *(mean if other else ()))


def _optimism(records: Sequence[RunRecord]) -> tuple[str, ...]:
    """Where a snapshot was chosen on the images that it was measured on."""
    trained = [r for r in records if not r.zero_step]
    chosen = {r.domain for r in trained if _snapshot(r) == "legacy_best_on_test"}
    if not chosen:
        return ()
    return (OPTIMISTIC if chosen == {r.domain for r in trained} else f"{', '.join(sorted(chosen))}: {OPTIMISTIC}",)


def _snapshot(record: RunRecord) -> object:
    measured = record.settings.get("eval")
    return measured.get("snapshot") if isinstance(measured, dict) else None

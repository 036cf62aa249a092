"""Records -> the lines of a table: which records stand together, and whether they may."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pandas as pd

from benchmark.config import EvalConfig, TrainConfig
from benchmark.errors import ConfigError
from benchmark.metrics.base import STAND_IN, Kind
from benchmark.metrics.catalogue import info_of
from benchmark.metrics.networks.weight_files import NETWORK_FILES
from benchmark.results import RunRecord
from benchmark.results.record import control_order
from benchmark.results.store import sort_key

COSTS = ("seconds_per_kimg", "train_seconds", "ms_per_image", "peak_mem_mb", "trainable_params", "shipped_params")
NO_EFFECT = {
    "train.cudnn_benchmark",
    "train.tick_kimg",
    "train.checkpoint_minutes",
    "eval.metrics",
    "eval.curve_metrics",
    "eval.curve_samples",
    "eval.translate",
}
"""Settings of what else is logged or measured: they change no number of a table."""
VERSIONS = "metric_versions."
"""Settings called so belong to one metric each."""


@dataclass(frozen=True)
class Line:
    """The records behind a row. ``base`` is the row's label without the control."""

    label: str
    base: str
    control: float | str | None
    is_default: bool
    zero_step: bool
    records: tuple[RunRecord, ...]

    @property
    def outside(self) -> bool:
        """Whether it was measured here and trained elsewhere."""
        return any(record.outside for record in self.records)


def groups(records: Iterable[RunRecord]) -> list[list[RunRecord]]:
    """Records that may share a table (one suite, one source), each group checked by ``check_comparable``."""
    found: dict[tuple[str, str, str], list[RunRecord]] = defaultdict(list)
    for record in sorted(records, key=sort_key):
        found[record.suite, record.source, record.source_sha256].append(record)
    for group in found.values():
        check_comparable(group)
    return list(found.values())


def lines(records: Sequence[RunRecord]) -> list[Line]:
    """Records -> rows in order: the untouched source, then methods by name, each at its default control first.

    A job that failed before its controls were known fails every row of its method.
    """
    names = variant_names(records)
    found: dict[str, dict[str, list[RunRecord]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        found[names[record.record_key]][knob(record)].append(record)
    result = []
    for base, by_control in found.items():
        plain = by_control.pop("", [])
        early = plain if by_control and all(r.status != "done" for r in plain) else []
        if plain and not early:
            by_control[""] = plain
        for text, own in by_control.items():
            default = any(r.is_default_control for r in own)
            label = f"{base} ({text}{', default' if default else ''})" if text else base
            places = {(r.domain, r.seed) for r in own}
            whole = (*own, *(r for r in early if (r.domain, r.seed) not in places))
            _no_twins(label, whole)
            result.append(Line(label, base, own[0].control, default, own[0].zero_step, whole))
    return sorted(result, key=lambda x: (not x.zero_step, x.base, not x.is_default, control_order(x.control), x.label))


def metric_names(records: Iterable[RunRecord]) -> list[str]:
    """All metrics of the records, in the order in which the suite names them."""
    return list(dict.fromkeys(name for record in records for name in record.metrics))


def metric_of(records: Iterable[RunRecord], *kinds: Kind) -> str | None:
    """The records' first metric of these kinds, in the suite's order."""
    return next((name for name in metric_names(records) if info_of(name).kind in kinds), None)


def of_steps(metric: str) -> bool:
    """Whether a metric belongs to pairs of control values; such are in the table of control curves only."""
    return info_of(metric).kind == "step"


def value_of(record: RunRecord, metric: str) -> float | None:
    """The value of ``metric`` in a finished record, not scaled."""
    return record.metrics[metric].value if record.status == "done" and metric in record.metrics else None


def taught_by(record: RunRecord, metric: str) -> bool:
    """Whether the record's method was trained on a network that makes this metric: no mark and no rank for it."""
    network = info_of(metric).network.removeprefix(STAND_IN)
    keys = {key.removeprefix(STAND_IN) for key in record.trained_on}
    return bool(keys.intersection(NETWORK_FILES.get(network, ())))


def device_of(record: RunRecord) -> str:
    """For instance ``cpu, 2 threads``."""
    device, threads = record.environment.get("device", "unknown device"), record.environment.get("threads")
    return f"{device}, {threads} thread{'' if threads == 1 else 's'}" if threads else str(device)


def lengths(records: Iterable[RunRecord]) -> str:
    """How long was trained, in kimg: ``4`` or ``2.5 or 4``; nothing where it is not recorded."""
    known = {round(r.timing.kimg, 2) for r in records if not r.zero_step and r.timing.kimg is not None}
    return " or ".join(f"{x:g}" for x in sorted(known))


def tidy(records: Sequence[RunRecord]) -> pd.DataFrame:
    """Long form: one row per record and metric (one per record where it has none); values are not scaled.

    The column `outside` is there where a record is from elsewhere.
    """
    plain = ("record_key", "train_key", "suite", "source", "source_sha256", "domain", "domain_digest", "method")
    rest = ("seed", "control_name", "control", "is_default_control", "zero_step", "status", "reason")
    columns = (*plain, "fields", *rest, "metric", "value", "n", "std_error", "interval_low", "interval_high", "better")
    elsewhere = ("outside",) if any(record.outside for record in records) else ()
    last = ("metric_reason", "metric_note", *COSTS, "device", "doctor_passed", *elsewhere)
    rows = []
    for record in sorted(records, key=sort_key):
        whole = {name: getattr(record, name) for name in (*plain, *rest)}
        whole |= {"fields": json.dumps(record.fields, sort_keys=True), "device": device_of(record)}
        whole |= {"doctor_passed": record.doctor.passed if record.doctor else None}
        whole |= {name: getattr(record.timing, name) for name in COSTS}
        whole |= {name: record.outside for name in elsewhere}
        for name, m in record.metrics.items() or [(None, None)]:
            low, high = (m.interval if m else None) or (None, None)
            values = m.model_dump(include={"value", "n", "std_error", "better"}) if m else {}
            row = whole | values | {"metric": name, "interval_low": low, "interval_high": high}
            rows.append(row | {"metric_reason": m.reason if m else None, "metric_note": m.note if m else None})
    return pd.DataFrame(rows, columns=[*columns, *last], dtype=object)


def frame(records: Sequence[RunRecord]) -> pd.DataFrame:
    """`tidy` to compute with: numbers and truth values have columns of their own type, with NaN for None."""
    table = tidy(records)
    numbers = ("seed", "value", "n", "std_error", "interval_low", "interval_high", *COSTS)
    return table.assign(**{name: pd.to_numeric(table[name]) for name in numbers}).infer_objects()


def machine(record: RunRecord) -> dict[str, str]:
    """The environment without what differs from one record to the next: the time, the command, the load."""
    each = ("started", "ended", "command", "load_at_start", "device_memory_in_use_at_start_mb")
    return flatten({name: value for name, value in record.environment.items() if name not in each})


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings -> {"train.kimg": "4.0", ...}."""
    flat: dict[str, str] = {}
    for name, value in tree.items():
        flat |= flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": _word(value)}
    return flat


def check_comparable(records: Sequence[RunRecord]) -> None:
    """Raises ConfigError when one column would mix settings, target images, networks or numbers of samples."""
    seen: dict[tuple[str, str], tuple[str, RunRecord]] = {}
    for record in records:
        for name, value in (protocol(record) | _measures(record)).items():
            other, witness = seen.setdefault((record.domain, name), (value, record))
            if other != value:
                keys = f"{witness.record_key[:12]} ({witness.method}), {record.record_key[:12]} ({record.method})"
                raise ConfigError(
                    f"cannot compare on {record.domain}: {name} is {other} and {value} (records {keys}); "
                    "give each setting its own --out, or remove one of the records"
                )


def protocol(record: RunRecord) -> dict[str, str]:
    """What must be equal wherever numbers are compared, whichever metric they belong to.

    A setting that is younger than the record counts as its default, which is how things were before. The untouched
    source was never trained, so training settings are not its.
    """
    flat = _whole_settings(json.dumps(record.settings))
    unused = {"train.snapshot_kimg"} if flat.get("eval.snapshot") == "last" else set()
    unused |= {name for name in flat if name.startswith(("train.", "eval.snapshot")) and record.zero_step}
    unused |= {"train.kimg"} if "budgets" in record.settings else set()  # each method's own, stated in the settings
    kept = {name: value for name, value in flat.items() if name not in NO_EFFECT | unused}
    return {"digest of the domain": record.domain_digest[:12]} | kept


@lru_cache(maxsize=256)
def _whole_settings(text: str) -> dict[str, str]:
    """Settings as JSON -> flat, with the defaults of what is younger than them."""
    settings = json.loads(text)
    for name, config in (("train", TrainConfig().model_dump()), ("eval", EvalConfig().content())):
        if isinstance(settings.get(name), dict):
            settings[name] = config | settings[name]
    return flatten(settings)


def measures(record: RunRecord, metric: str) -> dict[str, str]:
    """What must be equal wherever numbers of ``metric`` are compared; nothing where there is no number."""
    m = record.metrics.get(metric)
    if m is None or m.value is None:
        return {}
    titled = {f"title of {metric}": m.title} if m.title else {}  # it names the network
    return {f"N of {metric}": str(m.n), f"direction of {metric}": m.better} | titled


def _measures(record: RunRecord) -> dict[str, str]:
    return {name: value for metric in record.metrics for name, value in measures(record, metric).items()}


def _no_twins(label: str, records: Sequence[RunRecord]) -> None:
    seen: dict[tuple[str, int], RunRecord] = {}
    for r in records:
        twin = seen.setdefault((r.domain, r.seed), r)
        if twin is not r:
            raise ConfigError(
                f"two records for {label} on {r.domain}, seed {r.seed} ({twin.record_key[:12]}, {r.record_key[:12]}): "
                "they come from different versions; use a new --out, or remove the older one"
            )


def variant_names(records: Sequence[RunRecord]) -> dict[str, str]:
    """record_key -> the method's name, with those hyper-parameters that tell it from other variants of the method."""
    seen: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))  # method, field -> values as JSON
    count: dict[str, int] = defaultdict(int)
    having: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    owners: dict[str, set[str]] = defaultdict(set)
    for r in records:
        count[r.method] += 1
        owners[r.method_label or r.method].add(r.method)
        for k, v in r.fields.items():
            seen[r.method][k].add(_word(v))
            having[r.method][k] += 1
    names = {}
    for r in records:
        label = r.method_label or r.method
        label = r.method if len(owners[label]) > 1 else label
        own, whole = seen[r.method], having[r.method]
        varied = [k for k in r.fields if len(own[k]) > 1 or whole[k] < count[r.method]]
        differing = [f"{k}={_word(r.fields[k])}" for k in varied]
        names[r.record_key] = f"{label} [{', '.join(sorted(differing))}]" if differing and not r.zero_step else label
        if r.zero_step:
            names[r.record_key] += " (zero-step)"
        elif r.outside:
            names[r.record_key] += " (outside)"
    return {key: " ".join(name.split()) for key, name in names.items()}


def knob(record: RunRecord) -> str:
    """For instance ``alpha=0.25``; empty for a method without a control."""
    return "" if record.control is None else f"{record.control_name or 'control'}={control_text(record.control)}"


def control_text(control: float | str | None) -> str:
    """For instance ``0.25`` or ``16``."""
    return "" if control is None else _word(control)


def _word(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, str) else json.dumps(value)

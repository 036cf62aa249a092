"""Records by hand."""

from __future__ import annotations

import hashlib
from typing import Any

from benchmark.results import MetricValue, RunRecord

SETTINGS = {"resolution": 16, "train": {"kimg": 4.0, "batch": 16}, "eval": {"samples": 1000}}


def key_of(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def make(
    method: str = "m", domain: str = "d", seed: int = 0, control: float | None = None, **changes: Any
) -> RunRecord:
    fields = changes.get("fields", {})
    values: dict[str, Any] = {
        "record_key": key_of(method, domain, seed, control, sorted(fields.items())),
        "train_key": key_of(method, domain, seed),
        "status": "done",
        "suite": "smoke",
        "method": method,
        "domain": domain,
        "domain_digest": key_of(domain),
        "standard_set": f"{domain}:{key_of(domain)}",
        "source": "src",
        "source_sha256": "ab" * 32,
        "seed": seed,
        "control": control,
        "control_name": None if control is None else "noise",
        "settings": SETTINGS,
        "environment": {"device": "cpu", "threads": 2},
        "notes": (f"noise: {method}",),
    }
    return RunRecord(**(values | changes))


def kid(value: float | None, n: int = 1000, **more: Any) -> dict[str, MetricValue]:
    return {"kid_net": MetricValue(value=value, n=n, reason=None if value is not None else "no weights", **more)}

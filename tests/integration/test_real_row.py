"""A run keeps what real images score, beside its records."""

from __future__ import annotations

from typing import Any

from benchmark.results import ResultStore
from benchmark.results.reals import gap_closed, read_reals, real_values


def test_a_run_keeps_the_scores_of_real_images(finished: Any) -> None:
    """Once for the domain; nearer to the held-out images than the untouched source."""
    records, _ = ResultStore(finished.out).read_all()
    found = read_reals(finished.out)
    assert len(found) == 1
    source = next(r for r in records if r.zero_step)
    real = real_values(found, records)[source.domain, "kid_randconv"]
    kid = source.metrics["kid_randconv"]
    assert real.value is not None and kid.value is not None and abs(real.value) < kid.value / 10
    tuned = next(r for r in records if r.method == "finetune").metrics["kid_randconv"].value
    share = gap_closed(kid.value, tuned, real.value)
    assert share is not None and 0 < share < 1

"""The trade-off in numbers: a fixed corner, equal fidelity, aggregates over domains as rliable defines them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from made_records import kid, make

from benchmark.report.group import Group, group_of
from benchmark.report.lines import groups
from benchmark.report.sentences import sentences
from benchmark.report.statistics.aggregates import (
    Estimate,
    aggregate,
    improvement,
    interquartile_mean,
    probability_of_improvement,
    profile,
)
from benchmark.report.statistics.trade_off import distance_at, dominated_share
from benchmark.report.tables.trade_off import (
    FARTHEST,
    _estimate,
    aggregate_table,
    corner,
    equal_fidelity,
    equal_fidelity_tables,
    nearer,
    scores,
)
from benchmark.results import CurvePoint, MetricValue, RunRecord, Timing


def both(fidelity: float, far: float, **more: Any) -> dict[str, MetricValue]:
    return kid(fidelity) | {"consistency_net": MetricValue(value=far, n=9, **more)}


def group(records: list[RunRecord]) -> Group:
    return group_of(groups(records)[0])


def stopped(*points: tuple[float, float]) -> dict[str, Any]:
    return {"curve": tuple(CurvePoint(kimg=i + 1, metrics=both(y, x)) for i, (x, y) in enumerate(points))}


def records(seeds: int = 3) -> list[RunRecord]:
    """Fine-tuning passes KID 1.0 at distance 0.25; `near` has it at 0.2, `swap` goes from (0.1, 1.2) to (0.3, 0.8)."""
    found = []
    for s in range(seeds):
        found.append(make("source", seed=s, zero_step=True, metrics=both(1.6, 0.0)))
        found.append(make("tune", seed=s, metrics=both(0.8, 0.3), **stopped((0.1, 1.6), (0.2, 1.2), (0.3, 0.8))))
        found.append(make("near", seed=s, metrics=both(1.0, 0.2), fields={"w": 1}))
        for control, point in ((0.0, (1.2, 0.1)), (1.0, (0.8, 0.3))):
            swap = make("swap", seed=s, control=control, metrics=both(*point), is_default_control=control == 1.0)
            found.append(swap)
    return found


def test_the_least_distance_at_a_fidelity_is_linear_between_points() -> None:
    path = [(0.1, 1.6), (0.2, 1.2), (0.3, 0.8), (0.25, 1.0)]
    assert distance_at(path, 1.0) == pytest.approx(0.25)
    assert distance_at(path, 1.4) == pytest.approx(0.15) and distance_at(path, 0.8) == 0.3
    assert distance_at(path, 0.5) is None and distance_at([], 1.0) is None


def test_each_method_meets_early_stopping_and_the_other_controls_at_its_own_fidelity() -> None:
    found = equal_fidelity(group(records()))
    near = {path: own["near"].distances for path, own in found.items()}
    assert near["tune stopped earlier"] == pytest.approx((-0.05,) * 3)
    assert near["swap along its control"] == pytest.approx((0.0,) * 3, abs=1e-12)
    assert nearer(near["tune stopped earlier"]) == 3 and "tune" not in found["tune stopped earlier"]
    assert "swap" not in found["swap along its control"], "a path does not stand against its own method"
    (table,) = equal_fidelity_tables(group(records()))
    assert table.title == "At equal KID: distance to the source"
    rows = {row.label: [c.text for c in row.cells] for row in table.rows}
    assert rows["near"][0] == "-0.050 (3 of 3)"


def test_a_control_that_changes_nothing_is_no_path() -> None:
    still = [make("fix", seed=s, control=c, metrics=both(1.0 + c / 100, 0.2), is_default_control=c == 1.0)
             for s in range(3) for c in (0.0, 1.0)]  # fmt: skip
    assert "fix along its control" not in equal_fidelity(group([*records(), *still]))


def test_a_control_whose_images_stay_is_no_path_whatever_its_fidelity_does() -> None:
    def fix(far: float) -> list[RunRecord]:
        return [make("fix", seed=s, control=c, metrics=both(1.0 + 0.4 * (c == 0), far * c + 0.2, std_error=0.01),
                     is_default_control=c == 1.0) for s in range(3) for c in (0.0, 1.0)]  # fmt: skip

    assert "fix along its control" in equal_fidelity(group([*records(), *fix(0.1)]))
    assert "fix along its control" not in equal_fidelity(group([*records(), *fix(1e-4)]))


def test_a_network_is_not_compared_with_itself() -> None:
    """As fine-tuning is with weight interpolation at share 1: other code, other rounding."""
    points = {0.5: (1.1, 0.2), 1.0: (0.8 * (1 + 1e-7), 0.3 * (1 - 1e-7))}
    ends = [make("half", seed=s, control=c, metrics=both(*point), is_default_control=c < 1)
            for s in range(3) for c, point in points.items()]  # fmt: skip
    found = equal_fidelity(group([*records(), *ends]))["half along its control"]
    assert "tune" not in found and "near" in found


def dominated(found: list[RunRecord]) -> dict[str, str]:
    table = aggregate_table(group(found))
    assert table is not None
    return {row.label: row.cells[2].text for row in table.rows}


def test_the_dominated_area_does_not_depend_on_the_rivals_and_exists_without_a_control() -> None:
    whole, alone = dominated(records()), dominated([r for r in records() if r.method in ("source", "near")])
    assert alone["near"] == whole["near"] and set(whole) == {"tune", "near", "swap"}
    area = dominated_share([(0.2, 1.0)], (FARTHEST, 1.6))
    assert area == pytest.approx((0.5 - 0.2) * 0.6 / (0.5 * 1.6)) and whole["near"] == f"{area:.3f} ± 0.000"


def test_where_the_answer_is_known_the_corner_is_the_sources_own_error() -> None:
    def answered(fidelity: float, error: float) -> dict[str, MetricValue]:
        return both(fidelity, 0.1) | {"translation_error_l1": MetricValue(value=error, n=9)}

    found = group([make("source", zero_step=True, metrics=answered(1.5, 0.45)), make("a", metrics=answered(1.0, 0.2))])
    assert corner(found, "d") == (0.45, 1.5)
    assert corner(group(records()), "d") == pytest.approx((FARTHEST, 1.6))
    assert corner(group([r for r in records() if not r.zero_step]), "d") is None


def test_the_gap_ends_at_real_images_where_their_score_is_known() -> None:
    found = [make("source", zero_step=True, metrics=kid(1.6)), make("a", metrics=kid(0.8))]
    whole = group(found)
    assert scores(whole, whole.shown[0])[0].tolist() == [0.5]
    floored = [r.model_copy(update={"metrics": kid(r.metrics["kid_net"].value, floor=0.6)}) for r in found]
    known = group(floored)
    assert scores(known, known.shown[0])[0].tolist() == pytest.approx([0.8])


def test_the_interquartile_mean_is_that_of_the_middle_half() -> None:
    assert interquartile_mean(np.array([0.0, 1.0, 2.0, 100.0])) == 1.5
    assert interquartile_mean(np.array([[1.0], [4.0]])) == 2.5, "a domain's array counts as all its values"
    odd = np.array([0.0, 1.0, 2.0, 3.0, 50.0])
    assert interquartile_mean(odd) == pytest.approx((0.75 * 1 + 2 + 0.75 * 3) / 2.5), "ends count in part"
    assert interquartile_mean(np.array([3.0])) == 3.0


def test_the_probability_of_improvement_is_mann_whitneys_averaged_over_domains() -> None:
    a, b = [np.array([1.0, 2.0]), np.array([5.0, 5.0])], [np.array([0.0, 2.0]), np.array([5.0, 6.0])]
    assert probability_of_improvement(a, b) == pytest.approx(((1 + 0 + 1 + 0.5) / 4 + (0.5 + 0 + 0.5 + 0) / 4) / 2)
    assert probability_of_improvement(a, b) + probability_of_improvement(b, a) == pytest.approx(1)


def test_intervals_resample_seeds_within_domains_and_repeat() -> None:
    rng = np.random.default_rng(1)
    domains = [rng.normal(mean, 0.1, 10) for mean in (0.0, 5.0, 10.0)]
    found = aggregate(domains)
    assert found == aggregate(domains) and found.interval is not None
    low, high = found.interval
    assert low < found.value < high and high - low < 0.3, "the spread between domains is no uncertainty of a stratum"
    assert aggregate([np.array([1.0, 2.0]), np.arange(5.0)]).interval is None, "two seeds say nothing"
    shifted = improvement([d + 1 for d in domains], domains)
    assert shifted.value == pytest.approx(1.0, abs=0.01) and shifted.interval is not None


def test_the_interval_of_an_aggregate_covers_the_truth() -> None:
    rng, hits, trials = np.random.default_rng(2), 0, 150
    for _ in range(trials):
        interval = aggregate([rng.normal(0, 1, 30) for _ in range(4)]).interval
        assert interval is not None
        hits += interval[0] <= 0 <= interval[1]
    assert 0.88 <= hits / trials <= 0.99


def test_a_profile_weights_domains_alike() -> None:
    shares = profile([np.array([0.1, 0.9]), np.array([0.9, 0.9, 0.9, 0.9])], np.array([0.5, 0.95]))
    assert shares.tolist() == [0.75, 0.0]
    two = (("a", 0.4), ("b", 0.9))
    many = [make(m, f"d{i}", s, metrics=kid(v)) for i in range(5) for s in range(3) for m, v in two]
    many += [make("source", f"d{i}", s, zero_step=True, metrics=kid(1.0)) for i in range(5) for s in range(3)]
    table = aggregate_table(group(many))
    assert table is not None and [c.name for c in table.columns[-3:]] == ["25%", "50%", "75%"]
    assert [c.text for c in table.rows[0].cells[-3:]] == ["100%", "100%", "0%"]


def test_only_seeds_with_a_gap_have_a_share_of_it() -> None:
    """A source may be as good as the best possible images, or better, at single seeds."""
    made = [make("m", seed=s, metrics=kid(v, floor=0.001)) for s, v in enumerate((0.0009, 0.0011, 0.0015))]
    sources = zip((0.001, 0.0008, 0.0025), made, strict=True)
    made += [make("source", seed=r.seed, zero_step=True, metrics=kid(v, floor=0.001)) for v, r in sources]
    found = group(made)
    (line,) = [x for x in found.shown if x.base == "m"]
    (shares,) = scores(found, line)
    assert shares == pytest.approx([(0.0025 - 0.0015) / 0.0015])
    assert aggregate_table(found) is not None


def test_a_share_that_rounds_to_zero_has_no_sign() -> None:
    assert _estimate(Estimate(-0.001, None), percent=True).text == "0 %"


def test_errors_and_distances_are_counted_apart_and_draws_not_at_all() -> None:
    def answered(r: RunRecord) -> RunRecord:
        far = {"translation_error_l1": r.metrics["consistency_net"].model_copy(update={"title": None})}
        return r.model_copy(update={"domain": "known", "domain_digest": "9" * 64, "metrics": r.metrics | far})

    def other_key(r: RunRecord) -> RunRecord:
        return r.model_copy(update={"record_key": r.record_key[::-1]})

    whole = group([*records(), *(other_key(answered(r)) for r in records() if not r.curve)])
    own = equal_fidelity(whole)["swap along its control"]["near"]
    assert len(own.errors) == len(own.distances) == 3, "a domain of each kind"
    assert [table.title for table in equal_fidelity_tables(whole)] == [
        "At equal KID: error to the right answer",
        "At equal KID: distance to the source",
    ]
    (said,) = [text for text in sentences(whole) if text.startswith("Against")]
    blocks = "Against tune stopped earlier at equal KID, (domain, seed) blocks in which a method is nearer"
    assert said == f"{blocks}: to the source, near 3 of 3.", (
        "swap ends as tune does, and near on the known domain meets no curve"
    )


def test_without_curves_the_controls_are_counted_against_the_plain_method() -> None:
    found = [r.model_copy(update={"curve": ()}) for r in records()]
    higher = [r.model_copy(update={"metrics": both(0.9, 0.35)}) if r.method == "tune" else r for r in found]
    (said,) = [text for text in sentences(group(higher)) if text.startswith("Against")]
    assert said.startswith(
        "Against tune at equal KID, (domain, seed) blocks in which a method is nearer somewhere along"
    )
    assert said.endswith("its control: to the source, swap 3 of 3.")


def test_of_methods_without_fields_the_one_that_trains_most_is_the_plain_one() -> None:
    sizes = {"adapters": 100, "tune": 900, "scales": 20}
    found = [
        make(m, seed=s, metrics=kid(1.0 + s), timing=Timing(trainable_params=n))
        for m, n in sizes.items()
        for s in (0, 1)
    ]
    plain = group(found).plain
    assert plain is not None and plain.base == "tune"

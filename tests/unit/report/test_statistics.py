"""Comparisons over seeds: known numbers, what must not matter, and error rates on data without a difference."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from demsar import DEMSAR
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from benchmark.errors import ConfigError, DataError
from benchmark.report.statistics.paired import holm, paired, seeds_needed, smallest_p, ties_with_best
from benchmark.report.statistics.ranks import critical_difference, nemenyi_q

NAN = math.nan
QUICK = settings(max_examples=25, deadline=None, derandomize=True)
eighths = st.integers(-400, 400).map(lambda i: i / 8)  # sums of these are exact


def both(low: int = 2, high: int = 7) -> st.SearchStrategy[list[tuple[float, float]]]:
    return st.lists(st.tuples(eighths, eighths), min_size=low, max_size=high)


def split(pairs: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [a for a, _ in pairs], [b for _, b in pairs]


def of_differences(differences: list[float]) -> float | None:
    return paired(differences, [0.0] * len(differences), "lower").p_value


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        ([1, 2, 3], 2 / 8),  # no other pattern but the opposite one reaches 6
        ([3, 2, -1], 4 / 8),  # 6 and 4, and their opposites
        ([1, 2, -3], 1.0),  # a sum of 0 is reached by all
        ([0, 0, 5], 1.0),  # two of the three say nothing
        ([1, 1, 1, 1, 1, -1], 14 / 64),  # |sum| >= 4: none or one sign differs
        ([4, 7], 2 / 4),
    ],
)
def test_sign_flip_p_by_hand(differences: list[float], p: float) -> None:
    assert of_differences(differences) == p


@QUICK
@given(both(high=9))
def test_sign_flip_p_agrees_with_scipy(pairs: list[tuple[float, float]]) -> None:
    a, b = split(pairs)
    theirs = stats.permutation_test(
        (np.subtract(a, b),), np.mean, permutation_type="samples", n_resamples=np.inf, vectorized=True
    )
    assert paired(a, b, "lower").p_value == pytest.approx(theirs.pvalue, abs=1e-12)


def test_differences_that_are_equal_but_for_rounding_count_as_equal() -> None:
    """0.1, 0.1 and -0.1, each rounded differently: every pattern reaches a |sum| of 0.1."""
    found = paired([10.3, 10.2, 10.1], [10.2, 10.1, 10.2], "lower")
    assert found.p_value == 1
    equal = paired([0.1 + 0.2, 0.7], [0.3, 0.1 + 0.6], "lower")
    assert (equal.favours, equal.p_value) == (None, 1)


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_drawn_patterns_agree_with_all_patterns(shift: float) -> None:
    """17 seeds: drawn here, enumerated by scipy."""
    differences = np.random.default_rng(5).normal(shift, 1, 17)
    exact = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=np.inf, vectorized=True, batch=4096
    ).pvalue
    drawn = paired(differences, np.zeros(17), "lower").p_value
    assert drawn is not None
    assert abs(drawn - exact) < 4 * math.sqrt(exact * (1 - exact) / 65535) + 2 / 65536


def test_drawn_p_is_never_zero() -> None:
    found = paired(np.arange(1.0, 41.0), np.zeros(40), "lower")
    assert found.p_value == found.smallest_p == smallest_p(40) == 1 / 65536  # no pattern of 2^40 drawn reaches it
    assert smallest_p(17) == 2 / 2**17 == smallest_p(18)


def test_p_and_interval_keep_their_rates_where_there_is_no_difference() -> None:
    """n = 8: P(p <= k / 128) is k / 128 exactly; the interval covers about 89 %, as the note admits."""
    rng, runs = np.random.default_rng(11), 300
    p_values, covered = [], 0
    for _ in range(runs):
        level, noise = rng.normal(size=8), rng.normal(size=(2, 8))
        found = paired(level + noise[0], level + noise[1], "lower")
        assert found.p_value is not None and found.interval is not None
        p_values.append(found.p_value)
        covered += found.interval[0] <= 0 <= found.interval[1]
    for k in (6, 32, 64):
        rejected = sum(p <= k / 128 for p in p_values)
        assert stats.binom.ppf(1e-4, runs, k / 128) <= rejected <= stats.binom.ppf(1 - 1e-4, runs, k / 128)
    assert 0.83 < covered / runs < 0.94


def test_interval_of_two_seeds_by_hand() -> None:
    """Means of resamples are 0, 1 and 2 with probabilities 1/4, 1/2 and 1/4."""
    found = paired([1.0, 3.0], [1.0, 1.0], "higher")
    assert (found.difference, found.interval, found.p_value, found.smallest_p) == (1, (0, 2), 1, 0.5)
    assert found.favours == "a"


def test_interval_of_many_seeds_is_near_the_normal_one() -> None:
    d = np.random.default_rng(2).normal(1, 2, 400)
    found = paired(d, np.zeros(400), "lower").interval
    half = 1.96 * d.std() / 20
    assert found == pytest.approx((d.mean() - half, d.mean() + half), abs=0.06 * half)


def test_one_seed_has_neither_interval_nor_test() -> None:
    found = paired([2.0], [3.0], "lower")
    assert (found.n, found.difference, found.favours, found.smallest_p) == (1, -1, "a", 1)
    assert found.interval is None and found.p_value is None
    assert found.note is not None and "one seed" in found.note
    notes = [paired(np.arange(n), np.ones(n), "lower").note for n in (2, 10, 11)]
    assert [note is not None and "less than 95 %" in note for note in notes] == [True, True, False]


def test_constant_differences_give_a_point() -> None:
    rounded = paired([0.3, 0.4, 0.5, 0.6], [0.2, 0.3, 0.4, 0.5], "higher")
    assert rounded.interval == (rounded.difference, rounded.difference)
    assert rounded.difference == pytest.approx(0.1) and rounded.p_value == 2 / 16
    same = paired([1.0, 2.0, 5.0], [1.0, 2.0, 5.0], "lower")
    assert (same.difference, same.interval, same.p_value, same.favours) == (0, (0, 0), 1, None)


@QUICK
@given(both(), st.randoms(use_true_random=False), st.sampled_from([0.25, 8.0]), eighths)
def test_what_must_not_matter_to_a_pair(pairs: list[tuple[float, float]], random, scale: float, level: float) -> None:
    a, b = split(pairs)
    found = paired(a, b, "lower")
    assert found.interval is not None and found.interval[0] <= found.difference <= found.interval[1]
    shuffled = list(pairs)
    random.shuffle(shuffled)
    assert paired(*split(shuffled), "lower") == found

    swapped = paired(b, a, "lower")
    assert swapped.interval == (-found.interval[1], -found.interval[0])
    assert (swapped.difference, swapped.p_value) == (-found.difference, found.p_value)
    assert swapped.favours == {"a": "b", "b": "a", None: None}[found.favours]
    assert paired(a, b, "higher").favours == swapped.favours

    scaled = paired([scale * x + level for x in a], [scale * x + level for x in b], "lower")
    assert (scaled.p_value, scaled.favours) == (found.p_value, found.favours)
    assert scaled.interval == (scale * found.interval[0], scale * found.interval[1])


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        ([1.0, NAN], [1.0, 2.0], "missing"),
        ([1.0, None], [1.0, 2.0], "missing"),
        ([1.0, math.inf], [1.0, 2.0], "infinite"),
        ([1.0], [1.0, 2.0], r"a \(1,\), b \(2,\)"),
        ([], [], "one value per seed"),
        ([[1.0]], [[1.0]], "one value per seed"),
        ([[1.0], [1.0, 2.0]], [1.0, 2.0], "numbers"),
        (["x"], ["y"], "numbers"),
    ],
)
def test_pairs_that_are_refused(a: list, b: list, words: str) -> None:
    with pytest.raises(DataError, match=words):
        paired(a, b, "lower")


def test_unknown_direction_and_impossible_alpha() -> None:
    with pytest.raises(ConfigError, match="'lower' or 'higher'"):
        paired([1.0], [2.0], "smaller")  # type: ignore[arg-type]
    for alpha in (0.0, 1.0, NAN):
        with pytest.raises(ConfigError, match="alpha"):
            ties_with_best({"a": [1.0]}, "lower", alpha)
        with pytest.raises(ConfigError, match="alpha"):
            seeds_needed(alpha)


def test_holm_by_hand() -> None:
    found = holm({"d1": 0.01, "d2": 0.04, "d3": 0.03, "d4": 0.005}, "domains")
    assert found.p_values == pytest.approx({"d1": 0.03, "d2": 0.06, "d3": 0.06, "d4": 0.02})
    assert list(found.p_values) == ["d1", "d2", "d3", "d4"]
    assert found.note == "Holm-corrected over 4 domains: d1, d2, d3, d4"


def test_holm_leaves_out_what_had_no_test() -> None:
    found = holm({"a": 0.02, "b": None, "c": 0.9})
    assert found.p_values == pytest.approx({"a": 0.04, "c": 0.9}) and found.untested == ("b",)
    assert "no test: b" in found.note
    assert holm({"a": None}).p_values == {} and holm({}).p_values == {}
    for wrong in (NAN, -0.1, 1.1):
        with pytest.raises(DataError, match="a: "):
            holm({"a": wrong, "b": 0.5})


@QUICK
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_the_raw_values_and_bonferroni(p_values: list[float]) -> None:
    raw = {str(i): p for i, p in enumerate(p_values)}
    found = holm(raw).p_values
    assert all(p <= found[k] <= min(1, p * len(raw)) for k, p in raw.items())
    assert min(found.values()) == min(1, min(p_values) * len(raw))
    assert all(found[i] <= found[j] for i in raw for j in raw if raw[i] <= raw[j])


def test_seeds_needed() -> None:
    assert [seeds_needed(0.05, m) for m in (1, 2, 9)] == [6, 7, 9]  # 1/32, 2/64, 9/256
    assert seeds_needed(0.25) == 3  # reached exactly
    assert seeds_needed(0.9) == 2  # one seed is no test


def test_significantly_worse_methods_are_not_marked() -> None:
    base = np.array([3.0, 1.0, 4.0, 1.5, 5.0, 9.0, 2.0])
    near = base + np.array([0.5, -0.4, 0.3, -0.2, 0.4, -0.3, 0.2])
    values = {"far": base + 2, "near": near, "best": base}
    found = ties_with_best(values, "lower")
    assert (found.best, found.marked, found.note) == ("best", {"best", "near"}, None)
    assert found.p_values["far"] == 2 * 2 / 2**7
    mirrored = ties_with_best({k: -np.asarray(v) for k, v in values.items()}, "higher")
    assert mirrored == found
    assert ties_with_best(values, "higher").best == "far"


def test_too_few_seeds_mark_the_whole_tie_and_say_so() -> None:
    three = ties_with_best({"a": [1.0, 2.0, 3.0], "b": [91.0, 92.0, 93.0]}, "lower")
    assert three.marked == {"a", "b"} and three.best == "a"
    assert three.note == (
        "with 3 seeds the two-sided sign-flip test cannot go below p = 0.25, "
        "so bold marks the whole tie; at least 6 seeds are needed for p = 0.05"
    )
    six = {"a": np.arange(6.0), "b": np.arange(6.0) + 90}
    assert ties_with_best(six, "lower").marked == {"a"}
    more = ties_with_best(six | {"c": np.arange(6.0) + 80}, "lower")  # 6 seeds reach 0.05 once, not twice
    assert more.marked == {"a", "b", "c"}
    assert more.note is not None and "(0.0625 after Holm's correction over 2" in more.note
    assert "at least 7 seeds" in more.note


def test_one_seed_is_no_test_at_all() -> None:
    found = ties_with_best({"a": [1.0], "b": [100.0]}, "lower", alpha=0.99)
    assert (found.marked, found.p_values) == ({"a", "b"}, {})
    assert found.note is not None and "with 1 seed there is no test" in found.note
    alone = ties_with_best({"a": [1.0]}, "lower")
    assert (alone.marked, alone.note) == ({"a"}, None)


def test_identical_methods_are_all_marked() -> None:
    values = {name: np.arange(8.0) for name in "cab"}
    found = ties_with_best(values, "lower")
    assert (found.best, found.marked, found.note) == ("a", {"a", "b", "c"}, None)
    assert set(found.p_values.values()) == {1.0}


def test_missing_values_are_compared_at_shared_seeds() -> None:
    whole = np.arange(9.0)
    one_gap = np.where(whole == 4, NAN, whole)
    values = {"whole": whole, "better": one_gap - 1, "worse": one_gap + 1, "nothing": np.full(9, NAN)}
    found = ties_with_best(values, "lower")
    assert found.best == "whole"  # a mean over fewer seeds is not made the measure
    assert found.marked == {"whole", "better"}  # significantly different, but not worse
    assert found.p_values == {"better": 2 * 2 / 2**8, "worse": 2 * 2 / 2**8}
    assert found.note == "better, worse: compared with whole only at the seeds that both have"

    apart = ties_with_best({"a": [1.0, 2.0, NAN, NAN], "b": [NAN, NAN, 3.0, 4.0]}, "lower")
    assert apart.marked == {"a", "b"} and apart.note is not None and apart.note.startswith("b: ")
    single = ties_with_best({"a": np.arange(6.0), "b": np.arange(6.0) + 9, "c": [9.0] + [NAN] * 5}, "lower")
    assert single.marked == {"a"} and single.p_values == {"b": 2 / 2**6}  # one shared seed is no test
    assert single.untold == {"c"} and single.note == "c: too few seeds shared with a for a test"
    few = ties_with_best({"a": np.arange(3.0), "b": [9.0, 9.0, NAN]}, "lower")
    assert few.marked == {"a", "b"} and not few.untold, "nobody's seeds are enough"
    with pytest.raises(DataError, match="none has a value"):
        ties_with_best({"a": [NAN], "b": [NAN]}, "lower")
    with pytest.raises(DataError, match="no method"):
        ties_with_best({}, "lower")


@QUICK
@given(st.lists(st.tuples(eighths, eighths, eighths), min_size=7, max_size=8), st.permutations("abc"))
def test_what_must_not_matter_to_ties(rows: list[tuple[float, ...]], names: list[str]) -> None:
    values = dict(zip("abc", np.array(rows).T, strict=True))
    found = ties_with_best(values, "lower")
    assert ties_with_best({name: values[name][::-1] for name in names}, "lower") == found
    assert found.best in found.marked
    assert found.marked == {"a", "b", "c"} - {k for k, p in found.p_values.items() if p <= 0.05}


DEMSAR_05 = (1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164)
DEMSAR_10 = (1.645, 2.052, 2.291, 2.459, 2.589, 2.693, 2.780, 2.855, 2.920)


@pytest.mark.parametrize(("alpha", "table"), [(0.05, DEMSAR_05), (0.10, DEMSAR_10)])
def test_nemenyi_q_is_that_of_the_paper(alpha: float, table: tuple[float, ...]) -> None:
    assert [nemenyi_q(k, alpha) for k in range(2, 11)] == pytest.approx(table, abs=1e-3)


def test_demsars_example() -> None:
    found = critical_difference(DEMSAR, "lower")
    assert found.ranks == pytest.approx({"C4.5+m+cf": 1.964, "C4.5+m": 2.0, "C4.5+cf": 2.893, "C4.5": 3.143}, abs=5e-4)
    assert list(found.ranks) == ["C4.5+m+cf", "C4.5+m", "C4.5+cf", "C4.5"]
    # the paper's 9.28 takes no account of ties: three pairs and one four of equal ranks
    assert found.statistic == pytest.approx(9.28 / (1 - (3 * 6 + 60) / (14 * 60)), abs=0.01)
    assert found.p_value == pytest.approx(stats.chi2.sf(found.statistic, 3)) and found.p_value < 0.05
    assert found.difference == pytest.approx(1.25, abs=0.005)
    assert found.groups == (tuple(found.ranks),)  # 3.143 - 1.964 is less
    assert (found.blocks, found.dropped, found.reason, found.note) == (14, 0, None, None)

    wider = critical_difference(DEMSAR, "lower", alpha=0.10)
    assert wider.difference == pytest.approx(1.12, abs=0.005)
    assert wider.groups == (("C4.5+m+cf", "C4.5+m", "C4.5+cf"), ("C4.5+cf", "C4.5"))


def test_blocks_with_a_gap_are_dropped_and_counted() -> None:
    gaps = {name: [*ranks, 1.0, NAN] for name, ranks in DEMSAR.items()} | {"C4.5": [*DEMSAR["C4.5"], NAN, 1.0]}
    found = critical_difference(gaps, "lower")
    plain = critical_difference(DEMSAR, "lower")
    assert found.dropped == 2
    assert (found.ranks, found.p_value, found.groups) == (plain.ranks, plain.p_value, plain.groups)


def test_where_ranks_say_nothing_there_is_a_reason() -> None:
    two = critical_difference({"a": [1.0, 2.0], "b": [2.0, 1.0]}, "lower")
    assert two.reason is not None and "2 methods" in two.reason and two.ranks == {"a": 1.5, "b": 1.5}
    empty = critical_difference({"a": [1.0], "b": [2.0], "c": [NAN]}, "lower")
    assert empty.reason is not None and "leave out c" in empty.reason
    assert (empty.ranks, empty.blocks, empty.dropped) == ({}, 0, 1)
    few = critical_difference({"a": [1.0, 1.0], "b": [2.0, 2.0], "c": [3.0, 3.0]}, "lower")
    assert few.reason is not None and "2 of at least 3 blocks" in few.reason and few.ranks == {"a": 1, "b": 2, "c": 3}
    for found in (two, empty, few):
        assert (found.difference, found.p_value, found.groups) == (None, None, ())
    enough = critical_difference({"a": [1.0] * 3, "b": [2.0] * 3, "c": [3.0] * 3}, "lower")
    assert enough.reason is None and enough.groups == (("a", "b"), ("b", "c"))
    assert enough.note is not None and "3 blocks" in enough.note


def test_equal_values_everywhere_are_one_group() -> None:
    found = critical_difference({name: [1.0, 2.0, 3.0, 4.0] for name in "abc"}, "higher")
    assert (found.statistic, found.p_value, found.groups) == (0, 1, (("a", "b", "c"),))
    assert set(found.ranks.values()) == {2.0}
    assert found.note is not None and "finds no difference" in found.note


def test_ranks_that_cannot_be_made() -> None:
    with pytest.raises(DataError, match="b has an infinite"):
        critical_difference({"a": [1.0], "b": [math.inf], "c": [2.0]}, "lower")
    with pytest.raises(DataError, match="shapes"):
        critical_difference({"a": [1.0], "b": [1.0, 2.0], "c": [2.0]}, "lower")


@QUICK
@given(st.integers(3, 6), st.integers(4, 25), st.integers(0, 10**6), st.floats(0, 1.5))
def test_what_must_not_matter_to_ranks_and_what_groups_are(k: int, n: int, seed: int, spread: float) -> None:
    rng = np.random.default_rng(seed)
    table = np.round(rng.normal(size=(k, n)) + spread * np.arange(k)[:, None], 1)  # rounding makes ties
    values = {f"m{i}": row for i, row in enumerate(table)}
    found = critical_difference(values, "lower")
    other = {name: -np.exp(row[::-1]) for name, row in reversed(values.items())}  # only the order within blocks counts
    again = critical_difference(other, "higher")
    assert (again.ranks, again.groups) == (found.ranks, found.groups)
    assert again.p_value == pytest.approx(found.p_value) and again.difference == found.difference
    assert sum(found.ranks.values()) == pytest.approx(k * (k + 1) / 2)

    assert found.p_value is not None and found.difference is not None
    together = {(a, b) for group in found.groups for a in group for b in group}
    if found.p_value <= 0.05:
        near = {(a, b) for a in values for b in values if abs(found.ranks[a] - found.ranks[b]) < found.difference}
        assert together | {(a, a) for a in values} == near
    else:
        assert len(found.groups) == 1 and set(found.groups[0]) == set(values)
    assert not any(set(g) < set(h) for g in found.groups for h in found.groups)


def test_no_torch() -> None:
    code = "import sys, benchmark.report.statistics; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[3])
    assert done.stdout == "False\n", done.stderr

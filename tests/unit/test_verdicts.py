"""The verdicts of docs/answers.md on records whose truth was put into them."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from made_records import make

from benchmark.report.group import Group, group_of
from benchmark.report.lines import groups
from benchmark.report.render import markdown_table
from benchmark.report.tables.table import MISSING
from benchmark.results import CurvePoint, MetricValue, RunRecord

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "docs"))

import answers
import chosen
import comparison

METHODS = ("finetune", "freezed", "feature_matching", "layer_swap", "weight_interpolation", "fixnoise")
HIGHER = ("identity_retrieval_edges", "share_of_the_way_l2", "precision_net", "recall_net")
NOISE = (0.0, 0.5, 1.0)


@pytest.fixture(autouse=True)
def plan(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two domains and six methods."""
    monkeypatch.setattr(comparison, "planned", lambda suite: (("near", "far"), METHODS))


def measured(domain: str, kid: float, lost: float, **more: float) -> dict[str, MetricValue]:
    """Values at this KID of a method that lost so much of the source; what is known on domain "near" alone."""
    values = {"kid_net": kid, "distance_averaged_l1": 0.1 + lost, "consistency_net": 0.1 + lost}
    if domain == "near":
        values |= {"translation_error_l1": 0.1 + lost, "identity_retrieval_edges": 1 - lost}
    values |= more
    return {
        name: MetricValue(value=v, n=100, better="higher" if name in HIGHER else "lower") for name, v in values.items()
    }


def jitter(method: str, seed: int) -> float:
    """Small, another for each method and seed, without a direction."""
    return 0.002 * ((len(method) * 7 + seed * 5) % 9 - 4)


def adapted(
    method: str, domain: str, seed: int, gain: float, worse: float, way: dict[float, float] | None = None
) -> list[RunRecord]:
    """A method that loses 0.3 (2 - KID) - `gain`, ends at KID 0.5 + `worse`, and has its way along a control."""
    kimg = (1, 2, 3, 4)

    def lost(kid: float) -> float:
        return 0.3 * (2 - kid) - gain + jitter(method, seed)

    kids = [2 - (1.5 - worse) * k / 4 for k in kimg]
    curve = tuple(CurvePoint(kimg=k, metrics=measured(domain, v, lost(v))) for k, v in zip(kimg, kids, strict=True))
    more: dict[str, Any] = {"seed": seed, "domain": domain, "fields": {} if method == "finetune" else {"kind": method}}
    real = {"precision_net": 0.5 - worse + jitter(method, seed), "recall_net": 0.4 - worse + jitter(method, seed)}
    if way is None:
        end = measured(domain, kids[-1], lost(kids[-1]), **real)
        return [make(method, metrics=end, curve=curve, is_default_control=True, **more)]
    found, before, whole = [], 0.0, max(way.values()) - min(way.values())
    for control, share in way.items():
        place = (share - min(way.values())) / whole if whole else 1.0
        at = measured(domain, 2 - (2 - kids[-1]) * place, lost(2 - (2 - kids[-1]) * place), **real)
        at["step_net"] = MetricValue(value=abs(share - before), n=100)
        if domain == "near":
            value = share + jitter(method, seed) / 10
            at["share_of_the_way_l2"] = MetricValue(value=value, n=100, better="higher")
        last = control == max(way)
        more |= {"curve": curve if last else (), "is_default_control": last}
        found.append(make(method, control=control, metrics=at, **more))
        before = share
    return found


def world(gain: float = 0.0, worse: float = 0.0, way: tuple[float, ...] = (0.1, 0.5, 0.9), seeds: int = 8) -> Group:
    """Rivals that are all alike, and FixNoise that keeps `gain` more at equal KID and ends `worse` off."""
    found = []
    for seed in range(seeds):
        for domain in ("near", "far"):
            start = measured(domain, 2.0, 0.0)
            found.append(make("source", domain, seed, zero_step=True, metrics=start))
            for method in ("finetune", "freezed", "feature_matching"):
                found += adapted(method, domain, seed, 0.0, 0.0)
            for method in ("layer_swap", "weight_interpolation"):
                found += adapted(method, domain, seed, 0.0, 0.0, dict(zip(NOISE, (0.0, 0.1, 0.9), strict=True)))
            found += adapted("fixnoise", domain, seed, gain, worse, dict(zip(NOISE, way, strict=True)))
    return group_of(groups(found)[0])


def verdicts(g: Group, claim: str, what: str = "") -> set[str]:
    return {f.verdict for f in answers.findings(g) if f.claim.startswith(claim) and what in f.what}


@pytest.mark.parametrize(("gain", "said"), [(0.05, "confirmed"), (-0.05, "refuted"), (0.0, "undecided")])
def test_preservation_is_compared_at_equal_kid(gain: float, said: str) -> None:
    g = world(gain)
    assert verdicts(g, "1", "equal KID") == {said}
    found = [f for f in answers.findings(g) if "equal KID" in f.what]
    assert {f.rival for f in found} == set(answers.RIVALS) and {f.method for f in found} == {"fixnoise"}
    unit = {"lower": 0.1, "more": 1.0, "nearer": 0.55}  # the source's error, a share, fine-tuning's distance
    assert len(found) == 3 * 4
    assert all(f.effect == pytest.approx(gain / unit[f.what.split()[0]], rel=0.1, abs=0.03) for f in found)
    if said == "confirmed":
        assert max(f.holm_p or 1 for f in found) == pytest.approx(4 * 2 / 2**8), "Holm over four rivals, eight seeds"


def test_a_method_that_stays_nearer_only_because_it_is_less_adapted_gains_nothing() -> None:
    found = [f for f in answers.findings(world(0.0, worse=0.5)) if "equal KID" in f.what]
    assert all(abs(f.effect or 0) < 0.05 for f in found), "at its end it kept more, on the same path"


def test_the_dominated_area_has_a_corner_that_does_not_depend_on_the_rivals() -> None:
    g = world(0.05)
    assert verdicts(g, "1", "dominated") == {"confirmed"}
    own, less = (answers.dominated(world(gain), "fixnoise", "far") for gain in (0.05, -0.05))
    assert len(own) == 8 and all(own[seed] > less[seed] for seed in own)
    alone = group_of([r for r in g.records if r.zero_step or r.method == "fixnoise"])
    assert answers.dominated(alone, "fixnoise", "far") == own


@pytest.mark.parametrize(
    ("way", "rise", "monotone", "even"),
    [
        ((0.1, 0.5, 0.9), "confirmed", "confirmed", "confirmed"),
        ((0.1, 0.9, 0.5), "confirmed", "refuted", "confirmed"),
        ((0.85, 0.87, 0.89), "refuted", "confirmed", "confirmed"),
        ((0.1, 0.11, 0.9), "confirmed", "confirmed", "refuted"),
    ],
)
def test_a_control_has_to_go_far_one_way_and_evenly(way: Any, rise: str, monotone: str, even: str) -> None:
    g = world(way=way)
    assert verdicts(g, "2", "rises by") == {rise} and verdicts(g, "2", "rises at each step") == {monotone}
    assert verdicts(g, "2", "more even") == {even}


def test_unevenness_does_not_depend_on_how_many_steps_there_are() -> None:
    found = answers.unevenness(world(way=(0.1, 0.1001, 0.9)), "fixnoise")
    assert len(found) == 16 and all(v == pytest.approx(1.0, abs=0.01) for v in found.values())
    assert all(v < 0.1 for v in answers.unevenness(world(way=(0.1, 0.5, 0.9)), "fixnoise").values())


@pytest.mark.parametrize(("worse", "said"), [(-0.1, "confirmed"), (0.3, "refuted")])
def test_realism_is_not_worse_by_a_margin_or_it_is(worse: float, said: str) -> None:
    assert verdicts(world(worse=worse), "3") == {said}
    assert all(f.rival == "finetune" for f in answers.findings(world(worse=worse)) if f.claim.startswith("3"))


def test_few_seeds_are_tested_by_domain_and_seed_and_called_preliminary() -> None:
    g = world(0.05, seeds=3)
    found = answers.findings(g)
    near, both = (
        [f for f in found if f.what.startswith(what) and f.rival == "freezed"] for what in ("lower error", "nearer")
    )
    assert [(len(f.values), f.p_value) for f in near] == [(3, 0.25)], "the right answer is known on one domain of two"
    assert [(len(f.values), f.p_value) for f in both] == [(6, 2 / 2**6)]
    assert all(0 < (f.detectable or 0) < 0.5 for f in (*near, *both))
    assert {f.verdict for f in found} == {"undecided"}, "four rivals are too many for six units"
    said = "\n".join(comparison.summary(g, found))
    assert "8 seeds per domain are planned; complete so far: 3 on near and 3 on far." in said
    assert "fewer than 8 seeds can decide no line with four rivals" in said
    assert "Claim 1 (preservation), `fixnoise`: **preliminary: undecided**" in said


def test_a_whole_run_is_not_preliminary_and_its_unit_is_the_seed() -> None:
    g = world(0.05)
    found = answers.findings(g)
    said = comparison.summary(g, found)
    assert {len(f.values) for f in found} == {8} and "Preliminary" not in "\n".join(said)
    for f in found:
        number, _, title = f.claim.partition(" ")
        (own,) = (line for line in said if line.startswith(f"- Claim {number} ({title}), `{f.method}`: "))
        sentences = {"confirmed": r"Confirmed: (.*?)\.(?: Refuted|$)", "refuted": r"Refuted: (.*)\.$"}
        named = {v for v, text in sentences.items() for part in re.findall(text, own) if _names(part, f)}
        assert named == {f.verdict} - {"undecided"}
    assert {"confirmed", "refuted"} & {f.verdict for f in found}


def _names(text: str, f: comparison.Finding) -> bool:
    """Whether a list such as ``lower error at equal KID (against `finetune`, `freezed`); ...`` has this comparison."""
    parts = dict(part.partition(" (")[::2] for part in text.split("; "))
    return f.what in parts and (not f.rival or f"`{f.rival}`" in parts[f.what])


def test_what_failed_is_counted_and_leaves_the_run_preliminary() -> None:
    g = world(0.05)
    gone = {"status": "failed", "reason": "it diverged", "metrics": {}, "curve": ()}
    lost = [r.method == "freezed" and r.domain == "far" and r.seed < 4 for r in g.records]
    records = [r.model_copy(update=gone if failed else {}) for r, failed in zip(g.records, lost, strict=True)]
    g = group_of(groups(records)[0])
    found = answers.findings(g)
    (one,) = [f for f in found if f.rival == "freezed" and f.what.startswith("nearer to the source")]
    assert len(one.values) == 2 * 8 - 4 and one.missing == 4
    said = "\n".join(comparison.summary(g, found))
    assert "8 on near and 4 on far" in said and "`fixnoise`: **preliminary: " in said
    text = markdown_table(comparison.table(found))
    assert "| 1 preservation: lower error at equal KID | fixnoise | finetune | +0." in text


def test_the_eighth_seed_counts_when_it_is_complete() -> None:
    g = world(0.05)
    begun = [r for r in g.records if r.seed < 7 or r.method in ("source", "finetune")]
    g = group_of(groups(begun)[0])
    assert len(g.seeds) == 8 and comparison.preliminary(g)
    assert {len(f.values) for f in answers.findings(g) if f.rival == "freezed" and "nearer" in f.what} == {14}


@pytest.mark.parametrize("surplus", [(3, "freezed"), (9, "")])
def test_the_first_eight_complete_seeds_count_and_no_other(surplus: tuple[int, str]) -> None:
    """Seed 3 has a failed job, or the seeds from 8 on are more than planned."""
    seed, method = surplus
    gone = {"status": "failed", "reason": "it diverged", "metrics": {}, "curve": ()}
    whole = world(0.05, seeds=10 if not method else 9)
    place = (seed, method, "far")
    records = [r.model_copy(update=gone if (r.seed, r.method, r.domain) == place else {}) for r in whole.records]
    g = group_of(groups(records)[0])
    counting = [s for s in range(9) if s != seed][:8]
    alone = group_of(groups([r for r in whole.records if r.seed in counting])[0])
    found = answers.findings(g)
    assert [(f.what, f.values, f.missing) for f in found] == [
        (f.what, f.values, f.missing) for f in answers.findings(alone)
    ]
    assert {len(f.values) for f in found} == {8}
    said = "\n".join(comparison.summary(g, found))
    assert "Preliminary" not in said and f"Not counted: seed {3 if method else '8 and 9'}." in said


def test_effects_stand_by_domain_with_the_seeds_in_favour() -> None:
    found = answers.findings(world(0.05, seeds=3))
    rows = {(row.label, row.cells[1].text): [c.text for c in row.cells[2:]] for row in comparison.by_domain(found).rows}
    near, far = rows["1 preservation: nearer to the source at equal KID", "freezed"]
    (one,) = [f for f in found if f.rival == "freezed" and f.what.startswith("nearer")]
    assert near == f"{sum(one.domains['near']) / 3:+.3f} (3 of 3)" and far.endswith("(3 of 3)")
    assert rows["1 preservation: lower error at equal KID", "freezed"][1] == MISSING


def test_a_domain_or_a_method_that_was_never_run_is_missed() -> None:
    whole = world(0.05)
    assert not comparison.preliminary(whole)
    for kept in ([r for r in whole.records if r.domain == "near"], [r for r in whole.records if r.method != "freezed"]):
        assert comparison.preliminary(group_of(groups(kept)[0]))


def test_the_plan_is_that_of_the_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    domains, methods = comparison.planned("answers")
    assert len(domains) == 4 and {*answers.OURS, *answers.RIVALS, *answers.CONTROLLED} == set(methods)


def test_a_path_that_never_gets_below_the_source_is_not_compared() -> None:
    up, down = [(0.0, 2.0), (0.1, 2.1)], [(0.0, 2.0), (0.3, 1.0)]
    assert answers.gain(up, down) is None and answers.gain(down, up) is None
    assert answers.gain([(0.0, 2.0), (0.1, 1.5)], down) == pytest.approx(0.15 - 0.1)


def test_a_control_is_followed_in_its_own_order_from_the_end_near_the_source() -> None:
    found = [make("source", "near", 0, zero_step=True, metrics=measured("near", 2.0, 0.0))]
    for px, kid, lost in ((8, 0.8, 0.4), (16, 0.9, 0.3), (32, 0.85, 0.2), (64, 2.0, 0.0)):
        more = {"control": float(px), "is_default_control": px == 16, "fields": {"kind": 1}}
        found.append(make("layer_swap", "near", 0, metrics=measured("near", kid, lost), **more))
    path = answers.paths(group_of(groups(found)[0]), "layer_swap", "near", "distance_averaged_l1")[0]
    assert [kid for _, kid in path] == [2.0, 2.0, 0.85, 0.9, 0.8]


def test_a_control_begins_at_the_same_end_for_every_metric() -> None:
    """The error of the most adapted value may be nearer to the source's than that of the least adapted one."""
    found = [make("source", "near", 0, zero_step=True, metrics=measured("near", 2.0, 0.0))]
    for px, kid, lost, error in ((8, 0.8, 0.4, 0.11), (16, 0.9, 0.3, 0.2), (32, 1.5, 0.1, 0.3)):
        values = measured("near", kid, lost, translation_error_l1=error)
        more = {"control": float(px), "is_default_control": px == 16, "fields": {"kind": 1}}
        found.append(make("layer_swap", "near", 0, metrics=values, **more))
    path = answers.paths(group_of(groups(found)[0]), "layer_swap", "near", "translation_error_l1")[0]
    assert [kid for _, kid in path] == [2.0, 1.5, 0.9, 0.8]


def test_grain_counts_neither_as_preservation_nor_as_a_step() -> None:
    """The perceptual distance of single images falls where noise has less variance, without any change of style."""
    g = world(way=(0.5, 0.5, 0.5))
    noisy = {"consistency_net": MetricValue(value=0.01, n=100), "step_net": MetricValue(value=0.3, n=100)}
    records = [r.model_copy(update={"metrics": r.metrics | noisy}) if r.method == "fixnoise" else r for r in g.records]
    changed = group_of(groups(records)[0])
    for domain in ("near", "far"):
        assert answers.dominated(changed, "fixnoise", domain) == answers.dominated(g, "fixnoise", domain)
    assert answers.unevenness(changed, "fixnoise") == answers.unevenness(g, "fixnoise")
    assert {domain for domain, _ in answers.unevenness(changed, "fixnoise")} == set(), "a control that moves nothing"


def test_a_domain_where_fine_tuning_has_no_precision_cannot_show_its_loss() -> None:
    g = world()
    low = {"precision_net": MetricValue(value=0.02, n=100, better="higher")}
    records = [
        r.model_copy(update={"metrics": r.metrics | low}) if (r.method, r.domain) == ("finetune", "far") else r
        for r in g.records
    ]
    found = answers.findings(group_of(groups(records)[0]))
    assert [f.what for f in found if f.what.startswith("precision")] == [
        "precision, at most 0.05 less, counted on 1 of 2 domains"
    ]


def test_settings_are_chosen_by_the_gap_that_is_closed_and_the_error_that_is_left() -> None:
    found = [make("source", "near", s, zero_step=True, metrics=measured("near", 2.0, 0.3)) for s in (0, 1)]
    rows = {
        "fixnoise[weight=1]": (1.0, 0.1),
        "fixnoise[weight=2]": (1.0, 0.0),
        "fixnoise[match=all,weight=1]": (0.5, 0.3),
    }
    for name, (kid, lost) in rows.items():
        more = {"fields": {"kind": name}, "is_default_control": True}
        found += [make(name, "near", s, metrics=measured("near", kid, lost), **more) for s in (0, 1)]
    told = chosen.ranked(group_of(groups(found)[0]))
    assert [name for _, name in told["fixnoise"]] == ["fixnoise[weight=2]", "fixnoise[weight=1]"]
    assert told["fixnoise"][0][0] == pytest.approx(0.5 - 0.1 / 0.4), "half the gap closed, a quarter of the error left"
    assert [name for _, name in told["fixnoise (match=all)"]] == ["fixnoise[match=all,weight=1]"]


def test_fixnoise_and_feature_matching_get_one_weight_that_is_best_for_both_together() -> None:
    found = [make("source", "near", 0, zero_step=True, metrics=measured("near", 2.0, 0.3))]
    ends = {("fixnoise", 1): 0.2, ("fixnoise", 2): 0.5, ("feature_matching", 1): 1.0, ("feature_matching", 2): 0.4}
    for (method, weight), kid in ends.items():
        more = {"fields": {"kind": f"{method}{weight}"}, "is_default_control": True}
        found.append(make(f"{method}[weight={weight}]", "near", 0, metrics=measured("near", kid, 0.0), **more))
    g = group_of(groups(found)[0])
    assert chosen.ranked(g)["fixnoise"][0][1] == "fixnoise[weight=1]", "alone it would take another"
    assert chosen.taken(g) == {"fixnoise": "fixnoise[weight=2]", "feature_matching": "feature_matching[weight=2]"}

"""What docs/answers.md and README say by hand of the suite `answers`: each number and direction, from the records."""

from __future__ import annotations

import statistics
import sys
from functools import cache
from pathlib import Path

from benchmark.report.group import Group
from benchmark.report.statistics.power import detectable_difference
from benchmark.results import RunRecord
from benchmark.sources import find_source, load_source
from benchmark.sources.noise import noise_shares

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs"))

import answers  # noqa: E402
import comparison  # noqa: E402
import published  # noqa: E402

FIX, ALL = answers.OURS
KID, WAY, IDENTITY = "kid_effnetlite0_128", "share_of_the_way_l2", "identity_retrieval_edges"
PRECISION, RECALL = "precision_effnetlite0_128", "recall_effnetlite0_128"
NEAR, OTHER_PEOPLE = ("peeps-blueprint", "peeps-sepia"), ("croodles-chalk", "micah-watercolour")


@cache
def group() -> Group:
    return answers.pooled(published.every("answers"))


@cache
def found() -> dict[tuple[str, str, str], comparison.Finding]:
    """{(method, beginning of what, rival): finding}."""
    return {(f.method, f.what, f.rival): f for f in answers.findings(group())}


def text(name: str = "docs/answers.md") -> str:
    return " ".join((ROOT / name).read_text("utf-8").split())


def records(method: str, domain: str) -> list[RunRecord]:
    own = [r for r in group().records if (r.method, r.domain) == (method, domain) and r.status == "done"]
    return sorted(own, key=lambda r: r.seed)


def values(method: str, domain: str, metric: str = KID, control: float | None = None) -> dict[int, float]:
    """By seed, at the default control if no other is asked for."""
    chosen = [r for r in records(method, domain) if (r.is_default_control if control is None else r.control == control)]
    return {r.seed: r.metrics[metric].value or 0.0 for r in chosen}


def mean(method: str, domain: str, metric: str = KID, control: float | None = None) -> float:
    return statistics.mean(values(method, domain, metric, control).values())


def effect(method: str, what: str, rival: str, domain: str) -> float:
    return statistics.mean(found()[method, what, rival].domains[domain])


def test_the_run_is_whole() -> None:
    assert comparison.complete(group()) == [*range(8)] and not comparison.preliminary(group())


def test_the_least_p_and_what_seeds_could_show() -> None:
    assert "the smallest p is 0.0078, 0.031 after" in text() and (2 / 2**8, 4 * 2 / 2**8) == (0.0078125, 0.03125)
    least = [f"{detectable_difference(1.0, n):.2f}" for n in (8, 10, 16)]
    assert f"Eight seeds show a difference of {least[0]} standard" in text()
    assert f"ten show {least[1]}, sixteen {least[2]}." in text()


def test_how_close_the_verdict_on_kid_is() -> None:
    own = found()[FIX, "KID gap closed, at most 0.05 less", "finetune"]
    beyond = [v for v in own.values if v < 0]
    assert f"(p {own.holm_p:.3f}): seven of the eight seeds are beyond the margin, two of them by less" in text()
    assert (len(own.values), len(beyond), sum(v > -0.01 for v in beyond), own.verdict) == (8, 7, 2, "refuted")


def test_how_far_the_control_of_match_all_reaches() -> None:
    ends = {d: [f"{mean(ALL, d, WAY, c):.3f}" for c in (0.0, 1.0)] for d in NEAR}
    (a, b), (c, d) = ends.values()
    assert f"on the blueprint it goes from {a} to {b} of the way, on sepia from {c} to {d}." in text()


def test_how_much_kid_still_falls() -> None:
    def falls(method: str) -> str:
        drops = []
        for domain in (*NEAR, *OTHER_PEOPLE):
            curves = [{p.kimg: p.metrics[KID].value or 0.0 for p in r.curve} for r in records(method, domain)]
            drops.append(statistics.mean(c[4.0] - c[6.0] for c in curves if c))
        return f"{min(drops):.2f} to {max(drops):.2f}"

    assert f"by {falls('finetune')} for fine-tuning and by {falls(ALL)} for `fixnoise[match=all]`" in text()


def test_which_seeds_go_astray() -> None:
    tune, freezed = values("finetune", "croodles-chalk"), values("freezed", "peeps-blueprint")
    rest = sorted(v for s, v in tune.items() if s != 2)
    said = f"seed 2 has a KID of {tune[2]:.2f} (the others {rest[0]:.2f} to {rest[-1]:.2f})"
    others = sorted(v for s, v in freezed.items() if s not in (2, 7))
    said += f", FreezeD on the blueprint with seeds 2 and 7 has {freezed[2]:.2f} and {freezed[7]:.2f}"
    assert f"{said} (the others {others[0]:.2f} to {others[-1]:.2f})" in text()
    errors = values("freezed", "peeps-blueprint", "translation_error_l1")
    assert min(errors, key=lambda s: errors[s]) == 2


def test_how_many_layers_of_the_source_hardly_use_their_noise(tmp_path: Path) -> None:
    shares = noise_shares(load_source(find_source("peeps-ink-64", tmp_path))[0].g_ema, 4)
    assert (sum(share < 0.001 for share in shares.values()), len(shares)) == (5, 9)
    assert "this source hardly uses its noise in five of its nine layers" in text()


def test_directions_about_published_fixnoise() -> None:
    identity, near, area = (
        "more identity kept at equal KID",
        "nearer to the source at equal KID",
        "larger dominated area",
    )
    for rival in ("finetune", "freezed"):
        assert all(v > 0 for d in NEAR for v in found()[FIX, identity, rival].domains[d]), "in every seed"
        assert effect(FIX, "lower error at equal KID", rival, "peeps-sepia") > 0.2
    assert effect(FIX, near, "finetune", "croodles-chalk") < 0
    assert effect(FIX, near, "finetune", "micah-watercolour") > 0 < effect(FIX, near, "finetune", "peeps-sepia")
    assert [d for d in group().domains if effect(FIX, area, "finetune", d) > 0] == ["peeps-sepia"]
    assert all(v < 0 for v in found()[FIX, area, "finetune"].domains["micah-watercolour"])
    for metric, sign in ((PRECISION, -1), (KID, 1)):
        worse = [d for d in group().domains if sign * (mean(FIX, d, metric) - mean("finetune", d, metric)) > 0]
        assert set(worse) == {*OTHER_PEOPLE, "peeps-blueprint"}
    assert all(mean(FIX, d, RECALL) > mean("finetune", d, RECALL) for d in group().domains)


def test_directions_about_match_all() -> None:
    near, identity, area = (
        "nearer to the source at equal KID",
        "more identity kept at equal KID",
        "larger dominated area",
    )
    for domain in group().domains:
        assert mean(ALL, domain) > mean("finetune", domain) and mean(ALL, domain, PRECISION) < mean(
            "finetune", domain, PRECISION
        )
        assert (mean(ALL, domain, RECALL) > mean("finetune", domain, RECALL)) == (domain in OTHER_PEOPLE)
    assert effect(ALL, near, "layer_swap", "peeps-sepia") < -0.2
    assert all(effect(ALL, near, "layer_swap", d) > -0.01 for d in group().domains if d != "peeps-sepia")
    for rival in ("feature_matching", "layer_swap"):
        assert (
            effect(ALL, identity, rival, "peeps-blueprint") < -0.5 < -0.01 < effect(ALL, identity, rival, "peeps-sepia")
        )
    error = "lower error at equal KID"
    assert effect(ALL, error, "layer_swap", "peeps-blueprint") < 0 < effect(ALL, error, "layer_swap", "peeps-sepia")
    assert all(effect(ALL, area, rival, "croodles-chalk") > 0 for rival in answers.RIVALS)
    larger = [rival for rival in answers.RIVALS if effect(ALL, area, rival, "micah-watercolour") > 0]
    assert set(larger) == {"freezed", "feature_matching"}
    assert mean(ALL, "peeps-blueprint", IDENTITY, 0.0) > 0.9 and mean(ALL, "peeps-blueprint", IDENTITY, 1.0) < 0.1
    source = values("source", "peeps-blueprint")
    for noise in (0.25, 0.5):
        own = values(ALL, "peeps-blueprint", control=noise)
        assert all(own[seed] > source[seed] for seed in source), "above the untouched source's in every seed"


def test_what_readme_says_in_short() -> None:
    verdicts = {key: f.verdict for key, f in found().items()}
    kept = {what for method, what, rival in verdicts if method == FIX and rival == "freezed"}
    assert len(
        kept
    ) == 4 and "published FixNoise keeps more of the source than fine-tuning and FreezeD, by every" in text("README.md")
    assert {verdicts[FIX, what, rival] for what in kept for rival in ("finetune", "freezed")} == {"confirmed"}
    assert {verdicts[FIX, what, "feature_matching"] for what in kept} == {"undecided"}
    assert {v for (method, what, _), v in verdicts.items() if method == FIX and "share of the way" in what} == {
        "refuted"
    }
    assert all(mean(FIX, d) > mean("finetune", d) for d in OTHER_PEOPLE)

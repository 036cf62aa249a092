"""Keys change with everything that changes numbers, and with nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
from benchmark.methods.finetune import Finetune
from benchmark.methods.fixnoise import FixNoise
from benchmark.methods.freezed import FreezeD
from benchmark.methods.layer_swap import LayerSwap
from hypothesis import given
from hypothesis import strategies as st

from benchmark import metrics as all_metrics
from benchmark.api import Control, Method
from benchmark.config import EvalConfig, NetConfig, Suite, TrainConfig
from benchmark.domains import Domain, set_apart
from benchmark.domains.cards import list_cards
from benchmark.errors import ConfigError, DataError
from benchmark.running import plan as planning
from benchmark.running.forecast import Unseen
from benchmark.running.make_record import changed_settings
from benchmark.running.plan import Job, check, make_job, plan, uses_training_of_another
from benchmark.suites import load_suite

SUITE, METHODS = load_suite("smoke")
NETS = NetConfig(resolution=32)

OTHER_TRAINING: dict[str, Any] = {
    "kimg": 0.5, "batch": 4, "accumulate": 2, "lr_g": 0.1, "lr_d": 0.1, "r1_gamma": 7.0, "r1_every": 3,
    "pl_weight": 1.0, "pl_every": 3, "style_mixing": 0.1, "ema_kimg": 9.0, "ema_rampup": 0.1, "augment": "ada",
    "ada_target": 0.1, "ada_kimg": 7.0, "mirror": True, "precision": "bf16", "tick_kimg": 0.5, "snapshot_kimg": (0.1,),
    "checkpoint_minutes": 1.0, "tf32": True, "cudnn_benchmark": False, "compile": True, "ranks": 2,
    "deterministic": True,
}  # fmt: skip
OTHER_EVALUATION: dict[str, Any] = {
    "metrics": ("fd_randconv",), "samples": 60, "pairs": 7, "batch": 5, "psi": 0.5,
    "curve_metrics": ("fd_randconv",), "curve_samples": 9, "snapshot": "selected",
    "translate": True,
}  # fmt: skip


def domain(name: str = "toy-rings", digest: str = "d1") -> Domain:
    images = np.zeros((4, 3, 32, 32), np.uint8)
    return Domain(name, images, images, digest, list_cards()[name])


def job(suite: Suite = SUITE, method: Method | None = None, where: Domain | None = None, seed: int = 0) -> Job:
    return make_job(suite, method, where or domain(), seed, "sha1")


def keys(made: Job) -> tuple[str, dict[Control, str]]:
    return made.train_key, dict(made.record_keys)


def differ(one: Job, two: Job) -> tuple[bool, bool]:
    """(train keys differ, all record keys differ); a part of the record keys differing would be an error."""
    assert one.record_keys.keys() == two.record_keys.keys()
    records = {one.record_keys[c] != two.record_keys[c] for c in one.record_keys}
    assert len(records) == 1
    return one.train_key != two.train_key, records.pop()


def with_training(**change: Any) -> Suite:
    return SUITE.model_copy(update={"train": SUITE.train.model_copy(update=change)})


def with_evaluation(**change: Any) -> Suite:
    return SUITE.model_copy(update={"eval": SUITE.eval.model_copy(update=change)})


def test_the_tables_of_this_test_name_every_setting() -> None:
    assert OTHER_TRAINING.keys() == TrainConfig.model_fields.keys()
    assert OTHER_EVALUATION.keys() == EvalConfig.model_fields.keys()


@pytest.mark.parametrize("field", TrainConfig.model_fields)
def test_every_training_setting_that_changes_weights_changes_both_keys(field: str) -> None:
    changed = job(with_training(**{field: OTHER_TRAINING[field]}), FixNoise())
    matters = field not in ("tick_kimg", "snapshot_kimg", "checkpoint_minutes", "cudnn_benchmark")
    assert differ(job(method=FixNoise()), changed) == (matters, matters)


@pytest.mark.parametrize("field", EvalConfig.model_fields)
def test_every_evaluation_setting_changes_the_record_alone(field: str) -> None:
    changed = with_evaluation(**{field: OTHER_EVALUATION[field]})
    assert differ(job(method=FixNoise()), job(changed, FixNoise())) == (False, True)
    assert differ(job(), job(changed)) == (False, True)


def test_the_order_of_metrics_changes_nothing_and_their_version_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    backwards = with_evaluation(metrics=SUITE.eval.metrics[::-1])
    before = job(method=FixNoise())
    assert keys(before) == keys(job(backwards, FixNoise()))
    newer = {name: replace(info, version=info.version + 1) for name, info in all_metrics.list_metrics().items()}
    monkeypatch.setattr(planning, "list_metrics", lambda: newer)
    assert differ(before, job(method=FixNoise())) == (False, True)


def test_snapshots_change_the_records_that_measure_them_and_no_weights() -> None:
    curve = {"curve_metrics": ("fd_randconv",)}
    one = with_evaluation(**curve)
    two = one.model_copy(update={"train": one.train.model_copy(update={"snapshot_kimg": (0.1,)})})
    assert differ(job(one, FixNoise()), job(two, FixNoise())) == (False, True)
    chosen = [with_evaluation(snapshot="selected", metrics=names) for names in (("kid_randconv", "fd_randconv"),) * 2]
    other = with_evaluation(snapshot="selected", metrics=("fd_randconv", "kid_randconv"))
    assert keys(job(chosen[0], FixNoise())) == keys(job(chosen[1], FixNoise()))
    assert differ(job(chosen[0], FixNoise()), job(other, FixNoise())) == (False, True)  # the first metric chooses


@pytest.mark.parametrize("way", ["selected", "legacy_best_on_test"])
def test_the_metric_that_chooses_changes_the_records_also_where_a_curve_shows_it(way: str) -> None:
    metrics = ("kid_randconv", "fd_randconv")
    suites = [with_evaluation(snapshot=way, curve_metrics=metrics, metrics=names) for names in (metrics, metrics[::-1])]
    assert differ(job(suites[0], FixNoise()), job(suites[1], FixNoise())) == (False, True)
    last = [with_evaluation(curve_metrics=metrics, metrics=names) for names in (metrics, metrics[::-1])]
    assert keys(job(last[0], FixNoise())) == keys(job(last[1], FixNoise())), "none chooses"


def test_images_set_apart_for_selection_are_not_trained_on_and_change_the_keys() -> None:
    images = np.arange(20, dtype=np.uint8).repeat(3 * 4 * 4).reshape(20, 3, 4, 4)
    whole = replace(domain(), train=images)
    apart = set_apart(whole, train=15, selection=5)
    assert apart.train[:, 0, 0, 0].tolist() == list(range(15)) and apart.selection[:, 0, 0, 0].tolist() == [
        *range(15, 20)
    ]
    assert set_apart(whole, train=20, selection=0) is whole
    assert [len(x) for x in (lambda d: (d.train, d.selection))(set_apart(whole, train=60, selection=20))] == [15, 5]
    assert differ(job(method=FixNoise(), where=whole), job(method=FixNoise(), where=apart)) == (True, True)
    with pytest.raises(DataError, match="cannot be split"):
        set_apart(replace(domain(), train=images[:2]), train=2000, selection=500)


class NewerFixNoise(FixNoise):
    version: ClassVar[int] = FixNoise.version + 1


@pytest.mark.parametrize(
    "other",
    [
        lambda: job(method=FixNoise(weight=0.06)),
        lambda: job(method=FixNoise(interpolation="spherical")),
        lambda: job(method=NewerFixNoise()),
        lambda: job(method=FixNoise(), seed=1),
        lambda: job(method=FixNoise(), where=domain(digest="d2")),
        lambda: make_job(SUITE, FixNoise(), domain(), 0, "sha2"),
    ],
    ids=["field", "evaluation field", "version", "seed", "digest", "source"],
)
def test_what_changes_weights_changes_both_keys(other: Callable[[], Job]) -> None:
    assert differ(job(method=FixNoise()), other()) == (True, True)


@pytest.mark.parametrize(
    "other",
    [
        lambda: job(method=FixNoise(), where=domain("toy-squares")),
        lambda: job(SUITE.model_copy(update={"name": "other"}), FixNoise()),
    ],
    ids=["domain", "suite"],
)
def test_names_are_on_the_record_and_change_no_training(other: Callable[[], Job]) -> None:
    """A seed means the same in every suite, and a folder that was renamed is not trained on again."""
    assert differ(job(method=FixNoise()), other()) == (False, True)
    assert job(method=FixNoise()).streams == other().streams


def test_a_variant_trains_as_the_method_with_those_fields_and_has_a_row_of_its_own() -> None:
    (variant,) = load_suite("smoke", (), {"methods": ["fixnoise[weight=0.06]"]})[1]
    assert differ(job(method=FixNoise(weight=0.06)), job(method=variant)) == (False, True)


def test_a_new_protocol_changes_every_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = [job(method=method) for method in (None, *METHODS)]
    monkeypatch.setattr(planning, "PROTOCOL", planning.PROTOCOL + 1)
    after = [job(method=method) for method in (None, *METHODS)]
    assert [differ(one, two) for one, two in zip(before, after, strict=True)] == [(True, True)] * len(before)


def test_nothing_else_changes_a_key() -> None:
    elsewhere = SUITE.model_copy(
        update={"description": "x", "source": "renamed", "domains": ("a",), "methods": ("b",), "seeds": (7, 0)}
    )
    moved = replace(domain(), card=domain().card.model_copy(update={"title": "x"}), skipped=(("file", "why"),))
    for method in (None, *METHODS):
        assert keys(job(method=method)) == keys(job(elsewhere, method, moved))
    two = plan(SUITE, METHODS[::-1], {"b": domain("toy-squares"), "a": domain()}, "sha1")
    one = plan(SUITE, METHODS, {"a": domain()}, "sha1")
    assert {key for j in one for key in j.record_keys.values()} < {key for j in two for key in j.record_keys.values()}


def test_a_budget_is_the_length_of_that_training_and_of_no_other() -> None:
    suite = SUITE.model_copy(update={"budgets": {"finetune": 0.5}})
    longer = with_training(kimg=0.5)
    for method in (Finetune(), LayerSwap()):  # layer swapping evaluates fine-tuning's weights
        assert keys(job(suite, method)) == keys(job(longer, method)) != keys(job(method=method))
        assert job(suite, method).suite.train.kimg == 0.5
    for method in (None, FreezeD()):
        assert keys(job(suite, method)) == keys(job(method=method))


def test_a_budget_of_a_composition_is_that_of_no_part_and_its_variants_have_it() -> None:
    names = ["ewc", "ewc[weight=3]", "ewc+freezed", "freezed+ewc[weight=3]"]
    budgets = {"ewc": 0.5, "freezed+ewc": 0.25}
    suite, chosen = load_suite("smoke", (), {"methods": names, "budgets": budgets})
    assert [job(suite, method).suite.train.kimg for method in chosen] == [0.5, 0.5, 0.25, 0.25]
    suite, chosen = load_suite("smoke", (), {"methods": names, "budgets": {"ewc": 0.5}})
    assert [job(suite, method).suite.train.kimg for method in chosen] == [0.5, 0.5, 0.128, 0.128]


def test_keys_of_suites_without_the_newer_settings_are_what_they_were() -> None:
    """Values of protocol 2."""
    assert keys(job())[0] == "fb18ea1d235ebbe3a06de6db615f3776"
    trained, records = keys(job(method=Finetune()))
    assert (trained, records[None]) == ("16441da8476c9d7c9e25b87db20c4a5c", "1a8db6aaef4f0981c33b7274068a3d7b")
    curve = with_evaluation(curve_metrics=("kid_randconv", "fd_randconv"))
    assert keys(job(curve, Finetune()))[1][None] == "97301fecdfca6b71a8892634b21a7a9e"


def test_memorisation_wants_held_out_images() -> None:
    none = SUITE.model_copy(update={"split": SUITE.split.model_copy(update={"test": 0})})
    with pytest.raises(ConfigError, match=r"memorisation_randconv compares .* split\.test=0"):
        check(none, [], NETS)
    check(none.model_copy(update={"eval": EvalConfig(metrics=("kid_randconv",))}), [], NETS)


def test_the_zero_step_record_does_not_depend_on_training() -> None:
    assert keys(job()) == keys(job(with_training(kimg=99.0, lr_g=0.5)))
    assert keys(job())[1] != keys(job(method=Finetune()))[1]


def test_layer_swap_shares_the_training_of_fine_tuning() -> None:
    swap, other_swap, plain = job(method=LayerSwap()), job(method=LayerSwap(low_from="adapted")), job(method=Finetune())
    assert swap.train_key == other_swap.train_key == plain.train_key != job(method=FreezeD()).train_key
    assert not set(swap.record_keys.values()) & set(other_swap.record_keys.values())
    assert len({*swap.record_keys.values(), *plain.record_keys.values()}) == 4
    assert uses_training_of_another(swap)
    assert not uses_training_of_another(plain) and not uses_training_of_another(job())


def test_jobs_come_grouped_with_the_untouched_source_first() -> None:
    suite = SUITE.model_copy(update={"seeds": (3, 1)})
    jobs = plan(suite, METHODS, {"r": domain(), "s": domain("toy-squares")}, "sha1")
    groups = [(j.domain, j.seed) for j in jobs]
    assert list(dict.fromkeys(groups)) == [("toy-rings", 3), ("toy-rings", 1), ("toy-squares", 3), ("toy-squares", 1)]
    assert len(jobs) == 4 * (1 + len(METHODS)) and groups == sorted(groups, key=[*dict.fromkeys(groups)].index)
    assert [j.method and j.method.name for j in jobs[: 1 + len(METHODS)]] == [None, *SUITE.methods]
    every = [key for j in jobs for key in j.record_keys.values()]
    assert len(every) == len(set(every))


@pytest.mark.parametrize(
    ("suite", "methods", "said"),
    [
        (SUITE.model_copy(update={"resolution": 64}), [], "resolution 64, its source smoke-32 32"),
        (with_training(batch=6), [], "train.batch=6"),
        (with_training(accumulate=3), [], "train.accumulate=3"),
        (with_training(ranks=3), [], "train.batch=8 in 3 parts .* x 3 processes"),
        (with_evaluation(pairs=65), [], "eval.pairs=65 must not exceed eval.samples=64"),
        (SUITE, [FreezeD(layers=11)], "freezed.layers=11"),
        (SUITE, [LayerSwap(swap_at_px=64)], "layer_swap.swap_at_px=64"),
    ],
)
def test_what_does_not_fit_together_is_refused_before_anything_runs(
    suite: Suite, methods: list[Method], said: str
) -> None:
    check(SUITE, METHODS, NETS)
    with pytest.raises(ConfigError, match=said):
        check(suite, methods, NETS)


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.floats(allow_nan=False)))
def test_keys_do_not_depend_on_the_order_of_settings(settings: dict[str, Any]) -> None:
    backwards = dict(reversed(settings.items()))
    assert planning.key(settings) == planning.key(backwards)
    assert planning.key(settings) != planning.key([settings])


def test_what_a_method_changes_by_itself_enters_the_key_but_not_the_settings_that_rows_share() -> None:
    """Otherwise a table could not hold it beside the others."""
    suite, (plain, light) = load_suite("smoke", (), {"methods": ["freezefc", "affine_light_plus"]})
    domain = Unseen("toy-rings")
    for method in (plain, light):
        job = make_job(suite, method, domain, 0, "0" * 64)
        assert job.suite.train == suite.train
    said = changed_settings(light, suite.train)
    assert said == ["AffineLight+ trains with train.lr_g=0.02 (0.0025) by itself; in brackets, the suite's."]
    assert changed_settings(plain, suite.train) == []  # path length is off already
    (augmented,) = load_suite("smoke", (), {"methods": ["finetune_augmented"]})[1]
    assert "train.augment=ada (none)" in changed_settings(augmented, suite.train)[0]
    long = suite.model_copy(update={"train": suite.train.model_copy(update={"pl_weight": 2.0})})
    keys = {make_job(each, plain, domain, 0, "0" * 64).train_key for each in (suite, long)}
    assert len(keys) == 1  # freezefc switches it off in both

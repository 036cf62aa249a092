"""Settings: typed once, refused with a word of help, and never executed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from benchmark.methods.fixnoise import FixNoise
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from benchmark.config import Suite
from benchmark.domains.assets import list_targets
from benchmark.domains.cards import list_cards
from benchmark.errors import BenchmarkError, ConfigError, UnknownName
from benchmark.metrics import list_metrics
from benchmark.sources import list_sources
from benchmark.suites import find_collection, load_suite, load_suites, suite_names
from benchmark.suites.load import SHELF

SMOKE = (SHELF / "smoke.yaml").read_text()


@pytest.mark.parametrize("name", suite_names())
def test_suites_that_come_with_the_package_are_whole(name: str) -> None:
    for suite, methods in load_suites(name):
        assert suite.description and not suite.is_rehearsal
        assert [m.name for m in methods] == list(suite.methods)
        assert set(suite.domains) <= {*list_cards(), *list_targets("target")}
        assert {*suite.eval.metrics, *suite.eval.curve_metrics} <= set(list_metrics())
        assert suite.source in {*list_sources(), *list_targets("source")}
        assert {m.training().name for m in methods} >= set(suite.budgets)
        assert suite.eval.pairs <= suite.eval.samples
    whole = find_collection(name)
    assert whole.name == name and whole.description if whole else load_suite(name)[0].name == name


def test_every_set_of_ten_shots_is_in_a_suite() -> None:
    used = {domain for name in suite_names() for suite, _ in load_suites(name) for domain in suite.domains}
    assert {name for name, card in list_targets("target").items() if card.few_shot} <= used


def test_a_collection_is_its_members_with_its_settings() -> None:
    paper = [suite for suite, _ in load_suites("paper")]
    assert [suite.name for suite in paper] == ["paper-metfaces", "paper-aahq", "paper-cityscape"]
    assert [suite.train.kimg for suite in paper] == [2000, 12000, 5000]
    assert {suite.train.batch for suite in paper} == {64} and {suite.eval.samples for suite in paper} == {50000}
    equal = [suite for suite, _ in load_suites("paper-equal", ["train.batch=32"])]
    assert [suite.name for suite in equal] == ["paper-metfaces-equal", "paper-aahq-equal", "paper-cityscape-equal"]
    assert {(suite.train.kimg, suite.train.batch, suite.split.test > 0) for suite in equal} == {(1000, 32, True)}
    with pytest.raises(ConfigError, match=r"paper is several suites, .*choose one"):
        load_suite("paper")
    for what in ("source", "domains"):
        with pytest.raises(ConfigError, match=rf"--{what}: .*choose one: paper-metfaces"):
            load_suites("paper", (), {what: ["x"]})


def test_what_a_command_says_goes_before_a_collection_and_a_setting_before_both() -> None:
    seeds = [suite.seeds for suite, _ in load_suites("paper-equal")]
    assert set(seeds) == {(0, 1, 2)}
    assert {suite.seeds for suite, _ in load_suites("paper-equal", (), {"seeds": "7", "methods": None})} == {(7,)}
    both = load_suites("paper-equal", ["seeds=[9]"], {"seeds": "7"})
    assert {(suite.seeds, suite.train.kimg) for suite, _ in both} == {((9,), 1000)}


def test_an_equal_budget_has_one_length_for_every_method() -> None:
    for name in ("paper-equal", "afhq-equal", "fewshot-ffhq-equal", "fewshot-church-equal"):
        lengths = {(suite.train.kimg, *suite.budgets) for suite, _ in load_suites(name)}
        assert len(lengths) == 1 and len(*lengths) == 1
    assert any(suite.budgets for suite, _ in load_suites("fewshot-ffhq"))


def test_a_rehearsal_scales_lengths_and_numbers_and_says_so() -> None:
    whole, _ = load_suite("fewshot-ffhq-photos")
    small, _ = load_suite("fewshot-ffhq-photos", ["scale=0.1"])
    assert small.name == "fewshot-ffhq-photos-scale-0.1" and small.is_rehearsal
    lengths = {"cdc": 0.4, "rssa": 0.8, "fsgan": 3, "adam": 0.6, "rick": 0.6, "jojogan": 0.08, "lfs_gan": 1.2}
    assert small.train.kimg == 2 and small.budgets == lengths
    assert small.train.snapshot_kimg == (0.1, 0.2, 0.4, 0.6, 1, 1.5) and small.train.ema_kimg == 0.125
    assert (small.eval.samples, small.eval.pairs, small.eval.curve_samples) == (500, 50, 100)
    assert small.train.batch == whole.train.batch and small.split == whole.split
    least, _ = load_suite("fewshot-ffhq-photos", (), {"scale": 1e-9})
    assert least.train.kimg == 0.008 and set(least.budgets.values()) == {0.008} and least.train.tick_kimg == 0.004
    assert (least.eval.samples, least.eval.pairs, least.eval.curve_samples) == (32, 8, 32)
    tiny, _ = load_suite("smoke", ["scale=0.5", "eval.samples=6", "eval.pairs=4"])
    assert (tiny.eval.samples, tiny.eval.pairs) == (6, 4)
    assert load_suite("smoke", ["scale=1"]) == load_suite("smoke")
    for wrong in ("0", "1.5", "-1"):
        with pytest.raises(ConfigError, match="scale"):
            load_suite("smoke", [f"scale={wrong}"])


def test_settings_reach_the_typed_objects_in_one_hop() -> None:
    texts = ["train.kimg=8", "eval.psi=0.7", "seeds=[3, 4]", "methods=[fixnoise, layer_swap]", "fixnoise.weight=1e-3"]
    suite, (fixnoise, swap) = load_suite("smoke", [*texts, "layer_swap.grid=[8]", "train.kimg=9", "split.test=7"])
    assert (suite.train.kimg, suite.eval.psi, suite.seeds, suite.split.test) == (9.0, 0.7, (3, 4), 7)
    assert fixnoise.model_dump() == {**FixNoise().model_dump(), "weight": 0.001}
    assert swap.controls == (8, 16)
    plain, _ = load_suite("smoke")
    assert suite.train == plain.train.model_copy(update={"kimg": 9.0})


def test_overrides_replace_fields_and_settings_go_before_them() -> None:
    suite, _ = load_suite("smoke", ["seeds=[5]"], {"seeds": ["1"], "methods": ["finetune"], "domains": None})
    assert (suite.seeds, suite.methods, suite.domains) == ((5,), ("finetune",), ("toy-rings", "toy-squares"))


def test_a_suite_is_frozen() -> None:
    suite, methods = load_suite("smoke", ["methods=[fixnoise]"])
    for thing, field in ((suite, "name"), (suite.train, "kimg"), (methods[0], "weight")):
        with pytest.raises(ValueError, match="frozen"):
            setattr(thing, field, 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("train.kimgs=1", "train.kimgs.*did you mean train.kimg"),
        ("train.r1gamma=1", "did you mean train.r1_gamma"),
        ("evl.samples=4", "unknown method 'evl'"),
        ("sead=1", "did you mean seeds"),
        ("resoluton=32", "did you mean resolution"),
        ("fixnoise.wieght=1", "did you mean weight"),
        ("fixnoize.weight=1", "did you mean fixnoise"),
        ("methods=[finetun]", "did you mean finetune"),
        ("schema_version=1", "did you mean schema"),
        ("train.kimg=-1", r"train\.kimg = -1: .*greater than 0"),
        ("train.ema_rampup=0", r"train\.ema_rampup = 0: .*greater than 0"),
        ("train.kimg=many", r"train\.kimg = 'many': .*number"),
        ("train.precision=fp8", "'auto', 'fp32' or 'bf16'"),
        ("eval.samples=1", "greater than or equal to 2"),
        ("domains=0", "expected a list"),
        ("seeds=[]", "seeds: the list is empty"),
        ("seeds=[1, 1]", "1 is named twice"),
        ("methods=[finetune, finetune]", "'finetune' is named twice"),
        ("eval.metrics=[]", "the list is empty"),
        ("train=[1]", "expected a mapping"),
        ("name=../evil", "suite name '../evil'"),
        ("schema=2", "schema = 2"),
        ("fixnoise.weight=.nan", "finite"),
        ("fixnoise.interpolation=cubic", "'linear' or 'spherical'"),
        ("layer_swap.grid=[8, x]", "grid.1 = 'x'"),
        ("train.kimg", "expected NAME=VALUE"),
        ("=1", "expected NAME=VALUE"),
        ("train..kimg=1", "expected NAME=VALUE"),
        ("a.b.c=1", "expected NAME=VALUE"),
        ("train.kimg=[", "not valid YAML"),
        ("train.kimg=2024-99-99", "not valid YAML"),
        ("train.kimg=!!int ''", "not valid YAML"),
        ("train.kimg=" + "[" * 1500, "not valid YAML"),
    ],
)
def test_a_wrong_setting_is_told_on_one_line(text: str, said: str) -> None:
    with pytest.raises((ConfigError, UnknownName), match=said) as caught:
        load_suite("smoke", [text])
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_a_setting_of_a_method_outside_of_the_run_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"--set fixnoise\.\*: fixnoise is not among the methods of this run"):
        load_suite("smoke", ["fixnoise.weight=1"], {"methods": ["finetune"]})


NAMES = st.sampled_from(
    ["train.kimg", "train", "eval.metrics", "seeds", "name", "fixnoise.weight", "layer_swap.grid", ""]
)
VALUES = st.text(st.characters(codec="utf-8"), max_size=40) | st.from_regex(r"[\[\]{}&*!|>%@,:#'\"0-9a-z\n -]{0,30}")


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example("train.kimg=&a [*a]")
@example("seeds=&a [*a]")
@example("train=&a {kimg: *a}")
@example("train.kimg==")
@example("fixnoise.weight=!!timestamp x")
@example("train.kimg=!!binary x")
@example("train={1: 2}")
@example("train={[1]: 2}")
@example("train.kimg=" + "9" * 5000)
@example("seeds=[0x" + "f" * 4000 + "]")
@example("name=\x1b[31mred")
@given(st.text() | st.builds("{}={}".format, NAMES | st.text(max_size=12), VALUES))
def test_a_hostile_setting_is_refused_or_understood(text: str) -> None:
    try:
        suite, _ = load_suite("smoke", [text])
    except BenchmarkError as error:
        message = str(error)
        assert message and len(message) < 2000
        return
    assert isinstance(suite, Suite)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=200) | PLAIN.map(lambda value: yaml.safe_dump(value).encode()) | st.builds(
    lambda at, wound: SMOKE.encode()[:at] + wound + SMOKE.encode()[at:],
    st.integers(0, len(SMOKE)), VALUES.map(str.encode),
))  # fmt: skip
def test_a_hostile_suite_file_is_refused_or_understood(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "hostile.yaml"
    file.write_bytes(data)
    try:
        suite, _ = load_suite(str(file))
    except BenchmarkError as error:
        assert 0 < len(str(error)) < 2000
        return
    assert isinstance(suite, Suite)


def test_merged_mappings_may_be_overridden(tmp_path: Path) -> None:
    """A key that an alias brought is no duplicate."""
    file = tmp_path / "merged.yaml"
    file.write_text(SMOKE.replace("train: {", "train: &t {") + "\nfields: {fixnoise: {<<: {weight: 1}, weight: 0.5}}\n")
    assert load_suite(str(file))[0].fields == {"fixnoise": {"weight": 0.5}}


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from([*Suite.model_fields, "schema"]), st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)))  # fmt: skip
def test_hostile_overrides_are_refused_or_understood(overrides: dict[str, Any]) -> None:
    try:
        load_suite("smoke", (), overrides)
    except BenchmarkError as error:
        assert str(error)


def test_nothing_in_a_setting_or_file_is_executed(tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    for tag in (f"!!python/object/apply:os.mkdir ['{marker}']", f"!!python/object/new:os.mkdir ['{marker}']"):
        with pytest.raises(ConfigError, match="not valid YAML"):
            load_suite("smoke", [f"train.kimg={tag}"])
        file = tmp_path / "evil.yaml"
        file.write_text(f"{SMOKE}\nx: {tag}\n")
        with pytest.raises(ConfigError, match="not valid YAML in line"):
            load_suite(str(file))
    assert not marker.exists()


LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(12)
)
FILES: dict[str, tuple[bytes, str]] = {
    "a list": (b"- a\n- b\n", "must hold a mapping"),
    "empty": (b"", "must hold a mapping"),
    "binary": (bytes(range(256)), "not a text file"),
    "UTF-16": ("schema: 1".encode("utf-16"), "not a text file"),
    "huge": (b"a: " + b"x" * (1 << 19), "larger than 256 KiB"),
    "deep": (b"[" * 1500, "not valid YAML"),
    "a billion laughs": (LAUGHS.encode(), "name is missing"),
    "laughs in a field": (f"{LAUGHS}schema: 1\nname: *m\n".encode(), "name = "),
    "unknown keys": (f"{SMOKE}\nkimgs: 3\n".encode(), "unknown setting 'kimgs'"),
    "number keys": (f"{SMOKE}\n1: 3\n".encode(), "names of settings are words"),
    "of a later schema": (SMOKE.replace("schema: 1", "schema: 2").encode(), "schema = 2"),
    "without methods": (b"schema: 1\nname: x\nsource: smoke-32\ndomains: [a]\n", "methods is missing"),
    "a key twice": (f"{SMOKE}\nseeds: [7]\n".encode(), "not valid YAML in line .*seeds is given twice"),
    "a key twice inside": (b"schema: 1\ntrain: {kimg: 1, 'kimg': 2}\n", "kimg is given twice"),
    "a long name": (SMOKE.replace("name: smoke", f"name: {'x' * 65}").encode(), "at most 64 letters"),
    "a name for a shell": (SMOKE.replace("name: smoke", "name: $(touch x)").encode(), "suite name '.*touch x"),
    "a name that hides": (SMOKE.replace("name: smoke", "name: .hidden").encode(), "suite name '.hidden'"),
    "no text": (SMOKE.replace("name: smoke", r'name: "a\\0b"').encode(), "suite name"),
    "with a path as name": (SMOKE.replace("name: smoke", "name: /tmp/x").encode(), "suite name '/tmp/x'"),
}


@pytest.mark.parametrize(("data", "said"), FILES.values(), ids=FILES)
def test_a_wrong_suite_file_is_told_on_one_line(tmp_path: Path, data: bytes, said: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_bytes(data)
    with pytest.raises(ConfigError, match=said) as caught:
        load_suite(str(file))
    assert len(" ".join(str(caught.value).split())) < 800


def test_a_suite_can_be_a_file_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(SMOKE.replace("name: smoke", "name: mine"))
    assert load_suite(str(file))[0].name == "mine"
    for missing in (str(tmp_path / "none.yaml"), str(tmp_path)):
        with pytest.raises(BenchmarkError, match=r"avatars, avatars-methods, avatars-report, .*smoke"):
            load_suite(missing)


def test_a_suites_own_field_values_yield_to_set(tmp_path: Path) -> None:
    raw = yaml.safe_load((SHELF / "smoke.yaml").read_text())
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(raw | {"fields": {"fixnoise": {"weight": 0.7}, "freezed": {"layers": 2}}}))
    methods = {m.name: m for m in load_suite(str(path), ["freezed.layers=3"])[1]}
    assert methods["fixnoise"].model_dump()["weight"] == 0.7
    assert methods["freezed"].model_dump()["layers"] == 3
    path.write_text(yaml.safe_dump(raw | {"fields": {"fixnoize": {"weight": 0.7}}}))
    with pytest.raises(UnknownName, match="fixnoise"):
        load_suite(str(path))


@pytest.mark.parametrize(
    ("key", "values", "said"),
    [
        ("budgets", {"fixnoise[match=all]": 1}, "is a variant, .*: write fixnoise"),
        ("budgets", {"layer_swap": 1}, "layer_swap has no training of its own; it uses that of finetune"),
        ("budgets", {"freezed+ewc": 1, "ewc+freezed": 2}, r"ewc\+freezed is named twice"),
        ("budgets", {"fixnoize": 1}, "did you mean fixnoise"),
        ("budgets", {"ewc+freezd": 1}, "did you mean freezed"),
        ("fields", {"fixnoise[match=all]": {"weight": 1}}, "is a variant, .*: write fixnoise"),
        ("fields", {"fixnoise+freezed": {"weight": 1}}, "fields belong to a part"),
        ("fields", {"ewc": {"wieght": 1}}, "did you mean weight"),
        ("narrow_fields", {"fixnoize": {"weight": 1}}, "did you mean fixnoise"),
        ("narrow_fields", {"fixnoise": {"weight": -1}}, "weight = -1"),
        ("step_shares", {"minegan": {"mine_stepps": 0.3}}, "did you mean mine_steps"),
        ("step_shares", {"minegan": {"mine_steps": 3}}, "mine_steps = 3"),
    ],
)
def test_a_suite_names_no_method_without_effect(key: str, values: dict[str, Any], said: str) -> None:
    """A method outside of the run may be named: it can be added with --methods."""
    with pytest.raises((ConfigError, UnknownName), match=said):
        load_suite("smoke", (), {key: values})
    load_suite("smoke", (), {"budgets": {"ewc": 1}, "fields": {"ewc": {"weight": 1}}})

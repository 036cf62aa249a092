"""`name[field=value]`: a method with some of its fields given."""

from __future__ import annotations

import pytest

from benchmark.api import Field, Method
from benchmark.errors import BenchmarkError
from benchmark.registry import find_method
from benchmark.registry.composition import described
from benchmark.registry.variants import base_name, given_fields, variant
from benchmark.suites import load_suite


def methods(*names: str, settings: tuple[str, ...] = ()):
    return load_suite("smoke", settings, {"methods": list(names)})[1]


def test_a_variant_stands_beside_the_plain_method_with_its_own_fields() -> None:
    plain, variant = methods("fixnoise", "fixnoise[match=all,image_weight=3]", settings=("fixnoise.weight=0.3",))
    assert variant.name == "fixnoise[image_weight=3,match=all]" and "match=all" in variant.title
    assert variant.model_dump() == {**plain.model_dump(), "match": "all", "image_weight": 3.0}
    assert plain.model_dump()["weight"] == 0.3


def test_the_name_of_the_method_is_that_of_its_parts() -> None:
    names = {"cdc": "cdc", "cdc[weight=5e+02]": "cdc", "cdc[weight=1]+freezed": "cdc+freezed", "a+b[x=[1,2]]": "a+b"}
    assert {name: base_name(name) for name in names} == names


def test_what_a_name_gives_is_not_changed_by_settings() -> None:
    (variant,) = methods("fixnoise[weight=0.2]", settings=("fixnoise.weight=0.3", "fixnoise.match=all"))
    assert variant.model_dump()["weight"] == 0.2 and variant.model_dump()["match"] == "all"


def test_a_variant_trains_as_the_method_with_those_fields() -> None:
    (variant,) = methods("fixnoise[match=all]")
    (plain,) = methods("fixnoise", settings=("fixnoise.match=all",))
    assert described(variant) == described(plain)


def test_spelling_does_not_make_another_variant() -> None:
    one, other = find_method("fixnoise[ weight = 0.20, match = all ]"), find_method("fixnoise[match=all,weight=0.2]")
    assert one is other


def test_lists_and_booleans_can_be_given() -> None:
    (swap,) = methods("layer_swap[grid=[8,16]]")
    assert swap.name == "layer_swap[grid=[8,16]]" and swap.controls == (8, 16)
    (normal,) = methods("fixnoise[normalise=true]")
    assert normal.name == "fixnoise[normalise=true]"


@pytest.mark.parametrize(
    ("asked", "name", "value"),
    [
        ("ewc[weight=500000000]", "ewc[weight=5e+08]", 5e8),
        ("ewc[weight=0.12345678]", "ewc[weight=0.12345678]", 0.12345678),
        ("ewc[weight=1234567.5]", "ewc[weight=1234567.5]", 1234567.5),
        ("finetune_augmented[ada_kimg=null]", "finetune_augmented[ada_kimg=null]", None),
        ("fixnoise[weight=0.20]", "fixnoise[weight=0.2]", 0.2),
    ],
)
def test_a_name_says_its_values_and_reads_back(asked: str, name: str, value: object) -> None:
    kind = find_method(asked)
    (field,) = given_fields(name)
    assert kind.name == name and find_method(name) is kind and getattr(kind(), field) == value
    with_more_digits = find_method("ewc[weight=0.12345679]")
    assert with_more_digits is not find_method("ewc[weight=0.12345678]")


class Listed(Method):
    """A plug-in's method may have fields of any kind."""

    name = "listed"
    parts: list[str] = Field(["a"])
    sizes: dict[str, int] = Field({})


@pytest.mark.parametrize("words", [["b", "c d"], ["1", "null"], ["x]", "y,z"], []])
def test_fields_of_any_kind_can_be_given(words: list[str]) -> None:
    kind = variant(Listed, {"parts": words, "sizes": {"a": 1}})
    assert kind().model_dump() == {"parts": words, "sizes": {"a": 1}}
    assert variant(Listed, given_fields(kind.name)) is kind


def test_a_variant_can_be_a_part_of_a_composition() -> None:
    (both,) = methods("freezed+fixnoise[match=image]", settings=("fixnoise.weight=0.3", "freezed.layers=2"))
    assert both.name == "fixnoise[match=image]+freezed"
    fields = described(both)["fields"]
    assert (fields["fixnoise.match"], fields["fixnoise.weight"], fields["freezed.layers"]) == ("image", 0.3, 2)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("fixnoise[",), r"NAME\[FIELD=VALUE"),
        (("fixnoise[]",), r"NAME\[FIELD=VALUE"),
        (("fixnoise[match]",), r"NAME\[FIELD=VALUE"),
        (("fixnoise[match=all]x",), r"NAME\[FIELD=VALUE"),
        (("fixnoise[match=all,match=image]",), "each field once"),
        (("fixnoise[match={]",), r"NAME\[FIELD=VALUE"),
        (("fixnoise[match=some]",), "match = 'some'"),
        (("fixnoise[weight=-1]",), "weight = -1"),
        (("fixnoise[mach=all]",), "did you mean match"),
        (("fixnose[match=all]",), "did you mean fixnoise"),
        (("fixnoise", "fixnoise[match=features]"), "are the same method"),
        (("fixnoise+fixnoise[match=all]",), "fixnoise is named twice"),
    ],
)
def test_what_cannot_be_a_variant_is_refused_with_a_reason(names: tuple[str, ...], said: str) -> None:
    with pytest.raises(BenchmarkError, match=said):
        methods(*names)

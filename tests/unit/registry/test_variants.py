"""`name[field=value]`: a method with some of its fields given."""

from __future__ import annotations

import pytest

from benchmark.errors import BenchmarkError
from benchmark.registry import find_method
from benchmark.registry.composition import described
from benchmark.suites import load_suite


def methods(*names: str, settings: tuple[str, ...] = ()):
    return load_suite("smoke", settings, {"methods": list(names)})[1]


def test_a_variant_stands_beside_the_plain_method_with_its_own_fields() -> None:
    plain, variant = methods("fixnoise", "fixnoise[match=all,image_weight=3]", settings=("fixnoise.weight=0.3",))
    assert variant.name == "fixnoise[image_weight=3,match=all]" and "match=all" in variant.title
    assert variant.model_dump() == {**plain.model_dump(), "match": "all", "image_weight": 3.0}
    assert plain.model_dump()["weight"] == 0.3


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

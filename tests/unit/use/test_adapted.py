"""Which record of a results folder an adapted network is taken from."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_records import make

from benchmark.errors import DataError
from benchmark.registry.composition import fields_of, parts_of
from benchmark.results import ResultStore
from benchmark.use.adapted import find_record, method_of


@pytest.mark.parametrize(
    ("other", "said"),
    [({"fields": {"blend": 0.5}}, "blend=0.5"), ({"weights_kimg": 2.0, "record_key": "ab" * 16}, "taken at 2 kimg")],
)
def test_one_training_with_other_fields_or_length_is_another_network(
    tmp_path: Path, other: dict[str, object], said: str
) -> None:
    store = ResultStore(tmp_path)
    store.write(make("layer_swap"))
    assert find_record(tmp_path, "layer_swap").record_key == make("layer_swap").record_key
    store.write(make("layer_swap", **other))
    with pytest.raises(DataError, match=said):
        find_record(tmp_path, "layer_swap")


@pytest.mark.parametrize(
    ("method", "fields", "parts"),
    [
        ("ewc[weight=5e+08]", {"weight": 5e8, "samples": 8}, ["ewc[weight=5e+08]"]),
        (
            "ewc[weight=5e+08]+freezed",
            {"ewc.weight": 5e8, "ewc.samples": 8, "freezed.layers": 2},
            ["ewc[weight=5e+08]", "freezed"],
        ),
    ],
)
def test_a_method_comes_back_from_its_record_whatever_its_name_holds(
    method: str, fields: dict[str, object], parts: list[str]
) -> None:
    found = method_of(make(method, fields=fields))
    assert found.name == method and [part.name for part in parts_of(found)] == parts
    assert fields_of(found).items() >= fields.items()

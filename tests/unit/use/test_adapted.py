"""Which record of a results folder an adapted network is taken from."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_records import make

from benchmark.errors import DataError
from benchmark.results import ResultStore
from benchmark.use.adapted import find_record


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

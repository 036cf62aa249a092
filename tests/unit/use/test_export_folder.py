"""The folder of an export: its name if nobody gives one, and which network it stands for."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmark.methods.layer_swap import LayerSwap
from made_records import make

from benchmark.api import Control
from benchmark.config import NetConfig
from benchmark.errors import DataError
from benchmark.results import ResultStore
from benchmark.stylegan2 import Generator
from benchmark.use.adapted import Adapted
from benchmark.use.export_folder import default_folder, network_in
from benchmark.use.model_card import NETWORK

NETS = NetConfig(resolution=16, z_dim=8, w_dim=8, mapping_layers=1, channel_base=64, channel_max=8)
OURS = f"---\n{NETWORK}: sha256:0a\n---\n"
PAIR = ("generator.safetensors", "generator-rosinality.pt")


@pytest.mark.parametrize(
    ("seed", "control", "name"),
    [
        (3, None, "layer_swap-d"),
        (4, None, "layer_swap-d-seed4"),
        (3, 8, "layer_swap-d-8"),
        (4, 8, "layer_swap-d-8-seed4"),
    ],
)
def test_networks_of_one_run_have_folders_of_their_own(seed: int, control: Control, name: str, tmp_path: Path) -> None:
    """Seeds of other methods, of failed jobs and of what was only measured say nothing of the smallest."""
    method, g = LayerSwap(), Generator(NETS)
    records = {n: make("layer_swap", "d", n) for n in (3, 4)}
    others = (make("finetune", "d", 0), make("layer_swap", "e", 0), make("layer_swap", "d", 1, outside="a.pkl"))
    for record in (*records.values(), *others, make("layer_swap", "d", 2, status="failed", reason="none")):
        ResultStore(tmp_path).write(record)
    net = Adapted(method, g, g, records[seed])
    value = method.default_control if control is None else control
    assert default_folder(net, value, tmp_path) == Path("exported") / name


@pytest.mark.parametrize(
    ("names", "card", "found"),
    [
        (PAIR, OURS + "".join(f"\n- `{name}`: weights" for name in PAIR), "generator.safetensors"),
        (PAIR[1:], OURS + f"\n- `{PAIR[1]}`: weights", PAIR[1]),
        (PAIR[1:], "notes of somebody", PAIR[1]),
        (("adapted.pkl",), OURS, "adapted.pkl"),
        (("adapted.pkl", *PAIR[1:]), OURS, None),
        (PAIR, OURS + f"\n- `{PAIR[1]}`: weights", DataError),
        (PAIR, None, DataError),
        (PAIR[:1], OURS + "\n- `generator.onnx`: a graph", DataError),
    ],
)
def test_a_folder_stands_for_the_network_that_its_card_lists(
    names: tuple[str, ...], card: str | None, found: str | type[DataError] | None, tmp_path: Path
) -> None:
    for name in names:
        (tmp_path / name).touch()
    if card is not None:
        (tmp_path / "README.md").write_text(card)
    if found is DataError:
        with pytest.raises(DataError, match="it may be another network than the rest; name the file"):
            network_in(tmp_path)
    else:
        assert network_in(tmp_path) == (tmp_path / str(found) if found else tmp_path)

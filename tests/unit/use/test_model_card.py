"""What a model card says of licences, lengths and files."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from benchmark.methods.fixnoise import FixNoise
from made_records import make

from benchmark.api import Control, Method
from benchmark.config import NetConfig
from benchmark.domains.cards import list_cards
from benchmark.errors import DataError
from benchmark.results import Timing
from benchmark.stylegan2 import Generator
from benchmark.use.adapted import Adapted
from benchmark.use.exported import graph_of
from benchmark.use.model_card import NETWORK, UNKNOWN, about, card_text, licence_of, listed_in, own_card

DRAWN = ("The images of micah are drawings put together from an artist's parts (DiceBear), not photographs.",)
NETS = NetConfig(resolution=16, z_dim=8, w_dim=8, mapping_layers=1, channel_base=64, channel_max=8)


def test_a_folder_with_the_name_of_a_card_has_no_licence_of_it() -> None:
    card = list_cards()["micah"].licence
    assert licence_of(make(domain="micah", standard_set=None, notes=DRAWN)) == card != UNKNOWN
    assert licence_of(make(domain="micah", standard_set=None, notes=("micah is drawn in ink",))) == UNKNOWN
    assert licence_of(make(domain="metfaces", standard_set=None, notes=())) == UNKNOWN
    assert licence_of(make(domain="metfaces", standard_set="metfaces:0a")) != UNKNOWN


@pytest.mark.parametrize(("weights", "said"), [(None, "4 thousand"), (1.0, "1 thousand"), (0.0, "0 thousand")])
def test_the_length_is_that_of_the_weights(weights: float | None, said: str) -> None:
    class Plain(Method):
        name = "plain"

    g = Generator(NETS)
    record = make(timing=Timing(kimg=4.0), weights_kimg=weights, zero_step=False)
    card: Any = SimpleNamespace(title="t", licence="none")
    lines = about(Adapted(Plain(), g, g, record), None, card, {"source": "a", "images": "b"}, False)
    assert any(f"Training: {said} images" in line for line in lines)


def test_a_card_lists_what_it_listed_and_what_is_there(tmp_path: Path) -> None:
    assert own_card(tmp_path / "README.md", "0a") == ""
    text = f"---\n{NETWORK}: sha256:0a\n---\n\n- `generator.pt2`: for torch.\n- `generator.onnx`: for onnx.\n"
    (tmp_path / "README.md").write_text(text)
    (tmp_path / "generator.pt2").touch(), (tmp_path / "generator.safetensors").touch()
    card = own_card(tmp_path / "README.md", "0a")
    names = ("generator.pt2", "generator.onnx", "generator.safetensors")
    assert [listed_in(card, tmp_path / name) for name in names] == [True, False, False]
    with pytest.raises(DataError, match="holds something else"):
        own_card(tmp_path / "README.md", "0b")


class Idle(Method):
    """A control that changes neither weights nor noise."""

    name = "idle"
    controls: ClassVar[tuple[Control, ...]] = (0.0, 1.0)
    default_control: ClassVar[Control] = 1.0


@pytest.mark.parametrize(
    ("method", "kind", "given"),
    [(FixNoise(), "onnx", True), (FixNoise(), "safetensors", False), (Idle(), "onnx", False)],
)
def test_a_control_is_an_input_where_the_graph_has_it(
    method: Method, kind: str, given: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = SimpleNamespace(card=SimpleNamespace(title="t", licence="none"))
    monkeypatch.setattr("benchmark.use.model_card.find_source", lambda name, cache: known)
    (tmp_path / "records").mkdir()
    g = Generator(NETS)
    net = Adapted(method, g, g, make(method.name, control=1.0))
    card = card_text(net, 1.0, {kind: f"generator.{kind}"}, "0a", tmp_path, tmp_path)
    assert ("- `control` [N]" in card) is ("an input of the graphs" in card) is given
    assert "the weights are the same at every value" in card
    assert kind == "safetensors" or graph_of(net, 1.0).moves is given

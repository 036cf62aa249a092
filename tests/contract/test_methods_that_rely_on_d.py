"""Methods that rely on the source's discriminator say so, and are refused where a source has none of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from torch import Tensor, nn

import benchmark
from benchmark.api import GeneratorStep, Method, Nets
from benchmark.config import NetConfig
from benchmark.conformity import conform
from benchmark.errors import ConfigError
from benchmark.registry import find_method, method_names
from benchmark.running.plan import check
from benchmark.suites import load_suite

RELY = {"adafm", "adam", "ewc", "freezed", "freezesg", "fsgan", "genda", "jojogan", "rick", "structure_loss"}
HOLDS = "holds what it froze and changes the rest"
DOCS = Path(benchmark.__file__).parents[1] / "docs"


class HoldsD(Method):
    """Nobody, "Half a Judge" (2024)."""

    name = "holds_d"
    title = "Holds D"
    paper = "Nobody, Half a Judge, 2024"

    def frozen(self, nets: Nets) -> Iterable[nn.Parameter]:
        return nets.d.blocks[32].parameters()


class SaysSo(HoldsD):
    """Nobody, "Half a Judge" (2024), with the flag."""

    needs_pretrained_d = True


class Looks(HoldsD):
    """Nobody, "Half a Judge" (2024): nobody judges, but a loss looks through D."""

    adversarial = False

    def frozen(self, nets: Nets) -> Iterable[nn.Parameter]:
        return nets.d.parameters()

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        return {"looks": step.nets.d.features(step.images)[1][8].square().mean()}


class Ignores(Looks):
    """Nobody, "Half a Judge" (2024): D is held and never asked."""

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        return {"ignores": step.images.square().mean()}


@pytest.mark.parametrize("kind", [HoldsD, Looks])
def test_who_holds_parts_of_d_and_asks_it_has_to_say_so(kind: type[Method]) -> None:
    broken = conform(kind, {}).broken
    assert broken.keys() == {HOLDS}
    told = r"it holds d\.b32\.\S+ of the source's discriminator.* write needs_pretrained_d = True"
    assert re.search(told, broken[HOLDS])


@pytest.mark.parametrize("kind", [SaysSo, Ignores])
def test_who_says_so_or_never_asks_d_keeps_the_promise(kind: type[Method]) -> None:
    assert conform(kind, {}).broken == {}


def test_the_shelf_says_so() -> None:
    """Also where nothing is held at 32 px, the size at which methods are tried."""
    assert {name for name in method_names() if find_method(name).needs_pretrained_d} == RELY


@pytest.mark.parametrize("name", sorted(RELY))
def test_a_source_with_a_new_discriminator_is_refused(name: str) -> None:
    suite, (method,) = load_suite("fewshot", (), {"methods": [name]})
    nets = NetConfig(resolution=64)
    check(suite, [method], nets)
    with pytest.raises(ConfigError, match=f"^{name} .*source's discriminator"):
        check(suite, [method], nets, new_discriminator=True)


def test_the_page_on_checkpoints_names_them() -> None:
    (line,) = re.findall(r"^Methods that rely on .*$", (DOCS / "checkpoints.md").read_text("utf-8"), re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", line)) == RELY

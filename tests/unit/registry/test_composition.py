"""a+b: everything of both, nothing twice, and a refusal by name where only one can decide."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
from benchmark.methods.feature_matching import FeatureMatching
from benchmark.methods.fixnoise import FixNoise
from benchmark.methods.freezed import FreezeD
from benchmark.methods.layer_swap import LayerSwap
from torch import Tensor, nn
from without_return import OF_PARTS

from benchmark.api import Control, DiscriminatorStep, Extra, Generator, GeneratorStep, Method, Nets
from benchmark.conformity import conform
from benchmark.conformity.trial import TRAIN, changed, run_trial, state_of, toy_reals, toy_source
from benchmark.errors import ConfigError, MethodError, UnknownName
from benchmark.registry import find_method
from benchmark.registry.composition import Composition, Parts, composed, described, fields_of, overrides
from benchmark.registry.hooks import EXCLUSIVE
from benchmark.suites import load_suite
from benchmark.system.files import key
from benchmark.training.state import State, restore_state, save_state
from benchmark.training.train import train


class Gain(Method):
    """Trains a gain of its own with G, and remembers how often it was asked."""

    name = "gain"

    def prepare(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> Extra:
        extra = Extra()
        extra.g.register_parameter("gain", nn.Parameter(torch.ones(())))
        extra.register_buffer("asked", torch.zeros(()))
        return extra

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        step.extra.get_buffer("asked").add_(1)
        return {"loss": (step.images * step.extra.g.get_parameter("gain")).square().mean()}


class Shift(Method):
    """Trains a shift of its own with D; its loss has the same name."""

    name = "shift"
    version = 3

    def prepare(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> Extra:
        extra = Extra()
        extra.d.register_parameter("shift", nn.Parameter(torch.zeros(())))
        return extra

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        return {"loss": step.images.mean(), "own": step.images.std()}

    def discriminator_loss(self, step: DiscriminatorStep) -> dict[str, Tensor]:
        return {"d": (step.real_logits + step.extra.d.get_parameter("shift")).square().mean()}


class Sharpen(Method):
    """Changes the evaluated generator and knows no control."""

    name = "sharpen"

    def finalize(self, source: Generator, adapted: Generator, control: Control) -> Generator:
        assert control is None
        return source


def make(*kinds: type[Method]) -> Method:
    return composed(kinds)()


def test_the_order_of_the_parts_does_not_matter() -> None:
    one, two = find_method("fixnoise+freezed"), find_method("freezed+fixnoise")
    assert one is two and one.name == "fixnoise+freezed"
    assert one().title == "FixNoise + FreezeD"
    assert one().paper == f"{FixNoise.paper}; {FreezeD.paper}"
    assert one() == two() and described(one()) == described(two())


def test_a_composition_is_identified_by_its_parts_versions_and_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    method = make(FixNoise, FreezeD)
    fields = {f"fixnoise.{name}": value for name, value in FixNoise().model_dump().items()}
    fields |= {"freezed.up_to_px": 16, "freezed.layers": None}
    assert described(method) == {
        "name": "fixnoise+freezed",
        "version": {"fixnoise": FixNoise.version, "freezed": FreezeD.version},
        "fields": fields,
    }
    before = key(described(method))
    assert key(described(type(method).model_validate({"freezed": {"layers": 3}}))) != before
    monkeypatch.setattr(FreezeD, "version", FreezeD.version + 1)
    assert key(described(method)) != before


def test_it_conforms_like_any_method() -> None:
    verdict = conform(find_method("fixnoise+freezed"), {"fixnoise": FixNoise, "freezed": FreezeD})
    assert verdict.broken == {} and not verdict.not_tried
    assert verdict.trainable < verdict.of


def test_losses_add_and_only_names_that_clash_get_a_prefix() -> None:
    nets = toy_source().copy()
    z = torch.zeros(4, 8)
    method = make(Gain, Shift)
    extra = method.prepare(nets, torch.zeros(0), torch.Generator())
    assert isinstance(extra, Parts)
    images = torch.linspace(-1, 1, 48).reshape(4, 3, 2, 2)
    step = GeneratorStep(nets, nets.g_ema, z, None, images, torch.Generator(), 0, extra)
    losses = method.generator_loss(step)
    assert list(losses) == ["gain.loss", "shift.loss", "own"]
    assert losses["gain.loss"].equal(images.square().mean()) and losses["shift.loss"].equal(images.mean())


@pytest.mark.parametrize(("hook", "said"), OF_PARTS)
def test_a_part_whose_hook_has_no_return_is_named(hook: str, said: str) -> None:
    silent = type("Silent", (Gain,), {"name": "silent", hook: lambda self, given: None, "__module__": __name__})
    with pytest.raises(MethodError) as refused:
        run_trial(make(Shift, silent))
    assert str(refused.value) == f"silent.{hook}() returned None: return {said}."


def test_extras_lie_side_by_side_and_each_part_sees_its_own(tmp_path: Path) -> None:
    def to_the_end(restore: Path | None = None) -> State:
        nets = toy_source().copy()
        put_back = (lambda s: restore_state(restore, s, "k") and None) if restore else (lambda s: None)
        return train(nets, toy_reals(), make(Gain, Shift), TRAIN, ("extras", 0), put_back)

    state = to_the_end()
    tensors = state.extra.state_dict()
    assert {name.split(".", 2)[2]: float(t) for name, t in tensors.items() if "asked" in name} == {"asked": 2.0}
    assert len(tensors) == 3 == len({t.data_ptr() for t in tensors.values()}), "stored twice"
    trained = {name: float(t) for name, t in tensors.items() if "asked" not in name}
    assert trained["parts.0.g.gain"] != 1 and trained["parts.1.d.shift"] != 0
    save_state(path := tmp_path / "state", state, "k")
    again = to_the_end(path).extra.state_dict()
    assert again.keys() == tensors.keys() and all(again[name].equal(t) for name, t in tensors.items())


def test_frozen_sets_unite() -> None:
    nets = toy_source().copy()

    def held(name: str) -> set[int]:
        return {id(p) for p in find_method(name)().frozen(nets)}

    assert held("freezed+freezefc") == held("freezed") | held("freezefc")
    assert held("freezed") and held("freezefc") and not held("freezed") & held("freezefc")


def test_a_part_without_effect_changes_nothing() -> None:
    together = composed([FixNoise, FreezeD]).model_validate({"fixnoise": {"weight": 0}})
    one, two = run_trial(together).nets, run_trial(FreezeD()).nets
    assert not changed(state_of(one.g, one.g_ema, one.d), two.g, two.g_ema, two.d)


def test_control_and_noise_are_their_owners() -> None:
    method, g = make(FixNoise, FreezeD), toy_source().g_ema
    assert (method.controls, method.default_control, method.control_name) == (FixNoise.controls, 1.0, "noise")
    assert method.noise_statement() == FixNoise().noise_statement()
    for layer, anchor in g.synthesis.anchor_noise().items():
        assert method.noise(g, 1, 0.0, torch.Generator())[layer].eq(anchor).all()  # type: ignore[index]
    plain = make(FreezeD, FeatureMatching)
    assert plain.controls == (None,) and plain.control_name is None
    assert plain.noise_statement() == Method.noise_statement(plain)


def test_a_part_that_knows_no_control_gets_none() -> None:
    g = toy_source().g_ema
    assert make(FixNoise, Sharpen).finalize(g, toy_source().g, 0.25) is g


def test_every_part_is_checked() -> None:
    with pytest.raises(ConfigError, match=r"freezed\.up_to_px=16.* no block above 4 px"):
        make(FixNoise, FreezeD).check({"resolution": 4, "d_layers": 1})


@pytest.mark.parametrize(
    ("name", "hook"),
    [("fixnoise+layer_swap", "control"), ("layer_swap+weight_interpolation", "generator that is evaluated")],
)
def test_a_clash_is_refused_with_both_names(name: str, hook: str) -> None:
    one, two = name.split("+")
    with pytest.raises(ConfigError, match=f"{one} and {two} both .*{hook}.* Leave {one} or {two} out"):
        find_method(name)


def one_that(hook: str, called: str) -> type[Method]:
    return type(called, (Method,), {"name": called, hook: lambda self: None, "__module__": __name__})


@pytest.mark.parametrize("hook", sorted(EXCLUSIVE.keys() - {"controls"}))
def test_what_only_one_can_decide_has_one_owner(hook: str) -> None:
    with pytest.raises(ConfigError, match=rf"one and two both .*\({hook}\)"):
        composed([one_that(hook, "one"), one_that(hook, "two")])
    assert overrides(composed([one_that(hook, "one"), Gain]), *EXCLUSIVE) == [hook]


def test_a_part_is_named_once_and_adds_something() -> None:
    with pytest.raises(ConfigError, match="freezed is named twice"):
        find_method("freezed+freezed")
    with pytest.raises(ConfigError, match="finetune is plain fine-tuning and adds nothing"):
        find_method("finetune+freezed")
    for name in ("fixnoise+", "+", "fixnoise+fredezed", "fixnoise++freezed"):
        with pytest.raises(UnknownName, match="unknown method"):
            find_method(name)


def test_a_re_used_training_is_that_of_the_other_parts() -> None:
    """Layer swapping with frozen layers of D swaps what FreezeD trained, and needs no training of its own."""
    swapped = composed([LayerSwap, FreezeD]).model_validate({"freezed": {"layers": 2}})
    assert swapped.training() == FreezeD(layers=2)
    both = composed([LayerSwap, FreezeD, FeatureMatching])().training()
    assert both == make(FeatureMatching, FreezeD) and both.training() == both
    assert make(LayerSwap, one_that("noise", "noisy")).training() == LayerSwap().training()


def test_two_parts_may_not_train_with_different_fields_of_a_third() -> None:
    class Late(Method):
        name = "late"

        def training(self) -> Method:
            return FreezeD(layers=1)

    assert composed([Late, FreezeD]).model_validate({"freezed": {"layers": 1}}).training() == FreezeD(layers=1)
    with pytest.raises(ConfigError, match="train with freezed, each with other fields"):
        make(Late, FreezeD).training()


# Settings


def chosen(methods: Iterable[str], *settings: str) -> dict[str, dict[str, object]]:
    suite, made = load_suite("smoke", settings, {"methods": list(methods)})
    assert suite.methods == tuple(method.name for method in made)
    return {method.name: fields_of(method) for method in made}


def test_a_setting_of_a_part_reaches_it_wherever_it_is() -> None:
    made = chosen(["freezed+fixnoise", "fixnoise", "freezed"], "fixnoise.weight=0.5", "freezed.layers=2")
    plain = {f"fixnoise.{name}": value for name, value in FixNoise().model_dump().items()}
    assert made["fixnoise+freezed"] == {
        **plain,
        "fixnoise.weight": 0.5,
        "freezed.up_to_px": 16,
        "freezed.layers": 2,
    }
    assert made["fixnoise"]["weight"] == 0.5 and made["freezed"] == {"up_to_px": 16, "layers": 2}


def test_parts_are_fitted_to_the_source() -> None:
    made = chosen(["freezefc+layer_swap"])
    assert made["freezefc+layer_swap"]["layer_swap.swap_at_px"] == 16  # of 32 px


@pytest.mark.parametrize(
    ("methods", "setting", "message"),
    [
        (
            ["fixnoise+freezed"],
            "fixnoise.wight=1",
            r"settings of fixnoise: unknown setting 'wight': did you mean weight",
        ),
        (["fixnoise+freezed"], "freezed.layers=-1", "settings of freezed: layers = -1"),
        (
            ["fixnoise+freezed"],
            "fixnoise+freezed.weight=1",
            "fields belong to a part. Set those of fixnoise or freezed",
        ),
        (["fixnoise+freezed"], "layer_swap.swap_at_px=8", r"not among the methods of this run \(fixnoise\+freezed\)"),
        (["fixnoise+freezed", "freezed+fixnoise"], "seeds=[0]", "'fixnoise.freezed' is named twice"),
    ],
)
def test_a_wrong_setting_is_refused(methods: list[str], setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        chosen(methods, setting)


def test_a_composition_is_a_frozen_value() -> None:
    method = make(FixNoise, FreezeD)
    assert isinstance(method, Composition) and method.parts == (FixNoise(), FreezeD())
    assert type(method).model_validate(method.model_dump(mode="json")) == method
    with pytest.raises(ValueError, match="frozen"):
        method.fixnoise = FixNoise(weight=1)  # type: ignore[attr-defined]

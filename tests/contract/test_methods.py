"""What every file on the shelf of methods promises, and the facts of the methods that papers and reference code fix."""

from __future__ import annotations

import ast
import copy
import importlib
import inspect
import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmark.methods.feature_matching import FeatureMatching
from benchmark.methods.finetune import Finetune
from benchmark.methods.fixnoise import FixNoise
from benchmark.methods.freezed import FreezeD
from benchmark.methods.layer_swap import LayerSwap
from benchmark.methods.weight_interpolation import WeightInterpolation
from pydantic import ValidationError
from torch import Tensor

import benchmark
from benchmark.api import DiscriminatorStep, Generator, GeneratorStep, Method, Nets
from benchmark.config import NetConfig, TrainConfig
from benchmark.errors import ConfigError
from benchmark.plan import described
from benchmark.registry import find_method, method_names
from benchmark.train import train

NAMES = method_names()
PX = 32
CFG = NetConfig(
    resolution=PX, z_dim=8, w_dim=8, mapping_layers=2, channel_base=128, channel_max=8, conv_clamp=None, mbstd_group=2
)
TRAIN = TrainConfig(kimg=0.016, batch=4, r1_gamma=1, r1_every=2, ema_kimg=0.01, precision="fp32", tick_kimg=1)
FACTS = {"resolution": PX, "d_layers": 10}


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def state_of(nets: Nets) -> dict[str, Tensor]:
    return {name: t.clone() for name, t in nets.state_dict().items()}


def equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(a[name].equal(b[name]) for name in a)


@cache
def source_nets() -> Nets:
    """Small networks in which nothing is at its initial value: noise matters, g and its average differ."""
    nets = Nets.create(CFG, seed=1)
    noise = rng(2)
    with torch.no_grad():
        for net in (nets.g, nets.g_ema, nets.d):
            for p in net.parameters():
                p.add_(torch.randn(p.shape, generator=noise), alpha=0.1)
        nets.g.mapping.w_avg.normal_(generator=noise)
        nets.g_ema.mapping.w_avg.copy_(nets.g.mapping.w_avg)
    return nets


def fresh() -> Nets:
    return source_nets().copy()


@dataclass
class Trained:
    nets: Nets
    source_seen: list[Generator]
    global_rng_untouched: bool


def global_rng() -> tuple[bytes, str, str]:
    return torch.get_rng_state().numpy().tobytes(), repr(np.random.get_state()), repr(random.getstate())


def adapt(method: Method) -> Trained:
    """Four steps with the method's hooks, as the engine runs them."""
    seen: list[Generator] = []

    class Spy(type(method)):  # type: ignore[misc]
        def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
            seen.append(step.source)
            return super().generator_loss(step)  # type: ignore[no-any-return]

    nets = fresh()
    reals = np.random.default_rng(3).integers(0, 256, (16, 3, PX, PX), np.uint8)
    before = global_rng()
    train(nets, reals, Spy(**method.model_dump()), TRAIN, ("contract", 0))
    return Trained(nets, seen, global_rng() == before)


@cache
def trained(name: str) -> Trained:
    return adapt(find_method(name)().training())


def picture(method: Method, g: Generator, control: object = None) -> Tensor:
    noise = method.noise(g, 2, control, rng(5))  # type: ignore[arg-type]
    return g(torch.randn(2, CFG.z_dim, generator=rng(4)), noise=noise).detach()


def generator_step(nets: Nets, source: Generator) -> GeneratorStep:
    z = torch.randn(4, CFG.z_dim, generator=rng(6))
    return GeneratorStep(nets, source, z, None, nets.g(z, rng=rng(7)), rng(8), 0)


def on_each_method(test: Callable[..., None]) -> Callable[..., None]:
    return pytest.mark.parametrize("name", NAMES)(test)


def test_the_shelf_holds_what_the_suites_name() -> None:
    assert {"finetune", "freezed", "layer_swap", "feature_matching", "fixnoise"} <= set(NAMES)


@on_each_method
def test_a_method_is_one_small_frozen_class_with_a_paper(name: str) -> None:
    kind = find_method(name)
    method = kind()
    path = Path(inspect.getfile(kind))
    assert path.stem == name == method.name
    assert len(path.read_text().splitlines()) <= 80
    assert kind.model_config["frozen"] and kind.model_config["extra"] == "forbid"
    assert method.title and isinstance(method.version, int) and method.version >= 1
    for text in (method.paper, importlib.import_module(kind.__module__).__doc__ or ""):
        assert re.search(r"\b(19|20)\d\d\b", text), f"{name}: name the paper with its year"
    for field_name, field in kind.model_fields.items():
        assert field.description and not field.is_required()
        with pytest.raises(ValidationError, match="frozen"):
            setattr(method, field_name, getattr(method, field_name))
    assert kind.model_validate(json.loads(json.dumps(described(method)["fields"]))) == method


@on_each_method
def test_a_method_imports_the_api_torch_and_other_methods_only(name: str) -> None:
    tree = ast.parse(Path(inspect.getfile(find_method(name))).read_text())
    for node in ast.walk(tree):
        modules = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for module in modules:
            assert module == "benchmark.api" or not module.startswith("benchmark.") or module[18:] in NAMES, module


@on_each_method
def test_controls_hold_the_default_once_and_have_a_name(name: str) -> None:
    method = find_method(name)()
    assert method.controls.count(method.default_control) == 1
    assert len(set(method.controls)) == len(method.controls)
    assert (method.control_name is None) == (method.controls == (None,))
    method.check(FACTS)


@on_each_method
def test_training_belongs_to_a_method_that_trains_itself(name: str) -> None:
    training = find_method(name)().training()
    assert training.training() == training
    assert training.name in NAMES


@on_each_method
def test_training_changes_g_and_d_but_neither_the_source_nor_a_frozen_parameter(name: str) -> None:
    method, after = find_method(name)().training(), trained(find_method(name)().training().name).nets
    nets = fresh()
    held = {id(p) for p in method.frozen(nets)}
    source = source_nets()
    names = {n for part in ("g", "d") for n, p in getattr(nets, part).named_parameters(part) if id(p) in held}
    start, end = source.state_dict(), after.state_dict()
    for part in ("g", "d"):
        for n, p in getattr(after, part).named_parameters(part):
            if n not in names:
                assert not p.equal(start[n]), f"{n} did not train"
    for n in names:
        averaged = n.replace("g.", "g_ema.", 1) if n.startswith("g.") else n
        assert end[n].equal(start[averaged]) and end[averaged].equal(start[averaged]), f"{n} was to be frozen"
    for step_source in trained(method.name).source_seen:
        assert equal(step_source.state_dict(), source.g_ema.state_dict())


@on_each_method
def test_hooks_leave_the_global_random_state_alone(name: str) -> None:
    method = find_method(name)()
    assert trained(method.training().name).global_rng_untouched
    before = global_rng()
    for control in method.controls:
        g = method.finalize(source_nets().g_ema, trained(method.training().name).nets.g_ema, control)
        method.noise(g, 2, control, rng())
    assert global_rng() == before


@on_each_method
def test_losses_are_finite_scalars_with_gradients_into_one_network_only(name: str) -> None:
    method, nets = find_method(name)(), trained(find_method(name)().training().name).nets.copy()
    source = copy.deepcopy(source_nets().g_ema).requires_grad_(False)
    reals, fakes = torch.randn(2, 4, 3, PX, PX, generator=rng(9))
    for part, other in (("g", "d"), ("d", "g")):
        getattr(nets, other).requires_grad_(False)
        getattr(nets, part).requires_grad_(True)
        before = state_of(nets)
        if part == "g":
            losses = method.generator_loss(generator_step(nets, source))
        else:
            logits = nets.d(reals), nets.d(fakes)
            losses = method.discriminator_loss(DiscriminatorStep(nets, source, reals, fakes, *logits, rng(8), 0))
        for loss_name, loss in losses.items():
            assert loss.shape == () and torch.isfinite(loss), loss_name
            loss.backward(retain_graph=True)
        touched = {
            n for net in ("g", "g_ema", "d") for n, p in getattr(nets, net).named_parameters(net) if p.grad is not None
        }
        assert bool(losses) == bool(touched) and all(n.startswith(f"{part}.") for n in touched)
        assert all(p.grad is None for p in source.parameters())
        assert equal(before, state_of(nets)), "a loss changed a buffer, such as w_avg"
        nets.g.zero_grad()
        nets.d.zero_grad()


@on_each_method
def test_finalize_repeats_and_changes_neither_argument(name: str) -> None:
    method = find_method(name)()
    given = source_nets().g_ema, trained(method.training().name).nets.g_ema
    for control in method.controls:
        source, adapted = copy.deepcopy(given)
        one, two = (method.finalize(source, adapted, control) for _ in range(2))
        assert equal(one.state_dict(), two.state_dict())
        assert one.state_dict().keys() == source.state_dict().keys()
        assert equal(source.state_dict(), given[0].state_dict()) and equal(adapted.state_dict(), given[1].state_dict())


@on_each_method
def test_noise_has_a_map_for_each_layer_and_repeats(name: str) -> None:
    method = find_method(name)()
    for control in method.controls:
        g = method.finalize(source_nets().g_ema, trained(method.training().name).nets.g_ema, control)
        one, two = (method.noise(g, 3, control, rng(1)) for _ in range(2))
        assert not isinstance(one, str) and not isinstance(two, str)
        assert tuple(one) == g.synthesis.layer_names
        for layer, anchor in g.synthesis.anchor_noise().items():
            assert one[layer].shape in (anchor.shape, (3, 1, *anchor.shape)) and one[layer].equal(two[layer])
        images = g(torch.zeros(3, CFG.z_dim), noise=one)
        assert images.shape == (3, 3, PX, PX) and images.isfinite().all()
    assert method.noise_statement()


@on_each_method
def test_the_result_differs_from_plain_fine_tuning(name: str) -> None:
    method = find_method(name)()
    results = []
    for candidate in (method, Finetune()):
        control = candidate.default_control
        adapted = trained(candidate.training().name).nets.g_ema
        g = candidate.finalize(source_nets().g_ema, adapted, control)
        results.append(picture(candidate, g, control))
    assert results[0].equal(results[1]) == (name == "finetune")


def test_plain_fine_tuning_repeats_bit_by_bit() -> None:
    assert equal(state_of(adapt(Finetune()).nets), state_of(trained("finetune").nets))


@pytest.mark.parametrize("method", [FixNoise(weight=0), FeatureMatching(weight=0), FreezeD(layers=0)])
def test_a_method_without_effect_is_plain_fine_tuning_bit_by_bit(method: Method) -> None:
    """Streams derive from the run, not from the method, and what a method draws does not shift those of the others."""
    assert equal(state_of(adapt(method).nets), state_of(trained("finetune").nets))


def engine_words(path: Path) -> set[str]:
    """Identifiers and words of string constants in a module; docstrings are left out."""
    tree = ast.parse(path.read_text())
    prose = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    words: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            words |= set(re.findall(r"\w+", node.value))
        for attribute in ("id", "attr", "name", "arg", "module"):
            words |= set(str(getattr(node, attribute, "")).split("."))
    return words


def test_the_engine_never_mentions_a_method() -> None:
    """The loss that two methods share has the name of one of them; examples of commands are in cli.py alone."""
    engine = Path(benchmark.__file__).parent
    taboo = {*NAMES, *(find_method(name).__name__ for name in NAMES)}
    shared = {"losses.py": {"feature_matching"}, "api.py": {"feature_matching"}, "cli.py": {"fixnoise", "freezed"}}
    files = sorted(p for p in engine.rglob("*.py") if p.stem not in NAMES)
    assert len(files) > 30
    for path in files:
        assert engine_words(path) & taboo <= shared.get(path.name, set()), path


# FixNoise


def test_fixnoise_loss_is_zero_while_the_target_is_the_source() -> None:
    nets = fresh()
    nets.g.load_state_dict(nets.g_ema.state_dict())
    step = generator_step(nets, source_nets().g_ema)
    assert FixNoise().generator_loss(step)["fixnoise"].item() == 0
    assert FeatureMatching().generator_loss(step)["feature_matching"].item() > 0  # its two noises differ


def test_fixnoise_loss_is_the_published_formula() -> None:
    """Sum over channels, mean over images, height and width, mean over blocks, times the weight; both at the anchor."""
    nets, source = fresh(), source_nets().g_ema
    step = generator_step(nets, source)
    sums = []
    features = [g.synthesis(g.mapping(step.z), "const")[1] for g in (nets.g, source)]
    assert list(features[0]) == [4, 8, 16, 32]
    for px in features[0]:
        ours, theirs = (f[px].detach().double().numpy() for f in features)
        sums.append(sum(((ours - theirs) ** 2).sum(axis=(1, 2, 3))) / (len(ours) * px * px))
    expected = 0.3 * np.mean(sums)
    assert FixNoise(weight=0.3).generator_loss(step)["fixnoise"].item() == pytest.approx(expected, rel=1e-5)


def test_fixnoise_loss_uses_the_sources_anchor_in_both_networks_and_draws_nothing() -> None:
    nets, source = fresh(), source_nets().g_ema
    before = FixNoise().generator_loss(generator_step(nets, source))["fixnoise"]
    for module in nets.g.synthesis.modules():
        if hasattr(module, "noise_const"):
            module.noise_const.zero_()
    step = generator_step(nets, source)
    state = step.rng.get_state()
    assert FixNoise().generator_loss(step)["fixnoise"].equal(before)
    assert step.rng.get_state().equal(state)


@pytest.mark.parametrize("interpolation", ["linear", "spherical"])
def test_fixnoise_control_goes_from_the_anchor_to_random_noise(interpolation: str) -> None:
    method, g = FixNoise(interpolation=interpolation), source_nets().g_ema  # type: ignore[arg-type]
    z = torch.randn(2, CFG.z_dim, generator=rng(4))
    assert g(z, noise=method.noise(g, 2, 0.0, rng(5))).equal(g(z, noise="const"))
    ours, plain = method.noise(g, 2, 1.0, rng(5)), g.synthesis.random_noise(2, rng(5))
    for layer in plain:
        torch.testing.assert_close(ours[layer], plain[layer], rtol=1e-6, atol=1e-6)


def test_interpolated_noise_keeps_its_variance_only_when_spherical() -> None:
    g = Nets.create(CFG.model_copy(update={"resolution": 128}), seed=0).g
    layer = "b128.conv1"
    for interpolation, expected in (("linear", 0.5**0.5), ("spherical", 1.0)):
        maps = FixNoise(interpolation=interpolation).noise(g, 8, 0.5, rng(1))  # type: ignore[arg-type]
        assert maps[layer].square().mean().sqrt().item() == pytest.approx(expected, abs=0.01)  # type: ignore[index]


def test_fixnoise_and_feature_matching_train_apart() -> None:
    assert not equal(trained("fixnoise").nets.g.state_dict(), trained("feature_matching").nets.g.state_dict())


# FreezeD


def test_freezed_counts_layers_as_nvidia_does() -> None:
    """From RGB, two convolutions, skip in the finest block, then three a block: stylegan2-ada-pytorch's `--freezed`."""
    order = ["b32.fromrgb", "b32.conv0", "b32.conv1", "b32.skip"]
    order += [f"b{px}.{layer}" for px in (16, 8) for layer in ("conv0", "conv1", "skip")]
    nets = fresh()
    for count in range(len(order) + 1):
        held = {id(p) for p in FreezeD(layers=count).frozen(nets)}
        layers = {n.rsplit(".", 1)[0] for n, p in nets.d.named_parameters() if id(p) in held}
        assert layers == set(order[:count])
        assert held <= {id(p) for p in nets.d.parameters()}
    FreezeD(layers=len(order)).check(FACTS)
    with pytest.raises(ConfigError, match=r"freezed\.layers=11.* 10 layers"):
        FreezeD(layers=len(order) + 1).check(FACTS)


# Layer swapping


@pytest.mark.parametrize("low_from", ["source", "adapted"])
@pytest.mark.parametrize("swap_at_px", [8, 16, 32])
def test_layer_swap_joins_blocks_at_the_swap_resolution(low_from: str, swap_at_px: int) -> None:
    source, adapted = source_nets().g_ema, trained("finetune").nets.g_ema
    hybrid = LayerSwap(low_from=low_from).finalize(source, adapted, swap_at_px)  # type: ignore[arg-type]
    low, high = (source, adapted) if low_from == "source" else (adapted, source)
    for px, block in hybrid.synthesis.blocks.items():
        origin = low if px < swap_at_px else high
        assert equal(block.state_dict(), origin.synthesis.blocks[px].state_dict())
        assert not equal(low.synthesis.blocks[px].state_dict(), high.synthesis.blocks[px].state_dict())
    assert equal(hybrid.mapping.state_dict(), low.mapping.state_dict())
    assert not low.mapping.w_avg.equal(high.mapping.w_avg)


def test_layer_swap_shares_the_training_of_fine_tuning_and_refuses_other_resolutions() -> None:
    assert LayerSwap(swap_at_px=8).training() == Finetune()
    for px in (4, 12, 64):
        with pytest.raises(ConfigError, match=f"layer_swap.swap_at_px={px}.*8, 16, 32"):
            LayerSwap(swap_at_px=px).check(FACTS)


# Weight interpolation


def test_weight_interpolation_goes_straight_from_the_source_to_the_adapted_generator() -> None:
    source, adapted = source_nets().g_ema, trained("finetune").nets.g_ema
    at = {share: WeightInterpolation().finalize(source, adapted, share).state_dict() for share in (0.0, 0.5, 1.0)}
    assert equal(at[0.0], source.state_dict()) and equal(at[1.0], adapted.state_dict())
    for name, tensor in at[0.5].items():
        torch.testing.assert_close(tensor, (source.state_dict()[name] + adapted.state_dict()[name]) / 2)
    assert WeightInterpolation().training() == Finetune()
    assert WeightInterpolation(of="freezed").training() == FreezeD()

"""What every file on the shelf of methods promises, and the facts of the methods that papers and reference code fix."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable
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
from small_nets import at_the_source, generator_step, rng
from torch import Tensor

import benchmark
from benchmark.api import Method, Nets
from benchmark.conformity import conform, trial
from benchmark.conformity.trial import FACTS, NETS, toy_reals, toy_source
from benchmark.errors import ConfigError
from benchmark.registry import find_method, method_names
from benchmark.training.train import train

NAMES = method_names()
TRAIN = trial.TRAIN.model_copy(update={"kimg": 0.016})
"""Four steps."""


def equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(a[name].equal(b[name]) for name in a)


def adapt(method: Method) -> Nets:
    """Four steps with the method's hooks, as the engine runs them."""
    nets = toy_source().copy()
    train(nets, toy_reals(), method, TRAIN, ("contract", 0))
    return nets


@cache
def trained(name: str) -> Nets:
    return adapt(find_method(name)().training())


def on_each_method(test: Callable[..., None]) -> Callable[..., None]:
    return pytest.mark.parametrize("name", NAMES)(test)


def test_the_shelf_holds_what_the_suites_name() -> None:
    assert {"finetune", "freezed", "layer_swap", "feature_matching", "fixnoise"} <= set(NAMES)


@on_each_method
def test_a_method_keeps_every_promise(name: str) -> None:
    """The promises and what breaks them: benchmark/conformity/promises.py; the command `conform` tries the same."""
    verdict = conform(find_method(name), {other: find_method(other) for other in NAMES})
    assert verdict.broken == {} and verdict.not_tried == []


@on_each_method
def test_a_method_is_one_small_file(name: str) -> None:
    path = Path(inspect.getfile(find_method(name)))
    assert path.stem == name
    assert len(path.read_text().splitlines()) <= 80


@on_each_method
def test_a_method_imports_the_api_torch_and_other_methods_only(name: str) -> None:
    tree = ast.parse(Path(inspect.getfile(find_method(name))).read_text())
    for node in ast.walk(tree):
        modules = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for module in modules:
            assert module == "benchmark.api" or not module.startswith("benchmark.") or module[18:] in NAMES, module


def test_plain_fine_tuning_trains_everything() -> None:
    start, end = toy_source().state_dict(), trained("finetune")
    for part in ("g", "d"):
        for name, p in getattr(end, part).named_parameters(part):
            assert not p.equal(start[name]), f"{name} did not train"


def test_plain_fine_tuning_repeats_bit_by_bit() -> None:
    assert equal(adapt(Finetune()).state_dict(), trained("finetune").state_dict())


@pytest.mark.parametrize("method", [FixNoise(weight=0), FeatureMatching(weight=0), FreezeD(layers=0)])
def test_a_method_without_effect_is_plain_fine_tuning_bit_by_bit(method: Method) -> None:
    """Streams derive from the run, not from the method, and what a method draws does not shift those of the others."""
    assert equal(adapt(method).state_dict(), trained("finetune").state_dict())


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
    """But a loss that methods share may be called like one of them, an optimiser too, and help texts give examples."""
    engine = Path(benchmark.__file__).parent
    taboo = {*NAMES, *(find_method(name).__name__ for name in NAMES)}
    shared = {name: {"feature_matching"} for name in ("api/losses.py", "api/matches_source.py", "api/__init__.py")}
    shared |= {f"training/{name}.py": {"adam"} for name in ("start", "train")}
    helps = ("app", "run", "methods", "use", "evaluate", "export", "translate")
    shared |= {f"cli/{name}.py": {"fixnoise", "freezed", "layer_swap"} for name in helps}
    files = sorted(p for p in engine.rglob("*.py") if p.stem not in NAMES)
    assert len(files) > 30
    for path in files:
        assert engine_words(path) & taboo <= shared.get(path.relative_to(engine).as_posix(), set()), path


# FixNoise


def test_fixnoise_loss_is_zero_while_the_target_is_the_source() -> None:
    step = generator_step(at_the_source(), toy_source().g_ema)
    assert FixNoise().generator_loss(step)["fixnoise"].item() == 0
    assert FeatureMatching().generator_loss(step)["feature_matching"].item() > 0  # its two noises differ


def test_fixnoise_loss_is_the_published_formula() -> None:
    """Sum over channels, mean over images, height and width, mean over blocks, times the weight; both at the anchor."""
    nets, source = toy_source().copy(), toy_source().g_ema
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
    nets, source = toy_source().copy(), toy_source().g_ema
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
    method, g = FixNoise(interpolation=interpolation), toy_source().g_ema  # type: ignore[arg-type]
    z = torch.randn(2, NETS.z_dim, generator=rng(4))
    assert g(z, noise=method.noise(g, 2, 0.0, rng(5))).equal(g(z, noise="const"))
    ours, plain = method.noise(g, 2, 1.0, rng(5)), g.synthesis.random_noise(2, rng(5))
    for layer in plain:
        torch.testing.assert_close(ours[layer], plain[layer], rtol=1e-6, atol=1e-6)


def test_interpolated_noise_keeps_its_variance_only_when_spherical() -> None:
    g = Nets.create(NETS.model_copy(update={"resolution": 128}), seed=0).g
    layer = "b128.conv1"
    for interpolation, expected in (("linear", 0.5**0.5), ("spherical", 1.0)):
        maps = FixNoise(interpolation=interpolation).noise(g, 8, 0.5, rng(1))  # type: ignore[arg-type]
        assert maps[layer].square().mean().sqrt().item() == pytest.approx(expected, abs=0.01)  # type: ignore[index]


def test_fixnoise_and_feature_matching_train_apart() -> None:
    assert not equal(trained("fixnoise").g.state_dict(), trained("feature_matching").g.state_dict())


# FreezeD


def test_freezed_counts_layers_as_nvidia_does() -> None:
    """From RGB, two convolutions, skip in the finest block, then three a block: stylegan2-ada-pytorch's `--freezed`."""
    order = ["b32.fromrgb", "b32.conv0", "b32.conv1", "b32.skip"]
    order += [f"b{px}.{layer}" for px in (16, 8) for layer in ("conv0", "conv1", "skip")]
    nets = toy_source().copy()
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
    source, adapted = toy_source().g_ema, trained("finetune").g_ema
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
    source, adapted = toy_source().g_ema, trained("finetune").g_ema
    at = {share: WeightInterpolation().finalize(source, adapted, share).state_dict() for share in (0.0, 0.5, 1.0)}
    assert equal(at[0.0], source.state_dict()) and equal(at[1.0], adapted.state_dict())
    for name, tensor in at[0.5].items():
        torch.testing.assert_close(tensor, (source.state_dict()[name] + adapted.state_dict()[name]) / 2)
    assert WeightInterpolation().training() == Finetune()
    assert WeightInterpolation(of="freezed").training() == FreezeD()

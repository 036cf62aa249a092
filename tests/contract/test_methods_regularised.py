"""The facts of the methods that add a penalty to fine-tuning: EWC, L2-SP, LeCam."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from benchmark.methods.ewc import EWC
from benchmark.methods.finetune import Finetune
from benchmark.methods.freezeg import FreezeG
from benchmark.methods.l2sp import L2SP
from benchmark.methods.lecam import LeCam
from small_nets import at_the_source, generator_step, rng
from torch import Tensor, nn

from benchmark.api import DiscriminatorStep, Extra, GeneratorStep, Method, Nets, reparametrise
from benchmark.conformity.trial import NETS, TRAIN, changed, state_of, toy_reals, toy_source
from benchmark.stylegan2.networks import FullyConnected, SynthesisLayer, ToRGB
from benchmark.training.state import State
from benchmark.training.train import train


def prepared(method: Method, nets: Nets) -> Extra:
    extra = method.prepare(nets, torch.from_numpy(toy_reals().copy()), rng(1))
    assert extra is not None
    return extra


def adapt(method: Method) -> State:
    nets = toy_source().copy()
    return train(nets, toy_reals(), method, TRAIN, ("regularised", 0))


class Scaled(nn.Module):
    """A weight times a number that trains."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones([]))

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.factor


def test_without_weight_each_is_plain_fine_tuning_bit_by_bit() -> None:
    plain = state_of(adapt(Finetune()).nets)
    for method in (EWC(weight=0, samples=2), L2SP(weight=0), LeCam(weight=0), FreezeG(layers=0)):
        assert changed(plain, adapt(method).nets) == [], method.name


@pytest.mark.parametrize("method", [EWC(samples=4), L2SP()])
def test_a_spring_keeps_the_generator_nearer_to_its_source(method: Method) -> None:
    source = toy_source().g_ema
    cfg = TRAIN.model_copy(update={"kimg": 0.08, "lr_g": 0.02})

    def distance(method: Method) -> float:
        nets = at_the_source()
        train(nets, toy_reals(), method, cfg, ("regularised", 0))
        pairs = zip(nets.g.synthesis.parameters(), source.synthesis.parameters(), strict=True)
        return sum((p - q).square().sum().item() for p, q in pairs)

    assert distance(method) < 0.9 * distance(Finetune())


# EWC


def test_fisher_is_the_mean_squared_gradient_of_single_samples() -> None:
    nets, extra = toy_source().copy(), prepared(EWC(samples=3), toy_source().copy())
    g, d, draws = nets.g_ema.requires_grad_(True), nets.d, rng(1)
    squares = {name: np.zeros(p.shape) for name, p in g.named_parameters()}
    for _ in range(3):
        z = torch.randn(NETS.mbstd_group, NETS.z_dim, generator=draws)
        others = g(z[1:], rng=draws).detach()
        logit = d(torch.cat([g(z[:1], rng=draws), others]))[0, 0]
        g.zero_grad()
        (-torch.log1p(torch.exp(-logit))).backward()
        for name, p in g.named_parameters():
            assert p.grad is not None
            squares[name] += p.grad.double().numpy() ** 2 / 3
    memory = dict(extra.named_buffers())
    assert len(memory) == len(squares) and not list(extra.parameters())
    for name, expected in squares.items():
        got = memory[name.replace(".", "/")].double().numpy()
        np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-6 * expected.max() + 1e-30)
        assert got.min() >= 0 and (got.max() > 0 or "noise" in name)


def test_preparing_ewc_leaves_the_networks_and_their_gradients_alone() -> None:
    nets = toy_source().copy()
    before = state_of(nets)
    prepared(EWC(samples=2), nets)
    assert changed(before, nets) == []
    assert all(p.grad is None for net in (nets.g, nets.g_ema, nets.d) for p in net.parameters())


def test_ewc_is_zero_at_the_source_and_weighs_each_distance_by_its_fisher_value() -> None:
    nets, source = at_the_source(), toy_source().g_ema
    extra = prepared(EWC(samples=2), nets)
    assert EWC().generator_loss(generator_step(nets, source, extra))["ewc"].item() == 0
    moved = {"synthesis.b8.conv0.weight": 0.1, "synthesis.b4.const": -0.2, "mapping.fc1.bias": 3.0}
    with torch.no_grad():
        for name, by in moved.items():
            nets.g.get_parameter(name).add_(by)
    expected = sum(by**2 * extra.get_buffer(n.replace(".", "/")).double().sum().item() for n, by in moved.items())
    step = generator_step(nets, source, extra)
    assert EWC(weight=7.0).generator_loss(step)["ewc"].item() == pytest.approx(7 * expected, rel=1e-4)


def test_ewcs_memory_does_not_change_in_training() -> None:
    extra = prepared(EWC(samples=2), toy_source().copy())
    seen: list[Extra] = []

    class Spy(EWC):
        def prepare(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> Extra:
            return extra

        def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
            seen.append(step.extra)
            return super().generator_loss(step)

    before = state_of(extra)
    adapt(Spy())
    assert all(one is extra for one in seen) and len(seen) == 2
    assert changed(before, extra) == []


@pytest.mark.parametrize("method", [EWC(samples=2), L2SP()])
def test_a_spring_holds_the_weight_that_a_reparametrised_layer_uses(method: Method) -> None:
    """As in a composition with a method that trains few parameters; that one may come first."""
    nets, source = at_the_source(), toy_source().g_ema
    layer = nets.g.synthesis.b8.conv0
    reparametrise(nets, [(layer, "weight")], lambda weight: Scaled())
    extra = method.prepare(nets, torch.from_numpy(toy_reals().copy()), rng(1))
    step = generator_step(nets, source, extra)
    assert method.generator_loss(step)[method.name].item() == 0
    with torch.no_grad():
        layer.parametrizations.weight[0].factor.fill_(1.1)
    nets.g.requires_grad_(True)
    loss = method.generator_loss(step)[method.name]
    loss.backward()
    assert loss.item() > 0 and layer.parametrizations.weight[0].factor.grad > 0


# L2-SP


def test_l2sp_is_zero_at_the_source_and_half_the_squared_distance_of_the_weights_as_used() -> None:
    nets, source = at_the_source(), toy_source().g_ema
    assert L2SP().generator_loss(generator_step(nets, source))["l2sp"].item() == 0
    nets = toy_source().copy()
    expected = 0.0
    for path, module in nets.g.named_modules():
        twin = source.get_submodule(path)
        for name, p in module.named_parameters(recurse=False):
            used = 1.0
            if isinstance(module, FullyConnected):  # lr_mult / sqrt(inputs), and lr_mult
                used = (0.01 if "mapping" in path else 1.0) / (math.sqrt(p.shape[1]) if name == "weight" else 1)
            elif isinstance(module, SynthesisLayer | ToRGB) and name == "weight":
                used = 1 / math.sqrt(p.shape[1] * p.shape[2] * p.shape[3])
            expected += (used * (p - twin.get_parameter(name)).detach().double()).square().sum().item()
    loss = L2SP(weight=0.3).generator_loss(generator_step(nets, source))["l2sp"].item()
    assert loss == pytest.approx(0.15 * expected, rel=1e-5)


def test_l2sp_pulls_each_weight_back_along_its_own_displacement() -> None:
    nets, source = toy_source().copy(), toy_source().g_ema
    nets.g.requires_grad_(True)
    L2SP().generator_loss(generator_step(nets, source))["l2sp"].backward()
    for p, q in zip(nets.g.parameters(), source.parameters(), strict=True):
        assert p.grad is not None
        torch.testing.assert_close(p.grad / p.grad.norm(), (p - q).detach() / (p - q).norm().detach())


# LeCam


def logits_step(extra: Extra, reals: list[float], fakes: list[float]) -> tuple[DiscriminatorStep, Tensor, Tensor]:
    nets = toy_source()
    real, fake = (torch.tensor(values)[:, None].requires_grad_() for values in (reals, fakes))
    images = torch.zeros(len(reals), 3, NETS.resolution, NETS.resolution)
    z = torch.zeros(len(reals), NETS.z_dim)
    return DiscriminatorStep(nets, nets.g_ema, images, images, real, fake, rng(), 0, z, extra), real, fake


def test_lecam_compares_logits_with_the_corrected_averages_of_the_other_kind() -> None:
    method = LeCam(weight=2.0, decay=0.9)
    extra = prepared(method, toy_source())
    history: list[tuple[float, float]] = []
    for reals, fakes in (([1.0, 3.0], [-2.0, 0.0]), ([0.5, 4.0], [1.0, -1.0]), ([-3.0, 2.0], [0.0, 5.0])):
        history.append((sum(reals) / 2, sum(fakes) / 2))
        shares = np.array([0.9**i for i in range(len(history))][::-1])
        real_mean, fake_mean = (shares @ np.array(history)) / shares.sum()
        terms = [max(r - fake_mean, 0) ** 2 / 2 for r in reals] + [max(real_mean - f, 0) ** 2 / 2 for f in fakes]
        loss = method.discriminator_loss(logits_step(extra, reals, fakes)[0])["lecam"]
        assert loss.item() == pytest.approx(2 * sum(terms), rel=1e-5)


def test_lecam_pulls_only_logits_on_the_far_side() -> None:
    extra = prepared(LeCam(), toy_source())
    step, real, fake = logits_step(extra, [2.0, -9.0], [-2.0, 9.0])  # means -3.5 and 3.5
    LeCam(weight=1.0).discriminator_loss(step)["lecam"].backward()
    assert real.grad is not None and fake.grad is not None
    assert real.grad.flatten().tolist() == [0, 0]  # both reals lie below the fakes' mean
    assert fake.grad.flatten().tolist() == [0, 0]
    extra = prepared(LeCam(), toy_source())
    step, real, fake = logits_step(extra, [3.0, 1.0], [-1.0, 4.0])  # means 2 and 1.5
    LeCam(weight=1.0).discriminator_loss(step)["lecam"].backward()
    assert real.grad is not None and fake.grad is not None
    assert real.grad.flatten().tolist() == pytest.approx([1.5, 0]) and fake.grad.flatten().tolist() == pytest.approx(
        [-3, 0]
    )


def test_lecams_averages_follow_the_discriminators_logits_in_training() -> None:
    state = adapt(LeCam(decay=0.5))
    averages, mass = state.extra.get_buffer("real_and_fake"), state.extra.get_buffer("mass")
    assert mass.item() == pytest.approx(0.75)  # two steps
    assert averages.isfinite().all() and averages[0] != averages[1] and (averages != 0).all()

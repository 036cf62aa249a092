"""The facts of AdAM: what it probes, which kernels it holds, and what becomes of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from benchmark.methods.adam import AdAM, Modulation, kernels
from small_nets import at_the_source, rng
from torch import Tensor
from torch.nn.utils import parametrize

from benchmark.api import Nets, adversarial_gradients
from benchmark.conformity.trial import NETS, TRAIN, changed, state_of, toy_reals, toy_source
from benchmark.stylegan2.networks import SynthesisLayer
from benchmark.training.state import State, restore_state, save_state
from benchmark.training.train import train

QUICK = AdAM(probe_steps=2, fisher_samples=2)


def reals() -> Tensor:
    return torch.from_numpy(toy_reals().copy())


def prepared(method: AdAM) -> Nets:
    nets = toy_source().copy()
    method.prepare(nets, reals(), rng(1))
    return nets


def masks(nets: Nets) -> list[Tensor]:
    """bool [O] of each convolution."""
    return [m.parametrizations.weight[0].important.flatten() for m, _ in kernels(nets)]  # type: ignore[union-attr, index]


def test_modulation_starts_as_nothing_and_holds_what_is_important() -> None:
    weight = torch.randn(3, 2, 3, 3, generator=rng()).requires_grad_(True)
    important = torch.tensor([True, False, True]).view(3, 1, 1, 1)
    modulation = Modulation(weight.detach(), important, rng())
    assert 0 < modulation.rows.abs().max() < 1e-6 and 0 < modulation.columns.abs().max() < 1e-6
    assert modulation(weight).equal(weight)
    (gradient,) = torch.autograd.grad(modulation(weight).sum(), weight)
    assert gradient.equal((~important).expand(3, 2, 3, 3).float())
    with torch.no_grad():
        modulation.rows.copy_(torch.tensor([0.5, 7.0, -1.0]).view(3, 1, 1, 1))
        modulation.columns.copy_(torch.arange(18.0).view(1, 2, 3, 3))  # a number for each channel and place
    factors = 1 + torch.tensor([0.5, 0.0, -1.0]).view(3, 1, 1, 1) * torch.arange(18.0).view(1, 2, 3, 3)
    torch.testing.assert_close(modulation(weight), weight * factors)


def test_fisher_information_is_the_squared_slope_along_each_kernel() -> None:
    """The slope along a row is the sum of columns W dL/dW over its kernel; along a column, of rows W dL/dW."""
    nets = at_the_source()
    found = AdAM(probe_steps=0, fisher_samples=1).probe(nets, reals(), rng(1))
    modulations = [m.parametrizations.weight[0] for m, _ in kernels(nets)]  # type: ignore[union-attr, index]
    plain, draw = toy_source().copy(), rng(1)
    for modulation in modulations:  # the start of each modulation is drawn first
        assert modulation.rows.equal(torch.randn(modulation.rows.shape, generator=draw) * 1e-7)
        assert modulation.columns.equal(torch.randn(modulation.columns.shape, generator=draw) * 1e-7)
    z = torch.randn(1, NETS.z_dim, generator=draw)
    real = reals()[torch.randint(16, (1,), generator=draw)] / 127.5 - 1
    weights = [m.weight.requires_grad_(True) for m, _ in kernels(Nets(plain.g_ema, plain.g_ema, plain.d))]  # type: ignore[union-attr, operator]
    fake = plain.d(plain.g_ema(z, rng=draw))
    count = len(found[0])
    by_g = torch.autograd.grad(F.softplus(-fake).mean(), weights[:count], retain_graph=True)
    by_d = torch.autograd.grad((F.softplus(fake) + F.softplus(-plain.d(real))).mean(), weights[count:])
    everything = zip([*found[0], *found[1]], [*by_g, *by_d], weights, modulations, strict=True)
    for fisher, slope, weight, modulation in everything:
        product = weight * slope
        of_rows = (product * modulation.columns).sum(dim=(1, 2, 3)).square()
        of_columns = (product * modulation.rows).sum(dim=0).square().mean()
        torch.testing.assert_close(fisher.flatten(), of_rows + of_columns, rtol=1e-2, atol=0)
        assert fisher.max() > 0


@pytest.mark.parametrize("quantile", [0.0, 0.25, 0.75, 1.0])
def test_the_share_of_modulated_kernels_is_what_the_quantile_leaves_in_each_network(quantile: float) -> None:
    nets = prepared(QUICK.model_copy(update={"quantile": quantile}))
    chosen = masks(nets)
    count = sum(isinstance(m, SynthesisLayer) for m, _ in kernels(nets))
    for part in (torch.cat(chosen[:count]), torch.cat(chosen[count:])):
        free = (~part).float().mean().item()
        assert max(quantile, 1 / len(part)) - 0.02 <= free <= quantile + 2 / len(part)


def test_probing_adapts_and_depends_on_the_reals_but_leaves_the_networks() -> None:
    source = at_the_source()
    before = state_of(source.g, source.g_ema, source.d)
    copies = source.copy()
    one = QUICK.model_copy(update={"probe_decay": 0.0}).probe(copies, reals(), rng(1))
    adapted = [m.parametrizations.weight[0].rows.abs().max().item() for m, _ in kernels(copies)]  # type: ignore[union-attr, index]
    assert min(adapted) > 1e-4
    other = QUICK.probe(source.copy(), 255 - reals(), rng(1))
    assert any(not a.equal(b) for a, b in zip(one[1], other[1], strict=True))
    assert changed(before, source.g, source.g_ema, source.d) == []
    nets = prepared(QUICK)
    for (module, _), (twin, _) in zip(kernels(nets), kernels(source), strict=True):
        raw = dict(source.g.named_modules()).values()
        if all(twin is not m for m in raw):
            assert module.weight.equal(twin.weight)  # type: ignore[operator, arg-type]
    for path, module in source.g_ema.named_modules():
        if hasattr(module, "noise_strength") and "b4." not in path:  # the loop gives frozen layers their average
            assert nets.g.get_submodule(path).weight.equal(module.weight)  # type: ignore[operator, arg-type]


def test_in_the_shipped_networks_important_kernels_differ_from_the_source_by_rank_one() -> None:
    nets = toy_source().copy()
    held: list[Tensor] = []
    fast = TRAIN.model_copy(update={"lr_g": 0.1, "lr_d": 0.1})  # the change is a product of two vectors
    train(nets, toy_reals(), QUICK, fast, ("adam", 0), on_step=lambda s: held.__setitem__(slice(None), masks(s.nets)))
    plain = toy_source()
    assert changed(state_of(plain.g_ema), nets.g_ema)
    assert nets.state_dict().keys() == plain.state_dict().keys()
    pairs = zip(kernels(nets), kernels(Nets(plain.g_ema, plain.g_ema, plain.d)), held, strict=True)
    others = 0.0
    for (module, _), (origin, _), important in pairs:
        factors = module.weight / origin.weight - 1  # type: ignore[operator]
        ours, theirs = factors[important], factors[~important]
        if len(ours):
            assert ours.abs().max() > 1e-4
            values = torch.linalg.svdvals(ours.flatten(1))
            assert values[1:].numel() == 0 or values[1] < 1e-3 * max(1.0, values[0].item())
        if len(theirs):
            others = max(others, torch.linalg.svdvals(theirs.flatten(1))[1:].sum().item())
    assert others > 0.01


def test_a_training_that_was_interrupted_ends_the_same(tmp_path: Path) -> None:
    path = tmp_path / "state"

    def run(**hooks: object) -> State:
        return train(toy_source().copy(), toy_reals(), QUICK, TRAIN, ("adam", 0), **hooks)  # type: ignore[arg-type]

    whole = run(on_step=lambda s: save_state(path, s, "key") if s.step == 1 else None)
    rest = run(restore=lambda s: restore_state(path, s, "key"))
    ends = [(s.nets.g, s.nets.g_ema, s.nets.d) for s in (whole, rest)]
    assert changed(state_of(*ends[0]), *ends[1]) == []


def test_the_columns_of_a_layer_add_their_mean_to_each_of_its_kernels_and_the_averages_are_probed() -> None:
    """Against a probing that is written out: two steps, averages with decay 1/2, Fisher of rows and columns."""
    method = AdAM(probe_steps=2, fisher_samples=1, probe_decay=0.5, probe_lr=0.05)
    found = method.probe(nets := at_the_source(), reals(), rng(1))
    modules = [m.parametrizations.weight[0] for m, _ in kernels(nets)]  # type: ignore[union-attr, index]
    assert all(m.columns.abs().max() > 1e-6 for m in modules)  # columns have left 0, but less far than in two steps
    assert all(m.columns.abs().max() < 0.1 * 0.75 + 0.01 for m in modules)
    fisher = torch.cat([f.flatten() for f in found[0]])
    rows_alone = AdAM(probe_steps=0, fisher_samples=1).probe(at_the_source(), reals(), rng(1))
    assert not fisher.equal(torch.cat([f.flatten() for f in rows_alone[0]]))
    plain, draw = toy_source().copy(), rng(1)
    for m in modules:
        torch.randn(m.rows.shape, generator=draw), torch.randn(m.columns.shape, generator=draw)
    last = plain.d.b4.out.weight.requires_grad_(True)
    for _ in range(2):  # what the steps drew
        adversarial_gradients(plain, ([plain.g.synthesis.b4.const.requires_grad_(True)], [last]), reals(), 4, draw)
    z = torch.randn(1, NETS.z_dim, generator=draw)
    torch.randint(16, (1,), generator=draw)
    with parametrize.cached():
        weights = [m.weight for m, _ in kernels(nets) if isinstance(m, SynthesisLayer)]
        by_weight = torch.autograd.grad(F.softplus(-nets.d(nets.g(z, rng=draw))).mean(), weights)
    for module, f, slope, (layer, _) in zip(modules, found[0], by_weight, kernels(nets), strict=False):
        base = layer.parametrizations.weight.original  # type: ignore[union-attr]
        along_rows = (slope * base * module.columns).sum(dim=(1, 2, 3)).double().square()
        along_columns = (slope * base * module.rows).sum(dim=0).double().square()
        torch.testing.assert_close(f.flatten().double(), along_rows + along_columns.mean(), rtol=1e-3, atol=1e-12)


def test_what_the_authors_hold_is_held() -> None:
    nets = prepared(QUICK)
    frozen = {id(p) for p in QUICK.frozen(nets)}
    names = {
        n for net, part in ((nets.g, "g"), (nets.d, "d")) for n, p in net.named_parameters(part) if id(p) in frozen
    }
    held = ("g.mapping.", "g.synthesis.b4.", "d.b32.fromrgb.")
    everything = {n for net, part in ((nets.g, "g"), (nets.d, "d")) for n, _ in net.named_parameters(part)}
    assert names == {n for n in everything if n.startswith(held) or ".torgb." in n}

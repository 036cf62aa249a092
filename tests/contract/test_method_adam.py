"""The facts of AdAM: what it probes, which kernels it holds, and what becomes of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from benchmark.methods.adam import AdAM, Modulation, kernels
from torch import Tensor

from benchmark.api import Nets
from benchmark.conformity.trial import NETS, TRAIN, changed, state_of, toy_reals, toy_source
from benchmark.training.state import State, restore_state, save_state
from benchmark.training.train import train

QUICK = AdAM(probe_steps=2, fisher_samples=2)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


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
    modulation = Modulation(weight.detach(), important)
    assert modulation(weight).equal(weight)
    (gradient,) = torch.autograd.grad(modulation(weight).sum(), weight)
    assert gradient.equal((~important).expand(3, 2, 3, 3).float())
    with torch.no_grad():
        modulation.rows.copy_(torch.tensor([0.5, 7.0, -1.0]).view(3, 1, 1, 1))
        modulation.columns.copy_(torch.tensor([1.0, 2.0]).view(1, 2, 1, 1))
    factors = torch.tensor([[1.5, 2.0], [1.0, 1.0], [0.0, -1.0]])
    torch.testing.assert_close(modulation(weight), weight * factors[:, :, None, None])


def test_fisher_information_is_the_squared_slope_along_each_kernel() -> None:
    """A row's unit changes its kernel by itself, as long as columns are 1: the slope is the sum of W dL/dW."""
    found = AdAM(probe_steps=0, fisher_samples=1).probe(toy_source().copy(), reals(), rng(1))
    plain, draw = toy_source().copy(), rng(1)
    z = torch.randn(1, NETS.z_dim, generator=draw)
    real = reals()[torch.randint(16, (1,), generator=draw)] / 127.5 - 1
    weights = [m.weight.requires_grad_(True) for m, _ in kernels(Nets(plain.g_ema, plain.g_ema, plain.d))]  # type: ignore[union-attr, operator]
    fake = plain.d(plain.g_ema(z, rng=draw))
    count = len(found[0])
    by_g = torch.autograd.grad(F.softplus(-fake).mean(), weights[:count], retain_graph=True)
    by_d = torch.autograd.grad((F.softplus(fake) + F.softplus(-plain.d(real))).mean(), weights[count:])
    for part, slopes, kernel in zip(found, (by_g, by_d), (weights[:count], weights[count:]), strict=True):
        for fisher, slope, weight in zip(part, slopes, kernel, strict=True):
            torch.testing.assert_close(
                fisher.flatten(), (weight * slope).sum(dim=(1, 2, 3)).square(), rtol=1e-3, atol=1e-9
            )
        assert any(f.max() > 0 for f in part)


@pytest.mark.parametrize("quantile", [0.0, 0.25, 0.75, 1.0])
def test_the_share_of_modulated_kernels_is_what_the_quantile_leaves_in_each_network(quantile: float) -> None:
    nets = prepared(QUICK.model_copy(update={"quantile": quantile}))
    chosen = masks(nets)
    count = sum(len(block.layers) for block in nets.g.synthesis.blocks.values())
    for part in (torch.cat(chosen[:count]), torch.cat(chosen[count:])):
        free = (~part).float().mean().item()
        assert max(quantile, 1 / len(part)) - 0.02 <= free <= quantile + 2 / len(part)


def test_probing_adapts_and_depends_on_the_reals_but_leaves_the_networks() -> None:
    source = toy_source().copy()
    before = state_of(source.g, source.g_ema, source.d)
    copies = source.copy()
    one = QUICK.probe(copies, reals(), rng(1))
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
        if hasattr(module, "noise_strength"):
            assert nets.g.get_submodule(path).weight.equal(module.weight)  # type: ignore[operator, arg-type]


def test_in_the_shipped_networks_important_kernels_differ_from_the_source_by_rank_one() -> None:
    nets = toy_source().copy()
    held: list[Tensor] = []
    train(nets, toy_reals(), QUICK, TRAIN, ("adam", 0), on_step=lambda s: held.__setitem__(slice(None), masks(s.nets)))
    plain = toy_source()
    assert changed(state_of(plain.g_ema), nets.g_ema)
    assert nets.state_dict().keys() == plain.state_dict().keys()
    pairs = zip(kernels(nets), kernels(Nets(plain.g_ema, plain.g_ema, plain.d)), held, strict=True)
    others = 0.0
    for (module, _), (origin, _), important in pairs:
        factors = module.weight / origin.weight - 1  # type: ignore[operator]
        ours, theirs = factors[important], factors[~important]
        if len(ours):
            assert (ours - ours[:, :, :1, :1]).abs().max() < 1e-3  # one factor for all of k x k
            assert ours.abs().max() > 1e-4
            values = torch.linalg.svdvals(ours[:, :, 0, 0])
            assert values[1:].numel() == 0 or values[1] < 1e-3 * max(1.0, values[0].item())
        if len(theirs):
            others = max(others, (theirs - theirs[:, :, :1, :1]).abs().max().item())
    assert others > 0.01


def test_a_training_that_was_interrupted_ends_the_same(tmp_path: Path) -> None:
    path = tmp_path / "state"

    def run(**hooks: object) -> State:
        return train(toy_source().copy(), toy_reals(), QUICK, TRAIN, ("adam", 0), **hooks)  # type: ignore[arg-type]

    whole = run(on_step=lambda s: save_state(path, s, "key") if s.step == 1 else None)
    rest = run(restore=lambda s: restore_state(path, s, "key"))
    ends = [(s.nets.g, s.nets.g_ema, s.nets.d) for s in (whole, rest)]
    assert changed(state_of(*ends[0]), *ends[1]) == []

"""Facts of RICK, WeditGAN, LoRA, LFS-GAN, GenDA, AdaFM, MixDL: what trains, what is held, and their formulas."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from benchmark.methods.adafm import AdaFM
from benchmark.methods.adam import AdAM
from benchmark.methods.finetune_augmented import FinetuneAugmented
from benchmark.methods.genda import GenDA
from benchmark.methods.lfs_gan import LFSGAN, mode_seeking
from benchmark.methods.lora import LoRA
from benchmark.methods.mixdl import MixDL, distance, similarities
from benchmark.methods.rick import RICK, judged
from benchmark.methods.weditgan import WeditGAN
from scipy.special import softmax
from small_nets import CFG, TRAIN, count, generator_step, moved, prepared, reals, rng, source, trained
from torch import Tensor, nn

from benchmark.api import DiscriminatorStep, Extra, GeneratorStep, Method, Nets, Turn, added, fisher_information
from benchmark.errors import ConfigError, MethodError
from benchmark.registry import find_method
from benchmark.running.plan import budgeted
from benchmark.stylegan2 import Generator
from benchmark.stylegan2.networks import minibatch_std
from benchmark.suites import load_suites
from benchmark.training.train import train

SMALL_RICK = RICK(warmup_steps=2, samples=4, every=2, quantile=0.6, prune=0.1)


# WeditGAN


def test_weditgan_trains_an_offset_of_w_for_each_layer_and_nothing_else_of_g() -> None:
    nets, _, g, d = prepared(WeditGAN())
    layers = [m for m in nets.g.modules() if hasattr(m, "affine")]
    assert [p.shape for p in g] == [(CFG.w_dim,)] * len(layers) and len(layers) == 5 + 3
    assert count(d) == count(list(nets.d.parameters()))
    offsets = moved(source().g_ema, trained(WeditGAN()).g_ema)
    assert offsets == {n for n, _ in source().g.named_parameters() if n.endswith(".affine.bias")}


def test_weditgans_bias_is_what_an_offset_of_w_gives() -> None:
    nets, _, g, _ = prepared(WeditGAN())
    before, w = source().g_ema, torch.randn(3, CFG.w_dim, generator=rng(4))
    with torch.no_grad():
        for p in g:
            p.normal_(generator=rng(5))
    for name, layer in nets.g.synthesis.named_modules():
        if name.endswith(".affine"):
            delta = layer.get_parameter("parametrizations.bias.0.delta")
            torch.testing.assert_close(layer(w), before.synthesis.get_submodule(name)(w + delta))


# LoRA


@pytest.mark.parametrize("rank", [1, 3])
def test_loras_change_is_of_low_rank_in_each_weight(rank: int) -> None:
    before, after = source().g_ema, trained(LoRA(rank=rank)).g_ema
    for name, old in before.named_parameters():
        change = (after.get_parameter(name) - old).detach()
        if not name.endswith(".weight"):  # biases of dense layers train, all else stays
            assert change.eq(0).all() != (".affine.bias" in name or "mapping." in name), name
        else:
            flat = change.double().flatten(2).permute(2, 0, 1) if change.ndim == 4 else change.double()[None]
            assert change.ne(0).any(), name
            ranks = torch.linalg.matrix_rank(flat, atol=1e-5 * float(old.abs().max()), rtol=0.0)  # float32 is rounded
            assert ranks.max() <= rank, name  # also at every place of a kernel


def test_loras_change_is_alpha_b_a_in_stored_weights_of_mapping_layers_too() -> None:
    """`LoRAFC` of model_colorgan.py: w + lora_alpha_fc * lora_B lora_A^T, before the layer's gain."""
    nets, _, _, _ = prepared(LoRA(rank=2, alpha=0.5))
    for name in ("fc0", "fc1"):
        layer, old = (g.mapping.get_submodule(name) for g in (nets.g, source().g_ema))
        made = layer.parametrizations.weight[0]
        assert old.weight.square().mean().sqrt() > 50, "stored a hundred times larger than used"
        with torch.no_grad():
            made.b.normal_(generator=rng(2))
        expected = 0.5 * made.b.double() @ made.a.double().t()
        torch.testing.assert_close((layer.weight - old.weight).double(), expected, rtol=1e-3, atol=1e-3)


def test_loras_parameters_are_those_of_color_gan() -> None:
    _, _, g, _ = prepared(LoRA(rank=2))
    shapes = [tuple(m.weight.shape) for m in source().g.modules() if isinstance(getattr(m, "weight", None), Tensor)]
    dense = sum(2 * sum(s) + s[0] for s in shapes if len(s) == 2)  # and the biases
    assert count(g) == dense + sum(2 * (s[0] + s[1]) + 4 * s[2] * s[3] for s in shapes if len(s) == 4)


# LFS-GAN


def test_lfs_gan_multiplies_weights_by_rank_one_factors() -> None:
    nets, _, g, _ = prepared(LFSGAN(samples=4, centres=2, patch_px=32))
    with torch.no_grad():
        for p in added(nets.g):
            p.normal_(generator=rng(7))
    layer, before = nets.g.synthesis.b8.conv0, source().g_ema.synthesis.b8.conv0.weight
    out, into, place = (p.flatten() for p in layer.parametrizations.weight[0].factors)
    assert (len(out), len(into), len(place)) == (10, 10, 9)
    expected = before * torch.einsum("ok,i->oik", torch.relu(torch.outer(out, place)), into).view_as(before)
    torch.testing.assert_close(layer.weight, expected)
    dense, old = nets.g.mapping.fc0, source().g_ema.mapping.fc0
    out, into = (p.flatten() for p in dense.parametrizations.weight[0].factors)
    torch.testing.assert_close(dense.weight, old.weight * torch.outer(out, into))
    of_bias = dense.parametrizations.bias[0]
    torch.testing.assert_close(dense.bias, old.bias * of_bias.factors[0] + of_bias.factors[1])
    assert {id(p) for p in g} == {id(p) for p in added(nets.g)}


def test_lfs_gans_mode_seeking_is_the_published_ratio() -> None:
    z, w, image = (torch.randn(5, *s, generator=rng(i)) for i, s in enumerate([(8,), (12,), (3, 4, 4)]))
    features, nearest = [torch.randn(5, 6, 2, 2, generator=rng(9)), image[:, :2] * 3], torch.tensor([0, 2, 0, 2, 2])

    def apart(x: Tensor, i: int, j: int) -> float:
        return float(np.abs(x[i].numpy() - x[j].numpy()).mean())

    total = 0.0
    for i, j in ((0, 2), (1, 3), (1, 4), (3, 4)):
        total += apart(w, i, j) / apart(z, i, j) + apart(image, i, j) / apart(w, i, j)
        total += sum(apart(f, i, j) for f in features) / 2 / apart(w, i, j)
    assert mode_seeking(z, w, features, image, nearest).item() == pytest.approx(1 / (total / 2 + 1e-5), rel=1e-5)
    assert mode_seeking(z, w, features, image, torch.arange(5)).item() == 0  # no two alike: nothing to drive apart


def test_lfs_gan_gathers_samples_around_other_training_images_in_each_update(monkeypatch: pytest.MonkeyPatch) -> None:
    method = LFSGAN(samples=4, centres=4, patch_px=32)
    nets, extra, _, _ = prepared(method)
    kept = extra.get_buffer("reals")
    assert kept.dtype == torch.uint8 and len({tuple(x.flatten().tolist()) for x in kept}) == 8
    seen: list[Tensor] = []
    features = nets.d.features
    monkeypatch.setattr(nets.d, "features", lambda x: seen.append(x) or features(x))  # type: ignore[func-returns-value]
    step = generator_step(nets, source().g_ema, extra)
    for _ in range(4):
        method.generator_loss(step)
    chosen = [[int((kept.float() / 127.5 - 1 - x).abs().amax(dim=(1, 2, 3)).argmin()) for x in s] for s in seen[1::2]]
    assert all(len(set(four)) == 4 for four in chosen) and len(set(map(tuple, chosen))) > 1


def test_lfs_gans_loss_reaches_the_factors_and_leaves_d_alone() -> None:
    method = LFSGAN(samples=6, centres=2, patch_px=32)
    nets, extra, g, d = prepared(method)
    for p in [*g, *d]:
        p.requires_grad_(True)
    step = generator_step(nets, source().g_ema, extra)
    method.generator_loss(step)["mode_seeking"].backward()
    assert any(p.grad is not None and p.grad.ne(0).any() for p in g)
    assert all(p.grad is None for p in d)


# GenDA


def test_genda_trains_a_scale_and_a_shift_of_z_and_ds_last_layer() -> None:
    nets, _, g, d = prepared(GenDA())
    assert sorted(p.numel() for p in g) == [CFG.z_dim, CFG.z_dim]
    assert {id(p) for p in d} == {id(p) for p in nets.d.b4.out.parameters()}
    assert moved(source().g_ema, trained(GenDA()).g_ema) == {"mapping.miner.fc0.weight", "mapping.miner.fc0.bias"}
    assert moved(source().d, trained(GenDA()).d) == {"b4.out.weight", "b4.out.bias"}
    assert not nets.d.b4.out.weight.equal(source().d.b4.out.weight), "the classifier is a new one"


def test_gendas_adaptor_is_elementwise_and_starts_as_the_identity() -> None:
    nets, _, _, _ = prepared(GenDA())
    miner, z = nets.g.mapping.miner, torch.randn(3, CFG.z_dim, generator=rng(4))
    assert miner is not None and miner(z).equal(z)
    scale, shift = miner.get_parameter("fc0.parametrizations.weight.0.scale"), miner.get_parameter("fc0.bias")
    with torch.no_grad():
        scale.normal_(generator=rng(5)), shift.normal_(generator=rng(6))
    torch.testing.assert_close(miner(z), (1 + scale) * z + shift)
    weight = trained(GenDA()).g_ema.mapping.get_parameter("miner.fc0.weight")
    assert weight.diag().ne(0).all() and (weight - torch.diag(weight.diag())).eq(0).all()


def test_genda_truncates_fakes_while_it_trains_and_no_other_method_does() -> None:
    seen: list[float] = []

    class Mapped(GenDA):
        def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
            g = step.nets.g
            whole, narrow = (g.mapping(step.z, psi=psi) for psi in (1.0, self.psi))
            fakes, images = [g.synthesis(w, "none")[0].detach() for w in (whole, narrow)], step.images.detach()
            seen.append(float((fakes[1] - images).abs().mean() - (fakes[0] - images).abs().mean()))
            return {}

    nets = source().copy()
    for block in nets.g_ema.synthesis.blocks.values():
        for name in block.layers:  # without noise, images can be told by their latents
            block.get_submodule(name).noise_strength.data.zero_()
    train(nets, reals(), Mapped(psi=0.3), TRAIN.model_copy(update={"style_mixing": 0.0}), ("psi", 0))
    assert len(seen) == 3 and max(seen) < -1e-3
    assert find_method("finetune")().truncation == 1 and GenDA(psi=0.3).truncation == 0.3


def test_gendas_source_cannot_have_a_miner_already() -> None:
    with pytest.raises(MethodError, match="has a miner already"):
        GenDA().prepare(trained(GenDA()).copy(), torch.from_numpy(reals()), rng())


# AdaFM


def test_adafm_modulates_fine_filters_and_holds_what_is_near_the_image() -> None:
    method = AdaFM(g_blocks=1)
    nets, _, g, _ = prepared(method)
    fine = nets.g.synthesis.b16
    assert count([p for p in g if any(p is q for q in fine.parameters())]) == 2 * (10 * 6 + 6 * 6)
    changed = {net: moved(getattr(source(), net), getattr(trained(method), net)) for net in ("g_ema", "d")}
    assert {n for n in changed["g_ema"] if ".b16." in n} == {
        "synthesis.b16.conv0.weight",
        "synthesis.b16.conv1.weight",
    }
    assert {n for n, _ in source().g.named_parameters() if ".b16." not in n} <= changed["g_ema"]
    assert all(not n.startswith("b16.") for n in changed["d"]) and changed["d"]


def test_adafm_is_gamma_times_the_filter_plus_beta() -> None:
    nets, _, _, _ = prepared(AdaFM(g_blocks=1))
    layer, old = nets.g.synthesis.b16.conv0, source().g_ema.synthesis.b16.conv0.weight
    made = layer.parametrizations.weight[0]
    with torch.no_grad():
        made.gamma.normal_(generator=rng(1)), made.beta.normal_(generator=rng(2))
    for o, i in ((0, 0), (5, 9), (3, 2)):
        torch.testing.assert_close(layer.weight[o, i], old[o, i] * (1 + made.gamma[o, i]) + made.beta[o, i])


@pytest.mark.parametrize("field", ["g_blocks", "d_blocks"])
def test_adafm_leaves_the_coarsest_block_to_train(field: str) -> None:
    AdaFM(**{field: 3}).check({"resolution": 32, "d_layers": 10})
    with pytest.raises(ConfigError, match=rf"adafm\.{field}=4: this source has 4 blocks"):
        AdaFM(**{field: 4}).check({"resolution": 32, "d_layers": 10})


# MixDL


def test_mixdls_distance_is_the_divergence_of_soft_maxes() -> None:
    similar, shares = torch.randn(3, 4, generator=rng(1)), torch.rand(3, 4, generator=rng(2))
    p, q = softmax(shares.double().numpy(), axis=1), softmax(similar.double().numpy(), axis=1)
    assert distance(similar, shares).item() == pytest.approx((p * np.log(p / q)).sum(axis=1).mean(), rel=1e-5)


def test_mixdls_shares_are_a_dirichlet_draw_and_mix_w() -> None:
    method = MixDL(samples=4)
    nets, extra, _, _ = prepared(method)
    z = torch.randn(4, CFG.z_dim, generator=rng(6))
    shares, ws, mixed = method.mixed(GeneratorStep(nets, source().g_ema, z, None, z, rng(8), 0, extra))
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(4))
    torch.testing.assert_close(mixed[2], sum(shares[2, m] * ws[m] for m in range(4)))
    many = torch.cat([method.mixed(GeneratorStep(nets, nets.g, z, None, z, rng(i), 0))[0] for i in range(200)])
    assert many.mean(dim=0).tolist() == pytest.approx([0.25] * 4, abs=0.03)
    assert float(many.var()) == pytest.approx(3 / 80, rel=0.15)  # of Dirichlet(1, 1, 1, 1): a (s - a) / s^2 (s + 1)


def test_mixdl_gives_g_and_d_a_loss_each_in_every_second_step_and_neither_the_others() -> None:
    method = MixDL(samples=4)
    nets, extra, g, d = prepared(method)
    z, images = torch.randn(4, CFG.z_dim, generator=rng(6)), torch.randn(4, 3, 16, 16, generator=rng(7))
    for p in [*g, *d]:
        p.requires_grad_(True)
    step = replace(generator_step(nets, source().g_ema, extra, images), index=1)
    method.generator_loss(step)["generator_mixture"].backward()
    assert any(p.grad is not None for p in g) and all(p.grad is None for p in d)
    for p in g:
        p.grad = None
    logits = torch.zeros(4, 1)
    step_d = DiscriminatorStep(nets, source().g_ema, images, images, logits, logits, rng(8), 0, z, extra, 3)
    method.discriminator_loss(step_d)["discriminator_mixture"].backward()
    assert all(p.grad is None for p in g) and nets.d.b4.fc.weight.grad is not None
    assert method.generator_loss(replace(step, index=2)) == {} == method.discriminator_loss(replace(step_d, index=0))
    assert [MixDL(every=3).acts(replace(step, index=i)) for i in range(6)] == [False, False, True] * 2


def test_mixdls_discriminator_compares_what_its_first_dense_layer_makes() -> None:
    """The code's final_linear[0], on the parts and the mixtures as one batch."""
    method = MixDL(samples=4, discriminator_weight=3.0)
    nets, extra, _, _ = prepared(method)
    z = torch.randn(4, CFG.z_dim, generator=rng(6))
    step = DiscriminatorStep(nets, source().g_ema, z, z, z, z, rng(8), 0, z, extra, 1)
    loss = method.discriminator_loss(step)["discriminator_mixture"]
    shares, ws, mixed = method.mixed(replace(step, rng=rng(8)))
    maps = nets.d.features(torch.cat([nets.g.synthesis(w, "const")[0] for w in (ws, mixed)]))[1][4]
    head = nets.d.b4
    vectors = head.fc(head.conv(minibatch_std(maps, CFG.mbstd_group)).flatten(1))
    expected = 3 * distance(similarities(vectors[4:], vectors[:4]), shares)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5) and not nets.d.b4.fc._forward_hooks


# RICK


def parts(net: nn.Module) -> list[tuple[nn.Module, str]]:
    return [(layer, name) for _, layer, names in judged(net) for name in names]


def fates(net: nn.Module) -> list[Tensor]:
    """What each row's fate is, part by part: 0 trains, 1 is held, 2 is pruned."""
    return [layer.get_buffer(f"parametrizations.{name}.0.fate") for layer, name in parts(net)]


def test_rick_decides_by_the_quantiles_of_fisher_information_in_each_group() -> None:
    nets, extra, _, _ = prepared(SMALL_RICK)
    plain = source().copy()
    for net in (plain.g_ema, plain.d):
        net.requires_grad_(True)
    g, d = plain.g_ema.synthesis, plain.d
    layers = [g.b8.conv0, g.b8.conv1, g.b16.conv0, g.b16.conv1]
    convolutions = [[m.weight] for m in layers]
    rows = [[m.affine.weight, m.affine.bias] for m in layers]
    of_d = [p for b in (d.b16, d.b8) for p in ([b.conv0.weight, b.conv0.bias], [b.conv1.weight, b.conv1.bias])]
    of_d = [*of_d[:2], [d.b16.skip.weight], *of_d[2:], [d.b8.skip.weight]]
    z, x = extra.get_buffer("z"), extra.get_buffer("reals")
    for net, begin, groups in ((nets.g, 0, convolutions), (nets.g_ema, 4, rows), (nets.d, 0, of_d)):
        flat = [p for row in groups for p in row]
        weights = ([layers[0].weight], flat) if net is nets.d else (flat, [d.b8.skip.weight])
        found = iter(fisher_information(plain.g_ema, plain.d, weights, z, x)[net is nets.d])
        means = [[next(found).flatten(1).mean(1) if p.ndim > 1 else next(found) for p in row] for row in groups]
        values = np.concatenate([sum(row).numpy() / len(row) for row in means])  # type: ignore[union-attr, arg-type]
        found_fates = iter(fates(net)[begin:])
        by_row = [[next(found_fates) for _ in row] for row in groups]
        for i in range(len(groups[0])):
            fate = torch.cat([row[min(i, len(row) - 1)] for row in by_row]).numpy()
            assert (fate == 2).tolist() == (values <= np.quantile(values, 0.1)).tolist()
            assert (fate == 1).tolist() == (values > np.quantile(values, 0.6)).tolist()
            assert {0, 1, 2} == set(fate.tolist())


def test_rick_holds_what_the_authors_optimiser_leaves_out() -> None:
    changed = {net: moved(getattr(source(), net), getattr(trained(SMALL_RICK), net)) for net in ("g_ema", "d")}
    kinds = {n.split(".", 2)[-1] for n in changed["g_ema"]}
    assert not any(n.startswith(("mapping", "synthesis.b4")) or "torgb" in n for n in changed["g_ema"])
    assert {"conv0.weight", "conv0.bias", "conv0.noise_strength", "conv1.affine.weight"} <= kinds
    assert not any("fromrgb" in n for n in changed["d"]) and {"b4.conv.weight", "b16.skip.weight"} <= changed["d"]


def test_fisher_information_is_the_mean_of_single_samples_squared_gradients() -> None:
    nets = source().copy()
    for net in (nets.g, nets.d):
        net.requires_grad_(True)
    one, two = nets.g.synthesis.b8.conv0.weight, nets.d.b8.conv0.weight
    z = torch.randn(3, CFG.z_dim, generator=rng(1))
    images = torch.from_numpy(reals()[:3])
    found = fisher_information(nets.g, nets.d, ([one], [two]), z, images)
    expected = [torch.zeros_like(one), torch.zeros_like(two)]
    for i in range(3):
        fake = nets.d(nets.g(z[i : i + 1], noise="const"))
        real = nets.d(images[i : i + 1].float() / 127.5 - 1)
        losses = -torch.sigmoid(fake).log().sum(), (-torch.sigmoid(-fake).log() - torch.sigmoid(real).log()).sum()
        for total, loss, weight in zip(expected, losses, (one, two), strict=True):
            total += torch.autograd.grad(loss, weight, retain_graph=True)[0] ** 2 / 3
    for a, b in zip((found[0][0], found[1][0]), expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("part", [0, 4, 5])
def test_rick_holds_prunes_and_trains_rows_by_their_fate(part: int) -> None:
    """A convolution's, and an affine layer's with its bias."""
    nets, _, _, _ = prepared(SMALL_RICK)
    layer, name = parts(nets.g)[part]
    fates(nets.g)[part].copy_(torch.tensor([0, 1, 2] + [0] * 7, dtype=torch.uint8))
    raw = layer.get_parameter(f"parametrizations.{name}.original").requires_grad_(True)
    value = getattr(layer, name)
    value.square().sum().backward()
    touched = raw.grad.flatten(1).abs().sum(dim=1) > 0 if raw.ndim > 1 else raw.grad.abs() > 0
    assert touched.tolist() == [True, False, False] + [True] * 7
    assert value[2].eq(0).all() and value[1].equal(raw[1])


def test_rick_prunes_for_good_and_again_in_every_estimate() -> None:
    history: list[dict[str, list[Tensor]]] = []

    class Watched(RICK):
        def after_step(self, turn: Turn) -> None:
            super().after_step(turn)
            history.append({name: [f.clone() for f in fates(getattr(turn.nets, name))] for name in ("g", "g_ema", "d")})

    nets = source().copy()
    longer = TRAIN.model_copy(update={"kimg": 0.02})
    train(nets, reals(), Watched.model_validate(dict(SMALL_RICK)), longer, ("rick", 0))
    pruned = [int(torch.cat([*h["g"], *h["d"]]).eq(2).sum()) for h in history]
    assert len(pruned) == 5 and pruned[0] > 0
    assert sorted(pruned) == pruned and pruned[0] < pruned[1] == pruned[2], "an estimate every second step"
    for old, new in pairwise(history):
        assert all(b.eq(2)[a.eq(2)].all() for net in old for a, b in zip(old[net], new[net], strict=True))
    for net in (nets.g, nets.g_ema):  # in what is evaluated and shipped, too
        for (layer, name), fate in zip(parts(net), history[-1]["g"], strict=True):
            assert layer.get_parameter(name)[fate.eq(2)].eq(0).all()


def test_rick_decides_first_after_ds_head_was_warmed_up_with_r1() -> None:
    """In the authors' code R1 acts in the warm-up, too."""
    heads: list[dict[str, Tensor]] = []

    class Watched(RICK):
        def decide(self, nets: Nets, extra: Extra) -> None:
            heads.append({n: p.clone() for n, p in nets.d.b4.named_parameters()})
            super().decide(nets, extra)

    once = {"kimg": 0.004, "r1_gamma": 10.0, "r1_every": 1}
    for steps, changes in ((0, {}), (3, {}), (3, {"r1_gamma": 0.0})):
        fields = dict(SMALL_RICK) | {"warmup_steps": steps}
        cfg = TRAIN.model_copy(update=once | changes)
        train(source().copy(), reals(), Watched.model_validate(fields), cfg, ("rick", 0))
    cold, warm, bold = heads
    assert all(p.equal(cold[n]) for n, p in source().d.b4.named_parameters())
    assert not any(warm[n].equal(cold[n]) for n in cold) and not bold["fc.weight"].equal(warm["fc.weight"])


# AdAM, AdaFM


@pytest.mark.parametrize("method", [AdaFM(g_blocks=1), AdAM(probe_steps=1, fisher_samples=1)], ids=lambda m: m.name)
def test_what_neither_is_reparametrised_nor_held_starts_at_the_sources_average_too(method: Method) -> None:
    nets, _, _, _ = prepared(method)
    z = torch.randn(2, CFG.z_dim, generator=rng(4))
    assert nets.g(z, noise="const").equal(source().g_ema(z, noise="const"))
    assert not source().g(z, noise="const").equal(source().g_ema(z, noise="const"))


# All of them in the suites of the field


def test_the_average_forgets_the_source_within_every_budget_of_the_few_shot_suites() -> None:
    """Of a training that is shorter than three half-lives of the average, more than an eighth would be the source."""
    found = {}
    names = ("fewshot", "fewshot-ffhq", "fewshot-church")
    for suite, methods in (pair for name in names for pair in load_suites(name)):
        assert {"minegan", "rick", "jojogan", "cdc"} <= set(suite.methods), suite.name
        for method in methods:
            cfg = method.training().settings(budgeted(suite, method).train)
            found[suite.name, method.name] = cfg.kimg / cfg.ema_kimg
    assert len(found) > 100 and {key for key, lives in found.items() if lives < 3} == set()


# Fine-tuning with an augmentation of its own


def test_an_augmented_method_augments_whatever_the_suite_says() -> None:
    def after(method: Method, augment: str) -> Generator:
        nets = source().copy()
        settings = {"augment": augment, "ada_kimg": 0.001, "ada_target": 0.0}
        train(nets, reals(), method, TRAIN.model_copy(update={**settings, "kimg": 0.04}), ("augment", 0))
        return nets.g_ema

    plain = find_method("finetune")()
    for pipe in ("ada", "apa", "diffaug"):
        own, suites = after(FinetuneAugmented(pipe=pipe), "none"), after(plain, pipe)
        assert all(a.equal(b) for a, b in zip(own.parameters(), suites.parameters(), strict=True))
        other = after(plain, "none")
        assert not all(a.equal(b) for a, b in zip(own.parameters(), other.parameters(), strict=True))
    given = TRAIN.model_copy(update={"ada_kimg": 0.001, "ada_target": 0.0})
    assert FinetuneAugmented().settings(given) == given
    faster = FinetuneAugmented(ada_kimg=0.5).settings(given)
    assert faster == given.model_copy(update={"ada_kimg": 0.5}) == FinetuneAugmented(ada_kimg=0.5).settings(faster)
    composed = find_method("finetune_augmented+freezed")()
    assert composed.augment == "ada" and find_method("freezed+ewc")().augment is None

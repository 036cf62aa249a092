"""The facts of the methods that keep samples where the source had them: CDC, RSSA, DCL; and of relaxed realism."""

from __future__ import annotations

import copy
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from benchmark.methods.cdc import CDC, distance_consistency, log_neighbours
from benchmark.methods.dcl import DCL, contrast
from benchmark.methods.rssa import RSSA, disturbance, self_correlation
from small_nets import at_the_source, generator_step, rng
from torch import Tensor

from benchmark.api import DiscriminatorStep, Generator, GeneratorStep, Method, Nets, RelaxedRealism, Turn
from benchmark.config import TrainConfig
from benchmark.conformity.trial import FACTS, NETS, TRAIN, changed, state_of, toy_reals, toy_source
from benchmark.errors import ConfigError
from benchmark.registry.composition import composed
from benchmark.training import losses
from benchmark.training.state import State, restore_state, save_state
from benchmark.training.train import train

LONG = TRAIN.model_copy(update={"kimg": 0.02})
"""Five steps; of relaxed realism, the first and the last are near the anchors."""


def normal(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=rng(seed))


def frozen_source() -> Generator:
    return copy.deepcopy(toy_source().g_ema).requires_grad_(False)


def d_step(nets: Nets, reals: Tensor) -> DiscriminatorStep:
    z = normal(4, NETS.z_dim, seed=6)
    logits = torch.zeros(4, 1)
    return DiscriminatorStep(nets, frozen_source(), reals, reals, logits, logits, rng(8), 0, z)


def turn_of(method: RelaxedRealism, index: int) -> Turn:
    nets = toy_source().copy()
    return Turn(nets, method.prepare(nets, torch.zeros(10), rng(1)), rng(2), index)


def adapt(method: Method, cfg: TrainConfig = LONG) -> State:
    nets = toy_source().copy()
    return train(nets, toy_reals(), method, cfg, ("correspondence", 0))


def total(terms: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(terms.values())).sum()


# What all have in common


@pytest.mark.parametrize("method", [CDC(), RSSA()])
def test_the_loss_is_zero_exactly_where_the_generator_is_the_source(method: Method) -> None:
    assert total(method.generator_loss(generator_step(at_the_source(), frozen_source()))).item() == 0
    away = toy_source().copy()  # whose raw weights are not their average
    assert all(loss.item() > 0 for loss in method.generator_loss(generator_step(away, frozen_source())).values())


@pytest.mark.parametrize("method", [CDC(), RSSA(), DCL()])
def test_the_generators_loss_reaches_all_blocks_and_the_mapping_network_and_runs_each_network_once(
    method: Method,
) -> None:
    nets, source = toy_source().copy(), frozen_source()
    nets.g.requires_grad_(True)
    step = generator_step(nets, source)
    calls: list[str] = []
    nets.g.synthesis.register_forward_hook(lambda *_: calls.append("ours"))
    source.synthesis.register_forward_hook(lambda *_: calls.append("theirs"))
    loss = total(method.generator_loss(step))
    assert sorted(calls) == ["ours", "theirs"]
    for module in (*nets.g.synthesis.blocks.values(), nets.g.mapping):
        weights = [p for n, p in module.named_parameters() if n.endswith("weight") and "torgb" not in n]
        gradients = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
        assert any(g is not None and g.abs().max() > 0 for g in gradients)


@pytest.mark.parametrize("method", [CDC(), RSSA(), DCL()])
@pytest.mark.parametrize("steps_before", [1, 3])
def test_a_training_that_was_interrupted_ends_the_same(method: Method, steps_before: int, tmp_path: Path) -> None:
    """After the first step the patch head of relaxed realism has not trained, and has no moments yet."""
    path = tmp_path / "state"

    def run(**hooks: object) -> State:
        return train(toy_source().copy(), toy_reals(), method, LONG, ("correspondence", 0), **hooks)  # type: ignore[arg-type]

    whole = run(on_step=lambda s: save_state(path, s, "key") if s.step == steps_before else None)
    rest = run(restore=lambda s: restore_state(path, s, "key"))
    ends = [(s.nets.g, s.nets.g_ema, s.nets.d, s.extra) for s in (whole, rest)]
    assert changed(state_of(*ends[0]), *ends[1]) == []


# Relaxed realism


def test_latents_are_near_the_anchors_in_every_fourth_step_and_as_usual_in_the_others() -> None:
    method = CDC(anchors=3, anchor_std=0.1)
    z = normal(500, NETS.z_dim)
    assert [method.latents(turn_of(method, i), z) is z for i in range(9)] == [i % 4 > 0 for i in range(9)]
    turn = turn_of(method, 4)
    distances = torch.cdist(method.latents(turn, z), turn.extra.get_buffer("anchors"))
    nearest, which = distances.min(dim=1)
    assert which.unique().tolist() == [0, 1, 2]
    assert (nearest.square().mean() / NETS.z_dim).sqrt().item() == pytest.approx(0.1, rel=0.05)
    still = CDC(anchors=3, anchor_std=0)
    turn = turn_of(still, 0)
    rows = {tuple(row) for row in turn.extra.get_buffer("anchors").tolist()}
    assert {tuple(row) for row in still.latents(turn, z).tolist()} == rows


def test_patches_are_judged_apart_from_each_other_and_whole_images_by_d() -> None:
    method = CDC(patch_px=16)
    whole, patches = turn_of(method, 0), turn_of(method, 1)
    images = normal(2, 3, 32, 32)
    assert method.judge(whole, images, None).equal(whole.nets.d(images))
    before = method.judge(patches, images, None).view(2, 16, 16)
    assert CDC().judge(turn_of(CDC(), 1), images, None).equal(before.flatten(1))
    assert CDC(patch_px=4).judge(turn_of(CDC(patch_px=4), 1), images, None).shape == (2, 16)
    images[0, :, :4, :4] += 1
    after = method.judge(patches, images, None).view(2, 16, 16)
    assert after[1].equal(before[1])  # not by the batch either
    assert not after[0, 0, 0].equal(before[0, 0, 0])
    torch.testing.assert_close(after[0, 10:, 10:], before[0, 10:, 10:])


def test_r1_is_measured_on_the_mean_of_an_images_patches() -> None:
    x = normal(2, 3, 4, 4).requires_grad_(True)
    slopes = torch.tensor([1.0, 2.0, 6.0])
    logits = x.sum(dim=(1, 2, 3))[:, None] * slopes
    torch.testing.assert_close(losses.r1(logits, x), torch.full((2,), 48 * 9.0))


def test_patches_and_the_last_layers_of_d_train_in_turns() -> None:
    """Nor does R1 move the last layers in a step of patches; the anchors never change."""
    seen: list[list[dict[str, Tensor]]] = []

    def keep(state: State) -> None:
        seen.append(state_of(state.nets.d.b4, state.extra.d))
        anchors.append(state.extra.get_buffer("anchors").clone())

    anchors: list[Tensor] = []
    train(toy_source().copy(), toy_reals(), CDC(), LONG, ("correspondence", 0), restore=keep, on_step=keep)
    moved = [
        tuple(any(not a[n].equal(b[n]) for n in a) for a, b in zip(one, two, strict=True))
        for one, two in pairwise(seen)
    ]
    assert moved == [(True, False), (False, True), (False, True), (False, True), (True, False)]
    assert all(a.equal(anchors[0]) for a in anchors)


def test_near_the_anchors_nothing_is_mixed_and_w_avg_rests() -> None:
    nets = toy_source().copy()
    with torch.no_grad():
        for net in (nets.g, nets.g_ema):
            for name, p in net.named_parameters():
                if name.endswith("noise_strength"):
                    p.zero_()
    images: list[Tensor] = []

    class Spy(CDC):
        def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
            images.append(step.images.detach())
            return super().generator_loss(step)

    cfg = TRAIN.model_copy(update={"style_mixing": 1.0, "kimg": 0.008})
    before = nets.g.mapping.w_avg.clone()
    averages: list[Tensor] = []
    train(
        nets,
        toy_reals(),
        Spy(anchors=1, anchor_std=0),
        cfg,
        ("correspondence", 0),
        on_step=lambda s: averages.append(s.nets.g.mapping.w_avg.clone()),
    )
    torch.testing.assert_close(images[0], images[0][:1].expand_as(images[0]), atol=1e-4, rtol=1e-4)
    assert (images[1] - images[1][:1]).abs().max() > 0.01
    assert averages[0].equal(before) and not averages[1].equal(before)


def test_there_are_as_many_anchors_as_training_images_unless_a_number_is_given() -> None:
    """CDC's train.py: init_z = torch.randn(args.n_train, args.latent); with ten images, what ten anchors were."""
    for count, method in ((10, CDC()), (13, CDC()), (10, CDC(anchors=10)), (3, CDC(anchors=3))):
        nets = toy_source().copy()
        images = torch.zeros(13 if method.anchors is None and count == 13 else 10, 3, 32, 32, dtype=torch.uint8)
        anchors = method.prepare(nets, images, rng(1)).get_buffer("anchors")
        assert anchors.equal(torch.randn(count, NETS.z_dim, generator=rng(1)))
        turn = Turn(nets, method.prepare(nets, images, rng(1)), rng(2), 0)
        z = method.model_copy(update={"anchor_std": 0.0}).latents(turn, normal(400, NETS.z_dim))
        assert len(z.unique(dim=0)) == count


def test_the_anchors_are_the_same_for_both_methods_and_a_map_that_does_not_fit_is_refused() -> None:
    one, two = (turn_of(method, 0).extra.get_buffer("anchors") for method in (CDC(), RSSA()))
    assert one.equal(two) and one.shape == (10, NETS.z_dim)
    CDC().check(FACTS)
    for px in (12, 32):
        with pytest.raises(ConfigError, match=rf"rssa\.patch_px={px}.*\[4, 8, 16\]"):
            RSSA(patch_px=px).check(FACTS)


def test_in_a_composition_the_latents_and_the_judge_of_its_part_count() -> None:
    both = composed([CDC, DCL])()
    nets = toy_source().copy()
    extra = both.prepare(nets, torch.zeros(10), rng(1))
    assert extra is not None
    z, images = normal(4, NETS.z_dim), normal(4, 3, 32, 32)
    near, patches = Turn(nets, extra, rng(2), 0), Turn(nets, extra, rng(2), 1)
    assert both.latents(near, z) is not z and both.latents(patches, z) is z
    assert both.judge(near, images, None).shape == (4, 1) and both.judge(patches, images, None).shape == (4, 256)
    with pytest.raises(ConfigError, match="cdc and rssa both choose the latents"):
        composed([CDC, RSSA])


# CDC


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum()


def test_cdc_is_the_published_formula() -> None:
    """For each sample, the distributions over the others at the layer that was drawn for it; the first never is."""
    ours, theirs = ({px: normal(4, 3, px, px, seed=seed + px) for px in (4, 8, 16)} for seed in (0, 100))
    layers = [0, 1, 1, 0]
    divergences = []
    for i, layer in enumerate(layers):
        p, q = (
            softmax(
                np.array(
                    [
                        F.cosine_similarity(f[i].flatten(), f[j].flatten(), dim=0).item()
                        for f in [list(maps.values())[layer + 1].double()]
                        for j in range(4)
                        if j != i
                    ]
                )
            )
            for maps in (theirs, ours)
        )
        divergences.append((p * np.log(p / q)).sum())
    loss = distance_consistency(ours, theirs, torch.tensor(layers)).item()
    assert loss == pytest.approx(np.mean(divergences), rel=1e-4)


def test_cdc_weighs_four_samples_as_the_authors_reduction_does() -> None:
    ours, theirs = (log_neighbours(normal(4, 3, 8, 8, seed=s)) for s in (1, 2))
    official = 1000 * F.kl_div(ours, theirs.exp(), reduction="none").mean()
    here = CDC().weight * F.kl_div(ours, theirs, reduction="batchmean", log_target=True)
    torch.testing.assert_close(here, official)


def test_cdc_similarities_by_hand() -> None:
    """Vectors 1, 1 and -1 on a line; the scale of features does not count."""
    x = torch.tensor([1.0, 3.0, -0.5]).view(3, 1, 1, 1)
    near = np.log(softmax(np.array([1.0, -1.0])))
    expected = torch.tensor(np.stack([near, near, np.log([0.5, 0.5])]), dtype=torch.float32)
    torch.testing.assert_close(log_neighbours(x), expected)


# RSSA


def test_rssa_by_hand() -> None:
    """Two places: the same in ours, orthogonal in the source; then two images of one place each way."""
    same = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
    apart = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    assert self_correlation(same, apart).item() == pytest.approx(0.25)  # two of four entries differ by 1, smoothly 1/2
    e = np.exp(1)
    ours, theirs = torch.cat([same, same]), torch.cat([same, apart])
    # ours: every place finds both alike, (1/2, 1/2); theirs: (e, 1) / (e + 1)
    assert disturbance(ours, theirs).item() == pytest.approx(2 * (e / (e + 1) - 0.5))


def test_rssa_sees_the_layout_alone() -> None:
    """Not the scale of features, nor another basis of the channels."""
    method = RSSA()
    x, y = normal(3, 5, 8, 8, seed=1), normal(3, 5, 8, 8, seed=2)
    q, _ = torch.linalg.qr(normal(5, 5, seed=3))
    turned = torch.einsum("nchw,cd->ndhw", y, q) * 7
    for loss in (self_correlation, disturbance):
        a, b, c = (method.places(maps) for maps in (x, y, turned))
        torch.testing.assert_close(loss(a, c), loss(a, b))
        assert loss(b, c) < 1e-5 < loss(a, b)
    places = RSSA(max_px=4).places(x).double()  # directions are averaged, and not normalised again
    unit = x.double() / x.double().norm(dim=1, keepdim=True)
    assert places.shape == (3, 16, 5)
    torch.testing.assert_close(places[:, 5], unit[:, :, 2:4, 2:4].mean(dim=(2, 3)), rtol=1e-6, atol=1e-7)


def test_rssa_correlates_the_finest_maps_in_every_step_and_all_maps_of_disturbed_images_in_every_sixth() -> None:
    step = generator_step(toy_source().copy(), frozen_source())
    at = [set(RSSA().generator_loss(replace(step, index=i))) for i in range(13)]
    assert [i for i, names in enumerate(at) if "disturbance" in names] == [0, 6, 12]
    assert all("self_correlation" in names for names in at)
    maps: list[Tensor] = []

    class Spy(RSSA):
        def places(self, features: Tensor) -> Tensor:
            maps.append(super().places(features))
            return maps[-1]

    def smooth(a: Tensor, b: Tensor) -> float:
        d = (a @ a.transpose(1, 2) - b @ b.transpose(1, 2)).abs().double().numpy()
        return float(np.where(d < 1, d**2 / 2, d - 0.5).mean())

    with torch.no_grad():
        loss = Spy(self_weight=1).generator_loss(step)["self_correlation"].item()
    pairs = list(zip(maps[::2], maps[1::2], strict=True))
    assert [a.shape[1] for a, _ in pairs] == [16, 64, 256, 1024]
    assert loss == pytest.approx(sum(smooth(a, b) for a, b in pairs[-2:]), rel=1e-4)  # 16 and 32 px of 32


def test_rssa_disturbs_one_latent_and_uses_what_it_disturbed() -> None:
    source = frozen_source()
    seen: list[Tensor] = []
    source.mapping.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    step = generator_step(at_the_source(), source)
    RSSA(disturbance=0.15).generator_loss(step)
    (z,) = seen
    shared = 0.85 * step.z[0]
    assert z.shape == (4, NETS.z_dim) and torch.pdist(z).min() > 0
    assert (z - shared).std().item() == pytest.approx(0.15, rel=0.4)


# DCL


def test_dcl_contrast_by_hand() -> None:
    t = 0.5
    x = torch.eye(3)
    least = np.log(1 + 2 * np.exp(-1 / t))  # the positive at 1, two negatives at 0
    assert contrast(2 * x, x, t).item() == pytest.approx(least, rel=1e-5)
    assert contrast(x, x.roll(1, 0), t).item() == pytest.approx(np.log(2 + np.exp(1 / t)), rel=1e-5)
    negatives = torch.tensor([[1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    logits = [[1, 1, 0], [1, 0, -1], [1, 0, 0]]
    expected = np.mean([-np.log(softmax(np.array(row) / t)[0]) for row in logits])
    assert contrast(x, x, t, negatives).item() == pytest.approx(expected, rel=1e-5)


def test_dcl_is_smaller_where_the_generator_is_the_source_than_where_latents_are_confused() -> None:
    nets, source = at_the_source(), frozen_source()
    step = generator_step(nets, source)
    at_source = DCL().generator_loss(step)["generator_contrast"]
    _, f = source.synthesis(source.mapping(step.z), source.synthesis.anchor_noise())
    expected = 2.0 * np.mean([contrast(x, x, 0.07).item() for x in f.values()])
    assert at_source.item() == pytest.approx(expected, rel=1e-4)
    nets.g.mapping.register_forward_pre_hook(lambda _, args: (args[0].roll(1, 0), *args[1:]))
    assert DCL().generator_loss(step)["generator_contrast"] > at_source + 0.1


def test_dcl_moves_d_alone_and_away_from_reals_that_look_like_fakes() -> None:
    nets = toy_source().copy()
    nets.d.requires_grad_(True)
    others = normal(4, 3, 32, 32, seed=3)
    loss = DCL().discriminator_loss(d_step(nets, others))["discriminator_contrast"]
    loss.backward()
    assert all((p.grad is not None) == (not n.startswith("b4")) for n, p in nets.d.named_parameters())
    assert all(p.grad is None for p in nets.g.parameters())
    with torch.no_grad():
        fakes, _ = nets.g.synthesis(
            nets.g.mapping(normal(4, NETS.z_dim, seed=6)), toy_source().g_ema.synthesis.anchor_noise()
        )
    copied = DCL().discriminator_loss(d_step(nets, fakes))["discriminator_contrast"]
    assert copied > loss
    few = DCL(samples=2).discriminator_loss(d_step(nets, others))["discriminator_contrast"]
    assert few.isfinite() and not few.equal(loss)


@pytest.mark.parametrize("method", [CDC(samples=3), RSSA(samples=2, max_px=8), DCL(samples=9)])
def test_other_numbers_of_samples_train(method: Method) -> None:
    assert adapt(method, TRAIN).step == 2

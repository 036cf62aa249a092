"""The training loop on 16 px networks: what must stay, what must move, and that every step can be repeated."""

from __future__ import annotations

import math
import random as python_random
from collections.abc import Callable, Iterable
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from without_return import OF_PARTS

from benchmark.api import DiscriminatorStep, GeneratorStep, Method
from benchmark.config import NetConfig, TrainConfig
from benchmark.errors import ConfigError, MethodError, WeightsError
from benchmark.stylegan2 import Nets
from benchmark.stylegan2.weights import read_tensors, write_tensors
from benchmark.system.random_streams import Streams, derive_seed, generator
from benchmark.training import losses
from benchmark.training.batches import images_per_round, real_batches, resident, to_device
from benchmark.training.start import adam, warm_up_head
from benchmark.training.state import State, Tick, restore_state, save_state
from benchmark.training.train import train, update_average

NETS = NetConfig(resolution=16, z_dim=8, w_dim=8, mapping_layers=2, channel_base=64, channel_max=8)
EVERYTHING = TrainConfig(
    **{"kimg": 0.024, "batch": 4, "tick_kimg": 0.008, "r1_every": 3, "pl_weight": 2.0, "pl_every": 2},
    **{"augment": "ada", "ada_target": 0.0, "ada_kimg": 0.02, "ema_kimg": 0.01, "mirror": True, "precision": "fp32"},
)
PLAIN = TrainConfig(kimg=0.008, batch=4, r1_gamma=0, precision="fp32")
SEED = ("suite", "domain", 0)


class Plain(Method):
    name = "plain"


def networks(seed: int = 0, **changes: int) -> Nets:
    """Networks in channels_last, as commands use them; the average differs from the generator."""
    nets = Nets.create(NETS.model_copy(update=changes), seed).to("cpu")
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in nets.g_ema.parameters():
            p += 0.01 * torch.randn(p.shape, generator=rng)
    return nets


def pictures(n: int = 10) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 3, 16, 16), dtype=np.uint8)


def run(cfg: TrainConfig, method: Method | None = None, nets: Nets | None = None, **callbacks: Callable) -> State:
    return train(nets or networks(), pictures(), method or Plain(), cfg, SEED, **callbacks)


def everything_in(state: State) -> dict[str, Tensor]:
    """All that a training's future depends on, as one flat mapping."""
    found = dict(state.nets.state_dict())
    for name, optimiser in (("opt_g", state.opt_g), ("opt_d", state.opt_d)):
        for i, moments in optimiser.state_dict().items():
            found |= {f"{name}.{i}.{k}": torch.as_tensor(v) for k, v in moments.items()}
    found |= {f"streams.{k}": v for k, v in state.streams.state_dict().items()}
    found |= {f"ada.{k}": torch.tensor(v) for k, v in state.ada.state_dict().items()}
    return found | {"pl_mean": state.pl_mean, "at": torch.tensor([state.images, state.step])}


def differing(a: dict[str, Tensor], b: dict[str, Tensor]) -> list[str]:
    assert a.keys() == b.keys()
    return [name for name in a if not a[name].equal(b[name])]


# --- repeatability


def test_two_runs_with_one_seed_are_equal_whatever_the_global_state() -> None:
    torch.manual_seed(1)
    first = run(EVERYTHING)
    torch.manual_seed(2)
    second = run(EVERYTHING)
    assert differing(everything_in(first), everything_in(second)) == []
    other = train(networks(), pictures(), Plain(), EVERYTHING, ("suite", "domain", 1))
    assert len(differing(everything_in(first), everything_in(other))) > 100


def test_global_random_states_are_left_alone() -> None:
    before = torch.get_rng_state(), np.random.get_state()[1], python_random.getstate()
    run(EVERYTHING)
    assert torch.get_rng_state().equal(before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])
    assert python_random.getstate() == before[2]


@pytest.mark.parametrize("steps_before", [2, 3])
def test_a_stored_training_goes_on_bit_for_bit(tmp_path: Path, steps_before: int) -> None:
    path = tmp_path / "state"

    def store(state: State) -> None:
        if state.step == steps_before:
            save_state(path, state, "key")

    whole = run(EVERYTHING, on_step=store)
    assert whole.ada.p > 0  # ADA and path length have left their starts
    assert whole.pl_mean > 0
    rest = run(EVERYTHING, restore=lambda state: restore_state(path, state, "key"))
    assert differing(everything_in(whole), everything_in(rest)) == []
    assert rest.step == 6


def test_restoring_brings_back_all_positions_and_the_log(tmp_path: Path) -> None:
    path = tmp_path / "state"
    state = run(EVERYTHING)
    save_state(path, state, "key")
    seen: list[State] = []
    rest = run(EVERYTHING, restore=lambda s: restore_state(path, s, "key"), on_step=seen.append)
    assert seen == []  # nothing was left to do
    assert [asdict(t) for t in rest.ticks] == [asdict(t) for t in state.ticks]
    assert (rest.seconds, rest.images) == (state.seconds, 24)


@pytest.mark.parametrize("steps_before", [1, 2, 3])
def test_an_interval_of_the_log_goes_on_where_it_was_cut(tmp_path: Path, steps_before: int) -> None:
    """A state may be saved between two ticks: the means and the boundaries of ticks are as if it had not been."""
    path = tmp_path / "state"

    def store(state: State) -> None:
        if state.step == steps_before:
            save_state(path, state, "key")

    whole = run(EVERYTHING, on_step=store)
    rest = run(EVERYTHING, restore=lambda state: restore_state(path, state, "key"))
    assert [(t.images, t.losses, t.ada_p) for t in rest.ticks] == [(t.images, t.losses, t.ada_p) for t in whole.ticks]
    assert rest.seconds == pytest.approx(sum(t.seconds for t in rest.ticks)) and len(whole.ticks) == 3


def test_a_state_of_another_training_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state"
    state = run(PLAIN)
    assert not restore_state(path, state, "key")
    save_state(path, state, "key")
    with pytest.raises(WeightsError, match="another training"):
        restore_state(path, state, "other")
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(WeightsError, match="cannot be read"):
        restore_state(path, state, "key")


def test_a_long_log_does_not_keep_a_training_from_going_on(tmp_path: Path) -> None:
    path, state = tmp_path / "state", run(PLAIN)
    names = ("g_adversarial", "d_adversarial", "r1", "path_length", "own")
    state.ticks[:] = [Tick(8 * n, 1 / (n + 1), 1 / 3, {name: n / 7 for name in names}, 0.1) for n in range(100_000)]
    save_state(path, state, "key")
    other = run(PLAIN)
    assert restore_state(path, other, "key") and other.ticks == state.ticks


def test_the_log_in_a_state_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    path, state = tmp_path / "state", run(EVERYTHING)
    save_state(path, state, "key")
    tensors, meta = read_tensors(path)
    del tensors["ticks"], meta["schema"], meta["device"]
    write_tensors(path, tensors, {**meta, "ticks": [asdict(tick) for tick in state.ticks]})
    other = run(PLAIN.model_copy(update={"augment": "ada"}))
    assert restore_state(path, other, "key") and other.ticks == state.ticks and len(state.ticks) == 3


def test_a_methods_draws_do_not_shift_the_streams_that_all_methods_share() -> None:
    """Paired comparisons: whatever a method draws, the latents, images and augmentations are those of the others."""

    class Spy(Method):
        name = "spy"
        draws: int

        def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
            torch.rand(self.draws, generator=step.rng)
            seen.append(step.z)
            return {}

        def discriminator_loss(self, step: DiscriminatorStep) -> dict[str, Tensor]:
            torch.rand(self.draws, generator=step.rng)
            seen.append(step.reals)
            return {}

    cfg = EVERYTHING.model_copy(update={"ada_kimg": 1e9})  # p follows the networks, which are equal here only by chance
    streams = []
    for draws in (0, 7):
        seen: list[Tensor] = []
        run(cfg, Spy(draws=draws))
        streams.append(seen)
    assert len(streams[0]) == 12
    assert all(a.equal(b) for a, b in zip(*streams, strict=True))


def test_names_that_join_to_the_same_text_give_different_seeds() -> None:
    assert derive_seed("a", "bc") != derive_seed("ab", "c")
    assert derive_seed("a", 1) == derive_seed("a", "1") != derive_seed("a", 2)
    assert 0 <= derive_seed("x") < 2**63
    streams = Streams("a")
    draws = [
        torch.rand(1, generator=getattr(streams, n)).item() for n in ("data", "latents", "noise", "augment", "method")
    ]
    assert len(set(draws)) == 5


# --- freezing


class Freezer(Method):
    """Freezes one part in each network."""

    name = "freezer"

    def frozen(self, nets: Nets) -> Iterable[nn.Parameter]:
        return [*nets.g.mapping.parameters(), *nets.g.synthesis.b8.parameters(), *nets.d.b16.conv0.parameters()]


def test_frozen_layers_stay_bit_identical_and_all_others_move() -> None:
    nets = networks()
    source = {k: t.clone() for k, t in nets.state_dict().items()}
    run(EVERYTHING, Freezer(), nets)
    after = nets.state_dict()
    frozen = [
        name
        for name, _ in [
            (f"{part}.{n}", p) for part in ("g", "g_ema", "d") for n, p in getattr(nets, part).named_parameters()
        ]
        if ".mapping." in name or ".synthesis.b8." in name or name.startswith("d.b16.conv0.")
    ]
    trained = [
        f"{part}.{n}"
        for part in ("g", "g_ema", "d")
        for n, _ in getattr(nets, part).named_parameters()
        if f"{part}.{n}" not in frozen
    ]
    assert len(frozen) == 2 * (4 + 14) + 2
    for name in frozen:
        # G takes the average's value: what is trained and what is evaluated hold the same frozen layer.
        assert after[name].equal(source[name.replace("g.", "g_ema.", 1) if name.startswith("g.") else name]), name
    assert [name for name in trained if after[name].equal(source[name])] == []
    assert after["g.mapping.w_avg"].equal(source["g.mapping.w_avg"])  # a mapping that does not change has its centre


def test_anchor_noise_and_all_other_buffers_but_w_avg_are_kept() -> None:
    nets = networks()
    before = {k: t.clone() for k, t in nets.state_dict().items() if "noise_const" in k or "resample_filter" in k}
    run(PLAIN, nets=nets)
    assert len(before) > 20
    assert [k for k, t in before.items() if not nets.state_dict()[k].equal(t)] == []
    assert nets.g_ema.mapping.w_avg.equal(nets.g.mapping.w_avg)


@pytest.mark.parametrize("hold_mapping", [False, True])
def test_the_average_keeps_the_sources_anchor_noise_where_g_has_another(hold_mapping: bool) -> None:
    """In rosinality's files the noise maps of g and of its average may be two draws; so may the centres of W be."""

    class Holds(Method):
        name = "holds"

        def frozen(self, nets: Nets) -> Iterable[nn.Parameter]:
            return nets.g.mapping.parameters() if hold_mapping else ()

    nets = networks()
    rng = torch.Generator().manual_seed(5)
    for g in (nets.g, nets.g_ema):
        for name, buffer in g.named_buffers():
            if name.endswith(("noise_const", "w_avg")):
                buffer.copy_(torch.randn(buffer.shape, generator=rng))
    anchor = {name: noise.clone() for name, noise in nets.g_ema.synthesis.anchor_noise().items()}
    centre = nets.g_ema.mapping.w_avg.clone()
    assert any(not noise.equal(anchor[name]) for name, noise in nets.g.synthesis.anchor_noise().items())
    run(PLAIN, Holds(), nets)
    for g in (nets.g, nets.g_ema):
        assert all(noise.equal(anchor[name]) for name, noise in g.synthesis.anchor_noise().items())
        assert g.mapping.w_avg.equal(centre) == hold_mapping


def test_the_source_that_methods_see_never_changes() -> None:
    class Watch(Method):
        name = "watch"

        def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
            sources.append({k: t.clone() for k, t in step.source.state_dict().items()})
            return {}

    sources: list[dict[str, Tensor]] = []
    nets = networks()
    before = {k: t.clone() for k, t in nets.g_ema.state_dict().items()}
    run(PLAIN, Watch(), nets)
    assert differing(sources[0], before) == differing(sources[-1], before) == []


def test_a_frozen_tensor_that_is_no_parameter_of_g_or_d_is_the_methods_error() -> None:
    class Wrong(Method):
        name = "wrong"

        def frozen(self, nets: Nets) -> Iterable[nn.Parameter]:
            return nets.g_ema.parameters()

    with pytest.raises(MethodError, match=r"wrong\.frozen\(\)"):
        run(PLAIN, Wrong())


# --- gradients


def gradients_of(state: State, net: str) -> dict[str, Tensor]:
    """The gradients of the optimiser's last step: with beta1 = 0 Adam's first moment is the gradient itself."""
    parameters = dict((state.nets.g if net == "g" else state.nets.d).named_parameters())
    optimiser = state.opt_g if net == "g" else state.opt_d
    return {n: optimiser.state[p]["exp_avg"] for n, p in parameters.items() if p in optimiser.state}


STILL = {"kimg": 0.008, "batch": 8, "lr_g": 1e-12, "lr_d": 1e-12, "precision": "fp32"}  # one step, nothing moves


@pytest.mark.parametrize("accumulate", [1, 2, 4])
def test_r1_has_the_strength_of_gamma_and_interval_however_it_is_accumulated(accumulate: int) -> None:
    nets = networks(mbstd_group=1)  # images do not see each other, so rounds change nothing but rounding
    cfg = TrainConfig(**STILL, r1_gamma=3.0, r1_every=5, accumulate=accumulate)
    found = gradients_of(run(cfg, nets=nets), "d")

    reals = next(real_batches(torch.from_numpy(pictures()), 8, False, SEED, 0, generator("unused")))
    nets.d.requires_grad_(True)
    penalty = losses.r1(nets.d(reals.requires_grad_(True)), reals).mean() * 3.0 / 2 * 5
    names, parameters = zip(*nets.d.named_parameters(), strict=True)
    expected = torch.autograd.grad(penalty, parameters, allow_unused=True)
    assert sum(e is not None and e.norm() > 0 for e in expected) > 5
    for name, e in zip(names, expected, strict=True):
        if e is not None and e.norm() > 0:
            torch.testing.assert_close(found[name], e, rtol=1e-3, atol=1e-4 * e.abs().max().item())


def test_path_length_is_pulled_to_its_running_mean_with_the_strength_of_weight_and_interval() -> None:
    pair = {**STILL, "kimg": 0.002, "batch": 2, "r1_gamma": 0}  # half a batch is one image, so one length
    plain = run(TrainConfig(**pair, pl_weight=1, pl_every=1))
    # (length - mean)^2 after the mean has moved from 0 by a hundredth of the length.
    assert plain.ticks[0].losses["path_length"] == pytest.approx((99 * plain.pl_mean.item()) ** 2, rel=1e-5)
    strong = run(TrainConfig(**pair, pl_weight=2, pl_every=4))
    name = "synthesis.b16.conv1.weight"
    torch.testing.assert_close(gradients_of(strong, "g")[name], 8 * gradients_of(plain, "g")[name])


@pytest.mark.parametrize("accumulate", [1, 2, 4])
def test_a_methods_losses_keep_their_strength_however_they_are_accumulated(accumulate: int) -> None:
    class Pull(Method):
        name = "pull"

        def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
            return {"pull_g": 1e6 * step.nets.g.synthesis.b4.const.sum()}

        def discriminator_loss(self, step: DiscriminatorStep) -> dict[str, Tensor]:
            return {"pull_d": 2e6 * step.nets.d.b4.out.bias.sum()}

    state = run(TrainConfig(**STILL, r1_gamma=0, accumulate=accumulate), Pull())
    torch.testing.assert_close(
        gradients_of(state, "g")["synthesis.b4.const"], torch.full((8, 4, 4), 1e6), rtol=1e-5, atol=0
    )
    torch.testing.assert_close(gradients_of(state, "d")["b4.out.bias"], torch.full((1,), 2e6), rtol=1e-5, atol=0)
    assert {"pull_g", "pull_d", "g_adversarial", "d_adversarial"} == set(state.ticks[0].losses)


@pytest.mark.parametrize("accumulate", [2, 4])
def test_the_mean_of_w_moves_once_a_step_however_it_is_accumulated(accumulate: int) -> None:
    def moved(rounds: int) -> float:
        state = run(TrainConfig(**STILL, r1_gamma=0, accumulate=rounds))
        return float((state.nets.g.mapping.w_avg - networks().g.mapping.w_avg).norm())

    assert moved(accumulate) == pytest.approx(moved(1), rel=0.4)  # of fewer latents, so not the same


@pytest.mark.parametrize("name", ["g_adversarial", "d_adversarial", "r1", "path_length"])
@pytest.mark.parametrize("hook", ["generator_loss", "discriminator_loss"])
def test_a_loss_does_not_take_a_name_of_the_loops_own(hook: str, name: str) -> None:
    class Takes(Method):
        pass

    Takes.name = "takes"
    setattr(Takes, hook, lambda self, step: {name: torch.zeros([])})
    with pytest.raises(MethodError, match=f"takes returned the loss {name!r}"):
        run(PLAIN, Takes())


@pytest.mark.parametrize(
    ("hook", "said"),
    [
        *OF_PARTS,
        ("lr_scale", "the factors for G and for D"),
        ("latents", "latents, `z` itself for the usual ones"),
        ("judge", "logits [N, P]"),
    ],
)
def test_a_hook_without_return_is_named(hook: str, said: str) -> None:
    class Silent(Method):
        name = "silent"

    setattr(Silent, hook, lambda self, *given: None)
    with pytest.raises(MethodError) as refused:
        run(PLAIN, Silent())
    assert str(refused.value) == f"silent.{hook}() returned None: return {said}."


def test_losses_of_one_name_in_both_phases_are_logged_apart(tmp_path: Path) -> None:
    class Both(Method):
        name = "both"

        def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
            return {"own": torch.tensor(1.0)}

        def discriminator_loss(self, step: DiscriminatorStep) -> dict[str, Tensor]:
            return {"own": torch.tensor(3.0), "alone": torch.tensor(5.0)}

    file = tmp_path / "state"
    state = run(PLAIN, Both(), on_step=lambda s: save_state(file, s, "k") if s.step == 1 else None)
    resumed = run(PLAIN, Both(), restore=lambda s: restore_state(file, s, "k"))
    for found in (state.ticks[0].losses, resumed.ticks[0].losses):
        assert (found["own"], found["d/own"], found["alone"]) == (1, 3, 5) and "d/alone" not in found


def test_no_phase_leaves_gradients_or_reaches_the_other_network() -> None:
    class Look(Method):
        name = "look"

        def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
            tracked.append((any(p.requires_grad for p in step.nets.d.parameters()), step.images.requires_grad))
            return {}

        def discriminator_loss(self, step: DiscriminatorStep) -> dict[str, Tensor]:
            tracked.append((any(p.requires_grad for p in step.nets.g.parameters()), step.fakes.requires_grad))
            return {}

    tracked: list[tuple[bool, bool]] = []
    nets = networks()
    run(PLAIN, Look(), nets)
    assert tracked == [(False, True), (False, False)] * 2
    everything = [p for net in (nets.g, nets.g_ema, nets.d) for p in net.parameters()]
    assert all(p.grad is None and not p.requires_grad for p in everything)


def test_regularisers_run_lazily_and_only_when_asked() -> None:
    logged: list[set[str]] = []
    cfg = TrainConfig(kimg=0.028, batch=4, tick_kimg=0.004, r1_every=3, pl_weight=1, pl_every=2, precision="fp32")
    run(cfg, on_tick=lambda state: logged.append(set(state.ticks[-1].losses)))
    assert ["r1" in names for names in logged] == [step % 3 == 0 for step in range(7)]
    assert ["path_length" in names for names in logged] == [step % 2 == 0 for step in range(7)]
    assert set(run(PLAIN).ticks[0].losses) == {"g_adversarial", "d_adversarial"}


def test_lazy_regularisation_corrects_learning_rate_and_betas() -> None:
    """Karras et al. 2020, appendix B: k + 1 updates in k steps; c = k / (k + 1), rates become c lr, betas beta^c."""
    lazy = adam([nn.Parameter(torch.zeros(1))], 0.0025, 16)
    assert lazy.lr == pytest.approx(0.0025 * 16 / 17)
    assert lazy.betas == pytest.approx((0.0, 0.99 ** (16 / 17)))
    plain = adam([nn.Parameter(torch.zeros(1))], 0.0025, None)
    assert (plain.lr, plain.betas) == (0.0025, (0.0, 0.99))
    state = run(PLAIN.model_copy(update={"pl_weight": 2.0, "r1_gamma": 0.0}))
    assert state.opt_g.lr == pytest.approx(0.0025 * 4 / 5)
    assert state.opt_d.lr == 0.0025


def test_a_method_that_leaves_out_path_length_trains_at_the_rate_of_the_others() -> None:
    class Without(Method):
        name = "without"

        def settings(self, train: TrainConfig) -> TrainConfig:
            return train.model_copy(update={"pl_weight": 0.0})

    for weight, ratio in ((2.0, 4 / 5), (0.0, 1.0)):
        cfg = PLAIN.model_copy(update={"pl_weight": weight})
        one, other = (run(cfg, method).opt_g for method in (Without(), Plain()))
        assert one.lr == other.lr == pytest.approx(0.0025 * ratio) and one.betas == other.betas


def head_of(nets: Nets) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in nets.d.b4.named_parameters()}


def warmed_up(steps: int, **settings: float) -> Nets:
    nets = networks(mbstd_group=1)
    cfg = PLAIN.model_copy(update={"lr_d": 0.01, **settings})
    warm_up_head(nets, torch.from_numpy(pictures()), steps, cfg, generator("warm-up"))
    return nets


def test_a_warm_up_trains_the_last_layers_of_d_with_the_suites_batch_rate_and_lazy_r1() -> None:
    before, moved = networks(mbstd_group=1), warmed_up(1, batch=8, r1_gamma=3.0, r1_every=4)
    assert [n for n in before.state_dict() if not before.state_dict()[n].equal(moved.state_dict()[n])] == [
        f"d.b4.{name}" for name in head_of(before)
    ]
    rng = generator("warm-up")
    chosen = torch.randint(10, (8,), generator=rng)
    x, z = torch.from_numpy(pictures())[chosen] / 127.5 - 1, torch.randn(8, 8, generator=rng)
    head = [p.requires_grad_(True) for p in before.d.b4.parameters()]
    optimiser = adam(head, 0.01, 4)
    with torch.no_grad():
        fakes = before.g_ema(z, rng=rng)
    losses.discriminator_adversarial(before.d(x), before.d(fakes)).backward(inputs=head)
    optimiser.step(), optimiser.zero_grad()
    (losses.r1(before.d(x.requires_grad_(True)), x).mean() * 3 / 2 * 4).backward(inputs=head)
    optimiser.step()
    for name, p in head_of(moved).items():
        torch.testing.assert_close(p, before.d.b4.get_parameter(name).detach())
    without = head_of(warmed_up(1, batch=8, r1_gamma=0.0))
    assert not without["fc.weight"].equal(head_of(moved)["fc.weight"])


def test_a_warm_up_in_rounds_is_that_of_the_whole_batch() -> None:
    seen = []
    for rounds in (1, 2):
        nets = networks(mbstd_group=1)
        for block in nets.g_ema.synthesis.blocks.values():
            for layer in block.layers:  # fakes differ by their latents alone, and with one image all are the same
                block.get_submodule(layer).noise_strength.data.zero_()
        nets.g_ema.mapping.fc1.weight.data.zero_()
        cfg = PLAIN.model_copy(update={"accumulate": rounds, "r1_gamma": 3.0})
        warm_up_head(nets, torch.from_numpy(pictures(1)), 3, cfg, generator("warm-up"))
        seen.append(head_of(nets))
    for name in seen[0]:
        torch.testing.assert_close(seen[0][name], seen[1][name], rtol=1e-3, atol=1e-4)


def test_bfloat16_points_the_same_way() -> None:
    directions = []
    for precision in ("fp32", "bf16"):
        nets = networks()
        cfg = TrainConfig(**{**STILL, "precision": precision}, r1_gamma=0)
        state = run(cfg, nets=nets)
        assert nets.g.synthesis.dtype == nets.d.dtype == torch.float32  # as it was before
        directions.append([torch.cat([g.flatten() for g in gradients_of(state, net).values()]) for net in "gd"])
    for exact, rounded in zip(*directions, strict=True):
        assert not exact.equal(rounded)
        assert torch.cosine_similarity(exact, rounded, dim=0) > 0.99


# --- failures


def method_with_loss(loss: Callable[[GeneratorStep], Tensor]) -> Method:
    class Bad(Method):
        name = "bad"

        def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
            return {"bad": loss(step)}

    return Bad()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_ends_the_training_with_its_name(value: float) -> None:
    with pytest.raises(MethodError, match=rf"diverged before 8 images: .*bad = {value}") as caught:
        run(PLAIN, method_with_loss(lambda step: step.images.mean() * 0 + value))
    assert "\n" not in str(caught.value)


def test_weights_that_break_in_the_last_step_are_noticed_too() -> None:
    """A finite loss can have a gradient that is not: sqrt at 0, as of a path of no length."""
    last = method_with_loss(lambda step: (0 * step.images.mean()).sqrt())
    with pytest.raises(MethodError, match="generator weights not finite"):
        run(PLAIN.model_copy(update={"kimg": 0.004}), last)


@pytest.mark.parametrize(
    ("batch", "accumulate", "n"),
    [(16, 1, 16), (16, 4, 4), (16, 8, 2), (3, 1, 3), (6, 1, None), (4, 3, None), (1, 2, None)],
)
def test_a_batch_must_divide_into_rounds_and_minibatch_std_groups(batch: int, accumulate: int, n: int | None) -> None:
    cfg = PLAIN.model_copy(update={"batch": batch, "accumulate": accumulate})
    if n is not None:
        assert images_per_round(cfg, group=4) == n
        return
    with pytest.raises(ConfigError, match=f"train.batch={batch} .*train.accumulate={accumulate}"):
        run(cfg)


# --- counting


def test_progress_counts_images_until_the_goal_is_passed() -> None:
    at: list[tuple[int, int]] = []
    state = run(PLAIN.model_copy(update={"kimg": 0.01}), on_step=lambda s: at.append((s.step, s.images)))
    assert at == [(1, 4), (2, 8), (3, 12)]
    assert state.images == 12


def test_ticks_cover_all_images_once() -> None:
    calls: list[int] = []
    cfg = PLAIN.model_copy(update={"kimg": 0.02, "tick_kimg": 0.008})
    state = run(cfg, on_tick=lambda s: calls.append(s.images))
    assert calls == [t.images for t in state.ticks] == [8, 16, 20]
    assert state.seconds == pytest.approx(sum(t.seconds for t in state.ticks))
    assert [
        t.seconds_per_kimg * kimg for t, kimg in zip(state.ticks, (0.008, 0.008, 0.004), strict=True)
    ] == pytest.approx([t.seconds for t in state.ticks])


def test_a_ticks_losses_are_means_over_its_interval() -> None:
    class Count(Method):
        name = "count"

        def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
            return {"seen": torch.tensor(float(step.images_seen))}

    state = run(PLAIN.model_copy(update={"kimg": 0.016, "tick_kimg": 0.008}), Count())
    assert [t.losses["seen"] for t in state.ticks] == [2, 10]  # means of (0, 4) and (8, 12)


def test_w_avg_moves_once_a_step_by_the_main_passs_latents() -> None:
    class Latents(Method):
        name = "latents"

        def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
            means.append(step.nets.g.mapping(step.z).mean(dim=(0, 1)).detach())
            return {}

    means: list[Tensor] = []
    state = run(PLAIN.model_copy(update={"pl_weight": 2.0, "pl_every": 1}), Latents())
    expected = torch.zeros(8)
    for mean in means:
        expected = 0.995 * expected + 0.005 * mean
    assert len(means) == 2
    torch.testing.assert_close(state.nets.g.mapping.w_avg, expected)


def test_the_average_has_moved_half_way_after_its_half_life() -> None:
    nets = networks()
    cfg = PLAIN.model_copy(update={"ema_kimg": 0.4, "batch": 16})
    average, trained = torch.zeros(3), torch.ones(3)
    for step in range(25):
        update_average(nets, [(average, trained)], cfg, 16 * (step + 1))
    torch.testing.assert_close(average, torch.full((3,), 0.5))


def test_ramp_up_shortens_the_half_life_to_a_share_of_the_progress() -> None:
    nets, average = networks(), torch.zeros(1)
    cfg = PLAIN.model_copy(update={"ema_kimg": 10.0, "batch": 16, "ema_rampup": 0.05})
    update_average(nets, [(average, torch.ones(1))], cfg, 320)  # half-life 16 images: one batch
    assert average.item() == pytest.approx(0.5)


# --- real images

NUMBERED = torch.arange(10, dtype=torch.uint8)[:, None, None, None].expand(10, 3, 16, 16)


def shown(count: int, n: int = 4, seed: tuple[object, ...] = SEED, start: int = 0) -> list[int]:
    """The numbers of the first images that are shown."""
    batches = real_batches(NUMBERED, n, False, seed, start, generator("unused"))
    return [round((x + 1) * 127.5) for b in islice(batches, count // n) for x in b[:, 0, 0, 0].tolist()]


def test_every_image_comes_once_an_epoch_in_a_new_order() -> None:
    order = shown(40)
    epochs = [order[i : i + 10] for i in range(0, 40, 10)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_the_order_depends_on_the_seed_and_on_nothing_else() -> None:
    assert shown(40) == shown(40) == shown(40, n=8) == shown(40, n=1)
    assert shown(40) != shown(40, seed=("suite", "domain", 1))
    assert shown(40)[12:] == shown(28, start=12)


def test_batches_are_float32_in_minus_one_to_one() -> None:
    data = torch.tensor([0, 255], dtype=torch.uint8)[:, None, None, None].expand(2, 3, 16, 16)
    batch = next(real_batches(data, 2, False, SEED, 0, generator("unused")))
    assert batch.dtype == torch.float32
    assert sorted(batch[:, 0, 0, 0].tolist()) == [-1, 1]


def test_mirror_flips_half_of_the_images_left_to_right() -> None:
    data = torch.from_numpy(pictures(1))
    original = data[0].float() / 127.5 - 1
    batches = list(islice(real_batches(data, 50, True, SEED, 0, generator("flips")), 4))
    flipped = [x.equal(original.flip(2)) for b in batches for x in b]
    straight = [x.equal(original) for b in batches for x in b]
    assert all(a != b for a, b in zip(flipped, straight, strict=True))
    assert 70 < sum(flipped) < 130
    assert all(x.equal(original) for x in next(real_batches(data, 50, False, SEED, 0, generator("flips"))))


# --- waiting for the device


class Waits(TorchDispatchMode):
    """Counts operations that read a number of a device, for which the processor has to wait until it is there."""

    found: int = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.found += func.overloadpacket is torch.ops.aten._local_scalar_dense
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("augment", ["none", "diffaug", "ada"])
def test_a_step_reads_nothing_from_the_device(augment: str) -> None:
    """But at the tick in the end, and where ADA adjusts, every fourth step."""
    cfg = TrainConfig(kimg=0.024, batch=8, pl_weight=2, r1_every=2, pl_every=2, mirror=True, tick_kimg=1)
    cfg = cfg.model_copy(update={"augment": augment, "precision": "fp32"})
    after: list[int] = []
    with Waits() as waits:
        run(cfg, on_step=lambda state: after.append(waits.found))
    assert after[:2] == [0, 0] and after[2] > 0


def test_a_small_set_lies_on_the_device_and_a_batch_comes_without_waiting() -> None:
    data = torch.from_numpy(pictures())
    assert resident(data, torch.device("cpu")) is data
    assert to_device(data, torch.device("cpu")) is data

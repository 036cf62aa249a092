"""What a method brings along: modules that train with G or D, memory, and weights computed from few parameters."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from benchmark.api import (
    DiscriminatorStep,
    Extra,
    GeneratorStep,
    Method,
    Nets,
    Turn,
    added,
    all_but,
    baked,
    build,
    reparametrise,
)
from benchmark.api.reparametrise import bake
from benchmark.config import NetConfig, TrainConfig
from benchmark.errors import MethodError, WeightsError
from benchmark.results import ResultStore
from benchmark.running.launch import Launch
from benchmark.running.setup import Request, prepare
from benchmark.running.suite import run_suite
from benchmark.stylegan2 import Discriminator
from benchmark.stylegan2.weights import load, load_generator
from benchmark.training.state import State, restore_state, save_state
from benchmark.training.train import train

NETS = NetConfig(resolution=16, z_dim=8, w_dim=8, mapping_layers=2, channel_base=64, channel_max=8)
CFG = TrainConfig(
    kimg=0.024, batch=4, r1_every=2, pl_weight=2.0, pl_every=2, ema_kimg=0.01, tick_kimg=0.008, precision="fp32"
)


def networks() -> Nets:
    """In channels_last, as commands use them; the average differs from the generator."""
    nets = Nets.create(NETS, seed=0).to("cpu")
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in nets.g_ema.parameters():
            p += 0.01 * torch.randn(p.shape, generator=rng)
    return nets


def run(method: Method, nets: Nets | None = None, cfg: TrainConfig = CFG, **callbacks: Callable) -> State:
    reals = np.random.default_rng(0).integers(0, 256, (10, 3, 16, 16), dtype=np.uint8)
    return train(nets or networks(), reals, method, cfg, ("extra", 0), **callbacks)


def copies(module: nn.Module | Nets) -> dict[str, Tensor]:
    return {name: t.clone() for name, t in module.state_dict().items()}


def differing(a: dict[str, Tensor], b: dict[str, Tensor]) -> list[str]:
    assert list(a) == list(b)
    return [name for name in a if not a[name].equal(b[name])]


class Memory(Extra):
    """A linear layer beside each network, and a number that a loss counts up."""

    def __init__(self) -> None:
        super().__init__()
        self.g.add_module("scale", nn.Linear(3, 1))
        self.d.add_module("scale", nn.Linear(1, 1))
        self.register_buffer("seen", torch.zeros([]))


class WithExtra(Method):
    """Losses that depend on both layers, and on what was seen so far."""

    name = "with_extra"

    def prepare(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> Extra:
        return build(Memory, rng)

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        seen = step.extra.get_buffer("seen")
        seen += 1
        return {"g_own": (step.extra.g.get_submodule("scale")(step.images.mean(dim=(2, 3))) * seen).square().mean()}

    def discriminator_loss(self, step: DiscriminatorStep) -> dict[str, Tensor]:
        return {"d_own": step.extra.d.get_submodule("scale")(step.real_logits).square().mean() * step.z.square().mean()}


# --- extra


def test_parameters_of_extra_train_in_the_phases_of_their_network_only() -> None:
    start: list[dict[str, Tensor]] = []
    ends: list[State] = []
    for lr_g, lr_d in ((0.0025, 1e-30), (1e-30, 0.0025)):
        state = run(
            WithExtra(),
            cfg=CFG.model_copy(update={"lr_g": lr_g, "lr_d": lr_d}),
            restore=lambda state: start.append(copies(state.extra)),
        )
        ends.append(state)
    g, d = ["g.scale.weight", "g.scale.bias"], ["d.scale.weight", "d.scale.bias"]
    assert differing(start[0], start[1]) == []
    assert differing(start[0], copies(ends[0].extra)) == ["seen", *g]
    assert differing(start[0], copies(ends[1].extra)) == ["seen", *d]
    for p in ends[0].extra.parameters():
        assert p.grad is None and not p.requires_grad
    assert {"g_own", "d_own"} <= set(ends[0].ticks[0].losses)


def test_a_losses_of_one_phase_see_the_other_networks_extra_without_gradient() -> None:
    tracked: list[tuple[bool, bool]] = []

    class Look(WithExtra):
        def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
            tracked.append(tuple(p.weight.requires_grad for p in (step.extra.g.scale, step.extra.d.scale)))  # type: ignore
            return {}

        def discriminator_loss(self, step: DiscriminatorStep) -> dict[str, Tensor]:
            tracked.append(tuple(p.weight.requires_grad for p in (step.extra.g.scale, step.extra.d.scale)))  # type: ignore
            return {}

    run(Look(), cfg=CFG.model_copy(update={"kimg": 0.004}))
    assert tracked == [(True, False), (False, True)]


def test_methods_without_extra_get_an_empty_one() -> None:
    class Plain(Method):
        name = "plain"

        def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
            assert isinstance(step.extra, Extra) and not list(step.extra.parameters())
            return {}

    assert run(Plain(), cfg=CFG.model_copy(update={"kimg": 0.004})).extra.state_dict() == {}


def test_what_prepare_may_not_return_is_refused() -> None:
    class Module(Method):
        name = "module"

        def prepare(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> Extra:
            return nn.Linear(1, 1)  # type: ignore[return-value]

    class Stray(Method):
        name = "stray"

        def prepare(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> Extra:
            extra = Extra()
            extra.weights = nn.Linear(1, 1)
            return extra

    with pytest.raises(MethodError, match=r"module\.prepare\(\) returned a Linear"):
        run(Module())
    with pytest.raises(MethodError, match=r"neither network: weights\.weight, weights\.bias"):
        run(Stray())


def test_gradients_that_prepare_leaves_behind_do_not_count() -> None:
    class Careless(Method):
        name = "careless"
        backward: bool

        def prepare(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> None:
            if self.backward:
                nets.g.requires_grad_(True)
                nets.g(torch.ones(2, 8), noise="none").sum().backward()

    ends = [copies(run(Careless(backward=b), cfg=CFG.model_copy(update={"kimg": 0.004})).nets) for b in (False, True)]
    assert differing(*ends) == []


def test_extra_that_is_not_finite_ends_the_training() -> None:
    class Broken(WithExtra):
        def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
            own = step.extra.g.get_submodule("scale")(torch.zeros(1, 3)).mean()
            return {"g_own": (own - own.detach()).square().sqrt()}  # 0, with an infinite slope

    with pytest.raises(MethodError, match="method's own weights not finite"):
        run(Broken())


def test_build_draws_from_its_generator_alone() -> None:
    before = torch.get_rng_state()
    one, two, three = (build(Memory, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.get_rng_state().equal(before)
    assert differing(copies(one), copies(two)) == []
    assert set(differing(copies(one), copies(three))) == {name for name in copies(one) if name != "seen"}


def test_the_learning_rates_are_scaled() -> None:
    class Scaled(Method):
        name = "scaled"

        def lr_scale(self) -> tuple[float, float]:
            return 8.0, 0.5

    state = run(Scaled(), cfg=CFG.model_copy(update={"kimg": 0.004, "pl_weight": 0.0, "r1_gamma": 0.0}))
    assert state.opt_g.lr == pytest.approx(8 * CFG.lr_g)
    assert state.opt_d.lr == pytest.approx(0.5 * CFG.lr_d)


# --- stages


class Resting(Method):
    """A part of a network rests in the second of three steps."""

    name = "staged"
    part: str

    def resting(self, turn: Turn) -> Iterable[nn.Parameter]:
        return dict(self.parts(turn.nets))[self.part].parameters() if turn.index == 1 else ()

    @staticmethod
    def parts(nets: Nets) -> dict[str, nn.Module]:
        return {"g.mapping": nets.g.mapping, "d.b16": nets.d.b16, "g": nets.g, "d": nets.d, "g_ema": nets.g_ema}


@pytest.mark.parametrize("part", ["g.mapping", "d.b16"])
def test_what_rests_stays_bit_for_bit_and_goes_on_afterwards(part: str) -> None:
    seen: list[dict[str, Tensor]] = []
    cfg = CFG.model_copy(update={"kimg": 0.012, "r1_every": 1, "pl_every": 1})
    run(Resting(part=part), cfg=cfg, on_step=lambda state: seen.append(copies(state.nets)))
    buffers = {name for name in seen[0] if name.endswith("w_avg")}
    weights = {name for name in seen[0] if name.startswith(f"{part}.") and "filter" not in name} - buffers
    moved = [set(differing(a, b)) for a, b in pairwise(seen)]
    assert weights and not moved[0] & weights and weights <= moved[1]
    assert any(name.startswith("g.synthesis") for name in moved[0])
    assert any(name.startswith("d.b4") for name in moved[0])


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("g", "in step 1 are together all of the generator"),
        ("d", "in step 1 are together all of the discriminator"),
        ("g_ema", "tensors that are not parameters of nets.g or nets.d"),
    ],
)
def test_what_cannot_rest_is_refused(part: str, message: str) -> None:
    with pytest.raises(MethodError, match=f"staged.*{message}"):
        run(Resting(part=part))


# --- reparametrised weights


class Gain(nn.Module):
    """Weight [O, ...] times 1 + an own gain for each output."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.zeros(weight.shape[0]))
        self.register_buffer("seen", weight.clone())

    def forward(self, weight: Tensor) -> Tensor:
        return weight * (1 + self.gain.reshape(-1, *[1] * (weight.ndim - 1)))


def gains(nets: Nets) -> None:
    g = [
        (nets.g.synthesis.b8.conv0, "weight"),
        (nets.g.synthesis.b4.conv1.affine, "bias"),
        (nets.g.mapping.fc0, "weight"),
    ]
    reparametrise(nets, [*g, (nets.d.b16.conv0, "weight"), (nets.d.b4.out, "weight")], Gain)


class Gains(WithExtra):
    """A few weights of G and D train by their gains alone."""

    name = "gains"

    def prepare(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> Extra:
        gains(nets)
        return super().prepare(nets, reals, rng)

    def frozen(self, nets: Nets) -> Iterable[nn.Parameter]:
        return [*all_but(nets.g, added(nets.g)), *all_but(nets.d, added(nets.d))]


REPARAMETRISED = {
    *("g.synthesis.b8.conv0.weight", "g.synthesis.b4.conv1.affine.bias", "g.mapping.fc0.weight"),
    *("g_ema.synthesis.b8.conv0.weight", "g_ema.synthesis.b4.conv1.affine.bias", "g_ema.mapping.fc0.weight"),
    *("d.b16.conv0.weight", "d.b4.out.weight"),
}


def test_a_reparametrised_start_is_the_source() -> None:
    nets, plain = networks(), networks()
    gains(nets)
    z, images = torch.randn(2, 8), torch.randn(2, 3, 16, 16)
    assert nets.g_ema(z, noise="const").equal(plain.g_ema(z, noise="const"))
    assert nets.d(images).equal(plain.d(images))
    assert nets.g.mapping.fc0.weight.equal(plain.g_ema.mapping.fc0.weight)
    assert nets.g.synthesis.b8.conv1.weight.equal(plain.g.synthesis.b8.conv1.weight)
    assert [p.numel() for p in added(nets.g)] == [8, 8, 8]  # in the order of the network's modules
    assert [p.numel() for p in added(nets.d)] == [4, 1]
    assert {id(p) for p in all_but(nets.d, added(nets.d))} == {
        id(p) for n, p in nets.d.named_parameters() if not n.endswith("gain")
    }


def test_a_reparametrised_training_leaves_plain_networks_in_which_nothing_else_changed() -> None:
    nets, plain = networks(), networks()
    averages: list[dict[str, Tensor]] = []
    snapshots: list[dict[str, Tensor]] = []

    def look(state: State) -> None:
        g = state.nets.g_ema
        averages.append({n.removeprefix("g_ema."): average(g, n[6:]) for n in REPARAMETRISED if n.startswith("g_ema.")})
        snapshots.append(copies(baked(g)))
        assert is_parametrized(g.mapping.fc0)  # the snapshot took nothing away

    def average(g: nn.Module, name: str) -> Tensor:
        path, _, leaf = name.rpartition(".")
        return getattr(g.get_submodule(path), leaf).detach().clone()

    run(Gains(), nets, on_step=look)
    assert not any(is_parametrized(m) for net in (nets.g, nets.g_ema, nets.d) for m in net.modules())
    assert [type(m) for m in nets.g.modules()] == [type(m) for m in plain.g.modules()]
    after, start = copies(nets), copies(plain)
    for n in [n for n in start if n.startswith("g.")]:
        start[n] = start[n.replace("g.", "g_ema.", 1)]  # what is frozen, and what is computed, starts from the average
    changed = set(differing(start, after))
    assert changed - {"g.mapping.w_avg", "g_ema.mapping.w_avg"} == REPARAMETRISED
    for name, value in averages[-1].items():
        assert after[f"g_ema.{name}"].equal(value)
    assert differing(snapshots[-1], copies(nets.g_ema)) == []
    assert differing(snapshots[0], snapshots[-1]) != []
    gained = after["g.mapping.fc0.weight"] / start["g.mapping.fc0.weight"]
    torch.testing.assert_close(gained, gained[:, :1].expand_as(gained))  # a gain a row is all that trained


@pytest.mark.parametrize("steps_before", [1, 3])
def test_a_stored_training_with_extra_and_new_parameters_goes_on_bit_for_bit(tmp_path: Path, steps_before: int) -> None:
    path = tmp_path / "state"
    whole = run(Gains(), on_step=lambda s: save_state(path, s, "key") if s.step == steps_before else None)
    rest = run(Gains(), restore=lambda state: restore_state(path, state, "key"))
    assert differing(copies(whole.nets), copies(rest.nets)) == []
    assert differing(copies(whole.extra), copies(rest.extra)) == []
    assert rest.extra.get_buffer("seen").item() == 6
    for name in ("opt_g", "opt_d"):
        one, two = (getattr(state, name).state_dict() for state in (whole, rest))
        assert one.keys() == two.keys() and len(one) >= 4
        assert all(one[i]["exp_avg_sq"].equal(two[i]["exp_avg_sq"]) for i in one)


def test_a_state_stored_with_another_extra_is_refused(tmp_path: Path) -> None:
    class Bare(Method):
        name = "bare"

    class Wider(WithExtra):
        def prepare(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> Extra:
            extra = super().prepare(nets, reals, rng)
            extra.d.add_module("scale", nn.Linear(2, 1))
            return extra

    path = tmp_path / "state"
    run(WithExtra(), on_step=lambda s: save_state(path, s, "key"))
    for method, count in ((Bare(), 5), (Wider(), 1)):
        with pytest.raises(WeightsError, match=f"not fit what the method prepares: {count} differ"):
            run(method, restore=lambda state: restore_state(path, state, "key"))


def test_in_bfloat16_the_new_parameters_stay_float32_and_train() -> None:
    nets, seen = networks(), []

    def look(state: State) -> None:
        seen.extend((p.dtype, bool(p.abs().sum() > 0)) for p in (*added(state.nets.g), *added(state.nets.d)))

    run(Gains(), nets, CFG.model_copy(update={"precision": "bf16", "kimg": 0.008}), on_tick=look)
    assert seen == [(torch.float32, True)] * 5


def test_two_reparametrisations_of_one_weight_follow_each_other() -> None:
    nets = networks()
    layer = nets.g.synthesis.b8.conv0
    start = nets.g_ema.synthesis.b8.conv0.weight.detach().clone()
    for _ in range(2):
        reparametrise(nets, [(layer, "weight")], Gain)
    assert layer.weight.equal(start) and len(added(nets.g)) == len(added(nets.g_ema)) == 2
    with torch.no_grad():
        for p in added(nets.g):
            p += 1
    torch.testing.assert_close(layer.weight, start * 4)


def test_a_baked_copy_leaves_the_original_reparametrised_and_its_names_in_order() -> None:
    nets, plain = networks(), networks()
    gains(nets)
    with torch.no_grad():
        for p in added(nets.d):
            p += 0.5
    other = copy.deepcopy(nets)
    bake(other.d)
    assert list(other.d.state_dict()) == list(plain.d.state_dict())
    assert [n for n, _ in other.d.named_parameters()] == [n for n, _ in plain.d.named_parameters()]
    assert is_parametrized(nets.d.b16.conv0)
    torch.testing.assert_close(nets.d.b16.conv0.weight, plain.d.b16.conv0.weight * 1.5)
    assert other.d.b16.conv0.weight.equal(nets.d.b16.conv0.weight)


def test_a_reparametrisation_that_changes_the_start_or_names_nothing_is_refused() -> None:
    class Doubled(nn.Module):
        def forward(self, weight: Tensor) -> Tensor:
            return weight * 2

    nets = networks()
    with pytest.raises(MethodError, match=r"Doubled changes synthesis\.b8\.conv0\.weight at the start"):
        reparametrise(nets, [(nets.g.synthesis.b8.conv0, "weight")], lambda weight: Doubled())
    for part in ((nets.g_ema.mapping.fc1, "weight"), (nets.g.mapping.fc1, "wieght"), (nn.Linear(1, 1), "weight")):
        with pytest.raises(MethodError, match=f"{part[1]} is no parameter of nets.g or nets.d"):
            reparametrise(nets, [part], Gain)


@pytest.mark.parametrize("method", ["fsgan", "minegan"])
def test_a_snapshot_is_the_average_that_a_shorter_training_ends_with(tmp_path: Path, method: str) -> None:
    """Through whole jobs: new parameters and new parts have to get through files and records."""
    sizes = ["eval.metrics=[kid_randconv]", "eval.curve_metrics=[kid_randconv]", "eval.curve_samples=8"]
    sizes += ["train.snapshot_kimg=[0.016]", "eval.samples=8", "eval.pairs=4"]
    sizes += ["minegan.mine_steps=2"] if method == "minegan" else []
    files = []
    for kimg in (0.032, 0.016):
        chosen = {"methods": (method,), "domains": ["toy-rings"]}
        settings = [*sizes, f"train.kimg={kimg}"]
        request = Request("smoke", settings, chosen, "cpu", tmp_path / "cache", threads=1)
        ready = prepare(request, tmp_path / f"{kimg}", Console(quiet=True))
        assert all(record.status == "done" for record in run_suite(ready, Console(quiet=True), False, Launch()))
        (record,) = [r for r in ResultStore(tmp_path / f"{kimg}").read_all()[0] if not r.zero_step]
        files.append(tmp_path / f"{kimg}/checkpoints/{record.train_key}.safetensors")
        end, held = load(files[-1]).g_ema, dict(ready.nets.g_ema.named_parameters())
        new = [p.numel() for n, p in end.named_parameters() if n not in held or not p.equal(held[n])]
        assert record.timing.shipped_params == sum(new) > 0
    kept = load_generator(files[0].with_name(f"{files[0].stem}-0.016kimg.safetensors"))
    assert kept.cfg == end.cfg and differing(copies(kept), copies(end)) == []
    z = torch.randn(2, end.cfg.z_dim, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        images = [g(z, noise="const") for g in (kept, end, load(files[0]).g_ema)]
    assert images[0].equal(images[1]) and not images[0].equal(images[2])


# --- features of the discriminator


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_features_of_the_discriminator_are_its_blocks_outputs_and_leave_the_logits(dtype: torch.dtype) -> None:
    d, images = networks().d, torch.randn(4, 3, 16, 16)
    d.dtype = dtype
    logits, maps = d.features(images)
    assert logits.equal(d(images))
    assert {px: tuple(m.shape) for px, m in maps.items()} == {8: (4, 8, 8, 8), 4: (4, 8, 4, 4)}
    assert all(m.dtype == torch.float32 for m in maps.values())
    assert d.b4(maps[4]).equal(logits)


def test_features_of_a_conditional_discriminator_take_labels() -> None:
    with torch.random.fork_rng(devices=[]):
        d = Discriminator(NETS.model_copy(update={"c_dim": 2}))
    images, c = torch.randn(4, 3, 16, 16), torch.eye(2)[[0, 1, 0, 1]]
    assert d.features(images, c)[0].equal(d(images, c))
    assert not d(images, c).equal(d(images, 1 - c))

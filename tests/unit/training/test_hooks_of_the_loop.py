"""What a method can change about the loop beyond losses: what D sees, whether it judges, and what follows a step."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmark.api import Extra, GeneratorStep, Method, Nets, Turn
from benchmark.config import NetConfig, TrainConfig
from benchmark.errors import ConfigError
from benchmark.registry.composition import composed
from benchmark.stylegan2.ada import Ada
from benchmark.system.random_streams import Streams
from benchmark.training.images import among_reals
from benchmark.training.state import State, restore_state, save_state
from benchmark.training.train import adam, train

NETS = NetConfig(resolution=16, z_dim=8, w_dim=8, mapping_layers=2, channel_base=64, channel_max=8)
CFG = TrainConfig(kimg=0.016, batch=4, r1_gamma=1, r1_every=2, ema_kimg=0.01, precision="fp32")
APA = CFG.model_copy(update={"augment": "apa"})


class Plain(Method):
    name = "plain"


class Counting(Method):
    """Counts steps in a buffer, and writes down what each hook was told."""

    name = "counting"

    def prepare(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> Extra:
        extra = Extra()
        extra.register_buffer("steps", torch.zeros([]))
        return extra

    def after_step(self, turn: Turn) -> None:
        turn.extra.get_buffer("steps").add_(1)
        assert turn.index == int(turn.extra.get_buffer("steps")) and turn.images_seen == 4 * turn.index
        assert not any(p.requires_grad for p in turn.nets.g.parameters())


class Towards(Method):
    """Pulls the generator to zero; nobody judges."""

    name = "towards"
    adversarial = False

    def frozen(self, nets: Nets) -> list[nn.Parameter]:
        return list(nets.d.parameters())

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        return {"size": step.images.square().mean()}


class Augmented(Method):
    name = "augmented"
    augment: ClassVar = "diffaug"


class Narrow(Method):
    name = "narrow"
    truncation = 0.5


def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (8, 3, 16, 16), dtype=np.uint8)


def state_of(method: Method, cfg: TrainConfig = CFG, nets: Nets | None = None, **callbacks: object) -> State:
    return train(nets or Nets.create(NETS, 0), pictures(), method, cfg, ("hooks", 0), **callbacks)  # type: ignore[arg-type]


def same(a: State, b: State) -> bool:
    other = b.nets.state_dict()
    return all(t.equal(other[name]) for name, t in a.nets.state_dict().items())


def mixing_state(p: float) -> State:
    nets = Nets.create(NETS, 0)
    optimisers = adam(list(nets.g.parameters()), 0.1, None), adam(list(nets.d.parameters()), 0.1, None)
    return State(nets, *optimisers, Streams("mix"), Ada(p=p), torch.zeros([]))


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_apa_puts_fakes_among_the_reals_with_the_probability(p: float) -> None:
    reals, fakes = torch.zeros(4000, 3, 2, 2), torch.ones(4000, 3, 2, 2)
    mixed = among_reals(reals, fakes, APA, mixing_state(p))
    whole = mixed.flatten(1)
    assert whole.eq(whole[:, :1]).all(), "an image is replaced as a whole"
    assert float(whole[:, 0].mean()) == pytest.approx(p, abs=0.03)
    for other in ("none", "ada", "diffaug"):
        assert among_reals(reals, fakes, CFG.model_copy(update={"augment": other}), mixing_state(p)) is reals


def test_apa_follows_the_controller_of_ada_and_changes_the_training() -> None:
    fast = {"ada_target": 0.0, "ada_kimg": 0.004, "kimg": 0.04}
    apa = state_of(Plain(), APA.model_copy(update=fast))
    assert apa.ada.p > 0 and not same(apa, state_of(Plain(), CFG.model_copy(update={"kimg": 0.04})))


def test_without_a_probability_apa_is_no_augmentation() -> None:
    assert same(state_of(Plain(), APA.model_copy(update={"ada_target": 1.0})), state_of(Plain(), CFG))


def test_apa_resumes_bit_by_bit(tmp_path: object) -> None:
    cfg = APA.model_copy(update={"ada_target": 0.0, "ada_kimg": 0.004, "kimg": 0.04})
    file = tmp_path / "state.safetensors"  # type: ignore[operator]

    def keep(state: State) -> None:
        if state.step == 5:
            save_state(file, state, "k")

    whole = state_of(Plain(), cfg, on_step=keep)
    again = state_of(Plain(), cfg, restore=lambda state: restore_state(file, state, "k"))
    assert same(whole, again) and whole.ada.p == again.ada.p


def test_a_hook_follows_each_step_and_its_memory_is_stored(tmp_path: object) -> None:
    file = tmp_path / "state.safetensors"  # type: ignore[operator]

    def keep(state: State) -> None:
        if state.step == 2:
            save_state(file, state, "k")

    assert int(state_of(Counting(), on_step=keep).extra.get_buffer("steps")) == 4
    resumed = state_of(Counting(), restore=lambda state: restore_state(file, state, "k"))
    assert int(resumed.extra.get_buffer("steps")) == 4


def test_what_follows_a_step_may_change_what_is_averaged_before_the_average_does() -> None:
    class Marks(Plain):
        def after_step(self, turn: Turn) -> None:
            turn.nets.g.mapping.w_avg.fill_(turn.index)

    state = state_of(Marks())
    assert state.nets.g_ema.mapping.w_avg.eq(4).all()


def test_parts_of_a_composition_each_follow_a_step_with_their_own_memory() -> None:
    state = state_of(composed([Counting, Narrow])())
    buffers = [b for name, b in state.extra.named_buffers() if name.endswith("steps")]
    assert [int(b) for b in buffers] == [4]


def test_without_an_adversary_d_is_never_asked_and_never_trained() -> None:
    class Deaf(Towards):
        def judge(self, turn: Turn, images: Tensor, c: Tensor | None) -> Tensor:
            raise AssertionError("nobody judges")

    nets = Nets.create(NETS, 0)
    state = state_of(Deaf(), nets=nets)
    assert all(p.equal(q) for p, q in zip(state.nets.d.parameters(), Nets.create(NETS, 0).d.parameters(), strict=True))
    assert set(state.ticks[-1].losses) == {"size"}
    small = state.nets.g(torch.ones(2, 8), noise="const").square().mean()
    assert small < Nets.create(NETS, 0).g(torch.ones(2, 8), noise="const").square().mean()


def test_a_method_says_what_d_sees_whatever_the_suite_says() -> None:
    own = state_of(Augmented())
    assert same(own, state_of(Plain(), CFG.model_copy(update={"augment": "diffaug"})))
    assert same(own, state_of(Augmented(), APA)) and not same(own, state_of(Plain()))
    both = composed([Augmented, Counting])()
    assert both.augment == "diffaug" and same(own, state_of(both))


@pytest.mark.parametrize("augment", ["none", "diffaug"])
def test_a_method_gets_the_images_as_d_judged_them(augment: str) -> None:
    seen: list[tuple[Tensor, Tensor]] = []

    class Looks(Method):
        name = "looks"

        def judge(self, turn: Turn, images: Tensor, c: Tensor | None) -> Tensor:
            if images.requires_grad and not any(p.requires_grad for p in turn.nets.d.parameters()):
                asked.append(images)
            return super().judge(turn, images, c)

        def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
            assert step.judged is asked[-1]
            seen.append((step.images, step.judged))
            return {"seen": step.judged.mean()}

    asked: list[Tensor] = []
    state_of(Looks(), CFG.model_copy(update={"augment": augment}))
    assert len(seen) == 4 and all(a.equal(b) == (augment == "none") for a, b in seen)
    assert all(b.requires_grad for _, b in seen)


def test_a_method_can_have_d_warmed_up_before_it_prepares() -> None:
    class Warm(Method):
        name = "warm"

        def warm_up(self) -> int:
            return 2

        def prepare(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> None:
            prepared_with.append({n: p.clone() for n, p in nets.d.named_parameters()})

    class Warmer(Warm):
        name = "warmer"

        def warm_up(self) -> int:
            return 3

    prepared_with: list[dict[str, Tensor]] = []
    cold = dict(Nets.create(NETS, 0).d.named_parameters())
    for method in (Warm(), Warmer(), composed([Warm, Warmer])()):
        state_of(method, CFG.model_copy(update={"kimg": 0.004}))
    two, three, both, again = prepared_with
    assert {n for n in cold if not cold[n].equal(two[n])} == {n for n in cold if n.startswith("b4.")}
    assert all(both[n].equal(three[n]) and again[n].equal(three[n]) for n in cold)
    assert not two["b4.fc.weight"].equal(three["b4.fc.weight"])


def test_one_part_of_a_composition_can_say_what_d_sees_and_how_fakes_are_truncated() -> None:
    class AlsoAugmented(Method):
        name = "also"
        augment: ClassVar = "apa"

    class AlsoNarrow(Method):
        name = "also"
        truncation = 0.7

    with pytest.raises(ConfigError, match="also and augmented both choose what D sees"):
        composed([Augmented, AlsoAugmented])
    with pytest.raises(ConfigError, match="also and narrow both truncate the fakes"):
        composed([Narrow, AlsoNarrow])
    assert composed([Narrow, Augmented])().truncation == 0.5


def test_truncation_changes_the_training_and_not_what_path_length_or_w_avg_see() -> None:
    narrow, plain = state_of(Narrow()), state_of(Plain())
    assert not same(narrow, plain)
    one = {"kimg": 0.004, "r1_gamma": 0}
    first = [state_of(m, CFG.model_copy(update=one)).nets.g.mapping.w_avg for m in (Narrow(), Plain())]
    assert first[0].equal(first[1])

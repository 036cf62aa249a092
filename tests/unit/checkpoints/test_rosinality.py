"""Rosinality's layout: the same images and logits either way, nothing lost, nothing hidden from the strict loader."""

from __future__ import annotations

import math

import pytest
import rosinality_net as theirs
import torch
from torch import Tensor, nn

from benchmark.checkpoints import rosinality
from benchmark.config import NetConfig
from benchmark.errors import WeightsError
from benchmark.stylegan2.networks import Discriminator, Generator

CFG = NetConfig(
    resolution=32,
    z_dim=16,
    w_dim=16,
    mapping_layers=3,
    channel_base=128,
    channel_max=16,
    conv_clamp=None,
    mbstd_group=4,
)
CHANNELS = [16, 16, 8, 4]

State = dict[str, Tensor]


@pytest.fixture(scope="module")
def their_g() -> theirs.Generator:
    return theirs.shaken(theirs.Generator(CHANNELS, style_dim=16, depth=3), seed=1)


@pytest.fixture(scope="module")
def their_d() -> theirs.Discriminator:
    return theirs.shaken(theirs.Discriminator(CHANNELS), seed=2)


@pytest.fixture(scope="module")
def our_g() -> Generator:
    return theirs.shaken(Generator(CFG), seed=3)


@pytest.fixture(scope="module")
def our_d() -> Discriminator:
    return theirs.shaken(Discriminator(CFG), seed=4)


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(5))


def assert_agree(a: Tensor, b: Tensor) -> None:
    """Equal to 1e-5 of the typical value, which is of order one or more."""
    assert a.std() > 0.1
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5 * float(b.square().mean().sqrt()))


@torch.no_grad()
def assert_same_images(g: Generator, reference: theirs.Generator) -> None:
    z = normal(3, 16)
    assert_agree(g.mapping(z)[:, 0], reference.mapping(z))
    ws = normal(2, g.synthesis.num_ws, 16)  # another w in each layer
    assert_agree(g.synthesis(ws, "const")[0], reference.synthesis(ws))
    assert_agree(g(z, noise="const"), reference.synthesis(g.mapping(z)))


@torch.no_grad()
def assert_same_logits(d: Discriminator, reference: theirs.Discriminator) -> None:
    images = normal(8, 3, 32, 32) * torch.arange(1, 9)[:, None, None, None]  # so that it matters who is in which group
    assert_agree(d(images), reference(images))


def assert_same_tensors(a: State, b: State) -> None:
    assert a.keys() == b.keys()
    assert [k for k in a if a[k].shape != b[k].shape or not a[k].equal(b[k])] == []


def without_average(state: State) -> State:
    return {k: t for k, t in state.items() if k != "mapping.w_avg"}


# --- the same function


def test_their_generator_makes_the_same_images_as_ours(their_g: theirs.Generator) -> None:
    g = Generator(CFG)
    average = {"mapping.w_avg": g.mapping.w_avg}
    g.load_state_dict(rosinality.generator_from(their_g.state_dict()) | average, strict=True)
    assert_same_images(g, their_g)


def test_their_discriminator_gives_the_same_logits_as_ours(their_d: theirs.Discriminator) -> None:
    d = Discriminator(CFG)
    d.load_state_dict(rosinality.discriminator_from(their_d.state_dict()), strict=True)
    assert_same_logits(d, their_d)


def test_our_generator_makes_the_same_images_as_theirs(our_g: Generator) -> None:
    reference = theirs.Generator(CHANNELS, style_dim=16, depth=3)
    for buffer in reference.buffers():
        buffer.fill_(math.nan)  # kernels and noise maps have to come from us
    reference.load_state_dict(rosinality.generator_to(our_g.state_dict()), strict=True)
    assert_same_images(our_g, reference)


def test_our_discriminator_gives_the_same_logits_as_theirs(our_d: Discriminator) -> None:
    reference = theirs.Discriminator(CHANNELS)
    for buffer in reference.buffers():
        buffer.fill_(math.nan)
    reference.load_state_dict(rosinality.discriminator_to(our_d.state_dict()), strict=True)
    assert_same_logits(our_d, reference)


def test_state_dicts_survive_both_round_trips_exactly(
    their_g: theirs.Generator, their_d: theirs.Discriminator, our_g: Generator, our_d: Discriminator
) -> None:
    state = their_g.state_dict()
    assert_same_tensors(rosinality.generator_to(rosinality.generator_from(state)), state)
    state = their_d.state_dict()
    assert_same_tensors(rosinality.discriminator_to(rosinality.discriminator_from(state)), state)
    state = our_g.state_dict()
    assert_same_tensors(rosinality.generator_from(rosinality.generator_to(state)), without_average(state))
    state = our_d.state_dict()
    assert_same_tensors(rosinality.discriminator_from(rosinality.discriminator_to(state)), state)


@pytest.mark.parametrize(("px", "depth"), [(8, 1), (1024, 12)])
def test_smallest_and_largest_networks_survive_too(px: int, depth: int) -> None:
    cfg = NetConfig(resolution=px, z_dim=2, w_dim=2, mapping_layers=depth, channel_base=2048, channel_max=3)
    state = Generator(cfg).state_dict()
    assert_same_tensors(rosinality.generator_from(rosinality.generator_to(state)), without_average(state))
    state = Discriminator(cfg).state_dict()
    assert_same_tensors(rosinality.discriminator_from(rosinality.discriminator_to(state)), state)


def test_tensors_are_shared_not_copied(their_g: theirs.Generator) -> None:
    state = their_g.state_dict()
    ours = rosinality.generator_from(state)
    assert ours["synthesis.b4.const"].data_ptr() == state["input.input"].data_ptr()
    assert ours["synthesis.b8.conv0.weight"].data_ptr() == state["convs.0.conv.weight"].data_ptr()


# --- recognition


def test_only_the_networks_of_this_layout_are_recognised(
    their_g: theirs.Generator, their_d: theirs.Discriminator, our_g: Generator, our_d: Discriminator
) -> None:
    nets: list[nn.Module] = [their_g, their_d, our_g, our_d]
    names = [net.state_dict().keys() for net in nets]
    assert [rosinality.is_generator(n) for n in names] == [True, False, False, False]
    assert [rosinality.is_discriminator(n) for n in names] == [False, True, False, False]
    assert all(rosinality.is_generator(names[0] - {name}) for name in names[0])
    assert all(rosinality.is_discriminator(names[1] - {name}) for name in names[1])


# --- files that are not what they should be

FROM = {"g": rosinality.generator_from, "d": rosinality.discriminator_from}


@pytest.fixture(scope="module")
def states(their_g: theirs.Generator, their_d: theirs.Discriminator) -> dict[str, State]:
    return {"g": their_g.state_dict(), "d": their_d.state_dict()}


def test_each_missing_name_is_missing_in_the_result(states: dict[str, State]) -> None:
    for net, state in states.items():
        complete = FROM[net](state).keys()
        gone = [complete - FROM[net]({k: t for k, t in state.items() if k != name}).keys() for name in state]
        assert [len(names) for names in gone] == [1] * len(state)
        assert len(set().union(*gone)) == len(state)


@pytest.mark.parametrize(
    "name",
    [
        "noise_rand",
        "style.5.weight",  # there are three layers; a gap
        "style.01.weight",
        "convs.6.noise.strength",
        "convs.00.noise.weight",
        "convs.99.conv.weight",
        f"convs.{'9' * 5000}.conv.weight",
        "noises.noise_7",  # a layer of the next resolution, which is not there
        "convs.4.skip.1.weight",
        "conv2.kernel",
        "convs.1.conv.blur.kernel",  # only even ones double the resolution
    ],
)
def test_an_unknown_name_stays_for_the_loader_to_report(states: dict[str, State], name: str) -> None:
    for net, state in states.items():
        stranger = torch.zeros(2)
        known = FROM[net](state)
        result = FROM[net](state | {name: stranger})
        assert result[name] is stranger
        assert result.keys() - known.keys() == {name}
        assert_same_tensors({k: t for k, t in result.items() if k != name}, known)


def test_more_blocks_than_any_network_has_stay_unknown(states: dict[str, State]) -> None:
    first = {k.removeprefix("convs.1."): t for k, t in states["d"].items() if k.startswith("convs.1.")}
    state = {f"convs.{i}.{k}": t for i in range(1, 1000) for k, t in first.items()}
    result = rosinality.discriminator_from(state)
    assert "b1024.skip.weight" in result and "b8.skip.weight" in result
    assert sum(k.startswith("b") and k.endswith(".skip.weight") for k in result) == rosinality.MAX_BLOCKS
    assert sum(k.endswith(".skip.1.weight") for k in result) == 999 - rosinality.MAX_BLOCKS


@pytest.mark.parametrize("name", ["synthesis.b4.const", "mapping.w_avg", "synthesis.b4.resample_filter"])
def test_names_of_both_layouts_in_one_network_are_refused(states: dict[str, State], name: str) -> None:
    with pytest.raises(WeightsError, match=name):
        rosinality.generator_from(states["g"] | {name: torch.zeros(2)})


@pytest.mark.parametrize("shape", [(0,), (5,), (7, 1), (1, 1), (1, 1, 2), (2, 1, 1, 1), (1, 0, 0, 0, 0), (1,) * 9])
def test_misshapen_tensors_reach_the_loader_misshapen(states: dict[str, State], shape: tuple[int, ...]) -> None:
    for net, state in states.items():
        expected = {k: t.shape for k, t in FROM[net](state).items()}
        for name in state:
            changed = state | {name: torch.zeros(shape)}
            if name.endswith("kernel"):
                with pytest.raises(WeightsError, match=name):
                    FROM[net](changed)
                continue
            found = {k: t.shape for k, t in FROM[net](changed).items()}
            assert found.keys() == expected.keys()
            assert sum(found[k] != expected[k] for k in expected) == 1, name


def test_another_blur_kernel_is_refused_by_name(states: dict[str, State]) -> None:
    for net, state in states.items():
        kernels = [name for name in state if name.endswith("kernel")]
        assert len(kernels) == 6
        for name in kernels:
            good = state[name]
            box = torch.full((4, 4), good.sum() / 16)
            for bad in (good * 4, good / 4, good + 2e-5, good.roll(1, 0), box, good * math.nan, good[0], good[None]):
                with pytest.raises(WeightsError, match=name):
                    FROM[net](state | {name: bad})
            assert_same_tensors(FROM[net](state | {name: good + 5e-6}), FROM[net](state))


# --- networks that the layout cannot hold


def small(**changes: int) -> NetConfig:
    sizes = {"resolution": 8, "z_dim": 4, "w_dim": 4, "mapping_layers": 1, "channel_base": 32, "channel_max": 4}
    return NetConfig.model_validate(sizes | changes)


def test_conditional_networks_are_not_exported() -> None:
    with pytest.raises(WeightsError, match="conditional generator"):
        rosinality.generator_to(Generator(small(c_dim=2)).state_dict())
    with pytest.raises(WeightsError, match="conditional discriminator"):
        rosinality.discriminator_to(Discriminator(small(c_dim=2)).state_dict())


@pytest.mark.parametrize("z_dim", [3, 5])
def test_z_of_another_size_than_w_is_not_exported(z_dim: int) -> None:
    with pytest.raises(WeightsError, match=rf"mapping.fc0.weight is \[4, {z_dim}\]"):
        rosinality.generator_to(Generator(small(z_dim=z_dim)).state_dict())


def test_incomplete_and_foreign_states_are_not_exported() -> None:
    g, d = Generator(small()).state_dict(), Discriminator(small()).state_dict()
    for name in without_average(g):
        with pytest.raises(WeightsError, match="missing or unknown"):
            rosinality.generator_to({k: t for k, t in g.items() if k != name})
    for name in d:
        with pytest.raises(WeightsError, match="missing or unknown"):
            rosinality.discriminator_to({k: t for k, t in d.items() if k != name})
    for name in ("b4.extra", "noise_rand"):
        with pytest.raises(WeightsError, match=name):
            rosinality.generator_to(g | {name: torch.zeros(1)})
        with pytest.raises(WeightsError, match=name):
            rosinality.discriminator_to(d | {name: torch.zeros(1)})


def test_a_network_with_another_filter_is_not_exported() -> None:
    g, d = Generator(small()), Discriminator(small())
    g.synthesis.b8.resample_filter.mul_(2)
    d.b8.skip.resample_filter.mul_(2)
    with pytest.raises(WeightsError, match=r"synthesis\.b8\.resample_filter"):
        rosinality.generator_to(g.state_dict())
    with pytest.raises(WeightsError, match=r"b8\.skip\.resample_filter"):
        rosinality.discriminator_to(d.state_dict())

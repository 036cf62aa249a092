"""Facts of the methods that train few parameters: how many, which, from where, and what the result is a function of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmark.methods.affine_light_plus import AffineLightPlus, LowRank
from benchmark.methods.affine_plus import AffinePlus
from benchmark.methods.bsa import BSA
from benchmark.methods.freezefc import FreezeFC
from benchmark.methods.freezesg import FreezeSG
from benchmark.methods.fsgan import FSGAN
from benchmark.methods.layer_swap import LayerSwap
from benchmark.methods.lfs_gan import LFSGAN
from benchmark.methods.lora import LoRA
from benchmark.methods.minegan import MineGAN
from benchmark.methods.rick import RICK, Rows
from benchmark.methods.style_align import StyleAlign
from benchmark.methods.stylespace_offset import StyleSpaceOffset
from benchmark.methods.weditgan import WeditGAN
from benchmark.methods.weight_interpolation import WeightInterpolation
from small_nets import CFG, TRAIN, count, moved, reals, rng, source, trained
from torch import Tensor, nn

from benchmark.api import Method, Nets
from benchmark.api.extra import Extra
from benchmark.config import NetConfig
from benchmark.errors import ConfigError, MethodError, WeightsError
from benchmark.registry.composition import composed
from benchmark.sources import file_source
from benchmark.sources.exporting import export_source
from benchmark.stylegan2 import Discriminator, Generator, load
from benchmark.stylegan2.weights import save
from benchmark.training.state import State, restore_state, save_state
from benchmark.training.train import train, trainable

CHANNELS = {4: 10, 8: 10, 16: 6}
CONVS = {"b4.conv1": (10, 10), "b8.conv0": (10, 10), "b8.conv1": (10, 10), "b16.conv0": (10, 6), "b16.conv1": (6, 6)}
"""{layer: (channels in, out)}"""
METHODS = (BSA(), FSGAN(), AffinePlus(), AffineLightPlus(rank=2), StyleSpaceOffset())
on_each_method = pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)


def parts(method: Method) -> tuple[Nets, list[nn.Parameter], list[nn.Parameter]]:
    """The networks as they enter the loop, and what trains in G and D."""
    nets = source().copy()
    assert method.prepare(nets, torch.zeros(2, 3, 16, 16, dtype=torch.uint8), rng()) is None
    return nets, *trainable(nets, method, Extra())


def changed(net: str, method: Method) -> set[str]:
    """Names of parameters of the trained network that differ from the source (its average, for G)."""
    start = (source().g_ema if net == "g" else source().d).state_dict()
    ends = [trained(method).g, trained(method).g_ema] if net == "g" else [trained(method).d]
    found = [{n for n, p in end.named_parameters() if not p.equal(start[n])} for end in ends]
    assert all(names == found[0] for names in found)
    return found[0]


def weights(layer: str, method: Method) -> tuple[Tensor, Tensor]:
    """A generator weight before and after."""
    name = f"synthesis.{layer}.weight"
    return source().g_ema.get_parameter(name).detach(), trained(method).g_ema.get_parameter(name).detach()


ALL_OF_D = count(list(Discriminator(CFG).parameters()))
STYLES = sum(n for n, _ in CONVS.values())
RGB_STYLES = sum(CHANNELS.values())
BLOCK_16 = 10 * 6 + 6 * 6 + 6 * 3
"""An offset for each pair of channels, to RGB included."""

EXPECTED: dict[str, Callable[[], tuple[int, int]]] = {
    "bsa": lambda: (STYLES + RGB_STYLES + sum(n for _, n in CONVS.values()) + 3 * 3, ALL_OF_D),
    # A rank is the smaller side: output channels; 8 in the first mapping layer, 1 in D's last.
    "fsgan": lambda: (sum(n for _, n in CONVS.values()) + 8 + 12, (6 + 10) + (10 + 10) + 10 + 10 + 1),
    "affine_plus": lambda: ((STYLES + RGB_STYLES) * (12 + 1) + BLOCK_16, ALL_OF_D),
    "affine_light_plus": lambda: (2 * (STYLES + RGB_STYLES + 8 * 12) + BLOCK_16, ALL_OF_D),
    "stylespace_offset": lambda: (STYLES + RGB_STYLES, ALL_OF_D),
}


@on_each_method
def test_the_number_of_parameters_that_train_follows_from_the_channels(method: Method) -> None:
    _, g, d = parts(method)
    assert (count(g), count(d)) == EXPECTED[method.name]()
    assert count(g) < 0.35 * count(list(Generator(CFG).parameters()))


@on_each_method
def test_training_starts_at_the_sources_average(method: Method) -> None:
    nets, _, _ = parts(method)
    z, images = torch.randn(2, 8, generator=rng(4)), torch.randn(2, 3, 16, 16, generator=rng(5))
    expected = source().g_ema(z, noise="const")
    assert nets.g(z, noise="const").equal(expected) and nets.g_ema(z, noise="const").equal(expected)
    assert not source().g(z, noise="const").equal(expected)
    assert nets.d(images).equal(source().d(images))


AFFINE = {f"synthesis.{layer}.affine.{kind}" for layer in CONVS for kind in ("weight", "bias")}
RGB = {f"synthesis.b{px}.torgb." for px in CHANNELS}
AFFINE_RGB = {f"{rgb}affine.{kind}" for rgb in RGB for kind in ("weight", "bias")}
KERNELS, KERNELS_RGB = {f"synthesis.{layer}.weight" for layer in CONVS}, {f"{rgb}weight" for rgb in RGB}
OFFSET = {f"synthesis.b16.{layer}.weight" for layer in ("conv0", "conv1", "torgb")}
MAPPING = {"mapping.fc0.weight", "mapping.fc1.weight"}
CHANGED = {
    "bsa": KERNELS | KERNELS_RGB | {n.replace("weight", "bias") for n in KERNELS | KERNELS_RGB},
    "fsgan": KERNELS | MAPPING,
    "affine_plus": AFFINE | AFFINE_RGB | OFFSET,
    "affine_light_plus": {n for n in AFFINE | AFFINE_RGB if n.endswith("weight")} | OFFSET,
    "stylespace_offset": {n for n in AFFINE | AFFINE_RGB if n.endswith("bias")},
}


@on_each_method
def test_exactly_what_the_method_names_has_changed(method: Method) -> None:
    assert changed("g", method) == CHANGED[method.name]
    held = ("fromrgb", "skip", "bias") if method.name == "fsgan" else ()
    of_d = {n for n, _ in source().d.named_parameters() if not any(part in n for part in held)}
    assert changed("d", method) == of_d
    mapping_rests = trained(method).g.mapping.w_avg.equal(source().g_ema.mapping.w_avg)
    assert mapping_rests == (method.name != "fsgan")


# --- BSA


@pytest.mark.parametrize("layer", ["b4.conv1", "b16.conv0", "b16.torgb"])
def test_bsa_scales_input_channels(layer: str) -> None:
    start, end = weights(layer, BSA())
    factors = end / start
    torch.testing.assert_close(factors, factors[:1, :, :1, :1].expand_as(factors))
    assert factors[0, :, 0, 0].unique().numel() == start.shape[1]


def test_a_scale_of_output_channels_would_change_nothing() -> None:
    """Why BSA's scales are where they are: demodulation."""
    layer = source().copy().g_ema.synthesis.b8.conv1
    x, w = torch.randn(2, 10, 8, 8, generator=rng(6)), torch.randn(2, 12, generator=rng(7))
    scale = 0.5 + torch.rand(10, generator=rng(8))
    plain, kernel = layer(x, w, None), layer.weight.detach().clone()
    with torch.no_grad():
        layer.weight.copy_(kernel * scale[:, None, None, None])
        torch.testing.assert_close(layer(x, w, None), plain, rtol=1e-4, atol=1e-5)
        layer.weight.copy_(kernel * scale[None, :, None, None])
        assert (layer(x, w, None) - plain).abs().max() > 0.1


# --- FSGAN


@pytest.mark.parametrize(
    "name", ["g_ema.synthesis.b16.conv0", "g_ema.mapping.fc0", "d.b16.conv1", "d.b4.conv", "d.b4.fc"]
)
def test_fsgan_changes_singular_values_and_keeps_the_vectors(name: str) -> None:
    net, _, path = name.partition(".")
    start, end = (
        getattr(nets, net).get_parameter(f"{path}.weight").detach().double().flatten(1)
        for nets in (source(), trained(FSGAN()))
    )
    u, s, v = torch.linalg.svd(start, full_matrices=False)
    inside = u.T @ end @ v.T
    torch.testing.assert_close(u @ inside @ v, end, rtol=1e-5, atol=1e-6 * s.max().item() + 1e-5)  # the same spaces
    torch.testing.assert_close(
        inside, inside.diag().diag(), rtol=0, atol=1e-6 * s.max().item() + 1e-5
    )  # and the same axes in them
    moved = (inside.diag() / s - 1).abs()
    assert moved.median() > 1e-4 and moved.max() < 0.05


# --- StyleDomain


@pytest.mark.parametrize("method", [AffinePlus(), AffineLightPlus(rank=2)], ids=lambda m: m.name)
@pytest.mark.parametrize("layer", ["b16.conv0", "b16.conv1"])
def test_the_offset_of_the_block_is_the_same_at_all_places_of_the_kernel(method: Method, layer: str) -> None:
    start, end = weights(layer, method)
    offset = end - start
    torch.testing.assert_close(offset, offset[:, :, :1, :1].expand_as(offset), rtol=1e-4, atol=1e-6)
    assert offset[:, :, 0, 0].unique().numel() > 30


@pytest.mark.parametrize("px", [4, 8])
def test_the_block_with_the_offset_can_be_chosen(px: int) -> None:
    for kind in (AffinePlus, AffineLightPlus):
        method = kind(block_px=px)
        method.check({"resolution": 16, "d_layers": 7})
        nets = parts(method)[0]
        found = {n.split(".parametrizations")[0] for n, _ in nets.g.named_parameters() if n.endswith(".offset")}
        assert found == {f"synthesis.{layer}" for layer in (*CONVS, f"b{px}.torgb") if layer.startswith(f"b{px}.")}
        for bad in (2, 12):
            with pytest.raises(ConfigError, match=rf"{method.name}\.block_px={bad}: .*\[4, 8, 16\]"):
                kind(block_px=bad).check({"resolution": 16, "d_layers": 7})


@pytest.mark.parametrize("rank", [1, 2])
def test_affine_light_plus_changes_affine_layers_by_a_matrix_of_its_rank(rank: int) -> None:
    for layer in ("b4.conv1", "b8.torgb"):
        start, end = weights(f"{layer}.affine", AffineLightPlus(rank=rank))
        values = torch.linalg.svdvals((end - start).double())
        assert values[rank - 1] > 1e-3 > 1e-5 > values[rank]


def test_stylespace_offset_adds_the_same_to_the_styles_of_all_images() -> None:
    w = torch.randn(5, 12, generator=rng(9))
    layers = [n.synthesis.b8.conv0.affine for n in (source().g_ema, trained(StyleSpaceOffset()).g_ema)]
    difference = layers[1](w) - layers[0](w)
    torch.testing.assert_close(difference, difference[:1].expand_as(difference), rtol=1e-4, atol=1e-5)
    assert difference[0].abs().median() > 1e-3 and difference[0].unique().numel() == 10


def test_affine_light_plus_uses_unit_directions_of_w_and_turns_them() -> None:
    """W + A B with the rows of B divided by their norms, whatever their scale."""
    weight, draws = torch.randn(4, 6, generator=rng(1)), torch.randn(2, 6, generator=rng(2))
    layer = LowRank(weight, 2, rng(2))
    with torch.no_grad():
        layer.out.copy_(torch.randn(4, 2, generator=rng(3)))
    into = draws.double() / draws.double().square().sum(dim=1, keepdim=True).sqrt()
    expected = weight.double() + layer.out.double() @ into
    torch.testing.assert_close(layer(weight).double(), expected, rtol=1e-5, atol=1e-6)
    layer(weight).square().sum().backward()
    assert layer.into.grad is not None
    along = (layer.into.grad * layer.into).sum(dim=1).abs()
    assert (along < 1e-4 * layer.into.grad.norm(dim=1) * layer.into.norm(dim=1)).all()  # B only turns


@pytest.mark.parametrize("method", [AffinePlus(), AffineLightPlus(), StyleSpaceOffset()], ids=lambda m: m.name)
def test_the_rate_of_styledomain_is_absolute(method: Method) -> None:
    for suite_rate in (0.002, 0.0025):
        cfg = TRAIN.model_copy(update={"lr_g": suite_rate, "lr_d": suite_rate})
        assert method.settings(cfg) == cfg.model_copy(update={"lr_g": 0.02})
        state = train(source().copy(), np.zeros((8, 3, 16, 16), np.uint8), method, cfg, ("few", 0))
        assert state.opt_g.lr == pytest.approx(0.02)
        assert state.opt_d.lr == pytest.approx(suite_rate * 2 / 3)  # R1 every 2 steps


def test_at_512_px_the_counts_are_the_papers() -> None:
    """Alanov et al. 2023: StyleSpace 6 thousand (9 in the released command), affine layers 4.6 million, Affine+ 5.1,
    AffineLight+ 0.6; the exact numbers are those of the released networks."""
    cfg = NetConfig(resolution=512, z_dim=512, w_dim=512, mapping_layers=8, channel_base=32768, channel_max=512)
    with torch.device("meta"):
        g = Generator(cfg)
        nets = Nets(g, g, Discriminator(cfg))
    for method, expected in ((StyleSpaceOffset(), 8960), (StyleSpaceOffset(to_rgb=False), 5952)):
        frozen = {id(p) for p in method.frozen(nets)}
        assert count([p for p in g.parameters() if id(p) not in frozen]) == expected
    affine = [p for n, p in g.named_parameters() if ".affine." in n]
    block = g.synthesis.b64
    offset = sum(block.get_submodule(name).weight[:, :, 0, 0].numel() for name in ("conv0", "conv1", "torgb"))
    assert round(count(affine) / 1e6, 1) == 4.6
    assert count(affine) + offset == 5_122_304
    assert sum(5 * sum(p.shape) for p in affine if p.ndim == 2) + offset == 629_504


# MineGAN


def mined(method: MineGAN, **hooks: Callable[[State], None]) -> Nets:
    nets = source().copy()
    train(nets, reals(), method, TRAIN, ("few", 0), **hooks)
    return nets


def test_a_miner_changes_nothing_at_the_start() -> None:
    nets, z = source().copy(), torch.randn(3, CFG.z_dim, generator=rng(4))
    MineGAN(layers=3).prepare(nets, torch.zeros(2, 3, 16, 16, dtype=torch.uint8), rng())
    with torch.no_grad():
        for g in (nets.g, nets.g_ema):
            assert g(z, noise="const").equal(source().g_ema(z, noise="const"))


def test_while_it_mines_only_miner_constant_and_discriminator_move() -> None:
    nets = mined(MineGAN(mine_steps=250))
    for g in (nets.g, nets.g_ema):
        assert moved(source().g_ema, g) == {
            "synthesis.b4.const",
            *(f"mapping.miner.fc{i}.{what}" for i in (0, 1) for what in ("weight", "bias")),
        }
    assert moved(source().d, nets.d) == {name for name, _ in source().d.named_parameters()}
    z = torch.randn(3, CFG.z_dim, generator=rng(4))
    assert not nets.g_ema.mapping(z).allclose(source().g_ema.mapping(z))


def test_after_mining_everything_moves() -> None:
    """One step of three mines."""
    states: list[set[str]] = []
    nets = mined(MineGAN(mine_steps=1), on_step=lambda state: states.append(moved(source().g_ema, state.nets.g)))
    assert all("miner" in name or "const" in name for name in states[0])
    everything = {name for name, _ in nets.g.named_parameters()}
    assert states[1] == states[2] == everything == moved(source().g_ema, nets.g_ema)


@pytest.mark.parametrize("stop", [4, 8], ids=["while it mines", "after mining"])
def test_mining_goes_on_where_it_stopped(tmp_path: Path, stop: int) -> None:
    method, path = MineGAN(mine_steps=2), tmp_path / "state.safetensors"
    whole = mined(method, on_step=lambda state: save_state(path, state, "key") if state.images == stop else None)
    again = mined(method, restore=lambda state: restore_state(path, state, "key") and None)
    assert all(t.equal(again.state_dict()[name]) for name, t in whole.state_dict().items())


def test_a_miner_is_stored_and_shipped(tmp_path: Path) -> None:
    nets, z = trained(MineGAN(mine_steps=1)), torch.randn(3, CFG.z_dim, generator=rng(4))
    save(tmp_path / "mined.safetensors", nets)
    again = load(tmp_path / "mined.safetensors")
    with torch.no_grad():
        assert again.g_ema(z, noise="const").equal(nets.g_ema(z, noise="const"))
    assert count([*again.g_ema.parameters()]) - count([*source().g_ema.parameters()]) == 2 * (8 * 8 + 8)


@pytest.mark.parametrize("method", [WeightInterpolation(), StyleAlign(), LayerSwap()], ids=lambda m: m.name)
def test_weights_of_a_miner_cannot_be_mixed_with_a_source_that_has_none(method: Method) -> None:
    with pytest.raises(MethodError, match=f"{method.name}: .* parts that its source has not"):
        method.finalize(source().g_ema, trained(MineGAN(mine_steps=1)).g_ema, 0.5)


def test_a_source_that_has_a_miner_is_not_mined_again() -> None:
    """The second miner would take the place of the first, and the start would not be the source."""
    with pytest.raises(MethodError, match="has a miner already"):
        MineGAN().prepare(trained(MineGAN(mine_steps=1)).copy(), torch.zeros(2, 3, 16, 16, dtype=torch.uint8), rng())


@pytest.mark.parametrize("other", [FreezeSG, FSGAN, BSA, AffinePlus, StyleSpaceOffset])
def test_a_part_that_freezes_the_miner_too_is_refused(other: type[Method]) -> None:
    method = composed([MineGAN, other])()
    with pytest.raises(MethodError, match=f"^{other.name} holds (all that minegan adds to the networks|the miner)"):
        train(source().copy(), np.zeros((8, 3, 16, 16), np.uint8), method, TRAIN, ("few", 0))


@pytest.mark.parametrize("kinds", [(LoRA, WeditGAN), (LFSGAN, WeditGAN), (StyleSpaceOffset, WeditGAN)])
def test_a_part_that_needs_a_weight_as_it_was_says_so_beside_one_that_changes_it(
    kinds: tuple[type[Method], ...],
) -> None:
    with pytest.raises(MethodError, match="is reparametrised by another part of this composition"):
        train(source().copy(), np.zeros((8, 3, 16, 16), np.uint8), composed(kinds)(), TRAIN, ("few", 0))


def test_rick_prunes_below_what_another_part_makes_of_a_weight() -> None:
    rick, nets = RICK(samples=2, prune=0.5, warmup_steps=0), source().copy()
    composed([BSA, RICK]).model_validate({"rick": rick}).prepare(nets, torch.from_numpy(reals()), rng())
    rows = [m for m in nets.g.modules() if isinstance(m, Rows)]
    assert rows and sum(int((m.get_buffer("fate") == 2).sum()) for m in rows) > 0


def test_freezing_the_mapping_network_leaves_the_miner_free() -> None:
    nets = source().copy()
    method = composed([MineGAN, FreezeFC])()
    train(nets, np.zeros((8, 3, 16, 16), np.uint8), method, TRAIN, ("few", 0))
    names = {n for n in moved(source().g_ema, nets.g) if n.startswith("mapping.")}
    assert names == {f"mapping.miner.fc{i}.{what}" for i in (0, 1) for what in ("weight", "bias")}


def test_no_other_tool_is_given_a_miner(tmp_path: Path) -> None:
    save(tmp_path / "mined.safetensors", trained(MineGAN(mine_steps=1)))
    with pytest.raises(WeightsError, match="no other tool can read that"):
        export_source(file_source(tmp_path / "mined.safetensors"), "rosinality", tmp_path / "mined.pt")
    assert not (tmp_path / "mined.pt").exists()

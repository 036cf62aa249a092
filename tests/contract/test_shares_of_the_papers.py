"""What share of G and D each freezing method holds at 32 to 1024 px, beside what its paper holds."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import nn

from benchmark.api import Method, Nets, scaled_px
from benchmark.config import NetConfig
from benchmark.registry import find_method
from benchmark.sources import list_sources
from benchmark.stylegan2 import Discriminator, Generator

SIZES = (32, 64, 256, 512, 1024)

PAPERS = {
    # at 256 px: FreezeD, stylegan/finetune.py trains progression 8, 7, 6 and linear: 256 to 32 px stay
    "freezed": ("d", (256, 128, 64, 32)),
    # FreezeG, finetune_loc 3: 4 to 32 px stay
    "freezeg": ("g", (4, 8, 16, 32)),
    # Cartoon-StyleGAN, freezeG 4 (the four finest train) and freezeD 3 (the last three of six train)
    "freezesg": ("g", (4, 8, 16)),
    "structure_loss": ("d", (256, 128, 64)),
}
"""{method: (network, blocks that its authors' code holds at 256 px)}."""

HELD = {
    "freezed": {32: (32,), 64: (64, 32), 512: (512, 256, 128, 64, 32), 1024: (1024, 512, 256, 128, 64, 32)},
    "freezeg": {32: (4, 8), 64: (4, 8, 16), 512: (4, 8, 16, 32, 64), 1024: (4, 8, 16, 32, 64)},
    "freezesg": {32: (4, 8), 64: (4, 8), 512: (4, 8, 16), 1024: (4, 8, 16, 32)},
    "structure_loss": {32: (), 64: (64,), 512: (512, 256, 128, 64), 1024: (1024, 512, 256, 128, 64)},
}
"""Blocks held elsewhere: of D those above the same resolution, of G the same share of blocks."""

PERCENT = {
    ("freezed", 32): 10.3,
    ("freezed", 64): 12.6,
    ("freezed", 256): 31.2,
    ("freezed", 512): 43.0,
    ("freezed", 1024): 43.0,
    ("freezeg", 32): 51.3,
    ("freezeg", 64): 80.9,
    ("freezeg", 256): 85.7,
    ("freezeg", 512): 88.5,
    ("freezeg", 1024): 88.2,
}
"""Share of the network's parameters in percent, for G without the mapping network; by hand below."""


@cache
def nets(px: int) -> Nets:
    """Networks without memory: at 64 px of this package's sources, else of the usual widths: small, paper256, config f.

    The sources' shape is that of their recipes.
    """
    width = {32: 2048, 256: 16384}.get(px, 32768)
    cfg = NetConfig(resolution=px, channel_base=width, channel_max=512 if px > 64 else 128)
    if px == 64:
        recipe = list_sources()["peeps-ink-64"].card.recipe
        assert recipe is not None
        cfg = recipe.networks
    with torch.device("meta"):
        g, d = Generator(cfg), Discriminator(cfg)
    return Nets(g, g, d)


def fitted(name: str, px: int, **fields: object) -> Method:
    method = find_method(name).model_validate(fields).fitted(px)
    method.check({"resolution": px, "d_layers": 1 + 3 * (px.bit_length() - 3)})
    return method


def held_blocks(name: str, px: int, net: str) -> tuple[int, ...]:
    """Resolutions of the blocks that are held as a whole; no block is held in part."""
    frozen = {id(p) for p in fitted(name, px).frozen(nets(px))}
    blocks = (nets(px).g.synthesis if net == "g" else nets(px).d).blocks
    shares = {at: [id(p) in frozen for p in block.parameters()] for at, block in blocks.items()}
    assert all(all(of) or not any(of) for of in shares.values())
    return tuple(at for at, of in shares.items() if all(of))


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("name", PAPERS)
@pytest.mark.parametrize("px", SIZES)
def test_each_holds_at_256_px_what_its_authors_hold_and_its_share_elsewhere(name: str, px: int) -> None:
    net, blocks = PAPERS[name]
    assert held_blocks(name, px, net) == (blocks if px == 256 else HELD[name][px])


def by_hand(name: str, px: int) -> float:
    """Percent, from the numbers of channels alone."""
    cfg = nets(px).g.cfg
    c = {at: min(cfg.channel_base // at, cfg.channel_max) for at in cfg.block_resolutions}
    sizes: dict[int, int] = {}
    if PAPERS[name][0] == "d":  # 3 x 3 convolutions with biases, the skip without
        for at in cfg.block_resolutions[1:]:
            n, m = c[at], c[at // 2]
            sizes[at] = 9 * n * n + n + 9 * n * m + m + n * m + (4 * n if at == px else 0)
        sizes[4] = 9 * (c[4] + 1) * c[4] + c[4] + 16 * c[4] ** 2 + c[4] + c[4] + 1
    else:  # each layer with its affine map of w, noise strength and biases; to RGB without noise
        for at in cfg.block_resolutions:
            n, m = c[at], c[max(at // 2, 4)]
            first = 16 * n if at == 4 else 9 * n * m + n + 1 + (cfg.w_dim + 1) * m
            sizes[at] = first + 9 * n * n + n + 1 + (cfg.w_dim + 1) * n + 3 * n + 3 + (cfg.w_dim + 1) * n
    held = PAPERS[name][1] if px == 256 else HELD[name][px]
    return 100 * sum(sizes[at] for at in held) / sum(sizes.values())


@pytest.mark.parametrize(("name", "px"), PERCENT)
def test_the_share_of_parameters(name: str, px: int) -> None:
    frozen = {id(p) for p in fitted(name, px).frozen(nets(px))}
    net = nets(px).g.synthesis if PAPERS[name][0] == "g" else nets(px).d
    share = 100 * sum(p.numel() for p in net.parameters() if id(p) in frozen) / count(net)
    assert share == pytest.approx(by_hand(name, px), rel=1e-9)
    assert share == pytest.approx(PERCENT[name, px], abs=0.06)


@pytest.mark.parametrize("px", SIZES)
def test_nvidias_and_fixnoises_counts_say_the_same_as_resolutions(px: int) -> None:
    """1 + 3 layers for each block of D: 4, 7, 13, 16, 19; 3 for each of G, 12 at 256 px and 15 up to 64 px."""
    layers = {32: 4, 64: 7, 256: 13, 512: 16, 1024: 19}[px]
    ours = {id(p) for p in fitted("freezed", px).frozen(nets(px))}
    assert ours == {id(p) for p in fitted("freezed", px, layers=layers).frozen(nets(px))}
    for count_, up_to in ((12, 32), (15, 64))[: 2 if px > 32 else 0]:
        by_px = {id(p) for p in fitted("freezeg", px, up_to_px=up_to).frozen(nets(px))}
        assert by_px == {id(p) for p in fitted("freezeg", px, layers=count_).frozen(nets(px))}


def test_four_of_nvidias_layers_are_near_fine_tuning_at_256_px() -> None:
    """What every FreezeD row was until version 2."""
    few = sum(p.numel() for p in fitted("freezed", 256, layers=4).frozen(nets(256)))
    assert few / count(nets(256).d) < 0.01


@pytest.mark.parametrize("name", ["ui2i", "layer_swap"])
def test_the_source_gives_three_blocks_of_seven_as_in_ui2i(name: str) -> None:
    """Their default swap_layer 3 at 256 px: the source's features up to 16 px."""
    at = {px: fitted(name, px).default_control for px in SIZES}
    assert at == {32: 16, 64: 16, 256: 32, 512: 32, 1024: 64}
    assert fitted(name, 256).controls == (16, 32, 64) and fitted(name, 64).controls == (8, 16, 32)
    assert fitted(name, 32).controls == (8, 16, 32)
    assert fitted(name, 256, swap_at_px=8).controls == (8, 16)


@pytest.mark.parametrize("name", ["cdc", "rssa"])
def test_patches_are_judged_on_a_map_of_32_px(name: str) -> None:
    assert {px: fitted(name, px).model_dump()["patch_px"] for px in SIZES} == {
        32: 16,
        64: 32,
        256: 32,
        512: 32,
        1024: 32,
    }


def test_rssa_correlates_the_finest_maps() -> None:
    """64 px and more of 256, three of seven."""
    at = {px: fitted("rssa", px).model_dump()["min_px"] for px in SIZES}
    assert at == {32: 16, 64: 32, 256: 64, 512: 128, 1024: 128}


def test_scaled_resolutions_keep_their_depth_and_leave_a_block_above() -> None:
    for px in (4, 8, 16, 32, 64, 128):
        assert scaled_px(px, 256) == px
        for size in (8, 16, *SIZES):
            blocks = size.bit_length() - 2
            depth = (px.bit_length() - 2) / 7 * blocks
            assert abs((scaled_px(px, size).bit_length() - 2) - depth) <= 1
            assert 4 <= scaled_px(px, size) < size

"""The facts of the methods that join a trained generator with its source: blended layer swapping, StyleAlign."""

from __future__ import annotations

import math
from functools import cache

import pytest
import torch
from benchmark.methods.finetune import Finetune
from benchmark.methods.layer_swap import LayerSwap
from benchmark.methods.style_align import StyleAlign
from pydantic import ValidationError

from benchmark.api import Generator
from benchmark.conformity.trial import NETS, TRAIN, toy_reals, toy_source
from benchmark.training.train import train


@cache
def child() -> Generator:
    nets = toy_source().copy()
    train(nets, toy_reals(), Finetune(), TRAIN, ("swapped", 0))
    return nets.g_ema


def test_a_blended_swap_follows_the_logistic_function_of_levels() -> None:
    """Half-way between two blocks it is 1/2; a level is an octave of resolution."""
    for blend in (0.25, 1.0, 3.0):
        method = LayerSwap(blend=blend)
        for i, px in enumerate((4, 8, 16, 32)):
            levels = i - 2 + 0.5  # above the boundary between 8 and 16 px
            assert method.share(px, 16) == pytest.approx(1 / (1 + math.exp(-levels / blend)))
        assert method.share(8, 16) + method.share(16, 16) == pytest.approx(1)


@pytest.mark.parametrize("blend", [0.0, 1e-6])
def test_a_narrow_blend_is_the_hard_switch(blend: float) -> None:
    shares = [[LayerSwap(blend=blend).share(px, at) for px in (4, 8, 16, 32)] for at in (8, 16, 32)]
    assert shares == [[0, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1]]


@pytest.mark.parametrize("low_from", ["source", "adapted"])
def test_a_blended_swap_mixes_blocks_by_their_share_and_takes_the_mapping_from_the_low_model(low_from: str) -> None:
    source = toy_source().g_ema
    low, high = (source, child()) if low_from == "source" else (child(), source)
    method = LayerSwap(low_from=low_from, blend=0.7)  # type: ignore[arg-type]
    hybrid = method.finalize(source, child(), 16)
    for px, block in hybrid.synthesis.blocks.items():
        share, ends = method.share(px, 16), high.synthesis.blocks[px].state_dict()
        assert 0 < share < 1
        for name, tensor in low.synthesis.blocks[px].state_dict().items():
            expected = (1 - share) * tensor.double() + share * ends[name].double()
            torch.testing.assert_close(block.state_dict()[name].double(), expected, rtol=1e-5, atol=1e-6)
            if "noise_const" in name:
                assert block.state_dict()[name].equal(tensor)  # the anchor is common
    for name, tensor in low.mapping.state_dict().items():
        assert hybrid.mapping.state_dict()[name].equal(tensor)


def test_a_negative_blend_is_refused() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        LayerSwap(blend=-0.1)


def test_style_align_goes_from_the_parents_styles_to_the_childs_in_the_childs_synthesis_network() -> None:
    source, adapted, method = toy_source().g_ema, child(), StyleAlign()
    assert method.training() == Finetune()
    z = torch.randn(8, NETS.z_dim, generator=torch.Generator().manual_seed(2))
    ends = source.mapping(z), adapted.mapping(z)
    assert not ends[0].equal(ends[1])
    at = {share: method.finalize(source, adapted, share) for share in method.controls}  # type: ignore[index]
    assert at[0.0].mapping(z).equal(ends[0]) and at[0.0].mapping.w_avg.equal(source.mapping.w_avg)
    assert at[1.0].mapping(z).equal(ends[1]) and at[1.0].mapping.w_avg.equal(adapted.mapping.w_avg)
    for share, g in at.items():
        for name, tensor in adapted.synthesis.state_dict().items():
            assert g.synthesis.state_dict()[name].equal(tensor)
        straight = ends[0].lerp(ends[1], share)
        assert (g.mapping(z) - straight).norm() < 0.01 * (ends[1] - ends[0]).norm()
    assert at[0.0](z, noise="const").equal(adapted.synthesis(ends[0], "const")[0])

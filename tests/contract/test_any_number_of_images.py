"""Methods that show D other numbers of images than the loop does: any number is judged, whole groups as ever."""

from __future__ import annotations

import pytest
import torch
from benchmark.methods.dcl import DCL
from benchmark.methods.lfs_gan import LFSGAN
from benchmark.methods.mixdl import MixDL
from small_nets import CFG, TRAIN, reals, rng, source
from torch import Tensor

from benchmark.api import Method, Nets, feature_maps, judgeable
from benchmark.training.train import train


def images(n: int) -> Tensor:
    return torch.randn(n, 3, 16, 16, generator=rng(1))


@pytest.mark.parametrize(("n", "sizes"), [(1, [1]), (3, [3]), (4, [4]), (8, [8]), (6, [4, 2]), (9, [8, 1])])
def test_whole_groups_are_judged_together_and_then_the_rest(n: int, sizes: list[int]) -> None:
    d = Nets.create(CFG.model_copy(update={"mbstd_group": 4}), seed=1).d
    batches = judgeable(d, images(n))
    assert [len(batch) for batch in batches] == sizes and torch.cat(batches).equal(images(n))
    for px, maps in feature_maps(d, images(n)).items():
        expected = torch.cat([d.features(batch)[1][px] for batch in batches])
        assert maps.equal(expected) and len(maps) == n


@pytest.mark.parametrize("method", [DCL(), DCL(samples=3), MixDL(samples=3), LFSGAN(samples=6, centres=5, patch_px=8)])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_any_number_of_samples_trains_also_where_the_batch_is_divided(method: Method, accumulate: int) -> None:
    nets = Nets.create(CFG.model_copy(update={"mbstd_group": 4}), seed=1)
    nets.load_state_dict(source().state_dict())
    state = train(nets, reals(), method, TRAIN.model_copy(update={"accumulate": accumulate}), ("small", 0))
    assert state.images == 12

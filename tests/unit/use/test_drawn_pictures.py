"""What is drawn for a person: the pictures of many seeds in little memory, and videos that their formats can hold."""

from __future__ import annotations

import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmark.methods.fixnoise import FixNoise
from small_nets import source

from benchmark import Network
from benchmark.errors import ConfigError
from benchmark.metrics.sampling import to_uint8
from benchmark.use.adapted import Adapted
from benchmark.use.pictures import check_video, sheet_sides, tiled

SEEDS = range(9)


def test_of_many_pictures_one_at_a_time_is_in_memory_as_floats() -> None:
    net = Adapted(FixNoise(), source().g_ema, source().copy().g.eval())
    wanted = to_uint8(net.images(SEEDS, 0.5, 0.7))
    drawn, alive = list[weakref.ref[torch.Tensor]](), list[int]()

    def count(*call: torch.Tensor) -> None:
        drawn.append(weakref.ref(call[-1]))
        alive.append(sum(image() is not None for image in drawn))

    net.weights.register_forward_hook(count)
    pictures = net.pictures(SEEDS, 0.5, 0.7)
    assert len(alive) == len(SEEDS) and max(alive) <= 2, alive
    assert pictures.dtype == np.uint8 and np.array_equal(pictures, wanted)
    assert np.array_equal(Network(net).generate(SEEDS, 0.5, 0.7), wanted.transpose(0, 2, 3, 1))
    assert net.pictures([]).shape == (0, 3, 16, 16)


@pytest.mark.parametrize(("name", "most"), [("a.webp", 16383), ("a.gif", 65535)])
def test_a_format_takes_frames_up_to_its_own_size(name: str, most: int) -> None:
    for sides in ((most, 16), (16, most)):
        check_video(Path(name), 10, sides)
    for sides in ((most + 1, 16), (16, most + 1)):
        with pytest.raises(ConfigError, match=f"a side at most {most}; give fewer --seeds"):
            check_video(Path(name), 10, sides)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 9, 10])
def test_the_sides_of_a_sheet_are_known_before_it_is_drawn(count: int) -> None:
    sheet = tiled([np.zeros((3, 4, 4), np.uint8)] * count)
    assert sheet.shape[:0:-1] == sheet_sides(count, 4)

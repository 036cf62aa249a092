"""Settings that the whole engine shares."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from benchmark.config import NetConfig, images_of


@pytest.mark.parametrize("kimg", [16.1, 32.2, 4.03, 0.25, 2.75, 25_000])
def test_a_length_is_its_number_of_images_whatever_it_is_in_binary(kimg: float) -> None:
    assert images_of(kimg) == round(kimg * 1000)
    assert images_of(0.0021) == 3


@pytest.mark.parametrize("change", [{"channel_base": 32}, {"conv_clamp": 0}, {"conv_clamp": -1}])
def test_networks_without_maps_or_with_an_impossible_clamp_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        NetConfig.model_validate({"resolution": 64, **change})

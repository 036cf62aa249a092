"""The training settings of a composition: what all parts change, or a refusal by name; never one part's alone."""

from __future__ import annotations

import pytest
from benchmark.methods.affine_plus import AffinePlus
from benchmark.methods.freezed import FreezeD
from benchmark.methods.freezefc import FreezeFC
from benchmark.methods.stylespace_offset import StyleSpaceOffset

from benchmark.api import Method
from benchmark.config import TrainConfig
from benchmark.errors import ConfigError
from benchmark.registry.composition import composed


def test_settings_of_the_parts_unite() -> None:
    cfg = TrainConfig(lr_g=0.002, pl_weight=2.0)
    both = composed([FreezeFC, StyleSpaceOffset])()
    assert both.settings(cfg) == cfg.model_copy(update={"lr_g": 0.02, "pl_weight": 0.0})


@pytest.mark.parametrize("suites", [0.001, 0.1, 0.02])
def test_two_parts_that_train_differently_are_refused_by_name_whatever_the_suite_says(suites: float) -> None:
    """Also where one of them wants what the suite says already, and seems to change nothing."""
    clash = composed([AffinePlus, StyleSpaceOffset]).model_validate({"affine_plus": {"lr_g": 0.1}})
    with pytest.raises(ConfigError) as refused:
        clash.settings(TrainConfig(lr_g=suites))
    for said in ("method affine_plus+stylespace_offset: ", "affine_plus", "stylespace_offset", "0.1", "0.02", "lr_g="):
        assert said in str(refused.value)
    same = composed([AffinePlus, StyleSpaceOffset]).model_validate({"affine_plus": {"lr_g": 0.02}})
    assert same.settings(TrainConfig(lr_g=suites)).lr_g == 0.02


def test_settings_that_do_not_stay_are_refused() -> None:
    class Doubles(Method):
        name = "doubles"

        def settings(self, train: TrainConfig) -> TrainConfig:
            return train.model_copy(update={"lr_g": 2 * train.lr_g})

    with pytest.raises(ConfigError, match=r"doubles changes lr_g=0.5 of all parts together to 1.0. Leave it out"):
        composed([Doubles, FreezeD])().settings(TrainConfig(lr_g=0.25))

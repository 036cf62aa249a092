"""The facts of the methods that freeze parts of the generator: which parts, and what acts on the rest."""

from __future__ import annotations

import pytest
import torch
from benchmark.methods.freezefc import FreezeFC
from benchmark.methods.freezeg import FreezeG
from benchmark.methods.freezesg import FreezeSG
from benchmark.methods.layer_swap import LayerSwap
from benchmark.methods.structure_loss import StructureLoss
from benchmark.methods.ui2i import UI2I
from small_nets import at_the_source, generator_step

from benchmark.api import Method, Nets
from benchmark.config import TrainConfig
from benchmark.conformity.trial import FACTS, TRAIN, toy_reals, toy_source
from benchmark.errors import ConfigError
from benchmark.registry import find_method
from benchmark.training.train import train

EVERYTHING = TrainConfig.model_validate(
    TRAIN.model_dump() | {"pl_weight": 2.0, "pl_every": 1, "accumulate": 2, "augment": "ada"}
)


def frozen_names(method: Method, nets: Nets) -> set[str]:
    ids = {id(p) for p in method.frozen(nets)}
    parts = {"g": nets.g, "d": nets.d}
    return {name for part, net in parts.items() for name, p in net.named_parameters(part) if id(p) in ids}


@pytest.mark.parametrize("method", [FreezeG(), FreezeG(layers=11), FreezeFC(), FreezeSG(), FreezeSG(d_up_to_px=8)])
def test_what_is_frozen_keeps_the_sources_average_in_both_generators_with_all_regularisers_on(method: Method) -> None:
    nets, start = toy_source().copy(), toy_source().state_dict()
    held = frozen_names(method, nets)
    assert len(held) > 3
    train(nets, toy_reals(), method, EVERYTHING, ("frozen", 0))
    end = nets.state_dict()
    for part, net in (("g", nets.g), ("d", nets.d)):
        for name in dict(net.named_parameters(part)):
            average = name.replace("g.", "g_ema.", 1) if part == "g" else name
            if name in held:
                assert end[name].equal(start[average]) and end[average].equal(start[average]), name
            else:
                assert not end[name].equal(start[name]) and not end[average].equal(start[average]), name
    mapping_is_held = "g.mapping.fc0.weight" in held
    for average in ("g.mapping.w_avg", "g_ema.mapping.w_avg"):
        assert end[average].equal(start[average]) == mapping_is_held


# FreezeG


def test_freezeg_counts_layers_as_fixnoise_does() -> None:
    """Constant, convolution and RGB layer at 4 px, then two convolutions and the RGB layer in each block."""
    order = ["b4.const", "b4.conv1.", "b4.torgb."]
    order += [f"b{px}.{layer}." for px in (8, 16, 32) for layer in ("conv0", "conv1", "torgb")]
    nets = toy_source().copy()
    for count in range(len(order) + 1):
        expected = tuple(f"g.synthesis.{layer}" for layer in order[:count])
        names = {n for n, _ in nets.g.named_parameters("g") if n.startswith(expected)} if expected else set()
        assert frozen_names(FreezeG(layers=count), nets) == names
    assert "g.synthesis.b8.conv0.affine.weight" in frozen_names(FreezeG(layers=4), nets)
    assert "g.synthesis.b8.conv0.noise_strength" in frozen_names(FreezeG(layers=4), nets)
    FreezeG(layers=len(order)).check(FACTS)
    with pytest.raises(ConfigError, match=r"freezeg\.layers=13.* 12 layers"):
        FreezeG(layers=len(order) + 1).check(FACTS)


# Freeze-FC and UI2I


def test_freezefc_freezes_the_whole_mapping_network_and_nothing_else() -> None:
    nets = toy_source().copy()
    assert frozen_names(FreezeFC(), nets) == {name for name, _ in nets.g.mapping.named_parameters("g.mapping")}


@pytest.mark.parametrize("low_from", ["source", "adapted"])
def test_ui2i_is_layer_swapping_after_freezing_the_mapping_network(low_from: str) -> None:
    method, nets = UI2I(low_from=low_from), toy_source().copy()  # type: ignore[arg-type]
    assert method.training() == FreezeFC() == find_method("freezefc+layer_swap")().training()
    train(nets, toy_reals(), method.training(), TRAIN, ("frozen", 0))
    source = toy_source().g_ema
    hybrid = method.finalize(source, nets.g_ema, 16).state_dict()
    swapped = LayerSwap(low_from=low_from).finalize(source, nets.g_ema, 16).state_dict()  # type: ignore[arg-type]
    assert all(hybrid[name].equal(swapped[name]) for name in hybrid)
    for name, tensor in source.mapping.state_dict().items():
        assert hybrid[f"mapping.{name}"].equal(tensor)


# FreezeSG and its structure loss


def test_freezesg_freezes_styles_low_blocks_and_the_finest_blocks_of_d() -> None:
    nets = toy_source().copy()
    low = ("g.mapping.", "g.synthesis.b4.", "g.synthesis.b8.")
    everything = [n for part, net in (("g", nets.g), ("d", nets.d)) for n, _ in net.named_parameters(part)]
    assert frozen_names(FreezeSG(), nets) == {n for n in everything if n.startswith(low)}  # no block of D above 32 px
    expected = {n for n in everything if n.startswith((*low, "d.b32."))}
    assert frozen_names(FreezeSG(d_up_to_px=16), nets) == expected
    assert frozen_names(FreezeSG(up_to_px=4), nets) == {n for n in everything if n.startswith(low[:2])}


def test_structure_loss_is_zero_at_the_source_and_the_papers_value_away_from_it() -> None:
    nets, source = at_the_source(), toy_source().g_ema
    assert StructureLoss().generator_loss(generator_step(nets, source))["structure"].item() == 0
    nets = toy_source().copy()  # the raw generator
    step = generator_step(nets, source)
    features = [g.synthesis(g.mapping(step.z), source.synthesis.anchor_noise())[1] for g in (nets.g, source)]
    distance = {px: ((features[0][px] - features[1][px]).double() ** 2).mean().item() for px in (8, 16, 32)}
    assert min(distance.values()) > 0
    for up_to, levels in ((8, (8,)), (16, (8, 16)), (32, (8, 16, 32))):
        loss = StructureLoss(weight=0.3, up_to_px=up_to).generator_loss(step)["structure"].item()
        assert loss == pytest.approx(0.3 * sum(distance[px] for px in levels), rel=1e-5)


def test_structure_loss_looks_at_the_weights_of_the_source_it_is_given() -> None:
    """The official code compares with a generator of random weights."""
    nets, source = at_the_source(), toy_source().copy().g_ema
    with torch.no_grad():
        source.synthesis.b16.conv0.weight.mul_(-1)
    assert StructureLoss().generator_loss(generator_step(nets, source))["structure"].item() > 0


def test_structure_loss_reaches_everything_up_to_its_limit() -> None:
    nets, method = toy_source().copy(), StructureLoss(up_to_px=16)
    nets.g.requires_grad_(True)
    method.generator_loss(generator_step(nets, toy_source().g_ema))["structure"].backward()
    reached = {n for n, p in nets.g.named_parameters() if p.grad is not None and p.grad.any()}
    low = ("mapping.", "synthesis.b4.const", "synthesis.b4.conv", "synthesis.b8.conv", "synthesis.b16.conv")
    assert reached == {n for n, _ in nets.g.named_parameters() if n.startswith(low)}
    assert frozen_names(StructureLoss(d_up_to_px=16), nets) == {
        f"d.{n}" for n, _ in nets.d.named_parameters() if n.startswith("b32.")
    }


def test_freezesg_and_structure_loss_together_leave_the_loss_a_block_to_act_on_at_every_size() -> None:
    for px in (32, 64, 256, 512, 1024):
        held, reached = FreezeSG().fitted(px).model_dump(), StructureLoss().fitted(px).model_dump()
        assert reached["up_to_px"] == 2 * held["up_to_px"] <= px


def test_resolutions_that_the_source_does_not_have_are_refused() -> None:
    FreezeSG().fitted(32).check(FACTS)
    StructureLoss().fitted(32).check(FACTS)
    for px in (2, 12, 32):
        with pytest.raises(ConfigError, match=rf"freezesg\.up_to_px={px}: .*\[4, 8, 16\]"):
            FreezeSG(up_to_px=px).check(FACTS)
    with pytest.raises(ConfigError, match=r"structure_loss\.up_to_px=64: .*\[8, 16, 32\]"):
        StructureLoss(up_to_px=64).check(FACTS)
    for method in (FreezeSG(d_up_to_px=32), StructureLoss(d_up_to_px=32)):  # by default, that is none of D at 32 px
        with pytest.raises(ConfigError, match=rf"{method.name}\.d_up_to_px=32: .* nothing of it would be frozen"):
            method.check(FACTS)
    with pytest.raises(ConfigError, match=r"freezeg\.up_to_px=64: .*\[4, 8, 16, 32\]"):
        FreezeG(up_to_px=64).check(FACTS)

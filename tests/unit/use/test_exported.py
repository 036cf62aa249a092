"""Graphs of generators: the noise as a mixture, the control as an input, and what cannot be one."""

from __future__ import annotations

import pytest
import torch
from benchmark.methods.finetune import Finetune
from benchmark.methods.fixnoise import FixNoise
from benchmark.methods.layer_swap import LayerSwap
from benchmark.methods.weight_interpolation import WeightInterpolation
from torch import Tensor

from benchmark.api import Control, Generator, Method, Noise
from benchmark.config import NetConfig
from benchmark.errors import ConfigError
from benchmark.stylegan2 import Nets
from benchmark.use.adapted import Adapted
from benchmark.use.export import PSI, Batch, batch_of
from benchmark.use.exported import Graph, graph_of

NETS = NetConfig(resolution=16, z_dim=8, w_dim=8, mapping_layers=2, channel_base=64, channel_max=8)


def adapted(method: Method) -> Adapted:
    """Networks that listen to their noise, with another centre of truncation than 0."""
    source, weights = (Nets.create(NETS, seed).g.eval().requires_grad_(False) for seed in (0, 1))
    for g in (source, weights):
        g.mapping.w_avg.fill_(0.3)
        for name in g.synthesis.layer_names:
            g.synthesis.get_submodule(name).noise_strength.fill_(0.5)
    return Adapted(method, source, weights)


def drawn(graph: Graph, batch: Batch) -> Tensor:
    with torch.inference_mode():
        return graph(*batch.arguments)


@pytest.mark.parametrize("interpolation", ["linear", "spherical"])
def test_a_control_of_the_noise_is_an_input_and_exact_between_the_values_that_are_kept(interpolation: str) -> None:
    net = adapted(FixNoise(interpolation=interpolation))
    graph = graph_of(net, 0.25)
    assert graph.moves
    batch = batch_of(graph, (0, 1, 2, 3))
    control = torch.tensor([0.0, 0.1234, 0.777, 1.0])
    images = drawn(graph, Batch(batch.z, batch.psi, batch.noise, control))
    for seed, value, image in zip((0, 1, 2, 3), control.tolist(), images, strict=True):
        (wanted,) = net.images([seed], value, PSI)
        assert (image - wanted).abs().max() < 1e-4
    at_anchor = net.images([1], 0.0, PSI)
    assert (images[1] - at_anchor[0]).abs().max() > 0.01, "the noise does nothing, so this shows nothing"


@pytest.mark.parametrize(
    ("method", "control"), [(Finetune(), None), (LayerSwap(swap_at_px=8), 8), (WeightInterpolation(), 0.3)]
)
def test_a_control_of_the_weights_is_fixed_and_noise_is_as_given(method: Method, control: Control) -> None:
    net = adapted(method)
    graph = graph_of(net, control)
    assert not graph.moves
    images = drawn(graph, batch_of(graph, (4, 5)))
    assert (images - net.images([4, 5], control, PSI)).abs().max() < 1e-4
    assert (images - net.images([4, 5], control, PSI, noise="none")).abs().max() > 0.01


class Shifted(Method):
    """Noise that is moved, so no mixture."""

    name = "shifted"

    def noise(self, g: Generator, n: int, control: Control, rng: torch.Generator) -> Noise:
        return {name: maps + 1 for name, maps in g.synthesis.random_noise(n, rng).items()}


def test_noise_that_is_no_mixture_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="shifted makes its noise otherwise"):
        graph_of(adapted(Shifted()), None)

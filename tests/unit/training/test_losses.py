"""Losses and regularisers against closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from benchmark.api import feature_matching
from benchmark.training import losses


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_adversarial_losses_at_known_logits() -> None:
    zero, three = torch.zeros(4, 1), torch.full((4, 1), math.log(3))  # sigmoid: 1/2 and 3/4
    assert losses.generator_adversarial(zero).item() == pytest.approx(math.log(2))
    assert losses.generator_adversarial(three).item() == pytest.approx(math.log(4 / 3))
    assert losses.discriminator_adversarial(zero, zero).item() == pytest.approx(2 * math.log(2))
    assert losses.discriminator_adversarial(three, -three).item() == pytest.approx(2 * math.log(4 / 3))
    assert losses.discriminator_adversarial(-three, three).item() == pytest.approx(2 * math.log(4))


def test_the_generators_loss_does_not_saturate() -> None:
    logits = torch.tensor([[-50.0]], requires_grad=True)
    losses.generator_adversarial(logits).backward()
    assert logits.grad is not None
    assert logits.grad.item() == pytest.approx(-1)


def test_r1_of_a_linear_discriminator_is_the_squared_norm_of_its_weight() -> None:
    weight, x = random(3, 4, 4).requires_grad_(True), random(5, 3, 4, 4, seed=1).requires_grad_(True)
    penalty = losses.r1((x * weight).sum(dim=(1, 2, 3)), x)
    torch.testing.assert_close(penalty, weight.square().sum().expand(5))
    (gradient,) = torch.autograd.grad(penalty.mean(), weight)
    torch.testing.assert_close(gradient, 2 * weight)


def test_path_length_of_a_linear_generator() -> None:
    """Images A_l w_l summed over layers l: the length is the root of the layers' mean |A_l^T y|^2."""
    a, ws, noise = random(48, 2, 6), random(5, 2, 6, seed=1).requires_grad_(True), random(5, 3, 4, 4, seed=2)
    images = torch.einsum("plk,nlk->np", a, ws).reshape(5, 3, 4, 4)
    expected = (torch.einsum("plk,np->nlk", a, noise.flatten(1)) / 4).square().sum(dim=2).mean(dim=1).sqrt()
    torch.testing.assert_close(losses.path_lengths(images, ws, noise), expected)


def test_path_lengths_keep_their_graph() -> None:
    scale, ws = torch.tensor(3.0, requires_grad=True), torch.ones(2, 1, 12, requires_grad=True)
    lengths = losses.path_lengths((scale * ws).reshape(2, 3, 2, 2), ws, torch.ones(2, 3, 2, 2))
    torch.testing.assert_close(lengths, 3 * torch.full((2,), 12.0).sqrt() / 2)
    (gradient,) = torch.autograd.grad(lengths.sum(), scale)
    assert gradient.item() == pytest.approx(2 * math.sqrt(12) / 2)


def test_feature_matching_sums_channels_and_averages_the_rest() -> None:
    ours = {4: torch.full((2, 5, 4, 4), 3.0), 8: torch.full((2, 7, 8, 8), 1.0)}
    theirs = {4: torch.full((2, 5, 4, 4), 1.0), 8: torch.full((2, 7, 8, 8), 0.0)}
    assert feature_matching(ours, theirs).item() == pytest.approx((5 * 4 + 7 * 1) / 2)
    assert feature_matching(ours, ours).item() == 0


def test_feature_matching_works_in_float32() -> None:
    ours, theirs = ({4: torch.full((1, 4, 4, 4), value, dtype=torch.bfloat16)} for value in (256.0, 254.0))
    loss = feature_matching(ours, theirs)
    assert loss.dtype == torch.float32
    assert loss.item() == 16

"""Adam as the loop uses it: PyTorch's own numbers, at less cost."""

from __future__ import annotations

import copy
import subprocess
import sys

import pytest
import torch
from torch import nn

from benchmark.api import Adam


def parameters() -> list[nn.Parameter]:
    rng = torch.Generator().manual_seed(0)
    shapes = [(3,), (4, 3), (8, 4, 3, 3)]
    made = [nn.Parameter(torch.randn(shape, generator=rng)) for shape in shapes]
    made[2].data = made[2].data.contiguous(memory_format=torch.channels_last)
    return made


def gradients(step: int, at: list[nn.Parameter]) -> list[torch.Tensor | None]:
    """Of a step; the second parameter has none in the first steps, as where it rests."""
    rng = torch.Generator().manual_seed(step)
    return [None if i == 1 and step < 2 else torch.randn(p.shape, generator=rng) for i, p in enumerate(at)]


@pytest.mark.parametrize("betas", [(0.0, 0.99), (0.9, 0.999)])
def test_its_numbers_are_those_of_pytorch_bit_for_bit(betas: tuple[float, float]) -> None:
    ours, theirs = parameters(), parameters()
    own, other = Adam(ours, 0.01, betas), torch.optim.Adam(theirs, 0.01, betas, fused=True)
    for step in range(5):
        for p, gradient in zip((*ours, *theirs), gradients(step, ours) * 2, strict=True):
            p.grad = gradient
        own.step(), other.step()
        own.zero_grad(), other.zero_grad()
        assert all(p.grad is None for p in ours)
    assert all(p.equal(q) for p, q in zip(ours, theirs, strict=True))
    for p, q in zip(ours, theirs, strict=True):
        assert all(value.equal(other.state[q][name]) for name, value in own.state[p].items())
    assert own.state[ours[1]]["step"] == 3 and own.state[ours[0]]["step"] == 5


def test_a_stored_state_goes_on_bit_for_bit() -> None:
    whole, rest = parameters(), parameters()
    first = Adam(whole, 0.01)
    for step in range(4):
        for p, gradient in zip(whole, gradients(step, whole), strict=True):
            p.grad = gradient
        first.step()
        if step == 2:
            moments = copy.deepcopy(first.state_dict())
            values = [p.detach().clone() for p in whole]
    again = Adam(rest, 0.01)
    again.load_state_dict({i: {k: v.contiguous() for k, v in entry.items()} for i, entry in moments.items()})
    for p, value, gradient in zip(rest, values, gradients(3, rest), strict=True):
        p.data.copy_(value)
        p.grad = gradient
    again.step()
    assert all(p.equal(q) for p, q in zip(whole, rest, strict=True))
    assert again.state[rest[2]]["exp_avg"].is_contiguous(memory_format=torch.channels_last)


def test_a_training_does_not_import_the_compiler() -> None:
    """It costs more than a second of a processor, in every process."""
    code = (
        "import sys, numpy as np\n"
        "from benchmark.api import Method, Nets\n"
        "from benchmark.config import NetConfig, TrainConfig\n"
        "from benchmark.training.train import train\n"
        "cfg = NetConfig(resolution=8, z_dim=4, w_dim=4, mapping_layers=1, channel_base=32, channel_max=4)\n"
        "made = type('Plain', (Method,), {'name': 'plain', '__module__': __name__})()\n"
        "train(Nets.create(cfg, 0), np.zeros((4, 3, 8, 8), np.uint8), made, TrainConfig(kimg=0.008, batch=4), (0,))\n"
        "print(sorted({'torch._dynamo', 'torch._inductor'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr

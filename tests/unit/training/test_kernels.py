"""How phases are computed: compiled or not, with which kernels of a GPU."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from benchmark.api import Method, Turn
from benchmark.config import NetConfig, Suite, TrainConfig
from benchmark.errors import ConfigError
from benchmark.running.plan import make_job
from benchmark.stylegan2 import Nets
from benchmark.training import kernels
from benchmark.training.kernels import Arithmetic, require_compiler
from benchmark.training.train import train

CFG = NetConfig(resolution=8, z_dim=4, w_dim=4, mapping_layers=1, channel_base=64, channel_max=8)
STEP = TrainConfig(kimg=0.008, batch=4, r1_every=2, pl_weight=2, pl_every=2, precision="fp32", lr_g=0.002, lr_d=0.002)


class Plain(Method):
    name = "plain"


def test_blocks_are_compiled_in_main_phases_and_plain_in_regularisers() -> None:
    """The eager backend runs what was traced as it is: the trace itself is tried here, in seconds."""
    nets = Nets.create(CFG, 0)
    plain = copy.deepcopy(nets)
    arithmetic = Arithmetic(nets, STEP.model_copy(update={"compile": True}), backend="aot_eager")
    blocks = [*nets.g.synthesis.blocks.values(), *nets.d.blocks.values()]
    assert not any("forward" in block.__dict__ for block in blocks)
    z, noise = torch.randn(4, 4), "const"
    with arithmetic.main():
        assert all("forward" in block.__dict__ for block in blocks)
        logits = nets.d(nets.g(z, noise=noise))
        logits.square().mean().backward()
    assert not any("forward" in block.__dict__ for block in blocks)
    expected = plain.d(plain.g(z, noise=noise))
    expected.square().mean().backward()
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-6)
    for a, b in zip(
        (*nets.g.parameters(), *nets.d.parameters()), (*plain.g.parameters(), *plain.d.parameters()), strict=True
    ):
        assert (a.grad is None) == (b.grad is None)
        if a.grad is not None and b.grad is not None:
            torch.testing.assert_close(a.grad, b.grad, rtol=1e-3, atol=1e-6)
    x = torch.randn(4, 3, 8, 8, requires_grad=True)
    with arithmetic.twice():
        (gradient,) = torch.autograd.grad(nets.d(x).sum(), x, create_graph=True)
        gradient.square().sum().backward()


def test_without_a_compiler_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ConfigError, match=r"C\+\+ compiler \(no-such-compiler\).*train.compile at false"):
        require_compiler("cpu")
    with pytest.raises(ConfigError, match="C"):
        Arithmetic(Nets.create(CFG, 0), STEP.model_copy(update={"compile": True}))


@pytest.mark.parametrize("tf32", [True, False])
def test_settings_of_the_gpu_hold_for_whatever_a_method_computes(tf32: bool) -> None:
    """Before the first step, in the warm-up of D, and after each step."""
    said: list[tuple[bool, bool]] = []

    def look(*_: object) -> None:
        said.append((torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32))

    class Looks(Method):
        name = "looks"

        def warm_up(self) -> int:
            return 1

        def prepare(self, nets: Nets, reals: torch.Tensor, rng: torch.Generator) -> None:
            look()

        def after_step(self, turn: Turn) -> None:
            look()

    nets = Nets.create(CFG, 0)
    nets.d.register_forward_hook(look)
    train(nets, np.zeros((4, 3, 8, 8), np.uint8), Looks(), STEP.model_copy(update={"tf32": tf32}), ("looks",))
    assert len(said) > 8 and set(said) == {(tf32, tf32)}


def test_settings_of_the_gpu_hold_inside_and_end_after() -> None:
    before = torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    with kernels.kernels(STEP.model_copy(update={"tf32": True})):
        assert torch.backends.cudnn.benchmark and torch.backends.cudnn.enabled
        assert torch.backends.cudnn.allow_tf32 and torch.backends.cuda.matmul.allow_tf32
    with kernels.kernels(STEP.model_copy(update={"cudnn_benchmark": False})):
        assert not torch.backends.cudnn.benchmark and not torch.backends.cuda.matmul.allow_tf32
    assert before == (
        torch.backends.cudnn.benchmark,
        torch.backends.cudnn.allow_tf32,
        torch.backends.cuda.matmul.allow_tf32,
    )


def test_settings_at_their_defaults_change_no_key() -> None:
    """What was trained before they existed is found again; what they change is trained anew."""
    assert set(TrainConfig().content()) == set(TrainConfig.model_fields) - {"tf32", "compile", "ranks", "deterministic"}
    suite = Suite(schema=1, name="s", source="x", domains=("d",), methods=("plain",))

    class Place:
        name, digest, selection = "d", "digest", ()

    def key(**changes: bool) -> str:
        changed = suite.model_copy(update={"train": suite.train.model_copy(update=changes)})
        return make_job(changed, Plain(), Place(), 0, "sha").train_key

    assert key() == key(cudnn_benchmark=False)
    assert len({key(), key(tf32=True), key(compile=True)}) == 3

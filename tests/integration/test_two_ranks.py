"""Two processes train one network: real gloo, real sockets, tiny networks."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from torch import Tensor, nn

from benchmark.api import DiscriminatorStep, Extra, GeneratorStep, Method, build, reparametrise
from benchmark.config import NetConfig, TrainConfig
from benchmark.errors import ConfigError, WeightsError
from benchmark.stylegan2 import Nets
from benchmark.stylegan2.weights import read_tensors, write_tensors
from benchmark.training import dist
from benchmark.training.state import State, restore_state, save_state
from benchmark.training.train import train

NETS = NetConfig(resolution=16, z_dim=8, w_dim=8, mapping_layers=2, channel_base=64, channel_max=8, mbstd_group=1)
CFG = TrainConfig(
    **{"kimg": 0.04, "batch": 8, "r1_every": 2, "pl_weight": 2.0, "pl_every": 2, "precision": "fp32"},
    **{"augment": "ada", "ada_target": 0.0, "ada_kimg": 0.02},
)
STILL = TrainConfig(kimg=0.008, batch=8, lr_g=1e-12, lr_d=1e-12, precision="fp32")
"""One step that moves nothing: the discriminator's last gradient is R1's at the initial weights."""


class Plain(Method):
    name = "plain"


class Scaled(nn.Module):
    """A weight times a number that is 1 at first."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones([]))

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.scale


class Sometimes(Method):
    """A part of its own that each process reaches in some steps only, and a reparametrised weight."""

    name = "sometimes"

    def prepare(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> Extra:
        reparametrise(nets, [(nets.g.synthesis.b8.conv0, "weight")], lambda weight: Scaled())
        extra = Extra()
        extra.g = build(lambda: nn.Linear(3, 1), rng)
        return extra

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        if torch.rand([], generator=step.rng) < 0.5:
            return {}
        return {"own": step.extra.g(step.images.mean(dim=(2, 3))).square().mean()}


def run(cfg: TrainConfig, method: Method | None = None, **callbacks) -> State:
    reals = np.random.default_rng(0).integers(0, 256, (20, 3, 16, 16), dtype=np.uint8)
    return train(Nets.create(NETS, 0).to("cpu"), reals, method or Plain(), cfg, ("suite", "domain", 0), **callbacks)


def write_shown_and_still(folder: Path, name: str) -> None:
    """Files of the images that this process showed to D, and of its state after a step that moves nothing."""
    shown: list[Tensor] = []

    class Look(Method):
        name = "look"

        def discriminator_loss(self, step: DiscriminatorStep) -> dict[str, Tensor]:
            shown.append(step.reals)
            return {}

    run(STILL.model_copy(update={"kimg": 0.024}), Look())
    write_tensors(folder / f"{name}.shown", {str(i): x for i, x in enumerate(shown)}, {})
    save_state(folder / f"{name}.still", run(STILL), "key")


def one_rank(rank: int, port: int, folder: Path) -> None:
    """The body of each process."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ["TORCHELASTIC_USE_AGENT_STORE"] = "True"  # as torchrun does: the store is there, on a port of its own
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    torch.set_num_threads(1)
    dist.init()
    assert (dist.rank(), dist.world()) == (rank, 2)

    tensors = [torch.full((2, 3), float(rank)), torch.tensor(10.0 * rank)]
    dist.average_(tensors)
    assert tensors[0].equal(torch.full((2, 3), 0.5))
    assert tensors[1].item() == 5

    mine = folder / f"rank{rank}"
    whole = run(CFG, on_step=lambda s: save_state(mine, s, "key") if s.step == 2 else None)
    save_state(folder / f"rank{rank}.whole", whole, "key")
    rest = run(CFG, restore=lambda s: restore_state(mine, s, "key"))
    save_state(folder / f"rank{rank}.rest", rest, "key")

    save_state(folder / f"rank{rank}.sometimes", run(CFG, Sometimes()), "key")
    write_shown_and_still(folder, f"rank{rank}")
    with pytest.raises(WeightsError, match="different steps"):
        run(CFG, restore=lambda s: restore_state(mine, s, "key") if rank else None)
    with pytest.raises(ConfigError, match="2 processes"):
        run(CFG.model_copy(update={"batch": 3}))
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes left behind, and, as `alone`, what one does."""
    folder = tmp_path_factory.mktemp("ranks")
    store = torch.distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    mp.spawn(one_rank, (store.port, folder), nprocs=2)
    write_shown_and_still(folder, "alone")
    return folder


def differing(a: Path, b: Path) -> list[str]:
    (first, meta_a), (second, meta_b) = read_tensors(a), read_tensors(b)
    assert first.keys() == second.keys()
    assert (meta_a["images"], meta_a["step"], meta_a["ada"]) == (meta_b["images"], meta_b["step"], meta_b["ada"])
    return sorted(name for name in first if not first[name].equal(second[name]))


def test_both_processes_end_with_the_same_parameters_and_moments(folder: Path) -> None:
    """Only what each draws for itself differs: its streams, and the means of its own latents and path lengths."""
    assert_equal_but_for_own_draws(folder, "whole")
    assert read_tensors(folder / "rank0.whole")[1]["ada"]["p"] > 0


def assert_equal_but_for_own_draws(folder: Path, name: str) -> None:
    own = {"nets.g.mapping.w_avg", "nets.g_ema.mapping.w_avg", "pl_mean"}
    own |= {f"streams.{name}" for name in ("latents", "noise", "augment", "method", "data")}
    found = differing(folder / f"rank0.{name}", folder / f"rank1.{name}")
    assert "streams.latents" in found
    assert set(found) <= own


def test_what_only_one_process_reaches_in_a_step_is_shared_too(folder: Path) -> None:
    assert_equal_but_for_own_draws(folder, "sometimes")
    moments = read_tensors(folder / "rank0.sometimes")[0]
    steps = {int(t) for name, t in moments.items() if name.startswith("opt_g.") and name.endswith(".step")}
    assert len(steps) > 1  # the method's own layer took part in fewer steps than the generator


@pytest.mark.parametrize("rank", [0, 1])
def test_each_process_goes_on_bit_for_bit_from_its_own_state(folder: Path, rank: int) -> None:
    assert differing(folder / f"rank{rank}.whole", folder / f"rank{rank}.rest") == []


def test_two_processes_share_out_the_images_that_one_would_show(folder: Path) -> None:
    parts = [read_tensors(folder / f"rank{rank}.shown")[0] for rank in (0, 1)]
    alone = read_tensors(folder / "alone.shown")[0]
    assert len(alone) == 3
    for step, images in alone.items():
        assert torch.cat([part[step] for part in parts]).equal(images)


def test_the_gradient_of_two_processes_is_that_of_the_whole_batch(folder: Path) -> None:
    alone, shared = (read_tensors(folder / f"{name}.still")[0] for name in ("alone", "rank0"))
    moments = [name for name in alone if name.startswith("opt_d.") and name.endswith("exp_avg")]
    weights = [name for name in moments if alone[name].ndim == 4]  # R1 has no gradient for most biases
    assert len(weights) == 8
    for name in weights:
        assert alone[name].norm() > 0
        torch.testing.assert_close(shared[name], alone[name], rtol=1e-3, atol=1e-4 * alone[name].abs().max().item())

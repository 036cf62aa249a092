"""Two processes train one network: real gloo, real sockets, tiny networks."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from torch import Tensor, nn

from benchmark.api import DiscriminatorStep, Extra, GeneratorStep, Method, Turn, build, reparametrise
from benchmark.config import DomainConfig, NetConfig, TrainConfig
from benchmark.errors import ConfigError, WeightsError
from benchmark.running.forecast import Unseen
from benchmark.running.plan import make_job
from benchmark.running.resume import Progress, UnusableState, state_files
from benchmark.sources import training
from benchmark.sources.source import Recipe
from benchmark.stylegan2 import Nets
from benchmark.stylegan2.weights import read_tensors, write_tensors
from benchmark.suites import load_suite
from benchmark.system.signals import Stopped
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


JOB = make_job(
    load_suite("smoke")[0].model_copy(update={"train": CFG.model_copy(update={"checkpoint_minutes": 0.0})}),
    *(None, Unseen("nowhere"), 0, "sha256"),
)


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


class DrawsForItself(Method):
    """What it makes differs between processes: digits of `prepare`, and what it draws after each step."""

    name = "draws_for_itself"

    def prepare(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> Extra:
        with torch.no_grad():
            nets.d.b4.out.weight += dist.rank() * 1e-3
        extra = Extra()
        extra.register_buffer("drawn", torch.full([3], dist.rank() > 0))
        return extra

    def after_step(self, turn: Turn) -> None:
        extra = turn.extra
        if turn.index % 2:
            extra.drawn = torch.rand(3, generator=turn.rng) < 0.5  # in place of the one before
        else:
            turn.nets.g.synthesis.b4.const.mul_(1 + 0.01 * torch.rand([], generator=turn.rng))


class DrawsNothing(Method):
    """Latents from a table, of which each process takes its part; the source's noise has no strength."""

    name = "draws_nothing"

    def latents(self, turn: Turn, usual: Tensor) -> Tensor:
        table = torch.randn(8, 8, generator=torch.Generator().manual_seed(turn.index))
        return table[dist.rank() * len(usual) :][: len(usual)]

    def frozen(self, nets: Nets) -> Iterable[nn.Parameter]:
        return [p for name, p in nets.g.named_parameters() if name.endswith("noise_strength")]


def kept(path: Path, told: Callable[[], int | None] = lambda: None) -> tuple[str, list[float]]:
    """How a training that keeps its states beside `path` after each step ends, and the images that it told of."""
    images: list[float] = []
    progress = Progress(JOB, path, {}, None, images.append, told)
    hooks = {"restore": progress.restore, "on_tick": progress.on_tick, "on_step": progress.on_step}
    try:
        run(JOB.training, **hooks)
    except (Stopped, UnusableState) as end:
        return type(end).__name__, images
    return "done", images


def keep_states(folder: Path, rank: int) -> list[tuple[str, list[float]]]:
    """Three trainings in a row: the second rank is told to end; what it stored is not yet in its place; it is cut."""
    path = folder / "job.safetensors"
    mine, next_one = state_files(path, rank)
    signals = iter([None, None, signal.SIGTERM])
    ends = [kept(path, lambda: next(signals) if rank else None)]
    if rank:
        mine.rename(next_one)
    ends.append(kept(path))
    if rank:
        mine.write_bytes(mine.read_bytes()[:1000])
    ends.append(kept(path))
    return ends


def source_resumes(folder: Path, rank: int) -> list[str]:
    """What a source's training says that is resumed after it was killed while its states were stored."""
    networks = NETS.model_copy(update={"resolution": 32})
    about = {"domain": "toy-disks", "networks": networks, "split": DomainConfig(train=16, test=4)}
    made = Recipe.model_validate({**about, "train": CFG.model_copy(update={"kimg": 0.016, "augment": "none"})})
    training._recipe = lambda name, kimg: made
    said: list[str] = []

    def begin() -> None:
        training.train_source("tiny", folder / "source", folder / f"cache{rank}", None, "cpu", said.append)

    begin()
    mine = folder / "source" / f"state.{rank}.safetensors"
    if rank:
        mine.rename(mine.with_name(f"{mine.name}.next"))  # the other process has replaced its own
    begin()
    if rank:
        mine.with_name(f"{mine.name}.next").unlink()
    with pytest.raises(WeightsError, match="no stored state of one step in common"):
        begin()
    return [text for text in said if "resuming" in text]


def losses_without_draws() -> list[dict[str, float]]:
    """Of twelve steps in which nothing is drawn, one tick each."""
    cfg = TrainConfig(kimg=0.096, batch=8, tick_kimg=0.008, r1_every=2, style_mixing=0, precision="fp32")
    return [tick.losses for tick in run(cfg, DrawsNothing()).ticks]


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
    dist.init("cpu")
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
    save_state(folder / f"rank{rank}.made", run(CFG, DrawsForItself()), "key")
    (folder / f"rank{rank}.source").write_text(json.dumps(source_resumes(folder, rank)))
    write_shown_and_still(folder, f"rank{rank}")
    (folder / f"rank{rank}.kept").write_text(json.dumps(keep_states(folder, rank)))
    (folder / f"rank{rank}.losses").write_text(json.dumps(losses_without_draws()))
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
    """Names of the tensors that differ in two states, without the log, which holds seconds."""
    (first, meta_a), (second, meta_b) = read_tensors(a), read_tensors(b)
    assert first.keys() == second.keys()
    assert (meta_a["images"], meta_a["step"], meta_a["ada"]) == (meta_b["images"], meta_b["step"], meta_b["ada"])
    return sorted(name for name in first.keys() - {"ticks"} if not first[name].equal(second[name]))


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


def test_what_a_method_makes_is_that_of_the_first_process(folder: Path) -> None:
    assert_equal_but_for_own_draws(folder, "made")
    means = [read_tensors(folder / f"rank{rank}.made")[0]["nets.g.mapping.w_avg"] for rank in (0, 1)]
    assert not means[0].equal(means[1]), "what the method leaves alone stays each process's own"


def test_a_source_goes_on_from_the_last_state_that_all_processes_stored(folder: Path) -> None:
    assert [json.loads((folder / f"rank{rank}.source").read_text()) for rank in (0, 1)] == [
        ["resuming at 0.016 kimg"],
        ["resuming at 0.016 kimg"],
    ]


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


def test_states_of_ranks_are_stored_used_and_given_up_together(folder: Path) -> None:
    """Also where one of them was killed after all had stored a state and before it replaced the one before."""
    for rank in (0, 1):
        told, not_in_place, cut = json.loads((folder / f"rank{rank}.kept").read_text())
        assert told == ["Stopped", [8, 8, 8]]
        assert not_in_place == ["done", [24, 8, 8]]
        assert cut == ["UnusableState", []]


def test_two_processes_log_the_losses_of_one_where_nothing_is_drawn(folder: Path) -> None:
    first, second = (json.loads((folder / f"rank{rank}.losses").read_text()) for rank in (0, 1))
    alone = losses_without_draws()
    assert first == second and len(first) == len(alone) == 12
    assert [losses.keys() for losses in first] == [losses.keys() for losses in alone]
    for ours, theirs in zip(first, alone, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3)
    assert alone[0] != pytest.approx(alone[-1], rel=1e-2)  # it trains

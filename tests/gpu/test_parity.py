"""The GPU computes what the CPU computes. Needs a CUDA device: `pytest tests/gpu`; nothing else in tests/ does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmark.api import Method
from benchmark.config import EvalConfig, NetConfig, TrainConfig
from benchmark.metrics.sampling import Sampler
from benchmark.stylegan2 import Nets
from benchmark.stylegan2.augment import Draw, draw, transform
from benchmark.training import losses
from benchmark.training.state import restore_state, save_state
from benchmark.training.train import set_precision, train

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]

DEVICE = "cuda"
CFG = NetConfig(resolution=32, z_dim=64, w_dim=64, mapping_layers=3, channel_base=1024, channel_max=64)
PHASES = ("generator", "path_length", "discriminator", "r1")


@pytest.fixture(autouse=True)
def no_tf32() -> Iterator[None]:
    """TF32 off: fp32 means fp32 here, in training, which may allow it (`train.tf32`)."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def networks() -> Nets:
    """Random networks in which noise strengths and biases are not zero."""
    nets, rng = Nets.create(CFG, seed=0), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in (*nets.g.parameters(), *nets.d.parameters()):
            p += 0.1 * torch.randn(p.shape, generator=rng)
    return nets


def on(device: str, *shape: int, seed: int) -> Tensor:
    """The same unit normal numbers on every device."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(device)


def gradients(nets: Nets, phase: str) -> dict[str, Tensor]:
    """One phase's gradients by parameter, as in train(), with the same inputs on every device."""
    device = str(nets.g.mapping.w_avg.device)
    z, reals = on(device, 8, CFG.z_dim, seed=1), on(device, 8, 3, CFG.resolution, CFG.resolution, seed=2)
    net = nets.g if phase in ("generator", "path_length") else nets.d
    ws = nets.g.mapping(z)
    fakes, _ = nets.g.synthesis(ws, "const")
    if phase == "generator":
        loss = losses.generator_adversarial(nets.d(fakes))
    elif phase == "path_length":
        loss = losses.path_lengths(fakes, ws, on(device, *fakes.shape, seed=3)).square().mean()
    elif phase == "discriminator":
        loss = losses.discriminator_adversarial(nets.d(reals), nets.d(fakes.detach()))
    else:
        loss = losses.r1(nets.d(reals.requires_grad_(True)), reals).mean()
    names, parameters = zip(*net.named_parameters(), strict=True)
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    return {name: g.cpu() for name, g in zip(names, found, strict=True) if g is not None}


@torch.no_grad()
def test_images_features_and_logits() -> None:
    results = []
    for device in ("cpu", DEVICE):
        nets = networks().to(device)
        images, features = nets.g.synthesis(nets.g.mapping(on(device, 8, CFG.z_dim, seed=1)), "const")
        results.append([t.cpu() for t in (images, *features.values(), nets.d(images))])
    for cpu, gpu in zip(*results, strict=True):
        torch.testing.assert_close(gpu, cpu, rtol=1e-4, atol=1e-4)


def test_evaluated_images_are_the_cpus_whatever_tf32_is_set_to() -> None:
    """cuDNN allows TF32 by default: factors of 10 bits would move one pixel in twenty by a level."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    cfg = EvalConfig(metrics=("consistency_anchor_randconv", "distance_averaged_l1"), samples=16, pairs=8, batch=8)
    drawn, averaged = [], []
    for device in ("cpu", DEVICE):
        g = networks().g.to(device).eval()
        sampler = Sampler(g, cfg, ("gpu",))
        samples, _ = sampler(g, lambda n, rng: "const")
        drawn.append(np.concatenate([samples.fakes, samples.sources]).astype(int))
        averaged.append(sampler.at(g, g.mapping(sampler.z).detach(), lambda n, rng: "const")[1])
    assert torch.backends.cuda.matmul.allow_tf32 and torch.backends.cudnn.allow_tf32
    np.testing.assert_allclose(averaged[1], averaged[0], rtol=1e-4, atol=1e-4)
    off = np.abs(drawn[1] - drawn[0])
    assert off.max() <= 1 and (off > 0).mean() < 0.005


@pytest.mark.parametrize("phase", PHASES)
def test_gradients_of_each_phase(phase: str) -> None:
    cpu, gpu = (gradients(networks().to(device), phase) for device in ("cpu", DEVICE))
    assert cpu.keys() == gpu.keys()
    scale = max(g.abs().max().item() for g in cpu.values())
    for name, expected in cpu.items():
        assert (gpu[name] - expected).norm() <= 1e-3 * expected.norm() + 1e-6 * scale, name


@pytest.mark.parametrize("phase", PHASES)
def test_bf16_points_where_fp32_points(phase: str) -> None:
    flat = []
    for precision in ("fp32", "bf16"):
        nets = networks().to(DEVICE)
        set_precision(nets, precision)
        flat.append(torch.cat([g.flatten() for g in gradients(nets, phase).values()]))
    assert torch.cosine_similarity(*flat, dim=0) > 0.99
    assert 0.9 < flat[1].norm() / flat[0].norm() < 1.1


def test_augmentation_and_its_second_derivative() -> None:
    params = draw(8, 1.0, torch.Generator().manual_seed(0))
    results = []
    for device in ("cpu", DEVICE):
        x = on(device, 8, 3, 32, 32, seed=1).requires_grad_(True)
        weight = on(device, 8, 3, 32, 32, seed=2).requires_grad_(True)
        y = transform(x, Draw(*(p.to(device) for p in params)))
        (first,) = torch.autograd.grad((y * weight).square().sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(first.square().sum(), weight)
        results.append([t.detach().cpu() for t in (y, first, second)])
    for cpu, gpu in zip(*results, strict=True):
        assert (gpu - cpu).norm() < 1e-4 * cpu.norm()


class Plain(Method):
    name = "plain"


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_training_with_everything_runs_and_goes_on_from_its_state(tmp_path: Path, precision: str) -> None:
    reals = np.random.default_rng(0).integers(0, 256, (20, 3, 32, 32), dtype=np.uint8)
    cfg = TrainConfig(
        **{"kimg": 0.048, "batch": 8, "r1_every": 2, "pl_weight": 2.0, "pl_every": 2, "augment": "ada"},
        **{"ada_target": 0.0, "ada_kimg": 0.05, "precision": precision},
    )
    half, path = cfg.model_copy(update={"kimg": 0.024}), tmp_path / "state"
    whole = train(networks().to(DEVICE), reals, Plain(), cfg, ("gpu",))
    save_state(path, train(networks().to(DEVICE), reals, Plain(), half, ("gpu",)), "key")
    rest = train(networks().to(DEVICE), reals, Plain(), cfg, ("gpu",), lambda s: restore_state(path, s, "key"))
    assert rest.images == whole.images == 48
    assert all(p.isfinite().all() for p in rest.nets.g_ema.parameters())
    for name, stream in whole.streams.state_dict().items():  # numbers may differ in their last bits, positions may not
        assert rest.streams.state_dict()[name].equal(stream), name

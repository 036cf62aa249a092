"""Our StyleGAN2 against numbers of stylegan2-ada-pytorch and of the FixNoise authors' loss (tests/data/README.md)."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmark.api import feature_matching
from benchmark.config import NetConfig
from benchmark.stylegan2 import Discriminator, Generator
from benchmark.training import losses

REFERENCE = Path(__file__).parents[2] / "data" / "reference_32.npz"
CFG = NetConfig(resolution=32, z_dim=64, w_dim=64, mapping_layers=3, channel_base=512, channel_max=32)


@pytest.fixture(scope="module")
def ref() -> dict[str, Tensor]:
    with np.load(REFERENCE) as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


Net = TypeVar("Net", bound=torch.nn.Module)


def loaded(net: Net, ref: dict[str, Tensor], prefix: str) -> Net:
    """`net` with the reference's weights; strict, so names and shapes are part of the test."""
    net.load_state_dict({k.removeprefix(prefix): v for k, v in ref.items() if k.startswith(prefix)}, strict=True)
    return net.to(memory_format=torch.channels_last)


@pytest.fixture(scope="module")
def gs(ref: dict[str, Tensor]) -> Generator:
    return loaded(Generator(CFG), ref, "Gs/")


@pytest.fixture(scope="module")
def gt(ref: dict[str, Tensor]) -> Generator:
    return loaded(Generator(CFG), ref, "Gt/")


@pytest.fixture(scope="module")
def d(ref: dict[str, Tensor]) -> Discriminator:
    return loaded(Discriminator(CFG), ref, "D/")


def assert_near(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours[: len(theirs)], theirs, rtol=0, atol=1e-4)


def test_mapping_and_truncation(ref: dict[str, Tensor], gs: Generator) -> None:
    assert_near(gs.mapping(ref["z"]), ref["ws"])
    assert_near(gs.mapping(ref["z"], psi=0.7, cutoff=4), ref["ws_psi07_cut4"])


@torch.no_grad()
def test_images_with_anchor_noise_without_noise_and_truncated(
    ref: dict[str, Tensor], gs: Generator, gt: Generator
) -> None:
    assert_near(gs(ref["z"], noise="const"), ref["img_const"])
    assert_near(gs(ref["z"], noise="none"), ref["img_none"])
    assert_near(gs(ref["z"], noise="const", psi=0.7), ref["img_const_psi07"])
    assert_near(gt(ref["z"], noise="const"), ref["img_t_const"])


@torch.no_grad()
@pytest.mark.parametrize("share", ["0.25", "0.5", "1"])
def test_images_with_noise_between_anchor_and_random(ref: dict[str, Tensor], gt: Generator, share: str) -> None:
    drawn = {layer: ref[f"noise_rand/synthesis.{layer}.noise_rand"] for layer in gt.synthesis.layer_names}
    maps = {layer: anchor.lerp(drawn[layer], float(share)) for layer, anchor in gt.synthesis.anchor_noise().items()}
    assert_near(gt(ref["z"], noise=maps), ref[f"img_interp_{share}"])


@torch.no_grad()
def test_logits(ref: dict[str, Tensor], d: Discriminator) -> None:
    assert_near(d(ref["img_const"]), ref["logits"])


def test_feature_matching_loss_and_every_gradient(ref: dict[str, Tensor], gs: Generator, gt: Generator) -> None:
    with torch.no_grad():
        _, theirs = gs.synthesis(gs.mapping(ref["z"]), "const")
    _, ours = gt.synthesis(gt.mapping(ref["z"]), "const")
    loss = feature_matching(ours, theirs)
    assert loss.item() == pytest.approx(ref["fm_feature"].item(), rel=1e-4)

    names, parameters = zip(*gt.named_parameters(), strict=True)
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    norms = {name: 0.0 if g is None else g.norm().item() for name, g in zip(names, gradients, strict=True)}
    expected = {k.removeprefix("fmgrad/"): v.item() for k, v in ref.items() if k.startswith("fmgrad/")}
    assert norms == pytest.approx(expected, rel=1e-4)
    assert norms["synthesis.b32.torgb.weight"] == 0  # block features do not see RGB


@torch.no_grad()
def test_feature_matching_of_the_final_image(ref: dict[str, Tensor], gs: Generator, gt: Generator) -> None:
    images = {32: gt(ref["z"], noise="const")}, {32: gs(ref["z"], noise="const")}
    assert feature_matching(*images).item() == pytest.approx(ref["fm_image"].item(), rel=1e-4)


def test_r1(ref: dict[str, Tensor], d: Discriminator) -> None:
    x = ref["r1_x"].clone().requires_grad_(True)
    torch.testing.assert_close(losses.r1(d(x), x), ref["r1"], rtol=1e-4, atol=0)


def test_path_lengths(ref: dict[str, Tensor], gt: Generator) -> None:
    ws = gt.mapping(ref["z"][:4])
    images, _ = gt.synthesis(ws, "const")
    noise = ref["pl_noise"] * CFG.resolution  # stored as it enters the product; ours is scaled inside
    torch.testing.assert_close(losses.path_lengths(images, ws, noise), ref["pl_lengths"], rtol=1e-4, atol=0)

"""The images of a training step: fakes from new latents, and what the discriminator sees of fakes and reals."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmark.config import TrainConfig
from benchmark.stylegan2 import Generator
from benchmark.stylegan2.augment import augment
from benchmark.stylegan2.diffaug import diffaug
from benchmark.system.random_streams import Streams
from benchmark.training.batches import to_device
from benchmark.training.state import State


def latents(g: Generator, n: int, rng: torch.Generator) -> Tensor:
    """Unit normal float32 [n, z_dim] on the network's device; `rng` is on the CPU."""
    return to_device(torch.randn(n, g.cfg.z_dim, generator=rng), g.mapping.w_avg.device)


def generate(
    g: Generator,
    z: Tensor,
    c: Tensor | None,
    cfg: TrainConfig,
    streams: Streams,
    update_avg: bool = False,
    mix: bool = True,
    psi: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Training images with style mixing and random noise: (images [N, 3, R, R], ws [N, L, w_dim]).

    Without `mix` nothing is mixed, but as much is drawn: the streams stay in step between methods.
    """
    ws = g.mapping(z, c, psi, update_avg=update_avg)
    if cfg.style_mixing:
        draw = torch.rand(2, generator=streams.latents).tolist()
        other = g.mapping(latents(g, len(z), streams.latents), c, psi)
        if mix and draw[0] < cfg.style_mixing:
            cutoff = 1 + int(draw[1] * (g.synthesis.num_ws - 1))
            ws = torch.cat([ws[:, :cutoff], other[:, cutoff:]], dim=1)
    ws.requires_grad_(torch.is_grad_enabled())  # path length needs it, also where the mapping network is frozen
    images, _ = g.synthesis(ws, "random", rng=streams.noise)
    return images, ws


def augmented(images: Tensor, cfg: TrainConfig, state: State) -> Tensor:
    """What D sees: ADA's transformations at the current probability, DiffAugment's, or the images themselves."""
    if cfg.augment == "diffaug":
        return diffaug(images, state.streams.augment)
    return augment(images, state.ada.p, state.streams.augment) if cfg.augment == "ada" else images


def among_reals(reals: Tensor, fakes: Tensor, cfg: TrainConfig, state: State) -> Tensor:
    """APA: fakes in place of reals at the current probability (Jiang et al. 2021, arXiv 2111.06849); else the reals.

    [N, 3, R, R] each. As in the authors' code the fakes are those of the step's update of G.
    """
    if cfg.augment != "apa":
        return reals
    chosen = torch.rand(len(reals), generator=state.streams.augment, device=reals.device) < state.ada.p
    return torch.where(chosen[:, None, None, None], fakes, reals)

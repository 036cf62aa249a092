"""The phases of a training step with NVIDIA's StyleGAN2, as its repositories train it.

The checkout is one of stylegan2-ada-pytorch, or holds the same networks as stylegan3 keeps them.
Its loss, non-saturating with R1 and path length, and its optimiser settings are those of its papers; the networks are
imported from the checkout. On a CPU they use the reference implementation of its operations.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import ModuleType

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.config import NetConfig


def nvidia_phases(networks: ModuleType, cfg: NetConfig, batch: int) -> dict[str, Callable[[], None]]:
    """{name: function that runs this phase once in float32}, under the names of our own phases."""
    shape = {"img_resolution": cfg.resolution, "img_channels": 3}
    widths = {"channel_base": cfg.channel_base, "channel_max": cfg.channel_max, "num_fp16_res": 0}
    widths["conv_clamp"] = cfg.conv_clamp
    mapping = {"num_layers": cfg.mapping_layers}
    g = networks.Generator(
        z_dim=cfg.z_dim, c_dim=0, w_dim=cfg.w_dim, mapping_kwargs=mapping, synthesis_kwargs=widths, **shape
    )
    d = networks.Discriminator(c_dim=0, epilogue_kwargs={"mbstd_group_size": cfg.mbstd_group}, **shape, **widths)
    for module in g.modules():  # stylegan3's train.py sets it; stylegan2-ada-pytorch always trains so
        if hasattr(module, "fused_modconv_default"):
            module.fused_modconv_default = "inference_only"
    g.requires_grad_(False), d.requires_grad_(False)
    average = copy.deepcopy(g).eval()
    opt_g, opt_d = optimiser(g, 4), optimiser(d, 16)
    reals = torch.rand(batch, 3, cfg.resolution, cfg.resolution) * 2 - 1

    def images(n: int) -> tuple[Tensor, Tensor]:
        ws = g.mapping(torch.randn(n, cfg.z_dim), None)
        if torch.rand([]) < 0.9:
            cutoff = int(torch.randint(1, ws.shape[1], []))
            ws[:, cutoff:] = g.mapping(torch.randn(n, cfg.z_dim), None)[:, cutoff:]
        return g.synthesis(ws), ws

    def generator() -> None:
        with_gradients(g, opt_g, lambda: F.softplus(-d(images(batch)[0], None)).mean())

    def path_length() -> None:
        def penalty() -> Tensor:
            fakes, ws = images(batch // 2)
            noise = torch.randn_like(fakes) / np.sqrt(fakes.shape[2] * fakes.shape[3])
            (gradient,) = torch.autograd.grad((fakes * noise).sum(), [ws], create_graph=True)
            lengths = gradient.square().sum(2).mean(1).sqrt()
            return (lengths - 1).square().mean()

        with_gradients(g, opt_g, penalty)

    def discriminator() -> None:
        with torch.no_grad():
            fakes, _ = images(batch)
        with_gradients(d, opt_d, lambda: F.softplus(d(fakes, None)).mean() + F.softplus(-d(reals, None)).mean())

    def r1() -> None:
        def penalty() -> Tensor:
            x = reals.clone().requires_grad_(True)
            (gradient,) = torch.autograd.grad(d(x, None).sum(), [x], create_graph=True)
            return gradient.square().sum([1, 2, 3]).mean()

        with_gradients(d, opt_d, penalty)

    def average_weights() -> None:
        with torch.no_grad():
            for mean, p in zip(average.parameters(), g.parameters(), strict=True):
                mean.copy_(p.lerp(mean, 0.999))
            for mean, b in zip(average.buffers(), g.buffers(), strict=True):
                mean.copy_(b)

    found = {f.__name__: f for f in (generator, path_length, discriminator, r1)}
    return {**found, "average": average_weights}


def optimiser(net: nn.Module, every: int) -> torch.optim.Adam:
    """Adam corrected for lazy regularisation."""
    ratio = every / (every + 1)
    return torch.optim.Adam(net.parameters(), lr=0.0025 * ratio, betas=(0.0, 0.99**ratio), eps=1e-8)


def with_gradients(net: nn.Module, opt: torch.optim.Adam, loss: Callable[[], Tensor]) -> None:
    """One phase: gradients for `net` alone, cleaned of what is not finite, and a step."""
    opt.zero_grad(set_to_none=True)
    net.requires_grad_(True)
    loss().backward()
    net.requires_grad_(False)
    for p in net.parameters():
        if p.grad is not None:
            torch.nan_to_num(p.grad, nan=0, posinf=1e5, neginf=-1e5, out=p.grad)
    opt.step()

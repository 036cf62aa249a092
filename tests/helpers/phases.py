"""The four phases of a training step as plain functions, for timing; the loop itself is benchmark/training/train.py."""

from __future__ import annotations

from collections.abc import Callable

import torch

from benchmark.config import NetConfig, TrainConfig
from benchmark.stylegan2 import Nets
from benchmark.system.random_streams import Streams
from benchmark.training import losses
from benchmark.training.images import generate, latents
from benchmark.training.kernels import Arithmetic
from benchmark.training.train import adam, phase, set_precision, update_average

EVERY = {"generator": 1, "path_length": 4, "discriminator": 1, "r1": 16, "average": 1}
"""A phase runs once in so many steps."""


def networks(channel_base: int, channel_max: int) -> NetConfig:
    """64 px networks with StyleGAN2's default mapping."""
    return NetConfig(resolution=64, channel_base=channel_base, channel_max=channel_max)


def step_phases(
    networks: NetConfig, batch: int, precision: str, device: str = "cpu", compile: bool = False
) -> dict[str, Callable[[], None]]:
    """{name: function that runs this phase of a step once, with its optimiser}; the names are those of `EVERY`.

    `precision` is fp32, bf16 or, on a GPU, tf32.
    """
    nets = Nets.create(networks, seed=0).to(device)
    cfg = TrainConfig(batch=batch, precision="bf16" if precision == "bf16" else "fp32", tf32=precision == "tf32")
    arithmetic = Arithmetic(nets, cfg.model_copy(update={"compile": compile}))
    set_precision(nets, precision)
    for net in (nets.g, nets.g_ema, nets.d):
        net.requires_grad_(False)
    streams = Streams("speed", device=device)
    reals = torch.rand(batch, 3, networks.resolution, networks.resolution, generator=streams.data).to(device) * 2 - 1
    g_params, d_params = list(nets.g.parameters()), list(nets.d.parameters())
    opt_g, opt_d = adam(g_params, cfg.lr_g, 4), adam(d_params, cfg.lr_d, 16)

    def generator() -> None:
        with arithmetic.main(), phase(opt_g, g_params):
            fakes, _ = generate(nets.g, latents(nets.g, batch, streams.latents), None, cfg, streams, update_avg=True)
            losses.generator_adversarial(nets.d(fakes)).backward()

    def path_length() -> None:
        with arithmetic.twice(), phase(opt_g, g_params):
            fakes, ws = generate(nets.g, latents(nets.g, batch // 2, streams.latents), None, cfg, streams)
            noise = torch.randn(fakes.shape, generator=streams.noise, device=device)
            (losses.path_lengths(fakes, ws, noise) - 1).square().mean().backward()

    def discriminator() -> None:
        with arithmetic.main(), phase(opt_d, d_params):
            with torch.no_grad():
                fakes, _ = generate(nets.g, latents(nets.g, batch, streams.latents), None, cfg, streams)
            losses.discriminator_adversarial(nets.d(reals), nets.d(fakes)).backward()

    def r1() -> None:
        with arithmetic.twice(), phase(opt_d, d_params):
            x = reals.clone().requires_grad_(True)
            losses.r1(nets.d(x), x).mean().backward()

    def average() -> None:
        update_average(nets, list(zip(nets.g_ema.parameters(), g_params, strict=True)), cfg, batch)

    return {f.__name__: f for f in (generator, path_length, discriminator, r1, average)}

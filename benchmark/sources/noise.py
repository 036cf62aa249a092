"""How much a source uses its noise: the share of each layer's features, and how far it moves images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmark.metrics.networks.perceptual import load_perceptual_network
from benchmark.metrics.networks.weight_files import NETWORK_FILES, WEIGHT_FILES, locate
from benchmark.metrics.sampling import to_uint8
from benchmark.sources.check import labels
from benchmark.stylegan2 import Generator
from benchmark.stylegan2.ops import SQRT2
from benchmark.system.random_streams import generator

NETWORK = "st_lpips_alex"
"""It comes with the package, so that the distance is the same everywhere."""
LEAST_SHARE = 0.01
"""A generator whose noise is less of every layer's features does not show it: open-peeps-64 has 0.001."""


@torch.inference_mode()
def noise_shares(g: Generator, n: int = 8) -> dict[str, float]:
    """{layer: root mean square of the noise that it adds, divided by that of its features}, at n latents.

    Noise is unit normal times the layer's strength and the gain of its activation; features are taken after it.
    """
    rng = generator("noise shares", device=g.mapping.w_avg.device)
    z, c = torch.randn(n, g.cfg.z_dim, generator=rng, device=rng.device), labels(g, n)
    found: dict[str, float] = {}

    def look(name: str) -> torch.utils.hooks.RemovableHandle:
        layer = g.synthesis.get_submodule(name)

        def share(_: object, __: object, features: Tensor) -> None:
            strength = layer.get_parameter("noise_strength").abs() * SQRT2
            found[name] = float(strength / features.float().square().mean().sqrt())

        return layer.register_forward_hook(share)

    hooks = [look(name) for name in g.synthesis.layer_names]
    try:
        g(z, c, rng=rng)
    finally:
        for hook in hooks:
            hook.remove()
    return found


@torch.inference_mode()
def noise_distances(g: Generator, cache: Path, n: int = 32) -> tuple[float, float] | None:
    """Mean ST-LPIPS between two random noises at the same latent, and between two latents, each with noise of its own.

    None where the network's file is not there, or images are too small for it.
    """
    paths = {key: locate(WEIGHT_FILES[key], {}, cache).path for key in NETWORK_FILES[NETWORK]}
    if not all(paths.values()):
        return None
    net = load_perceptual_network(NETWORK, {key: path for key, path in paths.items() if path})
    if g.cfg.resolution < net.least_px:
        return None
    rng = generator("noise distances", device=g.mapping.w_avg.device)
    z, c = torch.randn(n, g.cfg.z_dim, generator=rng, device=rng.device), labels(g, n)
    both = [np.empty(0)] * 2
    for start in range(0, n, 8):
        part, classes = z[start : start + 8], None if c is None else c[start : start + 8]
        noises = [g.synthesis.random_noise(len(part), rng) for _ in range(2)]
        one, other = (net.features(torch.from_numpy(to_uint8(g(part, classes, noise)))) for noise in noises)
        turned = [x.roll(1, 0) for x in one]
        for at, compared in enumerate((other, turned)):
            both[at] = np.append(both[at], net.distance(one, compared).numpy())
    return float(both[0].mean()), float(both[1].mean())


def noise_facts(g: Generator, cache: Path) -> dict[str, str]:
    """What `sources show` says of noise, {what: in words}."""
    shares, moved = noise_shares(g), noise_distances(g, cache)
    facts = {"noise": ", ".join(f"{name} {share:.2g}" for name, share in shares.items()) + " of the features"}
    if moved:
        facts["noise moves"] = f"{moved[0]:.3f} (ST-LPIPS of two noises; of another latent and noise {moved[1]:.3f})"
    if max(shares.values()) < LEAST_SHARE:
        facts["caution"] = "it hardly listens to its noise: a control that acts on noise has nothing to act on"
    return facts

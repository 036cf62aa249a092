"""Inversion: the latent at which a generator draws a given picture, found by optimisation.

As in Abdal et al. 2019 (arXiv 1904.03189) and the projector of StyleGAN2 (Karras et al. 2020, appendix D): start in w,
descend by Adam on a perceptual distance. Here the noise is held at the source's anchor, a pixel term at several blurs
carries the colours, and the start is the best of many drawn latents.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.metrics.networks.perceptual import PerceptualNetwork
from benchmark.metrics.sampling import to_uint8
from benchmark.stylegan2 import Generator
from benchmark.system.random_streams import generator

Space = Literal["z", "w", "w+"]
CANDIDATES = 500
"""Latents drawn to begin from the best."""
RAMP_UP, RAMP_DOWN = 0.05, 0.25
"""Shares of the steps in which the learning rate rises and falls, as in StyleGAN2's projector."""


@dataclass(frozen=True)
class Inversion:
    """Where a generator draws a picture, and how near."""

    ws: Tensor
    """float32 [1, num_ws, w_dim]."""
    image: np.ndarray
    """uint8 [3, R, R], what the source draws there with its anchor noise."""
    distance: float
    """Perceptual distance to the picture."""
    rms: float
    """Root mean square of the difference to the picture, grey levels."""
    seconds: float


class Inverter:
    """Finds pictures in one generator; candidates to begin from are drawn once."""

    def __init__(
        self,
        g: Generator,
        perceptual: PerceptualNetwork,
        space: Space = "w+",
        steps: int = 300,
        rate: float = 0.05,
        pixel_weight: float = 1.0,
        spread_weight: float = 0.0,
    ) -> None:
        self.g, self.perceptual, self.space = g, perceptual, space
        self.steps, self.rate, self.pixel_weight, self.spread_weight = steps, rate, pixel_weight, spread_weight
        self.anchor = g.synthesis.anchor_noise()
        rng = generator("invert", g.cfg.resolution)
        with torch.inference_mode():
            self.z = torch.randn(CANDIDATES, g.cfg.z_dim, generator=rng)
            images = [g(z, noise=self.anchor) for z in self.z.split(50)]
            self.small = blurred(torch.cat(images) * 127.5 + 127.5, 8)

    def __call__(self, picture: np.ndarray, tick: Callable[[], None] = lambda: None) -> Inversion:
        """`picture`: uint8 [3, R, R] of the generator's resolution."""
        begun = time.perf_counter()
        target = torch.from_numpy(picture.copy())[None]
        features, levels = self.perceptual.features(target), pyramid(target.float())
        point = self.start(target)
        optimiser = torch.optim.Adam([point], self.rate, betas=(0.9, 0.999))
        for step in range(self.steps):
            for group in optimiser.param_groups:
                group["lr"] = self.rate * schedule((step + 0.5) / self.steps)
            ws = self.ws(point)
            images = self.draw(ws)
            loss = self.perceptual.distance(self.perceptual.features(images), features).sum()
            pixels = [(a - b).abs().mean() / 127.5 for a, b in zip(pyramid(images), levels, strict=True)]
            loss = loss + self.pixel_weight * torch.stack(pixels).mean()
            loss = loss + self.spread_weight * (ws - ws.mean(1, keepdim=True)).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            tick()
        with torch.inference_mode():
            ws = self.ws(point)
            image = to_uint8(self.g.synthesis(ws, self.anchor)[0])
            found = self.perceptual.features(torch.from_numpy(image))
            distance = float(self.perceptual.distance(found, features).sum())
        rms = math.sqrt(float(((image[0].astype(np.float64) - picture) ** 2).mean()))
        return Inversion(ws.clone(), image[0], distance, rms, time.perf_counter() - begun)

    def start(self, target: Tensor) -> Tensor:
        """The candidate whose blurred image is nearest, as a parameter of the space."""
        best = int((self.small - blurred(target.float(), 8)).square().mean((1, 2, 3)).argmin())
        z = self.z[best : best + 1].clone()
        if self.space == "z":
            return z.requires_grad_()
        with torch.no_grad():
            ws = self.g.mapping(z)
        return (ws if self.space == "w+" else ws[:, :1]).clone().requires_grad_()

    def ws(self, point: Tensor) -> Tensor:
        """[1, num_ws, w_dim] of a point of the space."""
        if self.space == "z":
            return self.g.mapping(point)
        return point if self.space == "w+" else point.expand(-1, self.g.synthesis.num_ws, -1)

    def draw(self, ws: Tensor) -> Tensor:
        """float32 [1, 3, R, R] in grey levels, 0 to 255."""
        return self.g.synthesis(ws, self.anchor)[0] * 127.5 + 127.5


def blurred(images: Tensor, px: int) -> Tensor:
    """[N, 3, R, R] averaged down to `px`."""
    return F.avg_pool2d(images, max(1, images.shape[-1] // px))


def pyramid(images: Tensor) -> list[Tensor]:
    """The images, and their averages down to 4 px."""
    levels = [images]
    while levels[-1].shape[-1] > 4:
        levels.append(F.avg_pool2d(levels[-1], 2))
    return levels


def schedule(t: float) -> float:
    """Share of the learning rate at share `t` of the steps."""
    return min(1.0, t / RAMP_UP) * (0.5 - 0.5 * math.cos(math.pi * min(1.0, (1 - t) / RAMP_DOWN)))

"""Inversion: the latent at which a generator draws a given picture, found by optimisation."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.errors import ConfigError, DataError
from benchmark.metrics.networks.features import float32_products
from benchmark.metrics.networks.perceptual import PerceptualNetwork
from benchmark.metrics.sampling import to_uint8
from benchmark.stylegan2 import Generator, Noise
from benchmark.system.random_streams import generator

Space = Literal["z", "w", "w+"]
CANDIDATES, COARSE_PX = 200, 8
"""Latents drawn to begin from the best, and the size at which they are compared with the picture."""
RAMP_UP, RAMP_DOWN = 0.05, 0.25
"""Shares of the steps in which the learning rate rises and falls, as in StyleGAN2's projector."""
PIXELS_AT_ONCE, CANDIDATE_PIXELS_AT_ONCE = 16 * 64**2, 20 * 64**2
"""Of pictures that are optimised together, and of candidates that are drawn together, of which no gradients are kept;
each by itself gives the same up to rounding."""
CANDIDATES_WORTH = CANDIDATES / 3
"""Steps for one picture that take as long as drawing all candidates: a step draws, and goes back at twice the cost."""


@dataclass(frozen=True)
class Search:
    """How a picture is looked for; the defaults were chosen on held-out drawings of the source."""

    space: Space = "w+"
    steps: int = 300
    rate: float = 0.1
    pixel_weight: float = 10.0
    grain: bool = True
    """Whether the noise maps are looked for, too; they are held at the generator's anchor otherwise."""


@dataclass(frozen=True)
class Code:
    """Places of N pictures in a latent space: latents, and how far from the w of each the picture lies.

    So a code means something to an adapted generator whose mapping network moved, too: its own w of z, and that offset.
    """

    z: Tensor
    """float32 [N, z_dim]."""
    offset: Tensor
    """float32 [N, num_ws, w_dim]; zero in z, the same for all layers in w."""

    def __len__(self) -> int:
        return len(self.z)

    def __getitem__(self, part: slice) -> Code:
        return Code(self.z[part], self.offset[part])

    def draw(self, g: Generator, noise: Noise) -> Tensor:
        """What `g` draws there, float32 [N, 3, R, R], about [-1, 1]."""
        return g.synthesis(self.ws(g), noise)[0]

    def ws(self, g: Generator) -> Tensor:
        """Its w in `g` for each layer, float32 [N, num_ws, w_dim]."""
        return g.mapping(self.z) + self.offset


@dataclass(frozen=True)
class Inversion:
    """Where a generator draws N pictures, and how near."""

    code: Code
    images: np.ndarray
    """uint8 [N, 3, R, R], what the generator draws there, with the noise that was found, or its anchor."""
    distances: np.ndarray
    """float [N], perceptual, to the pictures."""
    rms: np.ndarray
    """float [N], root mean square of the difference to the pictures in grey levels, 0 to 255."""
    seconds: float
    """For each picture."""


def invert(
    g: Generator,
    pictures: np.ndarray,
    perceptual: PerceptualNetwork,
    search: Search | None = None,
    tick: Callable[[float], None] = lambda pictures: None,
) -> Inversion:
    """The codes at which `g` draws `pictures`, uint8 [N, 3, R, R] of the generator's resolution R.

    Minimised by Adam is d(G(w, n), x) + weight * mean over k of |down_k(G(w, n)) - down_k(x)|, d the distance of
    `perceptual` and down_k averages over squares of 2^k px down to 4 px, in [-1, 1], for each picture by itself. The
    first term is that of Abdal et al. 2019 (Image2StyleGAN, arXiv 1904.03189, w+) and of StyleGAN2's projector
    (Karras et al. 2020, appendix D, w), whose schedule of the learning rate and normalised noise maps n are taken, too;
    the second holds colours. The maps begin at the generator's anchor; what they take up, such as the grain of paper,
    w need not explain. The start is the nearest of 200 drawn latents, seen at 8 px. The same pictures give the same
    codes.

    `tick(k)` is called after work that is worth k pictures. Raises DataError for pictures of another size or smaller
    than the network takes, ConfigError for a generator with labels.
    """
    search = search or Search()
    px = g.cfg.resolution
    if search.steps < 1:
        raise ConfigError(f"steps={search.steps}: a picture is looked for in at least one step.")
    if g.cfg.c_dim:
        raise ConfigError(f"this network draws {g.cfg.c_dim} classes; pictures are found in networks without labels.")
    if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[1:] != (3, px, px) or not len(pictures):
        raise DataError(f"pictures must be uint8 [n, 3, {px}, {px}]; found {pictures.dtype} {list(pictures.shape)}.")
    if px < perceptual.least_px:
        raise DataError(f"the distance needs pictures of {perceptual.least_px} px; this network draws {px} px.")
    begun = time.perf_counter()
    many = max(1, PIXELS_AT_ONCE // px**2)
    targets = torch.from_numpy(np.array(pictures)).to(g.mapping.w_avg.device).split(many)
    worth = len(pictures) / (CANDIDATES_WORTH + search.steps * len(pictures))  # of a step for one picture, in pictures
    with float32_products():
        starts = torch.cat(list(nearest(g, targets, lambda share: tick(share * CANDIDATES_WORTH * worth)))).split(many)
        found = [
            _descend(g, *pair, perceptual, search, lambda steps: tick(steps * worth))
            for pair in zip(targets, starts, strict=True)
        ]
    codes, images, distances = zip(*found, strict=True)
    drawn = np.concatenate([to_uint8(image) for image in images])
    error = np.square(drawn.astype(np.float64) - pictures).mean(axis=(1, 2, 3))
    return Inversion(
        Code(torch.cat([code.z for code in codes]), torch.cat([code.offset for code in codes])),
        drawn,
        torch.cat(list(distances)).double().cpu().numpy(),
        np.sqrt(error),
        (time.perf_counter() - begun) / len(pictures),
    )


@torch.no_grad()
def nearest(
    g: Generator, targets: Sequence[Tensor], tick: Callable[[float], None] = lambda share: None
) -> Iterator[Tensor]:
    """For each batch of pictures the drawn latents whose images are nearest at COARSE_PX, float32 [N, z_dim].

    `tick(share)` is called after each share of the candidates was drawn.
    """
    z = torch.randn(CANDIDATES, g.cfg.z_dim, generator=generator("inversion")).to(g.mapping.w_avg.device)
    anchor, drawn = g.synthesis.anchor_noise(), []
    for part in z.split(min(20, max(1, CANDIDATE_PIXELS_AT_ONCE // g.cfg.resolution**2))):
        drawn.append(coarse(grey(g(part, noise=anchor))))
        tick(len(part) / CANDIDATES)
    seen = torch.cat(drawn)
    for target in targets:
        gaps = (coarse(target.float())[:, None] - seen[None]).square().mean((2, 3, 4))
        yield z[gaps.argmin(1)]


def _descend(
    g: Generator,
    target: Tensor,
    z: Tensor,
    perceptual: PerceptualNetwork,
    search: Search,
    tick: Callable[[float], None],
) -> tuple[Code, Tensor, Tensor]:
    """Code, image and distance of one batch; `tick(k)` after each step, for k pictures."""
    point, maps = Point(g, z, search.space), noise_maps(g, len(z), search.grain)
    features, levels = perceptual.features(target), pyramid(target.float())
    free = [point.moved, *(m for m in maps.values() if m.requires_grad)]
    optimiser = torch.optim.Adam(free, search.rate)
    for step in range(search.steps):
        for group in optimiser.param_groups:
            group["lr"] = search.rate * schedule((step + 0.5) / search.steps)
        image = grey(point.code().draw(g, maps))
        pixels = [(a - b).abs().mean() for a, b in zip(pyramid(image), levels, strict=True)]
        loss = perceptual.distance(perceptual.features(image), features).sum()
        loss = loss + search.pixel_weight * len(target) / 127.5 * torch.stack(pixels).mean()
        for tensor, slope in zip(free, torch.autograd.grad(loss, free), strict=True):
            tensor.grad = slope
        optimiser.step()
        normalise(free[1:])
        tick(len(target))
    with torch.no_grad():
        code = point.code()
        image = code.draw(g, maps)
        seen = torch.from_numpy(to_uint8(image)).to(target.device)
        return code, image, perceptual.distance(perceptual.features(seen), features)


class Point:
    """What is optimised: a latent, or its offset in w."""

    def __init__(self, g: Generator, z: Tensor, space: Space) -> None:
        self.space, self.z, self.layers, self.w_dim = space, z, g.synthesis.num_ws, g.cfg.w_dim
        shape = z.shape if space == "z" else (len(z), 1 if space == "w" else self.layers, g.cfg.w_dim)
        self.moved = torch.zeros(shape, device=z.device, requires_grad=True)

    def code(self) -> Code:
        """Where it is now; differentiable unless gradients are off."""
        if self.space == "z":
            return Code(self.z + self.moved, self.z.new_zeros(len(self.z), self.layers, self.w_dim))
        return Code(self.z, self.moved.expand(-1, self.layers, -1).clone())


def noise_maps(g: Generator, n: int, free: bool) -> dict[str, Tensor]:
    """The anchor; where they are `free`, for each of n pictures by itself, as leaves: {layer: [n, 1, px, px]}."""
    anchor = g.synthesis.anchor_noise()
    if not free:
        return anchor
    return {name: m.detach().expand(n, 1, *m.shape).clone().requires_grad_() for name, m in anchor.items()}


@torch.no_grad()
def normalise(maps: Sequence[Tensor]) -> None:
    """Each map to zero mean and unit variance, as the generator knows its noise."""
    for m in maps:
        m.sub_(m.mean((2, 3), keepdim=True)).div_(m.square().mean((2, 3), keepdim=True).sqrt() + 1e-8)


def grey(images: Tensor) -> Tensor:
    """About [-1, 1] to grey levels, about 0 to 255."""
    return images * 127.5 + 127.5


def coarse(images: Tensor) -> Tensor:
    """[N, 3, R, R] averaged down to COARSE_PX."""
    return F.avg_pool2d(images, max(1, images.shape[-1] // COARSE_PX))


def pyramid(images: Tensor) -> list[Tensor]:
    """[N, 3, R, R] and its halves down to 4 px."""
    levels = [images]
    while levels[-1].shape[-1] > 4:
        levels.append(F.avg_pool2d(levels[-1], 2))
    return levels


def schedule(t: float) -> float:
    """Share of the learning rate at share `t` of the steps."""
    return min(1.0, t / RAMP_UP) * (0.5 - 0.5 * math.cos(math.pi * min(1.0, (1 - t) / RAMP_DOWN)))

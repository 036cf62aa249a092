"""Scores of a source's snapshots against held-out images, to choose one and to write its card."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmark.config import EvalConfig
from benchmark.domains import load_domain
from benchmark.errors import ConfigError
from benchmark.metrics import Evaluator
from benchmark.metrics.sampling import Sampler
from benchmark.sources.source import find_source
from benchmark.sources.training import noise_strengths
from benchmark.stylegan2 import Generator, load
from benchmark.system.files import new_file
from benchmark.system.random_streams import generator

METRICS = ("kid_effnetlite0_128", "fd_effnetlite0_128")
COLUMNS, ROWS = 12, 8


def score_snapshots(name: str, snapshots: Sequence[Path], samples: int, cache: Path) -> Iterator[str]:
    """One line for each snapshot; all are sampled at the same latents. A PNG grid of samples is written beside each."""
    recipe = find_source(name).card.recipe
    if recipe is None:
        raise ConfigError(f"source {name} has no training recipe, so it is not known which images were held out.")
    domain = load_domain(recipe.domain, recipe.networks.resolution, recipe.split.train, recipe.split.test, cache)
    evaluator = Evaluator(METRICS, cache)
    for path in snapshots:
        g = load(path).g_ema.eval()
        cfg = EvalConfig(metrics=METRICS, samples=samples, pairs=2)
        drawn, _ = Sampler(g, cfg, ("source", name))(g, lambda n, rng, g=g: g.synthesis.random_noise(n, rng))  # type: ignore[misc]
        scores = evaluator(drawn, domain.test, domain.digest).scores
        write_grid(path.with_suffix(".png"), drawn.fakes)
        parts = [
            f"{key} {s.value:.5f}{f' ± {s.std_error:.5f}' if s.std_error else ''}"
            for key, s in scores.items()
            if s.value is not None
        ]
        yield f"{path.name}  N={samples} against {len(domain.test)} held out  " + "  ".join(parts)
        yield f"  {noise_effect(g)}"


@torch.inference_mode()
def noise_effect(g: Generator, n: int = 64) -> str:
    """How much a generator listens to its noise: grey levels (mean absolute difference, 0 to 255) and strengths.

    Two random noises at the same n latents, against two latents, each with noise of its own.
    """
    rng = generator("noise effect", device=g.mapping.w_avg.device)
    z = torch.randn(n, g.cfg.z_dim, generator=rng, device=rng.device)
    noises = [g.synthesis.random_noise(n, rng) for _ in range(2)]
    one, other = ((g(z, noise=noise) * 127.5).clamp(-127.5, 127.5) for noise in noises)
    strengths = ", ".join(f"{px} px {float(s.detach().abs()):.3g}" for px, s in noise_strengths(g))
    moves, both = ((one - x).abs().mean() for x in (other, one.roll(1, 0)))
    said = f"noise moves a pixel by {moves:.1f} grey levels, another latent and noise by {both:.1f}"
    return f"{said}; strengths: {strengths}"


def write_grid(path: Path, images: np.ndarray) -> None:
    """The first COLUMNS x ROWS of uint8 [N, 3, R, R] as one PNG; empty places are white."""
    some, r = images[: ROWS * COLUMNS], images.shape[-1]
    rows = -(-len(some) // COLUMNS)
    cells = np.full((rows * COLUMNS, 3, r, r), 255, np.uint8)
    cells[: len(some)] = some
    grid = cells.reshape(rows, COLUMNS, 3, r, r).transpose(0, 3, 1, 4, 2).reshape(rows * r, COLUMNS * r, 3)
    with new_file(path) as temporary:
        Image.fromarray(np.ascontiguousarray(grid)).save(temporary, "PNG")

"""Scores of a source's snapshots against held-out images, to choose one and to write its card."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from benchmark.config import EvalConfig
from benchmark.domains import load_domain
from benchmark.errors import ConfigError
from benchmark.metrics import Evaluator
from benchmark.metrics.sampling import Sampler
from benchmark.sources.source import find_source
from benchmark.stylegan2 import load
from benchmark.system.files import new_file

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


def write_grid(path: Path, images: np.ndarray) -> None:
    """The first COLUMNS x ROWS of uint8 [N, 3, R, R] as one PNG."""
    r = images.shape[-1]
    grid = (
        images[: ROWS * COLUMNS]
        .reshape(ROWS, COLUMNS, 3, r, r)
        .transpose(0, 3, 1, 4, 2)
        .reshape(ROWS * r, COLUMNS * r, 3)
    )
    with new_file(path) as temporary:
        Image.fromarray(np.ascontiguousarray(grid)).save(temporary, "PNG")

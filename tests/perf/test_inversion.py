"""How near and how fast held-out drawings of the source are found in it: `pytest tests/perf/test_inversion.py -s`.

Beside the distances stand those of a perfect drawing: the same drawing with another draw of its grain.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from scipy.ndimage import gaussian_filter

from benchmark.domains import load_domain
from benchmark.domains.cards import list_cards
from benchmark.domains.load import clean_drawings
from benchmark.domains.media import apply_medium, draw_fields, to_uint8
from benchmark.metrics.networks.perceptual import images_to_distances
from benchmark.sources import find_source, load_source
from benchmark.sources.inversion import Search, invert
from benchmark.use.translate import perceptual_network

SOURCE, DOMAIN, PX, PICTURES = "peeps-ink-64", "peeps-ink", 64, 50


def test_inversion(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """50 held-out drawings; processor seconds of one thread for each."""
    torch.set_num_threads(1)
    nets, _ = load_source(find_source(SOURCE))
    net = perceptual_network("st_lpips_alex", tmp_path)
    pictures = np.array(load_domain(DOMAIN, PX, 1, PICTURES, tmp_path).test)
    clean = clean_drawings(list_cards()[DOMAIN], PX, PICTURES) / 255
    other = to_uint8(apply_medium("ink", clean, draw_fields(range(PICTURES), PX)))
    seconds: list[float] = []

    def work() -> np.ndarray:
        begun = time.process_time()
        found = invert(nets.g_ema, pictures, net, Search())
        seconds.append((time.process_time() - begun) / PICTURES)
        return found.images

    images = benchmark.pedantic(work, rounds=1)
    for what, seen in (("found", images), ("the same drawing with other grain", other)):
        distances = images_to_distances(net, pictures, {"": seen}, "cpu", 25, lambda n: None)[""]
        said = f"ST-LPIPS {np.median(distances):.4f}, grey levels RMS {rms(seen, pictures):.1f}"
        print(f"{what}: median {said}, blurred by 1 px {rms(blurred(seen), blurred(pictures)):.1f}")
    print(f"{seconds[0]:.1f} processor seconds a picture")
    assert images.shape == pictures.shape


def rms(a: np.ndarray, b: np.ndarray) -> float:
    """Median over the pictures of the root mean square of their difference."""
    return float(np.median(np.sqrt(np.square(a.astype(float) - b).mean((1, 2, 3)))))


def blurred(images: np.ndarray) -> np.ndarray:
    return gaussian_filter(images.astype(float), (0, 0, 1, 1), mode="nearest")

"""Images per second and core of `prepare`, and its memory; only with --benchmark-only.

Pictures are smooth with grain, so that they take as long to decode as photographs: as PNG of about 1.4 MB (FFHQ's have
1.3) and as JPEG. Columns: rounds are of 24 images; `extra_info` holds images per second.
"""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pytest_benchmark.fixture import BenchmarkFixture

from benchmark.config import Filter
from benchmark.domains.pictures.raw_images import raw_set
from benchmark.domains.prepare import prepare

IMAGES = 24


def picture(seed: int, px: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).resize(
        (px, px), Image.Resampling.BICUBIC
    )
    grain = rng.normal(0, 1.5, (px, px, 3))
    return Image.fromarray(np.clip(np.asarray(coarse) + grain, 0, 255).astype(np.uint8))


def folder_of(tmp_path: Path, px: int, ending: str) -> Path:
    folder = tmp_path / "set"
    folder.mkdir()
    for number in range(IMAGES):
        picture(number, px).save(folder / f"{number}.{ending}")
    return folder


@pytest.mark.parametrize(
    ("px", "ending", "resolutions", "filter"),
    [
        (1024, "png", (256,), "lanczos"),
        (1024, "png", (256,), "box"),
        (1024, "png", (256, 512, 1024), "lanczos"),
        (1024, "jpg", (256,), "lanczos"),
        (512, "jpg", (256,), "lanczos"),
    ],
)
def test_one_core(
    benchmark: BenchmarkFixture, tmp_path: Path, px: int, ending: str, resolutions: tuple[int, ...], filter: Filter
) -> None:
    raw = raw_set(folder_of(tmp_path, px, ending))
    rounds = iter(range(99))
    made = benchmark.pedantic(
        lambda: prepare(raw, resolutions, tmp_path / f"out{next(rounds)}", filter, workers=1), rounds=3, warmup_rounds=1
    )
    assert made[resolutions[0]].images == IMAGES
    benchmark.extra_info["images_per_second"] = IMAGES / benchmark.stats.stats.min


def test_memory_does_not_grow_with_the_set(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """Peak of this process before and after ten times as many images, of 3 MB each when prepared."""
    folder = folder_of(tmp_path, 1024, "jpg")
    prepare(raw_set(folder), (1024,), tmp_path / "out", workers=1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    first = np.asarray(picture(0, 1024))
    for number in range(IMAGES, 10 * IMAGES):  # copies would leave the set
        Image.fromarray(np.roll(first, number, axis=1)).save(folder / f"{number}.jpg")
    made = benchmark.pedantic(lambda: prepare(raw_set(folder), (1024,), tmp_path / "out", workers=1), rounds=1)
    assert made[1024].images == 10 * IMAGES
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 64 << 10, f"{grown} KiB for {9 * IMAGES} more images"

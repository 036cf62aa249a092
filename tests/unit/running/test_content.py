"""From files to keys: content decides, and where it lies or when it was written does not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch
from benchmark.methods.fixnoise import FixNoise
from image_files import folder_of, noise
from PIL import Image

from benchmark.api import Control
from benchmark.config import NetConfig
from benchmark.domains import load_domain
from benchmark.errors import WeightsError
from benchmark.running.plan import make_job
from benchmark.sources import Source, file_source, load_source
from benchmark.stylegan2 import Nets, save
from benchmark.suites import load_suite

SUITE, _ = load_suite("smoke")
NETS = NetConfig(resolution=16, z_dim=8, w_dim=8, mapping_layers=1, channel_base=64, channel_max=8)
Keys = tuple[str, dict[Control, str]]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return folder_of(tmp_path / "pictures", (noise(n, 16) for n in range(8)))


@pytest.fixture
def source(tmp_path: Path) -> Source:
    save(tmp_path / "gan.safetensors", Nets.create(NETS, seed=0))
    return file_source(tmp_path / "gan.safetensors")


def keys(pictures: Path, source: Source, cache: Path, method: FixNoise | None = None) -> Keys:
    """Of the training and of the records, through the functions that a run calls."""
    job = make_job(SUITE, method or FixNoise(), load_domain(str(pictures), 16, 4, 4, cache), 0, load_source(source)[1])
    return job.train_key, dict(job.record_keys)


def all_differ(one: Keys, two: Keys) -> bool:
    return one[0] != two[0] and all(one[1][control] != two[1][control] for control in one[1])


def test_one_level_of_one_pixel_changes_all_keys_although_the_cache_knows_the_folder(
    pictures: Path, source: Source, tmp_path: Path
) -> None:
    before = keys(pictures, source, tmp_path / "cache")
    file = pictures / "03.png"
    times = file.stat()
    image = Image.open(file).convert("RGB")
    red, green, blue = image.getpixel((5, 5))  # type: ignore[misc]
    image.putpixel((5, 5), (red, green, blue ^ 1))
    image.save(file)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert all_differ(before, keys(pictures, source, tmp_path / "cache"))


def test_one_bit_of_one_weight_changes_all_keys(pictures: Path, source: Source, tmp_path: Path) -> None:
    before = keys(pictures, source, tmp_path / "cache")
    nets, _ = load_source(source)
    with torch.no_grad():
        weight = nets.d.b4.out.weight.flatten()
        weight[0] = torch.nextafter(weight[0], torch.tensor(9.0))
    save(source.path, nets)
    with pytest.raises(WeightsError, match="It was altered"):
        load_source(source)
    assert all_differ(before, keys(pictures, file_source(source.path), tmp_path / "cache"))


def test_a_methods_field_changes_all_keys(pictures: Path, source: Source, tmp_path: Path) -> None:
    before = keys(pictures, source, tmp_path / "cache")
    assert all_differ(before, keys(pictures, source, tmp_path / "cache", FixNoise(weight=0.051)))


def test_other_places_dates_and_caches_change_nothing(pictures: Path, source: Source, tmp_path: Path) -> None:
    before = keys(pictures, source, tmp_path / "cache")
    (tmp_path / "elsewhere").mkdir()
    moved = Path(shutil.copytree(pictures, tmp_path / "elsewhere" / "pictures", copy_function=shutil.copyfile))
    shutil.rmtree(pictures)
    weights = source.path.rename(tmp_path / "elsewhere" / "gan.safetensors")
    (tmp_path / "cache").rename(tmp_path / "elsewhere" / "cache")
    for cache in (tmp_path / "elsewhere" / "cache", tmp_path / "new"):
        assert keys(moved, file_source(weights), cache) == before

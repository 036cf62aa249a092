"""The whole paper suite, end to end by the real command line, at toy size.

Stand-ins: pictures of the embedded domains in each set's file layout, networks of 32 px in NVIDIA's format, and weight
files of the right form with random content, whose numbers appear under names that say so and under no other.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import Done
from nvidia_pickle import write_pickle
from PIL import Image
from torch import Tensor, nn

from benchmark.config import NetConfig
from benchmark.domains import load_domain
from benchmark.results import ResultStore, RunRecord
from benchmark.stylegan2 import Nets
from benchmark.suites import load_suites

PX, SCALE = 32, "0.000001"
CFG = NetConfig(resolution=PX, z_dim=16, w_dim=16, mapping_layers=2, channel_base=256, channel_max=8, mbstd_group=4)
SOURCES = ("ffhq-res256-mirror-paper256-noaug", "stylegan2-church-config-f")
Command = Callable[..., Done]


class Features(nn.Module):
    """[n, 3, 299, 299] to [n, 2048], with the place for images that NVIDIA's TorchScript file has."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3 * 23 * 23, 2048)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.linear(torch.nn.functional.avg_pool2d(x, 13).flatten(1)))


class Inception(nn.Module):
    """A stand-in for inception-2015-12-05.pt."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = Features()

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def write_weights(folder: Path) -> Path:
    """Files that clean-fid and lpips can load in place of the published ones."""
    folder.mkdir(parents=True)
    rng = torch.Generator().manual_seed(0)
    net = Inception()
    for p in net.parameters():
        p.data = 0.02 * torch.randn(p.shape, generator=rng)
    torch.jit.script(net).save(str(folder / "inception-2015-12-05.pt"))
    layers, c_in, state = iter((0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)), 3, {}
    for c_out in (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512):
        name = f"features.{next(layers)}"
        state[f"{name}.weight"] = (2 / (9 * c_in)) ** 0.5 * torch.randn(c_out, c_in, 3, 3, generator=rng)
        state[f"{name}.bias"] = torch.zeros(c_out)
        c_in = c_out
    torch.save(state, folder / "vgg16-397923af.pth")
    return folder


def pictures(domain: str, count: int, px: int, cache: Path) -> list[Image.Image]:
    """Drawings of an embedded domain."""
    images = load_domain(domain, px, count, 4, cache).train
    return [Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))) for image in images]


def save(path: Path, image: Image.Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def write_sets(folder: Path, cache: Path) -> dict[str, Path]:
    """Stand-ins for the three targets, as their publishers lay them out: {name: what is given to --from}."""
    for i, image in enumerate(pictures("lorelei", 16, 40, cache)):
        save(folder / f"metfaces/images/{i:05d}-00.png", image)
    for i, image in enumerate(pictures("micah", 16, 48, cache)):
        save(folder / f"wikiart-cityscape/cityscape/picture-of-{i}.jpg", image)
    listed = {}
    places = {"eye_left": [24, 28], "eye_right": [40, 28], "mouth_left": [27, 42], "mouth_right": [37, 42]}
    for i, image in enumerate(pictures("croodles", 4, 64, cache)):
        save(folder / f"aahq/raw-{i}.png", image)
        url = f"https://example.org/{i}.png"
        listed[f"{i:05d}.png"] = {"image_url": url, "raw_name": f"raw-{i}.png", "landmarks": places}
    (folder / "aahq/AAHQ-dataset.json").write_text(json.dumps(listed))
    return {name: folder / name for name in ("metfaces", "aahq", "wikiart-cityscape")}


def write_sources(folder: Path) -> list[Path]:
    """Pickles in NVIDIA's format, under the names that NVIDIA gave them."""
    nets = Nets.create(CFG, seed=0)
    return [write_pickle(folder / f"{name}.pkl", nets) for name in SOURCES]


def good(done: Done) -> str:
    assert done.code == 0, done.out[-2000:] + done.err[-2000:]
    return done.out


def cells(out: Path) -> list[dict[str, str]]:
    """The rows of provenance.csv: one for each cell with a number of ours."""
    with (out / "provenance.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow(twin="tests/integration/test_cli.py::test_a_plan_runs_nothing_and_leaves_with_0")
def test_the_paper_suite_from_nothing_to_the_tables(
    command: Command, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCHMARK_CACHE", str(tmp_path / "cache"))
    weights = write_weights(tmp_path / "weights")
    small = ["resolution=32", "train.batch=8", "train.snapshot_kimg=[1000]", "layer_swap.grid=[8]", "ui2i.grid=[8]"]
    arguments = ["run", "--suite", "paper", "--scale", SCALE, "--stand-in-weights", str(weights), "--out", "res"]
    arguments += [word for text in small for word in ("--set", text)]

    before = good(command(*arguments, "--plan", "--seconds-per-kimg", "36"))
    assert all(f"source {name}: " in before for name in SOURCES)
    assert all(f"missing: target {name}" in before for name in ("metfaces", "aahq", "wikiart-cityscape"))
    assert "together: 24 jobs, 18 trainings" in before and not (tmp_path / "res").exists()

    assert "first: python -m benchmark datasets fetch ffhq-res256-mirror" in command(*arguments).err
    for path in write_sources(tmp_path):
        good(command("datasets", "fetch", path.stem, "--from", str(path), "--accept-licence"))
        assert "NVIDIA Source Code License" in good(command("sources", "import", path.stem))
    for name, folder in write_sets(tmp_path / "sets", cache).items():
        good(command("datasets", "fetch", name, "--from", str(folder), "--accept-licence"))
        good(command("datasets", "prepare", name, "--resolution", "32", "--filter", "squash_bilinear"))
    assert "missing: " not in good(command(*arguments, "--plan"))

    good(command(*arguments, "--threads", "1"))
    records, problems = ResultStore(tmp_path / "res").read_all()
    assert not problems
    expected = {suite.name: methods for suite, methods in load_suites("paper", (), {"scale": float(SCALE)})}
    assert {r.suite for r in records} == set(expected)
    for suite, methods in expected.items():
        mine = [r for r in records if r.suite == suite]
        assert {r.method for r in mine} == {"source", *(method.name for method in methods)}
        for r in mine:
            require_whole(r)

    stated = {row["table"] for row in cells(tmp_path / "res") if row["record_keys"]}
    assert {"standin_fid", "standin_kid", "standin_lpips_vgg"} <= stated
    assert not [name for name in stated if name.startswith(("fid", "kid", "lpips", "legacy"))]
    for name in ("tables.md", "tables.tex", "page.html"):
        text = (tmp_path / "res" / name).read_text().replace("\\_", "_")
        assert "rehearsal at 1e-06 of the real lengths" in text, name
        assert "stand-in weights: numbers whose names begin with standin_ mean nothing" in text, name
    assert "measured: finetune" in good(command(*arguments, "--plan"))


def require_whole(record: RunRecord) -> None:
    """Done, measured with nothing but stand-ins, on the images that it says."""
    assert record.status == "done", record.reason
    assert record.settings["scale"] == float(SCALE)
    assert record.doctor is not None and record.doctor.passed, record.doctor
    assert all(name.startswith("standin_") for name in record.metrics)
    assert all(m.value is not None and np.isfinite(m.value) for m in record.metrics.values()), record.metrics
    assert "reference (the training images)" in record.settings["reals"]
    assert (record.weights_kimg or 0) >= (0 if record.zero_step else 0.016)

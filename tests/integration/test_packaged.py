"""Metrics, domains and suites of an installed package, through the real command line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command_line import Done
from image_files import folder_of, noise

from benchmark.domains import load_domain
from benchmark.errors import ConfigError, UnknownName
from benchmark.metrics import list_metrics
from benchmark.metrics.catalogue import find_metric
from benchmark.metrics.networks import weight_files
from benchmark.metrics.plugins import package_metric
from benchmark.results import ResultStore
from benchmark.results.reals import read_reals
from benchmark.running.shortages import WANTED
from benchmark.suites import load_suite, suite_names
from benchmark.system.packages import offers

Command = Callable[..., Done]
METRICS = '''
import random
from pathlib import Path

import numpy as np
import torch
from benchmark.domains import DomainFolder
from benchmark.metrics import Metric, Score

HERE = Path(__file__).parent


def shift(fakes, real, training):
    """Distance of the means, with the standard error of one of them."""
    gap = np.linalg.norm(fakes.mean(0) - real.mean(0))
    return Score.measured(float(gap), len(fakes), float(fakes.std() / len(fakes) ** 0.5))


class MeanColour(torch.nn.Module):
    dim, preprocessing = 3, 1

    def forward(self, images):
        return images.float().mean((2, 3))


good = Metric("shift_randconv", "distance of means", "randconv", shift, unit="features")
tint = Metric("tint_meancolour", "distance of mean colours", "meancolour", shift, make_network=MeanColour, version=3)
wrong_way = Metric("wrong_randconv", "the same, called higher", "randconv", shift, "higher")
fickle = Metric("fickle_randconv", "random", "randconv", lambda f, r, t: Score.measured(random.random(), len(f)))
half = Metric("half_randconv", "half", "randconv", lambda f, r, t: Score.measured(shift(f, r, t).value, len(f) // 2))
raises = Metric("raises_randconv", "none", "randconv", lambda f, r, t: 1 / 0)
no_score = Metric("bare_randconv", "none", "randconv", lambda f, r, t: 1.0)
no_number = Metric("nan_randconv", "none", "randconv", lambda f, r, t: Score.measured(float("nan"), len(f)))
percent = Metric(
    "percent_randconv", "none", "randconv", lambda f, r, t: Score.measured(1e6, len(f)), unit="share"
)
hue = Metric("hue_meancolour", "the same again", "meancolour", shift, make_network=MeanColour)


def eats(fakes, real, training):
    fakes -= fakes.mean(0)
    return Score.measured(0.5, len(fakes))


class NoFile(torch.nn.Module):
    def __init__(self):
        raise FileNotFoundError(2, "No such file", "net.pt")


eater = Metric("eats_randconv", "changes its features", "randconv", eats)
unpooled = Metric("own_lpips_vgg", "none", "lpips_vgg", shift)
lost = Metric("lost_nofile", "none", "nofile", shift, make_network=NoFile)
misnamed = Metric("shift_of_means", "none", "randconv", shift)
birds = DomainFolder(HERE / "birds", "A. Painter", "CC BY 4.0", "Birds by A. Painter")
gone = DomainFolder(HERE / "gone", "A. Painter", "CC BY 4.0", "Gone")


def suite():
    return HERE / "lab.yaml"


def fails():
    raise RuntimeError("no such luck")
'''
POINTS = {
    "benchmark.metrics": {
        "shift_randconv": "good",
        "tint_meancolour": "tint",
        "wrong_randconv": "wrong_way",
        "fickle_randconv": "fickle",
        "half_randconv": "half",
        "raises_randconv": "raises",
        "bare_randconv": "no_score",
        "nan_randconv": "no_number",
        "percent_randconv": "percent",
        "hue_meancolour": "hue",
        "eats_randconv": "eater",
        "own_lpips_vgg": "unpooled",
        "lost_nofile": "lost",
        "shift_of_means": "misnamed",
        "kid_randconv": "good",
        "absent_randconv": "nothing_so_called",
    },
    "benchmark.domains": {"lab-birds": "birds", "lab-gone": "gone", "lab-text": "HERE", "lab-raises": "fails"},
    "benchmark.suites": {"lab": "suite", "lab-broken": "good", "lab-raises": "fails"},
}
SUITE = """schema: 1
name: lab
source: smoke-32
resolution: 32
domains: [lab-birds]
methods: [finetune]
split: {train: 16, test: 12}
train: {kimg: 0.032, batch: 4}
eval:
  metrics: [eats_randconv, shift_randconv, tint_meancolour, hue_meancolour, lost_nofile, raises_randconv, kid_randconv]
  samples: 8
  pairs: 4
  batch: 8
"""


@pytest.fixture
def lab(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package with these entry points where pip would put it."""
    site = tmp_path_factory.mktemp("site")
    (site / "lab_extras.py").write_text(METRICS)
    (site / "lab.yaml").write_text(SUITE)
    folder_of(site / "birds", map(noise, range(30)))
    info = site / "lab_extras-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-extras\nVersion: 1.2\n")
    lines = [
        line
        for group, points in POINTS.items()
        for line in (f"[{group}]", *(f"{name} = lab_extras:{what}" for name, what in points.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    monkeypatch.syspath_prepend(site)
    for cached in (offers, package_metric):
        cached.cache_clear()
    yield site
    for cached in (offers, package_metric):
        cached.cache_clear()
    sys.modules.pop("lab_extras", None)
    weight_files.OWN_NETWORKS.clear()
    for name in ("meancolour", "nofile"):
        weight_files._NETWORK_FILES.pop(name, None)


def test_metrics_are_found_by_name_and_bad_ones_harm_no_others(lab: Path) -> None:
    known = list_metrics()
    assert {"shift_randconv", "tint_meancolour"} <= known.keys()
    assert known["tint_meancolour"].version == 3 and known["shift_randconv"].unit == "features"
    assert not {"shift_of_means", "absent_randconv"} & known.keys()
    assert known["kid_randconv"].kind == "kid", "no package takes a name of ours"
    for name, said in {
        "shift_of_means": "must end with _randconv",
        "own_lpips_vgg": "names the network 'lpips_vgg': give one of effnetlite0_128, ",
        "absent_randconv": "package lab-extras 1.2 cannot be imported (AttributeError",
    }.items():
        with pytest.raises(ConfigError, match="metric ") as caught:
            find_metric(name)
        assert said in str(caught.value)
    with pytest.raises(UnknownName, match="did you mean shift_randconv"):
        find_metric("shift_randcon")


def test_a_run_of_a_packages_suite_with_its_domain_and_metrics(lab: Path, command: Command, tmp_path: Path) -> None:
    done = command("run", "--suite", "lab", "--out", "res")
    assert done.code == 0, done.err
    records, _ = ResultStore(tmp_path / "res").read_all()
    tuned = next(r for r in records if r.method == "finetune")
    assert tuned.domain == "lab-birds" and tuned.metrics["kid_randconv"].value is not None
    shift, tint = tuned.metrics["shift_randconv"], tuned.metrics["tint_meancolour"]
    assert shift.value is not None and shift.n == 8 and tint.value is not None and tint.value > 0
    assert tuned.metrics["raises_randconv"].reason == (
        "not available: raises_randconv failed (ZeroDivisionError: division by zero)"
    )
    assert tuned.metrics["hue_meancolour"].value == tint.value
    eaten, lost = (tuned.metrics[name].reason or "" for name in ("eats_randconv", "lost_nofile"))
    assert "eats_randconv failed (ValueError" in eaten and "read-only" in eaten
    assert (
        WANTED.fullmatch(lost)
        and lost == "not available: nofile failed: FileNotFoundError: [Errno 2] No such file: 'net.pt'"
    )
    assert tuned.settings["metric_versions"]["tint_meancolour"] == 3
    (real,) = read_reals(tmp_path / "res")
    assert real.metrics["tint_meancolour"].value is not None and real.metrics["tint_meancolour"].value < tint.value
    assert "A. Painter" in command("list", "domains").out
    for what in ("metrics", "suites", "domains"):
        assert "unavailable: " in command("list", what).out, what


def test_a_packages_domain_says_whose_it_is_and_suites_are_listed(lab: Path, tmp_path: Path) -> None:
    domain = load_domain("lab-birds", 32, 16, 12, tmp_path)
    assert (domain.card.creator, domain.card.licence) == ("A. Painter", "CC BY 4.0")
    assert (len(domain.train), len(domain.test)) == (16, 12)
    for name, said in {"lab-gone": "which does not exist", "lab-text": "not a DomainFolder"}.items():
        with pytest.raises(ConfigError, match=said):
            load_domain(name, 32, 16, 12, tmp_path)
    assert suite_names().count("lab") == 1 and load_suite("lab")[0].domains == ("lab-birds",)
    with pytest.raises(ConfigError, match=r"suite lab-broken: package lab-extras 1\.2 offers Metric"):
        load_suite("lab-broken")
    with pytest.raises(ConfigError, match=r"lab-raises: the function of package lab-extras 1\.2 failed \(RuntimeError"):
        load_suite("lab-raises")


def test_conform_passes_what_is_right_and_names_what_is_broken(lab: Path, command: Command) -> None:
    good = command("conform-metric", "shift_randconv", "tint_meancolour")
    assert good.code == 0 and good.out.count("7 promises kept") == 2, good.out
    for name, promise in {
        "wrong_randconv": "has the direction that it says",
        "fickle_randconv": "says the same of the same pictures",
        "half_randconv": "counts its images",
        "percent_randconv": "is no share",
        "raises_randconv": "scores pictures",
        "bare_randconv": "gave float instead of a Score",
        "nan_randconv": "nan_randconv failed (ValidationError",
        "eats_randconv": "read-only",
        "lost_nofile": "nofile failed: FileNotFoundError",
    }.items():
        done = command("conform-metric", name)
        assert done.code == 1 and "BROKEN" in done.out and promise in done.out, (name, done.out)
    assert command("conform-metric", "nonsense").code == 2

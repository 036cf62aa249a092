"""The package's own metrics keep the promises that are asked of a metric from outside."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from command_line import python

from benchmark.cli.metrics import conform_metric as command
from benchmark.conformity.metric import PROMISES, conform_metric
from benchmark.metrics import METRICS
from benchmark.metrics.networks.features import RandConv
from benchmark.metrics.plugins import package_metric
from benchmark.system.packages import offers

NEED_MORE = ("ppl", "legacy", "fd_infinity", "picture_")
"""What pictures alone do not give: paths in w, images in the published way, a hundred images."""
OWN = """
import numpy as np
from benchmark.metrics import Metric, Score


def shift(fakes, real, training):
    return Score.measured(float(np.linalg.norm(fakes.mean(0) - real.mean(0))), len(fakes))


def many(fakes, real, training):
    if len(fakes) < 100:
        return Score.missing(f"not available: needs 100 images\\x1b[2J, there are {len(fakes)}")
    return shift(fakes, real, training)


def consecutive(fakes, real, training):
    return Score.measured(float(np.linalg.norm(np.diff(fakes, axis=0), axis=1).mean()), len(fakes))


many = Metric("many_randconv", "distance of many means", "randconv", many)
wrong = Metric("wrong_randconv", "distance of the means, called higher", "randconv", shift, "higher")
raises = Metric("raises_randconv", "none", "randconv", lambda fakes, real, training: 1 / 0)
ordered = Metric("ordered_randconv", "mean distance of neighbours in the list", "randconv", consecutive)
bare = Metric("bare_randconv", "none", "randconv", lambda fakes, real, training: 1.0)
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with an installed package of metrics, for this process and those that it starts."""
    (tmp_path / "own_metrics.py").write_text(OWN)
    info = tmp_path / "own_metrics-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own-metrics\nVersion: 1.0\n")
    lines = [f"{what}_randconv = own_metrics:{what}\n" for what in ("many", "wrong", "raises", "ordered", "bare")]
    (info / "entry_points.txt").write_text("[benchmark.metrics]\n" + "".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for cached in (offers, package_metric):
        cached.cache_clear()
    yield tmp_path
    for cached in (offers, package_metric):
        cached.cache_clear()
    sys.modules.pop("own_metrics", None)


@pytest.mark.parametrize("name", [name for name, info in METRICS.items() if info.network == "randconv"])
def test_our_metrics_conform(name: str, tmp_path: Path) -> None:
    verdict = conform_metric(name, tmp_path)
    assert verdict.broken == {}
    assert verdict.not_tried == (list(PROMISES) if name.startswith(NEED_MORE) else [])


def test_what_is_tried_is_the_network_as_it_is_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's next edit: features of real images that were kept would be those of the network before it."""
    assert conform_metric("fd_randconv", tmp_path).broken == {}
    before = RandConv.forward
    monkeypatch.setattr(RandConv, "forward", lambda self, images: 3 * before(self, images) + 5)
    assert conform_metric("fd_randconv", tmp_path).broken == {}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_weights_elsewhere")
def test_a_metric_without_its_file_is_not_tried(tmp_path: Path) -> None:
    verdict = conform_metric("fd_dinov2", tmp_path)
    assert (verdict.kept, verdict.broken, verdict.not_tried) == ([], {}, list(PROMISES))
    assert "dinov2_vitl14_pretrain.pth" in verdict.why_not


def test_a_metric_that_needs_more_images_is_not_tried_and_one_that_fails_is_broken(site: Path) -> None:
    verdict = conform_metric("many_randconv", site)
    assert (verdict.kept, verdict.broken, verdict.not_tried) == ([], {}, list(PROMISES))
    assert verdict.why_not == "needs 100 images\x1b[2J, there are 32"
    for name, why in {"raises_randconv": "failed (ZeroDivisionError", "bare_randconv": "gave float"}.items():
        assert why in conform_metric(name, site).broken["scores pictures"]


def test_a_metric_that_hangs_on_the_order_is_broken(site: Path) -> None:
    """Distances of neighbours are the same in the reversed order."""
    assert "does not depend on the order of pictures" in conform_metric("ordered_randconv", site).broken


@pytest.mark.usefixtures("site")
def test_the_command_says_why_a_metric_was_not_tried_and_obeys_no_character_of_it() -> None:
    done = CliRunner().invoke(command, ["many_randconv"])
    reason = r"  NOT TRIED  needs 100 images\x1b[2J, there are 32"
    assert done.output.splitlines() == ["many_randconv: 0 promises kept, 7 not tried", reason]
    assert done.exit_code == 0


def test_a_broken_metric_is_told_by_an_optimising_python_too(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`python -O` leaves out every `assert`."""
    monkeypatch.setenv("PYTHONOPTIMIZE", "1")
    done = python(("conform-metric", "wrong_randconv"), site, site)
    assert done.code == 1 and "BROKEN  has the direction that it says: higher is better" in done.out, done

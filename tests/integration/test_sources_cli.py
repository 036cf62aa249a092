"""Sources on the command line: a checkpoint of the field from import to an adapted network in another layout."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from command_line import QUICK, Done, process
from nvidia_pickle import write_pickle

from benchmark.config import NetConfig
from benchmark.results import ResultStore
from benchmark.sources import find_source
from benchmark.stylegan2 import Nets, load
from benchmark.system.files import sha256_of

Command = Callable[..., Done]
CFG = NetConfig(
    resolution=32, z_dim=24, w_dim=24, mapping_layers=2, channel_base=256, channel_max=16, conv_clamp=256, mbstd_group=8
)
RUN = ("run", *QUICK, "--methods", "finetune", "--domains", "toy-rings", "--out", "res")


def write(path: Path, nets: Nets) -> Path:
    """A pickle in NVIDIA's format."""
    return write_pickle(path, nets)


@pytest.fixture
def own_cache(cache: Path, tmp_path: Path) -> Path:
    """A cache without sources of other tests, but with the domains that were drawn already."""
    own = tmp_path / "cache"
    own.mkdir()
    for entry in cache.iterdir():
        if entry.name != "imported":
            (own / entry.name).symlink_to(entry)
    return own


@pytest.fixture
def call(command: Command, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command line, in this process, with that cache."""
    monkeypatch.setenv("BENCHMARK_CACHE", str(own_cache))
    return command


def good(done: Done) -> str:
    assert done.code == 0, done.err
    assert "Traceback" not in done.out + done.err
    return done.out


def bad(done: Done) -> str:
    """The one line of an error."""
    assert done.code == 2 and not done.out
    (line,) = done.err.splitlines()
    assert line.startswith("error: ")
    return line


def test_from_a_pickle_to_an_adapted_network_elsewhere(call: Command, own_cache: Path, tmp_path: Path) -> None:
    nets = Nets.create(CFG, seed=3)
    file = write(tmp_path / "network-snapshot.pkl", nets)
    digest = sha256_of(file)

    imported = process(("sources", "import", str(file), "--out", "tiny", "--licence", "MIT"), own_cache, tmp_path)
    assert "run --suite own --source tiny --domains FOLDER" in good(imported)
    assert file.name in good(call("sources", "list"))
    shown = good(call("sources", "show", "tiny"))
    for fact in (digest, "MIT", str(CFG), "NVIDIA pickle", "g, g_ema, d", "augment_pipe"):
        assert fact in shown and fact in imported.out
    assert "differ by at most" in good(call("sources", "verify", "tiny"))

    good(call(*RUN, "--source", "tiny"))
    records, problems = ResultStore(tmp_path / "res").read_all()
    assert {r.method for r in records} == {"source", "finetune"} and not problems
    for record in records:
        assert record.status == "done" and record.source == "tiny"
        assert record.architecture == CFG.model_dump()
        assert record.source_sha256 == find_source("tiny", own_cache).card.sha256
        assert record.source_origin_sha256 == digest
        assert "Source GAN: network-snapshot.pkl, a StyleGAN2 of 32 px (NVIDIA pickle)." in record.notes

    assert "as trained" not in good(call("sources", "export", "tiny", "--to", "nvidia"))
    (adapted,) = (tmp_path / "res" / "checkpoints").glob("*.safetensors")
    assert "weights " in good(call("sources", "verify", str(adapted)))
    notes = good(call("sources", "export", str(adapted), "--to", "rosinality", "--out", "adapted.pt"))
    assert "does not clamp" in notes and "groups of 4 (here: 8)" in notes and "written: adapted.pt" in notes
    assert "note: these are the weights as trained; where a method joins them with the source's" in notes
    assert "the network of its row is written by: python -m benchmark export RUN --method NAME" in notes
    for name, made_of, expected in (
        ("same", "tiny-nvidia.safetensors", nets.g_ema),
        ("adapted", "adapted.pt", load(adapted).g_ema),
    ):
        good(call("sources", "import", made_of, "--out", name))
        state = load(find_source(name, own_cache).path).g_ema.state_dict()
        assert all(state[k].equal(t) for k, t in expected.state_dict().items())
    assert not nets.g_ema.synthesis.b4.const.equal(state["synthesis.b4.const"])  # it was adapted


def test_sources_that_no_run_can_use(call: Command, own_cache: Path, tmp_path: Path) -> None:
    nets = Nets.create(CFG, seed=3)
    torch.save({"g_ema": nets.g_ema.state_dict()}, "generator.pt")
    assert "no run can start from this source" in good(call("sources", "import", "generator.pt"))
    line = bad(call(*RUN, "--source", "generator"))
    assert "has no discriminator" in line and "sources import --allow 'd.*'" in line
    with_new_d = good(call("sources", "import", "generator.pt", "--out", "with-new-d", "--allow", "d.*"))
    assert "allowed: d was not in the file and starts as a new network" in with_new_d
    assert "2 jobs" in good(call(*RUN, "--source", "with-new-d", "--dry-run"))

    small = CFG.model_copy(update={"resolution": 16})
    write(tmp_path / "small.pkl", Nets.create(small, seed=3))
    good(call("sources", "import", "small.pkl"))
    assert "add --set resolution=16" in bad(call(*RUN, "--source", "small"))
    assert "2 jobs" in good(call(*RUN, "--source", "small", "--set", "resolution=16", "--dry-run"))

    write(tmp_path / "labels.pkl", Nets.create(CFG.model_copy(update={"c_dim": 3}), seed=3))
    good(call("sources", "import", "labels.pkl"))
    assert "differ by at most" in good(call("sources", "verify", "labels"))
    assert "b4.conv1 0 " in good(call("sources", "show", "labels")).replace(",", " ")
    assert "labels is conditional on 3 classes" in bad(call(*RUN, "--source", "labels"))
    assert "has no labels" in bad(call("sources", "export", "labels", "--to", "rosinality"))
    assert not Path("labels-rosinality.pt").exists() and not Path("res").exists()


def test_names_of_sources(call: Command) -> None:
    torch.save({"g_ema": Nets.create(CFG, seed=3).g_ema.state_dict()}, "faces.pt")
    good(call("sources", "import", "faces.pt"))
    for command in (("show",), ("verify",), ("export", "--to", "nvidia")):
        assert "unknown source 'face': did you mean faces?" in bad(call("sources", command[0], "face", *command[1:]))
    assert "unknown source 'face': did you mean faces?" in bad(call(*RUN, "--source", "face"))
    assert "nothing.safetensors does not exist" in bad(call("sources", "verify", "nothing.safetensors"))
    assert "source faces exists" in bad(call("sources", "import", "faces.pt"))
    good(call("sources", "import", "faces.pt", "--replace"))
    assert "belongs to a source of the suite" in bad(call("sources", "import", "faces.pt", "--out", "smoke-32"))
    assert "use at most 64 letters" in bad(call("sources", "import", "faces.pt", "--out", "../faces"))


class Hostile:
    """Runs a command in whoever unpickles it."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch executed",)


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_hostile_pickle_is_refused_by_name(protocol: int, call: Command, own_cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "evil.pkl"
    path.write_bytes(pickle.dumps({"G": Hostile(), "D": None, "G_ema": None}, protocol))
    line = bad(call("sources", "import", "evil.pkl"))
    assert f"evil.pkl wants to call {os.system.__module__}.system (os.system); refused" in line
    assert not Path("executed").exists() and not (own_cache / "imported").exists()
    if protocol == 2:
        alone = process(("sources", "import", "evil.pkl"), own_cache, tmp_path)
        assert bad(alone) == line and not Path("executed").exists()


def test_a_file_that_does_not_fit_lists_everything(call: Command, own_cache: Path) -> None:
    state = Nets.create(CFG, seed=3).g_ema.state_dict()
    del state["synthesis.b8.conv0.bias"], state["mapping.fc1.bias"]
    torch.save({"g_ema": state | {"extra": torch.zeros(1)}}, "x.pt")
    line = bad(call("sources", "import", "x.pt"))
    for name in ("synthesis.b8.conv0.bias is missing", "mapping.fc1.bias is missing", "extra is unexpected"):
        assert f"g_ema.{name}" in line
    assert "--allow" in line and not (own_cache / "imported").exists()
    allow = ("--allow", "g_ema.extra", "--allow", "*.bias")
    assert "allowed: g_ema.mapping.fc1.bias is missing" in good(call("sources", "import", "x.pt", *allow))

"""Networks on disk: nothing is lost, nothing half written stays, nothing wrong is loaded."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from benchmark.config import NetConfig
from benchmark.errors import WeightsError
from benchmark.stylegan2 import Nets, load, save
from benchmark.stylegan2.weights import MAX_HEADER, read_tensors, write_tensors

CFG = NetConfig(resolution=8, z_dim=4, w_dim=4, mapping_layers=1, channel_base=32, channel_max=4, c_dim=2)


@pytest.fixture
def nets() -> Nets:
    nets = Nets.create(CFG, seed=0)
    nets.g_ema = Nets.create(CFG, seed=1).g  # distinguishable from g
    nets.g.mapping.w_avg.fill_(0.5)
    return nets


@pytest.fixture
def file(tmp_path: Path, nets: Nets) -> Path:
    path = tmp_path / "nets.safetensors"
    save(path, nets, {"kimg": 3})
    return path


def assert_same(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert a.keys() == b.keys()
    assert [k for k in a if not a[k].equal(b[k])] == []


def rewritten(path: Path, change: Callable[[dict[str, Tensor]], object], **meta: object) -> Path:
    """`path` with other tensors (changed in place) and header fields."""
    tensors, old = read_tensors(path)
    change(tensors)
    save_file(tensors, path, metadata={"json": json.dumps(old | meta)})
    return path


# --- networks


def test_save_and_load_give_the_same_networks(file: Path, nets: Nets) -> None:
    loaded = load(file)
    assert_same(loaded.state_dict(), nets.state_dict())
    assert loaded.cfg == CFG
    assert read_tensors(file)[1]["kimg"] == 3


def test_channels_last_networks_are_stored_by_shape_not_by_memory(tmp_path: Path, nets: Nets) -> None:
    save(tmp_path / "a", nets.copy().to("cpu"))
    assert_same(load(tmp_path / "a").state_dict(), nets.state_dict())


def test_half_precision_halves_the_file_and_loads_as_float32(tmp_path: Path, file: Path, nets: Nets) -> None:
    path = tmp_path / "half.safetensors"
    halves = {name: t.half() for name, t in nets.state_dict().items()}
    write_tensors(path, halves, {"architecture": nets.cfg.model_dump()})
    loaded = load(path).state_dict()
    assert {t.dtype for t in loaded.values()} == {torch.float32}
    assert_same(loaded, {k: t.half().float() for k, t in nets.state_dict().items()})


def test_create_depends_on_the_seed_alone_and_leaves_the_global_state() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = Nets.create(CFG, seed=3)
    assert torch.rand(3).equal(expected)
    assert_same(first.state_dict(), Nets.create(CFG, seed=3).state_dict())
    assert not first.g.synthesis.b4.const.equal(Nets.create(CFG, seed=4).g.synthesis.b4.const)
    assert_same(first.g.state_dict(), first.g_ema.state_dict())


def test_a_copy_shares_nothing(nets: Nets) -> None:
    before = {k: t.clone() for k, t in nets.state_dict().items()}
    for t in nets.copy().state_dict().values():
        t.add_(1)
    assert_same(nets.state_dict(), before)


# --- refusals


def refusal(path: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_missing_unexpected_and_misshapen_names_are_all_told(file: Path) -> None:
    def change(tensors: dict[str, Tensor]) -> None:
        tensors["g.synthesis.b64.conv0.weight"] = tensors.pop("g.synthesis.b8.conv0.weight")
        tensors["d.b4.out.bias"] = torch.zeros(7)

    message = refusal(rewritten(file, change))
    assert "1 missing: g.synthesis.b8.conv0.weight" in message
    assert "1 unexpected: g.synthesis.b64.conv0.weight" in message
    assert "1 misshapen: d.b4.out.bias is [7], expected [4]" in message


def test_many_misfits_are_counted_and_only_some_listed(file: Path) -> None:
    message = refusal(rewritten(file, dict.clear))
    assert "g.mapping" not in message.split("...")[1]
    assert f"{len(Nets.create(CFG, 0).state_dict())} missing" in message


def test_a_refused_state_leaves_the_networks_as_they_were(nets: Nets) -> None:
    before = {k: t.clone() for k, t in nets.state_dict().items()}
    wrong = {k: t + 1 for k, t in before.items()} | {"d.b4.out.bias": torch.zeros(7)}
    with pytest.raises(WeightsError):
        nets.load_state_dict(wrong)
    assert_same(nets.state_dict(), before)


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_a_truncated_file(file: Path, keep: int) -> None:
    file.write_bytes(file.read_bytes()[:keep])
    assert "truncated or not safetensors" in refusal(file)


def test_what_is_not_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "network.pkl"
    path.write_bytes(b"\x80\x04\x95" + bytes(range(256)) * 4)
    assert "truncated or not safetensors" in refusal(path)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "nowhere.safetensors")
    assert "does not exist" in refusal(tmp_path)


def test_another_schema(file: Path) -> None:
    assert "schema 1" in refusal(rewritten(file, lambda tensors: None, schema=2))


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"json": "[1]"}])
def test_a_foreign_safetensors_file(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    path = tmp_path / "foreign.safetensors"
    save_file({"x": torch.zeros(3)}, path, metadata=metadata)
    assert "schema 1" in refusal(path)


def test_a_header_that_is_no_json(tmp_path: Path) -> None:
    path = tmp_path / "odd.safetensors"
    save_file({"x": torch.zeros(3)}, path, metadata={"json": "{"})
    assert "cannot be read" in refusal(path)


@pytest.mark.parametrize("architecture", [None, "stylegan2", {"resolution": "large"}, {"layers": 3}])
def test_a_header_without_an_architecture(file: Path, architecture: object) -> None:
    assert "architecture" in refusal(rewritten(file, lambda tensors: None, architecture=architecture))


def test_an_architecture_that_is_not_the_tensors(file: Path) -> None:
    other = CFG.model_copy(update={"resolution": 16}).model_dump()
    assert "does not fit" in refusal(rewritten(file, lambda tensors: None, architecture=other))


# --- writing


def test_a_write_replaces_the_old_file(file: Path) -> None:
    other = Nets.create(CFG, seed=9)
    save(file, other)
    assert_same(load(file).state_dict(), other.state_dict())
    assert [p.name for p in file.parent.iterdir()] == [file.name]


def test_a_full_disk_leaves_the_old_file_and_no_temporary_one(file: Path) -> None:
    before = file.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            save(file, Nets.create(CFG, seed=9))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert file.read_bytes() == before
    assert [p.name for p in file.parent.iterdir()] == [file.name]


def test_a_header_that_nobody_could_read_is_not_written(file: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(WeightsError, match="16777216 at most can be read"):
        write_tensors(file, {"x": torch.zeros(3)}, {"log": "x" * MAX_HEADER})
    assert file.read_bytes() == before and [p.name for p in file.parent.iterdir()] == [file.name]


def test_a_failing_rename_leaves_no_temporary_file(tmp_path: Path) -> None:
    folder = tmp_path / "taken"
    folder.mkdir()
    with pytest.raises(OSError, match="taken"):
        write_tensors(folder, {"x": torch.zeros(3)}, {})
    assert list(tmp_path.iterdir()) == [folder]


def test_the_folder_is_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "x.safetensors"
    write_tensors(path, {"x": torch.arange(3)}, {"n": 1})
    tensors, meta = read_tensors(path)
    assert tensors["x"].tolist() == [0, 1, 2]
    assert meta == {"schema": 1, "n": 1}


@pytest.mark.parametrize("umask", [0o077, 0o022, 0o027])
def test_files_of_weights_are_as_private_as_the_umask_says(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_tensors(tmp_path / "a.safetensors", {"x": torch.zeros(2)}, {})
    finally:
        os.umask(before)
    assert (tmp_path / "a.safetensors").stat().st_mode & 0o777 == 0o666 & ~umask

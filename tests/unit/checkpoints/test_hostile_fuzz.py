"""Damaged files of every kind: each gives networks or one clear error, whatever was damaged."""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hostile import CFG, refusal, zipped
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nvidia_pickle import Persistent, dumps, pickle_of
from pickle_assembly import (
    FROM_BYTES,
    PERSISTENT,
    REBUILD,
    TF_NETWORK,
    data,
    get,
    name,
    number,
    put,
    storage_file,
    storage_id,
    text,
    whole,
)
from safetensors.torch import save

from benchmark.checkpoints import convert, read_checkpoint
from benchmark.errors import WeightsError
from benchmark.stylegan2 import Nets

NETS = Nets.create(CFG, seed=0)


def torch_file(new: bool) -> bytes:
    """G_ema as `torch.save` writes it, or wrote it before 1.6."""
    file = io.BytesIO()
    torch.save({"g_ema": NETS.g_ema.state_dict()}, file, _use_new_zipfile_serialization=new)
    return file.getvalue()


FILES: dict[str, bytes] = {
    "pickle, protocol 4": pickle_of(NETS),
    "pickle, protocol 2": pickle_of(NETS, protocol=2),
    "ZIP": torch_file(new=True),
    "old PyTorch file": torch_file(new=False),
    "safetensors": save({name: t.contiguous() for name, t in NETS.g_ema.state_dict().items()}),
}
"""Each is read, as the first test says."""

bounded = settings(
    max_examples=100, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def outcome(content: bytes, folder: Path) -> WeightsError | None:
    """What reading and converting say; any other exception is a failure of the test."""
    file = folder / "x.bin"
    file.write_bytes(content)
    try:
        convert(read_checkpoint(file), [], file.name)
    except WeightsError as error:
        assert str(error).isprintable()
        return error
    finally:
        assert list(folder.iterdir()) == [file]
    return None


@pytest.mark.parametrize("kind", FILES)
def test_whole_files_are_read(kind: str, tmp_path: Path) -> None:
    assert outcome(FILES[kind], tmp_path) is None


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_cut_at_each_opcode(protocol: int, tmp_path: Path) -> None:
    layer = NETS.g.mapping.fc0
    parameters = {"weight": layer.weight, "bias": layer.bias}
    module = Persistent("FullyConnectedLayer", {"training": False, "_parameters": parameters, "bias_gain": 0.01})
    content = dumps({"G_ema": module, "D": None}, protocol)
    file = tmp_path / "x.pkl"
    ends = [at for _, _, at in pickletools.genops(content) if at]
    for end in ends:
        file.write_bytes(content[:end])
        with pytest.raises(WeightsError, match=r"cannot be read|is empty"):
            read_checkpoint(file)
    file.write_bytes(content)
    assert read_checkpoint(file).networks["g_ema"]["weight"].equal(layer.weight)


@pytest.mark.parametrize("kind", FILES)
@bounded
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_file_cut_anywhere(share: float, kind: str, tmp_path: Path) -> None:
    content = FILES[kind]
    assert outcome(content[: int(share * len(content))], tmp_path)


places = st.one_of(st.integers(0, 400), st.integers(0, 2**20))
damage = st.lists(st.tuples(places, st.integers(0, 3), st.binary(min_size=1, max_size=8)), min_size=1, max_size=4)


def damaged(content: bytes, wounds: list[tuple[int, int, bytes]]) -> bytes:
    """Bytes overwritten, inserted, deleted or flipped, at places counted from the beginning or from the end."""
    raw = bytearray(content)
    for place, kind, new in wounds:
        at = place % len(raw) if place % 2 else -1 - place % len(raw)
        at %= len(raw)
        if kind == 0:
            raw[at : at + len(new)] = new
        elif kind == 1:
            raw[at:at] = new
        elif kind == 2:
            del raw[at : at + len(new)]
        else:
            raw[at] ^= 1 << new[0] % 8
    return bytes(raw)


@pytest.mark.parametrize("kind", FILES)
@bounded
@given(wounds=damage)
def test_a_file_with_other_bytes(wounds: list[tuple[int, int, bytes]], kind: str, tmp_path: Path) -> None:
    outcome(damaged(FILES[kind], wounds), tmp_path)


WORDS = [
    *(opcode.code.encode("latin1") for opcode in pickletools.opcodes if opcode.arg is None),
    *(name(*known) for known in (PERSISTENT, TF_NETWORK, REBUILD, FROM_BYTES, ("numpy", "dtype"), ("torch", "Size"))),
    *(name("collections", "OrderedDict"), name("argparse", "Namespace"), name("numpy", "ndarray")),
    *(name("torch", "FloatStorage"), name("numpy.core.multiarray", "_reconstruct"), name("_codecs", "encode")),
    *(number(n) for n in (0, 1, -1, 4, 2**40, 2**63)),
    *(text(word) for word in ("G_ema", "state", "_parameters", "_modules", "version", "variables", "f4", "latin1", "")),
    *(make(i) for make in (put, get) for i in range(3)),
    *(data(b"1234"), data(storage_file()), storage_id() + b"Q", b"}(", b"(", b")R", b"\x85R", b"s", b"b"),
]
"""Opcodes with meaningful arguments, and sequences of them."""
soup = st.lists(st.sampled_from(WORDS), max_size=25).map(b"".join)
WRAPPED: dict[str, Callable[[bytes], bytes]] = {
    "a pickle": lambda opcodes: whole(opcodes),
    "a network": lambda opcodes: whole(b"}" + text("G_ema") + opcodes + b"s"),
    "a ZIP": lambda opcodes: zipped({"x/data.pkl": whole(opcodes), "x/data/0": bytes(16)}),
    "an old PyTorch file": lambda opcodes: storage_file(opcodes),
    "a storage": lambda opcodes: whole(name(*FROM_BYTES) + data(storage_file(opcodes)) + b"\x85R"),
    "the list of storages": lambda opcodes: storage_file(keys=opcodes),
}


@pytest.mark.parametrize("kind", WRAPPED)
@bounded
@given(opcodes=soup)
def test_any_opcodes(opcodes: bytes, kind: str, tmp_path: Path) -> None:
    assert outcome(WRAPPED[kind](opcodes), tmp_path)


@bounded
@given(content=st.binary(max_size=200))
def test_any_bytes(content: bytes, tmp_path: Path) -> None:
    refusal(content, tmp_path)

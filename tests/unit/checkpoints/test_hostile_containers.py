"""Files made to harm, outside of the pickle: ZIPs, old PyTorch files, safetensors, and networks that cannot be.

As in `test_hostile_checkpoints`, each is refused in one line and leaves nothing behind.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from hostile import CFG, refusal, zipped
from pickle_assembly import (
    MAGIC,
    call,
    data,
    dict_of,
    list_of,
    name,
    nested,
    number,
    storage_file,
    storage_id,
    tensor,
    text,
    tuple_of,
    whole,
)
from safetensors.torch import save
from torch import Tensor

from benchmark.checkpoints import read_checkpoint
from benchmark.stylegan2 import Nets

ZIP_STORAGE = tuple_of([text("storage"), name("torch", "FloatStorage"), text("0"), text("cpu"), number(4)]) + b"Q"
PICKLE = whole(dict_of([("a", tensor(storage=ZIP_STORAGE))]))
"""Of a PyTorch file, with one tensor on the storage "0"."""


def with_changed_bytes(content: bytes, old: bytes, new: bytes) -> bytes:
    assert old in content
    return content.replace(old, new)


def zip_of_twins() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("x/data.pkl", PICKLE)
        archive.writestr("x/data.pkl", whole(b"N"))
    return file.getvalue()


def zip_of_overlapping_entries() -> bytes:
    """The list says that "0" is where "1" is."""
    content = zipped({"x/data.pkl": PICKLE, "x/data/0": bytes(16), "x/data/1": bytes(16)})
    first = content.index(b"PK\x01\x02", content.index(b"PK\x01\x02") + 1)
    second = content.index(b"PK\x01\x02", first + 1)
    return content[: first + 42] + content[second + 42 : second + 46] + content[first + 46 :]


ZIPS: dict[str, tuple[bytes, str]] = {
    "nothing in it": (zipped({}), "cannot be read"),
    "no pickle": (zipped({"x/data/0": bytes(16)}), "no data.pkl"),
    "two pickles": (zipped({"x/data.pkl": PICKLE, "y/data.pkl": PICKLE}), "no data.pkl, or several"),
    "two entries of one name": (zip_of_twins(), "have the same name"),
    "entries over each other": (zip_of_overlapping_entries(), "differ"),
    "compressed": (zipped({"x/data.pkl": PICKLE + bytes(10**6)}, zipfile.ZIP_DEFLATED), "does not compress"),
    "storage missing": (zipped({"x/data.pkl": PICKLE}), "its entry does not hold"),
    "storage elsewhere": (zipped({"x/data.pkl": PICKLE, "x/data/../0": bytes(16)}), "its entry does not hold"),
    "storage too short": (zipped({"x/data.pkl": PICKLE, "x/data/0": bytes(12)}), "its entry does not hold"),
    "storage too long": (zipped({"x/data.pkl": PICKLE, "x/data/0": bytes(10**6)}), "its entry does not hold"),
    "wrong checksum": (
        with_changed_bytes(zipped({"x/data.pkl": PICKLE, "x/data/0": b"0123456789abcdef"}), b"789ab", b"789aX"),
        "Bad CRC-32",
    ),
    "of another byte order": (zipped({"x/data.pkl": PICKLE, "x/byteorder": b"big"}), "big-endian"),
    "cut off": (zipped({"x/data.pkl": PICKLE, "x/data/0": bytes(16)})[:-30], "cannot be read"),
    "only its beginning": (b"PK\x03\x04", "cannot be read"),
    "many entries": (zipped({"x/data.pkl": PICKLE} | {str(i): b"" for i in range(20_001)}), "fewer entries"),
    "storage id of a view": (zipped({"x/data.pkl": whole(storage_id() + b"Q")}), "declared in a strange way"),
}  # fmt: skip


@pytest.mark.parametrize("case", ZIPS)
def test_a_zip_that_pytorch_did_not_write(case: str, tmp_path: Path) -> None:
    content, problem = ZIPS[case]
    assert problem in refusal(content, tmp_path)


def test_a_zip_whose_entries_point_outside_writes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    refusal(zipped({"x/data.pkl": PICKLE, "x/data/0": bytes(16), "../../out": b"x", "/tmp/out": b"x"}), folder)
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "b", "x.bin"]


VALUES = struct.pack("<q", 4) + bytes(16)
ONE = whole(list_of([text("0")]))
TENSOR = dict_of([("a", tensor(storage=storage_id() + b"Q"))])
OLD: dict[str, tuple[bytes, str]] = {
    "storages listed twice": (storage_file(TENSOR, list_of([text("0")] * 2), VALUES * 2), "lists other storages"),
    "storage not listed": (storage_file(TENSOR, b"]", VALUES), "lists other storages"),
    "storage unknown": (storage_file(TENSOR, list_of([text("0"), text("1")]), VALUES * 2), "lists other storages"),
    "key that is a number": (storage_file(TENSOR, list_of([number(0)]), VALUES), "lists other storages"),
    "key that nests deeply": (storage_file(TENSOR, list_of([nested(200_000)]), VALUES), "lists other storages"),
    "keys that are a text": (storage_file(TENSOR, text("0"), VALUES), "lists other storages"),
    "length of another storage": (storage_file(TENSOR, values=struct.pack("<q", 5) + bytes(20)), "declares 4 values"),
    "cut off": (storage_file(TENSOR)[:-1], "ends before the last tensor"),
    "huge storage": (storage_file(storage_id(count=number(2**39)) + b"Q"), "ends before the last tensor"),
    "absurd storage": (storage_file(storage_id(count=number(2**60)) + b"Q"), "no valid length"),
    "storage of a negative length": (storage_file(storage_id(count=number(-4)) + b"Q"), "no valid length"),
    "storage of no type": (storage_file(storage_id(kind=name("torch", "Size")) + b"Q"), "in a strange way"),
    "storage id that is a text": (storage_file(text("storage") + b"Q"), "in a strange way"),
    "view of a storage": (storage_file(storage_id(view=tuple_of([text("1")])) + b"Q"), "part of another"),
    "storage of two types": (
        storage_file(tuple_of([storage_id() + b"Q", storage_id(kind=name("torch", "HalfStorage")) + b"Q"])),
        "declared in two ways",
    ),
    "only the magic number": (MAGIC, "ends"),
    "another magic number inside": (whole(call(("torch.storage", "_load_from_bytes"), data(whole(b"N") * 5))), "begin"),
}  # fmt: skip


@pytest.mark.parametrize("case", OLD)
def test_an_old_pytorch_file_that_is_none(case: str, tmp_path: Path) -> None:
    content, problem = OLD[case]
    assert problem in refusal(content, tmp_path)


# --- safetensors


def state() -> dict[str, Tensor]:
    """Of G, D and G_ema under NVIDIA's names."""
    parts = {"g": "G", "g_ema": "G_ema", "d": "D"}
    tensors = Nets.create(CFG, seed=0).state_dict().items()
    return {f"{parts[k.partition('.')[0]]}.{k.partition('.')[2]}": t.contiguous().clone() for k, t in tensors}


def safetensors(header: Mapping[str, Any] | bytes, values: bytes = b"", length: int | None = None) -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + values


def entry(shape: list[int], start: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def with_header(said: str) -> bytes:
    return save(state(), metadata={"json": said})


SAFETENSORS: dict[str, tuple[bytes, str]] = {
    "header longer than the file": (safetensors({"a": entry([1], 0, 4)}, bytes(4), length=10**6), "cannot be read"),
    "header of gigabytes": (safetensors({"a": entry([1], 0, 4)}, bytes(4), length=2**27), "header or its weights"),
    "header that ends early": (safetensors({"a": entry([1], 0, 4)}, bytes(4), length=10), "cannot be read"),
    "header that is a list": (safetensors(b"[" * 100), "cannot be read"),
    "header that nests deeply": (safetensors(b'{"a":' * 100_000), "cannot be read"),
    "one name twice": (safetensors(b'{"a":%s,"a":%s}' % ((json.dumps(entry([1], 0, 4)).encode(),) * 2), bytes(4)), ""),
    "one tensor over another": (safetensors({k: entry([1], 0, 4) for k in ("a", "b")}, bytes(4)), "cannot be read"),
    "tensor beyond the file": (safetensors({"a": entry([2], 0, 8)}, bytes(4)), "cannot be read"),
    "tensor of a lying shape": (safetensors({"a": entry([2**40], 0, 4)}, bytes(4)), "cannot be read"),
    "tensor of an absurd shape": (safetensors({"a": entry([2**62, 2**62], 0, 4)}, bytes(4)), "cannot be read"),
    "tensor of negative shape": (safetensors({"a": entry([-1], 0, 4)}, bytes(4)), "cannot be read"),
    "numbers of an unknown type": (safetensors({"a": entry([1], 0, 4, "F99")}, bytes(4)), "cannot be read"),
    "escape sequences in a name": (safetensors({"\x1b[2J\n": entry([1], 0, 4)}, bytes(4)), "names are like ?[2J?"),
    "a very long name": (safetensors({"x" * 10**6: entry([1], 0, 4)}, bytes(4)), "names are like xxxx"),
    "many tensors": (safetensors({f"{i}": entry([0], 0, 0) for i in range(31_000)}), "more tensors than any"),
    "settings that nest deeply": (with_header("[" * 100_000), "recursion"),
    "settings in a list": (with_header('{"architecture": {"conv_clamp": [1]}}'), "a setting is no number"),
    "settings of a thousand digits": (with_header('{"architecture": {"conv_clamp": 1%s}}' % ("0" * 999)), "conv_clamp"),
    "settings of ten thousand digits": (with_header('{"architecture": {"conv_clamp": 1%s}}' % ("0" * 9999)), "digits"),
    "settings beyond all numbers": (with_header('{"architecture": {"conv_clamp": 1e999}}'), "conv_clamp = inf"),
}  # fmt: skip


@pytest.mark.parametrize("case", SAFETENSORS)
def test_a_safetensors_file_that_lies(case: str, tmp_path: Path) -> None:
    content, problem = SAFETENSORS[case]
    assert problem in refusal(content, tmp_path)


# --- networks that nobody could build


def with_empty(shapes: Mapping[str, list[int]], drop: str = "-") -> bytes:
    """The networks' file, with tensors of these shapes that have no numbers."""
    content = save({k: t for k, t in state().items() if k not in shapes and drop not in k})
    start = 8 + int.from_bytes(content[:8], "little")
    header, values = json.loads(content[8:start]), content[start:]
    return safetensors(header | {k: entry(v, len(values), len(values)) for k, v in shapes.items()}, values)


def sizes(affine: list[int] | None = None, maps: int | None = None) -> dict[str, list[int]]:
    """Shapes without numbers for all tensors that show the size of w, or the number of feature maps."""
    shapes: dict[str, list[int]] = {}
    for block in ("G_ema.synthesis.b4", "G_ema.synthesis.b8"):
        if affine is not None:
            shapes |= {f"{block}.{layer}.affine.weight": affine for layer in ("conv1", "torgb")}
        if maps is not None:
            shapes |= {f"{block}.conv1.weight": [maps, 0], f"{block}.conv1.bias": [maps, 0]}
            shapes |= {f"{block}.torgb.weight": [0, maps], f"{block}.torgb.affine.bias": [maps, 0]}
    return shapes


def with_tensors(tensors: Mapping[str, Tensor]) -> bytes:
    return save(state() | dict(tensors))


NETWORKS: dict[str, tuple[bytes, str]] = {
    "block of a million px": (with_tensors({"G_ema.synthesis.b99999999.conv1.weight": torch.zeros(1)}), "unexpected"),
    "block of 2048 px": (
        with_tensors({f"G_ema.synthesis.b2048.{i}": torch.zeros(1) for i in range(9)}),
        "expected 4, 8, 16, ... px",
    ),
    "thousand mapping layers": (with_tensors({"G_ema.mapping.fc999.weight": torch.zeros(4, 4)}), "layers = 1000"),
    "layer of an absurd number": (with_tensors({f"G_ema.mapping.fc{'9' * 5000}.weight": torch.zeros(4)}), "unexpected"),
    "digits of another script": (with_tensors({"G_ema.synthesis.b١٦.conv1.weight": torch.zeros(4)}), "unexpected"),
    "absurdly wide w": (with_empty(sizes(affine=[0, 2**50])), "is no StyleGAN2 generator"),
    "absurdly wide z": (with_empty({"G_ema.mapping.fc0.weight": [0, 2**61]}), "is no StyleGAN2 generator"),
    "absurdly many labels": (
        with_empty({"G_ema.mapping.embed.weight": [0, 10**6], "G_ema.mapping.fc0.weight": [4, 0]}),
        "not supported",
    ),
    "absurdly many maps": (with_empty(sizes(maps=2**40)), "is no StyleGAN2 generator"),
    "wide, but less absurdly": (with_empty({"G_ema.mapping.fc0.weight": [0, 8_000]}), "takes 8000 numbers where w"),
    "no maps at all": (with_empty(sizes(maps=0)), "not supported"),
    "numbers that are none": (with_tensors({"G_ema.mapping.w_avg": torch.full((4,), torch.nan)}), "not finite"),
    "numbers beyond float32": (with_tensors({"D.b4.out.bias": torch.tensor([1e30]).double() ** 9}), "not finite"),
    "numbers of eight bits": (
        with_tensors({"D.b4.out.bias": torch.zeros(1).to(torch.float8_e4m3fn)}),
        "not of floating point numbers",
    ),
    "complex numbers": (with_tensors({"D.b4.out.bias": torch.zeros(1, dtype=torch.complex64)}), "torch.complex64"),
}  # fmt: skip


@pytest.mark.parametrize("case", NETWORKS)
def test_networks_that_nobody_could_build(case: str, tmp_path: Path) -> None:
    content, problem = NETWORKS[case]
    assert problem in refusal(content, tmp_path)


def test_these_files_are_refused_for_what_is_wrong_with_them(tmp_path: Path) -> None:
    contents = {
        "st": save(state()),
        "zip": zipped({"x/data.pkl": PICKLE, "x/data/0": bytes(16)}),
        "old": storage_file(TENSOR),
    }
    for kind, content in contents.items():
        file = tmp_path / kind
        file.write_bytes(content)
        assert read_checkpoint(file).networks["g_ema"]

"""From a file to inert data: which container it is, by its first bytes and not by its name."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from safetensors import SafetensorError, safe_open

from benchmark.checkpoints.inert import NAMES
from benchmark.checkpoints.machine import DAMAGE, plain, read_pickle
from benchmark.checkpoints.tensors import Storage, StorageType
from benchmark.checkpoints.torch_stream import TORCH_MAGIC, read_torch_stream
from benchmark.errors import WeightsError

MAX_ENTRIES = 100_000
MAX_PICKLE = 128 * 2**20


@contextmanager
def open_checkpoint(path: Path) -> Iterator[tuple[str, Any]]:
    """("pickle" | "torch" | "safetensors", inert data); tensors are read while the file is open.

    Raises WeightsError for what is missing, damaged, of another kind, or wants to run something; also inside the
    `with` block, where reading a tensor may find the damage.
    """
    if not path.is_file():
        raise WeightsError(f"checkpoint {path} does not exist, or is no file.")
    try:
        with path.open("rb") as file:
            yield _read(file, path)
    except (*DAMAGE, OSError, SafetensorError, zipfile.BadZipFile) as error:
        raise WeightsError(
            f"{path.name} cannot be read as a checkpoint ({plain(error)}): truncated, damaged or another format? "
            "Fetch it again."
        ) from None


def _read(file: BinaryIO, path: Path) -> tuple[str, Any]:
    head = file.read(16)
    file.seek(0)
    if not head:
        raise WeightsError(f"{path.name} is empty. Fetch it again.")
    if head[:4] == b"PK\x03\x04":
        return "torch", read_torch_zip(file, path.name)
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 2**28:
        return "safetensors", read_safetensors(path)
    first = read_pickle(file, NAMES, path.name)
    if first == TORCH_MAGIC:
        file.seek(0)
        return "torch", read_torch_stream(file, path.name, NAMES)
    return "pickle", first


def read_torch_zip(file: BinaryIO, where: str) -> Any:
    """A file of `torch.save` since 1.6: a ZIP of uncompressed storages and one pickle."""
    archive = zipfile.ZipFile(file)
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES or any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ValueError("PyTorch does not compress, and writes fewer entries")
    if sum(entry.file_size for entry in entries) > file.seek(0, 2):
        raise ValueError("its entries overlap")
    [main] = [entry for entry in entries if entry.filename.count("/") == 1 and entry.filename.endswith("/data.pkl")]
    root = main.filename.removesuffix("data.pkl")
    if main.file_size > MAX_PICKLE:
        raise ValueError("its pickle is too long")
    names = set(archive.namelist())
    if f"{root}byteorder" in names and archive.read(f"{root}byteorder") != b"little":
        raise ValueError("it is of a big-endian machine")
    storages: dict[str, Storage] = {}

    def persistent(pid: Any) -> Storage:
        kind, dtype, key, _, count = pid
        if kind != "storage" or not isinstance(dtype, StorageType) or not isinstance(key, str):
            raise ValueError("a storage is declared in a strange way")
        if key not in storages:
            storages[key] = Storage(dtype.dtype, count, lambda: archive.read(f"{root}data/{key}"))
        return storages[key]

    return read_pickle(io.BytesIO(archive.read(main)), NAMES, where, persistent)


def read_safetensors(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """({name: tensor}, architecture where this suite wrote the file); the library runs nothing."""
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        header = json.loads((file.metadata() or {}).get("json", "{}"))
    architecture = header.get("architecture") if isinstance(header, dict) else None
    return tensors, architecture if isinstance(architecture, dict) else {}

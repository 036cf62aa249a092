"""Files of `torch.save` as PyTorch wrote them before 1.6, and as it still writes storages inside pickles."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, BinaryIO

from benchmark.checkpoints.machine import Global, read_pickle
from benchmark.checkpoints.tensors import Storage, StorageType

TORCH_MAGIC = 0x1950A86A20F9469CFC6C
"""The number that PyTorch's files of before 1.6 begin with, as a pickle."""


def read_torch_stream(file: BinaryIO, where: str, names: Mapping[str, Global | StorageType]) -> Any:
    """A file of `torch.save` before 1.6: pickles of magic number, version, system and object, then all storages."""
    storages: dict[str, Storage] = {}
    places: dict[str, int] = {}

    def persistent(pid: Any) -> Storage:
        kind, dtype, key, _, count, *view = pid
        if kind != "storage" or not isinstance(dtype, StorageType) or not isinstance(key, str) or any(view):
            raise ValueError("a storage is declared in a strange way")
        if key not in storages:
            size = dtype.dtype.itemsize

            def read() -> bytes:
                file.seek(places[key])
                (stored,) = struct.unpack("<q", file.read(8))
                if stored != count:
                    raise ValueError(f"a storage declares {count} values and has {stored}")
                return file.read(count * size)

            storages[key] = Storage(dtype.dtype, count, read)
        return storages[key]

    magic, _, _ = (read_pickle(file, names, where) for _ in range(3))
    if magic != TORCH_MAGIC:
        raise ValueError("it does not begin as PyTorch's files do")
    found = read_pickle(file, names, where, persistent)
    keys = read_pickle(file, names, where)
    at = file.tell()
    end = file.seek(0, 2)
    for key in keys:
        places[key] = at
        at += 8 + storages[key].count * storages[key].dtype.itemsize
    if set(places) != set(storages) or at > end:
        raise EOFError("it ends before the last tensor")
    return found

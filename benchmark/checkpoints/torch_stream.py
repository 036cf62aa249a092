"""Files of `torch.save` as PyTorch wrote them before 1.6, and as it still writes storages inside pickles."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from benchmark.checkpoints.machine import Global
from benchmark.checkpoints.pickle_file import MAX_OPCODES, read_pickle
from benchmark.checkpoints.tensors import Storage, StorageType

TORCH_MAGIC = 0x1950A86A20F9469CFC6C
"""The number that PyTorch's files of before 1.6 begin with, as a pickle."""

Piece = Callable[[int, int], bytes | memoryview]
"""(position, length) to that part of the file."""


def read_torch_stream(
    file: BinaryIO,
    length: int,
    piece: Piece,
    where: str,
    names: Mapping[str, Global | StorageType],
    most: int = MAX_OPCODES,
) -> Any:
    """A file of `torch.save` before 1.6: pickles of magic number, version, system and object, then all storages.

    `file` has at least the pickles, of at most `most` opcodes each; all `length` bytes are there through `piece`, by
    which storages are read when a tensor asks for them.
    """
    storages: dict[str, Storage] = {}
    places: dict[str, int] = {}

    def persistent(pid: Any) -> Storage:
        dtype, key, count, *view = storage_id(pid, (5, 6))
        if any(view):
            raise ValueError("a storage is a part of another one")
        if key not in storages:
            storages[key] = Storage(dtype, count, lambda: stored_values(piece, places[key], dtype.itemsize, count))
        return storages[key].expect(dtype, count)

    magic, _, _ = (read_pickle(file, names, where, most=most) for _ in range(3))
    if magic != TORCH_MAGIC:
        raise ValueError("it does not begin as PyTorch's files do")
    found = read_pickle(file, names, where, persistent, most)
    keys = read_pickle(file, names, where, most=most)
    at = file.tell()
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or sorted(storages) != sorted(keys):
        raise ValueError("it lists other storages than its tensors have")
    for key in keys:
        places[key] = at
        at += 8 + storages[key].count * storages[key].dtype.itemsize
    if at > length:
        raise EOFError("it ends before the last tensor")
    return found


def storage_id(pid: Any, lengths: tuple[int, ...]) -> list[Any]:
    """("storage", type, key, device, count, ...) as PyTorch names a storage -> [dtype, key, count, ...]."""
    if type(pid) is not tuple or len(pid) not in lengths:
        raise TypeError("a storage is declared in a strange way")
    kind, dtype, key, _, count, *more = pid
    if kind != "storage" or not isinstance(dtype, StorageType) or not isinstance(key, str):
        raise ValueError("a storage is declared in a strange way")
    return [dtype.dtype, key, count, *more]


def stored_values(piece: Piece, at: int, itemsize: int, count: int) -> bytes | memoryview:
    """A storage's bytes, which its length comes before."""
    (stored,) = struct.unpack("<q", piece(at, 8))
    if stored != count:
        raise ValueError(f"a storage declares {count} values and has {stored}")
    return piece(at + 8, count * itemsize)

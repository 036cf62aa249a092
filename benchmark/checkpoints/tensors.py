"""Tensors of a checkpoint before they are read: declared on a storage, checked against what the file holds."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from benchmark.errors import WeightsError

DTYPES = {
    "Double": torch.float64, "Float": torch.float32, "Half": torch.float16, "BFloat16": torch.bfloat16,
    "Long": torch.int64, "Int": torch.int32, "Short": torch.int16, "Char": torch.int8, "Byte": torch.uint8,
    "Bool": torch.bool,
}  # fmt: skip

MAX_DIMS = 8
MAX_TENSORS = 10_000
MAX_NETWORK = 256 * 2**20
"""Bytes behind the tensors of one network; those of 1024 px have 120 MB."""
NETWORKS = 3
"""In a file."""
MAX_NUMBER = 2**40
"""No storage is longer; bounds arithmetic on what a file declares."""


def plain_counts(*numbers: Any) -> bool:
    """True where all are whole numbers that a file could hold."""
    return all(type(n) is int and 0 <= n < MAX_NUMBER for n in numbers)


class Storage:
    """The numbers behind one or several tensors; read from the file when a tensor asks for them."""

    def __init__(self, dtype: torch.dtype, count: int, read: Callable[[], bytes | memoryview]) -> None:
        if not plain_counts(count):
            raise ValueError("a storage has no valid length")
        self.dtype, self.count, self._read = dtype, count, read

    def expect(self, dtype: torch.dtype, count: Any) -> Storage:
        """Itself; ValueError where the file declares it differently a second time."""
        if (dtype, count) != (self.dtype, self.count):
            raise ValueError("a storage is declared in two ways")
        return self

    @cached_property
    def values(self) -> Tensor:
        """1-d view of the file's bytes, not to be written to."""
        data = self._read()
        if len(data) != self.count * self.dtype.itemsize:
            raise ValueError(f"a storage declares {self.count} {self.dtype} values and has {len(data)} bytes")
        if not data:
            return torch.empty(0, dtype=self.dtype)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*not writable.*")
            return torch.frombuffer(data, dtype=self.dtype)


class LazyTensor:
    """A tensor that has not been read yet."""

    def __init__(self, storage: Any, offset: Any, size: Any, stride: Any) -> None:
        if not isinstance(storage, Storage) or type(size) is not tuple or type(stride) is not tuple:
            raise TypeError("a tensor is not declared as PyTorch does")
        if len(size) != len(stride) or len(size) > MAX_DIMS or not plain_counts(offset, *size, *stride):
            raise ValueError("a tensor has an impossible shape")
        count = math.prod(size)
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if count and (count > storage.count or last >= storage.count):
            raise ValueError(f"a tensor of shape {list(size)} is declared on {storage.count} stored numbers")
        self.storage, self.offset, self.shape, self.stride, self.count = storage, offset, size, stride, count

    def read(self) -> Tensor:
        """The tensor in its stored dtype, a view of the file's bytes; ValueError where they are too few."""
        if not self.count:
            return torch.empty(self.shape, dtype=self.storage.dtype)
        return self.storage.values.as_strided(self.shape, self.stride, self.offset)


def read_all(tensors: Mapping[str, LazyTensor], where: str, networks: int = 1) -> dict[str, Tensor]:
    """The tensors of one network, or of so many at most.

    Raises WeightsError before anything is read where they are too large or too many.
    """
    storages = {id(tensor.storage): tensor.storage for tensor in tensors.values()}
    if len(tensors) > networks * MAX_TENSORS:
        raise WeightsError(f"{where} has a network of more than {MAX_TENSORS:,} tensors; no StyleGAN2 has so many.")
    if sum(storage.count * storage.dtype.itemsize for storage in storages.values()) > networks * MAX_NETWORK:
        raise WeightsError(f"{where} has a network of more than {MAX_NETWORK >> 20} MB; no StyleGAN2 is so large.")
    return {name: tensor.read() for name, tensor in tensors.items()}


@dataclass(frozen=True)
class StorageType:
    """A named storage class, `torch.cuda.HalfStorage` for one."""

    dtype: torch.dtype

"""Inert values for the names in a checkpoint: tensors, arrays, numbers and records, never objects that can act.

`NAMES` is the whole list of names that a checkpoint may use.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from benchmark.checkpoints.foreign import Stateful
from benchmark.checkpoints.machine import Global
from benchmark.checkpoints.tensors import DTYPES, MAX_DIMS, LazyTensor, Storage, StorageType
from benchmark.checkpoints.torch_stream import read_torch_stream


class DType(Stateful):
    """A numpy dtype of plain numbers."""

    def __init__(self, code: str, *_: Any) -> None:
        if not isinstance(code, str) or not re.fullmatch(r"[<>|=]?[fiub][1248]", code):
            raise TypeError("an array is not of plain numbers")
        self.code = code.lstrip("<>|=")
        self.order = "<"

    def set_state(self, state: Any) -> None:
        """(version, byte order, ...)."""
        order = state[1]
        if order not in ("<", ">", "|", "="):
            raise ValueError("a dtype has no valid byte order")
        self.order = order

    @property
    def numpy(self) -> np.dtype:
        """As numpy has it."""
        return np.dtype(self.order + self.code)


class Array(Stateful):
    """A numpy array; `value` is a view of the file's bytes."""

    def __init__(self, *_: Any) -> None:
        self.value: np.ndarray = np.empty(0)

    def set_state(self, state: Any) -> None:
        """(version, shape, dtype, Fortran order, bytes) as numpy pickles it."""
        _, shape, dtype, fortran, data = state
        self.value = array_of(data, dtype, shape, "F" if fortran else "C")


def array_of(data: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    """Bytes -> array; numpy refuses a shape that the bytes do not fill."""
    if not isinstance(data, bytes) or not isinstance(dtype, DType) or type(shape) is not tuple:
        raise TypeError("an array is not declared as numpy does")
    if len(shape) > MAX_DIMS or not all(type(n) is int and n >= 0 for n in shape) or order not in ("C", "F"):
        raise ValueError("an array has an impossible shape")
    return np.frombuffer(data, dtype.numpy).reshape(shape, order=order)


def frombuffer_array(data: Any, dtype: Any, shape: Any, order: Any) -> Array:
    """numpy's newer way to pickle an array."""
    array = Array()
    array.value = array_of(data, dtype, shape, order)
    return array


def scalar(dtype: Any, data: Any) -> float | int | bool:
    """A numpy number."""
    return array_of(data, dtype, (1,), "C").item()


@dataclass
class Record(Stateful):
    """An object that the file describes, by its class's name. Its class does not exist here."""

    kind: str
    state: dict[str, Any] = field(default_factory=dict)

    def set_state(self, state: Any) -> None:
        """The attributes."""
        if not isinstance(state, dict):
            raise TypeError(f"the state of {self.kind} is not a dict")
        self.state = state


MAX_NAME = 100
"""Letters of a class's name."""
PERSISTENT = "torch_utils.persistence"
TF_NETWORK = "dnnlib.tflib.network.Network"


def persistent_object(meta: Any) -> Record:
    """NVIDIA's `_reconstruct_persistent_obj` would run `meta["module_src"]`; here it stays a text among others."""
    if not isinstance(meta, dict) or not isinstance(meta.get("state"), dict):
        raise TypeError("a persistent object has no state")
    name = meta.get("class_name")
    return Record(f"{PERSISTENT}.{name if isinstance(name, str) and len(name) < MAX_NAME else '?'}", meta["state"])


def rebuild_tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> LazyTensor:
    """`torch._utils._rebuild_tensor` and `_v2`: (storage, offset, size, stride, requires_grad, hooks, metadata)."""
    return LazyTensor(storage, offset, size, stride)


def rebuild_parameter(data: Any, *_: Any) -> LazyTensor:
    """A parameter is its data."""
    if not isinstance(data, LazyTensor):
        raise TypeError("a parameter has no tensor")
    return data


def encoded(text: Any, encoding: Any) -> bytes:
    """How Python 2 pickles have bytes: a text and "latin1"."""
    if not isinstance(text, str) or encoding != "latin1":
        raise TypeError("bytes are encoded in a strange way")
    return text.encode("latin1")


def ordered_dict(items: Any = ()) -> dict[Any, Any]:
    """As a plain dict; items come one by one later, or as pairs, each key once: no more work than what it makes."""
    if not isinstance(items, list | tuple) or not all(isinstance(pair, list | tuple) for pair in items):
        raise TypeError("an ordered dict is not made of pairs")
    made: dict[Any, Any] = {}
    for key, value in items:
        if not isinstance(key, str) or key in made:
            raise TypeError("an ordered dict has a key that is no text, or one twice")
        made[key] = value
    return made


def set_of(items: Any = ()) -> set[str]:
    """A set of texts, each named once, as `ordered_dict`."""
    if not isinstance(items, list | tuple):
        raise TypeError("a set is not made of a list")
    made: set[str] = set()
    for item in items:
        if not isinstance(item, str) or item in made:
            raise TypeError("a set has an item that is no text, or one twice")
        made.add(item)
    return made


def size(dims: Any) -> tuple[Any, ...]:
    """torch.Size."""
    if not isinstance(dims, list | tuple) or len(dims) > MAX_DIMS:
        raise TypeError("a size is not declared as PyTorch does")
    return tuple(dims)


def empty_dict(*arguments: Any) -> dict[Any, Any]:
    """A dict whose items come later."""
    if arguments:
        raise TypeError("expected no arguments")
    return {}


def namespace(*arguments: Any) -> Record:
    """argparse.Namespace: the options a training was started with."""
    return Record("argparse.Namespace")


def _names() -> dict[str, Global]:
    build: dict[str, Callable[..., Any] | None] = {
        f"{PERSISTENT}._reconstruct_persistent_obj": persistent_object,
        TF_NETWORK: lambda: Record(TF_NETWORK),
        "collections.OrderedDict": ordered_dict,
        "dnnlib.util.EasyDict": empty_dict,
        "dnnlib.EasyDict": empty_dict,
        "argparse.Namespace": namespace,
        "_codecs.encode": encoded,
        "builtins.set": set_of,
        "__builtin__.set": set_of,
        "torch._utils._rebuild_tensor": rebuild_tensor,
        "torch._utils._rebuild_tensor_v2": rebuild_tensor,
        "torch._utils._rebuild_parameter": rebuild_parameter,
        "torch.nn.parameter.Parameter": rebuild_parameter,
        "torch.Size": size,
        "torch.device": lambda kind, *_: kind if isinstance(kind, str) else "?",
        "torch.storage._load_from_bytes": load_from_bytes,
        "numpy.dtype": DType,
        "numpy.ndarray": None,
    }
    for core in ("numpy.core", "numpy._core"):
        build[f"{core}.multiarray.scalar"] = scalar
        build[f"{core}.multiarray._reconstruct"] = Array
        build[f"{core}.numeric._frombuffer"] = frombuffer_array
    return {name: Global(name, function) for name, function in build.items()}


def _storage_types() -> dict[str, Any]:
    types = {f"{kind}Storage": dtype for kind, dtype in DTYPES.items()} | {"UntypedStorage": torch.uint8}
    places = ("torch", "torch.cuda", "torch.storage")
    return {f"{place}.{name}": StorageType(dtype) for place in places for name, dtype in types.items()}


def load_from_bytes(data: Any) -> Storage:
    """A storage inside a pickle: a PyTorch file of its own, which may not contain a further one."""
    if not isinstance(data, bytes):
        raise TypeError("a storage is not made of bytes")
    # A file may use the same bytes again and again: neither copies of them, nor much work.
    head, view = io.BytesIO(data[:INNER_HEAD]), memoryview(data)
    found = read_torch_stream(
        head, len(data), lambda at, n: view[at : at + n], "a storage in the file", INNER_NAMES, INNER_OPCODES
    )
    if not isinstance(found, Storage):
        raise TypeError("a storage in the file is something else")
    return found


NAMES: dict[str, Any] = {**_names(), **_storage_types()}
INNER_OPCODES = 200
"""A storage inside a pickle needs about 60 in all its pickles,"""
INNER_HEAD = 4096
"""and these have about 300 bytes."""
INNER_NAMES: dict[str, Any] = {k: v for k, v in NAMES.items() if k != "torch.storage._load_from_bytes"}

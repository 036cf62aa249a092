"""Pickles put together by hand, opcode by opcode: what no `pickle.dumps` would write.

Every function gives the bytes of opcodes that push one value, unless it says something else.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Iterable

PROTO = b"\x80\x04"
STOP = b"."
MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""The pickle that PyTorch's files of before 1.6 begin with."""

PERSISTENT = ("torch_utils.persistence", "_reconstruct_persistent_obj")
TF_NETWORK = ("dnnlib.tflib.network", "Network")
DTYPE = ("numpy", "dtype")
SCALAR = ("numpy.core.multiarray", "scalar")
RECONSTRUCT = ("numpy.core.multiarray", "_reconstruct")
REBUILD = ("torch._utils", "_rebuild_tensor_v2")
ARRAY_BYTES = ("numpy._core.numeric", "_frombuffer")
FROM_BYTES = ("torch.storage", "_load_from_bytes")


def whole(*parts: bytes) -> bytes:
    """A complete pickle."""
    return PROTO + b"".join(parts) + STOP


def text(value: str) -> bytes:
    data = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(data)) + data


def data(value: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(value)) + value


def number(value: int) -> bytes:
    raw = pickle.encode_long(value)
    return b"\x8b" + struct.pack("<i", len(raw)) + raw


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def put(i: int) -> bytes:
    """Remember the value on top; pushes nothing."""
    return b"r" + struct.pack("<I", i)


def get(i: int) -> bytes:
    return b"j" + struct.pack("<I", i)


def tuple_of(items: Iterable[bytes]) -> bytes:
    return b"(" + b"".join(items) + b"t"


def list_of(items: Iterable[bytes]) -> bytes:
    return b"(" + b"".join(items) + b"l"


def dict_of(items: Iterable[tuple[str, bytes]]) -> bytes:
    return b"}(" + b"".join(text(key) + value for key, value in items) + b"u"


def call(function: tuple[str, str], *arguments: bytes) -> bytes:
    return name(*function) + tuple_of(arguments) + b"R"


def record(state: bytes) -> bytes:
    """A module of NVIDIA's."""
    return call(PERSISTENT, dict_of([("class_name", text("Generator")), ("state", state)]))


def network(state: Iterable[tuple[str, bytes]]) -> bytes:
    """A network of the TensorFlow generation."""
    return name(*TF_NETWORK) + b")\x81" + dict_of(state) + b"b"


def storage_id(
    key: bytes = text("0"), count: bytes = number(4), view: bytes = b"N", kind: bytes = name("torch", "FloatStorage")
) -> bytes:
    return tuple_of([text("storage"), kind, key, text("cpu"), count, view])


def storage_file(
    object_: bytes | None = None, keys: bytes | None = None, values: bytes = struct.pack("<q", 4) + bytes(16)
) -> bytes:
    """A file of PyTorch before 1.6; normally one storage of four float32 zeros under the key "0"."""
    pickles = [whole(storage_id() + b"Q" if object_ is None else object_), whole(keys or list_of([text("0")]))]
    return MAGIC + whole(number(1001)) + whole(b"}") + b"".join(pickles) + values


def tensor(
    size: Iterable[int] = (4,), stride: Iterable[int] = (1,), offset: int = 0, storage: bytes | None = None
) -> bytes:
    """On `storage`, which is normally one of four numbers inside the pickle."""
    inside = call(FROM_BYTES, data(storage_file()))
    shape = (tuple_of(map(number, numbers)) for numbers in (size, stride))
    return call(REBUILD, storage or inside, number(offset), *shape, b"\x89", b"}")


def nested(depth: int, outermost: bytes = b"\x85") -> bytes:
    """((((...)))) of tuples with one item."""
    return b")" + outermost * depth

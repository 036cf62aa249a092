"""Small files that would take gigabytes or hours: all are refused within a limit of memory, in a process of its own.

Each was effective against a plain reader of pickles, or against this one before it had the bound that it has now.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hostile import zipped
from pickle_assembly import (
    ARRAY_BYTES,
    DTYPE,
    FROM_BYTES,
    MAGIC,
    PERSISTENT,
    call,
    data,
    dict_of,
    get,
    list_of,
    name,
    nested,
    network,
    number,
    put,
    record,
    storage_file,
    storage_id,
    tensor,
    text,
    tuple_of,
    whole,
)
from waiting import PATIENCE

MEGABYTES = 400
"""Of memory that all of them together may take beyond what Python and PyTorch need; each file has less than 20 MB."""
LIMIT = 2**31
"""Bytes that the process may have in addition, so that a failure of this test does not take the machine's."""
CHILD = """
import json, resource, sys
from contextlib import suppress
from pathlib import Path
from benchmark.checkpoints import convert, read_checkpoint
from benchmark.errors import WeightsError

def peak():  # since the last call, in KiB; getrusage's includes what the parent had before this program began
    (line,) = (one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith("VmHWM"))
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return int(line.split()[1])

peak()
before = peak()
has = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (has + int(sys.argv[2]), resource.RLIM_INFINITY))
messages = {}
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        convert(read_checkpoint(path), [], path.name)
    except WeightsError as error:
        messages[path.name] = str(error)
after = peak()
print(json.dumps({"messages": messages, "megabytes": (after - before) / 1024}))
"""


def repeated(function: tuple[str, str], times: int, *arguments: bytes) -> bytes:
    """The same call of the same arguments again and again, all results kept."""
    prepared = name(*function) + put(0) + b"0" + tuple_of(arguments) + put(1) + b"0"
    return whole(prepared + list_of([get(0) + get(1) + b"R"] * times))


def modules(leaf: bytes, count: int) -> bytes:
    """A network of `count` modules that are one."""
    children = dict_of([(f"m{i}", get(0)) for i in range(count)])
    return whole(leaf + put(0) + b"0" + dict_of([("G_ema", record(dict_of([("_modules", children)])))]))


def doubled(times: int) -> bytes:
    """A tuple of twice a tuple of twice ..."""
    return b")" + b"".join(put(i) + get(i) + b"\x86" for i in range(times))


def pairs(count: int) -> bytes:
    return list_of([tuple_of([text(f"{i}"), b"N"]) for i in range(count)])


def copies_of_storage() -> bytes:
    """Tensors of one number, each on a storage of its own, all from the same two megabytes."""
    count = 500_000
    values = struct.pack("<q", count) + bytes(4 * count)
    content = storage_file(storage_id(count=number(count)) + b"Q", values=values)
    prepared = name(*FROM_BYTES) + put(0) + b"0" + tuple_of([data(content)]) + put(1) + b"0"
    tensors = dict_of([(f"{i}", tensor([1], storage=get(0) + get(1) + b"R")) for i in range(3000)])
    return whole(prepared + dict_of([("G_ema", tensors)]))


def long_id(length: int) -> bytes:
    """A storage's id with an absurdly long view."""
    begin = [text("storage"), name("torch", "FloatStorage"), text("0"), text("cpu"), number(4)]
    return tuple_of([*begin, *[b"N"] * length])


def tensorflow_network(variables: bytes) -> bytes:
    return network([("version", number(4)), ("variables", variables), ("components", b"}")])


def tensorflow_of_one_array() -> bytes:
    """Many variables that are one array."""
    array = call(ARRAY_BYTES, data(bytes(4_000_000)), call(DTYPE, text("f4")), tuple_of([number(10**6)]), text("C"))
    variables = list_of([tuple_of([text(f"{i}"), get(0)]) for i in range(60)])
    return whole(array + put(0) + b"0" + tuple_of([tensorflow_network(variables)] * 3))


def zip_of_a_long_list() -> bytes:
    """A ZIP whose list has one entry many times."""
    content = zipped({"x/data.pkl": whole(b"}")})
    start, end = content.index(b"PK\x01\x02"), content.index(b"PK\x05\x06")
    listing = content[start:end] * 120_000
    tail = content[end : end + 12] + struct.pack("<II", len(listing), start) + content[end + 20 :]
    return content[:start] + listing + tail


def old_file(found: bytes, keys: bytes) -> bytes:
    return storage_file(found, list_of([keys]), b"")


ONE_TENSOR = tensor() + put(0) + b"0"
BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "sets": (lambda: whole(b"(" + b"\x8f" * 10**6 + b"l"), "more than 500,000 pickle opcodes"),
    "deep tuple": (lambda: whole(nested(120_000)), "holds a tuple"),
    "deep list": (lambda: whole(b"]" * 120_000 + b"a" * 119_999), "holds a list"),
    "doubled tuple": (lambda: whole(doubled(200)), "holds a tuple"),
    "deep records": (
        lambda: whole(b"}" + (put(0) + b"0" + record(dict_of([("a", get(0))]))) * 10_000),
        "holds no generator",
    ),
    "copied dicts": (
        lambda: repeated(("collections", "OrderedDict"), 10_000, pairs(50_000)),
        "64 MB of text and lists",
    ),
    "copied sets": (
        lambda: repeated(("builtins", "set"), 10_000, list_of([text(f"{i}") for i in range(50_000)])),
        "64 MB of text and lists",
    ),
    "a name of many parts": (lambda: whole(text("a" + ".Ā" * 6_600_000) + text("X") + b"\x93"), "call a.Ā.Ā"),
    "copied sizes": (lambda: repeated(("torch", "Size"), 10_000, list_of([b"N"] * 100_000)), "as PyTorch does"),
    "copied bytes": (
        lambda: repeated(("_codecs", "encode"), 10_000, text("a" * 2_000_000), text("latin1")),
        "64 MB of text and lists",
    ),
    "copied class names": (
        lambda: repeated(PERSISTENT, 10_000, dict_of([("class_name", text("a" * 10**6)), ("state", b"}")])),
        "holds a list",
    ),
    "storages read again": (lambda: repeated(FROM_BYTES, 30_000, data(storage_file())), "more than 20,000 calls"),
    "storages with much text": (
        lambda: repeated(FROM_BYTES, 20_000, data(MAGIC + whole(text("a" * 10**6)))),
        "a storage in the file cannot be read",
    ),
    "storages with much in them": (
        lambda: repeated(FROM_BYTES, 20_000, data(MAGIC + whole(b"N0" * 1000 + b"N"))),
        "a storage in the file has more than 200 pickle opcodes",
    ),
    "copied storages": (copies_of_storage, "a network of more than 256 MB"),
    "one tensor, many names": (
        lambda: whole(ONE_TENSOR + dict_of([("G_ema", dict_of([(f"{i}", get(0)) for i in range(100_000)]))])),
        "more than 10,000 tensors",
    ),
    "one module, many attributes": (
        lambda: modules(record(dict_of([(f"a{i}", b"N") for i in range(100_000)])), 900),
        "contain each other or are too many",
    ),
    "one module, many parameters": (
        lambda: modules(
            record(ONE_TENSOR + dict_of([("_parameters", dict_of([(f"{i}", get(0)) for i in range(4000)]))])), 900
        ),
        "contain each other or are too many",
    ),
    "one module, a long list": (
        lambda: modules(record(dict_of([("_non_persistent_buffers_set", list_of([b"N"] * 100_000))])), 900),
        "strange buffers",
    ),
    "storage id of great length": (
        lambda: storage_file(long_id(50_000) + put(0) + b"0" + list_of([get(0) + b"Q"] * 100_000)),
        "declared in a strange way",
    ),
    "key that nests": (lambda: old_file(storage_id() + b"Q", nested(200_000)), "lists other storages"),
    "key that doubles": (lambda: old_file(storage_id() + b"Q", doubled(200)), "lists other storages"),
    "memo indices that collide": (
        lambda: whole(b"N" + b"".join(b"p%d\n" % (i * (2**61 - 1)) for i in range(100_000))),
        "absurdly large memo index",
    ),
    "keys that collide": (
        lambda: whole(b"}(" + b"".join(number(i * (2**61 - 1)) + b"N" for i in range(1, 100_000)) + b"u"),
        "keys of text or whole numbers",
    ),
    "digits": (lambda: whole(b"I" + b"1" * 5_000_000 + b"\n"), "digits"),
    "digits of a float": (lambda: whole(b"F" + b"1" * 5_000_000 + b"\n"), "holds a float"),
    "long number": (lambda: whole(number(1 << 30_000_000)), "absurdly large number"),
    "TensorFlow variables": (tensorflow_of_one_array, "bytes of weights in a file of"),
    "ZIP with a long list": (zip_of_a_long_list, "list of entries"),
    "ZIP that unpacks": (
        lambda: zipped({"x/data.pkl": bytes(50_000_000)}, zipfile.ZIP_DEFLATED),
        "PyTorch does not compress",
    ),
}  # fmt: skip


@pytest.mark.slow(twin="tests/unit/checkpoints/test_hostile.py::test_a_pickle_that_does_something_strange")
@pytest.mark.skipif(sys.platform != "linux", reason="measures memory as Linux does")
def test_no_small_file_costs_much_memory_or_time(tmp_path: Path) -> None:
    for bomb, (build, _) in BOMBS.items():
        (tmp_path / bomb).write_bytes(build())
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path), str(LIMIT)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    messages = {bomb: str(found["messages"].get(bomb)) for bomb in BOMBS}
    assert not {bomb: messages[bomb] for bomb, (_, problem) in BOMBS.items() if problem not in messages[bomb]}
    assert found["megabytes"] < MEGABYTES

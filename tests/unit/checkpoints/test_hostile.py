"""Files made to harm: each known attack is refused in one line, runs nothing and leaves nothing behind.

Most files are made here, with `pickle_assembly` and `nvidia_pickle`; a few small ones lie in tests/data/hostile.
"""

from __future__ import annotations

import os
import pickle
import pickletools
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hostile import CFG, refusal, zipped
from nvidia_pickle import pickle_of
from pickle_assembly import (
    ARRAY_BYTES,
    DTYPE,
    FROM_BYTES,
    RECONSTRUCT,
    SCALAR,
    call,
    data,
    dict_of,
    get,
    list_of,
    name,
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

from benchmark.checkpoints import read_checkpoint
from benchmark.errors import WeightsError
from benchmark.stylegan2 import Nets

NAMES = [
    "os.system", "posix.system", "nt.system", "subprocess.Popen", "subprocess.check_output", "shutil.rmtree",
    "builtins.eval", "builtins.exec", "builtins.getattr", "builtins.open", "builtins.__import__", "builtins.print",
    "__builtin__.eval", "importlib.import_module", "runpy.run_path", "functools.partial", "operator.attrgetter",
    "pickle.loads", "torch.load", "torch.hub.load", "torch.serialization._load", "torch.storage.os.system",
    "torch._utils._rebuild_tensor_v2.__globals__", "collections.OrderedDict.fromkeys", "collections.namedtuple",
    "numpy.load", "numpy.core.multiarray._reconstruct.__class__", "numpy.testing._private.utils.runstring",
    "dnnlib.util.open_url", "torch_utils.persistence._src_to_module", "this.s", "antigravity.webbrowser", "a.",
]  # fmt: skip


@pytest.mark.parametrize("asked", NAMES)
@pytest.mark.parametrize("way", ["GLOBAL", "STACK_GLOBAL", "INST"])
def test_a_name_that_no_checkpoint_needs_is_refused_by_it(asked: str, way: str, tmp_path: Path) -> None:
    module, _, attribute = asked.rpartition(".")
    ways = {
        "GLOBAL": name(module, attribute),
        "STACK_GLOBAL": text(module) + text(attribute) + b"\x93",
        "INST": f"(i{module}\n{attribute}\n".encode(),
    }
    assert f"wants to call {asked}" in refusal(whole(ways[way] + b")R"), tmp_path)


def test_a_name_cannot_hide_in_escape_sequences_or_length(tmp_path: Path) -> None:
    odd = text("os\x1b[2K\r\n") + text("x" * 100_000) + b"\x93)R"
    assert "wants to call os?[2K??.xxx" in refusal(whole(odd), tmp_path)


CORPUS = sorted((Path(__file__).parents[2] / "data" / "hostile").glob("*.*"))


@pytest.mark.parametrize("file", CORPUS, ids=lambda file: file.name)
def test_the_corpus_is_refused(file: Path, tmp_path: Path) -> None:
    message = refusal(file.read_bytes(), tmp_path)
    if file.name.startswith("os_system"):
        assert "wants to call" in message and "os.system" in message


class Touch:
    """Pickled, it makes a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


PLACES: dict[str, Callable[[bytes], bytes]] = {
    "the file": lambda payload: payload,
    "a module": lambda payload: whole(record(dict_of([("_parameters", payload[2:-1])]))),
    "bytes of a storage": lambda payload: whole(call(FROM_BYTES, data(payload))),
    "a storage": lambda payload: whole(call(FROM_BYTES, data(storage_file(payload[2:-1])))),
    "a storage's key": lambda payload: storage_file(storage_id(key=payload[2:-1])),
    "an old PyTorch file": lambda payload: storage_file(payload[2:-1]),
    "a PyTorch file": lambda payload: zipped({"x/data.pkl": payload}),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_reducer_with_a_side_effect_has_none(place: str, tmp_path: Path) -> None:
    trace, folder = tmp_path / "trace", tmp_path / "import"
    folder.mkdir()
    payload = pickle.dumps(Touch(trace), protocol=2)
    assert f"wants to call {os.name}.system (os.system); refused" in refusal(PLACES[place](payload), folder)
    assert not trace.exists()
    pickle.loads(payload)
    assert trace.exists()  # it is as dangerous as it looks


def test_the_source_in_a_network_pickle_stays_a_text(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    file = tmp_path / "x.pkl"
    file.write_bytes(pickle_of(Nets.create(CFG, 0), protocol=2, source=f"open({str(trace)!r}, 'w')"))
    assert read_checkpoint(file).networks
    assert not trace.exists()


F4, F8 = (call(DTYPE, text(code)) for code in ("f4", "f8"))
PICKLES: dict[str, tuple[bytes, str]] = {
    "OBJ": (b"(" + name("collections", "OrderedDict") + b"o", "opcode OBJ"),
    "NEWOBJ_EX": (name("collections", "OrderedDict") + b")}\x92", "opcode NEWOBJ_EX"),
    "EXT1": (b"\x82\x01", "opcode EXT1"),
    "EXT2": (b"\x83\x01\x00", "opcode EXT2"),
    "EXT4": (b"\x84\x01\x00\x00\x00", "opcode EXT4"),
    "PERSID": (b"Pstorage\n", "opcode PERSID"),
    "BINPERSID": (storage_id() + b"Q", "refers to data outside itself"),
    "BYTEARRAY8": (b"\x96" + bytes(8), "opcode BYTEARRAY8"),
    "NEXT_BUFFER": (b"\x97", "opcode NEXT_BUFFER"),
    "READONLY_BUFFER": (b"N\x98", "opcode READONLY_BUFFER"),
    "FROZENSET": (b"(\x91", "opcode FROZENSET"),
    "DUP": (b"N2", "opcode DUP"),
    "INST of a name on the list": (b"(icollections\nOrderedDict\n", "makes an object as no checkpoint does"),
    "BUILD of a text": (text("x") + b"}b", "str takes no state"),
    "BUILD of a name": (name("numpy", "ndarray") + b"}b", "Global takes no state"),
    "BUILD of a tensor": (tensor() + b"}b", "LazyTensor takes no state"),
    "BUILD of a record with a list": (record(b"}") + b"]b", "is not a dict"),
    "BUILD of a dtype": (F4 + tuple_of([number(3), text("!")]) + b"b", "no valid byte order"),
    "call of what may only be named": (name("numpy", "ndarray") + b")R", "numpy.ndarray is not callable"),
    "call of a storage type": (name("torch", "FloatStorage") + b")R", "StorageType is not callable"),
    "call of a text": (text("eval") + b")R", "str is not callable"),
    "arguments in a list": (name("torch", "Size") + b"]R", "torch.Size is not callable"),
    "array of objects": (call(DTYPE, text("O8")), "not of plain numbers"),
    "array of another class": (call(RECONSTRUCT, name("os", "PathLike"), b")"), "wants to call os.PathLike"),
    "array beyond its bytes": (call(ARRAY_BYTES, data(b"1234"), F4, tuple_of([number(2**40)]), text("C")), "cannot"),
    "array of huge shape": (call(ARRAY_BYTES, data(b""), F4, tuple_of([number(2**62)] * 3), text("C")), "cannot"),
    "scalar without its bytes": (call(SCALAR, F8, data(b"1")), "cannot be read"),
    "bytes of a text that is none": (call(("_codecs", "encode"), number(1), text("latin1")), "strange way"),
    "bytes by another codec": (call(("_codecs", "encode"), text("x"), text("zlib_codec")), "strange way"),
    "storage inside a storage": (
        call(FROM_BYTES, data(storage_file(call(FROM_BYTES, data(storage_file()))))),
        "wants to call torch.storage._load_from_bytes",
    ),
    "stack too short": (b"0", "cannot be read"),
    "tuple of too few": (b"N\x87", "stack is too short"),
    "no mark": (text("x") + b"t", "a mark is missing"),
    "a mark as result": (b"(", "does not end as a pickle does"),
    "two results": (b"NN", "does not end as a pickle does"),
    "memo that was not written": (get(7), "cannot be read"),
    "memo of nothing": (put(7), "cannot be read"),
    "memo index below zero": (b"Np-1\n", "absurdly large memo index"),
    "memo index that hashes like others": (b"Np%d\n" % (2**61 - 1), "absurdly large memo index"),
    "dict keys of another kind": (b"}]Ns", "keys of text or whole numbers"),
    "dict keys that hash alike": (b"}" + number(2**61 - 1) + b"Ns", "keys of text or whole numbers"),
    "odd number of items": (b"}(Nu", "cannot be read"),
    "set of lists": (b"\x8f(]\x90", "a set may hold text only"),
    "number of a thousand digits": (number(10**1000), "absurdly large number"),
    "number of a million digits as text": (b"L" + b"1" * 10**6 + b"L\n", "cannot be read"),
    "text with a lie about its length": (b"\x8d" + struct.pack("<Q", 2**62), "ends in the middle"),
    "bytes with a lie about their length": (b"\x8e" + struct.pack("<Q", 2**62), "ends in the middle"),
    "text of negative length": (b"T" + struct.pack("<i", -1), "cannot be read"),
    "number of negative length": (b"\x8b" + struct.pack("<i", -1), "cannot be read"),
    "line without end": (b"c" + b"a" * 10**6, "ends in the middle of a line"),
    "nothing else": (b"N", "holds a NoneType"),
    "networks of numbers": (dict_of([("G_ema", number(1)), ("D", number(2))]), "holds no networks"),
    "networks of tensors": (dict_of([("G_ema", tensor())]), "no StyleGAN2 generator"),
}


@pytest.mark.parametrize("case", PICKLES)
def test_a_pickle_that_does_something_strange(case: str, tmp_path: Path) -> None:
    opcodes, problem = PICKLES[case]
    assert problem in refusal(whole(opcodes), tmp_path)


@pytest.mark.parametrize("before", [b"", b"N", b"(", b"}", b"]", b"(NN", text("x") + text("y"), b"}" + number(1)])
def test_every_opcode_with_every_kind_of_stack(before: bytes, tmp_path: Path) -> None:
    file = tmp_path / "x.pkl"
    for opcode in pickletools.opcodes:
        for argument in (bytes(16), b"\xff" * 16, b"1\n2\n", b"'\n"):
            file.write_bytes(whole(before + opcode.code.encode("latin1") + argument))
            with pytest.raises(WeightsError):
                read_checkpoint(file)


TENSORS: dict[str, tuple[dict[str, Any], str]] = {
    "longer than its storage": ({"size": [5]}, "declared on 4 stored numbers"),
    "beyond its storage": ({"offset": 1}, "declared on 4 stored numbers"),
    "one number a million times": ({"size": [10**6], "stride": [0]}, "declared on 4 stored numbers"),
    "huge": ({"size": [2**39, 2**39]}, "impossible shape"),
    "huge with strides": ({"size": [2, 2**39], "stride": [2**39, 1]}, "declared on 4 stored numbers"),
    "larger than any number": ({"size": [2**63], "stride": [0]}, "impossible shape"),
    "of negative size": ({"size": [-1]}, "impossible shape"),
    "of negative stride": ({"stride": [-1]}, "impossible shape"),
    "of negative offset": ({"offset": -1}, "impossible shape"),
    "of many dimensions": ({"size": [1] * 70, "stride": [1] * 70}, "impossible shape"),
    "without stride": ({"stride": []}, "impossible shape"),
    "on no storage": ({"storage": number(4)}, "not declared as PyTorch does"),
    "on a tensor": ({"storage": tensor()}, "not declared as PyTorch does"),
    "on damaged bytes": ({"storage": call(FROM_BYTES, data(b"\x80\x02."))}, "cannot be read"),
}


@pytest.mark.parametrize("case", TENSORS)
def test_a_tensor_that_is_not_there(case: str, tmp_path: Path) -> None:
    arguments, problem = TENSORS[case]
    assert problem in refusal(whole(dict_of([("a", tensor(**arguments))])), tmp_path)


LOOP = record(dict_of([("_modules", b"}" + put(1))])) + put(0) + b"0" + get(1) + text("a") + get(0) + b"s0" + get(0)
SHARED = record(dict_of([])) + b"".join(
    put(i) + b"0" + record(dict_of([("_modules", dict_of([("a", get(i)), ("b", get(i))]))])) for i in range(11)
)
MODULES: dict[str, tuple[bytes, str]] = {
    "contains itself": (LOOP, "contain each other or are too many"),
    "has two of two of two": (SHARED, "contain each other or are too many"),
    "modules that are a number": (record(dict_of([("_modules", number(7))])), "cannot be read"),
    "modules that are a list": (record(dict_of([("_modules", list_of([text("x")]))])), "that are no dict"),
    "parameters that are a text": (record(dict_of([("_parameters", text("weight"))])), "that are no dict"),
    "a module that is a tensor": (record(dict_of([("_modules", dict_of([("a", tensor())]))])), "a is not a module"),
    "buffers to leave out in a list": (record(dict_of([("_non_persistent_buffers_set", b"](Ne")])), "strange buffers"),
    "escape sequences in a name": (
        record(dict_of([("_parameters", dict_of([("\x1b[2J\n", tensor())]))])),
        "its names are like ?[2J?.",
    ),
    "a very long name": (
        record(dict_of([("_parameters", dict_of([("x" * 10**6, tensor())]))])),
        "refused: that is no name",
    ),
    "a name that is a number": (
        record(dict_of([("_parameters", b"}" + number(7) + tensor() + b"s")])),
        "refused: that is no name",
    ),
    "one tensor under one name twice": (
        record(
            dict_of(
                [
                    ("_parameters", dict_of([("a.w", tensor())])),
                    ("_modules", dict_of([("a", record(dict_of([("_parameters", dict_of([("w", tensor())]))])))])),
                ]
            )
        ),
        "a.w twice",
    ),
}


@pytest.mark.parametrize("case", MODULES)
def test_a_module_that_is_none(case: str, tmp_path: Path) -> None:
    module, problem = MODULES[case]
    assert problem in refusal(whole(dict_of([("G_ema", module)])), tmp_path)


def tf_network(variables: bytes, version: bytes = number(4)) -> bytes:
    return network([("version", version), ("variables", variables), ("components", b"}")])


CYCLE = network([("version", number(4)), ("variables", b"]"), ("components", b"}" + put(1))]) + put(0)
TENSORFLOW: dict[str, tuple[bytes, str]] = {
    "components in circles": (CYCLE + get(1) + text("a") + get(0) + b"s0", "components within components"),
    "version in words": (tf_network(b"]", text("four")), "no version"),
    "variables that are a dict": (tf_network(b"}"), "needs a list of variables"),
    "variables without values": (tf_network(list_of([text("ab\x1b")])), "no pairs of name and value"),
    "variable that is a class": (
        tf_network(list_of([tuple_of([text("a"), name("numpy", "ndarray")])])),
        "not an array",
    ),
    "variable with a strange name": (tf_network(list_of([tuple_of([text("\x1b[2J"), b"N"])])), r"'\x1b[2J'"),
    "no state": (name("dnnlib.tflib.network", "Network") + b")\x81", "no version"),
}


@pytest.mark.parametrize("case", TENSORFLOW)
def test_a_tensorflow_network_that_is_none(case: str, tmp_path: Path) -> None:
    first, problem = TENSORFLOW[case]
    assert problem in refusal(whole(tuple_of([first, tf_network(b"]"), tf_network(b"]")])), tmp_path)

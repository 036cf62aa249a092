"""A pickle interpreter that can build plain data and nothing else.

`pickle` calls whatever a file names. This stack machine knows only the opcodes that data needs. A name in the file is
looked up in a table of our own functions; a name that is not in the table is refused. Only a class of foreign code
becomes a `Foreign`, which keeps its name and nothing else: the reader of the file leaves it out or refuses it. Nothing
is imported and no attribute is followed, so a file has nothing to run. What a file can cost is bounded: opcodes, text,
the size of a single value; memory beyond that is what the file itself holds.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmark.checkpoints.damage import shown
from benchmark.checkpoints.foreign import Foreign, Stateful, is_foreign
from benchmark.errors import WeightsError

MAX_CALLS = 20_000
"""Names with arguments; a 1024 px network has about 5,000. Some take a hundred times as long as other opcodes."""
MAX_TEXT = 64 * 2**20
"""Bytes of all text and of the results of all calls, which can be repeated without end."""
MAX_BITS = 128
"""Of a whole number; PyTorch's magic number has 77."""
MAX_BYTES = 768 * 2**20
"""Of all values; the three networks of 1024 px have 360 MB."""
MAX_KEY = 2**61 - 1
"""Below this all integers hash differently, so that no file can make a dict quadratic."""


@dataclass(frozen=True)
class Global:
    """A name that a file may use; `build` makes inert data of its arguments (None: it may be named, not called)."""

    name: str
    build: Callable[..., Any] | None = None


class Mark:
    """Where the arguments of a later opcode begin."""


MARK = Mark()


class Machine:
    """Stack and memo of one pickle."""

    def __init__(self, names: Mapping[str, Any], where: str, persistent: Callable[[Any], Any] | None) -> None:
        self.names, self.where, self.persistent = names, where, persistent
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.text = self.bytes = self.calls = 0
        self.done = False

    def step(self, opcode: str, argument: Any) -> None:
        """Run one opcode."""
        if opcode in IGNORED:
            return
        if opcode in VALUES:
            if isinstance(argument, str):
                self.count_text(argument)
            elif isinstance(argument, bytes):
                self.count_bytes(argument)
            elif isinstance(argument, int) and argument.bit_length() > MAX_BITS:
                raise ValueError("it has an absurdly large number")
            self.stack.append(argument)
        elif opcode in CONSTANTS:
            self.stack.append(CONSTANTS[opcode]())
        elif opcode in MEMO_PUT:
            if not 0 <= argument < MAX_KEY:
                raise ValueError("it has an absurdly large memo index")
            self.memo[argument] = self.stack[-1]
        elif opcode in MEMO_GET:
            self.stack.append(self.memo[argument])
        elif opcode in ACTIONS:
            ACTIONS[opcode](self, argument)
        else:
            raise WeightsError(f"{self.where} uses the pickle opcode {opcode}; refused: no checkpoint needs it.")

    def result(self) -> Any:
        """The value that is left."""
        if not self.done or len(self.stack) != 1 or self.stack[0] is MARK:
            raise ValueError("it does not end as a pickle does")
        return self.stack[0]

    def count_bytes(self, value: bytes) -> None:
        """Bound the data of tensors."""
        self.bytes += len(value)
        if self.bytes > MAX_BYTES:
            raise WeightsError(f"{self.where} holds more than {MAX_BYTES >> 20} MB of weights; no StyleGAN2 does.")

    def count_text(self, value: Any) -> None:
        """Bound what texts and the results of calls need in memory."""
        self.text += sys.getsizeof(value)
        if self.text > MAX_TEXT:
            raise WeightsError(f"{self.where} makes more than {MAX_TEXT >> 20} MB of text and lists; refused.")

    def pop_to_mark(self) -> list[Any]:
        """What was pushed since the last mark."""
        at = len(self.stack) - 1
        while self.stack[at] is not MARK:
            at -= 1
            if at < 0:
                raise LookupError("a mark is missing")
        items = self.stack[at + 1 :]
        del self.stack[at:]
        return items

    def memoize(self, _: None) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def stop(self, _: None) -> None:
        self.done = True

    def mark(self, _: None) -> None:
        self.stack.append(MARK)

    def pop(self, _: None) -> None:
        self.stack.pop()

    def pop_mark(self, _: None) -> None:
        self.pop_to_mark()

    def tuple_of(self, n: int) -> None:
        """The last n values as a tuple."""
        if len(self.stack) < n:
            raise LookupError("the stack is too short")
        items = tuple(self.stack[len(self.stack) - n :])
        del self.stack[len(self.stack) - n :]
        self.stack.append(items)

    def tuple_to_mark(self, _: None) -> None:
        self.stack.append(tuple(self.pop_to_mark()))

    def list_to_mark(self, _: None) -> None:
        self.stack.append(self.pop_to_mark())

    def dict_to_mark(self, _: None) -> None:
        items = self.pop_to_mark()
        self.stack.append({})
        self.set_items_of(items)

    def append(self, _: None) -> None:
        value = self.stack.pop()
        if not isinstance(self.stack[-1], Foreign):
            self.top(list).append(value)

    def appends(self, _: None) -> None:
        items = self.pop_to_mark()
        if not isinstance(self.stack[-1], Foreign):
            self.top(list).extend(items)

    def add_items(self, _: None) -> None:
        items = self.pop_to_mark()
        if not all(isinstance(item, str) for item in items):
            raise TypeError("a set may hold text only")
        self.top(set).update(items)

    def set_item(self, _: None) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.set_items_of([key, value])

    def set_items(self, _: None) -> None:
        self.set_items_of(self.pop_to_mark())

    def set_items_of(self, items: list[Any]) -> None:
        """key, value, key, value ... into the dict on top of the stack."""
        if isinstance(self.stack[-1], Foreign):
            return
        target = self.top(dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not (isinstance(key, str) or (isinstance(key, int) and abs(key) < MAX_KEY)):
                raise TypeError(f"a dict may have keys of text or whole numbers, not {type(key).__name__}")
            target[key] = value

    def top(self, kind: type) -> Any:
        """The value on top, which must be of this kind."""
        if type(self.stack[-1]) is not kind:
            raise TypeError(f"expected a {kind.__name__}, found {type(self.stack[-1]).__name__}")
        return self.stack[-1]

    def global_(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self.push_global(module, name)

    def stack_global(self, _: None) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if not (isinstance(name, str) and isinstance(module, str)):
            raise TypeError("a name must be text")
        self.push_global(module, name)

    def instance(self, argument: str) -> None:
        """The oldest way to make an object; refused by the object's name where that is not on the list."""
        self.global_(argument)
        raise TypeError("it makes an object as no checkpoint does")

    def push_global(self, module: str, name: str) -> None:
        """Look a name up; this is where everything that is not on the list ends."""
        found = self.names.get(f"{module}.{name}")
        if found is None and is_foreign(module, name):
            found = Foreign(f"{module}.{name}")
        if found is None:
            asked = shown(f"{module}.{name}", 120)
            if module in ("posix", "nt"):  # how pickle writes the functions of os
                asked += shown(f" (os.{name})", 120)
            raise WeightsError(
                f"{self.where} wants to call {asked}; refused: no checkpoint needs that. Nothing in it was run."
            )
        self.stack.append(found)

    def reduce(self, _: None) -> None:
        """A name and its arguments become data."""
        arguments, function = self.stack.pop(), self.stack.pop()
        if isinstance(function, Foreign) and function.is_class and type(arguments) is tuple:
            function = Global(function.name, function.instance)
        if not isinstance(function, Global) or function.build is None or type(arguments) is not tuple:
            raise TypeError(f"{shown(getattr(function, 'name', type(function).__name__), 120)} is not callable")
        self.calls += 1
        if self.calls > MAX_CALLS:
            raise WeightsError(f"{self.where} has more than {MAX_CALLS:,} calls; no network needs that.")
        made = function.build(*arguments)
        self.count_text(made)
        self.stack.append(made)

    def build(self, _: None) -> None:
        """State for the value on top. Of a dict it would be attributes (PyTorch's `_metadata`): not needed."""
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, dict) and isinstance(state, dict):
            return
        if not isinstance(target, Stateful):
            raise TypeError(f"{type(target).__name__} takes no state")
        target.set_state(state)

    def persistent_id(self, _: None) -> None:
        if self.persistent is None:
            raise TypeError("it refers to data outside itself")
        self.stack.append(self.persistent(self.stack.pop()))


IGNORED = {"PROTO", "FRAME"}
VALUES = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8",
    "SHORT_BINBYTES", "BINBYTES", "BINBYTES8",
}  # fmt: skip
CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_SET": set,
}
MEMO_PUT = {"PUT", "BINPUT", "LONG_BINPUT"}
MEMO_GET = {"GET", "BINGET", "LONG_BINGET"}
ACTIONS: dict[str, Callable[[Machine, Any], None]] = {
    "MEMOIZE": Machine.memoize,
    "STOP": Machine.stop,
    "MARK": Machine.mark,
    "POP": Machine.pop,
    "POP_MARK": Machine.pop_mark,
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    "TUPLE": Machine.tuple_to_mark,
    "LIST": Machine.list_to_mark,
    "DICT": Machine.dict_to_mark,
    "APPEND": Machine.append,
    "APPENDS": Machine.appends,
    "ADDITEMS": Machine.add_items,
    "SETITEM": Machine.set_item,
    "SETITEMS": Machine.set_items,
    "GLOBAL": Machine.global_,
    "INST": Machine.instance,
    "STACK_GLOBAL": Machine.stack_global,
    "REDUCE": Machine.reduce,
    "NEWOBJ": Machine.reduce,
    "BUILD": Machine.build,
    "BINPERSID": Machine.persistent_id,
}

"""A reader of one pickle: its opcodes, one after the other, for the machine."""

from __future__ import annotations

import pickletools
import time
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from benchmark.checkpoints.damage import DAMAGE, unreadable
from benchmark.checkpoints.machine import MAX_TEXT, Machine
from benchmark.errors import WeightsError

MAX_OPCODES = 500_000
"""A 1024 px network with its optimisers has about 50,000."""
MAX_SECONDS, EVERY = 10, 100
"""Of the processor for one pickle, looked at after so many opcodes; that of a 1024 px network takes less than one."""
MAX_VALUE = 128 * 2**20
"""Bytes of one value; the largest tensor of a StyleGAN2 has 17 MB."""


class Bounded:
    """The readable part of a file, as `pickletools` asks for it; never allocates more than there is to read."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        here = file.tell()
        self.end = file.seek(0, 2)
        file.seek(here)

    def read(self, n: int) -> bytes:
        if n > min(self.end - self.file.tell(), MAX_VALUE):
            raise EOFError("it ends in the middle of a value")
        return self.file.read(n)

    def readline(self) -> bytes:
        line = self.file.readline(MAX_TEXT)
        if not line.endswith(b"\n"):
            raise EOFError("it ends in the middle of a line")
        return line

    def tell(self) -> int:
        return self.file.tell()


def read_pickle(
    file: BinaryIO,
    names: Mapping[str, Any],
    where: str,
    persistent: Callable[[Any], Any] | None = None,
    most: int = MAX_OPCODES,
) -> Any:
    """One pickle of at most `most` opcodes from `file`, which is left behind its end; `where` names it in messages.

    `names` maps "module.name" to what it becomes. `persistent` makes data of a persistent id (None: refused).
    Raises WeightsError for every name outside `names`, and where the file is damaged or asks for too much.
    """
    machine, begun = Machine(names, where, persistent), time.thread_time()
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(Bounded(file))):  # type: ignore[arg-type]
            if count % EVERY == 0 and time.thread_time() - begun > MAX_SECONDS:
                raise WeightsError(f"{where} keeps the reader busy for more than {MAX_SECONDS} s; no network does.")
            if count >= most:
                raise WeightsError(f"{where} has more than {most:,} pickle opcodes; no network needs that.")
            machine.step(opcode.name, argument)
        return machine.result()
    except DAMAGE as error:
        raise unreadable(where, error) from None

"""Methods that break their process in every way that a method can."""

import ctypes
import os
import time
from pathlib import Path

import torch
from torch import Tensor

from benchmark.api import GeneratorStep, Method


class Raises(Method):
    """An error in Python."""

    name = "raises"
    paper = "none"

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        print("about to divide")
        raise ZeroDivisionError("by nothing at all")


class Hangs(Method):
    """No end."""

    name = "hangs"
    paper = "none"

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        while True:
            time.sleep(0.05)


class Leaves(Method):
    """The end of the process, without a word."""

    name = "leaves"
    paper = "none"

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        os._exit(7)


class Segfaults(Method):
    """A crash below Python."""

    name = "segfaults"
    paper = "none"

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        ctypes.string_at(0)
        return {}


class Leaks(Method):
    """More memory in every step."""

    name = "leaks"
    paper = "none"

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        held = []
        while True:
            held.append(torch.ones(64 * 2**20))  # 256 MB
            time.sleep(0.02)


class TooLarge(Method):
    """A batch that fits only in parts, as on a small GPU."""

    name = "too_large"
    paper = "none"

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        if len(step.z) > 4:
            raise torch.OutOfMemoryError("no room for more than 4 images")
        return {}


class Fills(Method):
    """A file larger than allowed: the disk is full."""

    name = "fills"
    paper = "none"

    def prepare(self, nets: object, reals: object, rng: object) -> None:
        with Path("/dev/full").open("wb", buffering=0) as disk:
            disk.write(b"0" * 4096)

"""Methods that break their process in every way that a method can."""

import ctypes
import os
import signal
import subprocess
import time
from pathlib import Path

import torch
from torch import Tensor

from benchmark.api import Control, Generator, GeneratorStep, Method


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
    """2 GB more than it was given, until somebody ends it; no more, so that it is safe to look late."""

    name = "leaks"
    paper = "none"

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        held = []
        while True:
            if len(held) < 32:
                held.append(torch.ones(16 * 2**20))  # 64 MB
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


class ChangesSource(Method):
    """A copy forgotten: the source is another one for whoever comes next in the process."""

    name = "changes_source"
    paper = "none"

    def finalize(self, source: Generator, adapted: Generator, control: Control) -> Generator:
        with torch.no_grad():
            for p in source.parameters():
                p.add_(0.01)
        return adapted


class ReplacesTorch(Method):
    """Another function where torch's was, other settings, another folder."""

    name = "replaces_torch"
    paper = "none"

    def finalize(self, source: Generator, adapted: Generator, control: Control) -> Generator:
        torch.nn.functional.softplus = torch.nn.functional.relu
        torch.nn.functional.leaky_relu = torch.nn.functional.relu
        os.chdir("/")
        os.environ["TORCH_HOME"] = "/nowhere"
        return adapted

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        torch.set_grad_enabled(True)
        return {}


class DefaultDouble(Method):
    """Numbers of another type by default."""

    name = "default_double"
    paper = "none"

    def finalize(self, source: Generator, adapted: Generator, control: Control) -> Generator:
        torch.set_default_dtype(torch.float64)
        return adapted


class StartsChildren(Method):
    """Processes that nobody ends: one of its group, one in a session of its own."""

    name = "starts_children"
    paper = "none"

    def finalize(self, source: Generator, adapted: Generator, control: Control) -> Generator:
        for alone in (False, True):
            subprocess.Popen(["sleep", "777.25"], start_new_session=alone)
        return adapted


class Deaf(Method):
    """Does not listen to signals, and does not end."""

    name = "deaf"
    paper = "none"

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        subprocess.Popen(["sleep", "777.25"])
        Path("deaf").touch()
        while True:
            time.sleep(0.05)

"""What tests of engines share: a small run, and what its records say but for times and the machine."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import forked
from waiting import PATIENCE

SMALL = (
    *("run", "--suite", "smoke", "--domains", "toy-rings", "--threads", "1"),
    *("--set", "eval.samples=8", "--set", "eval.pairs=4", "--set", "eval.metrics=[kid_randconv]"),
    *("--set", "train.checkpoint_minutes=0", "--set", "train.tick_kimg=0.008"),
)


def records(out: Path) -> dict[str, Any]:
    """What the records say, but for times and the machine."""
    found = {}
    for path in (out / "records").glob("*.json"):
        found[path.stem] = json.loads(path.read_text("utf-8"))
        del found[path.stem]["timing"], found[path.stem]["environment"]
    return found


def command(
    arguments: tuple[str, ...], folder: Path, variables: Mapping[str, str], seconds: float = PATIENCE
) -> subprocess.CompletedProcess[str]:
    """`python -m benchmark ...` to its end."""
    return subprocess.CompletedProcess(arguments, *forked.run(arguments, folder, variables, seconds))


def until(true: Callable[[], Any], seconds: float = PATIENCE) -> None:
    """Return when `true`; TimeoutError after so many seconds."""
    limit = time.monotonic() + seconds
    while not true():
        if time.monotonic() > limit:
            raise TimeoutError
        time.sleep(0.1)

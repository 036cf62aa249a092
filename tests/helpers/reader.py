"""Somebody who reads a page of the documentation and does what its blocks say."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import forked
from waiting import PATIENCE

BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class User:
    """Somebody's folder, and where pip puts what they install, or where the checkout is."""

    folder: Path
    site: Path
    cache: Path

    def does(self, command: str, *further: str) -> str:
        """What a shell command prints, with `further` arguments; it has to succeed."""
        words = [*shlex.split(command), *further]
        if words[:2] == ["pip", "install"]:  # real wheels, but nothing from the network
            offline = ("--no-deps", "--no-index", "--no-build-isolation", "--no-warn-script-location", "--quiet")
            words = ["python", "-m", "pip", "install", *offline, "--target", str(self.site), *words[2:]]
        plain = {"PYTHONPATH": str(self.site), "BENCHMARK_CACHE": str(self.cache), "COLUMNS": "200"}
        if words[:3] == ["python", "-m", "benchmark"]:
            code, out, err = forked.run(words[3:], self.folder, os.environ | plain, PATIENCE)
            assert code == 0, f"{command}\n{out}\n{err}"
            return out
        if words[0] == "python":
            words[0] = sys.executable
        done = subprocess.run(
            words, cwd=self.folder, env=os.environ | plain, capture_output=True, text=True, timeout=PATIENCE
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout


def commands(language: str, text: str) -> list[str]:
    """The lines of a block that are to be executed; a backslash at the end joins the next one."""
    return text.replace("\\\n", " ").splitlines() if language == "bash" else []

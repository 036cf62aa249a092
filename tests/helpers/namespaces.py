"""Shell scripts that mount file systems which nobody else sees, where the system allows it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from command_line import Done, environment
from waiting import PATIENCE


def in_namespace(script: str, folder: Path, cache: Path, arguments: Sequence[str] = ()) -> Done:
    """A script for sh, in a folder; `$PYTHON` is this Python and `"$@"` are the arguments."""
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec", script, "sh", *arguments]
    variables = environment(cache) | {"PYTHON": sys.executable}
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=variables, timeout=PATIENCE)
    return Done(done.returncode, done.stdout, done.stderr)


def may_mount(folder: Path) -> bool:
    """Whether this user may mount a file system of a given size."""
    probe = "mkdir m && mount -t tmpfs x m && umount m && rmdir m"
    return shutil.which("unshare") is not None and in_namespace(probe, folder, folder).code == 0

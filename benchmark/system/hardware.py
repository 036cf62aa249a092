"""Facts about the machine: devices, precision, threads, and the environment of a record."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

DISTRIBUTION = "stylegan-transfer-benchmark"


def prepare_torch(threads: int | None = None) -> None:
    """Use `threads` CPU threads (None: PyTorch's choice, all cores) and treat denormal numbers as zero.

    Vanishing gradients are full of denormals, and each costs a CPU many cycles.
    """
    torch.set_flush_denormal(True)
    if threads is not None:
        torch.set_num_threads(threads)


@contextlib.contextmanager
def cuda_arithmetic(tf32: bool, benchmark: bool, deterministic: bool = False) -> Iterator[None]:
    """Whether GPUs may use TF32, and how cuDNN chooses its kernels; as before afterwards, without effect on a CPU."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = tf32
    try:
        with torch.backends.cudnn.flags(
            enabled=True, benchmark=benchmark, deterministic=deterministic, allow_tf32=tf32
        ):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def pick_device(wanted: str) -> str:
    """ "auto" -> "cuda" where there is one, else "cpu"."""
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return wanted


def pick_precision(wanted: str, device: str) -> str:
    """ "auto" -> "bf16" where the processor multiplies it natively, else "fp32"."""
    if wanted != "auto":
        return wanted
    if device.startswith("cuda"):
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if {"avx512_bf16", "amx_bf16"} & _cpu_flags() else "fp32"


def _cpu_info() -> dict[str, str]:
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").split("\n\n")[0].splitlines()
        return {k.strip(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
    return {}


def _cpu_flags() -> set[str]:
    return set(_cpu_info().get("flags", "").split())


def device_name(device: str) -> str:
    """The accelerator's or processor's name."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"CPU {_cpu_info().get('model name') or platform.processor() or platform.machine()}"


def environment(device: str) -> dict[str, Any]:
    """The record's environment: machine, software and command; no host names, no users, no variables."""
    return {
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "package": _version(),
        **_commit(),
        "dependencies": _dependencies(),
        "command": command_line(sys.argv),
    }


def circumstances(device: str) -> dict[str, str | float]:
    """When a job began, and how busy the machine was then: who shared it got other times than who had it alone."""
    found: dict[str, str | float] = {"started": now()}
    with contextlib.suppress(OSError, AttributeError):  # not on every system
        found["load_at_start"] = round(os.getloadavg()[0], 2)
    if device.startswith("cuda"):
        free, total = torch.cuda.mem_get_info(device)
        found["device_memory_in_use_at_start_mb"] = round((total - free) / 2**20)
    return found


def now() -> str:
    """The time, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def command_line(arguments: Sequence[str]) -> str:
    """The command as one would type it, with the home folder as ~ and bytes that are no UTF-8 as ``\\udce9``."""
    home = str(Path.home()).rstrip("/")
    words = [re.sub(rf"(?<![\w.-]){re.escape(home)}(?=/|,|$)", "~", word) if home else word for word in arguments[1:]]
    shown = [word.encode("utf-8", "backslashreplace").decode() for word in words]
    return " ".join(["python -m benchmark", *map(shlex.quote, shown)])


def _dependencies() -> dict[str, str]:
    """Versions of what the suite requires."""
    found = {}
    for line in _requirements():
        with contextlib.suppress(metadata.PackageNotFoundError):
            name = re.split(r"[^\w.-]", line, maxsplit=1)[0]
            found[name] = metadata.version(name)
    return dict(sorted(found.items()))


def _requirements() -> list[str]:
    """Of the distribution, or of a checkout that is not installed."""
    try:
        return [line for line in metadata.requires(DISTRIBUTION) or () if "extra ==" not in line]
    except metadata.PackageNotFoundError:
        project = Path(__file__).parents[2] / "pyproject.toml"
        return tomllib.loads(project.read_text("utf-8"))["project"]["dependencies"] if project.is_file() else []


def _version() -> str:
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return "checkout"


def _commit() -> dict[str, str | bool]:
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return {}

    def git(*words: str) -> str:
        command = ["git", "-C", str(root), *words]
        found = subprocess.run(command, capture_output=True, timeout=10, check=True)
        return found.stdout.decode("utf-8", "replace").strip()

    try:
        return {
            "commit": git("rev-parse", "--short=12", "HEAD"),
            "dirty": bool(git("status", "--porcelain", "--untracked-files=no")),
        }
    except (OSError, subprocess.SubprocessError):
        return {}


def reset_peak_memory(device: str) -> None:
    """Start a new measurement for `peak_memory_mb`."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with contextlib.suppress(OSError):  # Linux only; elsewhere there is no measurement
            Path("/proc/self/clear_refs").write_text("5", "ascii")


def peak_memory_mb(device: str) -> float | None:
    """Peak of allocated (GPU) or resident (Linux CPU) memory since the reset; None where it is not measured."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device) / 2**20
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/status").read_text("utf-8", "replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return None

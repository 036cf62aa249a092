"""Process settings that make PyTorch fast on a CPU. They must be set before torch is imported, and only here."""

from __future__ import annotations

import ctypes
import os
import platform

from benchmark.errors import ConfigError

M_MMAP_THRESHOLD_MAX, M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = 2**31 - 1, -1, -2, -4


def prepare_process() -> None:
    """Let OpenMP threads spin only briefly while they wait, and keep freed memory.

    Threads that spin for long are ruinous as soon as a core is shared; threads that sleep at once lose more time waking
    up than the small operations of a 64 px network take (measured on two cores: 21.7 s/kimg with a short spin, 26.2
    with a long one, 37.2 with none). glibc gives blocks over 32 MiB back at once, so that each operation pays page
    faults for its output. The environment overrides both: OMP_WAIT_POLICY or GOMP_SPINCOUNT, MALLOC_TRIM_THRESHOLD_.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "30000")
    if platform.libc_ver()[0] == "glibc" and "MALLOC_TRIM_THRESHOLD_" not in os.environ:
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, M_MMAP_THRESHOLD_MAX)
        libc.mallopt(M_TOP_PAD, 64 << 20)


def require_one_process() -> None:
    """ConfigError where this is one of several processes that a launcher started: each would do all jobs."""
    size = os.environ.get("WORLD_SIZE", "")
    if size.isdecimal() and int(size) > 1:
        raise ConfigError(
            f"run was started as one of {size} processes (WORLD_SIZE, as torchrun sets it), and each would do all of "
            f"the jobs: start it once, with --ranks-per-job {size} to train each job by so many processes, or with "
            f"--jobs {size} for so many jobs at a time. Of the commands only `sources train` takes torchrun."
        )

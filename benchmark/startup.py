"""Process settings that make PyTorch fast on a CPU. They have to be made before torch is imported, and only here."""

from __future__ import annotations

import ctypes
import os
import platform

M_MMAP_THRESHOLD_MAX, M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = 2**31 - 1, -1, -2, -4


def prepare_process() -> None:
    """Let OpenMP threads sleep while they wait, and keep freed memory.

    Spinning threads are ruinous as soon as a core is shared; glibc gives blocks over 32 MiB back at once, so that each operation pays page
    faults for its output (a third of a training step). Both can be overridden by the environment (OMP_WAIT_POLICY, MALLOC_TRIM_THRESHOLD_).
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if platform.libc_ver()[0] == "glibc" and "MALLOC_TRIM_THRESHOLD_" not in os.environ:
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, M_MMAP_THRESHOLD_MAX)
        libc.mallopt(M_TOP_PAD, 64 << 20)

"""What every test may count on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def ordinary_arithmetic() -> Iterator[None]:
    """A run within this process sets torch up for itself; the next test gets it as it was.

    Denormals are not flushed: hypothesis refuses that. For each test anew, since wider fixtures may run things, too.
    """
    torch.set_flush_denormal(False)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)

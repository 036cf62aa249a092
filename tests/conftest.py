"""What every test may count on."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True)
def ordinary_floats() -> None:
    """A run before this test, in this process, may have set the processor to flush denormals; hypothesis refuses that.

    For each test anew, since fixtures of a wider scope may run things, too.
    """
    torch.set_flush_denormal(False)

"""What the tests of hostile checkpoints share."""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from benchmark.config import NetConfig
from benchmark.errors import WeightsError
from benchmark.sources.importing import import_source

CFG = NetConfig(resolution=8, z_dim=4, w_dim=4, mapping_layers=1, channel_base=16, channel_max=2)
LONGEST_MESSAGE = 20_000
"""Two hundred names; the strict loader lists what does not fit."""
CODE = {"torch_utils", "dnnlib", "legacy", "this", "antigravity"}
"""Modules that files name and nobody may import."""


def refusal(content: bytes, folder: Path) -> str:
    """What an import says to these bytes; it has to be one printable line, and to leave nothing behind."""
    file = folder / "x.bin"
    file.write_bytes(content)
    with pytest.raises(WeightsError) as caught:
        import_source(file, "x", folder / "cache")
    message = str(caught.value)
    assert message.isprintable() and len(message) <= LONGEST_MESSAGE
    assert list(folder.iterdir()) == [file]
    assert not CODE & sys.modules.keys()
    return message


def zipped(entries: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """A ZIP with these entries."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for entry, content in entries.items():
            archive.writestr(entry, content)
    return file.getvalue()

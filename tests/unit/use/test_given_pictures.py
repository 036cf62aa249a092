"""Pictures that people give: what cannot be used is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.errors import DataError
from benchmark.use.demo import uploaded
from benchmark.use.translate import as_picture

PX = 32


def test_an_upload_that_was_removed_is_asked_for_again(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="upload it again"):
        uploaded(str(tmp_path / "gone.png"), PX)


def test_numbers_of_32_bits_have_a_known_range_only_where_a_file_says_it(tmp_path: Path) -> None:
    """From 0 to 255 they would be nearly black as the 16 bits that they may be."""
    grey = np.full((PX, PX), 200)
    with pytest.raises(DataError, match="32-bit pixels have no known range; save them as unsigned ones"):
        as_picture(Image.fromarray(grey.astype(np.int32)), PX)
    wide = Image.fromarray((grey * 257).astype(np.uint16))
    wide.save(tmp_path / "wide.png")
    (tmp_path / "wide.pgm").write_bytes(b"P5 %d %d 65535 " % (PX, PX) + (grey * 257).astype(">u2").tobytes())
    with Image.open(tmp_path / "wide.png") as png, Image.open(tmp_path / "wide.pgm") as pgm:
        assert pgm.mode == "I"
        for image in (wide, png, pgm, Image.fromarray(grey.astype(np.uint8))):
            assert (as_picture(image, PX) == 200).all()

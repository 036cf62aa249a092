"""How pictures become pixels is versioned: what was kept of them is made again when that changes."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from image_files import folder_of, noise
from PIL import Image

from benchmark.domains import Domain, load_domain
from benchmark.domains.pictures.pixels import VERSION, to_square

PX = 16
TREATED = {3: "02da9ef607be7ec12378a8c2127147c5d67ff6db87bc77a2b4330705aa94e925"}
"""Sha256 of the treated pictures by version of the treatment; version 2 differed in faces that are cut out alone."""


def few_bits(bits: int) -> bytes:
    """A grey PNG of 1, 2 or 4 bits, of which the value 1 is transparent; Pillow writes none."""
    values, per = noise(bits, PX)[..., 0] >> (8 - bits), 8 // bits
    packed = sum(values[:, n::per] << (8 - bits * (n + 1)) for n in range(per))
    rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in np.asarray(packed, np.uint8)))
    head = struct.pack(">IIBBBBB", PX, PX, bits, 0, 0, 0, 0)
    chunks = (b"IHDR", head), (b"tRNS", b"\0\1"), (b"IDAT", rows), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def files() -> Iterator[bytes]:
    """A picture of each kind that is treated in a way of its own, none of them resized or packed with loss."""
    yield from map(few_bits, (1, 2, 4))
    colours = Image.fromarray(noise(0, PX))
    alpha = Image.fromarray(noise(1, PX)[..., 0])
    wide = Image.fromarray(noise(2, PX)[..., 0].astype(np.uint16) * 200)
    turned = Image.Exif()
    turned[0x0112] = 6
    palette = Image.fromarray(noise(3, PX)[..., 0] % 4)
    palette.putpalette(list(range(20, 32)))
    for image, form, how in (
        (colours, "PNG", {"exif": turned}),
        (Image.fromarray(noise(4, PX, 2 * PX)), "PNG", {}),
        (Image.merge("RGBA", (*colours.split(), alpha)), "PNG", {}),
        (Image.merge("LA", (colours.split()[0], alpha)), "PNG", {}),
        (colours, "PNG", {"transparency": colours.getpixel((3, 3))}),
        (palette, "PNG", {"transparency": 2}),
        (palette, "GIF", {"transparency": 1}),
        (wide, "PNG", {}),
        (wide, "PNG", {"transparency": int(np.asarray(wide)[0, 0])}),
        (wide, "TIFF", {}),
        (colours.convert("CMYK"), "TIFF", {}),
        (alpha.convert("1"), "PNG", {}),
    ):
        stream = io.BytesIO()
        image.save(stream, form, **how)
        yield stream.getvalue()


def test_another_treatment_of_pixels_is_another_version() -> None:
    state = hashlib.sha256()
    for file in files():
        state.update(to_square(Image.open(io.BytesIO(file)), PX).tobytes())
    assert {VERSION: state.hexdigest()} == TREATED, "pixels changed: raise VERSION in pixels.py, and store this hash"


def load(name: str, cache: Path) -> Domain:
    return load_domain(name, PX, 4, 4, cache)


def kept(cache: Path) -> dict[str, int]:
    """Entries of the cache by domain."""
    return dict(Counter(path.name.split(f"-{PX}px")[0] for path in cache.glob("*.npy")))


def test_pictures_of_users_that_were_kept_are_made_again_and_drawings_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Digests are of pixels: where these are the same, so are the keys of results."""
    mine, cache = str(folder_of(tmp_path / "mine", map(noise, range(8)))), tmp_path / "cache"
    treated = "benchmark.domains.pictures.images"
    before = [load(name, cache).digest for name in (mine, "toy-disks")]
    assert kept(cache) == {"mine": 1, "toy-disks": 1}
    monkeypatch.setattr(f"{treated}.VERSION", 1 + VERSION)
    assert [load(name, cache).digest for name in (mine, "toy-disks")] == before
    assert kept(cache) == {"mine": 2, "toy-disks": 1}
    monkeypatch.setattr(f"{treated}.VERSION", 2 + VERSION)
    monkeypatch.setattr(f"{treated}.to_square", lambda image, px: 255 - to_square(image, px))
    assert load(mine, cache).digest != before[0]

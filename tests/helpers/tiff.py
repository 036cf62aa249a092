"""Uncompressed TIFF files of any integer samples, written by hand: Pillow writes only what it reads well."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

FORMATS = {"u": 1, "i": 2, "f": 3}


def write_tiff(
    path: Path, samples: np.ndarray, photometric: int | None = None, planar: bool = False, big_endian: bool = False
) -> None:
    """`samples` [H,W] or [H,W,3] of any dtype; `photometric` 0: white is zero; `planar`: plane after plane."""
    order = ">" if big_endian else "<"
    values = samples if samples.ndim == 3 else samples[..., None]
    height, width, count = values.shape
    planes = [values[..., i] for i in range(count)] if planar else [values]
    raws = [np.ascontiguousarray(p).astype(p.dtype.newbyteorder(order)).tobytes() for p in planes]
    bits, kind = values.dtype.itemsize * 8, FORMATS[values.dtype.kind]
    photometric = (1 if count == 1 else 2) if photometric is None else photometric
    at = np.cumsum([8, *(len(raw) for raw in raws)])
    many = {
        258: (3, [bits] * count),
        273: (4, list(at[:-1])),
        279: (4, [len(raw) for raw in raws]),
        339: (3, [kind] * count),
    }
    single = {256: (4, width), 257: (4, height), 259: (3, 1), 262: (3, photometric), 277: (3, count), 278: (4, height)}
    tags = {**{tag: (k, [v]) for tag, (k, v) in single.items()}, **many}
    if count > 1:
        tags[284] = (3, [2 if planar else 1])
    body, extra = b"", b""
    extra_at = int(at[-1]) + 2 + 12 * len(tags) + 4
    for tag, (k, numbers) in sorted(tags.items()):
        data = struct.pack(f"{order}{len(numbers)}{'H' if k == 3 else 'I'}", *map(int, numbers))
        if len(data) > 4:
            body += struct.pack(f"{order}HHII", tag, k, len(numbers), extra_at + len(extra))
            extra += data
        else:
            body += struct.pack(f"{order}HHI", tag, k, len(numbers)) + data.ljust(4, b"\0")
    head = (b"MM" if big_endian else b"II") + struct.pack(f"{order}HI", 42, int(at[-1]))
    path.write_bytes(head + b"".join(raws) + struct.pack(f"{order}H", len(tags)) + body + b"\0\0\0\0" + extra)

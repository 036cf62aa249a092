"""Pictures on disk: one PNG each, a grid on one PNG, a looping video; whole or not at all."""

from __future__ import annotations

import errno
import math
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from benchmark.errors import BenchmarkError, ConfigError, DataError
from benchmark.system.files import new_file

Picture = np.ndarray
"""uint8 [3, R, R]."""
ANIMATED = (".mp4", ".gif", ".webp")
GIF_FPS = 50
"""Browsers show a frame of less than 20 ms for 100."""
MOST_SIDE = {".mp4": 16384, ".gif": 65535, ".webp": 16383}
"""Pixels of a frame's longer side that an encoder takes."""
WRITE = "w"
LABEL = 18
"""Height of a row's label in pixels."""


@contextmanager
def told(path: Path) -> Iterator[None]:
    """DataError where what is done to write the file at `path` fails."""
    try:
        yield
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}; choose another --out.") from None


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """A temporary name for the file at `path`, which takes its place at the end; DataError where it cannot."""
    with told(path), new_file(path) as temporary:
        yield temporary


def require_place(path: Path) -> None:
    """DataError where no file of this name can be written: better told before what it would hold is made."""
    with told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        tempfile.TemporaryFile(dir=path.parent).close()


def write_picture(path: Path, picture: Picture) -> None:
    """A PNG."""
    with written(path) as temporary:
        as_image(picture).save(temporary, "PNG")


def write_grid(path: Path, rows: Sequence[tuple[str, Sequence[Picture]]]) -> None:
    """(label, pictures of one size) rows on one PNG, the label above each row; rows may differ in length."""
    px = rows[0][1][0].shape[-1]
    across = max(len(pictures) for _, pictures in rows)
    height = px + LABEL
    words = max(3 + math.ceil(ImageDraw.Draw(Image.new("L", (1, 1))).textlength(label)) for label, _ in rows)
    sheet = Image.new("RGB", (max(across * px, words), len(rows) * height), "white")
    draw = ImageDraw.Draw(sheet)
    for y, (label, pictures) in enumerate(rows):
        draw.text((3, y * height + 3), label, fill="black")
        for x, picture in enumerate(pictures):
            sheet.paste(as_image(picture), (x * px, y * height + LABEL))
    with written(path) as temporary:
        sheet.save(temporary, "PNG")


def tiled(pictures: Sequence[Picture], across: int | None = None) -> Picture:
    """One picture of many side by side, in about a square; empty places are white."""
    px = pictures[0].shape[-1]
    width, height = sheet_sides(len(pictures), px, across)
    sheet = np.full((3, height, width), 255, np.uint8)
    for i, picture in enumerate(pictures):
        y, x = divmod(i, width // px)
        sheet[:, y * px : (y + 1) * px, x * px : (x + 1) * px] = picture
    return sheet


def sheet_sides(count: int, px: int, across: int | None = None) -> tuple[int, int]:
    """Width and height of the picture that `tiled` makes of so many."""
    across = across or math.ceil(math.sqrt(count))
    return across * px, -(-count // across) * px


def check_video(path: Path, fps: int, sides: tuple[int, int] = (0, 0)) -> None:
    """ConfigError unless the name ends in a way that `write_video` knows, the library for it is installed, and the
    format can be shown at `fps` frames per second and takes frames with these sides.
    """
    if path.suffix not in ANIMATED:
        raise ConfigError(f"--video {path.name}: give a name that ends in {', '.join(ANIMATED)}.")
    if path.suffix == ".gif" and fps > GIF_FPS:
        raise ConfigError(f"--fps {fps}: a .gif is shown at {GIF_FPS} frames per second at most; choose .webp or .mp4.")
    if max(sides) > MOST_SIDE[path.suffix]:
        most, found = MOST_SIDE[path.suffix], "x".join(map(str, sides))
        raise ConfigError(
            f"--video {path.name}: its frames have {found} px, a side at most {most}; give fewer --seeds."
        )
    if path.suffix == ".mp4":
        _av()


def write_video(path: Path, frames: Iterable[Picture], fps: int) -> int:
    """`frames` at `fps` per second, looping where the format can say so; gives their number.

    .mp4 is H.264 (yuv420p, even sizes: odd ones lose a row), which loses a little; .gif has 256 colours; .webp loses
    nothing.
    """
    check_video(path, fps)
    with written(path) as temporary:
        return (_mp4 if path.suffix == ".mp4" else _animated)(temporary, frames, fps, path.suffix[1:])


def _mp4(path: Path, frames: Iterable[Picture], fps: int, suffix: str) -> int:
    av, count, stream = _av(), 0, None
    with av.open(path, mode=WRITE, format=suffix) as container:
        for picture in frames:
            height, width = (side - side % 2 for side in picture.shape[1:])
            if stream is None:
                stream = container.add_stream("libx264", rate=fps, options={"crf": "12"})
                stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            plain = np.ascontiguousarray(picture[:, :height, :width].transpose(1, 2, 0))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(plain, format="rgb24")))
            count += 1
        if stream is not None:
            container.mux(stream.encode())
    return count


def _animated(path: Path, frames: Iterable[Picture], fps: int, suffix: str) -> int:
    first, *others = [as_image(picture) for picture in frames]
    more = {"lossless": True} if suffix == "webp" else {}
    shown = durations(1 + len(others), fps, 10 if suffix == "gif" else 1)
    first.save(path, suffix.upper(), save_all=True, append_images=others, duration=shown, loop=0, **more)
    return 1 + len(others)


def durations(count: int, fps: int, unit: int) -> list[int]:
    """Milliseconds of each frame, multiples of `unit`; no frame comes more than half a unit too early or too late."""
    ends = [round(i * 1000 / fps / unit) * unit for i in range(count + 1)]
    return [end - begin for begin, end in pairwise(ends)]


def _av():  # type: ignore[no-untyped-def]
    try:
        import av
    except ImportError:
        raise BenchmarkError(
            "an .mp4 needs PyAV: pip install 'stylegan-transfer-benchmark[use]'; .gif and .webp do not."
        ) from None
    return av


def as_image(picture: Picture) -> Image.Image:
    """uint8 [3, H, W] for Pillow."""
    return Image.fromarray(picture.transpose(1, 2, 0))

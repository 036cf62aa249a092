"""One picture of any mode and size -> an upright RGB square of 8 bits, or a ValueError where its range is not known."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps

VERSION = 3
"""Raise it when any picture becomes other pixels, here, in `faces` or by a filter of `prepare`: images of users and
prepared sets that were kept are made again then. Keys of results follow the pixels themselves."""
BITS, INVERTED, PLANES, SAMPLES = 258, 262, 284, 339
"""TIFF tags: bits per sample; 0 where white is zero; 2 where planes are apart; 1 (or 4: not said) where unsigned."""
UNKNOWN = "{}-bit pixels have no known range; save them as unsigned ones of 8 or 16 bits"


def to_square(image: Image.Image, resolution: int) -> np.ndarray:
    """Upright, on white, centre-cropped, resized with Lanczos. Any mode and size to uint8 RGB [3,R,R].

    Raises ValueError for images below half of ``resolution`` and for pixels without a known range.
    """
    check_size(image.size, resolution)
    return np.ascontiguousarray(scaled(cropped(upright(image)), resolution).transpose(2, 0, 1))


def upright(image: Image.Image, turned: bool = True) -> Image.Image:
    """RGB, `turned` as its EXIF says (or as it is stored), on white where it is transparent.

    Of an animation the first frame; unsigned 12- and 16-bit values are scaled to 8 bits; colour profiles are ignored.
    Raises ValueError for pixels without a known range.
    """
    top, inverted = _range(image)
    _scale_key(image)
    return _to_rgb(ImageOps.exif_transpose(image) if turned else image, top, inverted)


def cropped(image: Image.Image) -> Image.Image:
    """The square in the centre."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def scaled(image: Image.Image, resolution: int, resampling: Image.Resampling = Image.Resampling.LANCZOS) -> np.ndarray:
    """An RGB image resized, by Pillow and so antialiased: uint8 [R,R,3]. One of that size already is not touched."""
    size = (resolution, resolution)
    return np.asarray(image if image.size == size else image.resize(size, resampling))


def check_size(size: tuple[int, int], resolution: int) -> None:
    """Raises where an image (width, height) has too many pixels for Pillow, or a side below half of `resolution`."""
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and size[0] * size[1] > limit:
        raise Image.DecompressionBombError
    if min(size) < resolution / 2:
        raise ValueError(f"too small: {size[0]}x{size[1]} px, at least {resolution // 2} px needed")


def _range(image: Image.Image) -> tuple[int, bool]:
    """(the largest value that a pixel of more than 8 bits may have, whether white is zero); ValueError if unknown."""
    if image.mode == "F":
        raise ValueError("floating-point pixels have no known range")
    if image.mode == "I" and image.format is None:  # in files of more than 8 bits the format says the range
        raise ValueError(UNKNOWN.format(32))
    if image.format == "TIFF":
        return _tiff_range(image.tag_v2, image.mode)  # type: ignore[attr-defined]
    deep = any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))
    if deep and isinstance(image.info.get("transparency"), tuple):
        raise ValueError("a transparent colour of 16 bits cannot be told from its neighbours; save it with alpha")
    return 65535, False


def _tiff_range(tags: Image.Exif, mode: str) -> tuple[int, bool]:
    """The same of a TIFF, which may hold any kind of numbers."""
    bits = max(np.atleast_1d(tags.get(BITS, 1)))
    if not {1, 4}.issuperset(np.atleast_1d(tags.get(SAMPLES, 1)).tolist()):
        raise ValueError("signed pixels have no known range; save them as unsigned ones of 8 or 16 bits")
    if mode == "I" or bits > 16:
        raise ValueError(UNKNOWN.format(bits))
    if bits > 8 and tags.get(PLANES, 1) == 2:
        raise ValueError(f"{bits}-bit colours in separate planes cannot be read; save the picture as PNG")
    return (1 << int(bits)) - 1, mode.startswith("I;16") and tags.get(INVERTED) == 0


def _scale_key(image: Image.Image) -> None:
    """Put a transparent grey of 2 or 4 bits on the scale of 8 bits, as Pillow does with the pixels alone."""
    tiles = getattr(image, "tile", ())
    scale = {"L;2": 85, "L;4": 17}.get(str(tiles[0][3])) if tiles else None
    if scale and isinstance(image.info.get("transparency"), int):
        image.info["transparency"] *= scale


def _to_rgb(image: Image.Image, top: int, inverted: bool) -> Image.Image:
    key = image.info.get("transparency")
    if image.mode == "I" or image.mode.startswith("I;16"):  # Pillow before 11 opened 16-bit PNG as "I"
        wide = np.clip(np.asarray(image).astype(np.int64), 0, top)
        grey = ((wide * 255 + top // 2) // top).astype(np.uint8)
        if isinstance(key, int):
            grey[wide == key] = 255
        return Image.fromarray(255 - grey if inverted else grey).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or key is not None:
        straight = image.convert({"RGBa": "RGBA", "La": "LA"}.get(image.mode, image.mode)).convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", straight.size, "white"), straight).convert("RGB")
    return image.convert("RGB")

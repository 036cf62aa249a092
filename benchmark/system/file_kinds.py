"""Kinds of files, told by their first bytes and named in words for messages about unexpected files."""

from __future__ import annotations

from pathlib import PurePath

HEAD = 512
"""Bytes of a file's beginning that tell."""

PICTURES = {
    "AVIF": (b"ftypavif", b"ftypavis"),
    "HEIC": (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftyphevc", b"ftypmsf1"),
    "JPEG XL": (b"\xff\x0a", b"\0\0\0\x0cJXL \x0d\x0a\x87\x0a"),
    "ICO": (b"\0\0\1\0",),
    "DDS": (b"DDS ",),
    "QOI": (b"qoif",),
    "PCX": (b"\x0a\x05\x01\x08", b"\x0a\x02\x01\x08", b"\x0a\x03\x01\x08"),
    "Photoshop": (b"8BPS",),
    "OpenEXR": (b"\x76\x2f\x31\x01",),
    "Radiance HDR": (b"#?RADIANCE", b"#?RGBE"),
    "EPS": (b"%!PS", b"\xc5\xd0\xd3\xc6"),
    "DICOM": (),
    "SVG": (),
    "FITS": (b"SIMPLE  =",),
    "SGI": (b"\x01\xda",),
    "BigTIFF": (b"II+\0", b"MM\0+"),
    "TIFF": (b"II*\0", b"MM\0*"),
    "PNG": (b"\x89PNG",),
    "JPEG": (b"\xff\xd8\xff",),
    "GIF": (b"GIF8",),
    "Fuji raw": (b"FUJIFILMCCD-RAW",),
    "WebP": (),
    "JPEG 2000": (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"),
    "JPEG XR": (b"II\xbc",),
    "PAM": (b"P7\n",),
    "GIMP": (b"gimp xcf",),
    "FLIF": (b"FLIF",),
    "BPG": (b"BPG\xfb",),
    "XPM": (b"/* XPM */",),
    "WMF": (b"\xd7\xcd\xc6\x9a",),
}
"""Formats of pictures, and what they begin with (those of the `ftyp` family: after four bytes of length)."""

ENDINGS = {
    "tga": "TGA", "ico": "ICO", "cur": "ICO", "pcx": "PCX", "dds": "DDS", "avif": "AVIF", "heic": "HEIC",
    "heif": "HEIC", "jxl": "JPEG XL", "qoi": "QOI", "psd": "Photoshop", "exr": "OpenEXR", "hdr": "Radiance HDR",
    "eps": "EPS", "svg": "SVG", "dcm": "DICOM", "fits": "FITS", "sgi": "SGI", "cr2": "camera raw", "cr3": "camera raw",
    "nef": "camera raw", "arw": "camera raw", "dng": "camera raw", "raf": "camera raw", "orf": "camera raw",
}  # fmt: skip
"""Formats of pictures that some files show by their names only."""

OTHERS = {
    "a page of a web site (HTML)": (b"<!doctype html", b"<html", b"<head"),
    "an XML text": (b"<?xml",),
    "a pointer of Git LFS": (b"version https://git-lfs",),
    "a gzip archive": (b"\x1f\x8b",),
    "a RAR archive": (b"Rar!",),
    "a 7-Zip archive": (b"7z\xbc\xaf",),
    "an xz archive": (b"\xfd7zXZ",),
    "a bzip2 archive": (b"BZh",),
    "a zstandard archive": (b"\x28\xb5\x2f\xfd",),
    "a tar archive": (),
    "a PDF": (b"%PDF",),
    "an HDF5 file": (b"\x89HDF\r\n",),
    "a NumPy array": (b"\x93NUMPY",),
    "a Parquet file": (b"PAR1",),
    "a video": (b"\x1a\x45\xdf\xa3", b"ftypisom", b"ftypmp4", b"ftypqt", b"ftypM4V", b"ftypavc1"),
    "a SQLite database": (b"SQLite format 3\0",),
    "a ZIP": (b"PK\x03\x04", b"PK\x05\x06"),
    "a text with the address of a web page": (b"http://", b"https://"),
}
"""Other kinds of files, as a sentence has them, and what they begin with, in small letters where they are texts."""


def picture_format(head: bytes, name: str = "") -> str:
    """The format of a picture by its first bytes or else the ending of its name, such as AVIF; empty for no picture."""
    start = head[4:] if head[4:8] == b"ftyp" else head
    for kind, begins in PICTURES.items():
        if any(start.startswith(begin) for begin in begins):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[128:132] == b"DICM":
        return "DICOM"
    if b"<svg" in head[:HEAD].lower():
        return "SVG"
    return ENDINGS.get(PurePath(name).suffix.lower().removeprefix("."), "") if not other_kind(head) else ""


def other_kind(head: bytes, name: str = "") -> str:
    """What a file that is no picture is by its first bytes, such as "a PDF", or the ending of its name; else empty."""
    if not head:
        return "an empty file"
    head = head[4:] if head[4:8] == b"ftyp" else head
    text = head[:HEAD].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for kind, begins in OTHERS.items():
        if any(head.startswith(begin) or text.startswith(begin) for begin in begins):
            return kind
    if head[257:262] == b"ustar":
        return "a tar archive"
    if head[16:20] == b"\xde\xc0\xef\xbe":
        return "an LMDB database"
    return "TFRecords" if name.lower().endswith((".tfrecord", ".tfrecords")) else ""

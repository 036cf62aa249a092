"""Image sets as people have them on their disks: public bug reports as tests, each with its whole kind."""

from __future__ import annotations

import gc
import io
import json
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_files import folder_of, png, smooth
from PIL import Image
from tiff import write_tiff

from benchmark.domains import Domain, load_domain
from benchmark.domains.assets import Asset, target_folder
from benchmark.domains.pictures.looks import near_pairs, remarks
from benchmark.domains.pictures.pixels import upright
from benchmark.domains.pictures.raw_images import raw_set, raw_target
from benchmark.domains.prepare import prepare, prepare_target
from benchmark.domains.prepared import Wanted, open_target, read_provenance
from benchmark.errors import DataError


def load(path: Path, tmp_path: Path, train: int = 2000, test: int = 1000, px: int = 32) -> Domain:
    return load_domain(str(path), px, train, test, tmp_path / "cache")


def told(domain: Domain) -> str:
    return "; ".join(domain.card.remarks)


# --- what programs keep beside pictures


HIDDEN = (
    *(".ipynb_checkpoints", ".thumbnails", "@eaDir", "__MACOSX", "#recycle", ".AppleDouble", "Deep/.cache"),
    *("~snapshot", "@tmp", "RECYCLER"),
)


def with_hidden_copies(root: Path) -> Path:
    folder_of(root, (smooth(n, 64) for n in range(24)))
    for place in HIDDEN:
        (root / place / "inside").mkdir(parents=True)
        for number in range(8):
            Image.fromarray(smooth(number, 64)).resize((48, 48)).save(root / place / "inside" / f"{number}.png")
    (root / "._00.png").write_bytes(b"\0\5\x16\7" + bytes(90))
    (root / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    return root


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_hidden_copies_are_no_pictures_of_a_set(tmp_path: Path, kind: str) -> None:
    """24 pictures became 64, and thumbnails of held-out ones were trained on."""
    clean = load(folder_of(tmp_path / "clean", (smooth(n, 64) for n in range(24))), tmp_path)
    path = with_hidden_copies(tmp_path / "notebook")
    if kind == "zip":
        with zipfile.ZipFile(tmp_path / "notebook.zip", "w") as archive:
            for file in sorted(path.rglob("*.*")):
                if file.is_file():
                    archive.write(
                        file, f"./{file.relative_to(path)}" if "Deep" in file.parts else file.relative_to(path)
                    )
        path = tmp_path / "notebook.zip"
    domain = load(path, tmp_path)
    assert domain.digest == clean.digest and len(domain.train) + len(domain.test) == 24
    names = [*HIDDEN, "._00.png", "Thumbs.db"]
    assert sorted(name.removeprefix("./") for name, _ in domain.skipped) == sorted(names)
    assert all(reason.startswith("hidden") for _, reason in domain.skipped)
    made = prepare(raw_set(path), (32,), tmp_path / "out", workers=1)[32]
    assert made.images == 24


def test_a_set_may_lie_below_a_hidden_folder(tmp_path: Path) -> None:
    assert len(load(folder_of(tmp_path / ".data" / "set", map(smooth, range(6))), tmp_path).train) == 4


def test_near_duplicates_are_counted_and_told(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "mixed", (smooth(n, 96) for n in range(24)))
    (root / "thumbnails").mkdir()
    for number in range(6):
        image = Image.fromarray(smooth(number, 96))
        image.resize((48, 48)).save(root / "thumbnails" / f"{number}.png")
        image.save(root / f"{number}.jpg", quality=(95, 40)[number % 2])
        image.point(lambda v: min(255, v + 6)).save(root / f"{number}-brighter.png")
    domain = load(root, tmp_path)
    assert "24 of 42 images nearly equal another" in told(domain)
    assert "held-out ones have such a copy among the training images" in told(domain)
    assert "nearly equal" not in told(load(folder_of(tmp_path / "clean", (smooth(n, 96) for n in range(40))), tmp_path))


def test_images_that_only_resemble_each_other_are_no_near_duplicates() -> None:
    """Flat and dark pictures have similar hashes; their colours tell them apart."""
    flat = np.stack([np.full((3, 32, 32), 20 * level, np.uint8) for level in range(12)])
    assert near_pairs(flat, 12) == []
    assert near_pairs(np.concatenate([flat, flat[:2] + 1]), 14) == [(0, 12), (1, 13)]
    assert near_pairs(np.concatenate([flat, flat[:2] + 1]), 1) == [(0, 12)]


def test_mirror_images_are_near_duplicates_and_leaks(tmp_path: Path) -> None:
    """Trainings flip pictures, so the mirror image of a held-out one trains as a copy of it does."""
    plain = [smooth(n, 64) for n in range(24)]
    flipped = [image[:, ::-1] for image in plain[:6]]
    images = np.stack([image.transpose(2, 0, 1) for image in (*plain, *flipped)])
    assert near_pairs(images, 30) == [(n, 24 + n) for n in range(6)]
    assert near_pairs(images, 2) == [(0, 24), (1, 25)]
    (said,) = remarks(images, 4)
    assert said.startswith("12 of 30 images nearly equal another (saved again, resized, mirrored?)")
    assert said.endswith("4 of the 4 held-out ones have such a copy among the training images")
    assert "12 of 30 images nearly" in told(load(folder_of(tmp_path / "both", [*plain, *flipped]), tmp_path))


class OneByOne:
    """Images that count, each time one is asked for, how many pictures of Pillow are held."""

    def __init__(self, count: int) -> None:
        self.count, self.most = count, 0

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[np.ndarray]:
        for number in range(self.count):
            self.most = max(self.most, sum(type(thing) is Image.Image for thing in gc.get_objects()))
            yield smooth(number).transpose(2, 0, 1)


def test_pictures_are_compared_without_a_second_copy_of_the_set() -> None:
    held, images = sum(type(thing) is Image.Image for thing in gc.get_objects()), OneByOne(40)
    assert near_pairs(images, 40) == [] and images.most <= held + 4  # type: ignore[arg-type]
    untouched = OneByOne(40)
    assert near_pairs(untouched, 0) == [] and untouched.most == 0, "nothing is to be compared"  # type: ignore[arg-type]


def test_pictures_that_are_enlarged_are_told(tmp_path: Path) -> None:
    sides = (20, 20, 31, 32, 32, 48)
    root = folder_of(tmp_path / "small", (smooth(n, px) for n, px in enumerate(sides)))
    assert "3 of 6 pictures are smaller than 32 px and were enlarged" in told(load(root, tmp_path))
    assert "enlarged" not in told(load(root, tmp_path, px=16))
    for _ in "again":  # a ZIP that is there already says the same
        assert prepare(raw_set(root), (32,), tmp_path / "out", workers=1)[32].enlarged == 3
    raw = target_folder(tmp_path, "faces").raw
    pack(raw / "images.zip", [(f"images/{n}.png", png(smooth(n, px))) for n, px in enumerate(sides)])
    prepare_target(card(), tmp_path, [32], workers=1)
    about, _ = open_target(card(count=7), Wanted("faces", 32, 99, 0), tmp_path)
    assert [remark.split(",")[0] for remark in about.remarks] == [
        "6 images",
        "3 of 6 pictures are smaller than 32 px and were enlarged",
    ]


# --- every picture once, and shots that are as many as they are called


def card(**changes: Any) -> Asset:
    about = {"schema": 1, "name": "faces", "title": "Faces", "homepage": "", "licence": "none", "creator": "me"}
    about |= {"non_commercial": False, "files": [{"name": "images.zip", "url": "http://localhost/images.zip"}]}
    return Asset.model_validate({**about, "layout": {"images": ["images/*.png"]}, **changes})


def pack(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members:
            info = zipfile.ZipInfo("x")
            info.filename = name
            archive.writestr(info, data)


def arrives(raw: Path, how: str) -> None:
    """Forty pictures of a set as people's tools leave them in raw/."""
    names = [f"{number}.png" for number in range(40)]
    whole = [(f"images/{name}", png(smooth(number))) for number, name in enumerate(names)]
    if how == "windows":
        pack(raw / "images.zip", [(name.replace("/", "\\"), data) for name, data in whole])
    elif how == "mac":
        pack(raw / "images.zip", [*whole, *((f"__MACOSX/images/._{name}", b"\0\5\x16\7") for name in names)])
    elif how == "overlapping":
        pack(raw / "images-001.zip", whole[:25])
        pack(raw / "images-002.zip", whole[20:])
    elif how == "renamed copies":
        pack(
            raw / "images.zip",
            [*whole, *((f"images/copy of {name}", png(smooth(n))) for n, name in enumerate(names[:7]))],
        )
    else:
        pack(raw / "images.zip", whole)
    if how == "beside its folder":
        for name, data in whole:
            (raw / "images").mkdir(exist_ok=True)
            (raw / name).write_bytes(data)


@pytest.mark.parametrize("how", ["windows", "mac", "overlapping", "beside its folder", "renamed copies", "plain"])
@pytest.mark.parametrize("shots", [None, 10])
def test_every_picture_of_a_set_counts_once(tmp_path: Path, how: str, shots: int | None) -> None:
    target = card(few_shot={"shots": shots} if shots else None)
    arrives(target_folder(tmp_path, "faces").raw, how)
    raw = raw_target(target, tmp_path)
    assert len(raw.images) == 40
    assert raw.copies == {"overlapping": 5, "beside its folder": 40, "renamed copies": 7}.get(how, 0)
    note = read_provenance(prepare_target(target, tmp_path, [32], workers=1)[32].path)
    assert note is not None and len({image.sha256 for image in note.images}) == len(note.images) == 40
    if shots:
        assert note.count("train") == shots
        about, pictures = open_target(target, Wanted("faces", 32, 2000, 1000), tmp_path)
        assert pictures.count - pictures.held_out == shots and about.kind == "target"


@pytest.mark.parametrize("few", [{"shots": 3}, {"shots": 3, "names": ["0.png", "1.png", "2.png"]}])
def test_fewer_different_pictures_than_shots_are_an_error(tmp_path: Path, few: dict[str, Any]) -> None:
    """A copy is no shot, a damaged one neither, and a prepared ZIP of before is refused when it is used."""
    target, raw = card(few_shot=few), target_folder(tmp_path, "faces").raw
    pack(raw / "images.zip", [(f"images/{n}.png", png(smooth(min(n, 1)))) for n in range(3)])
    with pytest.raises(DataError, match="a set of 3 shots, and 2 different images"):
        raw_target(target, tmp_path)
    pack(raw / "images.zip", [(f"images/{n}.png", png(smooth(n))[: 300 if n == 1 else None]) for n in range(3)])
    with pytest.raises(DataError, match=r"3 shots are 3 different pictures, and 2 are usable .*fetch the set again"):
        prepare_target(target, tmp_path, [32], workers=1)
    other = io.BytesIO()
    Image.open(io.BytesIO(png(smooth(0)))).save(other, "PNG", compress_level=0)  # the same pixels in other bytes
    pack(
        raw / "images.zip",
        [("images/0.png", png(smooth(0))), ("images/1.png", other.getvalue()), ("images/2.png", png(smooth(2)))],
    )
    with pytest.raises(DataError, match="3 shots are 3 different pictures, and 2 are usable"):
        prepare_target(target, tmp_path, [32], workers=1)
    made = prepare_target(card(), tmp_path, [32], workers=1)[32]  # without the card's shots, as earlier versions did
    assert made.images == 3
    pretended = card(few_shot={"shots": 9})
    with pytest.raises(DataError, match="domain 'faces': 9 shots are 9 different pictures"):
        open_target(pretended, Wanted("faces", 32, 2000, 1000), tmp_path)


def test_a_copy_of_a_test_image_or_of_a_listed_shot_is_what_leaves(tmp_path: Path) -> None:
    raw = target_folder(tmp_path, "faces").raw
    pack(
        raw / "images.zip",
        [("images/a.png", png(smooth(1))), ("images/b.png", png(smooth(2))), ("val/c.png", png(smooth(1)))],
    )
    layout = {"images": ["images/*"], "test": ["val/*"]}
    official = raw_target(card(layout=layout, splits={"rule": "official"}), tmp_path)
    assert [image.name for image in official.images] == ["images/b.png", "val/c.png"]
    few = raw_target(card(layout=layout, few_shot={"shots": 1, "names": ["a.png"]}), tmp_path)
    assert [image.name for image in few.images if image.split == "train"] == ["images/a.png"]
    assert few.copies == 1


def test_files_that_are_there_under_other_names_are_told(tmp_path: Path) -> None:
    pack(target_folder(tmp_path, "faces").raw / "images.zip", [("pictures/a.png", png(smooth(1)))])
    with pytest.raises(DataError, match=r"1 images such as pictures/a.png, and none is called images/\*.png"):
        raw_target(card(), tmp_path)


# --- integers and their ranges


def grey(number: int = 1) -> np.ndarray:
    return smooth(number).mean(-1)


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(upright(image))


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("white_is_zero", [False, True])
@pytest.mark.parametrize("kind", ["u1", "u2"])
def test_unsigned_grey_is_scaled_to_8_bits_or_named(
    tmp_path: Path, kind: str, white_is_zero: bool, big_endian: bool
) -> None:
    top = np.iinfo(kind).max
    stored = np.round(grey() / 255 * top).astype(kind)
    write_tiff(tmp_path / "a.tif", top - stored if white_is_zero else stored, int(not white_is_zero), False, big_endian)
    if kind == "u2" and white_is_zero and big_endian:
        with pytest.raises(OSError, match="cannot identify"):  # Pillow does not open it; it is skipped by its format
            read(tmp_path / "a.tif")
    else:
        np.testing.assert_allclose(read(tmp_path / "a.tif"), grey()[..., None].repeat(3, -1), atol=1.01)


@pytest.mark.parametrize("kind", ["i1", "i2", "i4", "u4", "f4", "f8", "u8"])
def test_pixels_without_a_known_range_are_skipped_with_the_reason(tmp_path: Path, kind: str) -> None:
    """uint32 became black and white, int16 four levels, without a word."""
    folder_of(tmp_path / "set", map(smooth, range(6)))
    for name, big in (("little.tif", False), ("big.tif", True)):
        write_tiff(tmp_path / "set" / name, (grey() * 0.4).astype(kind), big_endian=big)
    domain = load(tmp_path / "set", tmp_path)
    reasons = dict(domain.skipped)
    assert set(reasons) == {"little.tif", "big.tif"} and len(domain.train) == 4
    assert all("no known range" in reason or "TIFF that cannot be read" in reason for reason in reasons.values())
    note = read_provenance(prepare(raw_set(tmp_path / "set"), (32,), tmp_path / "out", workers=1)[32].path)
    assert note is not None and dict(note.skipped) == reasons


def test_colours_of_16_bits_are_right_in_one_plane_and_refused_in_several(tmp_path: Path) -> None:
    deep = smooth(3).astype(np.uint16) * 257
    write_tiff(tmp_path / "a.tif", deep)
    np.testing.assert_allclose(read(tmp_path / "a.tif"), smooth(3), atol=1)
    write_tiff(tmp_path / "b.tif", deep, planar=True)
    with pytest.raises(ValueError, match="16-bit colours in separate planes"):
        read(tmp_path / "b.tif")
    write_tiff(tmp_path / "c.tif", smooth(3), planar=True)
    np.testing.assert_array_equal(read(tmp_path / "c.tif"), smooth(3))


def test_a_transparent_grey_of_16_bits_is_white(tmp_path: Path) -> None:
    mask = smooth(5).mean(-1) > 128
    wide = np.round(grey() / 2 * 257).astype(np.uint16)
    wide[mask] = 60000
    Image.fromarray(wide).save(tmp_path / "a.png", transparency=60000)
    expected = np.where(mask, 255, np.round(wide / 257))[..., None].repeat(3, -1)
    np.testing.assert_allclose(read(tmp_path / "a.png"), expected, atol=1)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_a_transparent_grey_of_few_bits_is_white(tmp_path: Path, bits: int) -> None:
    """Pillow scales such pixels to 8 bits, and leaves the transparent value as it is in the file."""
    values, per = (grey().astype(np.uint8) >> (8 - bits)).astype(int), 8 // bits
    packed = sum(values[:, n::per] << (8 - bits * (n + 1)) for n in range(per)).astype(np.uint8)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 32, 32, bits, 0, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in packed))
    chunks = chunk(b"IHDR", head), chunk(b"tRNS", b"\0\1"), chunk(b"IDAT", rows), chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    expected = np.where(values == 1, 255, values * 255 // (2**bits - 1))
    np.testing.assert_array_equal(read(tmp_path / "a.png"), expected[..., None].repeat(3, -1))


def test_a_pgm_of_12_bits_fills_the_range(tmp_path: Path) -> None:
    values = np.round(grey() / 255 * 4095).astype(">u2")
    (tmp_path / "a.pgm").write_bytes(b"P5 32 32 4095\n" + values.tobytes())
    np.testing.assert_allclose(read(tmp_path / "a.pgm")[..., 0], grey(), atol=1)


def test_a_set_that_hardly_uses_its_range_is_told(tmp_path: Path) -> None:
    """12 bits of a camera in files of 16: nearly black pictures."""
    (tmp_path / "scans").mkdir()
    for number in range(8):
        write_tiff(tmp_path / "scans" / f"{number}.tif", np.round(grey(number) * 16).astype(np.uint16))
    assert "of 0 to 255: does a camera fill only a part" in told(load(tmp_path / "scans", tmp_path))
    assert "camera" not in told(load(folder_of(tmp_path / "normal", map(smooth, range(8))), tmp_path))


# --- reasons that name the cause

FIRST_BYTES = {
    "a.avif": (b"\0\0\0\x20ftypavif", "AVIF is not read; convert it to PNG"),
    "b.jpg": (b"\0\0\0\x18ftypheic", "HEIC is not read"),
    "c.jxl": (b"\xff\x0a\0", "JPEG XL is not read"),
    "d.tga": (b"\0\0\x02" + bytes(60), "TGA is not read"),
    "e.ico": (b"\0\0\1\0\1\0", "ICO is not read"),
    "f.png": (b"qoif\0\0", "QOI is not read"),
    "g.dds": (b"DDS |", "DDS is not read"),
    "h.png": (b"<!DOCTYPE html><html>", "not an image, but a page of a web site (HTML)"),
    "i.png": (b"version https://git-lfs.github.com/spec/v1\n", "not an image, but a pointer of Git LFS"),
    "j.pdf": (b"%PDF-1.4", "not an image, but a PDF"),
    "k.png": (b"hello", "not an image"),
    "l.svg": (b"<?xml version='1.0'?><svg>", "SVG is not read"),
    "m.tif": (b"II*\0" + bytes(40), "TIFF that cannot be read; save it as PNG"),
    "n.gz": (b"\x1f\x8b\x08", "not an image, but a gzip archive"),
    "o.png": (b"", "not an image, but an empty file"),
    "p.webp": (b"RIFF\x40\0\0\0WEBPVP8 " + bytes(20), "cannot be decoded"),
    "q.jp2": (b"\0\0\0\x0cjP  \r\n", "JPEG 2000 that cannot be read; save it as PNG"),
    "r.png": (b"P7\nWIDTH 2\n", "PAM is not read"),
    "s.png": (b"gimp xcf v011", "GIMP is not read"),
    "t.mp4": (b"\0\0\0\x20ftypisom", "not an image, but a video"),
    "data.mdb": (bytes(16) + b"\xde\xc0\xef\xbe" + bytes(40), "not an image, but an LMDB database"),
    "u.tfrecords": (b"\x01" + bytes(20), "not an image, but TFRecords"),
}


def test_a_file_that_is_no_usable_picture_is_called_what_it_is(tmp_path: Path) -> None:
    folder_of(tmp_path / "set", map(smooth, range(6)))
    for name, (content, _) in FIRST_BYTES.items():
        (tmp_path / "set" / name).write_bytes(content)
    found = dict(load(tmp_path / "set", tmp_path).skipped)
    assert {name: reason for name, reason in found.items() if not reason.startswith(FIRST_BYTES[name][1])} == {}
    assert found.keys() == FIRST_BYTES.keys()


WRAPPED = {
    "a.tar.xz": (b"\xfd7zXZ\0", "it is an xz archive; unpack it and give the folder"),
    "a.7z": (b"7z\xbc\xaf'\x1c", "it is a 7-Zip archive; unpack it"),
    "a.rar": (b"Rar!\x1a\x07", "it is a RAR archive; unpack it"),
    "a.tar": (bytes(257) + b"ustar" + bytes(250), "it is a tar archive; unpack it"),
    "a.zip": (b"PK\x03\x04" + bytes(40), "it is a damaged ZIP; get it again"),
    "b.zip": (b"", "it is an empty file; give a folder or ZIP of images"),
    "a.png": (b"\x89PNG\r\n\x1a\n", "it is a single picture (PNG); give the folder that it is in"),
    "a.tfrecords": (b"\x01" + bytes(20), "it is TFRecords; give a folder or ZIP"),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_a_file_that_is_no_zip_is_called_what_it_is(tmp_path: Path, name: str) -> None:
    content, said = WRAPPED[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=re.escape(said)):
        load(tmp_path / name, tmp_path)


def test_an_address_is_told_from_a_path(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"https://example\.org/a\.zip is an address; download it first"):
        load_domain("https://example.org/a.zip", 32, 4, 2, tmp_path)


@pytest.mark.parametrize("first", ["in/0.png", "in\\0.png"])
def test_of_members_of_one_name_the_last_counts_and_the_others_are_told(tmp_path: Path, first: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the name is there already
        for number in range(6):
            archive.writestr(first.replace("0", str(number)), png(smooth(number)))
        archive.writestr("in/0.png", png(smooth(10)))
    domain = load(tmp_path / "a.zip", tmp_path)
    assert domain.skipped == (("in/0.png", "a later member of the ZIP has the same name"),)
    drawn = [*domain.train, *domain.test]
    assert len(drawn) == 6 and any((image == smooth(10).transpose(2, 0, 1)).all() for image in drawn)


def test_an_encrypted_zip_says_what_to_do_once(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number in range(6):
            archive.writestr(f"{number}.png", png(smooth(number)))
    data = (tmp_path / "a.zip").read_bytes()
    listed = b"PK\x01\x02" + data[data.index(b"PK\x01\x02") + 4 :][:4]
    (tmp_path / "a.zip").write_bytes(data.replace(listed + b"\0", listed + b"\1"))  # the flag in the list of members
    with pytest.raises(DataError, match=r"0 usable images \(6 skipped: encrypted; unpack the ZIP with its password"):
        load(tmp_path / "a.zip", tmp_path)


def test_a_colon_in_a_name_leads_nowhere(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number in range(6):
            archive.writestr(f"Screenshot from 2021-01-01 12:30:0{number}.png", png(smooth(number)))
    assert len(load(tmp_path / "a.zip", tmp_path).train) == 4


def test_a_folder_of_links_says_what_to_do(tmp_path: Path) -> None:
    folder_of(tmp_path / "big", map(smooth, range(6)))
    (tmp_path / "few").mkdir()
    for file in (tmp_path / "big").iterdir():
        (tmp_path / "few" / file.name).symlink_to(file)
    with pytest.raises(
        DataError, match=r"0 usable images \(6 skipped: link that leads out of the folder; copy .* cp -rL"
    ):
        load(tmp_path / "few", tmp_path)


LABELS = {
    "good": json.dumps({"labels": [["0.png", 1]]}),
    "comma": '{"labels": [["0.png", 1],]}',
    "vectors": json.dumps({"labels": [["0.png", [0.5, 1]]]}),
    "deep": "[" * 5000,
}


@pytest.mark.parametrize("kind", LABELS)
def test_labels_that_are_not_used_are_told(tmp_path: Path, kind: str) -> None:
    root = folder_of(tmp_path / "set", map(smooth, range(6)))
    (root / "dataset.json").write_text(LABELS[kind])
    assert "labels of dataset.json are not used" in told(load(root, tmp_path))
    (root / "dataset.json").write_text('{"labels": null}')
    assert "labels" not in told(load(root, tmp_path))


def test_ten_pictures_of_which_seven_train_are_told(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "ten", map(smooth, range(10)))
    for train in (2000, 10):
        assert "7 images to train on and 3 held out, of 10 different ones" in told(load(root, tmp_path, train))
        assert "to train on all: --set split.test=0" in told(load(root, tmp_path, train))
    assert len(load(root, tmp_path, 10, 0).train) == 10
    assert told(load(root, tmp_path, 10, 0)) == "10 images to train on and none held out"
    assert told(load(root, tmp_path, 7, 3)) == "7 images to train on and 3 held out", "as the suite `own` asks"


def test_a_folder_with_the_name_of_a_standard_set_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = folder_of(tmp_path / "metfaces", map(smooth, range(6)))
    domain = load(root, tmp_path)
    assert domain.standard_set is None and "metfaces is the name of a standard set" in told(domain)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        DataError, match=r"'metfaces' is not prepared .* folder of yours that is called so: --domains ./metf"
    ):
        load_domain("metfaces", 32, 10, 10, tmp_path / "cache")


@pytest.mark.parametrize(("count", "whole"), [(None, True), (40, True), (1336, False)])
def test_a_standard_set_of_another_size_is_not_the_published_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int | None, whole: bool
) -> None:
    target = card(count=count)
    arrives(target_folder(tmp_path, "faces").raw, "beside its folder")
    prepare_target(target, tmp_path, [32], workers=1)
    monkeypatch.setattr("benchmark.domains.load.list_targets", lambda kind: {"faces": target})
    domain = load_domain("faces", 32, 2000, 0, tmp_path)
    assert domain.standard_set == (f"faces:{domain.digest}" if whole else None)
    assert ("40 images, published were 1,336" in told(domain)) is not whole


# --- photographs as cameras and telephones write them


def jpeg(number: int, marker: bytes = b"", kind: str = "JPEG", **more: Any) -> bytes:
    """A JPEG with these bytes as its first APP1 segment."""
    buffer = io.BytesIO()
    Image.fromarray(smooth(number)).save(buffer, kind, quality=95, subsampling=0, **more)
    raw = buffer.getvalue()
    return raw[:2] + (b"\xff\xe1" + struct.pack(">H", len(marker) + 2) + marker if marker else b"") + raw[2:]


def exif(*entries: tuple[int, int, int, bytes]) -> bytes:
    """An Exif segment with entries (tag, type, count, value of four bytes)."""
    body = b"".join(
        struct.pack("<HHI", tag, kind, count) + value.ljust(4, b"\0") for tag, kind, count, value in entries
    )
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + body + bytes(4)


TURNED = (0x0112, 3, 1, struct.pack("<H", 6))
EXIFS = {
    "upright": (b"", False),
    "turned": (exif(TURNED), True),
    "empty": (b"Exif\0\0", False),
    "garbage": (b"Exif\0\0" + bytes(range(64)), False),
    "another way up than there are": (exif((0x0112, 3, 1, struct.pack("<H", 9))), False),
    "pointer out of it": (exif(TURNED, (0x8769, 4, 1, struct.pack("<I", 99_999))), True),
    "pointer to itself": (exif(TURNED, (0x8769, 4, 1, struct.pack("<I", 8))), True),
    "text out of it": (exif(TURNED, (0x010F, 2, 40, struct.pack("<I", 99_999))), True),
}


@pytest.mark.filterwarnings("ignore")  # Pillow's own, about each damage
@pytest.mark.parametrize("what", EXIFS)
def test_photographs_with_damaged_exif_are_used_and_upright_where_that_can_be_read(tmp_path: Path, what: str) -> None:
    marker, turned = EXIFS[what]
    (tmp_path / "plain.jpg").write_bytes(jpeg(1))
    (tmp_path / "marked.jpg").write_bytes(jpeg(1, marker))
    plain, marked = (read(tmp_path / name) for name in ("plain.jpg", "marked.jpg"))
    assert np.array_equal(marked, np.rot90(plain, -1) if turned else plain)


@pytest.mark.filterwarnings("ignore")
def test_of_several_pictures_in_a_photograph_the_first_is_used(tmp_path: Path) -> None:
    """MPO, as telephones write portraits: whole, with a damaged list of pictures, with the second one lost."""
    second = [Image.fromarray(smooth(100, 16))]
    whole = jpeg(1, kind="MPO", save_all=True, append_images=second)
    at, end = whole.find(b"MPF\0"), whole.find(b"\xff\xd8\xff", 10)
    damaged = whole[: at + 12] + b"\xff" * 28 + whole[at + 40 :]
    (tmp_path / "plain.jpg").write_bytes(jpeg(1))
    for name, content in {"whole": whole, "damaged": damaged, "lost": whole[:end]}.items():
        (tmp_path / f"{name}.jpg").write_bytes(content)
        assert np.array_equal(read(tmp_path / f"{name}.jpg"), read(tmp_path / "plain.jpg")), name

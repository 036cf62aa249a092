"""The user's own images: every mode, every size, and files that mean harm."""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_files import noise
from PIL import Image

from benchmark.domains import Domain, load_domain
from benchmark.domains.pictures.pixels import to_square
from benchmark.errors import DataError


def random_image(number: int, size: tuple[int, int] = (40, 32)) -> Image.Image:
    return Image.fromarray(noise(number, size[1], size[0]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "pictures"
    for number in range(12):
        path = root / f"part{number % 3}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        random_image(number).save(path)
    return root


def load(path: Path, train: int = 8, test: int = 4, resolution: int = 16) -> Domain:
    return load_domain(str(path), resolution, train, test, path.parent / "cache")


def zip_of(folder: Path, extra: dict[str, bytes] | None = None) -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*.png")):
            archive.write(file, file.relative_to(folder).as_posix())
        for name, data in (extra or {}).items():
            archive.writestr(name, data)
    return path


def test_folder_is_split_and_described(folder: Path) -> None:
    domain = load(folder)
    assert domain.name == "pictures"
    assert domain.train.shape == (8, 3, 16, 16) and domain.test.shape == (4, 3, 16, 16)
    assert domain.train.dtype == np.uint8
    assert len({image.tobytes() for image in (*domain.train, *domain.test)}) == 12
    assert (domain.card.kind, domain.card.found, domain.card.digest) == ("folder", 12, domain.digest)


def test_moving_or_renaming_changes_nothing(folder: Path, tmp_path: Path) -> None:
    before = load(folder).digest
    moved = tmp_path / "elsewhere" / "other name"
    shutil.copytree(folder, moved)
    (moved / "part0" / "0.png").rename(moved / "zz.png")
    assert load(moved).digest == before


def test_one_pixel_changes_the_digest(folder: Path) -> None:
    before = load(folder).digest
    file = folder / "part0" / "0.png"
    stat = file.stat()
    image = Image.open(file).convert("RGB")
    image.putpixel((20, 16), (255, 255, 255))
    image.save(file)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # dates must not matter
    assert load(folder).digest != before


def test_zip_with_labels_equals_its_folder(folder: Path) -> None:
    labels = json.dumps({"labels": [[f"part{n % 3}/{n}.png", n % 2] for n in range(12)]}).encode()
    domain = load(zip_of(folder, {"dataset.json": labels}))
    assert domain.digest == load(folder).digest
    assert domain.card.kind == "zip" and domain.skipped == ()


@pytest.mark.parametrize(("count", "train", "test"), [(12, 8, 4), (11, 8, 3), (4, 2, 2), (5, 3, 2)])
def test_too_few_images_are_split_two_to_one(folder: Path, count: int, train: int, test: int) -> None:
    for number in range(count, 12):
        (folder / f"part{number % 3}" / f"{number}.png").unlink()
    domain = load(folder, train=2000, test=1000)
    assert (len(domain.train), len(domain.test)) == (train, test)
    assert f"{train} training and {test} held-out" in domain.card.notes


def test_a_small_training_set_stays_small_when_test_images_are_short(folder: Path) -> None:
    domain = load(folder, train=3, test=1000)
    assert (len(domain.train), len(domain.test)) == (3, 9)


def test_fewer_than_four_is_an_error_that_names_the_reasons(folder: Path) -> None:
    for number in range(12):
        path = folder / f"part{number % 3}" / f"{number}.png"
        if number >= 3:
            path.write_text("no picture")
    with pytest.raises(DataError, match=r"3 usable images \(9 skipped: not an image\); give at least 4"):
        load(folder)


def test_empty_folder_and_empty_zip(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no files"):
        load(tmp_path / "empty")
    with zipfile.ZipFile(tmp_path / "empty.zip", "w"):
        pass
    with pytest.raises(DataError, match="holds no files"):
        load(tmp_path / "empty.zip")
    (tmp_path / "text.zip").write_text("this is no archive")
    with pytest.raises(DataError, match="does not open as a ZIP"):
        load(tmp_path / "text.zip")


def test_unreadable_folder(folder: Path) -> None:
    folder.chmod(0)
    try:
        if os.access(folder, os.R_OK):
            pytest.skip("this user may read everything")
        with pytest.raises(DataError, match="cannot be read"):
            load(folder)
        folder.chmod(0o755)
        (folder / "part0").chmod(0)
        assert ("part0", "folder cannot be read") in load(folder, train=4, test=2).skipped
    finally:
        folder.chmod(0o755)
        (folder / "part0").chmod(0o755)


def test_only_too_small_images(folder: Path) -> None:
    with pytest.raises(DataError, match=r"0 usable images \(12 skipped: too small: 40x32 px, at least 64 px needed\)"):
        load(folder, resolution=128)


def test_half_the_resolution_is_just_enough(folder: Path) -> None:
    assert load(folder, resolution=64).train.shape == (8, 3, 64, 64)


def _png_header(width: int, height: int) -> bytes:
    """A PNG that declares a size and has no pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_what_cannot_be_used_is_skipped_with_a_reason(folder: Path, tmp_path: Path) -> None:
    clean = load(folder).digest
    outside = tmp_path / "secret.png"
    random_image(99).save(outside)
    whole = (folder / "part0" / "0.png").read_bytes()
    (folder / "truncated.png").write_bytes(whole[: len(whole) // 2])
    buffer = io.BytesIO()
    random_image(98).save(buffer, "JPEG")
    (folder / "truncated.jpg").write_bytes(buffer.getvalue()[:-200])
    (folder / "notes.txt").write_text("hello")
    (folder / "nothing.png").write_bytes(b"")
    (folder / "page.ps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n")
    (folder / "bomb.png").write_bytes(_png_header(60_000, 60_000))
    (folder / "half-bomb.png").write_bytes(_png_header(10_000, 10_000))
    (folder / "hollow.png").write_bytes(_png_header(64, 64))
    random_image(97, (40, 7)).save(folder / "small.png")
    (folder / "copy.png").write_bytes(whole)
    (folder / "out.png").symlink_to(outside)
    (folder / "up").symlink_to(tmp_path)
    (folder / "loop").symlink_to(folder)
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    os.mkfifo(folder / "pipe.png")
    Image.fromarray(np.ones((32, 32), np.float32)).save(folder / "float.tiff")
    domain = load(folder, train=2000, test=1000)
    reasons = dict(domain.skipped)
    expected = {
        "truncated.png": "",
        "truncated.jpg": "truncated",
        "notes.txt": "not an image",
        "nothing.png": "not an image",
        "page.ps": "EPS is not read; convert it to PNG",
        "bomb.png": "too large",
        "half-bomb.png": "too large",
        "hollow.png": "",
        "small.png": "too small: 40x7 px",
        "out.png": "link that leads out",
        "up": "link that leads out",
        "loop": "link to a folder",
        "gone.png": "not a regular file",
        "pipe.png": "not a regular file",
        "float.tiff": "floating-point",
    }
    copies = {"copy.png", "part0/0.png"} & set(reasons)
    assert len(copies) == 1 and "same pixels" in reasons[copies.pop()]
    assert set(expected) <= set(reasons) and len(reasons) == len(expected) + 1
    for file, part in expected.items():
        assert part in reasons[file] and reasons[file] and str(tmp_path) not in reasons[file]
    assert load(folder).digest == clean  # none of it reaches the pixels


@pytest.mark.parametrize(
    "name", ["../out.png", "/etc/out.png", "a/../../out.png", "..\\out.png", "C:\\out.png", "\\out"]
)
def test_zip_that_leads_out_is_refused_whole(folder: Path, name: str) -> None:
    with pytest.raises(DataError, match="refused: member"):
        load(zip_of(folder, {name: b"x"}))


def test_zip_bomb_is_refused_before_it_is_unpacked(folder: Path) -> None:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros.bmp", bytes(80 << 20))
    with pytest.raises(DataError, match="would unpack to 83886080, more than 100 times"):
        load(path)


def test_damaged_zip_member_is_skipped(folder: Path) -> None:
    path = zip_of(folder)
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("part0/0.png")
    data = bytearray(path.read_bytes())
    data[info.header_offset + 200] ^= 0xFF
    path.write_bytes(data)
    domain = load(path, train=2000, test=1000)
    assert [file for file, _ in domain.skipped] == ["part0/0.png"] and "CRC" in domain.skipped[0][1]
    assert len(domain.train) + len(domain.test) == 11


def in_format(form: str) -> bytes:
    buffer = io.BytesIO()
    random_image(5, (20, 16)).save(buffer, form)
    return buffer.getvalue()


WHOLE = {form: in_format(form) for form in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")}


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(WHOLE)), st.floats(0, 1), st.binary(max_size=8), st.booleans()),
        min_size=3,
        max_size=3,
    )
)
def test_wounded_images_are_used_or_skipped_with_a_reason(
    tmp_path_factory: pytest.TempPathFactory, wounds: list[tuple[str, float, bytes, bool]]
) -> None:
    """Any of the formats with other bytes somewhere, or cut there, among enough good ones: never an error."""
    root = tmp_path_factory.mktemp("wounded")
    for number in range(4):
        random_image(number, (20, 16)).save(root / f"{number}.png")
    for number, (form, share, other, cut) in enumerate(wounds):
        whole = WHOLE[form]
        at = int(share * len(whole))
        (root / f"bad{number}").write_bytes(whole[:at] + other + (b"" if cut else whole[at + len(other) :]))
    domain = load_domain(str(root), 16, 8, 2, root.parent / "cache")
    assert 4 <= len(domain.train) + len(domain.test) <= 7
    assert all(reason and "\n" not in reason and str(root) not in reason for _, reason in domain.skipped)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.floats(0, 1), st.binary(min_size=1, max_size=12))
def test_a_wounded_zip_is_read_or_refused_on_one_line(
    tmp_path_factory: pytest.TempPathFactory, share: float, other: bytes
) -> None:
    root = tmp_path_factory.mktemp("zip")
    with zipfile.ZipFile(root / "whole.zip", "w") as archive:
        for number in range(5):
            archive.writestr(f"{number}.png", WHOLE["PNG"])
    data = (root / "whole.zip").read_bytes()
    at = int(share * (len(data) - len(other)))
    (root / "wounded.zip").write_bytes(data[:at] + other + data[at + len(other) :])
    try:
        load(root / "wounded.zip")
    except DataError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    "name", ["x" * 240, "naïve – 图", "$(touch executed)", "a; rm -rf b", "<img src=x onerror=a()>", "..."]
)
def test_folders_with_names_of_any_kind_are_domains(folder: Path, tmp_path: Path, name: str) -> None:
    moved = folder.rename(tmp_path / name)
    domain = load(moved)
    assert domain.name == name and len(domain.train) == 8
    made = [p for p in (tmp_path / "cache").iterdir() if p.suffix == ".npy"]
    assert len(made) == 1 and len(made[0].name) < 100 and made[0].name.isascii()


RED = np.array([200, 30, 40], np.uint8)


def in_mode(mode: str) -> Image.Image:
    flat = Image.fromarray(np.broadcast_to(RED, (24, 24, 3)).copy())
    if mode == "RGBA":  # clear on the left, opaque on the right
        alpha = np.zeros((24, 24), np.uint8)
        alpha[:, 12:] = 255
        flat.putalpha(Image.fromarray(alpha))
        return flat
    if mode == "I;16":
        return Image.fromarray(np.full((24, 24), 0x8080, np.uint16))
    return flat.convert(mode)


@pytest.mark.parametrize(
    ("mode", "form", "left", "right"),
    [
        ("RGB", "PNG", RED, RED),
        ("P", "PNG", None, None),
        ("L", "PNG", [82] * 3, [82] * 3),
        ("1", "PNG", None, None),
        ("CMYK", "JPEG", RED, RED),
        ("YCbCr", "JPEG", RED, RED),
        ("RGBA", "PNG", [255] * 3, RED),
        ("RGBA", "WEBP", [255] * 3, RED),
        ("LA", "PNG", [82] * 3, [82] * 3),
        ("I;16", "PNG", [128] * 3, [128] * 3),
        ("I;16", "TIFF", [128] * 3, [128] * 3),
    ],
)
def test_every_mode_becomes_rgb_on_white(mode: str, form: str, left: Any, right: Any) -> None:
    buffer = io.BytesIO()
    in_mode(mode).save(buffer, form, **({"lossless": True} if form == "WEBP" else {}))
    out = to_square(Image.open(buffer), 24)
    assert out.shape == (3, 24, 24) and out.dtype == np.uint8
    for colour, column in ((left, 0), (right, 23)):
        if colour is not None:
            np.testing.assert_allclose(out[:, 12, column].astype(int), colour, atol=4)


def test_transparent_palette_is_put_on_white() -> None:
    image = Image.new("P", (16, 16), 0)
    image.putpalette([0, 0, 0, 200, 30, 40])
    image.paste(1, (8, 0, 16, 16))
    buffer = io.BytesIO()
    image.save(buffer, "GIF", transparency=0)
    out = to_square(Image.open(buffer), 16)
    assert out[:, 8, 2].tolist() == [255, 255, 255] and out[:, 8, 13].tolist() == RED.tolist()


def test_centre_is_kept_and_upright() -> None:
    pixels = np.zeros((20, 60, 3), np.uint8)
    pixels[:10, 20:40] = (255, 0, 0)  # the centre square: red above, blue below
    pixels[10:, 20:40] = (0, 0, 255)
    exif = Image.Exif()
    exif[0x0112] = 6  # stored on its side: turn 90 degrees clockwise to see it
    buffer = io.BytesIO()
    Image.fromarray(pixels).transpose(Image.Transpose.ROTATE_90).save(buffer, "PNG", exif=exif)
    out = to_square(Image.open(buffer), 20)
    np.testing.assert_array_equal(out, pixels[:, 20:40].transpose(2, 0, 1))


def test_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    assert to_square(Image.open(buffer), 16)[:, 8, 8].tolist() == [255, 0, 0]


def test_shrinking_is_antialiased() -> None:
    checks = np.indices((256, 256)).sum(0) % 2 * 255
    out = to_square(Image.fromarray(checks.astype(np.uint8)), 16).astype(int)
    assert np.abs(out - 127.5).max() < 4  # every pixel-skipping resize gives 0 or 255


def test_an_image_of_the_right_size_is_not_touched() -> None:
    image = random_image(5, (16, 16))
    np.testing.assert_array_equal(to_square(image, 16), np.asarray(image).transpose(2, 0, 1))

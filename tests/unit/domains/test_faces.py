"""Cutting faces out as FFHQ does: where eyes and mouth land, what turning and scaling change, bad input."""

from __future__ import annotations

import cmath
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmark.domains.pictures.faces import Face, align, read_face_list
from benchmark.errors import DataError

PX = 128
FACE = Face(-30 - 20j, 30 - 20j, -18 + 40j, 22 + 44j)
"""Around 0; slightly crooked, so that a mirrored or transposed square is another one."""


def moved(turn: float = 0, scale: float = 1, to: complex = 200 + 180j) -> tuple[Face, complex]:
    """The face turned by radians, scaled and moved; with the factor that did it."""
    factor = cmath.rect(scale, turn)
    points = (FACE.eye_left, FACE.eye_right, FACE.mouth_left, FACE.mouth_right)
    return Face(*(to + factor * point for point in points)), factor


def drawn(factor: complex, to: complex = 200 + 180j, size: tuple[int, int] = (400, 360)) -> Image.Image:
    """A smooth picture that turns and grows with the face: blobs red, green, blue at eyes and mouth on soft waves."""
    y, x = np.mgrid[: size[1], : size[0]]
    at = (x + 1j * y - to) / factor
    waves = 90 + 30 * np.sin(at.real / 17) + 30 * np.cos(at.imag / 23 + 1)
    channels = []
    for place in (FACE.eye_left, FACE.eye_right, (FACE.mouth_left + FACE.mouth_right) / 2):
        channels.append(waves + 100 * np.exp(-(np.abs(at - place) ** 2) / (2 * 6.0**2)))
    return Image.fromarray(np.clip(np.rint(np.stack(channels, -1)), 0, 255).astype(np.uint8))


def dot(place: complex, size: tuple[int, int] = (400, 360), radius: float = 4) -> Image.Image:
    """One white blob on black."""
    y, x = np.mgrid[: size[1], : size[0]]
    blob = 255 * np.exp(-(np.abs(x + 1j * y - place) ** 2) / (2 * radius**2))
    return Image.fromarray(np.repeat(np.rint(blob)[..., None], 3, 2).astype(np.uint8))


def centroid(image: Image.Image) -> complex:
    """Where the light is, in pixels from the centre of the upper left one."""
    light = np.asarray(image, np.float64)[..., 0]
    y, x = np.mgrid[: light.shape[0], : light.shape[1]]
    return complex((light * x).sum(), (light * y).sum()) / light.sum()


def landed(face: Face, place: complex, px: int = PX) -> complex:
    """Where a place of the picture has to be in the square: written out with the published formulas, as vectors."""
    eye_to_eye = np.array([(face.eye_right - face.eye_left).real, (face.eye_right - face.eye_left).imag])
    eyes, mouth = (face.eye_left + face.eye_right) / 2, (face.mouth_left + face.mouth_right) / 2
    eye_to_mouth = np.array([(mouth - eyes).real, (mouth - eyes).imag])
    x = eye_to_eye - np.array([-eye_to_mouth[1], eye_to_mouth[0]])
    x *= max(2.0 * np.hypot(*eye_to_eye), 1.8 * np.hypot(*eye_to_mouth)) / np.hypot(*x)
    y = np.array([-x[1], x[0]])
    centre = np.array([eyes.real, eyes.imag]) + 0.1 * eye_to_mouth
    away = np.array([place.real, place.imag]) - centre
    share = np.array([away @ x, away @ y]) / (2 * x @ x) + 0.5
    return complex(*(share * px - 0.5))


@pytest.mark.parametrize("turn", [0.0, 0.5, -1.2, 3.0])
@pytest.mark.parametrize("which", ["eye_left", "eye_right", "mouth_left", "mouth_right"])
def test_eyes_and_mouth_land_where_the_formulas_say(turn: float, which: str) -> None:
    face, _ = moved(turn)
    place: complex = getattr(face, which)
    found = centroid(align(dot(place), face, PX, 512))
    assert abs(found - landed(face, place)) < 0.1


def test_a_level_face_lands_at_known_pixels() -> None:
    """Eyes 60 apart, mouth 50 below: the side is 4 x 60, the centre a tenth of the way from the eyes to the mouth."""
    face = Face(170 + 150j, 230 + 150j, 185 + 200j, 215 + 200j)
    for place, expected in (
        (170 + 150j, 44.5 + 57j),  # half of 120 - 30 and of 120 - 5, from the centre of the first pixel
        (200 + 200j, 59.5 + 82j),  # half of 120 and of 120 + 45
    ):
        found = centroid(align(dot(place), face, 120, 480))
        assert abs(found - expected) < 0.1


@pytest.mark.parametrize(("turn", "scale"), [(0.4, 1.0), (-2.0, 1.0), (0.0, 1.3), (1.0, 0.8)])
def test_turning_and_scaling_the_picture_changes_nothing_but_rounding(turn: float, scale: float) -> None:
    plain, _ = moved()
    face, factor = moved(turn, scale)
    a = np.asarray(align(drawn(1), plain, PX, 512), np.float64)
    b = np.asarray(align(drawn(factor), face, PX, 512), np.float64)
    inner = slice(PX // 8, -PX // 8)  # beyond the picture's border the two mirror other things
    assert np.abs(a - b)[inner, inner].mean() < 0.6 and np.abs(a - b)[inner, inner].max() < 6
    assert a.std() > 15  # it is no flat square


def test_a_large_face_is_shrunk_first_and_lands_at_the_same_place() -> None:
    face = Face(380 + 400j, 620 + 400j, 430 + 620j, 570 + 620j)  # its side is 960 px, 7 times 128
    found = centroid(align(dot(620 + 400j, (1000, 1000), 20), face, PX, 512))
    assert abs(found - landed(face, 620 + 400j)) < 0.3


def test_what_lacks_at_the_border_is_mirrored_and_fades_to_the_median() -> None:
    """A face in the corner of a picture that is light below and dark above."""
    face = Face(10 + 20j, 60 + 20j, 20 + 60j, 50 + 60j)
    pixels = np.full((240, 300, 3), 200, np.uint8)
    pixels[:, :, 1] = 60
    pixels[100:, :, 2] = 0
    out = np.asarray(align(Image.fromarray(pixels), face, PX, 512)).astype(int)
    assert (np.abs(out[..., 0] - 200) < 2).all() and (np.abs(out[..., 1] - 60) < 2).all()  # no black corner
    wide = np.random.default_rng(0).integers(0, 256, (240, 300, 3), dtype=np.uint8)
    noise = np.asarray(align(Image.fromarray(wide), face, PX, 512)).astype(float)
    there, beyond = noise[64:, 80:].std(), noise[:20, :20].std()
    assert beyond < there / 4  # blurred beyond, kept inside


def test_faces_inside_are_not_blurred() -> None:
    face, _ = moved()
    noise = np.random.default_rng(0).integers(0, 256, (800, 800, 3), dtype=np.uint8)
    face = Face(*(p + 200 + 220j for p in (face.eye_left, face.eye_right, face.mouth_left, face.mouth_right)))
    out = np.asarray(align(Image.fromarray(noise), face, 256, 512)).astype(float)
    assert out[:40, :40].std() == pytest.approx(out[100:140, 100:140].std(), rel=0.2)


@pytest.mark.parametrize(
    ("face", "why"),
    [
        (Face(5 + 5j, 5 + 5j, 5 + 5j, 5 + 5j), "no face"),
        (Face(complex("nan"), 5 + 5j, 5 + 9j, 7 + 9j), "no face"),
        (Face(1e9 + 1e9j, 1.1e9 + 1e9j, 1e9 + 1.1e9j, 1.1e9 + 1.1e9j), "outside"),
        (Face(-500 - 500j, -480 - 500j, -500 - 480j, -480 - 480j), "outside"),
        (Face(9e200 + 9e200j, 9.1e200 + 9e200j, 9e200 + 9.1e200j, 9.1e200 + 9.1e200j), "outside"),
    ],
)
def test_points_that_make_no_face_are_refused(face: Face, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        align(Image.new("RGB", (64, 64)), face, 32, 64)


def test_tiny_pictures_and_tiny_faces_do_not_crash() -> None:
    for size, scale in (((1, 1), 0.01), ((3, 200), 0.02), ((64, 64), 0.001), ((64, 64), 40)):
        face, _ = moved(0.3, scale, complex(size[0] / 2, size[1] / 2))
        assert align(Image.new("RGB", size, "red"), face, 32, 64).size == (32, 32)


PLACES = {"eye_left": [1, 2.5], "eye_right": [3, 2], "mouth_left": [1, 4], "mouth_right": [3, 4]}


def listed(tmp_path: Path, **changes: Any) -> Path:
    entry = {"image_url": "https://host/a.jpg", "raw_name": "a.jpg", "landmarks": PLACES, "more": 1, **changes}
    path = tmp_path / "faces.json"
    path.write_text(json.dumps({"0001.png": entry, "0002.png": {**entry, "landmarks": PLACES}}))
    return path


def test_a_list_of_faces_keeps_its_order(tmp_path: Path) -> None:
    faces = read_face_list(listed(tmp_path))
    assert list(faces) == ["0001.png", "0002.png"]
    assert faces["0001.png"].landmarks.face() == Face(1 + 2.5j, 3 + 2j, 1 + 4j, 3 + 4j)


@pytest.mark.parametrize("name", ["../a.jpg", "a/b.jpg", "..", "", "C:a.jpg", "a\\b.jpg", "a\0.jpg"])
def test_names_that_lead_out_of_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="no plain file name"):
        read_face_list(listed(tmp_path, raw_name=name))


def test_a_list_that_is_none_says_where_it_breaks(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"faces.json is no list of faces: 0001.png.landmarks.eye_left"):
        read_face_list(listed(tmp_path, landmarks={**PLACES, "eye_left": [1]}))
    (tmp_path / "faces.json").write_text("<html>log in</html>")
    with pytest.raises(DataError, match=r"faces.json is no list of faces"):
        read_face_list(tmp_path / "faces.json")
    with pytest.raises(DataError, match="fetch it first"):
        read_face_list(tmp_path / "nowhere.json")

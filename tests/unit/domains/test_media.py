"""Media are pure functions of a clean drawing and a seed."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from benchmark.domains.media import MEDIA, Fields, InMedium, apply_medium, draw_fields, drawn_in, no_fields, to_uint8
from benchmark.domains.toys import ToyPictures
from benchmark.errors import DataError, UnknownName

R = 32


def clean(n: int = 3) -> np.ndarray:
    """Toy drawings in 0 to 1."""
    return np.stack([image for _, image in ToyPictures("disks", n, R).draw(0, n)]) / 255


@pytest.mark.parametrize("name", MEDIA)
def test_a_medium_gives_images_in_range_that_depend_on_image_and_seed_alone(name: str) -> None:
    x, fields = clean(), draw_fields([5, 6, 7], R)
    drawn = apply_medium(name, x, fields)
    assert drawn.shape == x.shape and drawn.min() >= 0 and drawn.max() <= 1
    alone = apply_medium(name, x[1:2], draw_fields([6], R))
    np.testing.assert_array_equal(alone[0], drawn[1])
    other = apply_medium(name, x, draw_fields([8, 9, 10], R))
    assert 0.01 < np.abs(other - drawn).mean() < 0.25  # grain is seen, and does not hide the drawing


@pytest.mark.parametrize("name", MEDIA)
def test_a_medium_keeps_apart_what_the_drawing_keeps_apart(name: str) -> None:
    black_on_white = np.ones((1, 3, R, R))
    black_on_white[:, :, :, R // 2 :] = 0
    plain = apply_medium(name, black_on_white, no_fields(1))
    left, right = plain[0, :, :, : R // 2].mean(axis=(1, 2)), plain[0, :, :, R // 2 :].mean(axis=(1, 2))
    assert np.abs(left - right).max() > 0.5


def test_fields_have_zero_mean_and_unit_variance_at_every_resolution() -> None:
    for resolution in (16, 64, 128):
        fields = draw_fields(range(200), resolution)
        for name in ("grain", "tooth", "blotch", "tone", "exposure"):
            values = getattr(fields, name)
            assert values.std() == pytest.approx(1, abs=0.25) and abs(values.mean()) < 0.35, (name, resolution)


def test_ink_is_its_formula() -> None:
    x = np.full((1, 3, R, R), 0.25)
    zero = np.zeros((1, 1, 1, 1))
    fields = Fields(zero, zero + 1.0, zero + 0.5, zero, zero)
    paper = np.array([244, 238, 224]) / 255 * (1 + 0.05 + 0.05 * 0.5)
    expected = paper * (1 - 0.75 * (0.92 - 0.13 - 0.04))
    np.testing.assert_allclose(apply_medium("ink", x, fields)[0, :, 0, 0], np.minimum(expected, 1), rtol=1e-12)


def test_the_bytes_of_all_media_are_pinned() -> None:
    """So that another version of numpy or scipy that draws differently is noticed."""
    image = np.asarray(clean(1)[0] * 255 + 0.5, np.uint8)
    state = hashlib.sha256()
    for name in MEDIA:
        state.update(drawn_in(name, image).tobytes())
    assert state.hexdigest() == PINNED


PINNED = "931d28f00946495f32e1721848d4f3df7f39a1f47539e4c266036adce82b0b7b"


def test_equal_pictures_get_equal_grain_and_others_do_not() -> None:
    image = np.full((3, R, R), 255, np.uint8)
    other = image.copy()
    other[0, 0, 0] = 254
    assert np.array_equal(drawn_in("ink", image), drawn_in("ink", image.copy()))
    assert np.abs(drawn_in("ink", image)[:, 1:].astype(int) - drawn_in("ink", other)[:, 1:]).mean() > 1


def test_pictures_in_a_medium_have_another_recipe_and_as_many() -> None:
    toys = ToyPictures("disks", 9, R)
    drawn = InMedium(toys, "sepia", R)
    assert drawn.count == 9 and drawn.recipe() != toys.recipe() != InMedium(toys, "ink", R).recipe()
    labels = [label for label, _ in drawn.draw(2, 5)]
    assert labels == [label for label, _ in toys.draw(2, 5)]


def test_a_medium_that_does_not_exist_and_images_too_small_are_refused() -> None:
    with pytest.raises(UnknownName, match="charcoal"):
        InMedium(ToyPictures("disks", 9, R), "charcol", R)
    with pytest.raises(UnknownName, match="medium"):
        apply_medium("oil", clean(), no_fields(3))
    with pytest.raises(DataError, match="16 px or more, not 8 px"):
        InMedium(ToyPictures("disks", 9, 8), "ink", 8)


def test_rounding_is_half_up() -> None:
    assert to_uint8(np.array([0.0, 0.5 / 255, 0.49 / 255, 1.0])).tolist() == [0, 1, 0, 255]

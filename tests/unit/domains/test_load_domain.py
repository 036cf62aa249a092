"""Cards, splits, digests and the cache."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.domains import Domain, load_domain
from benchmark.domains import load as domains
from benchmark.domains.cards import card_shelf, list_cards
from benchmark.domains.load import pixel_digest
from benchmark.domains.media import drawn_in
from benchmark.errors import ConfigError, DataError, UnknownName

PACK = card_shelf() / "packs" / "pixel-art-32.zip"


def toy(cache: Path, name: str = "toy-disks", train: int = 20, test: int = 10) -> Domain:
    return load_domain(name, resolution=16, train=train, test=test, cache=cache)


def rows(images: np.ndarray) -> set[bytes]:
    return {image.tobytes() for image in images}


def test_cards_say_whose_drawings_these_are() -> None:
    cards = list_cards()
    assert {"open-peeps", "micah", "toon-head", "lorelei", "pixel-art", "adventurer", "croodles"} <= set(cards)
    assert not any("avataaars" in card.style for card in cards.values())
    for card in cards.values():
        assert card.licence in ("CC0 1.0", "CC BY 4.0")
        assert card.licence_url.startswith("https://creativecommons.org/")
        assert card.creator and card.attribution and card.distance
        assert "drawings" in card.notes and "not photographs" in card.notes
        assert card.probes is not None


def test_cards_agree_with_the_licence_in_the_style_itself() -> None:
    import json

    from benchmark.domains.drawings import _definition

    for card in list_cards().values():
        if card.kind == "dicebear":
            meta = json.loads(_definition(card.style))["meta"]
            assert (card.licence, card.licence_url) == (meta["license"]["name"], meta["license"]["url"])
            assert (card.creator, card.attribution) == (meta["creator"]["name"], meta["license"]["text"])


@pytest.mark.parametrize("name", sorted(list_cards()))
def test_every_domain_draws_what_its_card_promises(name: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a probe that does not match
        domain = load_domain(name, resolution=32, train=6, test=4, cache=tmp_path)
    assert domain.train.shape == (6, 3, 32, 32) and domain.test.shape == (4, 3, 32, 32)
    assert domain.train.dtype == domain.test.dtype == np.uint8
    assert len(rows(domain.train) | rows(domain.test)) == 10
    assert domain.train.std() > 20  # not blank
    card = list_cards()[name]
    if card.kind == "dicebear" and not card.medium:
        assert (domain.train[:, :, 0, 0] == 255).mean() > 0.6  # drawn on white


def test_splits_repeat_and_do_not_overlap(tmp_path: Path) -> None:
    one, two = toy(tmp_path / "a"), toy(tmp_path / "b")
    assert one.digest == two.digest
    np.testing.assert_array_equal(one.train, two.train)
    np.testing.assert_array_equal(one.test, two.test)
    assert not rows(one.train) & rows(one.test)


def test_held_out_images_do_not_depend_on_the_size_of_the_training_set(tmp_path: Path) -> None:
    few, many = toy(tmp_path, train=5), toy(tmp_path, train=30)
    np.testing.assert_array_equal(few.test, many.test)
    np.testing.assert_array_equal(few.train, many.train[:5])
    assert few.digest != many.digest


def test_digest_is_of_the_pixels_and_their_split(tmp_path: Path) -> None:
    domain = toy(tmp_path)
    train, test = domain.train.copy(), domain.test.copy()
    assert pixel_digest(train, test) == domain.digest
    assert pixel_digest(train[::-1], test) != domain.digest
    both = np.concatenate([train, test])
    assert pixel_digest(both[:21], both[21:]) != domain.digest
    test[3, 1, 4, 7] ^= 1
    assert pixel_digest(train, test) != domain.digest


def test_images_cannot_be_changed_by_accident(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="read-only"):
        toy(tmp_path).train[0, 0, 0, 0] = 1


def test_duplicates_are_dropped_and_asking_for_more_says_how_many_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_of = {"head": ["afro", "bun"], "expression": ["smile"]}
    never = {f"{part}Probability": 0 for part in ("accessories", "facialHair", "mask")}
    few = {**never, **{f"{part}Variant": names for part, names in one_of.items()}, "skinColor": ["#ffffff"]}
    card = list_cards()["open-peeps"].model_copy(update={"options": few, "seeds": 150, "probes": None})
    monkeypatch.setattr(domains, "list_cards", lambda: {"open-peeps": card})
    with pytest.raises(DataError, match=r"asked for 149 \+ 1 images, it has \d+ different ones") as caught:
        load_domain("open-peeps", resolution=16, train=149, test=1, cache=tmp_path)
    there_are = int(str(caught.value).split("it has ")[1].split()[0])
    assert 10 < there_are < 150
    domain = load_domain("open-peeps", resolution=16, train=there_are - 4, test=4, cache=tmp_path)
    assert len(rows(domain.train) | rows(domain.test)) == there_are


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "no json", "foreign json", "not an array"])
def test_a_damaged_cache_is_drawn_again(damage: str, tmp_path: Path) -> None:
    first = toy(tmp_path)
    digest = first.digest
    (array,), (about,) = tmp_path.glob("*.npy"), tmp_path.glob("*.json")
    data = bytearray(array.read_bytes())
    if damage == "cut":
        array.write_bytes(data[:-100])
    elif damage == "flip":
        data[-1] ^= 1
        array.write_bytes(data)
    elif damage == "empty":
        array.write_bytes(b"")
    elif damage == "no json":
        about.unlink()
    elif damage == "foreign json":
        about.write_text("[]")
    else:
        array.write_bytes(b"PK\x03\x04" + bytes(200))
    again = toy(tmp_path)
    assert again.digest == digest == pixel_digest(again.train, again.test)


def test_the_cache_is_used(tmp_path: Path) -> None:
    toy(tmp_path)
    drawn = []

    def watch(items: Iterable[Any], total: int, text: str) -> Iterable[Any]:
        drawn.append((total, text))
        return items

    load_domain("toy-disks", resolution=16, train=20, test=10, cache=tmp_path, progress=watch)
    assert drawn == []
    load_domain("toy-disks", resolution=16, train=21, test=10, cache=tmp_path, progress=watch)
    assert drawn == [(31, "draw toy-disks")]
    assert not list(tmp_path.glob(".drawing-*"))


def _load_and_count(cache: str) -> tuple[str, int]:
    drawn = []

    def watch(items: Iterable[Any], total: int, text: str) -> Iterable[Any]:
        drawn.append(text)
        return items

    domain = load_domain("toy-rings", resolution=32, train=1000, test=500, cache=Path(cache), progress=watch)
    return domain.digest, len(drawn)


def test_processes_that_start_together_draw_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        answers = list(pool.map(_load_and_count, [str(tmp_path)] * 2, chunksize=1))
    assert answers[0][0] == answers[1][0]
    assert sum(count for _, count in answers) == 1


def test_many_drawings_in_a_pool_equal_the_same_drawings_alone(tmp_path: Path) -> None:
    from benchmark.domains.drawings import POOL_FROM, Drawings

    pictures = Drawings("pixel-art", "pixel-art", {}, 10_000, 16)
    pooled = [image for _, image in pictures.draw(0, POOL_FROM + 1)]
    alone = [image for start in (0, 251) for _, image in pictures.draw(start, start + 251)]
    np.testing.assert_array_equal(pooled, alone[: POOL_FROM + 1])


def test_other_pixels_than_the_card_promises_warn_and_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = list_cards()["toy-disks"]
    assert card.probes is not None
    changed = card.model_copy(update={"probes": card.probes.model_copy(update={"sha256": "0" * 64})})
    honest = toy(tmp_path)
    monkeypatch.setattr(domains, "list_cards", lambda: {"toy-disks": changed})
    with pytest.warns(UserWarning, match="'toy-disks' is drawn differently"):
        domain = toy(tmp_path)
    assert domain.digest == honest.digest  # the digest is of what was drawn


def test_options_and_seeds_change_the_pictures() -> None:
    from benchmark.domains.drawings import Drawings

    bald = Drawings("micah", "micah", {"hairProbability": 0}, 10, 32)
    haired = Drawings("micah", "micah", {}, 10, 32)
    other = Drawings("other", "micah", {}, 10, 32)
    assert bald.recipe() != haired.recipe() != other.recipe()
    pictures = [np.stack([image for _, image in source.draw(0, 4)]) for source in (bald, haired, other)]
    assert not np.array_equal(pictures[0], pictures[1]) and not np.array_equal(pictures[1], pictures[2])


def test_bad_requests_get_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="unknown domain 'mica': did you mean micah"):
        load_domain("mica", 64, 10, 10, tmp_path)
    with pytest.raises(DataError, match="no folder or ZIP of images"):
        load_domain("./nowhere", 64, 10, 10, tmp_path)
    with pytest.raises(ConfigError, match="asked for 0 \\+ 10"):
        load_domain("toy-disks", 64, 0, 10, tmp_path)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="choose another cache"):
        toy(tmp_path / "file" / "cache")


def test_the_pack_is_small_and_a_path_is_a_domain(tmp_path: Path) -> None:
    assert PACK.stat().st_size < 100_000
    domain = load_domain(str(PACK), resolution=32, train=32, test=16, cache=tmp_path)
    assert domain.train.shape == (32, 3, 32, 32) and domain.test.shape == (16, 3, 32, 32)
    assert domain.card.kind == "zip" and domain.card.found == 48 and domain.card.digest == domain.digest
    assert domain.skipped == ()


def test_a_card_goes_before_a_folder_of_the_same_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "toy-disks").mkdir()
    monkeypatch.chdir(tmp_path)
    assert toy(tmp_path / "cache").card.kind == "toy"


def test_the_ten_images_of_the_few_shot_suite_are_those_that_it_names(tmp_path: Path) -> None:
    from benchmark.domains.drawings import Drawings

    ten = load_domain("micah", resolution=32, train=10, test=1000, cache=tmp_path).train
    card = list_cards()["micah"]
    named = Drawings("micah", card.style, card.options, card.seeds, 32).draw(1000, 1010)
    np.testing.assert_array_equal(ten, np.stack([image for _, image in named]))


def test_own_images_can_be_drawn_in_a_medium(tmp_path: Path) -> None:
    plain = load_domain(str(PACK), resolution=32, train=32, test=16, cache=tmp_path)
    drawn = load_domain(str(PACK), resolution=32, train=32, test=16, cache=tmp_path, medium="charcoal")
    assert drawn.name == f"{plain.name}-charcoal" and drawn.card.medium == "charcoal" and drawn.digest != plain.digest
    assert drawn.train.shape == plain.train.shape
    assert np.array_equal(drawn.train[3], drawn_in("charcoal", plain.train[3]))
    again = load_domain(str(PACK), resolution=32, train=32, test=16, cache=tmp_path / "other", medium="charcoal")
    assert again.digest == drawn.digest


def test_media_that_do_not_exist_and_domains_that_have_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean charcoal"):
        load_domain(str(PACK), resolution=32, train=32, test=16, cache=tmp_path, medium="charcol")
    with pytest.raises(ConfigError, match=r"'open-peeps' has a card; .*peeps-charcoal"):
        load_domain("open-peeps", resolution=32, train=32, test=16, cache=tmp_path, medium="charcoal")
    with pytest.raises(DataError, match="16 px or more"):
        load_domain("peeps-ink", resolution=8, train=32, test=16, cache=tmp_path)

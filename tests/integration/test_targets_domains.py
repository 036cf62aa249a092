"""Every standard target from files in its card's layout to a domain, and what is said while they are missing."""

from __future__ import annotations

import json
import shlex
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command_line import Done
from image_files import noise, png

from benchmark.domains import Domain, load_domain, set_apart
from benchmark.domains.assets import Asset, find_target, list_targets, raw_folder
from benchmark.domains.prepare import prepare_target
from benchmark.errors import ConfigError, DataError, UnknownName

TARGETS = list_targets("target")
PX, ALL = 16, 10**6


def paths(pattern: str, names: tuple[str, ...]) -> list[str]:
    """Paths that a pattern such as `train/cat/*` or `*/sunglasses/*.png` finds."""
    folders, _, last = pattern.rpartition("/")
    ending = Path(last).suffix or ".png"
    made = [name if last == "*" and Path(name).suffix else f"{Path(name).stem}{ending}" for name in names]
    folder = folders.replace("*", "part")
    return [f"{folder}/{name}" if folder else name for name in made]


def stand_in(target: Asset, cache: Path, count: int = 30) -> None:
    """A ZIP of noise in the layout of a target, in the place of its fetched files."""
    raw = raw_folder(cache, target).raw
    raw.mkdir(parents=True)
    few = target.few_shot
    listed = few.names if few and few.names else ()
    if few and not listed and target.layout.test:
        count = few.shots  # the archive holds the shots alone, beside test images
    names = (*listed, *(f"img{number:05d}.png" for number in range(count)))
    if target.layout.landmarks:
        eyes = {"eye_left": [9, 9], "eye_right": [15, 9], "mouth_left": [10, 15], "mouth_right": [14, 15]}
        listing = {n: {"image_url": f"http://x/{n}", "raw_name": n, "landmarks": eyes} for n in names[:6]}
        (raw / target.layout.landmarks).parent.mkdir(parents=True, exist_ok=True)
        (raw / target.layout.landmarks).write_text(json.dumps(listing))
        names = names[:4]  # two links are dead
        patterns, tests = ["*"], []
    else:
        patterns, tests = list(target.layout.images[:1]), list(target.layout.test[:1])
    with zipfile.ZipFile(raw / "standin.zip", "w") as archive:
        for number, path in enumerate(p for pattern in patterns for p in paths(pattern, names)):
            archive.writestr(path, png(noise(number, 24)))
        for number, path in enumerate(
            p for pattern in tests for p in paths(pattern, tuple(f"t{n}.png" for n in range(9)))
        ):
            archive.writestr(path, png(noise(1000 + number, 24)))


@pytest.mark.parametrize("name", TARGETS)
def test_every_card_can_be_prepared_from_its_layout(name: str, tmp_path: Path) -> None:
    target = TARGETS[name]
    stand_in(target, tmp_path)
    prepare_target(target, tmp_path, [PX], workers=1)
    published = load_domain(name, PX, ALL, 0, tmp_path)
    assert published.test is published.train and len(published.train) > 0 and not published.held_out
    assert published.card.kind == "target" and published.card.licence == target.licence
    if target.few_shot and target.few_shot.names:
        assert len(published.train) == target.few_shot.shots
    try:
        held = load_domain(name, PX, ALL, ALL, tmp_path)
    except DataError as error:
        assert "no held-out images" in str(error) and not target.layout.test
        return
    assert held.held_out and len(held.test) > 0
    assert not {x.tobytes() for x in held.train} & {x.tobytes() for x in held.test}
    if target.splits.rule == "official":
        few = target.few_shot.shots if target.few_shot else 30
        assert (len(held.train), len(held.test)) == (few, 9) and held.train.shape == published.train.shape


@pytest.fixture
def cats(tmp_path: Path) -> Path:
    """A cache with AFHQ's cats, stand-ins, prepared at 16 px in two ways."""
    target = find_target("afhq-cat")
    stand_in(target, tmp_path)
    for filter_name in ("lanczos", "squash_bilinear"):
        prepare_target(target, tmp_path, [PX], filter_name, workers=1)  # type: ignore[arg-type]
    return tmp_path


def cat(cache: Path, train: int = ALL, test: int = ALL) -> Domain:
    return load_domain("afhq-cat", PX, train, test, cache)


def test_sizes_of_splits_are_upper_limits_and_small_ones_begin_large_ones(cats: Path) -> None:
    whole, part = cat(cats), cat(cats, 10, 4)
    np.testing.assert_array_equal(whole.train[:10], part.train)
    np.testing.assert_array_equal(whole.test[:4], part.test)
    assert whole.digest != part.digest and "30 training and 9 held-out" in whole.card.notes
    apart = set_apart(cat(cats, 25, 0), 20, 5)
    assert (len(apart.train), len(apart.selection)) == (20, 5) and apart.test is apart.train


def test_the_filter_is_part_of_the_domain(cats: Path) -> None:
    squashed = load_domain("afhq-cat", PX, ALL, ALL, cats, filter="squash_bilinear")
    assert squashed.digest != cat(cats).digest and "squash_bilinear" in squashed.card.notes
    with pytest.raises(ConfigError, match=r"split.filter=box is for standard targets, and 'toy-disks' is none"):
        load_domain("toy-disks", PX, 4, 4, cats, filter="box")


def test_a_domain_that_was_cached_does_not_survive_other_images(cats: Path) -> None:
    before = cat(cats).digest
    raw = raw_folder(cats, find_target("afhq-cat")).raw / "standin.zip"
    with zipfile.ZipFile(raw, "a") as archive:
        archive.writestr("afhq/train/cat/more.png", png(noise(77, 24)))
    prepare_target(find_target("afhq-cat"), cats, [PX], workers=1)
    after = cat(cats)
    assert after.digest != before and len(after.train) == 31


def test_a_missing_target_says_which_two_commands_get_it(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_domain("afhq-cat", 256, 10, 0, tmp_path, filter="box")
    said = str(caught.value)
    assert "\n" not in said
    for command in (
        "python -m benchmark datasets fetch afhq-cat",
        "python -m benchmark datasets prepare afhq-cat --resolution 256 --filter box",
    ):
        assert command in said
    with pytest.raises(UnknownName, match=r"did you mean .*afhq-cat"):
        load_domain("afhq-cta", 256, 10, 0, tmp_path)


def test_the_list_of_domains_shows_what_is_here(
    command: Callable[..., Done], cats: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCHMARK_CACHE", str(cats))
    monkeypatch.setenv("COLUMNS", "200")
    done = command("list", "domains")
    assert done.code == 0
    rows = {line.split()[1]: line for line in done.out.splitlines() if line.startswith("│")}
    assert "prepared: 16 px lanczos, 16 px squash_bilinear" in rows["afhq-cat"]
    others = [name for name in TARGETS if raw_folder(cats, TARGETS[name]) != raw_folder(cats, TARGETS["afhq-cat"])]
    assert others and all("not here" in rows[name] for name in others)


def test_a_run_on_a_missing_target_is_one_line(command: Callable[..., Done]) -> None:
    done = command(*shlex.split("run --suite smoke --methods finetune --domains afhq-cat"))
    assert done.code == 2 and len(done.err.strip().splitlines()) == 1
    assert "python -m benchmark datasets fetch afhq-cat" in done.err


def test_a_run_trains_on_a_prepared_target(
    command: Callable[..., Done], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The source of the smoke suite has 32 px."""
    monkeypatch.setenv("BENCHMARK_CACHE", str(tmp_path))
    target = find_target("afhq-cat")
    stand_in(target, tmp_path)
    prepare_target(target, tmp_path, [32], workers=1)
    quick = "--set train.kimg=0.016 --set eval.samples=8 --set eval.metrics=[fd_randconv] --set split.test=0"
    done = command(*shlex.split(f"run --suite smoke --methods finetune --domains afhq-cat {quick} --set eval.pairs=4"))
    assert done.code == 0, done.err
    records = [json.loads(path.read_text()) for path in tmp_path.rglob("records/*.json")]
    assert {"train": 30, "reference (the training images)": 30} in [r["settings"]["reals"] for r in records]

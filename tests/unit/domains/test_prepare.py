"""From raw files to prepared ZIPs: the layout's bytes, filters, splits, files that mean harm, and interruptions."""

from __future__ import annotations

import io
import json
import os
import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_files import noise
from PIL import Image
from pydantic import ValidationError

from benchmark.domains.assets import Asset, Lock, list_targets, target_folder
from benchmark.domains.pictures.archives import Archive
from benchmark.domains.pictures.faces import Face, align
from benchmark.domains.pictures.pixels import VERSION, cropped, scaled, to_square
from benchmark.domains.pictures.raw_images import raw_set, raw_target
from benchmark.domains.prepare import Made, prepare, prepare_target
from benchmark.domains.prepared import PreparedPictures, Provenance, read_provenance
from benchmark.errors import ConfigError, DataError


def picture(number: int, size: tuple[int, int] = (48, 40)) -> Image.Image:
    return Image.fromarray(noise(number, size[1], size[0]))


def saved(path: Path, image: Image.Image) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "pictures"
    for number in range(10):
        saved(root / f"part{number % 2}" / f"{number}.png", picture(number))
    return root


def made_of(path: Path, out: Path, *px: int, **settings: Any) -> dict[int, Made]:
    return prepare(raw_set(path), px or (32,), out, **settings)


def note_of(path: Path) -> Provenance:
    note = read_provenance(path)
    assert note is not None
    return note


def pictures(path: Path) -> dict[str, np.ndarray]:
    """Pixels [R,R,3] by the files they came from, read as NVIDIA's loader does: every image file, by Pillow."""
    note = note_of(path)
    Image.init()
    with zipfile.ZipFile(path) as archive:
        names = sorted(n for n in archive.namelist() if os.path.splitext(n)[1].lower() in Image.EXTENSION)
        arrays = [np.array(Image.open(io.BytesIO(archive.read(name)))) for name in names]
    return dict(zip([image.file for image in note.images], arrays, strict=True))


def test_the_layout_is_that_of_nvidias_tool(folder: Path, tmp_path: Path) -> None:
    made = made_of(folder, tmp_path / "out")[32]
    assert made == Made(tmp_path / "out" / "pictures-32-lanczos.zip", 10, 0, new=True)
    with zipfile.ZipFile(made.path) as archive:
        names = [f"00000/img{number:08d}.png" for number in range(10)]
        assert archive.namelist() == [*names, "dataset.json", "provenance.json"]
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        assert archive.getinfo(names[0]).file_size > 32 * 32 * 3  # the PNG is not compressed either
        assert json.loads(archive.read("dataset.json")) == {"labels": None}
    for file, pixels in pictures(made.path).items():
        expected = to_square(Image.open(folder / file), 32)
        np.testing.assert_array_equal(pixels.transpose(2, 0, 1), expected)


def test_bytes_do_not_depend_on_processes_place_or_company(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One process or three with an image at a time, one resolution alone or beside another, another place and date."""
    alone = [made_of(folder, tmp_path / "a", px, workers=1)[px].path.read_bytes() for px in (32, 16)]
    for file in folder.rglob("*.png"):
        os.utime(file, (1, 1))
    (tmp_path / "elsewhere").mkdir()
    moved = folder.rename(tmp_path / "elsewhere" / "pictures")
    monkeypatch.setattr("benchmark.domains.prepare.CHUNK_BYTES", 1)
    together = made_of(moved, tmp_path / "b", 32, 16, workers=3)
    assert [together[px].path.read_bytes() for px in (32, 16)] == alone


def test_every_image_is_decoded_once_for_all_resolutions(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    stream = Archive.stream

    def counted(self: Archive, name: str) -> io.BufferedReader | io.BytesIO:
        opened.append(name)
        return stream(self, name)

    raw = raw_set(folder)
    monkeypatch.setattr(Archive, "stream", counted)
    made = prepare(raw, (32, 16, 8), tmp_path / "out", workers=1)
    images = [name for name in opened if name.endswith(".png")]
    assert len(images) == len(set(images)) == 10 and [m.images for m in made.values()] == [10] * 3


@pytest.mark.parametrize("size", [(64, 64), (96, 40), (33, 70)])
def test_legacy_filters_are_what_the_old_tools_did(tmp_path: Path, size: tuple[int, int]) -> None:
    image = picture(1, size)
    saved(tmp_path / "set" / "a.png", image)
    squashed = made_of(tmp_path / "set", tmp_path / "out", filter="squash_bilinear")[32].path
    old = np.asarray(image.resize((32, 32), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(pictures(squashed)["a.png"], old)
    boxed = made_of(tmp_path / "set", tmp_path / "out", filter="box")[32].path
    side = min(size)
    left, top = (size[0] - side) // 2, (size[1] - side) // 2
    crop = image.crop((left, top, left + side, top + side))
    np.testing.assert_array_equal(pictures(boxed)["a.png"], np.asarray(crop.resize((32, 32), Image.Resampling.BOX)))
    assert note_of(boxed).filter == "box" and boxed.name == "set-32-box.zip"


def test_box_averages_whole_blocks(tmp_path: Path) -> None:
    image = picture(2, (64, 64))
    saved(tmp_path / "set" / "a.png", image)
    blocks = np.asarray(image, np.float64).reshape(16, 4, 16, 4, 3).mean((1, 3))
    path = made_of(tmp_path / "set", tmp_path / "out", 16, filter="box")[16].path
    assert np.abs(pictures(path)["a.png"] - blocks).max() <= 1  # Pillow rounds after rows and after columns


def test_what_is_no_usable_image_is_named_with_its_reason(folder: Path, tmp_path: Path) -> None:
    whole = (folder / "part0" / "0.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "notes.txt").write_text("hello")
    saved(folder / "small.png", picture(50, (20, 11)))
    saved(tmp_path / "secret.png", picture(51))
    (folder / "out.png").symlink_to(tmp_path / "secret.png")
    made = made_of(folder, tmp_path / "out", 32, 16, workers=1)
    assert made[32].images == 10 and made[16].images == 11  # the small one is large enough there
    reasons = dict(note_of(made[32].path).skipped)
    assert sorted(reasons) == ["cut.png", "notes.txt", "out.png", "small.png"]
    assert reasons["notes.txt"] == "not an image" and reasons["out.png"].startswith("link that leads out of the folder")
    assert reasons["small.png"] == "too small: 20x11 px, at least 16 px needed"
    assert reasons["cut.png"] and str(tmp_path) not in str(reasons)


def test_archives_that_mean_harm_are_refused(tmp_path: Path) -> None:
    climbing, bomb = tmp_path / "climbing.zip", tmp_path / "bomb.zip"
    with zipfile.ZipFile(climbing, "w") as archive:
        archive.writestr("../../out.png", b"x")
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros.png", bytes(80 << 20))
    with pytest.raises(DataError, match="leads out of it"):
        raw_set(climbing)
    with pytest.raises(DataError, match="would unpack to"):
        raw_set(bomb)
    link = zipfile.ZipInfo("link.png")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as archive:
        archive.writestr(link, str(climbing))
    with pytest.raises(DataError, match=r"no usable image at 32 px \(1 skipped: not an image\)"):
        made_of(tmp_path / "link.zip", tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.zip"))


def test_labels_of_the_source_come_along(folder: Path, tmp_path: Path) -> None:
    labels = [[f"part{n % 2}/{n}.png", n % 2] for n in range(10)]
    (folder / "dataset.json").write_text(json.dumps({"labels": labels}))
    (folder / "part0" / "0.png").write_text("no image")
    path = made_of(folder, tmp_path / "out")[32].path
    with zipfile.ZipFile(path) as archive:
        found = json.loads(archive.read("dataset.json"))["labels"]
    parts = [int(image.file[4]) for image in note_of(path).images]
    assert found == [[f"00000/img{number:08d}.png", part] for number, part in enumerate(parts)]
    saved(folder / "unknown.png", picture(60))  # no label: then none for all, as NVIDIA's tool has it
    with zipfile.ZipFile(made_of(folder, tmp_path / "out")[32].path) as archive:
        assert json.loads(archive.read("dataset.json")) == {"labels": None}


@pytest.mark.parametrize("label", [0.7, [0.2, 0.8], "1", True, None])
def test_labels_that_are_no_whole_numbers_are_left_out_and_named(folder: Path, tmp_path: Path, label: Any) -> None:
    labels = [[f"part{n % 2}/{n}.png", label if n == 3 else 1.0] for n in range(10)]
    (folder / "dataset.json").write_text(json.dumps({"labels": labels}))
    path = made_of(folder, tmp_path / "out")[32].path
    with zipfile.ZipFile(path) as archive:
        assert json.loads(archive.read("dataset.json")) == {"labels": None}
    assert note_of(path).skipped == (("dataset.json", "its labels are no whole numbers; left out"),)
    (folder / "dataset.json").write_text('{"labels": null}')
    assert note_of(made_of(folder, tmp_path / "out")[32].path).skipped == ()


def test_folders_whose_names_have_dots_do_not_share_a_zip(tmp_path: Path) -> None:
    out, paths = tmp_path / "out", []
    for number, name in enumerate(("faces.v1", "faces.v2")):
        saved(tmp_path / name / "a.png", picture(number))
        paths.append(made_of(tmp_path / name, out)[32].path.name)
    assert paths == ["faces.v1-32-lanczos.zip", "faces.v2-32-lanczos.zip"]
    with zipfile.ZipFile(tmp_path / "packed.v3.zip", "w") as archive:
        archive.write(tmp_path / "faces.v1" / "a.png", "a.png")
    assert made_of(tmp_path / "packed.v3.zip", out)[32].path.name == "packed.v3-32-lanczos.zip"


def test_the_zip_of_another_folder_is_not_replaced(tmp_path: Path) -> None:
    out, one, other = tmp_path / "out", tmp_path / "one" / "faces", tmp_path / "other" / "faces"
    for number in range(4):
        saved(one / f"{number}.png", picture(number))
        saved(other / f"{number + 3}.png", picture(number + 3))
    path = made_of(one, out)[32].path
    before = path.read_bytes()
    with pytest.raises(DataError, match=r"3 images that are not in faces, the first: 0.png; .*choose another --out"):
        made_of(other, out, 16, 32)
    assert path.read_bytes() == before and not list(out.glob("*-16-*"))
    saved(one / "9.png", picture(9))
    assert made_of(one, out)[32].images == 5, "a folder may grow"


def test_a_prepared_set_prepares_to_itself(folder: Path, tmp_path: Path) -> None:
    first = made_of(folder, tmp_path / "a")[32].path
    again = made_of(first, tmp_path / "b")[32]
    assert (again.images, again.skipped) == (10, 0)
    assert list(map(bytes, pictures(again.path).values())) == list(map(bytes, pictures(first).values()))


def test_what_is_there_is_kept_until_files_or_settings_change(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert made_of(folder, out, 32, 16)[32].new
    kept = made_of(folder, out, 32, 16, 8)
    assert [m.new for m in kept.values()] == [False, False, True] and kept[32].images == 10
    saved(folder / "part0" / "0.png", picture(0, (48, 44)))
    assert made_of(folder, out)[32].new
    (out / "pictures-32-lanczos.zip").write_bytes(b"half a ZIP")
    assert made_of(folder, out)[32].new and made_of(folder, out)[32].images == 10


def test_a_set_is_prepared_again_when_pixels_are_treated_in_another_way(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    before = note_of(made_of(folder, out)[32].path)
    monkeypatch.setattr("benchmark.domains.prepare.VERSION", 1 + VERSION)
    again = made_of(folder, out)[32]
    assert again.new and note_of(again.path).digest == before.digest  # keys of results follow the pixels


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_replaced_by_one_of_the_same_name_size_and_date_is_noticed(tmp_path: Path, packed: bool) -> None:
    """In a folder and in a ZIP; a copy with the same bytes and another date changes nothing."""
    root = tmp_path / "pictures"

    def store(level: int) -> Path:
        for number in range(6):
            root.mkdir(exist_ok=True)
            Image.fromarray(np.full((32, 32, 3), 40 * number + (level if number == 3 else 0), np.uint8)).save(
                root / f"{number}.bmp"
            )
            os.utime(root / f"{number}.bmp", (1e9, 1e9))
        if not packed:
            return root
        with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as archive:
            for file in sorted(root.iterdir()):
                archive.write(file, file.name)
        return tmp_path / "pictures.zip"

    out = tmp_path / "out"
    path = store(0)
    first = made_of(path, out)[32]
    os.utime(root / "1.bmp", (1.1e9, 1.1e9))
    assert first.new and not made_of(path, out)[32].new
    size = path.stat().st_size
    assert store(1).stat().st_size == size
    assert made_of(path, out)[32].new
    assert pictures(first.path)["3.bmp"][0, 0, 0] == 121


class Stopped(Exception):
    pass


def stops(items: Iterable[Any], total: int, text: str) -> Iterator[Any]:
    """A progress bar at which somebody loses patience after three images."""
    assert total == 10 and text == "prepare pictures"
    for number, item in enumerate(items):
        if number == 3:
            raise Stopped
        yield item


def test_an_interrupted_preparation_leaves_what_was_there(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    before = made_of(folder, out)[32].path.read_bytes()
    saved(folder / "part0" / "0.png", picture(0, (48, 44)))
    with pytest.raises(Stopped):
        made_of(folder, out, 32, 16, progress=stops)
    assert sorted(p.name for p in out.iterdir() if not p.name.endswith(".lock")) == ["pictures-32-lanczos.zip"]
    assert (out / "pictures-32-lanczos.zip").read_bytes() == before
    (out / ".pictures-32-lanczos.zip.0123.tmp").write_bytes(b"of a process that was killed")
    made_of(folder, out)
    assert not list(out.glob("*.tmp")) and not list(out.glob(".*.tmp"))


@pytest.mark.parametrize(("px", "filter"), [((), "lanczos"), ((2,), "lanczos"), ((9999,), "box"), ((32,), "nearest")])
def test_settings_that_make_no_sense(folder: Path, tmp_path: Path, px: tuple[int, ...], filter: Any) -> None:
    with pytest.raises(ConfigError, match=r"--resolution|--filter nearest: expected lanczos, box, squash_bilinear"):
        prepare(raw_set(folder), px, tmp_path / "out", filter)


def test_splits_by_name_do_not_change_when_images_come_or_go(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for number in range(60):
        saved(root / f"{number}.png", picture(number, (16, 16)))
    whole = {image.name: image.split for image in raw_set(root).images}
    (root / "7.png").unlink()
    (root / "8.png").rename(root / "8.jpg")  # neither the ending counts
    (root / "deep").mkdir()
    (root / "9.png").rename(root / "deep" / "9.png")  # nor the folder
    part = {image.name: image.split for image in raw_set(root).images}
    assert all(whole[f"{Path(name).stem}.png"] == split for name, split in part.items())
    assert 0.05 < sum(split == "test" for split in whole.values()) / 60 < 0.4


def card(**changes: Any) -> Asset:
    about = {"schema": 1, "name": "cats", "title": "Cats", "homepage": "", "licence": "none", "creator": "me"}
    about |= {"non_commercial": False, "files": [{"name": "cats.zip", "url": "http://localhost/cats.zip"}]}
    return Asset.model_validate({**about, "layout": {"images": ["cats/*"]}, **changes})


def zipped(cache: Path, names: Iterable[str], target: str = "cats", archive: str = "cats.zip") -> Path:
    raw = target_folder(cache, target).raw
    raw.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(raw / archive, "w") as file:
        for name in names:
            buffer = io.BytesIO()
            picture(sum(name.encode()), (32, 32)).save(buffer, "PNG")
            file.writestr(name, buffer.getvalue())
    return raw


def splits(target: Asset, cache: Path) -> dict[str, str]:
    return {image.name: image.split for image in raw_target(target, cache).images}


def test_official_splits_and_files_that_are_no_part_of_the_set(tmp_path: Path) -> None:
    zipped(tmp_path, ["a/train/cats/1.png", "a/val/cats/2.png", "a/train/dogs/3.png", "__MACOSX/train/cats/._1.png"])
    layout = {"images": ["train/cats/*"], "test": ["val/cats/*"]}
    target = card(layout=layout, splits={"rule": "official"})
    assert splits(target, tmp_path) == {"a/train/cats/1.png": "train", "a/val/cats/2.png": "test"}
    made = prepare_target(target, tmp_path, [16, 32])
    assert made[16].path == target_folder(tmp_path, "cats").prepared(16, "lanczos")
    assert note_of(made[32].path).rule == "official" and note_of(made[32].path).count("test") == 1


def test_listed_shots_are_trained_on_and_the_others_held_out(tmp_path: Path) -> None:
    zipped(tmp_path, [f"cats/{number}.png" for number in range(8)])
    shots = {"shots": 2, "names": ["5.png", "3.png"]}
    found = splits(card(few_shot=shots), tmp_path)
    assert sorted(name for name, split in found.items() if split == "train") == ["cats/3.png", "cats/5.png"]
    assert len(found) == 8
    with pytest.raises(DataError, match=r"2 shots, and 1 different images .* \(9.png is missing\)"):
        splits(card(few_shot={"shots": 2, "names": ["5.png", "9.png"]}), tmp_path)


def test_without_a_list_the_shots_are_ours_and_the_note_says_so(tmp_path: Path) -> None:
    zipped(tmp_path, [f"cats/{number}.png" for number in range(8)])
    target = card(few_shot={"shots": 3})
    raw = raw_target(target, tmp_path)
    assert raw.rule == "few_shot_by_name_hash" and [i.split for i in raw.images].count("train") == 3
    zipped(tmp_path, [f"cats/{number}.png" for number in range(3)] + [f"test/{number}.png" for number in range(4)])
    both = raw_target(card(few_shot={"shots": 3}, layout={"images": ["cats/*"], "test": ["test/*"]}), tmp_path)
    assert both.rule == "few_shot" and sorted(i.split for i in both.images) == ["test"] * 4 + ["train"] * 3


def test_shots_of_another_set_are_taken_from_its_files(tmp_path: Path) -> None:
    zipped(tmp_path, [f"cats/{number}.png" for number in range(4)], target="parent")
    target = card(name="few", files=[], files_of="parent", few_shot={"shots": 1, "names": ["2.png"]})
    made = prepare_target(target, tmp_path, [16])[16]
    assert made.images == 4 and made.path.parent.parent.name == "few"
    with pytest.raises(DataError, match=r"no images in .* first: python -m benchmark datasets fetch elsewhere"):
        raw_target(card(name="few", files=[], files_of="elsewhere", few_shot={"shots": 1}), tmp_path)


def test_loose_images_count_as_those_in_archives(tmp_path: Path) -> None:
    raw = zipped(tmp_path, ["cats/1.png"])
    saved(raw / "cats" / "2.png", picture(2))
    (raw / "cats" / "3.png.part").write_bytes(b"half a download")
    assert set(splits(card(), tmp_path)) == {"cats/1.png", "cats/2.png"}


def test_faces_are_cut_out_by_the_list_and_dead_links_recorded(tmp_path: Path) -> None:
    raw = target_folder(tmp_path, "cats").raw
    places = {"eye_left": [40, 40], "eye_right": [60, 40], "mouth_left": [42, 60], "mouth_right": [58, 60]}
    listed = {
        f"{number}.png": {"image_url": f"http://x/{number}", "raw_name": f"raw_{number}.jpg", "landmarks": places}
        for number in range(4)
    }
    listed["4.png"] = {**listed["0.png"], "landmarks": {**places, "eye_right": [40, 40], "mouth_left": [40, 40],
                                                        "mouth_right": [40, 40]}}  # fmt: skip
    saved(raw / "images" / "raw_0.jpg", picture(0, (120, 100)))
    (raw / "faces.json").write_text(json.dumps(listed))
    files = [{"name": "faces.json", "url": "http://x/faces.json"}]
    target = card(files=files, layout={"images": ["images/*"], "landmarks": "faces.json"})
    target_folder(tmp_path, "cats").write_lock(Lock(schema=1, dead={"raw_1.jpg": "HTTP 404"}))
    made = prepare_target(target, tmp_path, [16], filter="squash_bilinear", workers=1)[16]
    note = note_of(made.path)
    assert [image.file for image in note.images] == ["0.png"]
    assert dict(note.skipped) == {
        "1.png": "dead link: HTTP 404",
        "2.png": "picture was not fetched",
        "3.png": "picture was not fetched",
        "4.png": "eyes and mouth make no face",
    }
    assert len(note.digest) == 64


@pytest.mark.parametrize("turned", [1, 3, 6, 8])
def test_faces_are_cut_out_of_pictures_as_they_are_stored(tmp_path: Path, turned: int) -> None:
    """The authors' tool, whose landmarks these are, does not look at the EXIF turn."""
    raw, exif = target_folder(tmp_path, "cats").raw, Image.Exif()
    exif[0x0112] = turned
    (raw / "images").mkdir(parents=True)
    picture(0, (120, 100)).save(raw / "images" / "raw.png", exif=exif)
    places = {"eye_left": [40, 40], "eye_right": [60, 40], "mouth_left": [42, 60], "mouth_right": [58, 60]}
    listed = {"0.png": {"image_url": "http://x/0", "raw_name": "raw.png", "landmarks": places}}
    (raw / "faces.json").write_text(json.dumps(listed))
    files = [{"name": "faces.json", "url": "http://x/faces.json"}]
    target = card(files=files, layout={"images": ["images/*"], "landmarks": "faces.json"})
    (found,) = pictures(prepare_target(target, tmp_path, [16], workers=1)[16].path).values()
    face = Face(*(complex(*place) for place in places.values()))
    np.testing.assert_array_equal(found, scaled(cropped(align(picture(0, (120, 100)), face)), 16))


GROUP = r"^(.*)-\d\d$"


def paintings(cache: Path, count: int) -> None:
    """Two faces of each."""
    for number in range(2 * count):
        name = f"{number // 2:05d}-{number % 2:02d}.png"
        saved(target_folder(cache, "cats").raw / "cats" / name, picture(number, (32, 32)))


def test_images_of_one_group_are_on_one_side(tmp_path: Path) -> None:
    """Faces of one painting, as MetFaces names them."""
    paintings(tmp_path, 30)
    sides: dict[str, set[str]] = {}
    for name, side in splits(card(splits={"rule": "by_name_hash", "share": 0.3, "group": GROUP}), tmp_path).items():
        sides.setdefault(name.rpartition("-")[0], set()).add(side)
    assert len(sides) == 30 and {len(side) for side in sides.values()} == {1}
    assert {side for (side,) in sides.values()} == {"train", "test"}
    with pytest.raises(ValidationError, match="one pair of parentheses"):
        card(splits={"rule": "by_name_hash", "group": r"^.*-\d\d$"})
    assert list_targets()["metfaces"].splits.group == re.compile(GROUP)


def test_what_shows_the_same_as_a_shot_is_not_tested_on(tmp_path: Path) -> None:
    paintings(tmp_path, 6)
    about = {"splits": {"rule": "by_name_hash", "group": GROUP}, "few_shot": {"shots": 1, "names": ["00002-01.png"]}}
    raw = raw_target(card(**about), tmp_path)
    assert [i.name for i in raw.images if i.split == "train"] == ["cats/00002-01.png"] and len(raw.images) == 11
    assert raw.skipped == (("cats/00002-00.png", "shows what a shot shows"),)


def test_files_that_cannot_be_noted_are_named(tmp_path: Path) -> None:
    raw = zipped(tmp_path, ["cats/1.png"])
    for name in ("a:1.png", "a\\1.png"):
        saved(raw / "cats" / name, picture(2))
    found = raw_target(card(), tmp_path)
    assert [image.name for image in found.images] == ["cats/1.png"]
    assert [(name, reason.split(",")[0]) for name, reason in found.skipped] == [
        ("cats/a:1.png", "its name has a colon"),
        ("cats/a\\1.png", "its name has a colon"),
    ]


def test_faces_of_one_picture_are_on_one_side(tmp_path: Path) -> None:
    """Two faces of each of 30 pictures, under names of their own: none is tested on beside one that is trained on."""
    raw = target_folder(tmp_path, "cats").raw
    for number in range(30):
        saved(raw / "images" / f"art_{number}.png", picture(number, (60, 60)))
    eyes = {"eye_left": [20, 20], "eye_right": [40, 20], "mouth_left": [22, 40], "mouth_right": [38, 40]}
    smaller = {**eyes, "mouth_left": [24, 36], "mouth_right": [36, 36]}
    faces = {
        f"{number + 30 * second:05}.png": {
            "image_url": f"http://x/{number}",
            "raw_name": f"art_{number}.png",
            "landmarks": smaller if second else eyes,
        }
        for number in range(30)
        for second in (0, 1)
    }
    (raw / "faces.json").write_text(json.dumps(faces))
    files = [{"name": "faces.json", "url": "http://x/faces.json"}]
    layout = {"images": ["images/*"], "landmarks": "faces.json"}
    about = {"files": files, "layout": layout, "splits": {"rule": "by_name_hash", "share": 0.3}}
    found = raw_target(card(**about), tmp_path).images
    sides = {file: {image.split for image in found if image.file == file} for file in {i.file for i in found}}
    assert len(found) == 60 and len(sides) == 30 and all(len(side) == 1 for side in sides.values())
    assert {split for (split,) in sides.values()} == {"train", "test"}


def prepared_numbers(tmp_path: Path, count: int = 40, copies: int = 0) -> Path:
    root = tmp_path / "set"
    for number in range(count):
        saved(root / f"{number}.png", picture(number, (16, 16)))
    for number in range(copies):
        picture(number, (16, 16)).save(root / f"copy-of-{number}.png", compress_level=0)  # other bytes, the same pixels
    return made_of(root, tmp_path / "out", 16)[16].path


def drawn(path: Path, train: int, test: int) -> tuple[PreparedPictures, list[str]]:
    found = PreparedPictures(path, note_of(path), train, test)
    return found, [label for label, _ in found.draw(0, found.count)]


def test_a_small_split_is_the_beginning_of_a_large_one(tmp_path: Path) -> None:
    path = prepared_numbers(tmp_path)
    all_of, names = drawn(path, 10**6, 10**6)
    held = all_of.held_out
    assert 0 < held < 20 and len(names) == 40
    few, first = drawn(path, 5, 3)
    assert few.held_out == 3 and first == names[:3] + names[held : held + 5]
    assert few.recipe() != all_of.recipe()


def test_with_nothing_held_out_all_images_count_copies_too(tmp_path: Path) -> None:
    path = prepared_numbers(tmp_path, copies=6)
    published, names = drawn(path, 10**6, 0)
    assert published.held_out == 0 and len(names) == 46 and published.skipped == ()
    ours, different = drawn(path, 10**6, 10**6)
    assert len(different) == 40 and {reason for _, reason in ours.skipped} == {"same pixels as another image"}


SHOTS: dict[str, dict[str, Any]] = {
    "folder": {"few_shot": {"shots": 2}},
    "list": {"few_shot": {"shots": 2, "names": ["0.png", "1.png"]}},
    "official": {},
}


@pytest.mark.parametrize("packed", [0, 6])
@pytest.mark.parametrize("rule", SHOTS)
def test_shots_among_the_test_images_are_kept_apart(tmp_path: Path, rule: str, packed: int) -> None:
    """A shot stays a shot, whether the test image has its bytes or its pixels alone; but an official test split is the
    same for everybody."""
    raw = zipped(tmp_path, ["cats/0.png", "test/3.png"])
    saved(raw / "cats" / "1.png", picture(1))
    (raw / "test").mkdir()
    picture(1).save(raw / "test" / "1.png", compress_level=packed)
    assert ((raw / "test/1.png").read_bytes() == (raw / "cats/1.png").read_bytes()) == (packed == 6)
    about = {"layout": {"images": ["cats/*"], "test": ["test/*"]}, "splits": {"rule": "official"}}
    few, kept = SHOTS[rule], "test/1.png" if rule == "official" else "cats/1.png"
    path = prepare_target(card(**about, **few), tmp_path, [16], workers=1)[16].path
    found, names = drawn(path, 99, 99)
    assert set(names) == {"cats/0.png", "test/3.png", kept} and len(found.skipped) == 1
    assert found.held_out == (2 if rule == "official" else 1)


@pytest.mark.parametrize("what", ["pixels", "cut", "note"])
def test_a_damaged_prepared_set_says_so(tmp_path: Path, what: str) -> None:
    path = prepared_numbers(tmp_path, 4)
    note = note_of(path)
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    first = "00000/img00000000.png"
    content[first] = content["00000/img00000001.png"] if what == "pixels" else content[first][:90]
    if what == "note":
        content["provenance.json"] = b"{}"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    with pytest.raises(DataError, match=r"prepare (the set|it) again"):
        if what == "note":
            read_provenance(path)
        list(PreparedPictures(path, note, 10, 0).draw(0, 4))


@pytest.mark.parametrize("name", ["cats [2024]", "a*", "what?", "[!x]", "50% {a,b}"])
def test_a_folder_whose_name_is_a_pattern_is_prepared_and_only_its_own_leftovers_go(tmp_path: Path, name: str) -> None:
    for number in range(4):
        saved(tmp_path / name / f"{number}.png", picture(number))
    out = tmp_path / "out"
    out.mkdir()
    own = out / f".{name}-32-lanczos.zip.{'0' * 32}.tmp"
    others = [out / f".{other}-32-lanczos.zip.{'0' * 32}.tmp" for other in ("cats 2", "ab", "whats", "y", "50% a")]
    for path in (own, *others):
        path.write_text("half")
    (made,) = made_of(tmp_path / name, out, workers=1).values()
    assert made.new and made.images == 4 and len(pictures(made.path)) == 4
    assert not own.exists() and all(path.exists() for path in others)

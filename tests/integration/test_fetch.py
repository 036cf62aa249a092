"""`datasets fetch`, `info`, `prepare` and `verify` by the real command line, with sites on this machine."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from command_line import Done
from hostile_site import Answer, Site, file, open_site, page, status
from image_files import noise, png
from nvidia_pickle import write_pickle

from benchmark.config import NetConfig
from benchmark.domains import assets as targets
from benchmark.stylegan2 import Nets

Command = Callable[..., Done]
FETCH = ("datasets", "fetch")
ONCE = ("--tries", "1")
EYES = {"eye_left": [24, 28], "eye_right": [40, 28], "mouth_left": [27, 42], "mouth_right": [37, 42]}


@pytest.fixture
def site() -> Iterator[Site]:
    with open_site() as opened:
        yield opened


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command) -> Path:
    """An empty shelf of cards, and an empty cache; `command` is only asked for so that ours are set after its own."""
    monkeypatch.setattr(targets, "card_shelf", lambda: tmp_path / "shelf")
    monkeypatch.setenv("BENCHMARK_CACHE", str(tmp_path / "cache"))
    for kind in ("targets", "sources"):
        (tmp_path / "shelf" / kind).mkdir(parents=True)
    return tmp_path / "shelf/targets"


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return tmp_path / "cache/targets/birds/raw"


def card(shelf: Path, *files: dict[str, Any], name: str = "birds", **more: Any) -> None:
    said = {"schema": 1, "name": name, "title": "Birds", "homepage": "https://example.org", "licence": "CC BY-NC 4.0"}
    said |= {"non_commercial": True, "creator": "An Author", "count": None, "layout": {"images": ["*.png"]}}
    (shelf / f"{name}.yaml").write_text(yaml.safe_dump(said | ({"files": list(files)} if files else {}) | more))


def picture(seed: int) -> bytes:
    return png(noise(seed, 64))


def zip_of(count: int, seed: int = 0) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for i in range(count):
            archive.writestr(f"images/{i:05d}.png", picture(seed + i))
    return buffer.getvalue()


def good(done: Done) -> str:
    assert done.code == 0, done.out + done.err
    return done.out


def bad(done: Done) -> str:
    assert done.code == 2, done.out + done.err
    assert "Traceback" not in done.err
    return done.err


def test_from_nothing_to_a_prepared_set(command: Command, shelf: Path, site: Site, raw: Path) -> None:
    data = zip_of(6)
    hashed = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    card(shelf, {"name": "birds.zip", "url": site.says("/b.zip", file(data)), **hashed}, count=6)
    refused = bad(command(*FETCH, "birds"))
    assert "birds is by An Author, licence: CC BY-NC 4.0; not for commercial use" in refused
    assert "add --accept-licence" in refused and not site.asked
    assert "6 files" not in good(command(*FETCH, "birds", "--accept-licence"))
    (raw / "birds.zip").unlink()
    said = good(command(*FETCH, "birds"))  # accepted once
    assert f"birds: 1 files, {len(data) / 1e9:.3g} GB" in said
    assert "next: python -m benchmark datasets prepare birds --resolution 256" in said
    assert len(site.asked) == 2
    good(command(*FETCH, "birds"))
    assert len(site.asked) == 2, "what is here was asked for again"
    assert "1 of them with a published hash" in good(command("datasets", "verify", "birds"))
    assert "16 px: 6 images in" in good(command("datasets", "prepare", "birds", "--resolution", "16"))
    verified = good(command("datasets", "verify", "birds"))
    assert "6 images, as published" in verified and "birds-16-lanczos.zip: 6 images as prepared" in verified
    known = good(command("datasets", "info", "birds"))
    assert "An Author" in known and "CC BY-NC 4.0" in known


def test_the_first_download_is_trusted_and_locked(command: Command, shelf: Path, site: Site, raw: Path) -> None:
    card(shelf, {"name": "birds.zip", "url": site.says("/b.zip", file(zip_of(3)))})
    good(command(*FETCH, "birds", "--accept-licence"))
    (raw / "birds.zip").unlink()
    site.says("/b.zip", file(zip_of(3, seed=50), '"v2"'))
    assert "was it published again, or altered? To trust it as it is now, remove" in bad(command(*FETCH, "birds"))
    assert not (raw / "birds.zip").exists()
    (raw.parent / "lock.json").unlink()
    good(command(*FETCH, "birds"))
    flipped = bytearray((raw / "birds.zip").read_bytes())
    flipped[100] ^= 1
    (raw / "birds.zip").write_bytes(flipped)
    assert "when it was first fetched" in bad(command("datasets", "verify", "birds"))
    assert "has other bytes than when it was first fetched" in bad(command(*FETCH, "birds"))
    (raw / "birds.zip").write_bytes(flipped[:-9])
    assert "it had" in bad(command(*FETCH, "birds"))


def test_a_set_with_images_missing_is_said_to_have(command: Command, shelf: Path, site: Site) -> None:
    card(shelf, {"name": "birds.zip", "url": site.says("/b.zip", file(zip_of(3)))}, count=4)
    assert "3 images found, its card says 4" in bad(command(*FETCH, "birds", "--accept-licence"))
    assert "3 images found, its card says 4" in bad(command("datasets", "verify", "birds"))


def test_a_killed_fetch_goes_on(command: Command, shelf: Path, site: Site, raw: Path) -> None:
    data = zip_of(40)
    card(shelf, {"name": "birds.zip", "url": site.says("/b.zip", file(data, stops_after=300_000))})
    said = bad(command(*FETCH, "birds", "--accept-licence", *ONCE))
    assert "run the same command again to resume" in said
    site.says("/b.zip", file(data))
    good(command(*FETCH, "birds", *ONCE))
    assert (raw / "birds.zip").read_bytes() == data
    assert site.ranges("/b.zip")[1] not in (None, "bytes=0-")


@pytest.mark.parametrize("answer", [page(), status(403), status(404)])
def test_where_a_login_is_needed_a_person_is_told_what_to_do(
    answer: Any, command: Command, shelf: Path, site: Site, raw: Path, tmp_path: Path
) -> None:
    how = "  1. Log in at https://example.org\n  2. Download birds.zip\n"
    card(shelf, {"name": "birds.zip", "url": site.says("/b.zip", answer), "login": how})
    done = command(*FETCH, "birds", "--accept-licence")
    assert "get it as described and give it with --from" in bad(done)
    assert "1. Log in at" in done.out + done.err and "2. Download birds.zip" in done.out + done.err
    got = tmp_path / "Downloads/birds (1).zip"
    got.parent.mkdir()
    got.write_bytes(zip_of(3))
    good(command(*FETCH, "birds", "--from", str(got)))
    assert "16 px: 3 images" in good(command("datasets", "prepare", "birds", "--resolution", "16"))
    assert got.is_file(), "the person's own file is kept"
    got.write_bytes(b"<!doctype html>")
    (raw / "birds.zip").unlink()
    (raw.parent / "lock.json").unlink()
    assert "is no whole ZIP (15 bytes)" in bad(command(*FETCH, "birds", "--from", str(got)))


def test_wrong_things_given(command: Command, shelf: Path, site: Site, tmp_path: Path) -> None:
    card(shelf, {"name": "birds.zip", "url": None, "login": "ask for it"})
    assert "no such file or folder" in bad(command(*FETCH, "birds", "--accept-licence", "--from", "nowhere"))
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats/readme.txt").write_text("cats")
    assert "nothing in it belongs to birds; expected birds.zip, *.png" in bad(
        command(*FETCH, "birds", "--from", "cats")
    )
    assert "which of birds.zip is it?" in bad(command(*FETCH, "birds", "--from", "cats/readme.txt"))
    assert "no images in" in bad(command("datasets", "prepare", "birds", "--resolution", "16"))
    assert "was not fetched" in bad(command("datasets", "verify", "birds"))
    assert "did you mean birds?" in bad(command(*FETCH, "brids")).lower()


def test_parts_of_a_set_share_its_files(command: Command, shelf: Path, site: Site) -> None:
    card(shelf, {"name": "birds.zip", "url": site.says("/b.zip", file(zip_of(5)))})
    card(shelf, name="first-birds", files_of="birds", layout={"images": ["images/0000[01].png"]}, count=2)
    good(command(*FETCH, "first-birds", "--accept-licence"))
    good(command(*FETCH, "birds"))  # the licence is the owner's
    assert len(site.asked) == 1
    assert "16 px: 2 images" in good(command("datasets", "prepare", "first-birds", "--resolution", "16"))


def dead(raw: Path) -> dict[str, str]:
    """The listed pictures that the lock says do not exist any more, and why."""
    found: dict[str, str] = json.loads((raw.parent / "lock.json").read_text())["dead"]
    return found


def listed(site: Site, count: int) -> bytes:
    faces = {}
    for i in range(count):
        url = site.says(f"/art/{i}.png", file(picture(i)))
        faces[f"{i:05d}.png"] = {"image_url": url, "raw_name": f"artist-{i}.png", "landmarks": EYES}
    return json.dumps(faces).encode()


def test_a_list_that_leads_to_this_machine_is_not_followed_unless_allowed(
    command: Command, shelf: Path, site: Site, raw: Path
) -> None:
    faces = listed(site, 2)
    layout = {"images": ["pictures/*"], "landmarks": "faces.json"}
    card(shelf, {"name": "faces.json", "url": site.says("/faces.json", file(faces))}, layout=layout)
    for i in range(2):
        site.says(f"/art/{i}.png", file(picture(i)))
    said = bad(command(*FETCH, "birds", "--accept-licence", *ONCE))
    assert "2 of 2 images could not be downloaded this time" in said
    assert "this machine or its network (127.0.0.1); if that is intended, add --local-addresses" in said
    assert [path for path, _ in site.asked] == ["/faces.json"] and dead(raw) == {}, "a network may send all names to it"
    good(command(*FETCH, "birds", "--local-addresses", *ONCE))
    assert len(list((raw / "pictures").iterdir())) == 2


def test_a_list_of_pictures_with_dead_links(
    command: Command, shelf: Path, site: Site, raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faces = listed(site, 9)
    site.says("/art/2.png", status(404))
    site.says("/art/5.png", status(410))
    site.says("/art/7.png", status(500))
    layout = {"images": ["pictures/*"], "landmarks": "faces.json"}
    entry = {"name": "faces.json", "url": site.says("/faces.json", file(faces, kind="application/json"))}
    card(shelf, entry, layout=layout)

    monkeypatch.setenv("BENCHMARK_LOCAL_ADDRESSES", "1")
    said = bad(command(*FETCH, "birds", "--accept-licence", *ONCE))
    assert "1 of 9 images could not be downloaded this time" in said and "/art/7.png: HTTP 500" in said
    assert dead(raw) == {"artist-2.png": "HTTP 404 Not Found", "artist-5.png": "HTTP 410 Gone"}
    asked = len(site.asked)
    site.says("/art/7.png", file(picture(7)))
    assert "2 listed images could not be downloaded" in good(command(*FETCH, "birds", *ONCE))
    assert [path for path, _ in site.asked[asked:]] == ["/art/7.png"], "the dead and the here are not asked for again"
    first = json.loads((raw.parent / "lock.json").read_text())["digest"]
    assert f"digest {first}" in good(command("datasets", "verify", "birds"))

    site.says("/art/2.png", file(picture(2)))
    assert "1 listed images could not be downloaded" in good(command(*FETCH, "birds", "--retry-dead", *ONCE))
    lock = json.loads((raw.parent / "lock.json").read_text())
    assert list(lock["dead"]) == ["artist-5.png"] and lock["digest"] != first, "other pictures, another digest"
    assert "16 px: 8 images, 1 skipped" in good(command("datasets", "prepare", "birds", "--resolution", "16"))
    assert site.most_at_once <= 2


def test_a_site_that_is_down_is_left_alone_soon(command: Command, shelf: Path, site: Site) -> None:
    faces = listed(site, 200)
    for i in range(200):
        site.says(f"/art/{i}.png", status(503))
    layout = {"images": ["pictures/*"], "landmarks": "faces.json"}
    card(shelf, {"name": "faces.json", "url": site.says("/faces.json", file(faces))}, layout=layout)
    said = bad(command(*FETCH, "birds", "--accept-licence", "--local-addresses", *ONCE))
    assert "20 images in a row could not be downloaded, the last: " in said and "HTTP 503" in said
    assert len(site.asked) < 40


@pytest.mark.parametrize("answer", [status(401), status(403), page(), status(404)], ids=["401", "403", "page", "404"])
def test_what_stands_in_the_way_half_way_is_no_dead_link(
    answer: Answer, command: Command, shelf: Path, site: Site, raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A content network's block, or the page of a network that wants a login, had all pictures left noted as dead."""
    monkeypatch.setenv("BENCHMARK_LOCAL_ADDRESSES", "1")
    faces = listed(site, 160)
    for i in range(30, 160):
        site.says(f"/art/{i}.png", answer)
    layout = {"images": ["pictures/*"], "landmarks": "faces.json"}
    card(shelf, {"name": "faces.json", "url": site.says("/faces.json", file(faces))}, layout=layout)
    said = bad(command(*FETCH, "birds", "--accept-licence", *ONCE))
    assert "20 images in a row could not be downloaded" in said and "Run the same command again to go on" in said
    assert len(site.asked) < 1 + 160 and 20 < len(list((raw / "pictures").glob("*.png"))) <= 30
    gone = "404" in said
    assert 20 <= len(dead(raw)) < 130 if gone else dead(raw) == {}
    listed(site, 160)
    good(command(*FETCH, "birds", *(["--retry-dead"] if gone else []), *ONCE))
    assert len(list((raw / "pictures").glob("*.png"))) == 160 and dead(raw) == {}


@pytest.mark.parametrize("answer", [status(401), status(403), page()], ids=["401", "403", "page"])
def test_single_pictures_that_are_refused_are_asked_for_again(
    answer: Answer, command: Command, shelf: Path, site: Site, raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCHMARK_LOCAL_ADDRESSES", "1")
    faces = listed(site, 4)
    site.says("/art/2.png", answer)
    layout = {"images": ["pictures/*"], "landmarks": "faces.json"}
    card(shelf, {"name": "faces.json", "url": site.says("/faces.json", file(faces))}, layout=layout)
    said = bad(command(*FETCH, "birds", "--accept-licence", *ONCE))
    assert "1 of 4 images could not be downloaded this time" in said and "or prepare the set without them" in said
    assert "16 px: 3 images, 1 skipped" in good(command("datasets", "prepare", "birds", "--resolution", "16"))
    listed(site, 4)
    good(command(*FETCH, "birds", *ONCE))
    assert dead(raw) == {}


def test_files_whose_names_no_lock_can_hold_are_named_and_left_out(
    command: Command, shelf: Path, site: Site, raw: Path
) -> None:
    card(shelf, layout={"images": ["given/*"]}, files=[{"name": "birds.zip", "login": "get it"}])
    given = raw.parents[3] / "given"
    given.mkdir()
    for seed, name in enumerate((b"good.png", b"a 12:30.png", b"b\\c.png", b"\xff.png")):
        Path(os.fsdecode(os.fsencode(given) + b"/" + name)).write_bytes(picture(seed))
    said = good(command(*FETCH, "birds", "--accept-licence", "--from", str(given)))
    assert "3 left out, the first: given/\\udcff.png (its name has a colon, a backslash" in said
    assert [path.name for path in (raw / "given").iterdir()] == ["good.png"]
    (raw / "given/a 12:30.png").write_bytes(picture(9))  # put there by hand
    said = good(command(*FETCH, "birds"))
    assert "1 left out, the first: given/a 12:30.png (its name has a colon" in said
    assert "1 files as first fetched" in good(command("datasets", "verify", "birds"))
    assert "16 px: 1 images, 1 skipped" in good(command("datasets", "prepare", "birds", "--resolution", "16"))


@pytest.mark.parametrize(
    ("faces", "why"),
    [
        (b"[]", "is no list of faces"),
        (b'{"a.png": {"image_url": "http://x", "raw_name": "../../a.png", "landmarks": 1}}', "is no list of faces"),
        (
            json.dumps({"a": {"image_url": "http://x", "raw_name": "../a.png", "landmarks": EYES}}).encode(),
            "is no plain file name; the list is refused",
        ),
    ],
)
def test_a_list_that_leads_astray_is_refused(faces: bytes, why: str, command: Command, shelf: Path, site: Site) -> None:
    layout = {"images": ["pictures/*"], "landmarks": "faces.json"}
    card(shelf, {"name": "faces.json", "url": site.says("/faces.json", file(faces))}, layout=layout)
    assert why in bad(command(*FETCH, "birds", "--accept-licence"))
    assert len(site.asked) == 1


def test_two_fetches_of_one_set_do_not_meet(command: Command, shelf: Path, site: Site, raw: Path) -> None:
    from filelock import FileLock

    card(shelf, {"name": "birds.zip", "url": site.says("/b.zip", file(zip_of(2)))})
    raw.mkdir(parents=True)
    with FileLock(raw.parent / ".fetch.lock"):
        assert "is being fetched by another process" in bad(command(*FETCH, "birds", "--accept-licence"))
    assert not site.asked


def test_a_pretrained_network_is_fetched_and_the_next_step_named(command: Command, shelf: Path, site: Site) -> None:
    entry = {"name": "net.pkl", "url": site.says("/net.pkl", file(b"\x80\x04stand-in"))}
    card(shelf.parent / "sources", entry, name="net", kind="source", layout={})
    said = good(command(*FETCH, "net", "--accept-licence"))
    assert "next: python -m benchmark sources import net\n" in said
    assert "1 files as first fetched" in good(command("datasets", "verify", "net"))
    assert "is a pretrained network, not an image set" in bad(
        command("datasets", "prepare", "net", "--resolution", "16")
    )


def test_a_pretrained_network_becomes_a_source_in_one_command(
    command: Command, shelf: Path, site: Site, tmp_path: Path
) -> None:
    sizes = {"z_dim": 8, "w_dim": 8, "mapping_layers": 2, "channel_base": 64, "channel_max": 8, "mbstd_group": 1}
    whole = write_pickle(tmp_path / "net.pkl", Nets.create(NetConfig(resolution=16, **sizes), seed=0)).read_bytes()
    card(shelf.parent / "sources", {"name": "net.pkl", "url": site.says("/net.pkl", file(whole))}, name="net",
         kind="source", layout={})  # fmt: skip
    assert "--accept-licence" in bad(command("sources", "fetch", "net")) and not site.asked
    said = good(command("sources", "fetch", "net", "--accept-licence"))
    assert (
        "imported; use it with: python -m benchmark run --suite own --source net --domains FOLDER\n" in said
        and "CC BY-NC 4.0" in said
    )
    asked = len(site.asked)
    assert "already imported; use it with" in good(command("sources", "fetch", "net")) and len(site.asked) == asked
    assert "did you mean net?" in bad(command("sources", "fetch", "nett"))


def test_images_of_ones_own_are_prepared_like_a_set(command: Command, shelf: Path, site: Site, tmp_path: Path) -> None:
    folder = tmp_path / "my drawings"
    folder.mkdir()
    for i in range(3):
        (folder / f"{i}.png").write_bytes(picture(i))
    (folder / "notes.png").write_text("no picture")
    made = good(command("datasets", "prepare", str(folder), "--resolution", "16", "--resolution", "32", "--out", "out"))
    assert "16 px: 3 images, 1 skipped" in made and "32 px: 3 images" in made
    with zipfile.ZipFile(tmp_path / "out/my drawings-16-lanczos.zip") as archive:
        assert sum(name.endswith(".png") for name in archive.namelist()) == 3
    card(shelf, {"name": "set.zip", "url": site.says("/set.zip", file(zip_of(1)))})
    assert "Leave the option out" in bad(command("datasets", "prepare", "birds", "--resolution", "16", "--out", "out"))
    assert "nowhere" in bad(command("datasets", "prepare", "nowhere", "--resolution", "16"))


def test_links_in_a_given_folder_do_not_lead_out_of_it(command: Command, shelf: Path, site: Site, raw: Path) -> None:
    card(shelf, layout={"images": ["given/*"]}, files=[{"name": "birds.zip", "login": "get it"}])
    given, private = raw.parents[3] / "given", raw.parents[3] / "private"
    for folder in (given, private):
        folder.mkdir()
    (private / "secret.png").write_bytes(picture(1))
    (given / "a.png").symlink_to(private / "secret.png")
    (given / "away").symlink_to(private)
    os.mkfifo(given / "pipe.png")
    said = bad(command(*FETCH, "birds", "--accept-licence", "--from", str(given)))
    assert "nothing in it belongs to birds" in said and "3 left out, the first: a.png (link that leads out" in said
    (given / "good.png").write_bytes(picture(2))
    (given / "again.png").symlink_to("good.png")
    assert "note: --from" in good(command(*FETCH, "birds", "--from", str(given)))
    kept = {path.name: path for path in (raw / "given").iterdir()}
    assert sorted(kept) == ["again.png", "good.png"] and not any(path.is_symlink() for path in kept.values())

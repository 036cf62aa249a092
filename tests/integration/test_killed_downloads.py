"""`datasets fetch` and `datasets prepare`, stopped in the middle by real signals: the same command goes on."""

from __future__ import annotations

import hashlib
import io
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from command_line import environment
from hostile_site import Site, file, open_site
from PIL import Image
from waiting import PATIENCE, comes

SIGNALS = {signal.SIGKILL: -signal.SIGKILL, signal.SIGINT: 130, signal.SIGTERM: 143}
SHELF = """
import signal, sys, time
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)
from benchmark.domains import assets, prepare
from benchmark.fetch.download import Line
object.__setattr__(Line().patience, "stall", 86400)
shelf = Path(sys.argv.pop(1))
assets.card_shelf = lambda: shelf
squares, parts = prepare.make_squares, []
def make_squares(task):
    parts.append(task)
    while len(parts) > 1 and Path("hold").exists():
        time.sleep(0.01)
    return squares(task)
prepare.make_squares = make_squares
if __name__ == "__main__":
    from benchmark.cli import main
    main()
"""
"""The command line with the cards of this test.

It would wait a day for a silent server, and the second part of a preparation waits while there is `hold`.
"""


@pytest.fixture
def site() -> Iterator[Site]:
    with open_site() as opened:
        yield opened


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """The command line with the cards of this test, in a process of its own."""
    (folder / "shelf/targets").mkdir(parents=True, exist_ok=True)
    (folder / "shelf/sources").mkdir(parents=True, exist_ok=True)
    (folder / "command.py").write_text(SHELF)
    return subprocess.Popen(
        [sys.executable, "command.py", str(folder / "shelf"), *arguments],
        cwd=folder,
        env=environment(folder / "cache"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


def stop(running: subprocess.Popen[str], number: signal.Signals, when: Callable[[], bool]) -> str:
    """Send the signal when the work has come so far; what the command said. Fails where it ended by itself."""
    assert comes(lambda: when() or running.poll() is not None)
    running.send_signal(number)
    _, said = running.communicate(timeout=PATIENCE)
    assert running.returncode == SIGNALS[number], said
    assert "Traceback" not in said
    return said


def finished(running: subprocess.Popen[str]) -> None:
    out, said = running.communicate(timeout=PATIENCE)
    assert running.returncode == 0, out + said


def pictures(count: int) -> list[Image.Image]:
    pixels = np.random.default_rng(0).integers(0, 256, (count, 160, 160, 3), dtype=np.uint8)
    return [Image.fromarray(one) for one in pixels]


def zip_of_pictures(count: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for i, image in enumerate(pictures(count)):
            with archive.open(f"{i}.png", "w") as member:
                image.save(member, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("number", SIGNALS)
def test_a_fetch_that_is_stopped_goes_on_where_it_was(number: signal.Signals, site: Site, tmp_path: Path) -> None:
    data = zip_of_pictures(20)
    more = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "md5": None}
    url = site.says("/b.zip", file(data, stops_after=300_000, stalls=True), file(data))
    said = {"schema": 1, "name": "birds", "title": "Birds", "homepage": "https://example.org", "licence": "CC0"}
    said |= {"non_commercial": False, "creator": "An Author", "count": None, "layout": {"images": ["*.png"]}}
    (tmp_path / "shelf/targets").mkdir(parents=True)
    card = said | {"files": [{"name": "birds.zip", "url": url, **more}]}
    (tmp_path / "shelf/targets/birds.yaml").write_text(yaml.safe_dump(card))
    raw = tmp_path / "cache/targets/birds/raw"
    part = raw / ".birds.zip.part"
    fetch = ("datasets", "fetch", "birds", "--accept-licence")
    stop(start(tmp_path, *fetch), number, lambda: part.exists() and part.stat().st_size >= 200_000)
    assert not (raw / "birds.zip").exists() and part.exists()
    finished(start(tmp_path, *fetch))
    assert (raw / "birds.zip").read_bytes() == data
    assert [path.name for path in raw.iterdir()] == ["birds.zip"], "something was left"
    assert str(site.ranges("/b.zip")[1]) > "bytes=2", "it began anew"


@pytest.mark.parametrize("number", SIGNALS)
def test_a_preparation_that_is_stopped_leaves_nothing_and_gives_the_same(
    number: signal.Signals, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    for i, image in enumerate(pictures(150)):
        image.save(tmp_path / f"mine/{i}.png")
    prepare = ("datasets", "prepare", "mine", "--resolution", "128", "--workers", "1", "--out")

    def half_way() -> bool:
        return any(path.stat().st_size > 500_000 for path in (tmp_path / "out").glob(".*.tmp"))

    (tmp_path / "hold").touch()
    stop(start(tmp_path, *prepare, "out"), number, half_way)
    (tmp_path / "hold").unlink()
    assert not list((tmp_path / "out").glob("*.zip"))
    finished(start(tmp_path, *prepare, "out"))
    finished(start(tmp_path, *prepare, "quiet"))
    (made,), (quiet,) = ([*(tmp_path / name).glob("*.zip")] for name in ("out", "quiet"))
    assert made.read_bytes() == quiet.read_bytes()
    assert not list((tmp_path / "out").glob(".*.tmp"))

"""The page of `demo` in a real browser: what a person presses does what it says, and nobody else is asked."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from command_line import Finished, python, start
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH: apt-get install chromium"),
    pytest.mark.skipif(find_spec("gradio") is None, reason="no Gradio: pip install '.[demo]'"),
]
PATIENCE = 120_000
"""Milliseconds; machines are busy."""


@pytest.fixture(scope="module")
def address(finished: Finished, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a page with two networks that have no control, beside those of the finished run."""
    folder = tmp_path_factory.mktemp("demo")
    shutil.copytree(finished.out, folder / "res")
    more = [word.replace("fixnoise", "fixnoise,freezed") for word in finished.arguments]
    done = python(more, cache, folder)
    assert done.code == 0, done.err
    running = start(("demo", "res", "--no-open", "--steps", "3"), cache, folder)
    try:
        assert running.stdout is not None
        line = running.stdout.readline()
        found = re.search(r"http://\S+:\d+", line)
        assert found, f"{line}{running.communicate(timeout=60)}"
        yield found[0]
    finally:
        ended(running)


def ended(running: subprocess.Popen[str]) -> tuple[str, str]:
    running.send_signal(signal.SIGINT)
    try:
        return running.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        running.kill()
        raise


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """The page; afterwards fails on any answer that did not come from this machine."""
    page, hosts = browser.new_page(), set[str]()
    page.set_default_timeout(PATIENCE)
    page.on("response", lambda answer: hosts.add(urlsplit(answer.url).hostname or ""))
    page.goto(address)
    expect(page.get_by_role("button", name="Generate")).to_be_visible(timeout=PATIENCE)
    yield page
    page.close()
    assert hosts <= {"127.0.0.1", ""}


def image(page: Page, label: str) -> Locator:
    return page.locator(f"div.block:has(label:has-text('{label}')) img").first


def seen(page: Page, label: str) -> np.ndarray:
    """The file behind an image of the page."""
    source = image(page, label).get_attribute("src")
    assert source is not None
    with Image.open(BytesIO(page.request.get(source).body())) as picture:
        return np.asarray(picture.convert("RGB"))


def changed(page: Page, label: str, before: str | None) -> str:
    """Waits until an image is another one; its address."""
    shown = image(page, label)
    expect(shown).to_be_visible(timeout=PATIENCE)
    expect(shown).not_to_have_attribute("src", before or "", timeout=PATIENCE)
    return str(shown.get_attribute("src"))


def choose(page: Page, label: str, value: str) -> None:
    page.get_by_label(label, exact=True).click()
    page.get_by_role("option", name=value, exact=True).click()


def test_a_latent_a_method_and_its_control_are_chosen(page: Page) -> None:
    page.get_by_role("button", name="Generate").click()
    first = changed(page, "generated", None)
    begun = seen(page, "generated")
    assert begun.shape == (384, 384, 3)
    page.get_by_label("latent (a seed)").fill("7")
    page.get_by_role("button", name="Generate").click()
    second = changed(page, "generated", first)
    assert (seen(page, "generated") != begun).any()
    choose(page, "network", "fixnoise on toy-rings, seed 0")
    expect(page.get_by_label("noise", exact=True)).to_have_value("1", timeout=PATIENCE)
    choose(page, "noise", "0.3")
    page.get_by_role("button", name="Generate").click()
    changed(page, "generated", second)


def test_an_uploaded_picture_is_translated_and_follows_the_control(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "drawing.png"
    Image.new("RGB", (64, 48), (200, 40, 90)).save(path)
    choose(page, "network", "fixnoise on toy-rings, seed 0")
    expect(page.get_by_label("noise", exact=True)).to_have_value("1", timeout=PATIENCE)
    page.get_by_role("tab", name="Translate a picture").click()
    page.locator("input[type=file]").first.set_input_files(str(path))
    expect(page.locator("a[download='drawing.png']")).to_be_visible(timeout=PATIENCE)  # it is uploaded
    page.get_by_role("button", name="Translate").click()
    before = changed(page, "translation", None)
    assert (seen(page, "picture") == (200, 40, 90)).all()
    expect(page.get_by_text("Found to ST-LPIPS")).to_be_visible(timeout=PATIENCE)
    choose(page, "noise", "0")
    changed(page, "translation", before)


def test_another_network_translates_the_picture_again_and_leaves_no_image_of_the_one_before(
    page: Page, tmp_path: Path
) -> None:
    """Neither of the two has a control, so that its value stays."""
    path = tmp_path / "drawing.png"
    Image.new("RGB", (48, 48), (40, 200, 90)).save(path)
    choose(page, "network", "finetune on toy-rings, seed 0")
    page.get_by_role("button", name="Generate").click()
    changed(page, "generated", None)
    page.get_by_role("tab", name="Translate a picture").click()
    page.locator("input[type=file]").first.set_input_files(str(path))
    expect(page.locator("a[download='drawing.png']")).to_be_visible(timeout=PATIENCE)  # it is uploaded
    page.get_by_role("button", name="Translate").click()
    first = changed(page, "translation", None)
    choose(page, "network", "freezed on toy-rings, seed 0")
    second = changed(page, "translation", first)
    choose(page, "network", "fixnoise on toy-rings, seed 0")
    changed(page, "translation", second)
    page.get_by_role("tab", name="Generate").click()
    expect(image(page, "generated")).to_have_count(0, timeout=PATIENCE)


@pytest.mark.parametrize("kind", ["text", "bomb"])
def test_what_is_no_picture_is_told_and_the_page_lives_on(page: Page, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "drawing.png"
    if kind == "text":
        path.write_text("hello")
    else:
        Image.new("1", (8000, 8000)).save(path)
    page.get_by_role("tab", name="Translate a picture").click()
    page.locator("input[type=file]").first.set_input_files(str(path))
    expect(page.locator("a[download='drawing.png']")).to_be_visible(timeout=PATIENCE)  # it is uploaded
    page.get_by_role("button", name="Translate").click()
    expect(page.get_by_text("not an image" if kind == "text" else "64000000 pixels")).to_be_visible(timeout=PATIENCE)
    page.get_by_role("tab", name="Generate").click()
    page.get_by_role("button", name="Generate").click()
    changed(page, "generated", None)


def test_files_above_the_limit_are_refused_by_the_server(address: str) -> None:
    boundary = "x" * 20
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    body = head.encode() + os.urandom(11 * 2**20) + f"\r\n--{boundary}--\r\n".encode()
    request = urllib.request.Request(f"{address}/gradio_api/upload", body)
    request.add_header("Content-Type", f"multipart/form-data; boundary={boundary}")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=60)
    assert refused.value.code == 413


def test_only_this_machine_is_asked_and_no_other_file_is_served(address: str, finished: Finished) -> None:
    with urllib.request.urlopen(address, timeout=60) as answer:
        policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy and "http" not in policy.replace("ws://127.0.0.1", "")
    record = next((finished.out / "records").glob("*.json"))
    for path in (record, Path("/etc/passwd")):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{address}/gradio_api/file={path}", timeout=60)
        assert refused.value.code in (403, 404)


def test_it_ends_at_ctrl_c_and_leaves_no_uploads(
    finished: Finished, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    running = start(("demo", str(finished.out), "--no-open"), cache, tmp_path)
    assert running.stdout is not None and "Ctrl-C ends it" in running.stdout.readline()
    assert list(tmp_path.glob("benchmark-demo-*"))
    out, err = ended(running)
    assert running.returncode == 130 and "Traceback" not in out + err, err
    assert not list(tmp_path.glob("benchmark-demo-*"))

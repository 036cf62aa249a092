"""The page of a results folder in a real browser: what a person presses does what it says, and nothing else happens."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, sync_playwright

from benchmark.report import write_report
from benchmark.results import CurvePoint, Doctor, MetricValue, ResultStore, RunRecord, Timing

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH: apt-get install chromium")

COLOURS = {0.0: 40, 0.5: 120, 1.0: 200}
"""Red of a strip by its control; the green of z is 30 z."""


def add(store: ResultStore, method: str, kid: float | None, red: int, **changes: Any) -> None:
    """A record whose strip has the given red and one green per z."""
    key = hashlib.sha256(repr((method, changes)).encode()).hexdigest()
    image = Image.new("RGB", (8 * 16, 16))
    for z in range(8):
        image.paste((red, 30 * z, 0), (16 * z, 0, 16 * z + 16, 16))
    store.samples.mkdir(parents=True, exist_ok=True)
    image.save(store.samples_path(key))
    measured = {
        "kid_net": MetricValue(value=kid, n=9, reason="no weights"),
        "quality_of_a_long_name": MetricValue(
            value=None if kid is None else 1 - kid, n=9, better="higher", reason="no"
        ),
        "consistency_x": MetricValue(value=0.3, n=9),
    }
    values = {"record_key": key, "train_key": key, "status": "done", "suite": "smoke", "domain": "rings", "seed": 0}
    values |= {"domain_digest": "00" * 32, "source": "src", "source_sha256": "ab" * 32, "method": method}
    values |= {"metrics": measured, "grid": f"samples/{key}.png", "timing": Timing(train_seconds=8, seconds_per_kimg=2)}
    store.write(RunRecord(**(values | changes)))


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of a run with two seeds of a method with a control, one that failed and names that mean harm."""
    store = ResultStore(tmp_path_factory.mktemp("page") / "run")
    for seed in (0, 1):
        add(store, "source", 0.9, 0, zero_step=True, seed=seed)
        for control, red in COLOURS.items():
            more = {"control_name": "noise", "control": control, "is_default_control": control == 1.0, "seed": seed}
            points = tuple(
                CurvePoint(kimg=k, seconds=20 * k + seed, metrics={"kid_net": MetricValue(value=(1 + seed) / k, n=9)})
                for k in (1, 2, 4)
            )
            more |= {"curve": points} if control == 1.0 else {}
            add(store, "fix", 0.03 + control / 100, red + seed, **more)
        add(store, "b<script>document.title='harm'</script>", 0.005, 9, seed=seed)
        add(store, "a" * 60, 0.1, 9, seed=seed, doctor=Doctor(passed=False, checks=14, failed=("argument order",)))
        add(store, "none", None, 9, seed=seed)
        add(store, "failing", 0, 9, seed=seed, status="failed", reason="out of memory " * 20)
    for record in store.read_all()[0]:
        if record.status == "done" and record.method == "fix" and record.is_default_control:
            path = store.samples / f"{record.record_key}-extremes.png"
            image = Image.new("RGB", (8 * 16, 2 * 16), (0, 0, 250))
            image.paste((250, 0, 0), (0, 0, 8 * 16, 16))
            image.save(path)
            store.write(record.model_copy(update={"extremes": f"samples/{path.name}"}))
    (store.out / "logs").mkdir()
    key = next(r.train_key for r in store.read_all()[0] if r.method == "fix")
    (store.out / "logs" / f"{key}.jsonl").write_text('{"images": 100, "losses": {"g": 1.0}}\n')
    return write_report(store.out).paths[-1].as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM)
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Callable[..., Page]]:
    """Opens the page; afterwards fails on anything in the console and on any request but the page's own."""
    said: list[str] = []
    asked: list[str] = []
    pages: list[Page] = []

    def call(width: int = 1200, scheme: Any = "light") -> Page:
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        pages.append(page)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(address)
        return page

    yield call
    for page in pages:
        page.close()
    assert not said
    assert [url for url in asked if not url.startswith("data:")] == [address] * len(pages)


def order(page: Page) -> list[str]:
    """The first letters of the methods in the first table, top to bottom."""
    return [name[:12].strip() for name in page.locator("table").first.locator("tbody th").all_inner_texts()]


FIRST = [
    "source (zero",
    "aaaaaaaaaaaa",
    "b<script>doc",
    "failing",
    "fix (noise=1",
    "fix (noise=0",
    "fix (noise=0",
    "none",
]
KID = [
    "source (zero",
    "b<script>doc",
    "fix (noise=0",
    "fix (noise=0",
    "fix (noise=1",
    "aaaaaaaaaaaa",
    "failing",
    "none",
]


def test_a_column_sorts_by_click_and_the_source_stays_on_top(visit: Callable[..., Page]) -> None:
    page = visit()
    head = page.locator("table").first.locator("th[aria-sort]").filter(has_text="kid_net")
    assert order(page) == FIRST
    for state, rows in (("ascending", KID), ("descending", [KID[0], *KID[5:0:-1], *KID[6:]]), ("none", FIRST)):
        head.get_by_role("button").click()
        assert (head.get_attribute("aria-sort"), order(page)) == (state, rows)


def test_a_column_sorts_by_keyboard_best_first(visit: Callable[..., Page]) -> None:
    page = visit()
    heads = page.locator("table").first.locator("th[aria-sort]")
    page.keyboard.press("Tab")  # the box that the table scrolls in
    for _ in range(3):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent").startswith("quality_")
    page.keyboard.press("Enter")
    assert order(page) == KID, "higher is better, so the highest comes first"
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    states = [head.get_attribute("aria-sort") for head in heads.all()]
    assert states == ["none", "ascending", "none", "none"] and order(page) == KID


def shown(tile: Locator) -> tuple[int, int]:
    """(red, green) in the middle of what a person sees."""
    with Image.open(BytesIO(tile.screenshot())) as picture:
        red, green, *_ = picture.convert("RGB").getpixel((picture.width // 2, picture.height // 2))  # type: ignore[misc]
    return red, green


def test_the_slider_moves_the_control_with_its_value_in_words(visit: Callable[..., Page]) -> None:
    player = visit().locator(".player")
    slider, image = player.get_by_role("slider", name="noise"), player.locator(".pair img").last
    assert player.get_by_role("status").inner_text() == "1 (default)" and shown(image) == (COLOURS[1.0], 0)
    slider.focus()
    for key, control, said in (("Home", 0.0, "0"), ("ArrowRight", 0.5, "0.5"), ("End", 1.0, "1 (default)")):
        slider.press(key)
        assert player.get_by_role("status").inner_text() == said == str(slider.get_attribute("aria-valuetext"))[6:]
        assert shown(image) == (COLOURS[control], 0)
        assert f"noise {control:g} on rings, seed 0" in str(image.get_attribute("alt"))
    box = slider.bounding_box()
    assert box is not None
    slider.click(position={"x": box["width"] / 2, "y": box["height"] / 2})
    assert shown(image) == (COLOURS[0.5], 0) and "35.00" in player.locator(".said").inner_text()


def test_a_latent_is_chosen_by_click_and_by_arrow_keys(visit: Callable[..., Page]) -> None:
    player = visit().locator(".player")
    source, image = player.locator(".pair img").first, player.locator(".pair img").last
    tiles = player.locator(".latents img")
    assert [shown(tile) for tile in tiles.all()] == [(COLOURS[1.0], 30 * z) for z in range(8)]
    tiles.nth(5).click()
    assert (shown(source), shown(image)) == ((0, 150), (COLOURS[1.0], 150))
    player.page.keyboard.press("ArrowRight")
    player.page.keyboard.press("ArrowRight")
    assert shown(image) == (COLOURS[1.0], 210) and player.get_by_role("radio", name="z7").is_checked()
    player.get_by_role("slider").press("Home")
    assert shown(image) == (COLOURS[0.0], 210), "the control moves, z stays"


def test_best_samples_stand_above_the_worst_and_failed_checks_above_all(visit: Callable[..., Page]) -> None:
    page = visit()
    best, worst = (page.get_by_role("img", name=f"fix, {end} on rings, seed 0") for end in ("nearest", "farthest"))
    for image, colour in ((best, (250, 0)), (worst, (0, 0))):
        image.scroll_into_view_if_needed()
        assert shown(image) == colour
    alarm, table = page.get_by_role("region", name="failed checks"), page.locator("table").first
    assert "argument order (2 of " in alarm.inner_text()
    boxes = [where.bounding_box() for where in (alarm, table, best, worst)]
    tops = [box["y"] for box in boxes if box is not None]
    assert len(tops) == 4 and tops == sorted(tops)


def test_curves_over_training_are_drawn_and_their_numbers_open_by_keyboard(visit: Callable[..., Page]) -> None:
    page = visit(360)
    chart = page.get_by_role("img", name="metrics over training on rings")
    box = chart.bounding_box()
    assert box is not None and box["height"] > 150
    numbers = page.get_by_role("region", name="Metrics over training on rings, table")
    assert not numbers.is_visible()
    page.locator("summary", has_text="The chart’s numbers").press("Enter")
    rows = [row.inner_text().split("\t") for row in numbers.locator("tbody").last.locator("tr").all()]
    assert rows[0] == ["fix", "1", "20.5", "1,500 (1,000 to 2,000)"] and len(rows) == 3
    numbers.get_by_role("button", name="kid_net").press("Enter")
    assert numbers.locator("tbody").last.locator("td").first.inner_text() == "4", "the smallest comes first"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_scrolls_only_downwards_and_everything_can_be_read(visit: Callable[..., Page], scheme: str) -> None:
    page = visit(360, scheme)
    for details in page.locator("details").all():
        details.locator("summary").press("Enter")
    assert page.locator("details:not([open])").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.title() == "smoke suite, source src", "no text became a script"
    boxes = page.locator(".scroll").all()
    assert all(box.get_attribute("tabindex") == "0" for box in boxes)
    ink, paper = (page.evaluate(f"getComputedStyle(document.body).{name}") for name in ("color", "backgroundColor"))
    dark = [sum(int(part) for part in colour[4:-1].split(",")) < 380 for colour in (ink, paper)]
    assert dark == ([True, False] if scheme == "light" else [False, True])
    box = page.locator(".player").bounding_box()
    assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= 360


def test_without_scripts_all_strips_are_there_and_no_dead_slider(browser: Browser, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    assert page.get_by_role("slider").count() == 0 and not page.locator(".player").is_visible()
    page.locator("summary").first.click()
    assert page.get_by_role("img", name="fix (noise=0.5)").first.is_visible()
    context.close()

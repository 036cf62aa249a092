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
from waiting import PATIENCE, comes

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
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, timeout=1000 * PATIENCE)
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
        page.set_default_timeout(1000 * PATIENCE)
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
    return [name.strip()[:12].strip() for name in page.locator("table").first.locator("tbody th").all_inner_texts()]


KID = ["source, unto", "b<script>doc", "fix (noise 1", "aaaaaaaaaaaa", "failing", "none"]
"""By mean KID, which is the order by rank: 0.005, 0.04, 0.1, then what has no number."""
NAMES = ["source, unto", "aaaaaaaaaaaa", "b<script>doc", "failing", "fix (noise 1", "none"]


def test_a_column_sorts_by_click_and_the_source_stays_on_top(visit: Callable[..., Page]) -> None:
    page = visit()
    heads = page.locator("table").first.locator("th[aria-sort]")
    kid, name = heads.filter(has_text="KID"), heads.first
    assert order(page) == KID
    for state, rows in (("ascending", NAMES), ("descending", [NAMES[0], *NAMES[:0:-1]]), ("none", KID)):
        name.get_by_role("button").click()
        assert (name.get_attribute("aria-sort"), order(page)) == (state, rows)
    for state, rows in (("ascending", KID), ("descending", [KID[0], *KID[3:0:-1], *KID[4:]])):
        kid.get_by_role("button").click()
        assert (kid.get_attribute("aria-sort"), order(page)) == (state, rows)


def test_a_column_sorts_by_keyboard_best_first(visit: Callable[..., Page]) -> None:
    page = visit()
    page.locator(".chosen select").select_option(label="quality_of_a_long_name")
    table = page.get_by_role("region", name="quality_of_a_long_name, table")
    button = table.get_by_role("button", name="quality_of_a_long_name")
    button.focus()
    page.keyboard.press("Enter")
    names = [name.strip()[:12].strip() for name in table.locator("tbody th").all_inner_texts()]
    assert names == KID, "higher is better, so the highest comes first"
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    assert [head.get_attribute("aria-sort") for head in table.locator("th[aria-sort]").all()] == ["ascending", "none"]


def test_the_first_screen_answers_without_scrolling(visit: Callable[..., Page]) -> None:
    page = visit(1280)
    said = page.locator(".verdict").inner_text()
    assert (
        said.startswith("No clear winner: with 2 seeds") and "b<script>document.title='harm'</script> on rings" in said
    )
    smooth = page.get_by_role("region", name="How smooth is each control?, table")
    assert " ".join(smooth.locator("tbody tr").inner_text().split()) == "fix (noise 0 to 1) – 0.300 to 0.300 – –"
    chart = page.get_by_role("img", name="KID against to source on rings")
    for what in (page.locator("table").first, chart):
        box = what.bounding_box()
        assert box is not None and box["y"] < 700 and box["x"] + box["width"] <= 1280
    places = (page.locator("table").first, smooth, page.locator("h2", has_text="In words"))
    below = [where.bounding_box() for where in places]
    tops = [box["y"] for box in below if box is not None]
    assert len(tops) == 3 and tops == sorted(tops), "controls stand right below the headline"


@pytest.mark.parametrize("width", [1280, 390])
def test_words_of_the_trade_off_are_read_without_zoom(visit: Callable[..., Page], width: int) -> None:
    page = visit(width)
    chart = page.get_by_role("img", name="KID against to source on rings")
    box, sizes = (
        chart.bounding_box(),
        chart.locator("text").evaluate_all("(all) => all.map((t) => t.getAttribute('font-size'))"),
    )
    assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= width
    scale = box["width"] / float(str(chart.get_attribute("width")))
    assert min(map(float, sizes)) * scale >= 10.5, "px on the screen"


def test_filters_hide_methods_everywhere_and_one_metric_is_shown_at_a_time(visit: Callable[..., Page]) -> None:
    page = visit()
    page.locator("summary", has_text="Methods").first.click()
    marks = page.locator("svg g[data-method='fix']")
    row = page.locator("table").first.locator("tr[data-method='fix']")
    assert row.is_visible() and marks.count() > 0
    page.get_by_role("checkbox", name="fix").uncheck()
    assert not row.is_visible() and not [one for one in marks.all() if one.is_visible()]
    assert not page.locator(".strip[data-method='fix']").first.is_visible()
    page.get_by_role("checkbox", name="fix").check()
    assert row.is_visible()
    tables = page.locator(".metric")
    assert [table.is_visible() for table in tables.all()] == [True, False, False]
    page.locator(".chosen select").select_option(label="consistency_x")
    assert [table.is_visible() for table in tables.all()] == [False, False, True]


def test_dark_and_light_can_be_chosen_whatever_the_system_says(visit: Callable[..., Page]) -> None:
    page = visit(scheme="dark")
    paper = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(paper)
    page.get_by_role("button", name="light").click()
    light = page.evaluate(paper)
    assert light == "rgb(255, 255, 255)" != dark
    page.get_by_role("button", name="dark").click()
    assert page.evaluate(paper) == dark


def test_a_number_leads_to_its_records(visit: Callable[..., Page]) -> None:
    page = visit()
    rows = page.locator(".records")
    assert not rows.locator("table").is_visible()
    page.locator("table").first.locator("tr[data-method='fix'] a.to").first.click()
    assert rows.locator("table").is_visible() and page.locator("tr:target").inner_text().count("fix") == 1


def test_all_methods_stand_side_by_side_at_one_latent(visit: Callable[..., Page]) -> None:
    page = visit()
    side = page.locator(".grid:not([hidden]) .side")
    slider = side.get_by_role("slider")
    slider.focus()
    slider.press("End")
    fix = side.locator("figure[data-method='fix'] img")
    assert shows(fix, (COLOURS[1.0], 210)) and slider.get_attribute("aria-valuetext") == "z7"
    slider.press("Home")
    assert shows(fix, (COLOURS[1.0], 0))
    assert side.locator("figcaption").first.inner_text() == "source, untouched"


def test_one_seed_of_images_is_shown_and_another_can_be_chosen(visit: Callable[..., Page]) -> None:
    page = visit()
    grids, choice = page.locator(".grid"), page.get_by_label("Seed")
    assert [grid.is_visible() for grid in grids.all()] == [True, False]
    assert "seed 0" in grids.nth(0).inner_text() and choice.locator("option").all_inner_texts() == ["0", "1"]
    choice.focus()
    choice.press("ArrowDown")
    assert [grid.is_visible() for grid in grids.all()] == [False, True] and "seed 1" in grids.nth(1).inner_text()
    assert shown(grids.nth(1).locator("figure[data-method='fix'] img")) == (COLOURS[1.0] + 1, 0)
    page.locator(".filters summary").click()
    page.locator(".filters input[type=checkbox]").first.click()
    assert [grid.is_visible() for grid in grids.all()] == [False, True], "a filter leaves the seed as chosen"


def shown(tile: Locator) -> tuple[int, int]:
    """(red, green) in the middle of what a person sees."""
    with Image.open(BytesIO(tile.screenshot())) as picture:
        red, green, *_ = picture.convert("RGB").getpixel((picture.width // 2, picture.height // 2))  # type: ignore[misc]
    return red, green


def shows(tile: Locator, colour: tuple[int, int]) -> bool:
    """Whether a person sees this colour, soon or later."""
    return comes(lambda: shown(tile) == colour, 60)


def test_the_slider_moves_the_control_with_its_value_in_words(visit: Callable[..., Page]) -> None:
    page = visit()
    player, stage = page.locator(".player"), page.locator(".control")
    slider, image = stage.get_by_role("slider", name="noise"), player.locator(".pair img").nth(1)
    marker = stage.locator(".now")

    def at() -> float:
        return float(str(marker.get_attribute("points")).split(",")[0])

    assert stage.get_by_role("status").inner_text() == "1 (default)" and shows(image, (COLOURS[1.0], 0))
    places = [at()]
    slider.focus()
    for key, control, said in (("Home", 0.0, "0"), ("ArrowRight", 0.5, "0.5"), ("End", 1.0, "1 (default)")):
        slider.press(key)
        places.append(at())
        assert stage.get_by_role("status").inner_text() == said == str(slider.get_attribute("aria-valuetext"))[6:]
        assert shows(image, (COLOURS[control], 0))
        assert f"noise {control:g} on rings, seed 0" in str(image.get_attribute("alt"))
    assert places[1] < places[2] < places[3] == places[0], "the marker moves along the curve"
    box = slider.bounding_box()
    curve = stage.locator(".curve svg").bounding_box()
    assert box is not None and curve is not None
    thumb = box["x"] + 8 - curve["x"]
    assert abs(thumb - places[1] * curve["width"] / 366) < 3, "the slider stands under the curve"
    slider.click(position={"x": box["width"] / 2, "y": box["height"] / 2})
    assert shows(image, (COLOURS[0.5], 0)) and "0.0350" in player.locator(".said").inner_text()


def test_a_latent_is_chosen_by_click_and_by_arrow_keys(visit: Callable[..., Page]) -> None:
    player = visit().locator(".player")
    source, image = player.locator(".pair img").first, player.locator(".pair img").nth(1)
    tiles = player.locator(".latents img")
    assert all(shows(tile, (COLOURS[1.0], 30 * z)) for z, tile in enumerate(tiles.all()))
    tiles.nth(5).click()
    assert shows(source, (0, 150)) and shows(image, (COLOURS[1.0], 150))
    player.page.keyboard.press("ArrowRight")
    player.page.keyboard.press("ArrowRight")
    assert shows(image, (COLOURS[1.0], 210)) and player.get_by_role("radio", name="z7").is_checked()
    player.page.locator(".control").get_by_role("slider").press("Home")
    assert shows(image, (COLOURS[0.0], 210)), "the control moves, z stays"


def test_best_samples_stand_above_the_worst_and_failed_checks_above_all(visit: Callable[..., Page]) -> None:
    page = visit()
    page.locator(".ends-all summary").click()
    best, worst = (page.get_by_role("img", name=f"fix, {end} on rings, seed 0") for end in ("nearest", "farthest"))
    for image, colour in ((best, (250, 0)), (worst, (0, 0))):
        image.scroll_into_view_if_needed()
        assert shows(image, colour)
    alarm, table = page.get_by_role("region", name="failed checks"), page.locator("table").first
    assert "argument order (2 of " in alarm.inner_text()
    boxes = [where.bounding_box() for where in (alarm, table, best, worst)]
    tops = [box["y"] for box in boxes if box is not None]
    assert len(tops) == 4 and tops == sorted(tops)


def test_curves_over_training_are_drawn_and_their_numbers_open_by_keyboard(visit: Callable[..., Page]) -> None:
    page = visit(360)
    chart = page.get_by_role("img", name="KID over kimg on rings")
    box = chart.bounding_box()
    assert box is not None and box["height"] > 150
    numbers = page.get_by_role("region", name="Metrics over training on rings, table")
    assert not numbers.is_visible()
    page.locator("summary", has_text="The charts’ numbers").press("Enter")
    rows = [row.inner_text().split("\t") for row in numbers.locator("tbody").last.locator("tr").all()]
    assert [cell.strip() for cell in rows[0]] == ["fix", "1", "20.5", "1.500 (1.000 to 2.000)"] and len(rows) == 3
    numbers.get_by_role("button", name="kid_net").press("Enter")
    assert numbers.locator("tbody").last.locator("td").first.inner_text() == "4", "the smallest comes first"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_scrolls_only_downwards_and_everything_can_be_read(visit: Callable[..., Page], scheme: str) -> None:
    page = visit(360, scheme)
    page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.title() == "Which of 5 methods adapts src best to rings?", "no text became a script"
    boxes = page.locator(".scroll").all()
    assert all(box.get_attribute("tabindex") == "0" for box in boxes)
    ink, paper = (page.evaluate(f"getComputedStyle(document.body).{name}") for name in ("color", "backgroundColor"))
    dark = [sum(int(part) for part in colour[4:-1].split(",")) < 380 for colour in (ink, paper)]
    assert dark == ([True, False] if scheme == "light" else [False, True])
    box = page.locator(".player").bounding_box()
    assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= 360


def test_without_scripts_all_strips_are_there_and_no_dead_slider(browser: Browser, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    context.set_default_timeout(1000 * PATIENCE)
    page = context.new_page()
    page.goto(address)
    assert page.get_by_role("slider").count() == 0 and not page.locator(".player").is_visible()
    page.locator("summary", has_text="Other values of the controls").click()
    assert page.get_by_role("img", name="fix (noise=0.5)").first.is_visible()
    assert page.locator(".filters").count() == 1 and not page.locator(".filters").is_visible()
    assert all(table.is_visible() for table in page.locator(".metric").all()), "no table is hidden behind a script"
    context.close()

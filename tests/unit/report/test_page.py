"""The page of a results folder: one valid file that shows the records' numbers and runs nothing of what they say."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmark.report import write_report
from benchmark.report.figures.curves import metric_curves, read_log, training_curves
from benchmark.report.figures.strips import TILE_PX, extremes
from benchmark.report.page import page
from benchmark.report.tables import Section, cost_table, primary_table
from benchmark.report.write import conditions
from benchmark.results import CurvePoint, Doctor, MetricValue, ResultStore, RunRecord, Timing

ROOT = Path(__file__).parents[3]
VOID = {"meta", "img", "wbr", "br", "input", "link"}
EVIL = "<script>alert(1)</script>{{ 7*7 }}"
BREAKOUT = "\"'><img src=x onerror=alert(2)></section></script>\x00\x1b"


@dataclass
class Element:
    """A tag with its attributes and all text inside."""

    tag: str
    attributes: dict[str, str]
    text: str = ""


@dataclass
class Checked(HTMLParser):
    """Parses strictly: elements must be closed in order."""

    elements: list[Element] = field(default_factory=list)
    open: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice"
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1].tag == tag, (
            f"</{tag}> closes {self.open[-1].tag if self.open else 'nothing'}"
        )
        self.open.pop()

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data

    def named(self, tag: str) -> list[Element]:
        return [e for e in self.elements if e.tag == tag]


def parse(html: str) -> Checked:
    parser = Checked()
    parser.feed(html)
    parser.close()
    assert not parser.open
    return parser


def make(
    method: str = "m", domain: str = "d", seed: int = 0, control: float | str | None = None, **changes: Any
) -> RunRecord:
    values: dict[str, Any] = {
        "record_key": hashlib.sha256(repr((method, domain, seed, control)).encode()).hexdigest(),
        "train_key": hashlib.sha256(repr((method, domain, seed)).encode()).hexdigest(),
        "status": "done",
        "suite": "smoke",
        "method": method,
        "domain": domain,
        "domain_digest": "00" * 32,
        "source": "src",
        "source_sha256": "ab" * 32,
        "seed": seed,
        "control": control,
        "control_name": None if control is None else "noise",
    }
    return RunRecord(**(values | changes))


def kid(value: float | None, reason: str | None = None) -> dict[str, MetricValue]:
    return {"kid_net": MetricValue(value=value, n=9, reason=reason)}


def strip(folder: Path, record: RunRecord, px: int = 4) -> RunRecord:
    """The record with a strip of eight grey squares that no other record has."""
    path = ResultStore(folder).samples_path(record.record_key)
    path.parent.mkdir(parents=True, exist_ok=True)
    first = int(record.record_key[:2], 16) // 2
    image = Image.new("RGB", (8 * px, px))
    for z in range(8):
        image.paste((first + 15 * z, first, int(record.record_key[2:4], 16)), (z * px, 0, (z + 1) * px, px))
    image.save(path)
    return record.model_copy(update={"grid": f"samples/{path.name}"})


def ends(folder: Path, record: RunRecord, size: tuple[int, int] = (32, 8)) -> RunRecord:
    """The record with its best samples in white and its worst in black."""
    path = folder / f"samples/{record.record_key}-extremes.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", size)
    image.paste((255, 255, 255), (0, 0, size[0], size[1] // 2))
    image.save(path)
    return record.model_copy(update={"extremes": f"samples/{path.name}"})


def course(*values: float | None, name: str = "kid_net", n: int = 9, pace: float = 10) -> dict[str, Any]:
    """The curve of a record: one value per kimg."""
    found = [MetricValue(value=v, n=n, reason=None if v is not None else "none") for v in values]
    return {"curve": tuple(CurvePoint(kimg=i, seconds=pace * i, metrics={name: m}) for i, m in enumerate(found, 1))}


def draw(records: Sequence[RunRecord], folder: Path) -> tuple[str, list[str]]:
    section = Section(primary_table(records, controls=True), cost_table(records), tuple(conditions(records)))
    return page([section], [list(records)], folder)


def hostile(folder: Path) -> list[RunRecord]:
    """A source row, a method with a control, a failure; every text tries to get out of its place."""
    note: dict[str, Any] = {
        "notes": ("javascript:alert(3)", "<b>" * 50_000, "[a](javascript:alert(4))"),
        "control_name": BREAKOUT,
    }
    note |= {"doctor": Doctor(passed=False, failed=(EVIL, BREAKOUT, "<b>" * 50_000))}
    found = [strip(folder, make("source", BREAKOUT, zero_step=True, metrics=kid(0.2)))]
    found.append(make("failing", BREAKOUT, status="failed", reason=f"{EVIL} {'x' * 100_000}"))
    found.append(make("without", BREAKOUT, metrics=kid(None, f"no weights: {EVIL}"), environment={"device": BREAKOUT}))
    for control in (0.0, BREAKOUT):
        timing = Timing(seconds_per_kimg=2, train_seconds=8, shipped_params=5)
        metrics = kid(0.01) | {f"consistency {BREAKOUT}": MetricValue(value=0.3, n=5)}
        more = {"metrics": metrics, "timing": timing, "is_default_control": control == 0.0}
        more |= course(1e300, -1e300, 0, name=f"$x^ {BREAKOUT}")
        found.append(ends(folder, strip(folder, make(EVIL, BREAKOUT, 0, control, **more, **note))))
    logs = folder / "logs"
    logs.mkdir()
    ticks = [{"images": n * 256, "losses": {BREAKOUT: n * 1e300, EVIL: n, "nan": None}} for n in (1, 2, 3)]
    (logs / f"{found[-1].train_key}.jsonl").write_text("".join(json.dumps(t) + "\n" for t in ticks))
    return found


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("hostile")
    html, problems = draw(hostile(folder), folder)
    assert not problems
    return html


def test_whatever_records_say_is_text(bad: str) -> None:
    found = parse(bad)
    assert bad.startswith("<!DOCTYPE html>\n") and len(bad) < 1_500_000, "texts of 100,000 letters are cut"
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", bad)
    assert EVIL in found.named("main")[0].text
    (script,) = found.named("script")
    assert script.text == (ROOT / "benchmark/report/templates/page.js").read_text(encoding="utf-8")
    for element in found.elements:
        assert element.tag not in ("iframe", "object", "embed", "link", "base", "form", "b")
        assert not [name for name in element.attributes if name.startswith("on")]
        for name in ("href", "src", "action", "xlink:href"):
            target = element.attributes.get(name, "#")
            assert re.match(r"#|data:image/png;base64,|records/[0-9a-f]{64}\.json$", target), target[:80]
        for url in re.findall(r"url\((.*?)\)", element.attributes.get("style", "")):
            assert url.startswith("#")


def test_the_policy_allows_its_own_script_and_no_request(bad: str) -> None:
    found = parse(bad)
    (policy,) = [e.attributes["content"] for e in found.named("meta") if "http-equiv" in e.attributes]
    digest = base64.b64encode(hashlib.sha256(found.named("script")[0].text.encode()).digest()).decode()
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'" and rules["script-src"] == f"'sha256-{digest}'"
    assert rules["img-src"] == "data:" and set(rules) == {
        *("default-src", "img-src", "style-src", "script-src", "base-uri", "form-action")
    }


def test_ids_are_unique_and_every_link_inside_leads_somewhere(bad: str) -> None:
    elements = parse(bad).elements
    ids = [e.attributes["id"] for e in elements if "id" in e.attributes]
    assert len(ids) == len(set(ids)) > 100, "charts bring many"
    uses = {e.attributes["href"][1:] for e in elements if e.attributes.get("href", "").startswith("#")}
    uses |= {u for e in elements for v in e.attributes.values() for u in re.findall(r"url\(#(.*?)\)", v)}
    assert uses and uses <= set(ids)
    for player in (e for e in elements if "data-frames" in e.attributes):
        run = json.loads(player.attributes["data-frames"])
        assert {run["source"], *(frame["id"] for frame in run["frames"])} <= set(ids)


def test_every_picture_has_words_and_no_colour_of_paper_stays(bad: str) -> None:
    found = parse(bad)
    assert len(found.named("img")) == 3 + 2, "three strips, best and worst samples at the default control"
    assert len(found.named("svg")) == 3 + 1, "fidelity, cost, losses and metrics over training"
    assert all(e.attributes["alt"] and e.attributes["width"] == "1024" for e in found.named("img"))
    assert all(e.attributes["aria-label"] for e in found.named("svg"))
    styles = " ".join(e.attributes.get("style", "") for e in found.elements)
    assert "currentColor" in styles and not re.search("#262626|#ffffff|#000000|#cccccc", styles)


def test_cells_are_those_of_the_table_and_failures_lead_to_their_reason(tmp_path: Path) -> None:
    records = [make("a", metrics=kid(0.0104)), make("b", metrics=kid(0.02)), make("c", metrics=kid(None, "no weights"))]
    records += [make("f", status="failed", reason="disk full"), make("g", "other", metrics=kid(0.5))]
    table = primary_table(records)
    first, *rest = table.rows
    table = replace(table, rows=(replace(first, cells=(replace(first.cells[0], best=True), *first.cells[1:])), *rest))
    html, _ = page([Section(table, cost_table(records), ())], [records], tmp_path)
    cells = [e for e in parse(html).named("td") if "data-value" in e.attributes][:10]
    shown = [(e.text.strip(), e.attributes["data-value"]) for e in cells]
    wanted = [("10.40", "10.4"), ("20.00", "20.0"), ("not available1", ""), ("failed2", ""), ("–", "")]
    assert shown[::2] == wanted, "the second column is that of the other domain"
    assert html.count("<strong>") == 1 and "<strong>10.40</strong>" in html
    notes = {e.attributes["id"]: e.text for e in parse(html).named("li") if "id" in e.attributes}
    assert "f on d, seed 0: failed: disk full" in notes.values() and "kid_net: no weights" in notes.values()


def test_a_metric_that_nobody_could_measure_is_a_line_not_a_column(tmp_path: Path) -> None:
    none = {"fid": MetricValue(reason="needs a file")}
    html, _ = draw([make("a", d, metrics=kid(0.01) | none) for d in ("d", "e")], tmp_path)
    found = parse(html)
    assert [e.attributes.get("colspan") for e in found.named("th") if e.attributes.get("scope") == "colgroup"] == [
        "1"
    ] * 2
    assert "fid (d, e): not available1" in [e.text for e in found.named("p")]


def test_strips_of_the_first_seed_are_there_once_with_their_own_pixels(tmp_path: Path) -> None:
    def at(control: float, seed: int) -> RunRecord:
        return make("fix", seed=seed, control=control, is_default_control=control == 1.0, metrics=kid(control))

    records = [make("source", seed=s, zero_step=True) for s in (3, 4)] + [at(c, s) for c in (1.0, 0.5) for s in (3, 4)]
    records = [strip(tmp_path, r) for r in records] + [strip(tmp_path, make("big", seed=3), px=2 * TILE_PX)]
    found = parse(draw(records, tmp_path)[0])
    images = {e.attributes["id"]: e.attributes["src"] for e in found.named("img")}
    assert len(images) == len(found.named("img")) == 4
    for r in (r for r in records if r.seed == 3):
        data = base64.b64decode(images[f"p0-{r.record_key}"].partition(",")[2])
        with Image.open(BytesIO(data)) as shown, Image.open(tmp_path / str(r.grid)) as stored:
            assert shown.size == (stored.size if r.method != "big" else (8 * TILE_PX, TILE_PX))
            assert shown.getpixel((1, 1)) == stored.getpixel((1, 1)), r.method
    (player,) = [json.loads(e.attributes["data-frames"]) for e in found.elements if "data-frames" in e.attributes]
    assert (player["seed"], [f["value"] for f in player["frames"]]) == (3, ["0.5", "1"])
    keys = {r.control: f"p0-{r.record_key}" for r in records if r.seed == 3 and r.method != "big"}
    assert player["source"] == keys[None]
    assert [f["id"] for f in player["frames"]] == [keys[0.5], keys[1.0]]
    assert [(f["standard"], f["said"][0][1]) for f in player["frames"]] == [(False, "500.0"), (True, "1,000")]


def test_missing_and_damaged_strips_say_so_and_leave_no_slider(tmp_path: Path) -> None:
    records = [make("fix", control=c, is_default_control=c == 1.0, metrics=kid(c)) for c in (0.5, 1.0)]
    records[0] = strip(tmp_path, records[0])
    gone = records[1].model_copy(update={"grid": "samples/gone.png"})
    html, _ = draw([records[0], gone], tmp_path)
    found = parse(html)
    assert len(found.named("img")) == 1 and not [e for e in found.elements if "data-frames" in e.attributes]
    assert "samples/gone.png is not a file in the results folder" in html
    (tmp_path / str(records[0].grid)).write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 50)
    assert not parse(draw(records, tmp_path)[0]).named("img")


def test_what_has_no_numbers_is_named_and_keeps_its_place_among_the_pictures(tmp_path: Path) -> None:
    records = [strip(tmp_path, make("a", seed=s, metrics=kid(0.1))) for s in (0, 1)]
    records.append(make("b", status="failed", reason="disk full"))
    records.append(strip(tmp_path, make("c", seed=1, metrics=kid(0.1))))
    found = parse(draw(records, tmp_path)[0])
    facts = dict(zip((e.text for e in found.named("dt")), (e.text for e in found.named("dd")), strict=True))
    assert facts["without numbers"] == "b on d: seed 0 failed, seed 1 not run; c on d: seed 0 not run"
    rows = [" ".join(e.text.split()) for e in found.elements if e.attributes.get("class") == "strip"]
    assert rows == ["a", "b no images: failed: disk full", "c no images: not run with seed 0"]


def test_the_best_samples_are_the_upper_row_and_only_the_default_control_has_any(tmp_path: Path) -> None:
    changes: dict[str, Any] = {"settings": {"resolution": 4}}
    plain = ends(tmp_path, make("plain", **changes))
    other = ends(tmp_path, make("fix", control=0.5, is_default_control=False, **changes))
    found = parse(draw([plain, ends(tmp_path, make("fix", control=1.0, **changes)), other], tmp_path)[0])
    shown = {e.attributes["alt"]: e.attributes["src"] for e in found.named("img")}
    names = [f"{m}, {end} on d, seed 0" for m in ("fix", "plain") for end in ("nearest", "farthest")]
    assert [alt.partition(":")[0] for alt in shown] == names
    for alt, colour in zip(shown, (255, 0, 255, 0), strict=True):
        with Image.open(BytesIO(base64.b64decode(shown[alt].partition(",")[2]))) as image:
            assert image.size == (32, 4) and image.getextrema() == ((colour, colour),) * 3


@pytest.mark.parametrize("size", [(32, 9), (30, 8), (4, 4), (400, 8), (8, 4096), (32, 4)])
def test_a_picture_of_another_shape_is_no_best_and_worst_samples(tmp_path: Path, size: tuple[int, int]) -> None:
    good, bad = (make(m, settings={"resolution": 4}) for m in ("good", "bad"))
    shown, problems = extremes("p", [ends(tmp_path, good), ends(tmp_path, bad, size)], tmp_path)
    assert [[strip.label for strip in row] for row in shown[0].rows] == [["bad"], ["good, nearest", "good, farthest"]]
    assert len(problems) == 1 and problems[0].startswith("best and worst samples of bad: samples/")


def test_damaged_and_linked_pictures_cost_a_line_without_the_place_of_the_folder(tmp_path: Path) -> None:
    good, damaged, cut, linked = (ends(tmp_path, make(m)) for m in ("good", "damaged", "cut", "linked"))
    (tmp_path / str(damaged.extremes)).write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 50)
    path = tmp_path / str(cut.extremes)
    path.write_bytes(path.read_bytes()[:-30])
    outside = tmp_path.parent / f"{tmp_path.name}.png"
    (tmp_path / str(linked.extremes)).rename(outside)
    (tmp_path / str(linked.extremes)).symlink_to(outside)
    shown, problems = extremes("p", [good, damaged, cut, linked, make("none")], tmp_path)
    assert [len(row) for row in shown[0].rows] == [1, 1, 2, 1, 1]
    assert [p.split(": ")[0].split()[-1] for p in problems] == ["cut", "damaged", "linked"]
    assert not [p for p in problems if str(tmp_path) in p]
    assert extremes("p", [make("none")], tmp_path) == ([], [])


def test_failed_checks_are_seen_before_any_number(tmp_path: Path) -> None:
    def said(*doctors: Doctor | None) -> tuple[str, str]:
        records = [make(seed=n, metrics=kid(0.1), doctor=d) for n, d in enumerate(doctors)]
        found = parse(draw(records, tmp_path)[0])
        banner = [e.text for e in found.elements if e.attributes.get("class") == "alarm"]
        facts = dict(zip((e.text for e in found.named("dt")), (e.text for e in found.named("dd")), strict=True))
        return " ".join("".join(banner).split()), facts["measuring checks"]

    good, bad = Doctor(passed=True, checks=14), Doctor(passed=False, checks=14, failed=("wrong hash", "wrong order"))
    assert said(None) == ("", "not examined")
    assert said(good, good) == ("", "passed (14 checks)")
    assert said(good, None) == ("", "passed (14 checks); 1 records not examined")
    banner, fact = said(good, bad, bad)
    assert fact == "FAILED: 2 of 3 records"
    assert "wrong hash (2 of 3 records)" in banner and "wrong order (2 of 3 records)" in banner
    assert "no check named (1 of 1 records)" in said(Doctor(passed=False))[0]


def test_curves_are_means_over_seeds_with_their_band_against_kimg_and_seconds() -> None:
    records = [make("a", seed=0, **course(0.1, 0.2, pace=10)), make("a", seed=1, **course(0.3, None, pace=20))]
    records.append(make("off", control=1.0, is_default_control=False, **course(7.0)))
    records += [make("source", seed=s, zero_step=True, metrics=kid(v)) for s, v in ((0, 0.4), (1, 0.6))]
    (drawn,) = metric_curves(records)
    by_kimg, by_seconds = drawn.figure.axes
    points = [np.asarray(line.get_xydata()).tolist() for line in (by_kimg.lines[0], by_seconds.lines[0])]
    assert points == [[[1, 200], [2, 200]], [[15, 200], [20, 200]]]
    assert set(np.asarray(by_kimg.lines[1].get_ydata()).tolist()) == {500}, "the source"
    (band,) = by_kimg.collections
    assert band.get_paths()[0].get_extents().bounds == (1, 100, 1, 200)
    rows = [(row.label, *(cell.text for cell in row.cells)) for row in drawn.table.rows]
    assert rows == [
        ("source (zero-step)", "–", "–", "500.0"),
        ("a", "1", "15.0", "200.0 (100.0 to 300.0)"),
        ("a", "2", "20.0", "200.0 (n=1)"),
    ]


def test_a_source_measured_on_another_number_of_images_is_left_out_where_that_matters() -> None:
    fd = {"fd_net": MetricValue(value=5, n=50)}
    (drawn,) = metric_curves([make("source", zero_step=True, metrics=fd), make("a", **course(3, name="fd_net"))])
    assert [len(panel.lines) for panel in drawn.figure.axes] == [1, 1]
    assert drawn.table.caption[-1].startswith("fd_net: the source was measured on N=50, the points on N=9")
    (drawn,) = metric_curves([make("source", zero_step=True, metrics=kid(0.4)), make("a", **course(3, n=500))])
    assert [len(panel.lines) for panel in drawn.figure.axes] == [2, 2]


def test_seconds_of_several_devices_stand_in_no_chart() -> None:
    devices = [make(m, environment={"device": m}, **course(3)) for m in ("gpu", "cpu")]
    (drawn,) = metric_curves(devices)
    assert [panel.get_xlabel() for panel in drawn.figure.axes] == ["kimg"]
    assert {row.cells[1].text for row in drawn.table.rows} == {"–"} and "cpu; gpu" in drawn.table.caption[-1]


def test_curves_without_a_value_make_no_chart() -> None:
    failed = make("b", status="failed", reason="disk full", **course(1))
    assert metric_curves([make("a", **course(None)), failed, make("c")]) == []


def write_log(folder: Path, record: RunRecord, text: str) -> Path:
    path = folder / "logs" / f"{record.train_key}.jsonl"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_a_log_that_began_again_is_read_as_its_last_course(tmp_path: Path) -> None:
    course = [(100, 5.0), (200, 4.0), (300, 3.0), (200, 2.0), (300, None), (400, float("nan"))]
    lines = [json.dumps({"images": n, "losses": {"a": v}}) for n, v in course]
    path = write_log(tmp_path, make(), "\n".join(lines))
    assert [(row["kimg"], row["value"]) for row in read_log(path)] == [(0.1, 5.0), (0.2, 2.0)]


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"images": "1", "losses": {}}', '{"images": 1, "losses": [1]}', "\x00", '{"images": NaN}', "[" * 9999],
)
def test_what_is_no_log_costs_one_line_and_no_other_curve(tmp_path: Path, text: str) -> None:
    good, bad = make("good"), make("bad")
    write_log(tmp_path, good, '{"images": 1000, "losses": {"loss": 1.5}}\n')
    write_log(tmp_path, bad, text)
    charts, problems = training_curves([good, bad, make("no log")], tmp_path / "logs")
    assert [domain for domain, _ in charts] == ["d"]
    assert [t.get_text() for t in charts[0][1].legends[0].get_texts()] == ["good"]
    assert len(problems) == 1 and problems[0].startswith(f"logs/{bad.train_key}.jsonl: line 1 ")


def test_a_curve_bears_the_name_of_the_method_that_was_trained(tmp_path: Path) -> None:
    tune, swap = make("tune"), make("a swap", timing=Timing(reused_training=True))
    swap = swap.model_copy(update={"train_key": tune.train_key})
    write_log(tmp_path, tune, '{"images": 1000, "losses": {"loss": 1.5}}\n')
    ((_, figure),), _ = training_curves([swap, tune], tmp_path / "logs")
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["tune"]
    (tmp_path / "logs" / f"{tune.train_key}.jsonl").unlink()
    assert training_curves([swap, tune], tmp_path / "logs") == ([], [])


def test_report_writes_the_same_page_in_another_process_without_torch(tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "run")
    record = strip(store.out, make(metrics=kid(0.1), timing=Timing(train_seconds=2, seconds_per_kimg=1)))
    store.write(record)
    store.write(make("b", source="another", metrics=kid(0.1)))
    write_log(store.out, record, '{"images": 1000, "losses": {"loss": 1.5}}\n')
    first = write_report(store.out)
    assert first.paths[-1] == store.out / "page.html"
    before = first.paths[-1].read_bytes()
    assert before.count(f'<a href="records/{record.record_key}.json">'.encode()) == 1
    assert len(parse(before.decode()).named("h1")) == 1 and before.count(b'class="part"') == 2, "two sources, two parts"
    code = (
        "import sys; from pathlib import Path; from benchmark.report import write_report\n"
        f"write_report(Path({str(store.out)!r})); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": "7"})
    assert first.paths[-1].read_bytes() == before

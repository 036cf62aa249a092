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
from dataclasses import dataclass, field
from html.parser import HTMLParser
from io import BytesIO
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmark.report import write_report
from benchmark.report.figures.courses import MetricCurves, metric_curves
from benchmark.report.figures.curves import read_log, training_curves
from benchmark.report.figures.draw import draw as draw_charts
from benchmark.report.figures.drawing import COLOURS, styles
from benchmark.report.figures.strips import TILE_PX, extremes
from benchmark.report.group import SOURCE, group_of
from benchmark.report.lines import groups
from benchmark.report.page import page
from benchmark.report.section import section_of
from benchmark.results import CurvePoint, Doctor, MetricValue, ResultStore, RunRecord, Timing

ROOT = Path(__file__).parents[3]
VOID = {"meta", "img", "wbr", "br", "input", "link"}
LINKS = re.compile(
    r"(#|data:image/webp;base64,|records/([0-9a-f]{64}\.json)?$|(tables|provenance)\.(csv|md|tex)$|https://arxiv\.org/abs/[\d.]+$)"
)
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


def facts(found: Checked) -> dict[str, str]:
    """What was run, by what it is."""
    names = [e.text for e in found.named("b")]
    (line,) = [e.text for e in found.elements if e.attributes.get("class") == "facts small"]
    starts = [line.index(name) for name in names]
    ends = [*starts[1:], len(line)]
    return {n: line[a + len(n) : b].strip() for n, a, b in zip(names, starts, ends, strict=True)}


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
    section = section_of(groups(records)[0])
    charts, problems = draw_charts(section, folder / "logs")
    html, more = page([section], [charts], folder)
    return html, problems + more


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
        metrics = kid(0.01) | {f"consistency_{BREAKOUT}": MetricValue(value=0.3, n=5)}
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
        assert element.tag not in ("iframe", "object", "embed", "link", "base", "form")
        assert not [name for name in element.attributes if name.startswith("on")]
        for name in ("href", "src", "action", "xlink:href"):
            target = element.attributes.get(name, "#")
            assert LINKS.match(target), target[:80]
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
    assert len(ids) == len(set(ids)) > 20
    uses = {e.attributes["href"][1:] for e in elements if e.attributes.get("href", "").startswith("#")}
    uses |= {u for e in elements for v in e.attributes.values() for u in re.findall(r"url\(#(.*?)\)", v)}
    assert uses and uses <= set(ids)
    for player in (e for e in elements if "data-frames" in e.attributes):
        run = json.loads(player.attributes["data-frames"])
        assert {run["source"], *(frame["id"] for frame in run["frames"])} <= set(ids)


def test_every_picture_has_words_and_ink_follows_the_page(bad: str) -> None:
    found = parse(bad)
    assert len(found.named("img")) == 3 + 2, "three strips, best and worst samples at the default control"
    charts = [e for e in found.named("svg") if float(e.attributes["width"]) > 100]
    assert len(charts) >= 6, "trade-off, control, metrics and losses over training, cost"
    assert all(e.attributes["alt"] and e.attributes["width"] == "1024" for e in found.named("img"))
    assert all(e.attributes["aria-label"] for e in found.named("svg"))
    assert all(float(e.attributes["width"]) <= 366 for e in charts), "none is wider than a phone"
    fills = {e.attributes.get("fill", "none") for e in found.elements if e.tag in ("polygon", "circle", "text")}
    assert "currentColor" in fills and fills <= {"currentColor", "none", *COLOURS}
    assert len(found.named("text")) > 40, "words of a chart are text: they can be searched and copied"


def test_cells_are_those_of_the_table_and_failures_lead_to_their_reason(tmp_path: Path) -> None:
    records = [make("a", metrics=kid(0.104)), make("b", metrics=kid(0.2)), make("c", metrics=kid(None, "no weights"))]
    records += [make("f", status="failed", reason="disk full"), make("g", "other", metrics=kid(0.5))]
    html, _ = draw(records, tmp_path)
    cells = [e for e in parse(html).named("td") if e.attributes.get("data-domain") == "d"]
    shown = [("".join(e.text.split()), e.attributes["data-value"]) for e in cells[:5]]
    assert shown == [("0.104", "0.104"), ("0.200", "0.2"), ("–", ""), ("notavailable1", ""), ("failed2", "")]
    notes = {e.attributes["id"]: e.text for e in parse(html).named("li") if "id" in e.attributes}
    assert "f on d, seed 0: failed: disk full" in notes.values() and "kid_net: no weights" in notes.values()


def test_the_first_screen_has_the_answer_the_table_and_every_seed(tmp_path: Path) -> None:
    far = {"consistency_net": MetricValue(value=0.3, n=5)}
    records = [make("source", seed=n, zero_step=True, metrics=kid(2.0)) for n in range(3)]
    records += [
        make(m, seed=n, metrics=kid(v + n * v / 10) | far) for m, v in (("a", 1.0), ("b", 1.5)) for n in range(3)
    ]
    found = parse(draw(records, tmp_path)[0])
    order = [
        e for e in found.elements if e.tag in ("h1", "table", "img", "h2") or e.attributes.get("class") == "verdict"
    ]
    assert [e.tag for e in order[:3]] == ["h1", "p", "table"]
    assert found.named("h1")[0].text == "Which of 2 methods adapts src best to d?"
    assert order[1].text.startswith("No clear winner: with 3 seeds ")
    assert order[1].text.endswith("Lowest KID (mean): a on d (1.10).")
    assert any(
        e.text.startswith("With 3 seeds, an uncorrected paired t test would show a true difference of ")
        for e in found.named("li")
    )
    titles = [e.text for e in found.named("title")]
    assert len([t for t in titles if re.fullmatch(r"[ab] on d, seed \d: [\d.]+, 0\.3", t)]) == 6, (
        "a point for each seed"
    )
    assert [t for t in titles if t.startswith("a on d: 1.100, 0.300 (mean of 3 seeds)")]


def test_names_lead_to_paper_fields_and_numbers_to_their_records(tmp_path: Path) -> None:
    records = [make("freezed", seed=n, metrics=kid(0.5 + n), fields={"layers": 4}) for n in (0, 1)]
    records += [make("own", seed=n, metrics=kid(0.6 + n)) for n in (0, 1)]
    found = parse(draw(records, tmp_path)[0])
    ids = {e.attributes["id"]: e for e in found.elements if "id" in e.attributes}
    names = [e for e in found.named("a") if e.attributes.get("href", "").startswith("#p0-about-")]
    said = {e.text: ids[e.attributes["href"][1:]].text for e in names}
    assert "Mo et al." in said["freezed"] and "layers 4" in said["freezed"] and "Fields: none" in said["own"]
    assert [e for e in found.named("a") if e.attributes.get("href") == "https://arxiv.org/abs/2002.10964"]
    numbers = [e for e in found.named("a") if e.attributes.get("class") == "to"]
    assert numbers and all(e.attributes["href"][1:] in ids for e in numbers), "several seeds: to their rows"
    assert records[0].record_key[:12] in numbers[0].attributes["title"]


def test_a_metric_that_nobody_could_measure_is_a_line_not_a_column(tmp_path: Path) -> None:
    none = {"fid": MetricValue(reason="needs a file")}
    html, _ = draw([make("a", d, metrics=kid(0.01) | none) for d in ("d", "e")], tmp_path)
    found = parse(html)
    spans = [e.attributes.get("colspan") for e in found.named("th") if e.attributes.get("scope") == "colgroup"]
    assert spans == ["1"] * 4, "KID on two domains, in the headline and in its own table"
    assert "fid: Not available on d, e: needs a file." in [e.text for e in found.named("li")]


def test_two_methods_share_no_mark() -> None:
    drawn = [*styles(f"method {i}" for i in range(72)).values()]
    assert len({(s.colour, s.marker) for s in drawn}) == 72
    assert len({s.colour for s in drawn[:8]}) == 8 and len({s.marker for s in drawn[:9]}) == 9
    for colour in COLOURS:
        assert len({s.marker for s in drawn[:24] if s.colour == colour}) == 3, "of 24 methods too"


SEEN = {
    "all cones": np.eye(3),
    "no red cones": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "no blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
"""Linear RGB -> linear RGB as such an eye sees it (Machado et al., IEEE TVCG 15, 2009, severity 1)."""
CONES = [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
         [0.0883024619, 0.2817188376, 0.6299787005]]  # fmt: skip
LAB = [[0.2104542553, 0.793617785, -0.0040720468], [1.9779984951, -2.428592205, 0.4505937099],
       [0.0259040371, 0.7827717662, -0.808675766]]  # fmt: skip


@pytest.mark.parametrize("eye", SEEN)
def test_no_two_colours_look_alike_to_any_eye(eye: str) -> None:
    def oklab(colour: str) -> np.ndarray:
        values = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
        return np.asarray(LAB) @ np.cbrt(np.asarray(CONES) @ np.clip(np.asarray(SEEN[eye]) @ linear, 0, 1))

    apart = [np.linalg.norm(oklab(a) - oklab(b)) for a, b in combinations(COLOURS, 2)]
    assert min(apart) > 0.08, "two pinks of the earlier palette were 0.016 to 0.04 apart"


def test_one_drawing_is_page_and_file_and_repeats_to_the_byte(tmp_path: Path) -> None:
    far = {"consistency_net": MetricValue(value=0.3, n=5)}
    section = section_of([make(m, metrics=kid(v) | far) for m, v in (("a", 1.0), ("b", 1.5))])
    charts, _ = draw_charts(section, tmp_path)
    chart = charts.files["fidelity_consistency"]
    before, picture = chart.svg(), chart.png()
    assert chart.svg() == before and chart.png() == picture
    with Image.open(BytesIO(picture)) as image:
        assert image.width == 2 * chart.width and len(image.convert("RGB").getcolors(2**20) or []) > 10


def test_strips_of_the_first_seeds_are_there_once_with_their_own_pixels(tmp_path: Path) -> None:
    def at(control: float, seed: int) -> RunRecord:
        return make("fix", seed=seed, control=control, is_default_control=control == 1.0, metrics=kid(control))

    records = [make("source", seed=s, zero_step=True) for s in (3, 4)] + [at(c, s) for c in (1.0, 0.5) for s in (3, 4)]
    records = [strip(tmp_path, r) for r in records] + [strip(tmp_path, make("big", seed=3), px=2 * TILE_PX)]
    found = parse(draw(records, tmp_path)[0])
    images = {e.attributes["id"]: e.attributes["src"] for e in found.named("img")}
    assert len(images) == len(found.named("img")) == 4 + 2, "of the second seed those at default controls"
    assert [e.attributes["data-seed"] for e in found.elements if e.attributes.get("class") == "grid"] == ["3", "4"]
    for r in (r for r in records if r.seed == 3):
        data = base64.b64decode(images[f"p0-{r.record_key}"].partition(",")[2])
        with Image.open(BytesIO(data)) as shown, Image.open(tmp_path / str(r.grid)) as stored:
            assert shown.size == (stored.size if r.method != "big" else (8 * TILE_PX, TILE_PX))
            slack = 0 if r.method != "big" else 4  # small images are kept to the bit, others as WebP
            pairs = zip(shown.convert("RGB").getpixel((1, 1)), stored.getpixel((1, 1)), strict=True)
            assert all(abs(a - b) <= slack for a, b in pairs), r.method
    (player,) = [json.loads(e.attributes["data-frames"]) for e in found.elements if "data-frames" in e.attributes]
    assert (player["seed"], [f["value"] for f in player["frames"]]) == (3, ["0.5", "1"])
    keys = {r.control: f"p0-{r.record_key}" for r in records if r.seed == 3 and r.method != "big"}
    assert player["source"] == keys[None]
    assert [f["id"] for f in player["frames"]] == [keys[0.5], keys[1.0]]
    assert [(f["standard"], f["said"][0]) for f in player["frames"]] == [
        (False, ["KID", "0.5000"]),
        (True, ["KID", "1.000"]),
    ]
    assert player["frames"][0]["x"] < player["frames"][1]["x"], "where the marker stands on the curve"


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
    assert facts(found)["without numbers"] == "b on d: seed 0 failed, seed 1 not run; c on d: seed 0 not run"
    rows = [" ".join(e.text.split()) for e in found.elements if e.attributes.get("class") == "strip"]
    assert rows[:3] == ["a", "b no images: failed: disk full", "c no images: not run with seed 0"]
    assert rows[3:] == ["a", "c", "b no images: not run with seed 1"]


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
    shown, problems = extremes("p", group_of([ends(tmp_path, good), ends(tmp_path, bad, size)]), tmp_path)
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
    shown, problems = extremes("p", group_of([good, damaged, cut, linked, make("none")]), tmp_path)
    assert [len(row) for row in shown[0].rows] == [1, 1, 2, 1, 1]
    assert [p.split(": ")[0].split()[-1] for p in problems[:-1]] == ["cut", "damaged"]
    assert problems[-1].startswith(f"{linked.extremes}: not a file in the results folder")
    assert not [p for p in problems if str(tmp_path) in p]
    assert extremes("p", group_of([make("none")]), tmp_path) == ([], [])


def test_failed_checks_are_seen_before_any_number(tmp_path: Path) -> None:
    def said(*doctors: Doctor | None) -> tuple[str, str]:
        records = [make(seed=n, metrics=kid(0.1), doctor=d) for n, d in enumerate(doctors)]
        found = parse(draw(records, tmp_path)[0])
        banner = [e.text for e in found.elements if e.attributes.get("class") == "alarm"]
        return " ".join("".join(banner).split()), facts(found)["measuring checks"]

    good, bad = Doctor(passed=True, checks=14), Doctor(passed=False, checks=14, failed=("wrong hash", "wrong order"))
    assert said(None) == ("", "not examined")
    assert said(good, good) == ("", "passed (14 checks)")
    assert said(good, None) == ("", "passed (14 checks); 1 records not examined")
    banner, fact = said(good, bad, bad)
    assert fact == "FAILED: 2 of 3 records"
    assert "wrong hash (2 of 3 records)" in banner and "wrong order (2 of 3 records)" in banner
    assert "no check named (1 of 1 records)" in said(Doctor(passed=False))[0]


def curves_of(records: Sequence[RunRecord]) -> list[MetricCurves]:
    return metric_curves(group_of(records))


def test_curves_are_means_over_seeds_with_their_band_against_kimg_and_seconds() -> None:
    records = [make("a", seed=0, **course(0.1, 0.2, pace=10)), make("a", seed=1, **course(0.3, None, pace=20))]
    records.append(make("off", control=1.0, is_default_control=False, **course(7.0)))
    records += [make("source", seed=s, zero_step=True, metrics=kid(v)) for s, v in ((0, 0.4), (1, 0.6))]
    (drawn,) = curves_of(records)
    by_kimg, by_seconds = (str(panel.svg()) for panel in drawn.panels)
    assert "a at 1: 0.2<" in by_kimg and "a at 2: 0.2<" in by_kimg and "off" not in by_kimg
    assert "a at 15: 0.2<" in by_seconds and "a at 20: 0.2<" in by_seconds
    assert by_kimg.count('stroke-dasharray="5 3"') == 1, "the source"
    assert by_kimg.count('opacity="0.13"') == 1, "the band"
    rows = [(row.label, *(cell.text for cell in row.cells)) for row in drawn.table.rows]
    assert rows == [
        (SOURCE, "–", "–", "0.5000"),
        ("a", "1", "15.0", "0.2000 (0.1000 to 0.3000)"),
        ("a", "2", "20.0", "0.2000 (n=1)"),
    ]


def test_a_source_measured_on_another_number_of_images_is_left_out_where_that_matters() -> None:
    fd = {"fd_net": MetricValue(value=5, n=50)}
    (drawn,) = curves_of([make("source", zero_step=True, metrics=fd), make("a", **course(3, name="fd_net"))])
    assert not any("stroke-dasharray" in str(panel.svg()) for panel in drawn.panels)
    assert drawn.table.caption[-1].startswith("fd_net: the source was measured on N=50, the points on N=9")
    (drawn,) = curves_of([make("source", zero_step=True, metrics=kid(0.4)), make("a", **course(3, n=500))])
    assert all("stroke-dasharray" in str(panel.svg()) for panel in drawn.panels)


def test_points_of_fewer_images_are_left_out_where_their_number_matters() -> None:
    def seed(number: int, name: str, n: int, value: float) -> RunRecord:
        point = CurvePoint(kimg=1, metrics={name: MetricValue(value=value, n=n)})
        return make("a", seed=number, curve=(point,))

    (drawn,) = curves_of([seed(0, "fd_net", 2000, 400.0), seed(1, "fd_net", 200, 900.0)])
    assert [cell.text for cell in drawn.table.rows[0].cells] == ["1", "–", "400.0"]
    assert "(N=2000)" in repr(drawn.table.columns[-1])
    assert drawn.table.caption[-1] == "fd_net: points on N=200 are left out beside those on N=2000."
    (drawn,) = curves_of([seed(0, "kid_net", 2000, 0.4), seed(1, "kid_net", 200, 0.6)])
    assert drawn.table.rows[0].cells[-1].text.startswith("0.5000")


def test_seconds_of_several_devices_stand_in_no_chart() -> None:
    devices = [make(m, environment={"device": m}, **course(3)) for m in ("gpu", "cpu")]
    (drawn,) = curves_of(devices)
    assert [panel.alt for panel in drawn.panels] == ["Chart: KID over kimg on d, in the table below"]
    assert {row.cells[1].text for row in drawn.table.rows} == {"–"} and "cpu; gpu" in drawn.table.caption[-1]


def test_curves_without_a_value_make_no_chart() -> None:
    failed = make("b", status="failed", reason="disk full", **course(1))
    assert curves_of([make("a", **course(None)), failed, make("c")]) == []


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
    charts, problems = training_curves(group_of([good, bad, make("no log")]), tmp_path / "logs")
    assert [domain for domain, _ in charts] == ["d"]
    assert [re.findall(r'data-method="(.*?)"', str(panel.svg())) for panel in charts[0][1]] == [["good"]]
    assert len(problems) == 1 and problems[0].startswith(f"logs/{bad.train_key}.jsonl: line 1 ")


def test_a_curve_bears_the_name_of_the_method_that_was_trained(tmp_path: Path) -> None:
    tune, swap = make("tune"), make("a swap", timing=Timing(reused_training=True))
    swap = swap.model_copy(update={"train_key": tune.train_key})
    write_log(tmp_path, tune, '{"images": 1000, "losses": {"loss": 1.5}}\n')
    ((_, (panel,)),), _ = training_curves(group_of([swap, tune]), tmp_path / "logs")
    assert re.findall(r'data-method="(.*?)"', str(panel.svg())) == ["tune"]
    (tmp_path / "logs" / f"{tune.train_key}.jsonl").unlink()
    assert training_curves(group_of([swap, tune]), tmp_path / "logs") == ([], [])


def test_report_writes_the_same_page_in_another_process_without_torch(tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "run")
    record = strip(store.out, make(metrics=kid(0.1), timing=Timing(train_seconds=2, seconds_per_kimg=1)))
    store.write(record)
    store.write(make("b", source="another", metrics=kid(0.1)))
    write_log(store.out, record, '{"images": 1000, "losses": {"loss": 1.5}}\n')
    first = write_report(store.out)
    assert first.paths[-1] == store.out / "page.html"
    before = first.paths[-1].read_bytes()
    assert before.count(f'<code><a href="records/{record.record_key}.json">'.encode()) == 1
    assert len(parse(before.decode()).named("h1")) == 1 and before.count(b'class="part"') == 2, "two sources, two parts"
    code = (
        "import sys; from pathlib import Path; from benchmark.report import write_report\n"
        f"write_report(Path({str(store.out)!r})); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": "7"})
    assert first.paths[-1].read_bytes() == before

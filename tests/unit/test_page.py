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

import pytest
from PIL import Image

from benchmark.curves import read_log, training_curves
from benchmark.page import page
from benchmark.report import Section, conditions, write_report
from benchmark.results import MetricValue, ResultStore, RunRecord, Timing
from benchmark.strips import TILE_PX
from benchmark.tables import cost_table, primary_table

ROOT = Path(__file__).parents[2]
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


def draw(records: Sequence[RunRecord], folder: Path) -> tuple[str, list[str]]:
    section = Section(primary_table(records, controls=True), cost_table(records), tuple(conditions(records)))
    return page([section], [list(records)], folder)


def hostile(folder: Path) -> list[RunRecord]:
    """A source row, a method with a control, a failure; every text tries to get out of its place."""
    note = {"notes": ("javascript:alert(3)", "<b>" * 50_000, "[a](javascript:alert(4))"), "control_name": BREAKOUT}
    found = [strip(folder, make("source", BREAKOUT, zero_step=True, metrics=kid(0.2)))]
    found.append(make("failing", BREAKOUT, status="failed", reason=f"{EVIL} {'x' * 100_000}"))
    found.append(make("without", BREAKOUT, metrics=kid(None, f"no weights: {EVIL}"), environment={"device": BREAKOUT}))
    for control in (0.0, BREAKOUT):
        timing = Timing(seconds_per_kimg=2, train_seconds=8, shipped_params=5)
        metrics = kid(0.01) | {f"consistency {BREAKOUT}": MetricValue(value=0.3, n=5)}
        more = {"metrics": metrics, "timing": timing, "is_default_control": control == 0.0}
        found.append(strip(folder, make(EVIL, BREAKOUT, 0, control, **more, **note)))
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
    assert script.text == (ROOT / "benchmark/templates/page.js").read_text(encoding="utf-8")
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
        for run in json.loads(player.attributes["data-frames"])["seeds"]:
            assert {run["source"], *(frame["id"] for frame in run["frames"])} <= set(ids)


def test_every_picture_has_words_and_no_colour_of_paper_stays(bad: str) -> None:
    found = parse(bad)
    assert len(found.named("img")) == 3 and len(found.named("svg")) == 3
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


def test_strips_are_there_once_with_their_own_pixels(tmp_path: Path) -> None:
    def at(control: float, seed: int) -> RunRecord:
        return make("fix", seed=seed, control=control, is_default_control=control == 1.0, metrics=kid(control))

    records = [make("source", seed=s, zero_step=True) for s in (3, 4)] + [at(c, s) for c in (1.0, 0.5) for s in (3, 4)]
    records = [strip(tmp_path, r) for r in records] + [strip(tmp_path, make("big", seed=3), px=2 * TILE_PX)]
    found = parse(draw(records, tmp_path)[0])
    images = {e.attributes["id"]: e.attributes["src"] for e in found.named("img")}
    assert len(images) == len(found.named("img")) == 7
    for r in records:
        data = base64.b64decode(images[f"p0-{r.record_key}"].partition(",")[2])
        with Image.open(BytesIO(data)) as shown, Image.open(tmp_path / str(r.grid)) as stored:
            assert shown.size == (stored.size if r.method != "big" else (8 * TILE_PX, TILE_PX))
            assert shown.getpixel((1, 1)) == stored.getpixel((1, 1)), r.method
    (player,) = [json.loads(e.attributes["data-frames"]) for e in found.elements if "data-frames" in e.attributes]
    assert [(s["seed"], [f["value"] for f in s["frames"]]) for s in player["seeds"]] == [
        (n, ["0.5", "1"]) for n in (3, 4)
    ]
    keys = {(r.seed, r.control): f"p0-{r.record_key}" for r in records if r.method != "big"}
    for s in player["seeds"]:
        assert s["source"] == keys[s["seed"], None]
        assert [f["id"] for f in s["frames"]] == [keys[s["seed"], 0.5], keys[s["seed"], 1.0]]
        assert [(f["standard"], f["said"][0][1]) for f in s["frames"]] == [(False, "500.0"), (True, "1,000")]


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

"""Tables and pictures: the numbers are those of the records, whatever the records are called."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from made_records import SETTINGS, key_of, kid, make
from PIL import Image
from rich.console import Console

from benchmark.errors import ConfigError, DataError
from benchmark.metrics import list_metrics
from benchmark.metrics.base import Kind
from benchmark.report import rich_table, show, summary, write_report
from benchmark.report.conditions import conditions
from benchmark.report.group import SOURCE, group_of
from benchmark.report.lines import groups
from benchmark.report.render import latex_tables, markdown, markdown_tables
from benchmark.report.section import section_of
from benchmark.report.tables.controls import value_tables
from benchmark.report.tables.cost import cost_table
from benchmark.report.tables.headline import headline
from benchmark.report.tables.metrics import UNMARKED, metric_table, unavailable
from benchmark.report.tables.table import MISSING, Cell, Column, Row, Table
from benchmark.results import Doctor, MetricValue, ResultStore, RunRecord, Timing

ROOT = Path(__file__).parents[3]


def sick(*failed: str) -> dict[str, Any]:
    return {"doctor": Doctor(passed=False, checks=9, failed=failed)}


def quality(value: float, n: int = 100) -> dict[str, MetricValue]:
    return {"quality": MetricValue(value=value, n=n, better="higher")}


def texts(table: Table | None) -> dict[str, list[str]]:
    assert table is not None
    return {row.label: [("*" if c.best else "") + c.text for c in row.cells] for row in table.rows}


def of(records: Sequence[RunRecord], metric: str = "kid_net") -> Table:
    """The table of a metric."""
    (own,) = groups(records)
    found = metric_table(group_of(own), metric)
    assert found is not None
    return found


def head(records: Sequence[RunRecord]) -> Table:
    (own,) = groups(records)
    return headline(group_of(own))


def small_set() -> list[RunRecord]:
    """By hand: kid of `a` is 1.0, 1.4 (mean 1.2, std 0.28), of `b` 1.1 and 1.5; quality is better higher."""
    zero = [make("source", seed=s, zero_step=True, metrics=kid(0.1) | quality(0.99)) for s in (0, 1)]
    a = [make("a", seed=s, metrics=kid(v) | quality(q)) for s, v, q in ((0, 1.0, 0.2), (1, 1.4, 0.4))]
    b = [make("b", seed=s, metrics=kid(v) | quality(q)) for s, v, q in ((0, 1.1, 0.3), (1, 1.5, 0.5))]
    return zero + a + b


def test_mean_std_direction_and_no_mark_where_all_would_have_one() -> None:
    table = of(small_set())
    assert [(c.group, c.name, c.detail) for c in table.columns] == [("d", "KID", "↓")]
    assert texts(table) == {SOURCE: ["0.10 ± 0.00"], "a": ["1.20 ± 0.28"], "b": ["1.30 ± 0.28"]}
    assert "With 2 seeds none can be significantly worse than the best (6 are needed)." in table.caption
    assert [(c.name, c.detail) for c in of(small_set(), "quality").columns] == [("quality", "↑")]


def test_only_what_is_significantly_better_is_marked_alone() -> None:
    values = {"a": 0.10, "b": 0.12, "c": 0.101}
    records = [
        make(m, seed=s, metrics=kid(v + 0.01 * (s % 3) + (0.004 * (-1) ** s if m == "c" else 0)))
        for m, v in values.items()
        for s in range(8)
    ]
    marks = {row.label: row.cells[0].best for row in of(records).rows}
    assert marks == {"a": True, "b": False, "c": True}
    again = {row.label: row.cells[0].best for row in head(records).rows}
    assert again == marks and any("Bold" in text for text in head(records).caption)


def test_a_control_at_the_source_takes_no_part_in_marks_and_nothing_is_marked_in_distances() -> None:
    def near(value: float) -> dict[str, MetricValue]:
        return {"consistency_net": MetricValue(value=value, n=9)}

    records = [make("source", seed=s, zero_step=True, metrics=kid(0.05 + s / 100) | near(0)) for s in range(8)]
    records += [make("still", seed=s, metrics=kid(0.05 + s / 100) | near(0)) for s in range(8)]
    records += [make("a", seed=s, metrics=kid(0.1 + s / 100) | near(0.1)) for s in range(8)]
    records += [make("b", seed=s, metrics=kid(0.2 + s / 100) | near(0.2)) for s in range(8)]
    best = [row.label for row in of(records).rows if row.cells[0].best]
    assert best == ["a"] and len(of(records).rows) == 4
    assert not any(row.cells[0].best for row in of(records, "consistency_net").rows)


@pytest.mark.parametrize("kind", UNMARKED)
def test_nothing_is_marked_where_doing_nothing_is_best(kind: Kind) -> None:
    name, info = next((n, i) for n, i in list_metrics().items() if i.kind == kind)
    still, moved = (0.1, 0.5) if info.better == "lower" else (0.9, 0.5)

    def value(at: float) -> dict[str, MetricValue]:
        return {name: MetricValue(value=at, n=9, better=info.better), "kid_net": MetricValue(value=at, n=9)}

    records = [make(m, seed=s, metrics=value(v + s / 1000)) for m, v in (("a", still), ("b", moved)) for s in range(10)]
    assert not any(row.cells[0].best for row in of(records, name).rows)
    assert any(row.cells[0].best for row in of(records).rows)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((1.0, 1.4), "1.20 ± 0.28"),
        ((1.2345, 1.2355), "1.23500 ± 0.00071"),
        ((100.0, 160.0), "130 ± 42"),
        ((0.5, 0.5), "0.500 ± 0.000"),
        ((0.0, 0.0), "0"),
    ],
)
def test_digits_follow_the_standard_deviation(values: tuple[float, float], text: str) -> None:
    assert texts(of([make("a", seed=s, metrics=kid(v)) for s, v in enumerate(values)])) == {"a": [text]}


def test_with_one_seed_digits_follow_the_standard_error_and_shares_their_resolution() -> None:
    precise = {"kid_net": MetricValue(value=1.23456, n=9, std_error=0.03)}
    assert texts(of([make("a", metrics=precise)])) == {"a": ["1.235"]}
    share = {"recall_net": MetricValue(value=0.004, n=500, better="higher")}
    assert texts(of([make("a", seed=s, metrics=share) for s in (0, 1)], "recall_net")) == {"a": ["0.004 ± 0.000"]}


def test_one_seed_has_no_spread_and_no_mark_and_says_so() -> None:
    table = head([r for r in small_set() if r.seed == 0])
    assert not any(c.best for row in table.rows for c in row.cells)
    assert "±" not in "".join(c.text for row in table.rows for c in row.cells)
    assert any("Nothing is marked: one seed" in text for text in table.caption)


def test_missing_failed_skipped_and_not_available_are_told_apart() -> None:
    records = [
        make("a", metrics=kid(0.010) | quality(1)),
        make("b", metrics=kid(None)),
        make("c", status="failed", reason="loss is\nnot finite"),
        make("e", status="skipped", reason="needs labels"),
        make("f", "other", metrics=kid(0.020)),
    ]
    table = of(records)
    assert texts(table) == {
        "a": ["0.0100", MISSING],
        "b": ["not available", MISSING],
        "c": ["failed", MISSING],
        "e": ["skipped", MISSING],
        "f": [MISSING, "0.0200"],
    }
    rows = {row.label: row.cells for row in table.rows}
    assert [table.footnotes[n - 1] for n in rows["b"][0].notes] == ["kid_net: no weights"]
    assert [table.footnotes[n - 1] for n in rows["c"][0].notes] == ["c on d, seed 0: failed: loss is not finite"]


def test_what_is_not_available_on_a_domain_is_a_sentence_and_what_is_nowhere_a_line() -> None:
    none = {"fid": MetricValue(reason="not available: put the file there")}
    records = [make(m, "d", metrics=kid(0.1) | none) for m in "ab"] + [make(m, "e", metrics=kid(None)) for m in "ab"]
    table = of(records)
    assert [c.group for c in table.columns] == ["d"] and "Not available on e: no weights." in table.caption
    (own,) = groups(records)
    assert unavailable(group_of(own)) == ["fid: Not available on d: put the file there."]
    assert metric_table(group_of(own), "fid") is None


def test_a_failed_seed_leaves_the_mean_of_the_others_with_their_number() -> None:
    records = [make("a", seed=s, metrics=kid(v)) for s, v in ((0, 1.0), (1, 1.4))]
    records.append(make("a", seed=2, status="failed", reason="out of memory"))
    (row,) = of(records).rows
    assert (row.cells[0].text, row.cells[0].notes) == ("1.20 ± 0.28 (n=2)", (1,))


def test_a_method_is_one_row_at_its_default_control_and_a_control_is_a_table() -> None:
    def at(control: float, value: float) -> RunRecord:
        return make("fix", control=control, is_default_control=control == 0.5, metrics=kid(value))

    records = [at(10.0, 0.4), at(0.25, 0.2), at(0.5, 0.3), make("a", metrics=kid(0.5))]
    records.append(make("fix", "other", status="failed", reason="died in training"))  # before its controls were known
    table = head(records)
    assert [row.label for row in table.rows] == ["fix (noise 0.5)", "a"], "the best comes first"
    assert texts(table)["fix (noise 0.5)"][:2] == ["0.300", "failed"], "a domain where all failed keeps its column"
    (own,) = groups(records)
    (values,) = value_tables(group_of(own))
    assert [row.label for row in values.rows] == ["0.25", "0.5 (default)", "10"]


def test_a_run_in_which_everything_failed_still_has_a_table() -> None:
    table = head([make("a", status="failed", reason="no disk")])
    assert texts(table) == {"a": ["failed"]} and table.footnotes == ("a on d, seed 0: failed: no disk",)
    assert section_of([make("a", status="failed", reason="no disk")]).sentences == ("No method has a number yet.",)


def test_variants_of_a_method_are_told_apart_by_what_differs() -> None:
    records = [make("fix", fields={"weight": w, "depth": 3}, metrics=kid(w)) for w in (0.05, 0.1)]
    assert [row.label for row in of(records).rows] == ["fix [weight=0.05]", "fix [weight=0.1]"]


@pytest.mark.parametrize(
    ("odd", "named"),
    [
        ({"metrics": kid(0.02, n=500)}, "N of kid_net is 1000 and 500"),
        ({"metrics": kid(0.02, better="higher")}, "direction of kid_net"),
        ({"domain_digest": "00" * 32}, "digest of the domain"),
        ({"settings": {**SETTINGS, "train": {"kimg": 8, "batch": 16}}}, "train.kimg is 4 and 8"),
        ({"settings": {**SETTINGS, "eval": {"samples": 1001}}}, "eval.samples is 1000 and 1001"),
        ({"metrics": kid(0.02, title="KID, net 2")}, "title of kid_net is KID, net 1 and KID, net 2"),
        ({"settings": {**SETTINGS, "protocol": 2}}, "protocol is 1 and 2"),
        ({"settings": {**SETTINGS, "metric_versions": {"kid_net": "2"}}}, "metric_versions.kid_net is 1 and 2"),
        (
            {"settings": {**SETTINGS, "eval": {"samples": 1000, "snapshot": "selected"}}},
            "eval.snapshot is last and selected",  # a record without this setting is older than it
        ),
    ],
)
def test_refuses_to_put_unlike_numbers_into_one_column(odd: dict[str, Any], named: str) -> None:
    settings = {**SETTINGS, "protocol": 1, "metric_versions": {"kid_net": "1"}}
    records = [make("a", metrics=kid(0.01, title="KID, net 1"), settings=settings)]
    records.append(make("b", **({"metrics": kid(0.02)} | odd)))
    with pytest.raises(ConfigError, match=re.escape(named)) as error:
        of(records)
    assert all(r.record_key[:12] in str(error.value) for r in records)
    apart = [records[0], make("b", "other", **({"metrics": kid(0.02)} | odd))]
    assert len(of(apart).columns) == 2, "another domain is another column"


def test_settings_that_change_no_number_may_differ() -> None:
    train = {"kimg": 4.0, "batch": 16, "tick_kimg": 9, "snapshot_kimg": [1, 2]}
    more = {**SETTINGS, "train": train, "eval": {"samples": 1000, "metrics": ["kid_net"], "curve_samples": 7}}
    records = [make("a", metrics=kid(0.01)), make("b", metrics=kid(0.02), settings=more)]
    assert len(of(records).rows) == 2


def test_rows_measured_although_the_doctor_failed_are_marked() -> None:
    records = [make("a", metrics=kid(0.01), **sick("hash of the\nextractor")), make("b", metrics=kid(0.01))]
    records += [make("c", seed=s, metrics=kid(0.01), **(sick("hash of the extractor") if s else {})) for s in (0, 1)]
    records += [make("e", status="failed", reason="x", **sick("no number was measured"))]
    table = of(records)
    noted = {row.label: [table.footnotes[n - 1] for n in row.notes] for row in table.rows}
    line = "measured although the doctor failed: hash of the extractor"
    assert noted == {"a": [line], "b": [], "c": [f"1 of 2 records {line}"], "e": []}
    n = table.rows[0].notes[0]
    assert f"| a \\[{n}\\] | " in markdown_tables("", [table], ())
    assert rf"a\textsuperscript{{{n}}} &" in latex_tables([table])
    assert line in show(records[0])
    assert "Doctor: 2 of 4 records failed, 2 of 4 records not examined." in conditions(records)


def test_a_metrics_note_is_a_footnote_of_its_cell() -> None:
    noted = kid(0.01, note="two clusters\nare empty") | quality(1)
    table = of([make("a", metrics=noted), make("b", metrics=kid(0.02) | quality(1))])
    assert [[c.notes for c in row.cells] for row in table.rows] == [[(1,)], [()]]
    assert table.footnotes == ("kid_net: two clusters are empty",)


def test_the_best_snapshot_on_the_test_split_is_called_optimistic() -> None:
    settings = {**SETTINGS, "eval": {"samples": 1000, "snapshot": "legacy_best_on_test"}}
    records = [make(m, metrics=kid(0.01), settings=settings) for m in "ab"]
    assert head(records).title.endswith("; best snapshot on the test split: optimistic")
    both = [*records, *(make(m, "e", metrics=kid(0.01)) for m in "ab")]
    assert head(both).title.endswith("; d: best snapshot on the test split: optimistic")
    assert "optimistic" not in head(both[2:]).title


def test_times_of_several_devices_are_called_so() -> None:
    def on(device: str) -> RunRecord:
        return make(device, timing=Timing(seconds_per_kimg=1), environment={"device": device})

    assert not any("Several devices" in text for text in cost_table(group_of([on("a")])).caption)
    assert any("Several devices" in text for text in cost_table(group_of([on("a"), on("b")])).caption)


def test_refuses_twins() -> None:
    a = make("a", metrics=kid(0.01))
    with pytest.raises(ConfigError, match="two records for a on d, seed 0"):
        head([a, a.model_copy(update={"record_key": "99" * 32})])


def test_the_untouched_source_needs_no_training_settings() -> None:
    zero = make("source", zero_step=True, metrics=kid(0.2), settings={**SETTINGS, "train": {"kimg": 0}})
    assert len(of([zero, make("a", metrics=kid(0.01))]).rows) == 2


def test_cost_is_averaged_over_domains_then_seeds_and_shared_training_is_named() -> None:
    def cost(method: str, domain: str, seed: int, seconds: float, **more: Any) -> RunRecord:
        timing = Timing(seconds_per_kimg=seconds, shipped_params=1_234_567, reused_training=method == "swap")
        return make(method, domain, seed, timing=timing, train_key=key_of("tune", domain, seed), **more)

    records = [cost("tune", d, s, v) for d, s, v in (("d", 0, 10), ("e", 0, 20), ("d", 1, 18), ("e", 1, 20))]
    records += [cost("swap", "d", 0, 10), cost("tune", "f", 0, 1, environment={"device": "H100"})]
    table = cost_table(group_of(records))
    cells = [(row.label, row.cells[0].text, row.cells[5].text, row.cells[-1].text) for row in table.rows]
    assert cells == [
        ("swap", "10.0", "1,234,567", "cpu, 2 threads"),
        ("tune", "1.0", "1,234,567", "H100"),  # never averaged over devices
        ("tune", "17.0 ± 2.8", "1,234,567", "cpu, 2 threads"),
    ]
    assert table.rows[0].cells[0].notes == (1,) and "it uses that of tune" in table.footnotes[0]


HOSTILE = "a_b%<script>|$x$*"


def strip(store: ResultStore, record: RunRecord, px: int = 16) -> RunRecord:
    path = store.samples_path(record.record_key)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8 * px, px), (200, 60, 60)).save(path)
    return record.model_copy(update={"grid": f"samples/{path.name}"})


def fill(folder: Path) -> ResultStore:
    """A run with a source row, a method of hostile name with a control, a failure, two domains (one climbs)."""
    store = ResultStore(folder)
    for domain in ("d", "../../up & <b>"):
        metrics = kid(0.2) | {"consistency_net": MetricValue(value=0.0, n=50)}
        store.write(strip(store, make("source", domain, zero_step=True, metrics=metrics)))
        store.write(make("c", domain, status="failed", reason="50% \\input{x} [x](y)"))
        for control in (0.0, 1.0):
            metrics = kid(0.01 + control / 100) | {"consistency_net": MetricValue(value=0.4, n=50)}
            timing = Timing(seconds_per_kimg=2, train_seconds=8, trainable_params=9, shipped_params=5, kimg=4)
            record = make(HOSTILE, domain, 0, control, is_default_control=control == 0, metrics=metrics, timing=timing)
            store.write(strip(store, record))
    return store


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "a" / "b" / "run"
    fill(folder)
    write_report(folder)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_files_stay_in_the_folder_and_every_picture_is_drawn(written: Path) -> None:
    assert [p.name for p in written.parents[2].iterdir()] == ["a"], "a domain called ../../up climbs nowhere"
    names = sorted(p.name for p in (written / "figures").iterdir())
    assert len(names) == 6 and {"cost.png", "fidelity_consistency.png", "grid_d.png"} < set(names)
    with Image.open(written / "figures" / "grid_d.png") as grid:
        assert grid.width > 8 * 32 and grid.height > 2 * 32, "16 px strips are doubled, two rows"


def test_same_bytes_in_another_process_without_torch(written: Path, tmp_path: Path) -> None:
    before, copy = contents(written), tmp_path / "run"
    shutil.copytree(written, copy)
    for name in before:
        if not name.startswith(("records", "samples", "hashes", "logs")):
            (copy / name).unlink()
    code = (
        "import sys; from pathlib import Path; from benchmark.report import write_report\n"
        f"write_report(Path({str(copy)!r}))\n"
        "assert not {'torch', 'torchvision'} & set(sys.modules), 'report imported torch'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": "7"})
    assert contents(copy) == before


def test_a_page_elsewhere_leads_to_the_records(written: Path, tmp_path: Path) -> None:
    write_report(written, tmp_path / "else where")
    links = re.findall(r'href="([^"]*records/\w+\.json)"', (tmp_path / "else where" / "page.html").read_text("utf-8"))
    assert links and all((tmp_path / "else where" / unquote(unescape(link))).is_file() for link in links)


def test_markdown(written: Path) -> None:
    text = (written / "tables.md").read_text(encoding="utf-8")
    assert "a_b%&lt;script&gt;\\|\\$x\\$\\* (noise 0) |" in text and " 0.010 |" in text
    assert "<script" not in text and "[x](y)" not in text
    table = [line for line in text.splitlines() if line.startswith("|")]
    widths = [len(re.findall(r"(?<!\\)\|", line)) for line in table]
    assert text.count("|:--|") == len(re.findall(r"^\|:--\|", text, re.M)) >= 6 and min(widths) >= 3
    for block in re.findall(r"(?:^\|.*\n)+", text, re.M):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1, "a table is rectangular"
    assert "failed \\[1\\]" in text and "train.kimg 4" in text and "noise: c" not in text.split("### Conditions")[0]


def test_latex(written: Path) -> None:
    text = (written / "tables.tex").read_text(encoding="utf-8")
    assert r"a\_b\%\textless{}script\textgreater{}\textbar{}\$x\${*} (noise 0)" in text
    assert r"\multicolumn{2}{c}{../../up \& \textless{}b\textgreater{}}" in text
    assert r"50\% \textbackslash{}input\{x\}" in text
    assert r"\cmidrule(lr){2-3}" in text and r"\cmidrule(lr){4-5}" in text
    unescaped = re.sub(r"\\[&%$#_{}]", "", text)
    assert unescaped.count("{") == unescaped.count("}") and "#" not in unescaped
    for environment in ("table*", "tabular", "itemize"):
        assert text.count(rf"\begin{{{environment}}}") == text.count(rf"\end{{{environment}}}") > 0
    for body in re.findall(r"\\midrule\n(.*?)\\bottomrule", text, re.S):
        assert (
            len({re.sub(r"\\&", "", row).count("&") for row in body.split("\\\\\n") if "midrule" not in row and row})
            == 1
        )


def test_marked_cells_are_bold_and_the_deviation_is_small() -> None:
    table = Table("t", (Column("d", "KID"),), (Row("m", (Cell("1.00 ± 0.10", best=True),)), Row("n", (Cell("2.00"),))))
    text = markdown_tables("", [table], ())
    assert "| m | **1.00 ± 0.10** |" in text and "| n | 2.00 |" in text
    assert r"\textbf{1.00 {\scriptsize$\pm$ 0.10}}" in latex_tables([table])
    assert r"\textbf{2.00}" not in latex_tables([table])


def test_csv_is_long_and_unscaled(written: Path) -> None:
    rows = list(csv.DictReader(io.StringIO((written / "tables.csv").read_text(encoding="utf-8"))))
    assert len(rows) == 2 * (2 + 1 + 2 * 2), "a row per record and metric, one for a failure"
    (row,) = [r for r in rows if r["domain"] == "d" and r["control"] == "0.0" and r["metric"] == "kid_net"]
    assert (row["method"], row["value"], row["n"], row["status"]) == (HOSTILE, "0.01", "1000", "done")
    assert [r["reason"] for r in rows if r["method"] == "c"] == ["50% \\input{x} [x](y)"] * 2


def test_every_number_names_its_records(written: Path) -> None:
    """By recomputing the cells of the main table from the records that provenance.csv names."""
    records = {r.record_key: r for r in ResultStore(written).read_all()[0]}
    rows = list(csv.DictReader(io.StringIO((written / "provenance.csv").read_text(encoding="utf-8"))))
    checked = 0
    for row in rows:
        behind = [records[key] for key in row["record_keys"].split()]
        assert behind and all(r.domain == row["group"] for r in behind if row["group"])
        if row["column"] == "KID" and behind[0].status == "done" and row["table"] == "kid_net":
            assert float(row["cell"]) == behind[0].metrics["kid_net"].value and len(behind) == 1
            checked += 1
    assert checked == 2 * 2, "the source and the default control, on two domains"
    assert {row["table"] for row in rows} >= {"headline", "kid_net", "consistency_net", "Cost"}
    assert "provenance.csv" in (written / "tables.md").read_text(encoding="utf-8")
    assert "provenance.csv" in (written / "tables.tex").read_text(encoding="utf-8")
    html = (written / "page.html").read_text(encoding="utf-8")
    assert all(f'<a class="to" href="records/{key}.json"' in html for key, r in records.items() if r.metrics)


def test_latex_of_what_tex_reads_as_a_command_or_a_ligature() -> None:
    table = Table("t", (Column("", "x"),), (Row("*--out\x00\x1b[1]", (Cell("a---b\u200b"),)),))
    text = latex_tables([table])
    assert r"{*}-{}-out{[}1{]} & a-{}-{}-b \\" in text, "a star after a line break, dashes, control characters"


def test_terminal_and_show_print_hostile_names_as_they_are() -> None:
    record = make("[red]a[/red]", metrics=kid(0.01) | {"fid": MetricValue(reason="put [it] there")}, notes=("n [b]",))
    console = Console(file=io.StringIO(), width=200, force_terminal=False)
    console.print(rich_table(of([record])))
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert "[red]a[/red]" in printed and "0.0100" in printed
    assert "[red]a[/red]" in summary(section_of([record]))
    assert "not available: put [it] there" in show(record) and "train.kimg" in show(record)


def test_what_is_not_available_is_said_once() -> None:
    """Reasons of metrics begin with these words; those of records of others need not."""
    for reason in ("not available: needs a file", "needs a file"):
        record = make("a", metrics=kid(0.01) | {"fid": MetricValue(reason=reason)})
        texts = (show(record), markdown([section_of([record, make("b", "e", metrics=kid(0.02))])]))
        for text in texts:
            said = [line.lower().count("not available") for line in text.splitlines() if "needs a file" in line]
            assert said == [1], text


@pytest.mark.parametrize("others", [False, True])
@pytest.mark.parametrize("seeds", [1, 6])
def test_a_method_without_its_default_control_is_in_the_tables_and_wins_nothing(
    tmp_path: Path, others: bool, seeds: int
) -> None:
    """As where its record was lost or failed; nothing else of the folder is refused for it."""
    store = ResultStore(tmp_path)
    for seed in range(seeds):
        store.write(make("source", seed=seed, zero_step=True, metrics=kid(1.0)))
        for control in (0.25, 0.5):
            metrics = kid(0.01 * control + seed / 1e5) | {"recall_randconv": MetricValue(value=control, n=9)}
            store.write(make("fixnoise", seed=seed, control=control, is_default_control=False, metrics=metrics))
        if others:
            store.write(make("finetune", seed=seed, metrics=kid(0.5 + seed / 1e4)))
            store.write(make("freezed", seed=seed, metrics=kid(0.9 - seed / 1e4)))
    write_report(tmp_path, pdf=True)
    text = (tmp_path / "tables.md").read_text()
    for row in ("fixnoise (noise 0.25)", "fixnoise (noise 0.5)"):
        cells = [line for line in text.splitlines() if line.startswith(f"| {row} |")]
        assert len(cells) >= 2 and "**" not in "".join(cells), "in the headline and in the metric's table, unmarked"
    named = [line for line in text.splitlines() if "Lowest KID" in line]
    assert "fixnoise on" not in "".join(named) and any(": finetune on" in line for line in named) == others
    assert 'fixnoise <span class="at">(noise 0.25)</span>' in (tmp_path / "page.html").read_text()


def test_conditions_name_what_differs() -> None:
    other = {**SETTINGS, "reals": 7}
    text = "\n".join(conditions([make("a"), make("b", "e", settings=other), make("b", "d", settings=SETTINGS)]))
    assert "train.kimg 4" in text and "reals 7" in text and "a: noise: a" in text and "device cpu" in text
    assert "train.batch: 16 (d); 32 (e)" in "\n".join(
        conditions([make("a"), make("a", "e", settings={"train": {"batch": 32}})])
    )


def test_conditions_say_what_the_machine_was_and_leave_out_what_each_record_has_of_its_own() -> None:
    facts = {"device": "cpu", "dependencies": {"numpy": "2.0"}}
    own = {"started": "2026-01-01T00:00:00", "ended": "2026-01-01T01:00:00", "command": "x --out y", "load_at_start": 3}
    text = "\n".join(conditions([make("a", environment=facts | own), make("b", environment=facts | {"command": "z"})]))
    assert "Environment: device cpu, dependencies.numpy 2.0." in text
    assert not [word for word in (*own, "2026", "x --out y") if word in text]


def test_bad_strips_cost_a_row_and_a_line_never_the_report(tmp_path: Path) -> None:
    store = fill(tmp_path / "run")
    (tmp_path / "secret.png").write_bytes(b"x")
    records = [r for r in store.read_all()[0] if r.domain == "d" and r.grid]
    store.samples_path(records[0].record_key).write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 50)
    Image.new("RGB", (17, 16)).save(store.samples_path(records[1].record_key))
    climbing = store.samples_path(records[2].record_key)
    climbing.unlink()
    climbing.symlink_to(tmp_path / "secret.png")
    (store.records / "stray.json").write_text("{")
    report = write_report(store.out)
    text = "\n".join(report.problems)
    assert "stray.json" in text and "17 x 16 px" in text and "not a file in the results folder" in text
    assert (store.out / "tables.md").is_file() and not (store.out / "figures" / "grid_d.png").exists()


def test_a_report_of_several_sources_and_of_some_records(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    records = [make("a", metrics=kid(0.01)), make("b", source="other", metrics=kid(0.02))]
    odd = make("a", metrics=kid(0.01), settings={"train": {"kimg": 9}}, record_key="77" * 32)
    for record in (*records, odd):
        store.write(record)
    with pytest.raises(ConfigError, match=r"train\.kimg is"):
        write_report(tmp_path)
    assert not (tmp_path / "tables.md").exists(), "refused means nothing written"
    report = write_report(tmp_path, keys={r.record_key for r in records})
    assert [s.title.split(" (")[0] for s in report.sections] == [
        "smoke suite, source other",
        "smoke suite, source src",
    ]


def test_the_report_of_a_run_has_what_lies_in_the_folder_from_earlier_runs(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    first, second = make("a", metrics=kid(0.01)), make("b", metrics=kid(0.02))
    other = make("c", suite="another", metrics=kid(0.03))
    for record in (first, second, other):
        store.write(record)
    report = write_report(tmp_path, keys={second.record_key})
    assert [[row.label for row in s.headline.rows] for s in report.sections] == [["c"], ["a", "b"]]
    assert not [text for text in report.problems if "Left out" in text]
    page = (tmp_path / "page.html").read_text("utf-8")
    assert all(r.record_key in page for r in (first, second, other))


def test_the_report_of_a_run_says_what_it_leaves_out(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    own, fits = make("b", metrics=kid(0.02)), make("f", suite="another", metrics=kid(0.04))
    longer = [make("a", seed=n, metrics=kid(0.01), settings={"train": {"kimg": 9}}) for n in (0, 1)]
    torn = [make("x", suite="third", metrics=kid(1), settings={"train": {"kimg": k}}, seed=k) for k in (1, 2)]
    for record in (own, fits, *longer, *torn):
        store.write(record)
    report = write_report(tmp_path, keys={own.record_key})
    assert [[row.label for row in s.headline.rows] for s in report.sections] == [["f"], ["b"]]
    said = " ".join(report.problems)
    assert "2 other records of suite smoke in this folder: cannot compare on d: train.kimg is" in said
    assert "2 other records of suite third" in said
    for file in ("tables.md", "tables.tex", "page.html"):
        assert (tmp_path / file).read_text("utf-8").count("other records of suite smoke") >= 1, file


def test_a_note_stands_below_the_first_table_of_every_report(tmp_path: Path) -> None:
    ResultStore(tmp_path).write(make("a", metrics=kid(1.0)))
    (tmp_path / "NOTE.md").write_text("**Unfinished:** one of `8` seeds.\n\n<script>50 % & \x1b[31m_more_\n", "utf-8")
    assert not any("NOTE.md" in line for line in write_report(tmp_path).problems)
    md, tex, html = ((tmp_path / name).read_text("utf-8") for name in ("tables.md", "tables.tex", "page.html"))
    assert "Unfinished: one of 8 seeds." in md and "50 %" in md
    assert r"50 \% \&" in tex and "<script>50" not in html and "&lt;script&gt;50 % &amp;" in html
    assert "\x1b" not in md + tex + html
    (tmp_path / "NOTE.md").unlink()
    (tmp_path / "NOTE.md").symlink_to("/etc/hostname")
    assert any(line.startswith("NOTE.md is left out: it ") for line in write_report(tmp_path).problems)


def test_no_records_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no results in"):
        write_report(tmp_path)
    ResultStore(tmp_path).ensure_writable()
    with pytest.raises(DataError, match="run a suite into this folder first"):
        write_report(tmp_path)

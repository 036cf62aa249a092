"""Published numbers: every file reads, nothing unverified is printed, and each stands beside the right one of ours."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from made_records import kid, make

from benchmark.domains.assets import list_targets
from benchmark.errors import DataError
from benchmark.metrics import list_metrics
from benchmark.registry import method_names
from benchmark.report import published, write_report
from benchmark.report.published import UNVERIFIED, Protocol, Value, list_published, published_table
from benchmark.report.tables.table import MISSING, Table
from benchmark.results import MetricValue, ResultStore

PROTOCOL = Protocol(
    source="theirs", resolution=256, samples=5000, reference="all images", snapshot="legacy_best_on_test", code="x"
)


def value(method: str = "m", metric: str = "fid", number: float = 12.5, target: str = "d", mark: str = "P") -> Value:
    return Value(target, method, metric, number, PROTOCOL, "Paper", "A paper, 2020", "table 1", mark)


def column(table: Table, name: str) -> list[str]:
    at = [c.name for c in table.columns].index(name)
    return [row.cells[at].text for row in table.rows]


def test_what_comes_with_the_package_is_of_known_sets_and_metrics() -> None:
    values = list_published()
    assert len(values) > 100
    assert {v.metric for v in values} <= set(list_metrics())
    assert {v.target for v in values} <= set(list_targets("target"))
    assert {v.method for v in values} & set(method_names()) >= {"finetune", "freezed", "ewc", "cdc", "dcl", "adam"}
    assert all(v.paper and v.where and v.protocol.reference for v in values)
    assert {v.mark for v in values if v.verified} == {"P", "R", "A"}
    places = [(v.short, v.target, v.method, v.metric) for v in values]
    assert len(places) == len(set(places))


def test_no_remembered_number_is_printed() -> None:
    """Not even beside a verified one of the same row."""
    values = list_published()
    for target in {v.target for v in values}:
        table = published_table([make(domain=target)], values)
        assert table is not None
        printed = [cell.text for row in table.rows for cell in row.cells]
        mine = [v for v in values if v.target == target]
        assert printed.count(UNVERIFIED) == sum(not v.verified for v in mine)
        assert len([text for text in printed if re.match(r"\d", text)]) == sum(v.verified for v in mine)
    only = published_table([make()], [value(number=98.7654, mark="M")])
    assert only is not None and "98.7654" not in repr(only) and column(only, "fid published") == [UNVERIFIED]


def test_ours_stands_beside_theirs_at_the_default_control_and_over_seeds() -> None:
    records = [make(seed=seed, metrics={"fid": MetricValue(value=10.0 + seed, n=9)}) for seed in (0, 1)]
    records += [make("other", metrics={"fid": MetricValue(value=99.0, n=9)})]
    records += [make(control=0.5, is_default_control=False, metrics={"fid": MetricValue(value=77.0, n=9)})]
    records += [make("source", zero_step=True, metrics={"fid": MetricValue(value=55.0, n=9)})]
    table = published_table(records, [value(), value("source", number=3.0), value("lost", number=4.0)])
    assert table is not None
    assert column(table, "fid published") == ["12.5", "3", "4"]
    assert column(table, "fid here") == ["10.5", MISSING, MISSING]
    assert table.rows[0].cells[1].keys == tuple(r.record_key for r in records[:2])
    assert not any(cell.best for row in table.rows for cell in row.cells)


def test_both_numbers_have_the_unit_of_the_metric() -> None:
    records = [make(metrics={"kid": MetricValue(value=0.004, n=9)})]
    table = published_table(records, [value(metric="kid", number=0.002)])
    assert table is not None
    assert (column(table, "kid published"), column(table, "kid here")) == (["0.002"], ["0.004"])


def test_the_differences_are_named() -> None:
    settings = {"resolution": 256, "eval": {"samples": 400, "snapshot": "last"}, "reals": {"reference (held out)": 31}}
    table = published_table([make(settings=settings)], [value()])
    assert table is not None
    theirs, ours = (table.footnotes[n - 1] for n in table.rows[0].notes)
    assert "A paper, 2020 (table 1)" in theirs and "5,000" in theirs and "legacy best on test" in theirs
    assert (
        "generated images 400" in ours and "snapshot last" in ours and "31 images" in ours and "resolution" not in ours
    )
    hostile = published_table([make(settings={"eval": [], "reals": 3, "resolution": None})], [value()])
    assert hostile is not None and "resolution None" in hostile.footnotes[1]


def test_nothing_is_said_where_nothing_was_published(tmp_path: Path) -> None:
    assert published_table([make()]) is None
    store = ResultStore(tmp_path)
    store.write(make(metrics=kid(1.0)))
    write_report(tmp_path)
    assert "Published" not in (tmp_path / "tables.md").read_text() + (tmp_path / "page.html").read_text()


def test_they_stand_beside_the_standard_set_only() -> None:
    """A person's folder called metfaces had MetFaces' numbers beside its twelve pictures."""
    for set_of in (None, "d:another digest", f"e:{make().domain_digest}", "d"):
        assert published_table([make(standard_set=set_of)], [value()]) is None
    ours, strange = ({"fid": MetricValue(value=number, n=1)} for number in (10.0, 90.0))
    records = [make(metrics=ours), make(seed=1, standard_set=None, metrics=strange)]
    mixed = published_table(records, [value()])
    assert mixed is not None and column(mixed, "fid here") == ["10"]


def test_the_report_has_them_in_every_format(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    record = make("cdc", "ffhq-babies", metrics={"fid": MetricValue(value=71.25, n=5000)})
    store.write(record)
    write_report(tmp_path)
    for name in ("tables.md", "tables.tex", "page.html"):
        text = (tmp_path / name).read_text()
        assert "Published numbers" in text and "69.13" in text and "74.39" in text and "pytorch-fid" in text, name
    rows = (tmp_path / "provenance.csv").read_text().splitlines()
    assert sum("Published numbers" in row and record.record_key in row for row in rows) == 2


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[69.13, 0.578]", "[69.13]", "1 values for 2 metrics"),
        ("schema: 1", "schema: 2", "schema"),
        ("mark: R", "mark: Z", "mark"),
        ("protocol:", "protocoll:", "protocol"),
        ("tables:", "tables: [", "rick-page.yaml cannot be read"),
    ],
)
def test_a_file_with_a_mistake_is_refused(
    old: str, new: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (published.SHELF / "rick-page.yaml").read_text()
    assert old in text
    (tmp_path / "rick-page.yaml").write_text(text.replace(old, new, 1))
    monkeypatch.setattr(published, "SHELF", tmp_path)
    with pytest.raises(DataError, match=said):
        list_published()


def test_two_settings_of_a_method_are_no_mean_over_seeds() -> None:
    records = [make(fields={"w": w}, metrics={"fid": MetricValue(value=10.0 + w, n=9)}) for w in (0, 1)]
    table = published_table(records, [value()])
    assert table is not None and column(table, "fid here") == ["several settings"]

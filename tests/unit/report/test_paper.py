"""The chart for a paper: its points are the records' numbers, its bytes repeat."""

from __future__ import annotations

from pathlib import Path

from made_records import kid, make

from benchmark.report import write_report
from benchmark.report.figures.paper import points, write_pdf
from benchmark.report.group import group_of
from benchmark.results import MetricValue, ResultStore, RunRecord

FAR = "distance_averaged_l1"


def records() -> list[RunRecord]:
    found = [make("source", d, s, metrics=kid(2.0 + s), zero_step=True) for d in "de" for s in (0, 1)]
    for i, method in enumerate(("near", "$far^$")):
        for d in "de":
            far = {FAR: MetricValue(value=0.1 * (i + 1), n=4)}
            found += [make(method, d, s, metrics=kid(1.0 + i + s / 10) | far) for s in (0, 1)]
    return found


def test_points_are_the_numbers_of_the_records() -> None:
    found = points(group_of(records()))
    assert len(found) == 12 and list(found["method"].unique()) == ["source, untouched", "near", "$far^$"]
    one = found[(found["method"] == "$far^$") & (found["domain"] == "e")]
    assert list(one["fidelity"]) == [2.0, 2.1] and list(one["preservation"]) == [0.2, 0.2]
    assert set(found[found["method"] == "source, untouched"]["preservation"]) == {0.0}


def test_it_is_a_pdf_with_the_same_bytes_twice(tmp_path: Path) -> None:
    group = group_of(records())
    assert write_pdf(group, tmp_path / "a.pdf") and write_pdf(group, tmp_path / "b.pdf")
    data = (tmp_path / "a.pdf").read_bytes()
    assert data[:5] == b"%PDF-" and data == (tmp_path / "b.pdf").read_bytes()


def test_it_is_written_where_it_is_asked_for_and_only_there(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    for record in records():
        store.write(record)
    assert not [p for p in write_report(tmp_path).paths if p.suffix == ".pdf"]
    (pdf,) = [p for p in write_report(tmp_path, pdf=True).paths if p.suffix == ".pdf"]
    assert pdf == tmp_path / "figures" / "trade-off.pdf" and pdf.stat().st_size > 1000


def test_nothing_to_show_makes_no_file(tmp_path: Path) -> None:
    assert not write_pdf(group_of([make("a", metrics=kid(1.0))]), tmp_path / "a.pdf")
    assert list(tmp_path.iterdir()) == []

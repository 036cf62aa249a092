"""The published results: every file is as it was stored, and their tables are those of their records."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from benchmark.report import write_report
from benchmark.results import ResultStore
from benchmark.results.verify import note_missing, verify_results

PUBLISHED = Path(__file__).parents[3] / "results" / "published"
FOLDERS = sorted(path for path in PUBLISHED.iterdir() if path.is_dir())


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda p: p.name)
def test_every_file_of_a_published_folder_has_its_hash(folder: Path) -> None:
    found = verify_results(folder)
    assert (found.bad, found.unhashed) == ((), ()) and found.good >= len(list((folder / "records").iterdir()))
    assert not [name for name in found.gone if name.startswith("records/")]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda p: p.name)
def test_tables_csv_is_that_of_the_records(folder: Path) -> None:
    records = {r.record_key: r for r in ResultStore(folder).read_all()[0]}
    with (folder / "tables.csv").open(encoding="utf-8") as file:
        rows = [*csv.DictReader(file)]
    assert {row["record_key"] for row in rows} == set(records)
    for row in rows:
        value = records[row["record_key"]].metrics[row["metric"]].value if row["metric"] else None
        assert row["value"] == ("" if value is None else repr(value))


def test_a_published_report_comes_out_the_same(tmp_path: Path) -> None:
    """Of the folder whose report takes least time."""
    folder = min(FOLDERS, key=lambda path: len(list((path / "records").iterdir())))
    again = tmp_path / folder.name
    shutil.copytree(folder, again)
    assert write_report(again).sections
    for name in ("tables.md", "tables.tex", "tables.csv", "provenance.csv", "page.html"):
        assert (again / name).read_bytes() == (folder / name).read_bytes(), f"{name}: run `report` on {folder.name}"


def test_missing_hashes_can_be_noted_and_changes_are_still_found(tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(FOLDERS[-1], out, ignore=shutil.ignore_patterns("figures", "logs", "samples"))
    records = sorted((out / "records").iterdir())
    shutil.rmtree(out / "hashes")
    (out / "samples").mkdir(exist_ok=True)
    (out / "samples" / f"{records[0].stem}-extremes.png").write_bytes(b"picture")
    files = len(records) + len([*out.glob("reals/*.json")]) + 1
    assert len(verify_results(out).unhashed) == files
    assert note_missing(out) == files and note_missing(out) == 0
    assert verify_results(out).unhashed == verify_results(out).bad == ()
    (out / "samples" / f"{records[0].stem}-extremes.png").write_bytes(b"another")
    assert len(verify_results(out).bad) == 1 and note_missing(out) == 0, "what has a hash keeps it"

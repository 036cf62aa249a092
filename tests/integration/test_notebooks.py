"""The notebooks of the documentation, executed from top to bottom in an empty folder."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from command_line import ROOT
from nbclient import NotebookClient
from waiting import PATIENCE

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


def test_there_are_three() -> None:
    assert {path.stem for path in NOTEBOOKS} == {"use-an-adapted-network", "compare-methods", "add-a-method"}


SLOW = pytest.mark.slow(twin="tests/integration/test_notebooks.py::test_a_notebook_works_from_top_to_bottom")


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=() if path.stem == "add-a-method" else SLOW, id=path.stem) for path in NOTEBOOKS],
)
def test_a_notebook_works_from_top_to_bottom(
    path: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCHMARK_CACHE", str(cache))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    book = nbformat.read(path, as_version=4)
    nbformat.validate(book)
    assert all(not cell.get("outputs") for cell in book.cells), "stored without outputs"
    where = {"metadata": {"path": tmp_path}}
    NotebookClient(book, timeout=PATIENCE, startup_timeout=PATIENCE, kernel_name="python3", resources=where).execute()
    assert any(cell.get("outputs") for cell in book.cells)

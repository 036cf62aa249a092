"""What `new-method` writes: under which names, and whether its test can fail."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import benchmark.methods
from benchmark.conformity.new_method import write_method
from benchmark.errors import ConfigError
from benchmark.registry import find_method, method_names

WEIGHT = "test_its_weight_changes_what_is_trained"


def read(path: Path) -> dict[str, Callable[[], None]]:
    """The tests that the file has now, by name."""
    found: dict[str, Any] = runpy.run_path(str(path))
    return {name: test for name, test in found.items() if name.startswith("test_")}


def test_the_test_of_the_weight_fails_where_it_has_no_effect(tmp_path: Path) -> None:
    method, test = write_method("mine", tmp_path)
    read(test)[WEIGHT]()
    text = method.read_text()
    assert "self.weight * " in text
    method.write_text(text.replace("self.weight * ", ""))
    with pytest.raises(AssertionError):
        read(test)[WEIGHT]()


@pytest.mark.parametrize(
    ("name", "where"),
    [("random", "of its standard library"), ("numpy", r"numpy\S__init__.py"), ("benchmark", r"__init__.py")],
)
def test_a_file_may_not_take_the_place_of_a_module(name: str, where: str, tmp_path: Path) -> None:
    """Python looks into the current folder first: `random.py` there ends every later command."""
    with pytest.raises(ConfigError, match=rf"Python has a module {name} already \(.*{where}\), and {name}.py would"):
        write_method(name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_imported_by_that_name_is_in_nobodys_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder of that name, or the file that is there already, which is told as such."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (tmp_path / "sketches").mkdir()
    assert [path.name for path in write_method("sketches", tmp_path)] == ["sketches.py", "test_sketches.py"]
    with pytest.raises(ConfigError, match=r"sketches.py exists already"):
        write_method("sketches", tmp_path)


def test_new_method_writes_a_method_that_is_found(tmp_path: Path) -> None:
    paths = write_method("my_idea", tmp_path)
    assert [p.name for p in paths] == ["my_idea.py", "test_my_idea.py"]
    kind = find_method("my_idea", [str(paths[0])])
    assert (kind.__name__, kind.title) == ("MyIdea", "My idea")
    assert all(len(line) <= 120 for p in paths for line in p.read_text().splitlines())


@pytest.mark.parametrize(
    "name", ["", "Mine", "my idea", "../mine", "mine.py", "1st", "noise", "train", "source", "a+b"]
)
def test_new_method_refuses_names_that_would_not_work(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="new-method"):
        write_method(name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_new_method_replaces_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text("precious")
    with pytest.raises(ConfigError, match=r"test_mine\.py exists already"):
        write_method("mine", tmp_path)
    assert [p.read_text() for p in tmp_path.iterdir()] == ["precious"]
    for name in method_names()[:2]:
        with pytest.raises(ConfigError, match="the shelf has a method of this name"):
            write_method(name, tmp_path)
    with pytest.raises(ConfigError, match="this is the shelf itself"):
        write_method("mine", Path(benchmark.methods.__path__[-1]))
    with pytest.raises(ConfigError, match="cannot write into"):
        write_method("mine", tmp_path / "nowhere")

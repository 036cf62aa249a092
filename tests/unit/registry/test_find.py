"""Methods are found by their files; a broken file is named and does not take the others down."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import benchmark.methods
from benchmark.api import Method
from benchmark.errors import MethodError, UnknownName
from benchmark.registry import find_method, method_names

GOOD = "from benchmark.api import Method\n\nclass Mine(Method):\n    name = 'mine'\n"
BROKEN = {
    "does not parse": "class Mine(Method:\n",
    "raises on import": "raise RuntimeError('boom')\n",
    "needs what is not there": "import no_such_package\n",
    "has no method": "x = 1\n",
    "has no name": "from benchmark.api import Method\n\nclass Mine(Method):\n    pass\n",
    "has another name": GOOD.replace("'mine'", "'yours'"),
    "has two methods": GOOD + "\nclass Other(Method):\n    name = 'other'\n",
    "has only another's method": "from benchmark.methods.finetune import Finetune\n",
    "overrides what is not a field": GOOD + "    weight = 3\n",
}


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A second shelf beside the first."""
    monkeypatch.setattr(benchmark.methods, "__path__", [*benchmark.methods.__path__, str(tmp_path)])
    method_names.cache_clear()
    yield tmp_path
    method_names.cache_clear()
    for path in tmp_path.glob("*.py"):
        sys.modules.pop(f"benchmark.methods.{path.stem}", None)
        if hasattr(benchmark.methods, path.stem):
            delattr(benchmark.methods, path.stem)


def test_names_are_those_of_the_files() -> None:
    folder = Path(benchmark.methods.__path__[-1])
    assert list(method_names()) == sorted(p.stem for p in folder.glob("*.py") if p.stem != "__init__")
    for name in method_names():
        kind = find_method(name)
        assert issubclass(kind, Method) and kind.__module__ == f"benchmark.methods.{name}"


def test_a_new_file_is_a_new_method(shelf: Path) -> None:
    (shelf / "mine.py").write_text(GOOD)
    assert "mine" in method_names()
    assert find_method("mine")().name == "mine"


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_named_and_the_others_are_found(shelf: Path, text: str) -> None:
    (shelf / "mine.py").write_text(text)
    with pytest.raises(MethodError, match=r"^method mine: its file"):
        find_method("mine")
    assert find_method("finetune").name == "finetune"


def test_the_line_that_fails_is_told(shelf: Path) -> None:
    (shelf / "mine.py").write_text(f"{GOOD}\nnn.ReLU()\n")
    with pytest.raises(MethodError, match=r"cannot be imported \(NameError: .*'nn'.* \(mine.py, line 6\)\)\. Correct"):
        find_method("mine")


@pytest.mark.parametrize(("name", "near"), [("fixnois", "fixnoise"), ("FreezeD", "freezed"), ("layer", "layer_swap")])
def test_a_misspelt_name_gets_near_ones(name: str, near: str) -> None:
    with pytest.raises(UnknownName, match=rf"did you mean .*\b{near}\b"):
        find_method(name)


@pytest.mark.parametrize("name", ["", "..", "os", "benchmark.cli", "finetune.Finetune", "__init__", "../evil", "a\0b"])
def test_only_names_on_the_shelf_are_imported(name: str) -> None:
    with pytest.raises(UnknownName, match="unknown method"):
        find_method(name)

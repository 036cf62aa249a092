"""Tests that are left out of the quick suite: each names a quick one that fails first where the same code is wrong."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = sorted(path for name in ("unit", "contract", "integration") for path in (ROOT / "tests" / name).rglob("*.py"))


def twins() -> list[tuple[str, str]]:
    """(file of the slow test, its twin) of each marker."""
    calls = [
        (path, node) for path in TESTS for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)
    ]
    return [
        (path.name, ast.literal_eval(node.keywords[0].value))
        for path, node in calls
        if ast.unparse(node.func) == "pytest.mark.slow"
    ]


@pytest.mark.parametrize(("slow", "twin"), twins())
def test_a_slow_test_has_a_quick_twin(slow: str, twin: str) -> None:
    file, name = twin.split("::")
    functions = {f.name: f for f in ast.parse((ROOT / file).read_text()).body if isinstance(f, ast.FunctionDef)}
    assert name in functions, f"{slow}: its twin {twin} is not there"
    marks = [ast.unparse(mark) for mark in functions[name].decorator_list]
    assert not [mark for mark in marks if mark.startswith("pytest.mark.slow")], f"{slow}: its twin {twin} is slow, too"


def test_no_slow_test_goes_without() -> None:
    marks = sum(path.read_text().count("pytest.mark.slow") for path in TESTS if path != Path(__file__))
    assert marks == len(twins()) > 10

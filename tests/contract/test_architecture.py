"""The shape of the engine: who imports whom, how long things are, what is cheap to import, what nobody may use."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import benchmark

ENGINE = Path(benchmark.__file__).parent
ROOT = ENGINE.parent

FLOORS = (
    ("__main__",),
    ("cli",),
    ("use", "engines"),
    ("running", "cache"),
    ("conformity", "sources", "suites"),
    ("registry", "training", "report"),
    ("api", "metrics", "checkpoints", "fetch"),
    ("domains", "stylegan2", "results"),
    ("system",),
    ("config", "errors", "methods"),
)
"""Rooms from top to bottom: folders of the engine, and single files beside them. What each is for says its `__init__`.
A module imports from its own room or from a lower floor: never from above, never from the room next door."""

STAIRS = (
    "plan",
    "forecast",
    "shortages",
    "setup",
    "resume",
    "weights",
    "selection",
    "make_record",
    "job",
    "order",
    "ranks",
    "worker",
    "server",
    "supervisor",
    "launch",
    "suite",
)
"""The modules of `running/` from the first to the last."""
MOST_MODULES = 16
FILE_LINES = {"stylegan2": 450, "methods": 80}
FUNCTION_LINES = {"train": 120}


def modules() -> dict[str, Path]:
    """{dotted name below `benchmark`: file} of the engine."""
    found = {}
    for path in sorted(ENGINE.rglob("*.py")):
        parts = path.relative_to(ENGINE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name and (parts[0] != "methods" or parts[-1] == "__init__"):  # in a wheel the shelf lies in the engine
            found[name] = path
    return found


MODULES = modules()
SHELF = sorted(p for folder in (ROOT, ENGINE) for p in (folder / "methods").glob("*.py") if p.stem != "__init__")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imports(name: str) -> set[str]:
    """Modules of the engine that `name` imports anywhere, also inside functions."""
    found = set()
    for node in ast.walk(tree(MODULES[name])):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative import"
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = {dotted for dotted in whole if dotted.removeprefix("benchmark.") in MODULES}
            found |= modules if modules == whole else modules | {node.module or ""}
    inside = {dotted.removeprefix("benchmark.") for dotted in found if dotted.startswith("benchmark.")}
    return {dotted for dotted in inside if dotted in MODULES} - {name}


def room(name: str) -> str:
    return name.split(".")[0]


def floor(name: str) -> int:
    """Counted from the top."""
    found = [i for i, rooms in enumerate(FLOORS) if room(name) in rooms]
    assert len(found) == 1, f"give benchmark/{room(name)} a floor in this test"
    return found[0]


@pytest.mark.parametrize("name", MODULES)
def test_imports_go_down_or_stay_in_the_room(name: str) -> None:
    for other in imports(name):
        assert floor(other) > floor(name) or room(other) == room(name), (
            f"{name} (floor {floor(name)} from the top) imports {other} (floor {floor(other)})"
        )


def test_every_room_is_there() -> None:
    assert {name for rooms in FLOORS for name in rooms} == {room(name) for name in MODULES}


def test_nothing_imports_in_a_circle() -> None:
    below = {name: imports(name) for name in MODULES}
    while free := {name for name, others in below.items() if not others & below.keys()}:
        below = {name: others for name, others in below.items() if name not in free}
    assert not below, f"a circle among {sorted(below)}"


def test_a_run_is_a_staircase() -> None:
    """Each module of `running/` imports earlier ones only."""
    assert {f"running.{step}" for step in STAIRS} == {name for name in MODULES if room(name) == "running"} - {"running"}
    for i, step in enumerate(STAIRS):
        inside = {other for other in imports(f"running.{step}") if room(other) == "running"}
        assert inside <= {f"running.{earlier}" for earlier in STAIRS[:i]}, step


def test_a_room_can_be_seen_at_a_glance() -> None:
    full = Counter(path.parent for path in MODULES.values() if path.name != "__init__.py")
    assert {folder.name: n for folder, n in full.items() if n > MOST_MODULES} == {}


def test_every_room_says_at_its_door_what_it_is_for() -> None:
    doors = [path for path in MODULES.values() if path.name == "__init__.py"]
    assert len(doors) > 15
    for door in doors:
        assert ast.get_docstring(tree(door)), f"{door} says nothing"


def test_private_names_stay_in_their_room() -> None:
    for name, path in MODULES.items():
        modules = {}
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("benchmark"):
                whose = (node.module or "").removeprefix("benchmark").removeprefix(".")
                for alias in node.names:
                    strange = room(whose) not in ("", room(name))
                    assert not (strange and alias.name.startswith("_")), f"{name} imports {alias.name} of {whose}"
                    if (inside := f"{whose}.{alias.name}".lstrip(".")) in MODULES and room(inside) != room(name):
                        modules[alias.asname or alias.name] = inside
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Attribute) and node.attr.startswith("_") and isinstance(node.value, ast.Name):
                assert node.value.id not in modules, f"{name} uses {node.attr} of {modules[node.value.id]}"


@pytest.mark.parametrize("path", [*MODULES.values(), *SHELF], ids=lambda p: f"{p.parent.name}/{p.name}")
def test_files_and_functions_are_short(path: Path) -> None:
    allowed = 80 if path in SHELF else FILE_LINES.get(path.parent.name, 320)
    assert len(path.read_text().splitlines()) <= allowed
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            assert lines <= FUNCTION_LINES.get(node.name, 60), f"{node.name} has {lines} lines"


def loaded_by(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*(name for name in sys.modules if '.' not in name))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


def test_importing_the_package_costs_next_to_nothing() -> None:
    """Its functions import what they need."""
    loaded = loaded_by("import benchmark; assert callable(benchmark.run)")
    assert not {"torch", "numpy", "pandas", "PIL", "pydantic", "click", "rich", "yaml", "psutil"} & loaded


def test_importing_the_package_the_reports_and_the_command_line_costs_no_torch() -> None:
    doors = ("cli", "metrics", "results", "report", "sources", "domains")
    loaded = loaded_by(f"import benchmark, {', '.join(f'benchmark.{door}' for door in doors)}")
    assert {"benchmark", "pandas"} <= loaded
    assert not {"torch", "torchvision"} & loaded


def test_a_run_imports_no_metric_package_that_it_does_not_need() -> None:
    loaded = loaded_by("import benchmark.running.suite")
    assert "torch" in loaded
    assert not {"torchvision", "lpips", "cleanfid", "efficientnet_lite_pytorch", "stlpips_pytorch", "dicebear"} & loaded


def uses(path: Path) -> Iterator[str]:
    """Names and dotted attributes that a module uses, such as `torch.load`."""
    for node in ast.walk(tree(path)):
        if isinstance(node, (ast.Name, ast.Attribute)):
            yield ast.unparse(node)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


@pytest.mark.parametrize("path", [*MODULES.values(), *SHELF], ids=lambda p: f"{p.parent.name}/{p.name}")
def test_nobody_uses_what_is_unsafe_unfinished_or_global(path: Path) -> None:
    used = set(uses(path))
    assert not {"pickle", "cloudpickle", "yaml.load", "np.random.seed", "random.seed", "torch.seed"} & used
    assert {u for u in used if u.startswith("np.random.")} <= {
        *("np.random.default_rng", "np.random.Generator"),
        *("np.random.RandomState", "np.random.RandomState(seed).randn"),  # the latents of stylegan2-ada-pytorch
    }
    assert not {"TODO", "FIXME", "XXX"} & set(path.read_text().replace(":", " ").split())
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Raise):
            assert "NotImplementedError" not in ast.unparse(node), f"line {node.lineno} is unfinished"
        elif isinstance(node, ast.FunctionDef):
            assert node.args.kwarg is None, f"{node.name} passes on **{node.args.kwarg and node.args.kwarg.arg}"
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in ("eval", "exec")
            safe = any(w.arg == "weights_only" and ast.unparse(w.value) == "True" for w in node.keywords)
            assert called != "torch.load" or safe, f"line {node.lineno}: torch.load runs what is in the file"


@pytest.mark.parametrize("path", [*MODULES.values(), *SHELF], ids=lambda p: f"{p.parent.name}/{p.name}")
def test_every_text_file_is_opened_with_an_encoding(path: Path) -> None:
    """Otherwise the user's locale decides, and in one that is not UTF-8 our own files cannot be read."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) != "os.open":
            called = ast.unparse(node.func).rpartition(".")[2]
            words = [*node.args, *(word.value for word in node.keywords)]
            said = {str(word.value) for word in words if isinstance(word, ast.Constant)}
            binary = any(re.fullmatch("[rwax+]*b[rwax+]*", text) for text in said)
            texts = called in ("read_text", "write_text", "TextIOWrapper") or (called == "open" and not binary and said)
            assert not texts or {"utf-8", "ascii"} & said, f"line {node.lineno}: {ast.unparse(node)}"
            whole = {word.arg for word in node.keywords}
            assert not {"text", "universal_newlines"} & whole or "encoding" in whole, f"line {node.lineno}"


@pytest.mark.parametrize("path", [*MODULES.values(), *SHELF], ids=lambda p: f"{p.parent.name}/{p.name}")
def test_no_pattern_holds_a_name_that_may_hold_a_pattern(path: Path) -> None:
    """People's folders are called `cats [2024]`; constants in capitals are ours."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("glob", "rglob"):
            assert all(isinstance(argument, ast.Constant | ast.JoinedStr) for argument in node.args), node.lineno
            names = [ast.unparse(part.value) for part in ast.walk(node.args[0]) if isinstance(part, ast.FormattedValue)]
            assert all(name.isupper() or name.startswith("glob.escape(") for name in names), node.lineno


def test_the_shelves_are_no_packages() -> None:
    """A top-level package `datasets` would overwrite another distribution's, `methods` would be anybody's."""
    for shelf in ("methods", "datasets"):
        assert not list((ROOT / shelf).rglob("__init__.py"))
    assert not list((ROOT / "datasets").rglob("*.py"))

"""The shape of the engine: who imports whom, how long things are, what is cheap to import, what nobody may use."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import benchmark

ENGINE = Path(benchmark.__file__).parent
ROOT = ENGINE.parent

LEVELS = (
    {"errors", "files", "locks", "stop", "hashes"},
    {"config", "dist", "startup", "hardware", "progress", "streams", "losses", "stylegan2"}
    | {"api", "extra", "reparametrise"},
    {"methods", "registry", "suites", "batches", "cards", "domains", "drawings", "images", "toys"}
    | {"sources", "metrics", "sampling", "results", "checkpoints", "composition", "plugins"}
    | {"known_answers", "doctor"}
    | {"download", "http_answers", "given", "fetch", "raw_check", "licences", "target_text"}
    | {"targets", "raw_sets", "archives", "aligned", "prepare", "prepared", "target_domains", "pool"},
    {"train", "training_state", "training_log", "state_file"},
    {
        "plan",
        "run",
        "demand",
        "forecast",
        "training_job",
        "moments",
        "runner",
        "preparation",
        "worker",
        "crew",
        "launch",
        "source_training",
        "source_scores",
        "trial",
    }
    | {"promises", "conformity", "new_method"}
    | {"source_import", "source_check", "source_export"},
    {
        "rows",
        "cautions",
        "published",
        "tables",
        "charts",
        "controls",
        "comparisons",
        "compare",
        "matching",
        "pairs",
        "ranks",
        "curves",
        "figures",
        "svg",
        "strips",
        "page",
        "render",
        "report",
    }
    | {"listing", "command", "cli", "cli_run", "cli_sources", "cli_datasets", "cli_methods", "cli_upkeep", "upkeep"}
    | {"__main__"},
)
"""Modules by level: what every other may use; tools and networks; parts of a run; the loop; runs; what a person sees.
A module imports from its own level or from lower ones, and never in a circle. A package counts as one module."""

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
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module or ""}
    inside = {dotted.removeprefix("benchmark.") for dotted in found if dotted.startswith("benchmark.")}
    return {dotted for dotted in inside if dotted in MODULES} - {name}


def level(name: str) -> int:
    found = [i for i, names in enumerate(LEVELS) if name.split(".")[0] in names]
    assert len(found) == 1, f"give benchmark/{name} a level in this test"
    return found[0]


@pytest.mark.parametrize("name", MODULES)
def test_imports_go_down_or_stay_level(name: str) -> None:
    for other in imports(name):
        assert level(other) <= level(name), f"{name} (level {level(name)}) imports {other} (level {level(other)})"


def test_nothing_imports_in_a_circle() -> None:
    below = {name: imports(name) for name in MODULES}
    for name in below:  # a package's __init__ gathers its modules; they do not import it back
        below[name] -= {name.split(".")[0]} if "." in name else set()
    while free := {name for name, others in below.items() if not others & below.keys()}:
        below = {name: others for name, others in below.items() if name not in free}
    assert not below, f"a circle among {sorted(below)}"


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


def test_importing_the_package_the_reports_and_the_command_line_costs_no_torch() -> None:
    loaded = loaded_by("import benchmark, benchmark.cli, benchmark.metrics, benchmark.results, benchmark.report")
    assert {"benchmark", "pandas"} <= loaded
    assert not {"torch", "torchvision"} & loaded


def test_a_run_imports_no_metric_package_that_it_does_not_need() -> None:
    loaded = loaded_by("import benchmark.run.suite")
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
    assert {u for u in used if u.startswith("np.random.")} <= {"np.random.default_rng", "np.random.Generator"}
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


def test_the_shelves_are_no_packages() -> None:
    """A top-level package `datasets` would overwrite another distribution's, `methods` would be anybody's."""
    for shelf in ("methods", "datasets"):
        assert not list((ROOT / shelf).rglob("__init__.py"))
    assert not list((ROOT / "datasets").rglob("*.py"))

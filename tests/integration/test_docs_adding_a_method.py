"""docs/adding-a-method.md, done by somebody who has the installed package, an empty folder and no checkout."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import benchmark

ENGINE = Path(benchmark.__file__).parent
PAGE = ENGINE.parent / "docs" / "adding-a-method.md"
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class User:
    """Somebody's folder, and the packages that they installed."""

    folder: Path
    site: Path

    def does(self, command: str) -> str:
        """What a shell command prints; it has to succeed."""
        words = [sys.executable if word == "python" else word for word in shlex.split(command)]
        plain = {"PYTHONPATH": str(self.site), "BENCHMARK_CACHE": str(self.site / "cache"), "COLUMNS": "200"}
        done = subprocess.run(
            words, cwd=self.folder, env=os.environ | plain, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """The package as a wheel would lay it out: the shelves inside of it, nothing of the checkout beside it."""
    site, folder = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("mine")
    leave = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ENGINE, site / "benchmark", ignore=leave)
    for shelf in ("methods", "datasets"):
        if (ENGINE.parent / shelf).is_dir():
            shutil.copytree(ENGINE.parent / shelf, site / "benchmark" / shelf, ignore=leave, dirs_exist_ok=True)
    yield User(folder, site)


def install(user: User) -> None:
    """What pip would leave of the folder's pyproject.toml: its module and its entry points."""
    project = tomllib.loads((user.folder / "pyproject.toml").read_text())["project"]
    info = user.site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    points = ""
    for group, entries in project["entry-points"].items():
        points += f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())
        for value in entries.values():
            module = f"{value.partition(':')[0]}.py"
            shutil.copy(user.folder / module, user.site / module)
    (info / "entry_points.txt").write_text(points)


def test_the_page_works_from_top_to_bottom(user: User) -> None:
    assert str(user.site) in user.does("python -c 'import benchmark; print(benchmark.__file__)'")
    printed = {}
    for language, file, text in BLOCK.findall(PAGE.read_text()):
        if file:
            (user.folder / file).write_text(text)
        if language == "toml":
            install(user)
        for command in text.splitlines() if language == "bash" else ():
            printed[command] = user.does(command)
    said = {command.split()[3]: out for command, out in printed.items() if command.startswith("python -m benchmark")}
    assert said.keys() == {"new-method", "conform", "list", "run"}
    assert "keep_latents: 16 promises kept; a step costs" in said["conform"]
    assert re.search(r"keep_latents .* package keep-latents 1.0 ", said["list"])
    assert "Fix the Noise" in said["list"] and re.search(r"FixNoise \+ Keep latents", said["run"])
    listed = next(out for command, out in printed.items() if command.startswith("python -m benchmark list"))
    assert re.search(r"keep_latents .* plug-in keep_latents.py ", listed)
    records = [path.read_text() for path in (user.folder / "results" / "runs" / "smoke" / "records").glob("*.json")]
    assert sum('"fixnoise.weight"' in text and '"keep_latents.weight": 0.1' in text for text in records) == 5
    assert sum('"method": "keep_latents"' in text and '"weight": 0.1' in text for text in records) == 1


def test_the_page_names_every_hook() -> None:
    from benchmark.composition import HOOKS

    rows = PAGE.read_text().split("## The hooks")[1]
    assert [hook for hook in HOOKS if f"| `{hook}" not in rows] == []

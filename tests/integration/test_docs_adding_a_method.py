"""docs/adding-a-method.md, done by somebody who has the installed package, an empty folder and no checkout."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from reader import BLOCK, User, commands

import benchmark
from benchmark import api
from benchmark.api import Method
from benchmark.registry import find_method
from benchmark.registry.composition import overrides
from benchmark.registry.hooks import HOOKS

ENGINE = Path(benchmark.__file__).parent
PAGE = ENGINE.parent / "docs" / "adding-a-method.md"
FEW = ("--set", "eval.samples=8", "--set", "eval.pairs=4")


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> User:
    """Somebody with the package installed from its wheel."""
    site = tmp_path_factory.mktemp("site")
    someone = User(tmp_path_factory.mktemp("mine"), site, site / "cache")
    someone.does(f"pip install {shlex.quote(str(ENGINE.parent))}")
    return someone


@pytest.mark.slow(twin="tests/integration/test_cli_methods.py::test_new_method_writes_what_conforms")
def test_the_page_works_from_top_to_bottom(user: User) -> None:
    assert str(user.site) in user.does("python -c 'import benchmark; print(benchmark.__file__)'")
    printed = {}
    for language, file, text in BLOCK.findall(PAGE.read_text()):
        if file:
            (user.folder / file).write_text(text)
        for command in commands(language, text):
            printed[command] = user.does(command, *(FEW if " run " in command else ()))
    assert (user.site / "benchmark" / "methods" / "finetune.py").is_file(), "the shelf is not in the wheel"
    assert (user.site / "benchmark" / "py.typed").is_file(), "type checkers would not look into the wheel"
    assert (user.site / "keep_latents.py").is_file()
    said: dict[str, list[str]] = {}
    for command, out in printed.items():
        said.setdefault(command.removeprefix("python -m benchmark ").split()[0], []).append(out)
    assert said.keys() >= {"new-method", "conform", "list", "run", "pip"}
    assert "keep_latents: 18 promises kept; a step costs" in said["conform"][0]
    assert (
        re.search(r"keep_latents .* plug-in keep_latents.py ", said["list"][0]) and "Fix the Noise" in said["list"][0]
    )
    assert re.search(r"keep_latents .* package keep-latents 1.0 ", said["list"][1])
    assert re.search(r"FixNoise \+ Keep latents", said["run"][0]) and "\nkeep_latents " in said["run"][1]
    records = [path.read_text() for path in (user.folder / "results" / "runs" / "smoke" / "records").glob("*.json")]
    assert sum('"fixnoise.weight"' in text and '"keep_latents.weight": 0.1' in text for text in records) == 5
    assert sum('"method": "keep_latents"' in text and '"weight": 0.1' in text for text in records) == 1


def test_the_page_names_every_hook_and_all_that_a_method_may_import() -> None:
    text = PAGE.read_text()
    rows = text.split("## The hooks")[1]
    hooks = {name for name in (*vars(Method), *Method.__annotations__) if not name.startswith(("_", "model_"))}
    assert {"prepare", "resting", "toy_fields", "noise_statement", "code_licence"} <= hooks >= set(HOOKS)
    assert sorted(hook for hook in hooks if f"`{hook}" not in rows) == []
    assert sorted(name for name in api.__all__ if not re.search(rf"\b{name}\b", text)) == []


def test_the_page_claims_hooks_only_of_methods_that_have_them() -> None:
    rows = re.findall(r"^\| (.+?) \|.*\| ([^|]*) \|$", PAGE.read_text().split("## The hooks")[1], re.MULTILINE)[2:]
    claims = [(hook, user) for cell, users in rows for hook in words(cell) for user in words(users)]
    assert len(claims) > 20
    wrong = [(hook, user) for hook, user in claims if hook in HOOKS and not overrides(find_method(user), hook)]
    assert wrong == []


def words(cell: str) -> list[str]:
    """The names in code style, without their arguments."""
    return re.findall(r"`(\w+)", cell)

"""The documentation: the site builds strictly, the tutorial works at toy size, quoted messages are the code's."""

from __future__ import annotations

import ast
import builtins
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import QUICK
from image_files import folder_of, noise
from reader import BLOCK, User, commands
from waiting import PATIENCE

import benchmark
from benchmark.sources import find_source, load_source
from benchmark.sources.importing import import_source
from benchmark.stylegan2 import Nets, save

ENGINE = Path(benchmark.__file__).parent
ROOT = ENGINE.parent
DOCS = ROOT / "docs"
TOY = (*QUICK, "--jobs", "0")
GAP = "…"


def test_the_site_builds_strictly_and_asks_the_network_for_nothing(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr[-3000:]
    pages = {path.name: path.read_text() for path in tmp_path.glob("*.html")}
    assert {"index.html", "methods.html", "metrics.html", "api.html", "your-pictures.html"} <= pages.keys()
    for name, html in pages.items():
        assert not re.search(r"<(?:script|img|link rel=\"stylesheet\")[^>]*(?:src|href)=\"(?:https?:)?//", html), name
        assert "<!-- generated:" not in html and "```" not in html, name
    assert 'id="fixnoise"' in pages["methods.html"] and "fixnoise.interpolation" in pages["methods.html"]
    assert "share_of_the_way_l2" in pages["metrics.html"]


def test_every_page_is_in_the_navigation() -> None:
    listed = set(re.findall(r"^ +- .+: ([\w-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE))
    assert {path.name for path in DOCS.glob("*.md")} == listed


@pytest.fixture
def user(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> User:
    """Somebody with a checkout and a folder of a dozen images of different sizes."""
    images = folder_of(tmp_path / "my-images", (noise(i, 40 + i, 60) for i in range(12)))
    (images / "00.png").rename(images / "photo 0.png")
    return User(tmp_path, ROOT, tmp_path_factory.mktemp("cache"))


@pytest.mark.slow(twin="tests/integration/test_docs_site.py::test_the_suite_of_the_page_can_be_run")
def test_the_tutorial_works_from_top_to_bottom(user: User) -> None:
    shape = load_source(find_source("smoke-32"))[0].cfg
    save(user.folder / "portraits.safetensors", Nets.create(shape, seed=1))
    import_source(user.folder / "portraits.safetensors", "my-source", user.cache)
    printed: dict[str, str] = {}
    for language, _, text in BLOCK.findall((DOCS / "your-pictures.md").read_text()):
        for command in commands(language, text):
            printed[command] = user.does(command, *(TOY if " run " in command else ()))
    assert len(printed) == 6
    out = user.folder / "results" / "runs"
    for folder in ("mine", "mine-charcoal"):
        written = {path.name for path in (out / folder).iterdir()}
        assert {"tables.md", "tables.tex", "tables.csv", "page.html", "records"} <= written
    assert "my-images" in (out / "mine" / "tables.md").read_text()
    seeds = next(text for command, text in printed.items() if "--seeds" in command)
    assert "stored already" in seeds, "seed 0 was trained again"
    charcoal = next(text for command, text in printed.items() if "medium" in command)
    assert "share of the way" in (out / "mine-charcoal" / "tables.md").read_text(), charcoal
    told = {json.loads(path.read_text())["source"] for path in (out / "mine-charcoal" / "records").iterdir()}
    assert told == {"my-source"}


def test_the_suite_of_the_page_can_be_run(user: User) -> None:
    for language, file, text in BLOCK.findall((DOCS / "adding-a-suite.md").read_text()):
        if file:
            (user.folder / file).write_text(text)
        for command in commands(language, text):
            assert "fixnoise[match=all]" in user.does(command)


@pytest.mark.parametrize("page", ["use.md", "translate.md"])
def test_a_block_of_python_has_all_that_it_names(page: str) -> None:
    """So that whoever copies one can run it."""
    blocks = [text for language, _, text in BLOCK.findall((DOCS / page).read_text()) if language == "python"]
    assert blocks
    for text in blocks:
        nodes = list(ast.walk(ast.parse(text)))
        names = [node for node in nodes if isinstance(node, ast.Name)]
        imported = {(a.asname or a.name) for node in nodes if isinstance(node, ast.Import) for a in node.names}
        made = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
        made |= {node.arg for node in nodes if isinstance(node, ast.arg)}
        made |= {name.id for name in names if isinstance(name.ctx, ast.Store)}
        used = {name.id for name in names if isinstance(name.ctx, ast.Load)}
        assert used <= imported | made | set(dir(builtins)), text


def test_the_messages_in_troubleshooting_are_those_of_the_code() -> None:
    quoted = re.findall(r"^> `(.+)`$", (DOCS / "troubleshooting.md").read_text(), re.MULTILINE)
    assert len(quoted) >= 20
    texts = {words(node) for path in ENGINE.rglob("*.py") for node in strings(ast.parse(path.read_text()))}
    lost = [message for message in quoted if not any(says(text, message) for text in texts)]
    assert lost == []


def says(text: str, message: str) -> bool:
    """Whether a text of the code has all words of a message, in order; gaps stand for values."""
    at = 0
    for part in message.split(GAP):
        at = text.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return True


def strings(tree: ast.Module) -> list[ast.expr]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.Constant | ast.JoinedStr)]


def words(node: ast.AST) -> str:
    """A literal as it is printed, with a gap for each value."""
    if isinstance(node, ast.JoinedStr):
        return "".join(words(part) if isinstance(part, ast.Constant) else GAP for part in node.values)
    return node.value.replace("\n", " ") if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""

"""Title, paper and link of a method, from its file. Read as text, so that nothing is imported or run."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import benchmark.methods

MAX_BYTES = 2**18
ARXIV = re.compile(r"arXiv[ :]*(\d{4}\.\d{4,5})")


@dataclass(frozen=True)
class Paper:
    """``about``: the first line of the file; ``link`` is empty where it names no arXiv number."""

    title: str
    paper: str
    about: str
    link: str
    file: str


@lru_cache(maxsize=1)
def papers() -> dict[str, Paper]:
    """{registered name: what its file says} of the methods that come with the package."""
    found: dict[str, Paper] = {}
    for folder in benchmark.methods.__path__:
        for path in sorted(Path(folder).glob("*.py")):
            found |= _of_file(path)
    return found


def _of_file(path: Path) -> dict[str, Paper]:
    try:
        if path.stat().st_size > MAX_BYTES:
            return {}
        tree = ast.parse(path.read_text("utf-8"))
    except (OSError, SyntaxError, ValueError):
        return {}
    words = ast.get_docstring(tree) or ""
    number = ARXIV.search(words)
    link = f"https://arxiv.org/abs/{number[1]}" if number else ""
    about = words.partition("\n\n")[0].replace("\n", " ").partition(": ")[2]
    found = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            own = {
                target.id: statement.value.value
                for statement in node.body
                if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant)
                for target in statement.targets
                if isinstance(target, ast.Name)
            }
            if isinstance(own.get("name"), str):
                texts = (str(own.get("title", "")), str(own.get("paper", "")))
                found[str(own["name"])] = Paper(*texts, about, link, f"methods/{path.name}")
    return found


def paper_of(method: str) -> Paper | None:
    """Of a method, a variant ``name[field=value]``, or the first part of a composition ``a+b``."""
    return papers().get(re.split(r"[+\[]", method)[0])

"""One reader for everything that people write in YAML: it refuses what would be lost without a word."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import benchmark.domains.assets
import benchmark.domains.cards
import benchmark.report.published
import benchmark.sources.source
from benchmark.domains.cards import card_shelf
from benchmark.errors import BenchmarkError
from benchmark.system.text.plain_yaml import NotPlainYaml, plain_yaml


def test_plain_values_are_read() -> None:
    assert plain_yaml("a: [1, 2.5, yes]\nb: {c: null}") == {"a": [1, 2.5, True], "b": {"c": None}}
    assert plain_yaml("") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", r"not valid YAML in line 3 \(a is given twice\)"),
        ("x: {a: 1, a: 1}", "a is given twice"),
        ("a: [1,", "not valid YAML in line 1"),
        ("!!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("[" * 5000, "not valid YAML"),
        ("a: 1\n---\nb: 2", "not valid YAML"),
    ],
)
def test_what_is_not_plain_is_refused_with_its_place(text: str, said: str) -> None:
    with pytest.raises(NotPlainYaml, match=said):
        plain_yaml(text)


def beside(shelf: Path, name: str, text: str) -> None:
    path = shelf / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("module", "shelf", "file", "read"),
    [
        (benchmark.domains.cards, "card_shelf", "toy-rings.yaml", lambda m: m.list_cards()),
        (benchmark.domains.assets, "card_shelf", "targets/aahq.yaml", lambda m: m.list_targets()),
        (benchmark.report.published, "SHELF", "rick-page.yaml", lambda m: m.list_published()),
        (benchmark.sources.source, "HERE", "sources.yaml", lambda m: m.list_sources()),
    ],
    ids=["cards", "assets", "published", "sources"],
)
def test_every_shelf_refuses_a_key_given_twice(
    module: object,
    shelf: str,
    file: str,
    read: Callable[[object], object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = card_shelf() if shelf == "card_shelf" else getattr(module, shelf)
    whole = (real / file).read_text()
    first = next(line for line in whole.splitlines() if line and line[0].isalpha())
    beside(tmp_path, file, f"{whole}\n{first}\n")
    monkeypatch.setattr(module, shelf, (lambda: tmp_path) if shelf == "card_shelf" else tmp_path)
    with pytest.raises(BenchmarkError, match="is given twice"):
        read(module)

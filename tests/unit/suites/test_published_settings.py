"""Every value of docs/published_settings.yaml is what the suite resolves to, and nothing contradicts the docs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from benchmark.registry.variants import base_name
from benchmark.suites import find_collection, load_suite, suite_names

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "docs"))
from generate import published_settings, resolved, resolved_settings  # noqa: E402

PLAIN = [name for name in suite_names() if find_collection(name) is None]


def values() -> Iterator[tuple[str, str, str, Any]]:
    for suite, methods in published_settings().items():
        for method, settings in methods.items():
            for what, (value, place) in settings.items():
                assert place, f"{suite}, {method}, {what}: say where it is stated"
                yield suite, method, what, value


@pytest.mark.parametrize("name", published_settings())
def test_what_a_source_states_is_what_the_suite_trains_with(name: str) -> None:
    suite, methods = load_suite(name)
    at = {method.name: resolved_settings(suite, method) for method in methods}
    trained = {method.training().name: resolved_settings(suite, method.training()) for method in methods}
    for _, method, what, value in (entry for entry in values() if entry[0] == name):
        chosen = at.values() if method == "all" else [at.get(method) or trained[method]]
        for settings in chosen:
            assert settings[what] == value, f"{name}, {method}: {what}"


@pytest.mark.parametrize("name", PLAIN)
def test_no_suite_pins_the_generator_with_the_weight_that_the_documentation_warns_of(name: str) -> None:
    for method in load_suite(name)[1]:
        if base_name(method.name) == "ewc":
            assert method.model_dump()["weight"] == 500


def test_the_page_shows_all_suites_and_methods_with_their_sources() -> None:
    page = resolved()
    for name in PLAIN:
        assert f"## {name}\n" in page
    assert "| `affine_plus` | `train.lr_g` | 0.02 | 0.02: StyleDomain, example 05: --glrate 0.02 |" in page
    assert "| `ui2i` | `train.pl_weight` | 0.0 |" in page  # FixNoise's baseline
    assert "| `freezed` | `up_to_px` | 16 | 16: FreezeD" in page


def test_a_methods_fields_are_all_on_the_page() -> None:
    page, (_, methods) = resolved(), load_suite("paper-metfaces")
    for method in methods:
        assert isinstance(method, BaseModel)
        for field in type(method).model_fields:
            assert f"| `{method.name}` | `{field}` |" in page

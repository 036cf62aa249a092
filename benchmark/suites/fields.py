"""What suites and `--set` say of single methods, under the names of methods: their fields and lengths of training."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmark.api import Method
from benchmark.config import Suite
from benchmark.errors import ConfigError
from benchmark.registry import find_method
from benchmark.registry.composition import described, part_kinds
from benchmark.registry.variants import base_name, given_fields
from benchmark.suites.validated import validated

Fields = Mapping[str, Mapping[str, Any]]


def trained_lengths(budgets: Mapping[str, float], plugins: Sequence[str]) -> dict[str, float]:
    """Budgets under the names that trainings have, "a+b" for "b+a"; ConfigError for a name that no training has."""
    found: dict[str, float] = {}
    for name, kimg in budgets.items():
        kind = plain(name, "budgets", plugins)
        trained = base_name(kind().training().name)
        if trained != kind.name:
            raise ConfigError(
                f"budgets: {name} has no training of its own; it uses that of {trained}: write {trained}."
            )
        if trained in found:
            raise ConfigError(f"budgets: {trained} is named twice. Name each method once.")
        found[trained] = kimg
    return found


def plain(name: str, where: str, plugins: Sequence[str]) -> type[Method]:
    """The method that a key of a suite names; ConfigError for a variant, UnknownName with near names."""
    kind = find_method(name, plugins)
    if base_name(kind.name) != kind.name:
        raise ConfigError(
            f"{where}: {name} is a variant, and what stands here is for a method with all its variants: write "
            f"{base_name(kind.name)}."
        )
    return kind


def chosen_fields(
    suite: Suite, given: Fields, kinds: Sequence[type[Method]], plugins: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """{part of a method: its fields}: those `given` after --set, else the suite's; a variant keeps what its name says.

    A suite may have fields of methods that are not in this run. Raises ConfigError, UnknownName.
    """
    parts = {name for kind in kinds for name in part_kinds(kind)}
    names = {base_name(part) for part in parts}
    for method in given:
        single(method, "--set", plugins)
        if method not in names:
            raise ConfigError(
                f"--set {method}.*: {method} is not among the methods of this run ({', '.join(suite.methods)}); "
                "add it with --methods or leave the setting out."
            )
    for where, fields in (("fields", suite.fields), ("narrow_fields", suite.narrow_fields)):
        for method, values in fields.items():
            validated(single(method, where, plugins), values, f"{where} of {method}")
    for method, shares in suite.step_shares.items():
        validated(single(method, "step_shares", plugins), dict.fromkeys(shares, 1), f"step_shares of {method}")
    return {part: _of(part, suite.fields) | _of(part, given) for part in parts}


def single(name: str, where: str, plugins: Sequence[str]) -> type[Method]:
    """The method that has fields of its own; ConfigError for a variant and for a composition, whose parts have them."""
    kind = plain(name, where, plugins)
    if len(part_kinds(kind)) > 1:
        raise ConfigError(f"setting {name}.*: fields belong to a part. Set those of {' or '.join(part_kinds(kind))}.")
    return kind


def _of(part: str, given: Fields) -> dict[str, Any]:
    """What is given for a part."""
    own = given_fields(part)
    return {name: value for name, value in given.get(base_name(part), {}).items() if name not in own}


def configured(kind: type[Method], chosen: Mapping[str, dict[str, Any]]) -> Method:
    """A method with its chosen fields; a composition from its parts' ones."""
    parts = {name: validated(part, chosen[name], f"settings of {name}") for name, part in part_kinds(kind).items()}
    return parts[kind.name] if kind.name in parts else kind.model_validate(parts)


def require_different(methods: Iterable[Method]) -> None:
    """Refuse two rows that would show the same method."""
    seen: dict[str, str] = {}
    for method in methods:
        same = seen.setdefault(json.dumps(described(method), sort_keys=True), method.name)
        if same != method.name:
            raise ConfigError(f"{same} and {method.name} are the same method with the same fields. Leave one out.")

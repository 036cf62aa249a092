"""Suite YAML and `--set` -> one typed, frozen Suite and typed, frozen methods; exactly once, before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from benchmark.api import Method
from benchmark.config import Suite
from benchmark.errors import ConfigError, UnknownName
from benchmark.registry import find_method

T = TypeVar("T", Method, Suite)
SHELF = Path(__file__).parent / "suites"


def suite_names() -> list[str]:
    """Suites that come with the package."""
    return sorted(p.stem for p in SHELF.glob("*.yaml"))


def load_suite(
    name: str, settings: Sequence[str] = (), overrides: Mapping[str, Any] | None = None
) -> tuple[Suite, list[Method]]:
    """The suite called `name` (or in the YAML file `name`) and its methods.

    `settings` are texts like "train.kimg=8" or "fixnoise.weight=0.1"; `overrides` replace top-level fields (None values are ignored).
    Raises UnknownName or ConfigError.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else SHELF / f"{name}.yaml"
    if not path.is_file():
        raise UnknownName("suite", name, suite_names())
    try:
        raw = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"suite file {path} cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"suite file {path} must hold a mapping of settings; found {type(raw).__name__}.")
    raw |= {k: v for k, v in (overrides or {}).items() if v is not None}
    fields: dict[str, dict[str, Any]] = {}
    for text in settings:
        _apply(text, raw, fields)
    suite = validated(Suite, raw, f"suite {name}")
    for method in fields:
        if method not in suite.methods:
            find_method(method)  # a misspelt name gets its hint
            raise ConfigError(
                f"--set {method}.*: {method} is not among the methods of this run ({', '.join(suite.methods)})."
            )
    return suite, [validated(find_method(m), fields.get(m, {}), f"method {m}") for m in suite.methods]


def _apply(text: str, raw: dict[str, Any], fields: dict[str, dict[str, Any]]) -> None:
    """Put one `--set` text into the suite's raw mapping or the methods' fields."""
    key, equals, value = text.partition("=")
    path = key.strip().split(".")
    if not equals or not all(path) or len(path) > 2:
        raise ConfigError(f"--set {text}: expected NAME=VALUE such as train.kimg=8 or fixnoise.weight=0.1.")
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError:
        raise ConfigError(f"--set {text}: the value is not valid YAML.") from None
    if path[0] in Suite.model_fields and len(path) == 1:
        raw[path[0]] = parsed
    elif path[0] in ("train", "eval", "split") and len(path) == 2:
        section = raw.get(path[0])
        raw[path[0]] = {**(section if isinstance(section, dict) else {}), path[1]: parsed}
    elif len(path) == 2:
        fields.setdefault(path[0], {})[path[1]] = parsed
    else:
        raise UnknownName("setting", key, [*Suite.model_fields, "train.*", "eval.*", "split.*", "METHOD.FIELD"])


def validated(kind: type[T], raw: Mapping[str, Any], what: str) -> T:
    """`raw` as a `kind`, or a ConfigError of one line: field, found value, what is allowed."""
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        problems = []
        for e in error.errors():
            where = ".".join(map(str, e["loc"]))
            if e["type"] == "extra_forbidden":
                problems.append(str(UnknownName("setting", where, _settings_of(kind, e["loc"][:-1]))))
            else:
                problems.append(f"{where} = {str(e['input'])[:60]!r}: {e['msg']}")
        raise ConfigError(f"{what}: {'; '.join(problems)}.") from None


def _settings_of(kind: type[Any], section: tuple[int | str, ...]) -> list[str]:
    prefix = "".join(f"{s}." for s in section)
    for name in section:
        kind = kind.model_fields[name].annotation
    return [prefix + field for field in kind.model_fields]

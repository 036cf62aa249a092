"""Variants `name[field=value,...]`: a method with some fields given, as a row of its own beside the plain one."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import ValidationError, create_model

from benchmark.api import Method
from benchmark.errors import ConfigError, UnknownName
from benchmark.system.text.lists import split_names
from benchmark.system.text.plain_yaml import NotPlainYaml, plain_yaml


def base_name(name: str) -> str:
    """The method that a variant's name begins with; any other name as it is."""
    return name.partition("[")[0]


def given_fields(name: str) -> dict[str, Any]:
    """The fields that a variant's name gives, as plain YAML values; ConfigError where it cannot be read."""
    if "[" not in name:
        return {}
    found = re.fullmatch(r"[^\[\]]+\[(.+)\]", name)
    given: dict[str, Any] = {}
    for text in split_names(found[1]) if found else [""]:
        field, equals, value = text.partition("=")
        why = ""
        try:
            parsed = plain_yaml(value)
        except NotPlainYaml as error:
            equals, why = "", f" ({error})"
        if not equals or not field.strip() or not value.strip() or field.strip() in given:
            raise ConfigError(f"method {name[:80]}: expected NAME[FIELD=VALUE,...], each field once{why}.")
        given[field.strip()] = parsed
    return given


def variant(kind: type[Method], given: Mapping[str, Any]) -> type[Method]:
    """A subclass of `kind` whose defaults are the given values, under a name that says them.

    Raises UnknownName for a field that the method does not have, ConfigError for a value that it does not take.
    """
    for field in given:
        if field not in kind.model_fields:
            raise UnknownName(f"field of {kind.name}", field, kind.model_fields)
    try:
        values = kind.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(
            f"method {kind.name}: {'.'.join(map(str, first['loc']))} = {first['input']!r}: {first['msg']}."
        ) from None
    return _variant(kind, tuple(sorted((field, getattr(values, field)) for field in given)))


@cache
def _variant(kind: type[Method], given: tuple[tuple[str, Any], ...]) -> type[Method]:
    fields: Any = {}
    for field, value in given:
        info = copy.copy(kind.model_fields[field])
        info.default = value
        fields[field] = (info.annotation, info)
    said = ",".join(f"{field}={_text(value)}" for field, value in given)
    made = create_model(kind.__name__, __base__=kind, __module__=kind.__module__, __doc__=kind.__doc__, **fields)
    made.name = f"{kind.name}[{said}]"
    made.title = f"{kind.title or kind.name} ({said})"
    return made


def _text(value: Any) -> str:
    """A value as YAML on one line, the same for the same value."""
    if isinstance(value, tuple):
        return f"[{','.join(map(_text, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)

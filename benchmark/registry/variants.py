"""Variants `name[field=value,...]`: a method with some fields given, as a row of its own beside the plain one."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import ValidationError, create_model

from benchmark.api import Method
from benchmark.errors import ConfigError, UnknownName
from benchmark.system.text.lists import split_names
from benchmark.system.text.plain_yaml import NotPlainYaml, plain_yaml

WORD = re.compile(r"[\w./-]+")
"""A text that needs no quotes, unless YAML reads it as something else."""
ESCAPED = {ord(letter): f"\\u{ord(letter):04x}" for letter in "[],"}
"""Of a text in quotes, what would end a name's part."""


def base_name(name: str) -> str:
    """The name without the fields that it gives, those of each part: "a+b" for "a[x=1]+b"."""
    return "+".join(part.partition("[")[0] for part in split_names(name, "+"))


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
    return _variant(kind, json.dumps(values.model_dump(mode="json", include=set(given)), sort_keys=True))


@cache
def _variant(kind: type[Method], given: str) -> type[Method]:
    """`given`: the fields as JSON, the same for the same values."""
    plain = json.loads(given)
    values, fields = kind.model_validate(plain), dict[str, Any]()
    for field in plain:
        info = copy.copy(kind.model_fields[field])
        info.default = getattr(values, field)
        fields[field] = (info.annotation, info)
    said = ",".join(f"{field}={_text(value)}" for field, value in plain.items())
    made = create_model(kind.__name__, __base__=kind, __module__=kind.__module__, __doc__=kind.__doc__, **fields)
    made.name = f"{kind.name}[{said}]"
    made.title = f"{kind.title or kind.name} ({said})"
    return made


def _text(value: Any) -> str:
    """A plain value as YAML on one line, the same for the same value; it reads back as that value."""
    if isinstance(value, list):
        return f"[{','.join(map(_text, value))}]"
    if isinstance(value, float):
        return brief if float(brief := f"{value:g}") == value else repr(value)
    if isinstance(value, str):
        return value if WORD.fullmatch(value) and _read(value) == value else json.dumps(value).translate(ESCAPED)
    return json.dumps(value)


def _read(text: str) -> Any:
    """What YAML reads a text as; None where it cannot."""
    try:
        return plain_yaml(text)
    except NotPlainYaml:
        return None

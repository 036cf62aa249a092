"""What people write as a typed object, or one line that says what is wrong with it."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from benchmark.errors import ConfigError, UnknownName
from benchmark.system.text.plain_yaml import short

T = TypeVar("T", bound=BaseModel)
SHORTEN = reprlib.Repr()
SHORTEN.maxlevel = 2

SAID = {
    "missing": "is missing",
    "tuple_type": "expected a list such as [a, b]",
    "model_type": "expected a mapping such as {kimg: 4}",
    "invalid_key": "names of settings are words",
}
"""pydantic's words where ours are plainer, by type of error."""


def validated(kind: type[T], raw: Mapping[str, Any], what: str) -> T:
    """`raw` as a `kind`, or a ConfigError of one line: field, found value, what is allowed."""
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        problems = [_problem(kind, e["type"], e["loc"], e["input"], e["msg"]) for e in error.errors()[:4]]
        raise ConfigError(f"{what}: {'; '.join(problems)}.".replace("?.", "?")) from None


def _problem(kind: type[Any], error: str, place: tuple[int | str, ...], found: object, message: str) -> str:
    """One complaint of pydantic in plain words."""
    where = ".".join(short(str(part)) for part in place)
    if error == "extra_forbidden":
        return str(UnknownName("setting", where, names_of(kind, place[:-1]))).rstrip(".")
    if error == "missing":
        return f"{where} {SAID[error]}"
    message = message.removeprefix("Value error, ")
    return f"{where} = {short(SHORTEN.repr(found))}: {SAID.get(error) or message[:1].lower() + message[1:]}"


def names_of(kind: type[Any], section: Sequence[int | str] = ()) -> list[str]:
    """Names under which the fields of a (nested) object are set."""
    for name in section:
        kind = kind.model_fields[name].annotation
    prefix = "".join(f"{name}." for name in section)
    return [prefix + (field.alias or name) for name, field in kind.model_fields.items()]

"""The training settings of several methods together: what each changes, where no other part wants it otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmark.api import Method
from benchmark.config import TrainConfig
from benchmark.errors import ConfigError


def united_settings(name: str, parts: Sequence[Method], train: TrainConfig) -> TrainConfig:
    """The suite's settings with the changes of all parts; ConfigError, under the composition's name, for a conflict.

    Each part must find its own settings in the result: one that wants a value that the suite has already changes
    nothing, and would lose it to another.
    """
    changes = {part.name: _changes(part, train) for part in parts}
    united = train.model_copy(update={field: value for own in changes.values() for field, value in own.items()})
    for part in parts:
        for field, value in _changes(part, united).items():
            found = getattr(united, field)
            other = next((who for who, own in changes.items() if who != part.name and own.get(field) == found), None)
            if other is None:
                raise ConfigError(
                    f"method {name}: {part.name} changes {field}={found} of all parts together to {value}. "
                    "Leave it out, or let its `settings` depend on its fields alone."
                )
            raise ConfigError(
                f"method {name}: {part.name} trains with {field}={value}, {other} with {found}. "
                "Give both the same, or leave one out."
            )
    return united


def _changes(part: Method, train: TrainConfig) -> dict[str, Any]:
    """The settings that a part gives another value."""
    own = part.settings(train)
    pairs = {field: (getattr(own, field), getattr(train, field)) for field in type(train).model_fields}
    return {field: value for field, (value, before) in pairs.items() if value != before}

"""Settings of engines: typed, a closed list for each, from a YAML file and `--engine-set`. None enters a key."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from benchmark.config import Settings
from benchmark.errors import ConfigError, UnknownName
from benchmark.system.text.plain_yaml import NotPlainYaml, plain_yaml, short

MAX_BYTES = 1 << 16
FOR_ALL = ("group", "at_once", "address", "python")
"""Settings that no method has for itself."""


def _listed(value: Any) -> Any:
    """One text is a list of one."""
    return [value] if isinstance(value, str) else value


Word = Annotated[str, Field(pattern=r"^[^\s\x00-\x1f]+$", max_length=1000)]
Line = Annotated[str, Field(pattern=r"^[^\n\r\x00]+$", max_length=4000)]
Lines = Annotated[tuple[Line, ...], BeforeValidator(_listed)]
Time = Annotated[str, Field(pattern=r"^(\d+-\d{1,2}(:\d{1,2}){0,2}|\d+(:\d{1,2}){0,2}|UNLIMITED)$")]
"""As Slurm reads it: minutes, minutes:seconds, hours:minutes:seconds, days-hours, days-hours:minutes:seconds."""


class EngineSettings(Settings):
    """What all engines that queue have."""

    gpus: int | None = Field(None, ge=0, description="GPUs of a task")
    cpus: int | None = Field(None, ge=1, description="CPUs of a task")
    memory_gb: float | None = Field(None, gt=0, description="memory of a task")
    at_once: int | None = Field(None, ge=1, description="tasks at the same time, at most")
    group: int = Field(1, ge=1, description="trainings of a task, one after the other")
    requeue: int = Field(10, ge=0, description="how often a task that was stopped goes back to the queue")

    @property
    def task_gpus(self) -> int:
        """How many GPUs a task has, by whichever setting; 0 where none says that it has one."""
        return self.gpus or 0


@dataclass(frozen=True)
class Chosen:
    """The settings of all tasks, and those of methods that have their own."""

    common: Settings
    methods: Mapping[str, Settings] = field(default_factory=dict)

    def of(self, method: str | None) -> Settings:
        """Those of a method's tasks; None: of the untouched source."""
        return self.methods.get(method or "", self.common)


def chosen(
    kind: type[Settings],
    engine: str,
    file: Path | None,
    texts: Sequence[str],
    methods: Collection[str],
    others: Mapping[str, type[Settings]],
) -> Chosen:
    """The settings in a YAML file, then those after `--engine-set`; ConfigError, UnknownName.

    A method's own stand in the file under `methods`, or are written METHOD.NAME=VALUE. `others` are the kinds of
    settings of all engines by name, to say whose a name is.
    """
    from benchmark.suites.validated import validated  # torch, which `status` does without

    raw = _read(file) if file else {}
    own = raw.pop("methods", {})
    if not isinstance(own, dict) or not all(isinstance(one, dict) for one in own.values()):
        raise ConfigError(f"{file}: methods must be a mapping such as {{NAME: {{time: '24:00:00'}}}}.")
    own = {name: dict(values) for name, values in own.items()}
    for text in texts:
        name, value = _setting(text)
        method, dot, inner = name.rpartition(".")
        (own.setdefault(method, {}) if dot else raw)[inner] = value
    for name in own:
        if name not in methods:
            raise UnknownName("method in the settings of the engine", short(name), methods)
    for name in [*raw, *(name for values in own.values() for name in values)]:
        owners = [other for other, fields in others.items() if name in fields.model_fields and other != engine]
        if name not in kind.model_fields and owners:
            raise ConfigError(f"{name} is a setting of engine {' and '.join(owners)}; this run uses {engine}.")
    for method, values in own.items():
        if bad := [name for name in values if name in FOR_ALL]:
            raise ConfigError(f"{method}.{bad[0]}: this setting is the same for all methods; write {bad[0]}=...")
    what = f"settings of engine {engine}"
    return Chosen(
        validated(kind, raw, what),
        {method: validated(kind, raw | values, f"{what} for {method}") for method, values in own.items()},
    )


def _setting(text: str) -> tuple[str, Any]:
    """The name and value of one `--engine-set`; a list is written as in YAML."""
    name, equals, value = text.partition("=")
    if not equals or not re.fullmatch(r"\s*[\w+.\[\]=,-]+\s*", name):
        raise ConfigError(
            f"--engine-set {short(text)}: expected NAME=VALUE such as partition=gpu or METHOD.NAME=VALUE."
        )
    return name.strip(), _yaml(value, f"--engine-set {short(text)}") if value.startswith("[") else value


def _read(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
        text = data.decode("utf-8")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not a text file in UTF-8"
        raise ConfigError(f"--engine-config {file} cannot be read: {why}.") from None
    if len(data) > MAX_BYTES:
        raise ConfigError(f"--engine-config {file} is larger than {MAX_BYTES >> 10} KiB, so it holds no settings.")
    raw = _yaml(text, f"--engine-config {file}")
    if not isinstance(raw, dict):
        raise ConfigError(f"--engine-config {file} must hold a mapping such as partition: gpu.")
    return {str(name): value for name, value in raw.items()}


def _yaml(text: str, what: str) -> Any:
    try:
        return plain_yaml(text)
    except NotPlainYaml as error:
        raise ConfigError(f"{what}: {error}. Write plain values, lists and mappings.") from None

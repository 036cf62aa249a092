"""The records of TensorFlow networks: their variables and settings, checked because a file can say anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmark.checkpoints.inert import Array
from benchmark.errors import WeightsError

FIRST_VERSION = 4
"""Format of the network records that came with StyleGAN2."""

MAX_DEPTH = 4
"""Components within components; StyleGAN2 has one level."""
MAX_ENTRIES = 10_000
"""Variables and components of one network; a 1024 px generator has about 150."""
MAX_NUMBERS = 2**26
"""In all variables of one network, counted each time they are named; StyleGAN2's largest have fewer than 2**25."""
MAX_COPIED = 2**16
"""Of these, those that are not float32 in C order and need memory of their own; NVIDIA's files have none."""
MAX_NAME = 200


def variables_of(record: Any) -> dict[str, np.ndarray]:
    """All variables of a network's record, float32, those of its components as "component/name".

    `record.state` is not trusted: {"version": int, "variables": [(name, array or float), ...], "components": {name:
    record}}. An array that is float32 already is a view of the file's bytes, not to be written to. WeightsError where
    anything is of another type or named twice, and where records are older than StyleGAN2, cyclic or absurdly large.
    """
    found: dict[str, np.ndarray] = {}
    pending = [("", record, 0)]
    entries = numbers = copied = 0
    while pending:
        prefix, network, depth = pending.pop()
        variables, components = _content(network, prefix)
        entries += 1 + len(variables) + len(components)
        if depth > MAX_DEPTH or entries > MAX_ENTRIES:
            raise WeightsError(
                f"the TensorFlow network {_shown(prefix)} has components within components without end, or more than"
                f" {MAX_ENTRIES:,} variables; no StyleGAN2 does. Fetch the file again."
            )
        for name, value in variables:
            path = _path(prefix, name)
            if path in found:
                raise WeightsError(f"the TensorFlow network has the variable {path!r} twice; which one counts?")
            found[path] = _array(path, value)
            numbers += found[path].size
            copied += 0 if found[path] is getattr(value, "value", value) else found[path].size
            if numbers > MAX_NUMBERS:
                raise WeightsError(f"the TensorFlow network has more than {MAX_NUMBERS:,} weights; no StyleGAN2 does.")
            if copied > MAX_COPIED:
                raise WeightsError(f"the TensorFlow variable {path!r} is not of float32, as NVIDIA's are.")
        pending += [(_path(prefix, name) + "/", component, depth + 1) for name, component in components]
    return found


def _content(network: Any, prefix: str) -> tuple[list[tuple[Any, Any]], list[tuple[Any, Any]]]:
    """(variables, components) of one record, as pairs of unchecked name and value."""
    state = getattr(network, "state", None)
    if not isinstance(state, dict):
        raise WeightsError(f"the TensorFlow network {_shown(prefix)} is a {type(network).__name__} without a state.")
    version, variables, components = (state.get(key) for key in ("version", "variables", "components"))
    if type(version) is not int:
        raise WeightsError(f"the TensorFlow network {_shown(prefix)} has no version; is this one of NVIDIA's files?")
    if version < FIRST_VERSION:
        raise WeightsError(
            f"the TensorFlow network {_shown(prefix)} was made before StyleGAN2: its format is older than version"
            f" {FIRST_VERSION}. Use a StyleGAN2 network, config E or F."
        )
    if not isinstance(variables, list | tuple) or not isinstance(components, dict):
        raise WeightsError(
            f"the TensorFlow network {_shown(prefix)} needs a list of variables and a dict of components; found"
            f" {type(variables).__name__} and {type(components).__name__}."
        )
    if not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in variables):
        raise WeightsError(
            f"the TensorFlow network {_shown(prefix)} has variables that are no pairs of name and value."
        )
    return [(name, value) for name, value in variables], list(components.items())


def _shown(prefix: str) -> str:
    return repr(prefix.rstrip("/")) if prefix else "of the file"


def _path(prefix: str, name: Any) -> str:
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME:
        raise WeightsError(
            f"the TensorFlow network {_shown(prefix)} has a variable or component whose name is no text of"
            f" 1 to {MAX_NAME} letters."
        )
    return prefix + name


def _array(name: str, value: Any) -> np.ndarray:
    """float32 in C order, the same memory if it is so already. TensorFlow's scalars come as plain numbers."""
    value = value.value if isinstance(value, Array) else value
    if not isinstance(value, np.ndarray | np.floating | float):
        raise WeightsError(f"the TensorFlow variable {name!r} is a {type(value).__name__}, not an array.")
    array = np.asarray(value)
    if array.dtype.kind != "f":
        kind = str(array.dtype)[:40]
        raise WeightsError(f"the TensorFlow variable {name!r} is an array of {kind}, not of floating point numbers.")
    with np.errstate(over="ignore"):  # becomes infinite, which the strict loader reports
        return np.asarray(array, dtype=np.float32, order="C")


REQUIRED: dict[str, Any] = {
    "resample_kernel": [1, 3, 3, 1],
    "nonlinearity": "lrelu",
    "mapping_nonlinearity": "lrelu",
    "normalize_latents": True,
    "num_channels": 3,
    "mbstd_num_features": 1,
    "use_spectral_norm": False,
    "use_pagan": False,
}
"""Settings that shape nothing but change the result; where a network names them, they have to be these."""


def static_settings(record: Any) -> dict[str, Any]:
    """A network's recorded settings: numbers, texts, truth values. WeightsError for those that our networks lack."""
    static = getattr(record, "state", {}).get("static_kwargs")
    if not isinstance(static, Mapping):
        return {}
    for name, value in REQUIRED.items():
        found = static.get(name, value)
        if (list(found) if isinstance(found, tuple) else found) != value:
            raise WeightsError(f"the TensorFlow network has {name} other than {value}, which is not supported.")
    return {k: v for k, v in static.items() if v is None or isinstance(v, bool | int | float | str)}

"""Check what a method's hook returned, so that a forgotten `return` is named where it happened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

import torch
from torch import nn

from benchmark.api.method import Control, Method
from benchmark.errors import MethodError
from benchmark.stylegan2 import Generator, Nets, Noise

T = TypeVar("T")
LOSSES = "{name: scalar}, or {} for no losses"
"""What hooks about losses return."""
NOISE = '"const", "none", "random" or maps by layer'
"""What the noise of evaluated images may be."""


def returned(name: str, hook: str, value: T, kind: type | tuple[type, ...], wanted: str) -> T:
    """What a hook of method `name` returned; MethodError where it is no `kind`, such as None."""
    if not isinstance(value, kind):
        what = "None" if value is None else f"a {type(value).__name__}"
        raise MethodError(f"{name}.{hook}() returned {what}: return {wanted}.")
    return value


def returned_parameters(name: str, hook: str, found: Iterable[nn.Parameter]) -> list[nn.Parameter]:
    """What a hook of method `name` about parameters returned; MethodError as `returned`."""
    return [*returned(name, hook, found, Iterable, "parameters of nets.g and nets.d, or () for none")]


def parameter_ids(nets: Nets) -> set[int]:
    """The ids of the parameters of G and D, by which those that hooks return are known again."""
    return {id(p) for net in (nets.g, nets.d) for p in net.parameters()}


def noise_of(method: Method, g: Generator, n: int, control: Control, rng: torch.Generator) -> Noise:
    """The method's noise for a batch of n evaluated images; where it says "random", maps drawn from `rng`."""
    found = method.noise(g, n, control, rng)
    if not isinstance(returned(method.name, "noise", found, (str, Mapping), NOISE), str):
        return found
    if found not in ("const", "none", "random"):
        raise MethodError(f"{method.name}.noise() returned {found!r}: return {NOISE}.")
    return g.synthesis.random_noise(n, rng) if found == "random" else found

"""Parts of a composition that another part makes idle: refused before the training begins."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import NoReturn

from benchmark.api import Method, Nets
from benchmark.api.returned import returned_parameters
from benchmark.errors import MethodError


def require_effect(parts: Sequence[Method], nets: Nets, new: Sequence[Set[int]], only_freeze: Sequence[bool]) -> None:
    """MethodError where a part would have no effect.

    `new` are the ids of the parameters that each part's `prepare` added, `only_freeze` says of each part whether it
    does nothing else. A part is idle where others hold all that it adds, any of the miner that it adds, or, if it only
    freezes, all that it holds.
    """
    frozen = [{id(p) for p in returned_parameters(part.name, "frozen", part.frozen(nets))} for part in parts]
    miner = {id(p) for p in nets.g.mapping.miner.parameters()} if nets.g.mapping.miner is not None else set()
    for i, part in enumerate(parts):
        trains = new[i] - frozen[i]
        for j, other in enumerate(parts):
            if i == j:
                continue
            if trains and trains <= frozen[j]:
                _refuse(part, other, f"{other.name} holds all that {part.name} adds to the networks")
            if trains & miner & frozen[j]:
                _refuse(part, other, f"{other.name} holds the miner that {part.name} trains")
            if only_freeze[i] and frozen[i] <= frozen[j]:
                _refuse(part, other, f"{other.name} holds all that {part.name} holds")


def _refuse(part: Method, other: Method, why: str) -> NoReturn:
    raise MethodError(f"{why}, so {part.name} would have no effect. Leave {part.name} or {other.name} out.")

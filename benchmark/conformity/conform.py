"""`conform()`: one verdict on a method's promises for the command line, tests/contract and plug-ins' tests."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.api import Method
from benchmark.conformity.promises import PROMISES, REQUIRED, Broken, Case, Plain, trial_of
from benchmark.conformity.trial import run_trial


@dataclass
class Verdict:
    """The result of conform()."""

    name: str
    kept: list[str] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)
    """{promise: why}."""
    not_tried: list[str] = field(default_factory=list)
    step_cost: float | None = None
    """Processor time of a step, in fine-tuning's."""
    trainable: int = 0
    """Parameters that train with the toy networks."""
    of: int = 0
    """As many do in fine-tuning."""


def conform(kind: type[Method], others: Mapping[str, type[Method]]) -> Verdict:
    """Try every promise of `kind`; its result has to differ from that of each of `others`."""
    case, verdict = Case(kind, others), Verdict(kind.name)
    for promise, keeps in PROMISES.items():
        if verdict.broken.keys() & REQUIRED:
            verdict.not_tried.append(promise)
            continue
        try:
            keeps(case)
            verdict.kept.append(promise)
        except Broken as error:
            verdict.broken[promise] = str(error)
        except Exception as error:  # a method may fail in any way
            verdict.broken[promise] = f"{type(error).__name__}: {error}{_place(error, kind)}"
    if not verdict.broken:
        verdict.step_cost = step_cost(case)
        verdict.trainable, verdict.of = case.first.trainable, trial_of(Plain()).trainable
    return verdict


def step_cost(case: Case) -> float:
    """Processor time of two steps in fine-tuning's: the shortest of each, taken in turns, since machines get busy."""
    pairs = [(run_trial(case.tried.training()).seconds, run_trial(Plain()).seconds) for _ in range(2)]
    return min(case.first.seconds, case.again.seconds, *(own for own, _ in pairs)) / min(plain for _, plain in pairs)


def _place(error: Exception, kind: type[Method]) -> str:
    """ " (line 12 of mine.py)", the last line of the method's own file in the traceback."""
    own = getattr(sys.modules.get(kind.__module__), "__file__", None)
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == own]
    return f" (line {lines[-1]} of {Path(own or '').name})" if lines else ""

"""`conform()`: one verdict on a method's promises for the command line, tests/contract and plug-ins' tests."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from benchmark.api import Method
from benchmark.conformity.case import Case, Plain, trial_of
from benchmark.conformity.expect import Broken
from benchmark.conformity.promises import PROMISES, REQUIRED
from benchmark.conformity.stand_ins import NoStandIn
from benchmark.conformity.trial import run_trial


@dataclass
class Verdict:
    """The result of conform()."""

    name: str
    kept: list[str] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)
    """{promise: why}."""
    not_tried: list[str] = field(default_factory=list)
    why_not: str = ""
    """Why some were not tried, where that is no fault of what was examined."""
    trainable: int = 0
    """Parameters of the toy networks that train."""
    of: int = 0
    """The same for fine-tuning."""
    case: Case | None = field(default=None, repr=False)
    """What was tried, where every promise is kept."""

    @cached_property
    def step_cost(self) -> float | None:
        """Processor time of a step, in units of fine-tuning's; measured when it is asked for. None without a `case`.

        The shortest of each, measured in turns.
        """
        if self.case is None:
            return None
        tried = self.case.tried.training()
        pairs = [(run_trial(tried).seconds, run_trial(Plain()).seconds) for _ in range(2)]
        own = min(self.case.first.seconds, self.case.again.seconds, *(seconds for seconds, _ in pairs))
        return own / min(plain for _, plain in pairs)


def conform(kind: type[Method], others: Mapping[str, type[Method]]) -> Verdict:
    """Try every promise of `kind`; its result has to differ from that of each of `others`.

    What needs a weight file for which there is no stand-in is not tried.
    """
    case, verdict = Case(kind, others), Verdict(kind.name)
    for promise, keeps in PROMISES.items():
        if verdict.broken.keys() & REQUIRED:
            verdict.not_tried.append(promise)
            continue
        try:
            keeps(case)
            verdict.kept.append(promise)
        except NoStandIn as error:
            verdict.not_tried.append(promise)
            verdict.why_not = str(error)
        except Broken as error:
            verdict.broken[promise] = str(error)
        except Exception as error:  # a method may fail in any way
            verdict.broken[promise] = f"{type(error).__name__}: {error}{_place(error, kind)}"
    if not verdict.broken and not verdict.not_tried:
        verdict.case = case
        verdict.trainable, verdict.of = case.first.trainable, trial_of(Plain()).trainable
    return verdict


def _place(error: Exception, kind: type[Method]) -> str:
    """ " (line 12 of mine.py)", the last line of the method's own file in the traceback."""
    own = getattr(sys.modules.get(kind.__module__), "__file__", None)
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == own]
    return f" (line {lines[-1]} of {Path(own or '').name})" if lines else ""

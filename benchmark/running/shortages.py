"""Metrics without a value: too few images, how many would do, choices that cannot be made; files that came later."""

from __future__ import annotations

import re
from collections.abc import Mapping

from benchmark.config import DomainConfig, Suite
from benchmark.domains import Domain
from benchmark.domains.answers import known_answer
from benchmark.domains.cards import Card
from benchmark.domains.split import pictures_needed
from benchmark.errors import ConfigError
from benchmark.metrics import Evaluator
from benchmark.metrics.base import PICTURED, MetricInfo
from benchmark.metrics.catalogue import find_metric
from benchmark.metrics.sizes import SETTINGS, Sizes, needed, shortage
from benchmark.metrics.translation import ANSWERED
from benchmark.results import MetricValue

WANTED = re.compile(
    r"not available: (needs \S+ \(.*; sha256 [0-9a-f]{64}\)"
    r"|.*; install what `list metrics` says that it needs|it is measured only with --stand-in-weights"
    r"|\w+ failed: .*)"
)
"""Reasons of metrics whose file or package was not there, or whose network could not be made."""


def size_notes(suite: Suite, domains: Mapping[str, Domain]) -> list[str]:
    """What the sizes forbid: metrics that will have no value, and how many images would do."""
    said, split = [], suite.split
    infos = [find_metric(name) for name in suite.eval.metrics]
    for domain in domains.values():
        there = Sizes(suite.eval.samples, suite.eval.pairs, len(domain.test), len(domain.train))
        groups: dict[str, list[str]] = {}
        for info in infos:
            if reason := shortage(info, there):
                groups.setdefault(f"{reason}. {remedy(info, there, domain, split)}", []).append(info.name)
        said += [f"{', '.join(names)} on {domain.name}: {reason}" for reason, names in groups.items()]
    return said


def remedy(info: MetricInfo, there: Sizes, domain: Domain, split: DomainConfig) -> str:
    """What to do where a metric has too few images."""
    needs, changes = needed(info), []
    for what, setting in SETTINGS.items():
        at_most = {"held_out": split.test, "training": split.train}.get(what, getattr(there, what))
        if at_most < getattr(needs, what):
            changes.append(f"--set {setting}={getattr(needs, what)}")
    if domain.card.kind in ("folder", "zip"):
        train, test = max(split.train, needs.training) + split.selection, max(split.test, needs.held_out)
        pictures = pictures_needed(needs.held_out, needs.training + split.selection, train, test)
        found = len(domain.train) + len(domain.selection) + (len(domain.test) if domain.held_out else 0)
        if pictures is not None and pictures > found:
            changes.append(f"{pictures} different pictures")
    return f"Enough would be: {' and '.join(changes)}."


def require_choice(suite: Suite, domains: Mapping[str, Domain], curve: Evaluator | None, source: Card | None) -> None:
    """ConfigError where weights are to be chosen by a metric that cannot have a value along the training.

    `source` is the card of the domain that the source was trained on, if it is known.
    """
    if suite.eval.snapshot == "last" or curve is None:
        return
    info = find_metric(suite.eval.metrics[0])
    for domain in domains.values():
        by = domain.selection if suite.eval.snapshot == "selected" else domain.test
        there = Sizes(suite.eval.curve_samples, suite.eval.pairs, len(by), len(domain.train))
        answer = known_answer(source, domain.card)
        if few := shortage(info, there):
            reason, remedy = few, "Put another metric first, or give more images."
        elif info.network in curve.missing:
            reason, remedy = curve.missing[info.network], "Put another metric first, or give what it needs."
        elif info.kind in ("step", *PICTURED):
            reason, remedy = "not available: it is not measured along a training", "Put another metric first."
        elif info.kind in ANSWERED and isinstance(answer, str):
            reason, remedy = answer, "Put another metric first."
        else:
            continue
        raise ConfigError(
            f"eval.snapshot={suite.eval.snapshot} chooses by {info.name}, on {domain.name} {reason}. {remedy}"
        )


def come_since(metrics: Mapping[str, MetricValue], evaluator: Evaluator) -> list[str]:
    """Metrics that have no value for want of a file or package, which is there now."""
    wanting = {name for name, found in metrics.items() if found.value is None and WANTED.match(found.reason or "")}
    return [info.name for info in evaluator.infos if info.name in wanting and info.network not in evaluator.missing]

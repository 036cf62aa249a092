"""Tables for `list`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rich.table import Table

from benchmark.errors import BenchmarkError


def methods(cache: Path) -> Table:
    """Name, paper, hyper-parameters with defaults, control."""
    from benchmark.registry import find_method, method_names

    table = Table("method", "paper", "fields (--set METHOD.FIELD=VALUE)", "control", title="Methods")
    for name in method_names():
        try:
            method = find_method(name)
        except BenchmarkError as error:
            table.add_row(name, f"unavailable: {error}", "", "")
            continue
        fields = ", ".join(f"{key}={field.default}" for key, field in method.model_fields.items())
        table.add_row(name, method.paper, fields or "–", method.control_name or "–")
    return table


def domains(cache: Path) -> Table:
    """Name, creator, licence."""
    from benchmark.domains import list_cards

    table = Table(
        "domain",
        "what",
        "creator",
        "licence",
        "attribution",
        title="Domains (drawings, not photographs; toys are for tests)",
    )
    for name, card in list_cards().items():
        table.add_row(name, card.title, card.creator, card.licence, card.attribution)
    return table


def suites(cache: Path) -> Table:
    """Name, domains, methods, budget."""
    from benchmark.suites import load_suite, suite_names

    table = Table("suite", "what", "domains", "methods", "training", title="Suites")
    for name in suite_names():
        suite, _ = load_suite(name)
        budget = f"{suite.train.kimg:g} kimg at {suite.resolution} px"
        table.add_row(name, suite.description, ", ".join(suite.domains), ", ".join(suite.methods), budget)
    return table


def metrics(cache: Path) -> Table:
    """Name, what it is, whether its files are here."""
    from benchmark.metrics import Evaluator, list_metrics

    missing = Evaluator(list(list_metrics()), cache).missing
    table = Table("metric", "what", "better", "here", title="Metrics")
    for name, info in list_metrics().items():
        table.add_row(name, info.title, info.better, missing.get(info.network, "yes"))
    return table


def sources(cache: Path) -> Table:
    """Name, training, licence, scores."""
    from benchmark.sources import list_sources

    table = Table("source", "what", "domain", "kimg", "scores", "licence", title="Source GANs")
    for name, card in list_sources().items():
        scores = "; ".join(f"{key} {value}" for key, value in card.scores.items())
        table.add_row(
            name, card.title, card.domain, "–" if card.kimg is None else f"{card.kimg:g}", scores or "–", card.licence
        )
    return table


TABLES: dict[str, Callable[[Path], Table]] = {
    "methods": methods, "domains": domains, "suites": suites, "metrics": metrics, "sources": sources,
}  # fmt: skip

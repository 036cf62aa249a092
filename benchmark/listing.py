"""What `list` shows: a table of short facts, and below it a line for each longer one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Group
from rich.table import Table
from rich.text import Text

from benchmark.errors import BenchmarkError
from benchmark.sources import Source


def methods(cache: Path, plugins: Sequence[str] = ()) -> Group:
    """Name, origin, version, hyper-parameters with defaults, hooks, control; paper and licence of its official code."""
    from benchmark.composition import HOOKS, overrides
    from benchmark.registry import catalogue

    table = table_of(
        "Methods", "method", "what", "origin", "v", "fields (--set METHOD.FIELD=VALUE)", "hooks", "control"
    )
    papers = {}
    for name, entry in catalogue(plugins).items():
        try:
            method = entry.load()
        except BenchmarkError as error:
            papers[name] = f"unavailable: {error}"
            continue
        fields = ", ".join(f"{key}={field.default}" for key, field in method.model_fields.items())
        hooks = ", ".join(hook for hook in overrides(method, *HOOKS) if hook != "controls")
        row = (method.title, entry.origin, str(method.version), fields or "–", hooks or "–", method.control_name or "–")
        table.add_row(name, *row)
        licence = f" (licence of the official code: {method.code_licence})" if method.code_licence else ""
        papers[name] = method.paper + licence
    return Group(table, *lines(papers))


def domains(cache: Path) -> Group:
    """Name, creator, licence; attribution. Then the standard targets and what of them is here."""
    from benchmark.cards import list_cards
    from benchmark.target_domains import state
    from benchmark.targets import list_targets

    table = table_of("Domains (drawings, not photographs; toys are for tests)", "domain", "what", "creator", "licence")
    cards = list_cards()
    for name, card in cards.items():
        table.add_row(name, card.distance, card.creator, card.licence)
    targets = table_of(
        "Standard targets (datasets fetch NAME, datasets prepare NAME)", "domain", "what", "licence", "here"
    )
    for name, target in list_targets("target").items():
        targets.add_row(name, target.title, target.licence, state(target, cache))
    said = lines({name: card.attribution for name, card in cards.items() if card.kind == "dicebear"})
    return Group(table, *said, targets)


def suites(cache: Path) -> Group:
    """Name, domains, methods, budget; description."""
    from benchmark.suites import find_collection, load_suites, suite_names

    table = table_of("Suites", "suite", "domains", "methods", "training")
    said = {}
    for name in suite_names():
        whole, loaded = find_collection(name), [suite for suite, _ in load_suites(name)]
        kimg = dict.fromkeys(f"{k:g}" for s in loaded for k in (s.train.kimg, *s.budgets.values()))
        budget = f"{', '.join(kimg)} kimg at {loaded[0].resolution} px"
        domains = ", ".join(domain for suite in loaded for domain in suite.domains)
        table.add_row(name, domains, ", ".join(loaded[0].methods), budget)
        said[name] = whole.description + f" Made of {', '.join(whole.members)}." if whole else loaded[0].description
    return Group(table, *lines(said))


def metrics(cache: Path) -> Group:
    """Name, what it is, whether its files are here; if not, why."""
    from benchmark.metrics import Evaluator, list_metrics
    from benchmark.metrics.base import STAND_IN

    infos = {name: info for name, info in list_metrics().items() if not name.startswith(STAND_IN)}
    missing = Evaluator(list(infos), cache).missing
    table = table_of("Metrics", "metric", "what", "better", "here")
    for name, info in infos.items():
        table.add_row(name, info.title, info.better, "no" if info.network in missing else "yes")
    return Group(table, *lines(missing))


def sources(cache: Path) -> Group:
    """Name, training, licence; scores."""
    from benchmark.sources import list_sources

    table = table_of("Source GANs", "source", "what", "domain", "kimg", "licence")
    cards = {name: source.card for name, source in list_sources(cache).items()}
    for name, card in cards.items():
        table.add_row(
            name, card.title, card.domain or "–", "–" if card.kimg is None else f"{card.kimg:g}", card.licence
        )
    scores = {name: "; ".join(f"{key} {value}" for key, value in card.scores.items()) for name, card in cards.items()}
    return Group(table, *lines(scores))


def card_text(source: Source) -> str:
    """A card as "what: value" lines, origin and architecture included."""
    from benchmark.stylegan2.weights import architecture_of

    card, origin = source.card, source.card.origin
    shape = card.networks or architecture_of(source.path)
    facts: dict[str, object] = {
        "source": source.name,
        "title": card.title,
        "licence": card.licence,
        "domain": card.domain,
        "kimg": card.kimg,
        "sha256": card.sha256,
        "architecture": shape,
        **{f"score {name}": value for name, value in card.scores.items()},
        "notes": card.notes,
    }
    if origin:
        facts |= {
            "made of": f"{origin.file} ({origin.bytes:,} bytes, {origin.format})",
            "its sha256": origin.sha256,
            "networks": ", ".join(origin.networks),
            "left out": ", ".join(origin.left_out),
        }
        facts |= {f"note {i}": note for i, note in enumerate(origin.notes, 1)}
    return "\n".join(f"{what:14} {value}" for what, value in facts.items() if value not in ("", None))


def table_of(title: str, *columns: str) -> Table:
    """An empty table that folds long words instead of cutting them; the first column stays whole."""
    table = Table(title=title)
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column == columns[0])
    return table


def lines(texts: Mapping[str, str]) -> list[Text]:
    """ "name: text" for each text that is not empty."""
    return [Text(f"{name}: {text}", overflow="fold") for name, text in texts.items() if text]


TABLES: dict[str, Callable[[Path], Group]] = {
    "methods": methods, "domains": domains, "suites": suites, "metrics": metrics, "sources": sources,
}  # fmt: skip

"""Tables of `list`: short facts in columns, and below them a line for each longer one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Column, Table
from rich.text import Text

from benchmark.errors import BenchmarkError, as_line
from benchmark.sources import Source

if TYPE_CHECKING:
    from benchmark.api import Method


def methods(cache: Path, plugins: Sequence[str] = ()) -> Group:
    """Name, origin, version, what trains, control; below title, paper, licence of the authors' code, hooks, fields."""
    from benchmark.registry import catalogue
    from benchmark.registry.composition import overrides
    from benchmark.registry.hooks import HOOKS

    table = table_of("Methods", "method", "origin", "v", "trains", "control")
    table.columns[3].no_wrap = True
    table.caption = (
        "v: version; trains: share of the parameters of small networks, above 100 % where the method adds some"
    )
    facts = Table.grid(Column(no_wrap=True), Column(overflow="fold"), padding=(0, 2))
    for name, entry in catalogue(plugins).items():
        try:
            method = entry.load()
        except BenchmarkError as error:
            table.add_row(Text(name), Text(entry.origin), "–", Text("unavailable", style="red"), "–")
            facts.add_row(Text(name), Text(f"unavailable: {error}"))
            continue
        share, doubt = trains(method)
        table.add_row(*map(Text, (name, entry.origin, str(method.version), share, method.control_name or "–")))
        licence = method.code_licence and f" (licence of the authors' code: {method.code_licence})"
        hooks = ", ".join(hook for hook in overrides(method, *HOOKS) if hook != "controls")
        fields = ", ".join(f"{key}={field.default}" for key, field in method.model_fields.items())
        said = (
            f"{method.title or name}: {method.paper or 'no paper named'}{licence}",
            hooks and f"hooks: {hooks}",
            needs(method, cache),
            fields and f"--set {name}.FIELD: {fields}",
            doubt,
        )
        facts.add_row(Text(name), Text("\n".join(filter(None, said))))
    return Group(table, facts)


def needs(method: type[Method], cache: Path) -> str:
    """The files that a method needs as it is by default, each with "here" or why it is not available."""
    from benchmark.metrics.networks.weight_files import WEIGHT_FILES, for_methods

    keys = method().needs if isinstance(method.needs, property) else method.needs
    known = [key for key in keys if key in WEIGHT_FILES]
    said = [f"needs {key}: unknown, so that it is not available" for key in keys if key not in WEIGHT_FILES]
    for key, handed in for_methods(known, None, cache).items():
        said.append(f"needs {WEIGHT_FILES[key].filename}: {handed.place.reason or 'here'}")
    return "\n".join(said)


def trains(kind: type[Method]) -> tuple[str, str]:
    """("G 48 %, D 100 %", ""), or whose training a method re-uses; ("unknown", why) where its hooks fail."""
    from benchmark.conformity.trial import toy, trainable_shares

    try:
        method = toy(kind)
        if method.training().name != method.name:
            return f"as {method.training().name}", ""
        shares = trainable_shares(method).items()
        return ", ".join(f"{net} {share:.0f} %" if share >= 10 else f"{net} {share:.2g} %" for net, share in shares), ""
    except Exception as error:  # a method may fail in any way, and the list has to be shown all the same
        why = as_line(error)
        return "unknown", f"what trains is unknown ({why}). Try: python -m benchmark conform {kind.name}"


def domains(cache: Path) -> Group:
    """Name, creator, licence; attribution. Then the standard targets and which are available locally."""
    from benchmark.domains.assets import list_targets
    from benchmark.domains.cards import list_cards
    from benchmark.domains.packaged import package_domain, package_domains
    from benchmark.domains.prepared import state

    table = table_of("Domains (drawings, not photographs; toys are for tests)", "domain", "what", "creator", "licence")
    cards = list_cards()
    for name, card in cards.items():
        table.add_row(name, card.distance, card.creator, card.licence)
    broken = {}
    for name, offer in package_domains().items():
        try:
            packaged = package_domain(name)
        except BenchmarkError as error:
            broken[name] = f"unavailable: {error}"
            continue
        if packaged is not None and name not in cards:
            table.add_row(name, packaged.distance or offer.origin, packaged.creator, packaged.licence)
    targets = table_of(
        "Standard targets (datasets fetch NAME, datasets prepare NAME)", "domain", "what", "licence", "here"
    )
    for name, target in list_targets("target").items():
        targets.add_row(name, target.title, target.licence, state(target, cache))
    said = lines({name: card.attribution for name, card in cards.items() if card.kind == "dicebear"})
    return Group(table, *said, *lines(broken), targets)


def suites(cache: Path) -> Group:
    """Name, domains, methods, budget; description."""
    from benchmark.suites import find_collection, load_suites, suite_names

    table = table_of("Suites", "suite", "domains", "methods", "training")
    said = {}
    for name in suite_names():
        try:
            whole, loaded = find_collection(name), [suite for suite, _ in load_suites(name)]
        except BenchmarkError as error:  # of a package; ours are tested
            table.add_row(name, Text("unavailable", style="red"), "–", "–")
            said[name] = f"unavailable: {error}"
            continue
        kimg = dict.fromkeys(f"{k:g}" for s in loaded for k in (s.train.kimg, *s.budgets.values()))
        budget = f"{', '.join(kimg)} kimg at {loaded[0].resolution} px"
        domains = ", ".join(domain for suite in loaded for domain in suite.domains)
        table.add_row(name, domains, ", ".join(loaded[0].methods), budget)
        said[name] = whole.description + f" Members: {', '.join(whole.members)}." if whole else loaded[0].description
    return Group(table, *lines(said))


def metrics(cache: Path) -> Group:
    """Name, what it is, whether its files are available locally; if not, why."""
    from benchmark.metrics import Evaluator, list_metrics
    from benchmark.metrics.base import STAND_IN
    from benchmark.metrics.catalogue import find_metric
    from benchmark.metrics.plugins import package_metrics

    infos = {name: info for name, info in list_metrics().items() if not name.startswith(STAND_IN)}
    missing = Evaluator(list(infos), cache).missing
    for name in (name for name in package_metrics() if name not in infos):
        try:
            find_metric(name)
        except BenchmarkError as error:
            missing = {**missing, name: f"unavailable: {error}"}
    table = table_of("Metrics", "metric", "what", "better", "unit", "here")
    for name, info in infos.items():
        table.add_row(name, info.title, info.better, info.units, "no" if info.network in missing else "yes")
    return Group(table, *lines(missing))


def sources(cache: Path) -> Group:
    """Name, training, licence; scores. Then the field's pretrained networks and whether each is available."""
    from benchmark.domains.assets import list_targets, raw_folder
    from benchmark.sources import list_sources

    table = table_of("Source GANs", "source", "what", "domain", "kimg", "licence")
    cards = {name: source.card for name, source in list_sources(cache).items()}
    for name, card in cards.items():
        table.add_row(
            name, card.title, card.domain or "–", "–" if card.kimg is None else f"{card.kimg:g}", card.licence
        )
    scores = {name: "; ".join(f"{key} {value}" for key, value in card.scores.items()) for name, card in cards.items()}
    others = table_of(
        "Pretrained networks (datasets fetch NAME, sources import NAME)", "source", "what", "licence", "here"
    )
    for name, target in list_targets("source").items():
        fetched = (raw_folder(cache, target).raw / target.files[0].name).is_file()
        here = "imported" if name in cards else "fetched, not imported" if fetched else "not here"
        others.add_row(name, target.title, target.licence, here)
    return Group(table, *lines(scores), others)


def card_text(source: Source, more: Mapping[str, object] | None = None) -> str:
    """A card as "what: value" lines, origin and architecture included, and `more` facts."""
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
            "made from": f"{origin.file} ({origin.bytes:,} bytes, {origin.format})",
            "its sha256": origin.sha256,
            "networks": ", ".join(origin.networks),
            "left out": ", ".join(origin.left_out),
        }
        facts |= {f"note {i}": note for i, note in enumerate(origin.notes, 1)}
    facts |= more or {}
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

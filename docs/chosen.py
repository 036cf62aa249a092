"""The settings that the suite answers takes from a run of answers-development, by the rule in docs/answers.md.

python docs/chosen.py FOLDER      # what is taken of each method, and every other value, with their scores

And the trials by which other settings were chosen before: batch and average of fine-tuning, FixNoise's image weight.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmark.errors import BenchmarkError
from benchmark.registry.variants import base_name, given_fields
from benchmark.report.group import ERRORS, Group, group_of
from benchmark.report.lines import Line, groups, metric_of
from benchmark.report.render import markdown_table
from benchmark.report.tables.table import Cell, Column, Row, Table
from benchmark.report.tables.trade_off import scores
from benchmark.report.write import read
from benchmark.results import ResultStore, RunRecord
from benchmark.results.reals import read_reals

MOVED = ("kid_effnetlite0_128", "distance_averaged_l1", "share_of_the_way_l2", "identity_retrieval_edges")
ONE_WEIGHT = ("feature_matching", "fixnoise")
TRIED = ("kid_effnetlite0_128", "precision_effnetlite0_128", "translation_error_l1", "identity_retrieval_edges")


def score(g: Group, line: Line) -> float | None:
    """Mean share of the gap closed in KID, minus the mean error as a share of the source's; None without either."""
    metric, found = metric_of(g.records, *ERRORS), list[float]()
    for domain, closed in zip(g.domains, scores(g, line), strict=True):
        own, source = ([*g.values(x, domain, metric).values()] if x else [] for x in (line, g.source))
        if len(closed) and own and source:
            found.append(float(closed.mean()) - _mean(own) / _mean(source))
    return _mean(found) if found else None


def ranked(g: Group) -> dict[str, list[tuple[float, str]]]:
    """{method, apart by what it matches: [(score, registered name with its values), best first]}."""
    found: dict[str, list[tuple[float, str]]] = {}
    for line in g.shown:
        name = line.records[0].method
        value = score(g, line)
        family = f"{base_name(name)}{' (match=all)' if given_fields(name).get('match') == 'all' else ''}"
        found.setdefault(family, []).extend([] if value is None else [(value, name)])
    return {family: sorted(own, reverse=True) for family, own in found.items()}


def taken(g: Group) -> dict[str, str]:
    """{method, apart by what it matches: registered name with the values that are taken}.

    FixNoise differs from feature matching by the fixed noise alone, so both get one weight: that with the largest sum.
    """
    told = ranked(g)
    best = {family: own[0][1] for family, own in told.items() if own}
    both = [{given_fields(name).get("weight"): (value, name) for value, name in told.get(x, [])} for x in ONE_WEIGHT]
    common = set(both[0]) & set(both[1]) - {None}
    if common:
        weight = max(common, key=lambda w: sum(own[w][0] for own in both))
        best |= {family: own[weight][1] for family, own in zip(ONE_WEIGHT, both, strict=True)}
    return best


def written(g: Group, trials: Path) -> str:
    """Markdown of what the suite answers takes from the development run, and of the trials before it, in a folder."""
    return "\n\n".join(markdown_table(table) for table in (chosen_table(g), trials_table(trials)))


def chosen_table(g: Group) -> Table:
    """A row per method: the values that are taken, and all others, best first, with their scores."""
    rows, chosen = [], taken(g)
    for family, values in ranked(g).items():
        own = {name: f"{name} {value:+.3f}" for value, name in values}
        best = own.pop(chosen[family]) if family in chosen else "no score"
        rows.append(Row(family, (Cell(best), Cell("; ".join(own.values()) or "nothing"))))
    return Table("Settings", (Column("", "taken, with its score"), Column("", "tried, too")), tuple(rows))


def trials_table(folder: Path) -> Table:
    """A row per trial of fine-tuning: batch, half-life of the average, rate and length, then what it scored."""
    found = []
    for r in ResultStore(folder).read_all()[0]:
        train = r.settings["train"]
        if r.method == "finetune":
            given = [train[name] for name in ("batch", "ema_kimg", "lr_g", "kimg")]
            found.append((given, [r.metrics[name].value for name in TRIED]))
    rows = [
        Row(f"{batch}", (*(Cell(f"{x:g}") for x in given), *map(_number, own)))
        for (batch, *given), own in sorted(found)
    ]
    titles = ("half-life, kimg", "learning rate", "length, kimg", "KID", "precision", "error", "identity kept")
    return Table("Trials", tuple(Column("", title) for title in titles), tuple(rows), head="batch")


def image_weights_table(folder: Path) -> Table:
    """A row per trial of FixNoise that matches the image: domain and weight, then both ends of the control."""
    ends: dict[tuple[str, str], dict[float, RunRecord]] = {}
    for r in ResultStore(folder).read_all()[0]:
        if base_name(r.method) == "fixnoise":
            weight = str(given_fields(r.method).get("image_weight", "auto"))
            ends.setdefault((r.domain, weight), {})[float(r.control or 0)] = r
    rows = [
        Row(f"{domain}", (Cell(weight), *(both(own[0], own[1], name, " to ") for name in MOVED)))
        for (domain, weight), own in sorted(ends.items(), key=lambda entry: (entry[0][0], _order(entry[0][1])))
    ]
    titles = ("image weight", "KID", "distance to the source", "share of the way", "identity kept")
    return Table("Trials", tuple(Column("", title) for title in titles), tuple(rows), head="domain")


def _order(weight: str) -> float:
    return float("inf") if weight == "auto" else float(weight)


def both(one: RunRecord, other: RunRecord, name: str, between: str) -> Cell:
    """A metric of two records; empty where one does not have it."""
    values = [r.metrics[name].value if name in r.metrics else None for r in (one, other)]
    return Cell("" if None in values else between.join(f"{value:.3f}" for value in values))


def _number(value: float | None) -> Cell:
    return Cell("" if value is None else f"{value:.3f}")


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def main(folders: Sequence[str]) -> None:
    """Print what is taken from each group of records of a folder."""
    if len(folders) != 1:
        sys.exit("chosen.py FOLDER: give the folder of one run.")
    folder = Path(folders[0])
    try:
        for own in groups(read(folder)[0]):
            print(markdown_table(chosen_table(group_of(own, read_reals(folder)))))
    except BenchmarkError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv[1:])

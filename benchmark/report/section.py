"""All that is reported about records that share a table, made once and written in every format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from benchmark.report.conditions import conditions
from benchmark.report.group import Group, group_of
from benchmark.report.published import published_table
from benchmark.report.sentences import MANY, sentences
from benchmark.report.tables.controls import control_table, value_tables
from benchmark.report.tables.cost import cost_table
from benchmark.report.tables.differences import pairs_table
from benchmark.report.tables.headline import headline
from benchmark.report.tables.metrics import metric_table, unavailable
from benchmark.report.tables.smoothness import smoothness_table
from benchmark.report.tables.table import Table
from benchmark.report.tables.trade_off import aggregate_table, equal_fidelity_tables
from benchmark.results import RunRecord
from benchmark.system.text.lists import listed


@dataclass(frozen=True)
class Section:
    """The tables of one suite and source, in order: the headline, then the appendix."""

    group: Group
    question: str
    sentences: tuple[str, ...]
    headline: Table
    smoothness: Table | None
    metrics: tuple[Table, ...]
    comparisons: tuple[Table, ...]
    controls: tuple[Table, ...]
    published: Table | None
    cost: Table
    unavailable: tuple[str, ...]
    conditions: tuple[str, ...]
    pictures: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Suite, source and cautions."""
        return self.headline.title

    @property
    def appendix(self) -> tuple[Table, ...]:
        """All tables but the headline."""
        found = (self.smoothness, *self.comparisons, *self.metrics, *self.controls, self.published, self.cost)
        return tuple(t for t in found if t is not None)

    @property
    def tables(self) -> tuple[Table, ...]:
        """All tables, in order."""
        return (self.headline, *self.appendix)


def section_of(records: Sequence[RunRecord] | Group) -> Section:
    """The tables of records of one suite and source."""
    group = records if isinstance(records, Group) else group_of(records)
    compared = (pairs_table(group), *equal_fidelity_tables(group), aggregate_table(group))
    curves = control_table(group)
    return Section(
        group,
        question(group),
        sentences(group),
        headline(group),
        smoothness_table(group),
        tuple(t for name in group.metrics if (t := metric_table(group, name)) is not None),
        tuple(t for t in compared if t is not None),
        (*value_tables(group), *([curves] if curves else [])),
        published_table(group.records),
        cost_table(group),
        tuple(unavailable(group)),
        tuple(conditions(group.records)),
    )


def with_pictures(section: Section, pictures: Sequence[str]) -> Section:
    """The section with the files that show it, relative to the report."""
    return replace(section, pictures=tuple(pictures))


def with_note(section: Section, note: Sequence[str]) -> Section:
    """The section with sentences below its first table."""
    return replace(section, headline=replace(section.headline, caption=(*section.headline.caption, *note)))


def with_conditions(section: Section, further: Sequence[str]) -> Section:
    """The section with more sentences after its conditions."""
    return replace(section, conditions=(*section.conditions, *further))


def question(group: Group) -> str:
    """What the records are asked: the title of the page."""
    first, rows = group.records[0], [line for line in group.lines if not (line.zero_step or line.outside)]
    methods = {line.base for line in rows}
    variants = len({line.records[0].method.partition("[")[0] for line in rows}) < len(methods)
    where = listed(group.domains) if len(group.domains) <= MANY else f"{len(group.domains)} domains"
    return (
        f"Which of {len(methods)} methods{' and variants' if variants else ''} adapts {first.source} best to {where}?"
        if len(methods) > 1
        else (f"{next(iter(methods), 'The source')} from {first.source} to {where}")
    )

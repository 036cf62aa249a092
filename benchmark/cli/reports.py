"""The commands `report`, `compare` and `show`: what a results folder says."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from benchmark.cli.options import echo, some, wide_console
from benchmark.errors import DataError, UnknownName
from benchmark.system.places import RUNS

SHOWN = 20
"""Lines about files that a report cannot use."""


@click.command(
    epilog="""\b
Examples:
  python -m benchmark report results/runs/avatars
  python -m benchmark report results/runs/avatars --metrics kid,recall --format tex > table.tex"""
)
@click.argument("results", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder to write to.  [default: the results folder itself]"
)
@click.option("--metrics", callback=some, help="Print the tables of these metrics (names or kinds, such as kid).")
@click.option("--domains", callback=some, help="Print only these domains.")
@click.option("--methods", callback=some, help="Print only these methods and the untouched source.")
@click.option("--format", type=click.Choice(("text", "md", "tex", "csv", "html")), help="Print in this format.")
@click.option("--pdf", is_flag=True, help="Also write the chart of fidelity against preservation as PDF, for a paper.")
def report(
    results: Path,
    out: Path | None,
    metrics: list[str] | None,
    domains: list[str] | None,
    methods: list[str] | None,
    format: Literal["text", "md", "tex", "csv", "html"] | None,
    pdf: bool,
) -> None:
    """Write the tables, figures and page of a results folder again, from its records alone, and print the headline.

    With --metrics, --domains, --methods or --format one table is printed instead, and nothing is written.
    """
    from benchmark.report import summary, write_report

    console = wide_console()
    if metrics or domains or methods or format:
        from benchmark.report.choice import Choice, chosen

        if out is not None:
            raise click.UsageError("--out writes the whole report; redirect the output of one table instead: > FILE")
        if pdf:
            raise click.UsageError("--pdf belongs to the whole report, and one table is asked for")
        choice = Choice(metrics or (), domains or (), methods or ())
        echo(chosen(results, choice, format or "text", console.width).rstrip("\n"))
        return
    made = write_report(results, out, pdf=pdf)
    for section in made.sections:
        console.print(summary(section), markup=False, highlight=False, soft_wrap=True)
    _problems(made.problems)
    where = f"{len(made.paths)} files; all on one page: {made.paths[-1]}"
    console.print(where, markup=False, highlight=False, soft_wrap=True)


@click.command(
    epilog="""\b
Examples:
  python -m benchmark compare results/runs/avatars results/runs/avatars-again
  python -m benchmark compare BEFORE AFTER --metric kid_effnetlite0_128 --out compared.md"""
)
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@click.option("--metric", "metrics", multiple=True, help="Only this metric or cost. Repeatable; default: all.")
@click.option("--out", type=click.Path(path_type=Path), help="Also write the comparison to FILE.md or FILE.csv.")
def compare(a: Path, b: Path, metrics: tuple[str, ...], out: Path | None) -> None:
    """Compare the results folders A and B: differences (B - A) with intervals and tests, and what does not compare."""
    from benchmark.report import compare as engine
    from benchmark.report import rich_table

    if out is not None:
        engine.check_name(out)
    found = engine.compare(a, b, metrics or None)
    console = wide_console()
    console.print(found.title, markup=False, highlight=False, soft_wrap=True)
    for table in found.tables:
        console.print(rich_table(table))
    if not found.tables:
        console.print("nothing can be compared:")
    for line in found.lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if out is not None:
        engine.write_comparison(found, out)
        console.print(f"written: {out}", markup=False, highlight=False, soft_wrap=True)


@click.command(epilog="\b\nExample:\n  python -m benchmark show 3f2a --results results/runs/avatars")
@click.argument("record")
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    default=None,
    help="Results folder.  [default: every folder in results/runs]",
)
def show(record: str, results: Path | None) -> None:
    """Show one record. RECORD is its key, the beginning of its key, or its JSON file."""
    from benchmark.report import show as text_of
    from benchmark.results import ResultStore

    if record.endswith(".json"):
        if results is not None:
            raise click.UsageError("--results would change nothing beside a JSON file; leave one of the two out")
        file = Path(record)
        results, record = file.parent.parent, file.stem
    folders = [results] if results else sorted(p.parent for p in RUNS.glob("*/records"))
    for folder in folders:
        try:
            echo(text_of(ResultStore(folder).find(record)))
            return
        except UnknownName:
            if folder == folders[-1]:
                raise
    raise DataError(f"no results in {RUNS}: run a suite first, or name the folder with --results.")


def _problems(problems: tuple[str, ...]) -> None:
    for problem in problems[:SHOWN]:
        echo(f"note: {problem}", err=True)
    if len(problems) > SHOWN:
        echo(f"note: {len(problems) - SHOWN} more files cannot be used", err=True)

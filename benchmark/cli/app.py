"""The command line: each command turns text into typed values, calls the engine and prints what it returns."""

from __future__ import annotations

import errno
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from benchmark.cli.datasets import datasets
from benchmark.cli.engines import cancel, logs, status, work
from benchmark.cli.evaluate import evaluate
from benchmark.cli.export import export
from benchmark.cli.methods import conform, new_method
from benchmark.cli.metrics import conform_metric
from benchmark.cli.options import cache_option, comma, echo, plugin_option, wide_console
from benchmark.cli.run import run
from benchmark.cli.sources import sources
from benchmark.cli.translate import demo, translate
from benchmark.cli.upkeep import cache, results
from benchmark.cli.use import generate
from benchmark.cli.weights import weights
from benchmark.errors import BenchmarkError, DataError, UnknownName
from benchmark.system.places import RUNS
from benchmark.system.signals import Stopped, stoppable
from benchmark.system.text.terminal import OutputLost, drop_output, watched_output

if TYPE_CHECKING:
    from benchmark.metrics.known_answers import Check

WHAT = ("methods", "domains", "suites", "metrics", "sources")
LONGEST = 3000
"""Characters of an error."""
SHOWN = 20
"""Lines about files that a report cannot use."""


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    invoke_without_command=True,
    epilog="""\b
Examples:
  python -m benchmark run --methods fixnoise,freezed
  python -m benchmark run --suite smoke
  python -m benchmark list methods""",
)
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Benchmark of StyleGAN2 transfer-learning methods: one backbone, one training loop, one evaluator."""
    if ctx.invoked_subcommand is None:
        echo(ctx.get_help())


@cli.command(
    name="list", epilog="\b\nExamples:\n  python -m benchmark list methods\n  python -m benchmark list domains"
)
@click.argument("what", type=click.Choice(WHAT), metavar="WHAT")
@plugin_option
@cache_option
def list_(what: str, plugins: tuple[str, ...], cache: Path) -> None:
    """List WHAT: methods, domains, suites, metrics or sources."""
    from benchmark.cli import listing

    table = listing.methods(cache, plugins) if what == "methods" else listing.TABLES[what](cache)
    wide_console().print(table)


@cli.command(
    epilog="""\b
Examples:
  python -m benchmark report results/runs/avatars
  python -m benchmark report results/runs/avatars --metrics kid,recall --format tex > table.tex"""
)
@click.argument("results", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder to write to.  [default: the results folder itself]"
)
@click.option("--metrics", callback=comma, help="Print the tables of these metrics (names or kinds, such as kid).")
@click.option("--domains", callback=comma, help="Print only these domains.")
@click.option("--methods", callback=comma, help="Print only these methods and the untouched source.")
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
        choice = Choice(metrics or (), domains or (), methods or ())
        echo(chosen(results, choice, format or "text", console.width).rstrip("\n"))
        return
    made = write_report(results, out, pdf=pdf)
    for section in made.sections:
        console.print(summary(section), markup=False, highlight=False, soft_wrap=True)
    _problems(made.problems)
    where = f"{len(made.paths)} files; all on one page: {made.paths[-1]}"
    console.print(where, markup=False, highlight=False, soft_wrap=True)


@cli.command(
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


@cli.command(epilog="\b\nExample:\n  python -m benchmark show 3f2a --results results/runs/avatars")
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


@cli.command(
    epilog="""\b
Examples:
  python -m benchmark doctor
  python -m benchmark doctor --suite smoke
  python -m benchmark doctor --metrics kid_effnetlite0_128,fid --device cpu"""
)
@click.option("--suite", "suite_name", default="avatars", show_default=True, help="Check the metrics of this suite.")
@click.option("--metrics", callback=comma, help="Comma-separated metrics to check instead (see: list metrics).")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@cache_option
def doctor(suite_name: str, metrics: list[str] | None, device: str, cache: Path) -> None:
    """Check this machine's metrics on inputs with known answers; exit code 1 if one is wrong.

    A run makes the same checks before it starts and writes the verdict into its records.
    """
    from benchmark.metrics import Evaluator
    from benchmark.metrics.doctor import examine, verdict
    from benchmark.running.setup import usable_device
    from benchmark.suites import load_suites

    if metrics is None:
        measured = [suite.eval for suite, _ in load_suites(suite_name)]
        metrics = [name for cfg in measured for name in (*cfg.metrics, *cfg.curve_metrics)]
    checks = examine(Evaluator(metrics, cache, usable_device(device)))
    found = verdict(checks)
    print_checks(checks)
    echo(f"{found.checks} checks, {len(found.failed)} failed, {len(checks) - found.checks} not available")
    sys.exit(0 if found.passed else 1)


def print_checks(checks: Sequence[Check]) -> None:
    """A table of all checks; below it why some are unavailable."""
    from rich.console import Group
    from rich.text import Text

    from benchmark.cli.listing import lines, table_of

    absent = {c.name: c.found for c in checks if c.state == "not available"}
    table = table_of("Doctor", "check", "", "found", "expected")
    for c in checks:
        state = Text(c.state, style="red" if c.state == "failed" else "")
        table.add_row(Text(c.name), state, Text("–" if c.name in absent else c.found), Text(c.expected))
    wide_console().print(Group(table, *lines(absent)))


cli.add_command(run)
cli.add_command(status)
cli.add_command(logs)
cli.add_command(cancel)
cli.add_command(work)
cli.add_command(generate)
cli.add_command(translate)
cli.add_command(demo)
cli.add_command(export)
cli.add_command(evaluate)
cli.add_command(sources)
cli.add_command(datasets)
cli.add_command(conform)
cli.add_command(new_method)
cli.add_command(results)
cli.add_command(cache)
cli.add_command(weights)
cli.add_command(conform_metric)


def _problems(problems: tuple[str, ...]) -> None:
    for problem in problems[:SHOWN]:
        echo(f"note: {problem}", err=True)
    if len(problems) > SHOWN:
        echo(f"note: {len(problems) - SHOWN} more files cannot be used", err=True)


def main() -> None:
    """Run the command line and exit.

    Errors that a user can fix are one line and exit code 2, Ctrl-C is 130, SIGTERM 143. A closed
    pipe is 141, as for any command; output that cannot be written for another reason is 2.
    """
    with watched_output():
        warnings.showwarning = lambda message, *_: echo(f"warning: {message}", err=True)
        code, said = outcome()
        with suppress(OutputLost):
            if said:
                echo(said, err=True)
        drop_output()
    sys.exit(code)


DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
"""Errors of a disk, which stop any command in the middle."""
MAKE_ROOM = "is the disk full? What was finished is kept; make room and run the same command again"


def outcome() -> tuple[int | str | None, str | None]:
    """Run the command line: (exit code, what is to be said at the end)."""
    try:
        with stoppable():
            cli(prog_name="python -m benchmark", standalone_mode=False)
    except SystemExit as end:
        return end.code, None
    except BenchmarkError as error:
        return 2, one_line(str(error))
    except click.UsageError as error:
        see = f"{error.ctx.command_path if error.ctx else 'python -m benchmark'} --help"
        return 2, one_line(f"{error.format_message().rstrip('.')} (see: {see})")
    except click.ClickException as error:
        return 2, one_line(error.format_message())
    except OSError as error:
        if error.errno not in DISK:
            raise
        return 2, one_line(f"{error.strerror}: {error.filename or 'output'}; {MAKE_ROOM}")
    except (KeyboardInterrupt, click.Abort) as error:
        told = error.__cause__ or error  # click makes an Abort of what was raised
        why = told.why if isinstance(told, OutputLost) else "interrupted"
        code = told.code if isinstance(told, Stopped) else 130
        return code, f"{why}; finished records are kept, run the same command again to resume."
    return 0, None


def one_line(message: str) -> str:
    """An error, whatever its text; a very long one, such as of a name of a megabyte, is cut."""
    text = " ".join(message.split())
    return f"error: {text if len(text) <= LONGEST else f'{text[:LONGEST]} ... ({len(text):,} characters)'}"

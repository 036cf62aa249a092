"""The command line: each command turns text into typed values, calls the engine and prints what it returns."""

from __future__ import annotations

import errno
import sys
import warnings
from contextlib import suppress
from pathlib import Path

import click

from benchmark.cli.datasets import datasets
from benchmark.cli.engines import cancel, logs, status, work
from benchmark.cli.evaluate import evaluate
from benchmark.cli.export import export
from benchmark.cli.methods import conform, new_method
from benchmark.cli.metrics import conform_metric, doctor
from benchmark.cli.options import cache_option, echo, plugin_option, wide_console
from benchmark.cli.reports import compare, report, show
from benchmark.cli.run import run
from benchmark.cli.sources import sources
from benchmark.cli.translate import demo, translate
from benchmark.cli.upkeep import cache, results
from benchmark.cli.use import generate
from benchmark.cli.weights import weights
from benchmark.errors import BenchmarkError
from benchmark.system.signals import Stopped, stoppable
from benchmark.system.text.terminal import OutputLost, drop_output, watched_output

WHAT = ("methods", "domains", "suites", "metrics", "sources")
LONGEST = 3000
"""Characters of an error."""


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


cli.add_command(run)
cli.add_command(report)
cli.add_command(compare)
cli.add_command(show)
cli.add_command(doctor)
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
PLACE = (errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP)
"""Errors of a path that somebody gave: closed to this user, too long, a link that leads to itself."""
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
        if error.errno in PLACE and error.filename is not None:
            return 2, one_line(f"{error.strerror}: {error.filename}; name another file or folder")
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

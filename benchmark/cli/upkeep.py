"""`python -m benchmark results ...` and `cache ...`: checking and cleaning what is stored."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from benchmark.cli.options import FiniteRange, cache_option, echo

SHOWN = 20
"""Lines of one kind."""


@click.group(no_args_is_help=False, epilog="\b\nExample:\n  python -m benchmark results verify results/runs/avatars")
def results() -> None:
    """Check results folders."""


@results.command(epilog="\b\nExample:\n  python -m benchmark results verify results/runs/avatars")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--note-missing", is_flag=True, help="First write hashes of the records and pictures that have none.")
def verify(folder: Path, note_missing: bool) -> None:
    """Compare the hashes of records, samples and checkpoints in FOLDER with those noted by the run.

    Exit code 1 if one differs. Missing files and files without a hash are named and are not an error.
    """
    from benchmark.results.verify import note_missing as note
    from benchmark.results.verify import verify_results

    if note_missing:
        click.echo(f"{note(folder)} hashes written for files that had none: they describe the files as they are now")
    found = verify_results(folder)
    for title, lines in (("BAD", found.bad), ("gone", found.gone), ("without a hash", found.unhashed)):
        for line in lines[:SHOWN]:
            echo(f"{title}: {line}")
        if len(lines) > SHOWN:
            echo(f"{title}: {len(lines) - SHOWN} more")
    echo(
        f"{found.good} files as they were stored, {len(found.bad)} bad, {len(found.gone)} gone, "
        f"{len(found.unhashed)} without a hash"
    )
    sys.exit(1 if found.bad else 0)


@click.group(
    no_args_is_help=False,
    epilog="\b\nExamples:\n  python -m benchmark cache info\n  python -m benchmark cache prune --days 90",
)
def cache() -> None:
    """The cache of drawn domains, features, weights and imported sources: show, check, clean."""


@cache.command(epilog="\b\nExample:\n  python -m benchmark cache info")
@cache_option
def info(cache: Path) -> None:
    """Show where the cache is and how much is in it."""
    from benchmark.cache import cache_entries, cache_leftovers, kept_entries, sizes

    echo(f"cache: {cache}")
    for kind, (count, size) in sizes([*cache_entries(cache), *kept_entries(cache)]).items():
        echo(f"{kind:12} {count:6} entries  {size / 2**20:10.1f} MiB")
    if left := cache_leftovers(cache):
        echo(f"{len(left)} leftovers of interrupted or running processes; cache prune removes them a day later")


@cache.command(name="verify", epilog="\b\nExample:\n  python -m benchmark cache verify")
@cache_option
def verify_cache(cache: Path) -> None:
    """Check the content of all entries; exit code 1 if one is damaged. A run never uses damaged entries.

    Target sets are checked by: datasets verify NAME.
    """
    from benchmark.cache import cache_entries

    checked = [(entry, entry.check()) for entry in cache_entries(cache)]
    bad = [f"{entry.kind} {entry.name}: {why}" for entry, why in checked if why]
    for line in bad:
        echo(f"BAD: {line}")
    echo(f"{len(checked) - len(bad)} entries good, {len(bad)} bad")
    sys.exit(1 if bad else 0)


@cache.command(epilog="\b\nExamples:\n  python -m benchmark cache prune\n  python -m benchmark cache prune --days 90")
@click.option(
    "--days",
    type=FiniteRange(min=0),
    help="Also remove drawings and features that were not read for this many days.",
)
@cache_option
def prune(days: float | None, cache: Path) -> None:
    """Remove damaged entries and old leftovers. Weights and imported sources are kept."""
    from benchmark.cache import prune

    removed, freed = prune(cache, days)
    for line in removed:
        echo(f"removed {line}")
    echo(f"{freed / 2**20:.1f} MiB freed")

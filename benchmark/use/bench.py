"""What measuring something from elsewhere needs: a suite with one seed and one domain, its source and its metrics."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from benchmark.errors import ConfigError
from benchmark.metrics.doctor import examine, verdict
from benchmark.report.lines import protocol
from benchmark.results import Timing
from benchmark.running.make_record import ZeroStep, make_record
from benchmark.running.plan import Job
from benchmark.running.setup import Request, Run, prepare
from benchmark.system.hardware import circumstances, environment


def bench(request: Request, like: str | None, seed: int | None, out: Path, console: Console) -> Run:
    """All that measuring needs: the suite with one seed, its source, the domain, the metrics, examined first."""
    asked = request.members()
    if len(asked) > 1:
        raise ConfigError(f"--against {request.suite_name}: several suites; choose {asked[0].suite_name} or another.")
    suite = asked[0].load()[0]
    if len(suite.domains) > 1:
        raise ConfigError(
            f"suite {suite.name} has the domains {', '.join(suite.domains)}; choose the one that is drawn."
        )
    first = suite.seeds[0]
    methods = None if like is None else [like]
    overrides = {**asked[0].overrides, "seeds": [first if seed is None else seed], "methods": methods}
    run = prepare(replace(asked[0], overrides=overrides), out, console, trains=False)
    run.store.ensure_writable()
    run = replace(run, environment={**environment(run.device), **circumstances(run.device)})
    require_same_protocol(run)
    return replace(run, doctor=verdict(examine(run.evaluator)))


def require_same_protocol(run: Run) -> None:
    """ConfigError where the folder has records of this suite and domain that no new one could stand beside."""
    base = zero_step(run)
    job = replace(base, method=ZeroStep(), outside="to be measured")  # what is not trained here has no such settings
    asked = protocol(make_record(job, None, ZeroStep(), run, {}, Timing()))
    for record in run.store.read_all()[0]:
        if (record.suite, record.domain, record.source_sha256) != (base.suite.name, base.domain, base.source_sha256):
            continue
        there = protocol(record)
        other = [name for name in there if name in asked and there[name] != asked[name]]
        if settings := [name for name in other if "." in name]:
            raise ConfigError(
                f"{run.store.out} has records on {base.domain} with {settings[0]}={there[settings[0]]}, and "
                f"{asked[settings[0]]} is asked for: they cannot stand in one table. Choose another --out, or leave "
                "the setting out."
            )
        if other:
            raise ConfigError(
                f"{run.store.out} has records on {base.domain} with the {other[0]} {there[other[0]]}, and here it is "
                f"{asked[other[0]]}: they cannot stand in one table. Choose another --out."
            )


def zero_step(run: Run) -> Job:
    """The job of the untouched source."""
    return next(job for job in run.jobs if job.method is None)

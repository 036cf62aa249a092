"""The engine `local`: the jobs of a run on this machine, in this command."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchmark.config import Settings
from benchmark.engines.engine import Queued, Work
from benchmark.errors import ConfigError


class LocalSettings(Settings):
    """None: --device, --jobs and --threads say it all."""


class Local:
    """Does what `running/launch.py` does."""

    settings: type[Settings] = LocalSettings

    def preview(self, work: Work) -> str:
        """A line for each record that the jobs would make."""
        jobs = [job for run in work.ready for job in run.jobs]
        row = "{:18} {:14} {:>4}  {:7}  {:32}  {}"
        lines = [f"{len(jobs)} jobs, {sum(len(job.record_keys) for job in jobs)} records:"]
        lines.append(row.format("method", "domain", "seed", "control", "record key", "training key"))
        for job in jobs:
            name, training = (job.method.name, job.train_key) if job.method else ("source", "–")
            for control, key in job.record_keys.items():
                shown = "–" if control is None else str(control)
                lines.append(row.format(name, job.domain, job.seed, shown, key, training))
        return "\n".join(lines)

    def run(self, work: Work) -> bool:
        """All jobs, here and now."""
        from benchmark.running.suite import run_suites

        if work.detach:
            raise ConfigError("--detach: the engine local works in this command; use nohup, or --engine slurm.")
        records = run_suites(work.ready, work.console, work.tensorboard, work.launch)
        return all(record.status == "done" for record in records)

    def queued(self, out: Path) -> Mapping[int, Queued] | None:
        """Nothing is queued."""
        return {}

    def cancel(self, out: Path) -> str:
        """Nothing can be cancelled from outside."""
        raise ConfigError(f"{out}: a local run ends with its command: press Ctrl-C there.")


ENGINE = Local()

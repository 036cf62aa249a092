"""Growth of planning, queueing, status and report with the number of jobs: `python tests/perf/many_jobs.py 100 1000`.

Each step is a process of its own, so that its memory is known. The plan is of a synthetic suite: the methods of
`smoke` on its two domains, with as many seeds as needed. Where Slurm is installed the tasks are queued, held, on a
node of its own and cancelled; one training of the suite has one task. Records are made by hand. Nothing has a limit:
the numbers depend on the machine, and docs/scaling.md says which one.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "helpers")]
METHODS = 6
DOMAINS = 2
MEGABYTE = 1024
"""Of ru_maxrss, which Linux counts in KiB."""


def planned(count: int) -> list[Any]:
    """The jobs of the suite, some `count`."""
    from benchmark.running.forecast import Unseen
    from benchmark.running.plan import plan
    from benchmark.suites import load_suite

    seeds = list(range(max(count // (DOMAINS * (METHODS + 1)), 1)))
    suite, methods = load_suite("smoke", (), {"seeds": seeds})
    return plan(suite, methods, {name: Unseen(name) for name in suite.domains}, "unseen")


def request(count: int, out: Path) -> Any:
    """What an engine would be asked, written where it would be."""
    from benchmark.engines.queueing import tasks_of
    from benchmark.engines.request import Asked, write_request
    from benchmark.engines.settings import Chosen
    from benchmark.engines.slurm import SlurmSettings

    tasks = tasks_of(0, planned(count), Chosen(SlurmSettings()))
    asked = Asked(schema=1, engine="slurm", folder=str(out), requests=({},), launch={}, tasks=tuple(tasks))
    write_request(out, asked)
    return asked


def step_plan(count: int, out: Path) -> str:
    """suite -> jobs with their keys."""
    return f"{len(planned(count))} jobs"


def step_request(count: int, out: Path) -> str:
    """The same, in tasks, written to request.json."""
    asked = request(count, out)
    return f"{len(asked.tasks)} tasks, {(out / 'engine' / 'request.json').stat().st_size / 2**20:.1f} MiB"


def step_queue(count: int, out: Path) -> str:
    """sbatch of all arrays, held; then what squeue says, and scancel."""
    from types import SimpleNamespace

    import slurm as one_node

    from benchmark.engines import slurm
    from benchmark.engines.request import required_request
    from benchmark.engines.settings import Chosen

    if missing := one_node.missing():
        return f"left out: no {', '.join(missing)}"
    asked: Any = required_request(out)
    settings = slurm.SlurmSettings(extra=("--hold",))
    work: Any = SimpleNamespace(out=out, chosen=Chosen(settings))
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
    os.environ.update(one_node.start(folder, jobs=2 * count + 1000))
    try:
        begun = time.monotonic()
        texts = list(slurm.scripts(work, asked, range(len(asked.tasks)), slurm.array_limit()))
        for _, text in texts:
            slurm.call("sbatch", "--parsable", standard_input=text)
        queued = time.monotonic()
        seen = slurm.Slurm().queued(out) or {}
        looked = time.monotonic()
        slurm.Slurm().cancel(out)
        done = time.monotonic()
    finally:
        one_node.stop(folder)
        shutil.rmtree(folder, ignore_errors=True)
    assert len(seen) == len(asked.tasks)
    return (
        f"{len(texts)} arrays: sbatch {queued - begun:.1f} s, squeue {looked - queued:.1f}, scancel {done - looked:.1f}"
    )


def step_records(count: int, out: Path) -> str:
    """Records by hand, all of them done; written without the care of a run, which waits for the disk."""
    from made_records import SETTINGS, kid

    from benchmark.results import RunRecord
    from benchmark.results.store import to_json

    (out / "records").mkdir(parents=True)
    made = 0
    for number, job in enumerate(planned(count)):
        for control, key in job.record_keys.items():
            record = RunRecord(
                record_key=key,
                train_key=job.train_key,
                status="done",
                suite="smoke",
                method=job.method.name if job.method else "source",
                domain=job.domain,
                domain_digest="ab" * 16,
                source="src",
                source_sha256="ab" * 32,
                seed=job.seed,
                control=control,
                control_name=None if control is None else "value",
                is_default_control=job.method is None or control == job.method.default_control,
                zero_step=job.method is None,
                settings=SETTINGS,
                environment={"device": "cpu", "threads": 1},
                metrics=kid(1 + (number * 7919 % 1000) / 1000),
            )
            (out / "records" / f"{key}.json").write_bytes(to_json(record))
            made += 1
    return f"{made} records"


def step_status(count: int, out: Path) -> str:
    """A first look and a second."""
    from benchmark.engines.request import required_request
    from benchmark.engines.states import Looks, counts, in_words

    looks = Looks(out, required_request(out))
    begun = time.monotonic()
    looks.states({})
    first = time.monotonic()
    found = counts(looks.states({}))
    return f"{in_words(found)}: {first - begun:.2f} s, again {time.monotonic() - first:.2f} s"


def step_report(count: int, out: Path) -> str:
    """All tables, figures and the page."""
    from benchmark.report import write_report

    return f"{len(write_report(out).paths)} files"


STEPS = {name.removeprefix("step_"): step for name, step in globals().items() if name.startswith("step_")}


def main() -> None:
    """Each step of each number of jobs: seconds of time and of the processor, largest memory."""
    if len(sys.argv) > 3 and sys.argv[1] in STEPS:
        begun = time.monotonic()
        said = STEPS[sys.argv[1]](int(sys.argv[2]), Path(sys.argv[3]))
        used = resource.getrusage(resource.RUSAGE_SELF)
        measured = [time.monotonic() - begun, used.ru_utime + used.ru_stime, used.ru_maxrss / MEGABYTE]
        print(json.dumps([*measured, said]))
        return
    print(f"{'jobs':>7} {'step':8} {'s':>7} {'cpu s':>7} {'MiB':>6}")
    for count in map(int, sys.argv[1:] or ["100", "1000", "10000"]):
        out = Path(tempfile.mkdtemp(prefix="many-jobs-"))
        for name in STEPS:
            command = [sys.executable, __file__, name, str(count), str(out)]
            done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
            if done.returncode:
                print(f"{count:7} {name:8} failed: {done.stderr.strip().splitlines()[-1:]}", flush=True)
                continue
            seconds, processor, memory, said = json.loads(done.stdout.splitlines()[-1])
            print(f"{count:7} {name:8} {seconds:7.1f} {processor:7.1f} {memory:6.0f}  {said}", flush=True)
        shutil.rmtree(out)


if __name__ == "__main__":
    main()

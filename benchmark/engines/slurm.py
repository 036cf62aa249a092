"""The engine `slurm`: tasks as a plain job array. The scheduler is the engine: no data base and no daemon of ours.

An array has a task of ours at each index. Its name says the results folder and the first task's number, so that
`squeue` alone says what is queued, also after the command that queued it was killed. Each task has the batch script
in front, which sends a task that was stopped in good order (exit code 143) back to the queue.
"""

from __future__ import annotations

import hashlib
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import cast

from pydantic import Field

from benchmark.config import Settings
from benchmark.engines.engine import Queued, Work
from benchmark.engines.request import Asked, cancelled, mark_cancelled
from benchmark.engines.settings import EngineSettings, Line, Lines, Time, Word
from benchmark.errors import ConfigError

SECONDS = 120
"""That a command of Slurm may take."""
ARRAY = 1001
"""Slurm's usual MaxArraySize, for a preview where Slurm is not."""
WAITING = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD")
ENDED = (
    *("COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "BOOT_FAIL", "DEADLINE", "OUT_OF_MEMORY"),
    *("PREEMPTED", "REVOKED"),
)
OPTION = re.compile(r"--(gres|gpus(?:-per-(?:node|socket|task))?)[= ]+(\S+)")
"""An option of sbatch that asks for GPUs."""
SHARED = ("mps", "shard")
"""Names in --gres for a share of one GPU."""


class SlurmSettings(EngineSettings):
    """Options of sbatch, and what the script does before a job."""

    partition: Word | None = Field(None, description="--partition; several: a,b")
    account: Word | None = Field(None, description="--account")
    qos: Word | None = Field(None, description="--qos")
    constraint: Word | None = Field(None, description="--constraint")
    time: Time | None = Field(None, description="--time, such as 12:00:00 or 2-00")
    gres: Word | None = Field(None, description="--gres, such as gpu:a100:1, in place of gpus")
    setup: Lines = Field((), description="shell lines before the job, such as module load cuda")
    python: Line = Field(sys.executable, description="Python of the tasks")
    extra: Lines = Field((), description="further options of sbatch, such as --exclusive")

    @property
    def task_gpus(self) -> int:
        """Those of `gpus`, of `gres`, or of such options in `extra`."""
        asked = [self.gres] if self.gres else []
        for line in self.extra:
            if found := OPTION.fullmatch(line.strip()):
                asked.append(found[2] if found[1] == "gres" else f"gpu:{found[2]}")
        return self.gpus or sum(map(gpus_of, asked))


class Slurm:
    """Talks to Slurm by its commands."""

    settings: type[Settings] = SlurmSettings

    def preview(self, work: Work) -> str:
        """The scripts that would be handed to sbatch if nothing were stored yet."""
        from benchmark.engines.queueing import ask

        asked = ask(work, "slurm")
        limit = ARRAY
        with suppress(ConfigError):  # where Slurm is not, a script can be looked at all the same
            limit = array_limit()
        numbers = range(len(asked.tasks))
        return "\n".join(text for _, text in scripts(work, asked, numbers, limit))

    def run(self, work: Work) -> bool:
        """Queue what is neither stored nor queued, and a job that writes the report; then wait."""
        from benchmark.engines.queueing import asking, follow

        if missing := [name for name in ("sbatch", "squeue", "scontrol") if not shutil.which(name)]:
            raise ConfigError(f"--engine slurm: {missing[0]} is not here; run this on a machine with Slurm's commands.")
        with asking(work, "slurm", self.queued) as (asked, numbers):
            arrays: list[str] = []
            for base, text in scripts(work, asked, numbers, array_limit()) if numbers else ():
                after = [f"--dependency=afterany:{arrays[-1]}"] if arrays and at_once(work) else []
                arrays.append(call("sbatch", "--parsable", *after, standard_input=text).split(";")[0].strip())
                work.console.print(f"array {arrays[-1]}: from task {base}", markup=False)
            if arrays:
                call(
                    "sbatch",
                    "--parsable",
                    f"--dependency=afterany:{':'.join(arrays)}",
                    standard_input=report_script(work),
                )
        return True if work.detach else follow(work, self.queued)

    def queued(self, out: Path) -> Mapping[int, Queued] | None:
        """What squeue says of the arrays of a results folder; None where it is not here or does not answer."""
        try:
            rows = list(listed(out))
        except ConfigError:
            return None
        found: dict[int, Queued] = {}
        for base, _, index, state, reason, node in rows:
            if index.isdecimal() and not state.startswith(ENDED):
                runs = state not in WAITING
                found[base + int(index)] = Queued(runs, node if runs else f"{state.lower()}, {reason}")
        return found

    def cancel(self, out: Path) -> str:
        """scancel of all its arrays, and of the job that writes the report."""
        mark_cancelled(out)
        arrays = sorted({array for _, array, *_ in listed(out)})
        if not arrays:
            return "nothing is queued"
        call("scancel", *arrays)
        return f"cancelled: {', '.join(arrays)}; jobs that run save and end within half a minute"


def name_of(out: Path, base: int | str) -> str:
    """The name of an array: the results folder's, by its hash, and the number of the first task."""
    return f"benchmark-{hashlib.sha256(str(out.resolve()).encode()).hexdigest()[:10]}-{base}"


def listed(out: Path) -> Iterator[tuple[int, str, str, str, str, str]]:
    """(first number, array's id, index, state, reason, node) of all queued tasks, and of the report (index N/A)."""
    mine, _, _ = name_of(out, 0).rpartition("-")
    said = call("squeue", "--me", "--noheader", "--array", "--states=all", "--format=%j|%F|%K|%T|%r|%N")
    for line in said.splitlines():
        name, _, rest = line.partition("|")
        begin, _, base = name.rpartition("-")
        parts = rest.split("|")
        if begin == mine and len(parts) == 5 and not (base == "report" and parts[2].startswith(ENDED)):
            yield (int(base) if base.isdecimal() else -1, parts[0], parts[1], parts[2], parts[3], parts[4])


def at_once(work: Work) -> int | None:
    """The most tasks at a time."""
    return cast(SlurmSettings, work.chosen.common).at_once


def array_limit() -> int:
    """The cluster's MaxArraySize: an index is below it."""
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", call("scontrol", "show", "config"), re.MULTILINE)
    return int(found[1]) if found else ARRAY


def scripts(work: Work, asked: Asked, numbers: Sequence[int], limit: int) -> Iterator[tuple[int, str]]:
    """(first number, script) for each array: one for each kind of settings, split where indices become too large."""
    kinds: dict[tuple[int, SlurmSettings], list[int]] = {}
    for number in numbers:
        settings = cast(SlurmSettings, work.chosen.of(asked.tasks[number].method))
        kinds.setdefault((number // limit * limit, settings), []).append(number)
    for (base, settings), members in kinds.items():
        yield base, script(work.out, base, members, settings)


def script(out: Path, base: int, numbers: Sequence[int], settings: SlurmSettings) -> str:
    """The batch script of an array."""
    limit = f"%{settings.at_once}" if settings.at_once else ""
    options = [
        f"--job-name={name_of(out, base)}",
        f"--array={ranges([number - base for number in numbers])}{limit}",
        *common_options(out, settings),
        "--requeue" if settings.requeue else "--no-requeue",
        "--signal=TERM@60",
        "--ntasks=1",
        *resources(settings),
        *settings.extra,
    ]
    here = shlex.quote(str(out))
    cpus = f" --cpus-per-task={settings.cpus}" if settings.cpus else ""  # since Slurm 22.05 a step does not inherit it
    again = (
        f'if [ "$code" -eq 143 ] && [ "${{SLURM_RESTART_COUNT:-0}}" -lt {settings.requeue} ] \\\n'
        f"    && [ ! -e {shlex.quote(str(cancelled(out)))} ] \\\n"
        '    && [ "$(squeue --noheader --jobs="$task" --format=%T)" = RUNNING ]; then\n'
        '  scontrol requeue "$task"  # Slurm itself requeues what it pre-empts\n'
        "fi\n"
    )
    return (
        "#!/bin/bash\n"
        + "".join(f"#SBATCH {option}\n" for option in options)
        + f"number=$(({base} + SLURM_ARRAY_TASK_ID))\n"
        + 'task="${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"  # SLURM_JOB_ID can be that of the whole array\n'
        + f'exec >> {here}/engine/logs/"$number".txt 2>&1\n'
        + "".join(f"{line}\n" for line in settings.setup)
        + "trap : TERM  # the step hears SIGTERM, saves and ends; this shell waits for it\n"
        + f'srun --ntasks=1{cpus} {shlex.quote(settings.python)} -m benchmark work {here} "$number"\n'
        + "code=$?\n"
        + (again if settings.requeue else "")
        + 'exit "$code"\n'
    )


def report_script(work: Work) -> str:
    """The batch script of the job that writes the report after all tasks."""
    settings = cast(SlurmSettings, work.chosen.common)
    small = settings.model_copy(update={"gpus": None, "gres": None, "cpus": None, "memory_gb": None})
    options = [f"--job-name={name_of(work.out, 'report')}", *common_options(work.out, small), *resources(small)]
    return (
        "#!/bin/bash\n"
        + "".join(f"#SBATCH {option}\n" for option in (*options, *settings.extra))
        + "".join(f"{line}\n" for line in settings.setup)
        + f"{shlex.quote(settings.python)} -m benchmark report {shlex.quote(str(work.out))}\n"
    )


def common_options(out: Path, settings: SlurmSettings) -> list[str]:
    """Where Slurm's own messages go, and whose time it is."""
    named = {name: getattr(settings, name) for name in ("partition", "account", "qos", "constraint", "time")}
    return [
        f"--output={escaped(out)}/engine/slurm.txt",
        "--open-mode=append",
        *(f"--{name}={value}" for name, value in named.items() if value is not None),
    ]


def resources(settings: SlurmSettings) -> list[str]:
    """What a task takes."""
    memory = None if settings.memory_gb is None else f"{round(settings.memory_gb * 1024)}M"
    gpus = settings.gpus or None
    asked = {"gres": settings.gres, "gpus": gpus, "cpus-per-task": settings.cpus, "mem": memory}
    return [f"--{name}={value}" for name, value in asked.items() if value is not None]


def escaped(path: Path) -> str:
    """A path in an option of a script: Slurm replaces what follows a %, and reads quotes and blanks as a shell."""
    return shlex.quote(str(path).replace("%", "%%"))


def gpus_of(gres: str) -> int:
    """GPUs in what follows --gres: 2 for "gpu:a100:2,license:5", 1 for "gpu" and for a share of one."""
    count = 0
    for part in gres.split(","):
        name, *more = part.partition("(")[0].split(":")
        if name == "gpu":
            count += int(more[-1]) if more and more[-1].isdecimal() else 1
        elif name in SHARED:
            count += 1
    return count


def ranges(numbers: Sequence[int]) -> str:
    """ "0-3,7" for 0, 1, 2, 3, 7."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)


def call(program: str, *arguments: str, standard_input: str | None = None) -> str:
    """What a command of Slurm prints; ConfigError with its own words where it fails or is not here."""
    try:
        done = subprocess.run(
            [program, *arguments],
            input=standard_input,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"{program} cannot be used here: {error}.") from None
    if done.returncode:
        raise ConfigError(f"{program} failed: {' '.join(done.stderr.split()) or f'exit code {done.returncode}'}")
    return done.stdout


ENGINE = Slurm()

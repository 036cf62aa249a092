"""A Slurm of one node, started and stopped by hand: no systemd, no cgroups, no data base, no account of its own.

    python tests/helpers/slurm.py start FOLDER     prints how to use it: export SLURM_CONF=FOLDER/slurm.conf
    python tests/helpers/slurm.py stop FOLDER

It needs the programs of Debian's packages slurmctld, slurmd, slurm-client and munge.
"""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from waiting import PATIENCE

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel")
CONFIGURATION = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=30
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/ended.txt
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2
PriorityType=priority/basic
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
KillWait=30
MaxArraySize={array}
MaxJobCount={jobs}
MinJobAge=2
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=1000 State=UNKNOWN
PartitionName=low Nodes={host} PriorityTier=1 Default=YES MaxTime=INFINITE State=UP
PartitionName=high Nodes={host} PriorityTier=10 PreemptMode=OFF MaxTime=INFINITE State=UP
"""


def missing() -> list[str]:
    """Programs that are not here."""
    return [name for name in PROGRAMS if not _program(name)]


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def start(folder: Path, cpus: int = 2, array: int = 1001, jobs: int = 20_000) -> dict[str, str]:
    """Start it in `folder` and wait until its node is there; the variables of those who use it."""
    folder = folder.resolve()
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    text = CONFIGURATION.format(
        host=socket.gethostname().partition(".")[0],
        user=getpass.getuser(),
        folder=folder,
        ports=_free_ports(2),
        cpus=cpus,
        array=array,
        jobs=jobs,
    )
    (folder / "slurm.conf").write_text(text, "utf-8")
    variables = os.environ | {"SLURM_CONF": str(folder / "slurm.conf")}
    own = [f"--{what}={folder}/munge.{what.partition('-')[0]}" for what in ("socket", "pid-file", "seed-file")]
    _call([_program("munged"), "--force", *own, f"--key-file={key}", f"--log-file={folder}/munge.log"], variables)
    _call([_program("slurmctld"), "-c"], variables)
    _call([_program("slurmd"), "-c"], variables)
    limit = time.monotonic() + PATIENCE
    while "idle" not in (said := _call(["sinfo", "-h", "-p", "low", "-o", "%T"], variables, check=False)):
        if time.monotonic() > limit:
            stop(folder)
            raise TimeoutError(f"the node did not come: {said}; see {folder}/*.log")
        time.sleep(0.2)
    return variables


def stop(folder: Path) -> None:
    """End its jobs and then it."""
    folder = folder.resolve()
    variables = os.environ | {"SLURM_CONF": str(folder / "slurm.conf")}
    with suppress(subprocess.SubprocessError, OSError):
        _call(["scancel", "--full", "--signal=KILL", "--me"], variables, check=False)
        _call(["scancel", "--me"], variables, check=False)
        limit = time.monotonic() + 20
        while _call(["squeue", "-h"], variables, check=False).strip() and time.monotonic() < limit:
            time.sleep(0.2)
    for name in ("slurmctld", "slurmd", "munge"):
        with suppress(OSError, ValueError):
            process = int((folder / f"{name}.pid").read_text("ascii"))
            os.kill(process, signal.SIGTERM)
            limit = time.monotonic() + 10
            while time.monotonic() < limit and Path(f"/proc/{process}").exists():
                time.sleep(0.05)
            os.kill(process, signal.SIGKILL)


def _call(command: list[str | None], variables: dict[str, str], check: bool = True) -> str:
    words = [word or "" for word in command]
    with (Path(variables["SLURM_CONF"]).parent / "said.txt").open("a+b") as said:  # a daemon would keep a pipe open
        begun = said.tell()
        done = subprocess.run(words, stdout=said, stderr=said, env=variables, timeout=60)
        said.seek(begun)
        text = said.read().decode(errors="replace")
    if check and done.returncode:
        raise OSError(f"{' '.join(words)}: exit code {done.returncode}: {text}")
    return text


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


if __name__ == "__main__":
    what, where = sys.argv[1], Path(sys.argv[2])
    if what == "stop":
        stop(where)
    else:
        start(where)
        print(f"export SLURM_CONF={where.resolve()}/slurm.conf")

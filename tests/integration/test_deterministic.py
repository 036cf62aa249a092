"""train.deterministic: the same bits whatever the processor's libraries would choose, and known ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from fixed_training import STORED, verdict
from rich.console import Console

from benchmark.config import TrainConfig
from benchmark.engines.engine import Work
from benchmark.engines.queueing import ask
from benchmark.engines.request import write_request
from benchmark.engines.settings import Chosen, EngineSettings
from benchmark.errors import ConfigError
from benchmark.results import ResultStore
from benchmark.running.launch import Launch
from benchmark.running.setup import Request, prepare
from benchmark.running.suite import run_suites
from benchmark.sources import find_source, load_source
from benchmark.stylegan2 import save
from benchmark.training.determinism import PINNED, require_pinned
from benchmark.use.outside import measure

SCRIPT = Path(__file__).parents[1] / "helpers" / "fixed_training.py"
ROOT = SCRIPT.parents[2]
OLDER = {
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX512F,-AVX2_Usable,-FMA_Usable",
}
"""What makes the libraries of this machine choose as they would on an older one."""


def environment(**more: str) -> dict[str, str]:
    free = {k: v for k, v in os.environ.items() if k not in {*PINNED, *OLDER}}
    return free | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | more


@cache
def outcome(*words: str, **more: str) -> dict[str, Any]:
    """What the script prints; one start of it for equal words and variables. Do not write to it."""
    command = [sys.executable, str(SCRIPT), *words]
    done = subprocess.run(command, env=environment(**more), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(json.loads(done.stdout))


def test_the_fixed_training_gives_the_stored_bits_or_the_protocol_must_change() -> None:
    stored, found = json.loads(STORED.read_text()), outcome(**PINNED)
    said = verdict(stored, found)
    assert said != "changed", (
        "raise PROTOCOL in benchmark/running/plan.py; tests/helpers/fixed_training.py says the rest"
    )
    if said == "elsewhere":
        pytest.skip(f"the stored bits are of {stored['processor']}, PyTorch {stored['torch']}; here: {found}")


def test_what_changes_on_one_machine_is_told_from_what_another_machine_may_change() -> None:
    stored = json.loads(STORED.read_text())
    assert verdict(stored, dict(stored)) == "same"
    assert verdict(stored, {**stored, "weights": "other"}) == verdict(stored, {**stored, "protocol": 99}) == "changed"
    for name in ("processor", "torch", "capability"):
        assert verdict(stored, {**stored, "images": "other", name: "other"}) == "elsewhere"


@pytest.mark.slow(
    twin="tests/integration/test_deterministic.py::test_the_fixed_training_gives_the_stored_bits_or_the_protocol_must_change"
)
def test_other_choices_of_the_libraries_change_a_usual_training_and_not_a_deterministic_one() -> None:
    usual, older = outcome("--plain"), outcome("--plain", **OLDER)
    assert usual["weights"] != older["weights"], "else the following would show nothing"
    assert outcome(**PINNED)["weights"] == outcome(**PINNED, **OLDER)["weights"]


def test_the_command_line_holds_the_libraries_by_itself(tmp_path: Path) -> None:
    words = ["run", "--suite", "smoke", "--methods", "finetune", "--domains", "toy-rings", "--jobs", "1"]
    words += [f"--set={x}" for x in ("train.deterministic=true", "train.kimg=0.016", "eval.samples=32", "eval.pairs=8")]
    command = [sys.executable, "-m", "benchmark", *words, "--set", "eval.metrics=[kid_randconv]", "--out", "made"]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-2000:]
    (record,) = [r for r in ResultStore(tmp_path / "made").read_all()[0] if not r.zero_step]
    train = record.settings["train"]
    assert isinstance(train, dict) and train["deterministic"] is True and train["precision"] == "fp32"


QUICK = (
    "train.deterministic=true",
    "train.kimg=0.016",
    "eval.samples=8",
    "eval.pairs=4",
    "eval.metrics=[kid_randconv]",
)


def test_so_does_the_command_of_an_engines_task(tmp_path: Path) -> None:
    """On a machine that got none of the variables of the command which queued it."""
    overrides = {"domains": ["toy-rings"], "methods": ["finetune"]}
    request, out = Request("smoke", QUICK, overrides, "cpu", tmp_path / "cache", 1), tmp_path / "out"
    chosen = Chosen(EngineSettings())
    work = Work([prepare(request, out, Console(quiet=True))], Console(quiet=True), Launch(1), False, chosen)
    asked = ask(work, "local")
    write_request(out, asked)
    (number,) = [number for number, task in enumerate(asked.tasks) if task.method]
    command = [sys.executable, "-m", "benchmark", "work", "out", str(number)]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-2000:]
    (record,) = ResultStore(out).read_all()[0]
    assert record.status == "done" and record.settings["train"]["deterministic"] is True  # type: ignore[index,call-overload]


def test_only_who_trains_needs_the_libraries_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network from elsewhere is measured by such a suite in any process."""
    for name in PINNED:
        monkeypatch.delenv(name, raising=False)
    weights = tmp_path / "theirs.safetensors"
    save(weights, load_source(find_source("smoke-32", tmp_path))[0])
    request = Request("smoke", QUICK, {"domains": ["toy-rings"]}, "cpu", tmp_path / "cache", 1)
    records = measure(weights, request, Console(quiet=True), tmp_path / "out", name="theirs")
    assert [record.status for record in records] == ["done"]
    with pytest.raises(ConfigError, match="ATEN_CPU_CAPABILITY=avx2"):
        run_suites([prepare(request, tmp_path / "trained", Console(quiet=True))], Console(quiet=True))
    assert not (tmp_path / "trained").exists()


def test_what_cannot_be_deterministic_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PINNED:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match="ATEN_CPU_CAPABILITY=avx2 MKL_CBWR=COMPATIBLE"):
        require_pinned("cpu")
    with pytest.raises(ConfigError, match="--device cpu"):
        require_pinned("cuda")
    for more in ({"precision": "bf16"}, {"compile": True}):
        with pytest.raises(ValueError, match="fp32"):
            TrainConfig(deterministic=True, **more)


def test_keys_of_usual_trainings_do_not_know_of_it() -> None:
    assert "deterministic" not in TrainConfig().content()
    assert TrainConfig(deterministic=True).content()["deterministic"] is True

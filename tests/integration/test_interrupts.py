"""Ctrl-C in each stage of a run: 130 and one line, whatever was going on, and the same command finishes the work."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import psutil
import pytest
from command_line import Finished, process, start
from waiting import PATIENCE, all_end

STAGES = ("jobs, ", "evaluate source", "train finetune", "evaluate finetune", "evaluate fixnoise at noise 0.25")
"""What was said last when the signal comes: before the server is ready, in a training, in evaluations, in a report."""


def scores(out: Path) -> dict[str, object]:
    found = [json.loads(path.read_text()) for path in (out / "records").glob("*.json")]
    return {record["record_key"]: record["metrics"] for record in found if record["status"] == "done"}


@pytest.mark.slow(twin="tests/integration/test_cli.py::test_an_interrupted_run_goes_on_to_the_same_records")
def test_ctrl_c_in_each_stage_and_the_same_command_again(finished: Finished, cache: Path, tmp_path: Path) -> None:
    for number, stage in enumerate(STAGES):
        folder = tmp_path / str(number)
        folder.mkdir()
        running = start(finished.arguments, cache, folder)
        assert running.stdout is not None
        assert any(stage in line for line in running.stdout), stage
        everybody = psutil.Process(running.pid).children(recursive=True)
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=PATIENCE)
        said = err.strip()
        assert said.startswith("interrupted; finished records are kept") and "\n" not in said, (stage, err)
        assert running.returncode == 130, stage
        assert all_end(everybody), stage
        stored = scores(folder / "res") if (folder / "res" / "records").is_dir() else {}
        assert all(scores(finished.out)[key] == value for key, value in stored.items())
        assert process(finished.arguments, cache, folder).code == 0
        assert scores(folder / "res") == scores(finished.out)

"""What commands import before they do anything: each library costs time at every start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "pandas",
    "scipy",
    "matplotlib",
    "seaborn",
    "torch._dynamo",
    "sympy",
    "torchvision",
    "efficientnet_lite_pytorch",
}


@pytest.mark.parametrize("command", [["list", "suites"], ["run", "--suite", "smoke", "--dry-run"]])
def test_what_makes_no_report_loads_nothing_of_it(tmp_path: Path, command: list[str]) -> None:
    code = (
        f"import sys\nfrom benchmark.cli.app import cli\ncli({command}, standalone_mode=False)\n"
        f"print('loaded:', sorted({HEAVY} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | {"BENCHMARK_CACHE": str(tmp_path)},
    )
    assert done.stdout.splitlines()[-1:] == ["loaded: []"], done.stderr

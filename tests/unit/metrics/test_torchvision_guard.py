"""The guard is tried in a fresh process: imports and operator declarations last as long as the interpreter."""

from __future__ import annotations

import subprocess
import sys

CODE = """
from benchmark.metrics.networks.torchvision_guard import declare_missing_operators
declared = declare_missing_operators()
assert declare_missing_operators() == declared
import torchvision, lpips, cleanfid.inception_torchscript
torchvision.models.alexnet(weights=None)
print(sorted(declared), torchvision.extension._has_ops())
"""


def test_torchvision_lpips_and_cleanfid_can_be_imported() -> None:
    """With a CPU torch beside a CUDA torchvision the operators are declared; with a fitting pair nothing is touched."""
    run = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() in ("['nms', 'qnms'] False", "[] True")

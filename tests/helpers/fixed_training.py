"""A fixed tiny training whose result is known to the bit; run as a program it prints what came out, as JSON.

python tests/helpers/fixed_training.py --plain    # as trainings usually are, for comparison
ATEN_CPU_CAPABILITY=avx2 MKL_CBWR=COMPATIBLE python tests/helpers/fixed_training.py > tests/data/fixed_training.json
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import torch

from benchmark.config import NetConfig, TrainConfig
from benchmark.registry import find_method
from benchmark.running.plan import PROTOCOL
from benchmark.stylegan2.weights import Nets, digest_of
from benchmark.system.hardware import device_name, prepare_torch
from benchmark.training.kernels import held
from benchmark.training.train import train

NETS = NetConfig(resolution=32, z_dim=16, w_dim=16, mapping_layers=2, channel_base=256, channel_max=16, conv_clamp=None)
TRAIN = TrainConfig(
    kimg=0.032,
    batch=8,
    r1_gamma=1,
    r1_every=2,
    pl_weight=1,
    ema_kimg=0.02,
    precision="fp32",
    augment="ada",
    tick_kimg=1,
)
STORED = Path(__file__).parents[1] / "data" / "fixed_training.json"
"""What came out where the protocol was last settled."""


def verdict(stored: dict[str, object], found: dict[str, object]) -> str:
    """ "same"; "changed": the arithmetic is another; "elsewhere": so it may be, the processor or PyTorch is another."""
    if all(stored[name] == found[name] for name in ("weights", "images", "protocol")):
        return "same"
    at_home = all(stored[name] == found[name] for name in ("processor", "torch", "capability"))
    return "changed" if at_home else "elsewhere"


def outcome(deterministic: bool) -> dict[str, object]:
    """sha256 of the weights and of eight images after four steps of FixNoise, and on what they were computed."""
    prepare_torch()
    nets = Nets.create(NETS, 0).to("cpu")
    reals = np.random.default_rng(0).integers(0, 256, (64, 3, 32, 32), dtype=np.uint8)
    method = find_method("fixnoise")()
    cfg = TRAIN.model_copy(update={"deterministic": deterministic})
    z = torch.randn(8, NETS.z_dim, generator=torch.Generator().manual_seed(1))
    with held(cfg, nets):
        train(nets, reals, method, cfg, ("fixed training", 0))
        with torch.no_grad():
            images = nets.g_ema(z, None, "const")
    pixels = ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).numpy()
    return {
        "protocol": PROTOCOL,
        "weights": digest_of(nets.state_dict()),
        "images": hashlib.sha256(pixels.tobytes()).hexdigest(),
        "processor": device_name("cpu"),
        "torch": torch.__version__,
        "capability": torch.backends.cpu.get_cpu_capability(),
    }


if __name__ == "__main__":
    print(json.dumps(outcome("--plain" not in sys.argv), indent=1))

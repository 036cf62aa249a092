"""A source that draws one flat picture whatever it is given: metrics have values or reasons, records are done."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from benchmark.config import NetConfig
from benchmark.metrics.catalogue import METRICS
from benchmark.report import write_report
from benchmark.running.launch import Launch, run_all
from benchmark.running.setup import Request, prepare
from benchmark.sources.importing import import_source
from benchmark.stylegan2 import Nets
from benchmark.system.progress import Bars

NETS = NetConfig(resolution=32, z_dim=16, w_dim=16, mapping_layers=2, channel_base=256, channel_max=8)
METRICS_WITHOUT_FILES = [name for name, info in METRICS.items() if info.needs == "nothing"]


@pytest.mark.parametrize("level", [0.0, 0.3, 5.0], ids=["grey", "lighter", "beyond white"])
def test_a_source_of_zero_variance_goes_through_a_whole_run(tmp_path: Path, level: float) -> None:
    nets = Nets.create(NETS, seed=0)
    for g in (nets.g, nets.g_ema):
        for name, parameter in g.named_parameters():
            if ".torgb." in name and "affine" not in name:
                torch.nn.init.constant_(parameter, level if name == "synthesis.b32.torgb.bias" else 0.0)
    torch.save({part: getattr(nets, part).state_dict() for part in ("g", "g_ema", "d")}, tmp_path / "flat.pt")
    import_source(tmp_path / "flat.pt", "flat", tmp_path / "cache")
    quick = ("train.kimg=0.008", "eval.samples=24", "eval.pairs=8", "split.train=40", "split.test=24")
    asked = (*quick, f"eval.metrics=[{','.join(METRICS_WITHOUT_FILES)}]")
    overrides = {"source": "flat", "domains": ["toy-rings"], "methods": ["finetune", "fixnoise"]}
    request = Request("smoke", asked, overrides, "cpu", tmp_path / "cache", 1)
    run, bars = prepare(request, tmp_path / "out", Console(quiet=True)), Bars(Console(quiet=True))
    records = run_all(replace(run, bars=bars), bars, Launch(), lambda threads: pytest.fail("no processes"))  # type: ignore[arg-type,return-value]
    assert {record.method for record in records} == {"source", "finetune", "fixnoise"}
    assert [(record.status, record.reason) for record in records] == [("done", None)] * len(records)
    for record in records:
        assert record.metrics.keys() >= set(METRICS_WITHOUT_FILES)
        for name, metric in record.metrics.items():
            assert metric.reason if metric.value is None else math.isfinite(metric.value), (record.method, name)
    source = next(record for record in records if record.zero_step)
    assert (source.metrics["kid_randconv"].value or 0) > 0 and (source.metrics["fd_randconv"].value or 0) > 0
    assert not write_report(tmp_path / "out").problems

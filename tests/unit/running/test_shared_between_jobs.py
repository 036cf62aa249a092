"""What jobs share is made before a method's hooks run: features of real images, pictures of the source."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import Tensor

from benchmark.api import GeneratorStep, Method
from benchmark.running.launch import here
from benchmark.running.plan import Job, make_job
from benchmark.running.setup import Request, Run, prepare
from benchmark.system.process_state import ProcessState

METRICS = ("kid_randconv", "consistency_randconv", "legacy_uniform_z_independent_noise_randconv")


class Replaces(Method):
    """Another function of torch from the first step on."""

    name = "replaces"

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        torch.nn.functional.leaky_relu = lambda x, *rest, **more: torch.relu(x)  # type: ignore[assignment]
        return {}


class Harmless(Method):
    """Plain fine-tuning."""

    name = "harmless"


@pytest.fixture(autouse=True)
def unchanged() -> Iterator[None]:
    state = ProcessState()
    yield
    state.restore()


def made(folder: Path, cache: Path) -> Run:
    settings = (
        *("train.kimg=0.008", "eval.samples=8", "eval.pairs=4", "split.train=8", "split.test=8"),
        f"eval.metrics=[{','.join(METRICS)}]",
    )
    overrides = {"domains": ["toy-rings"], "methods": ["finetune"]}
    return prepare(Request("smoke", settings, overrides, "cpu", cache, 1), folder, Console(quiet=True))


def metrics(run: Run, *methods: Method) -> dict[str, dict[str, Any]]:
    """Of each method, after all of them ran in this order in this process."""
    jobs: list[Job] = [make_job(run.jobs[0].suite, m, run.domains["toy-rings"], 0, "sha") for m in methods]
    here(replace(run, jobs=jobs), range(len(jobs)), run.bars, lambda *why: pytest.fail(str(why)), False)  # type: ignore[arg-type]
    found = [json.loads(path.read_text()) for path in run.store.records.glob("*.json")]
    return {record["method"]: record["metrics"] for record in found}


def test_a_method_does_not_spoil_what_is_kept_for_others(tmp_path: Path) -> None:
    """Neither in this process nor, by the cache, in those to come."""
    cache = tmp_path / "cache"
    alone = metrics(made(tmp_path / "alone", cache), Harmless())["harmless"]
    shutil.rmtree(cache / "features")
    after = metrics(made(tmp_path / "after", cache), Replaces(), Harmless())
    assert after["replaces"] != alone, "the method changes nothing, so that nothing was tried"
    assert after["harmless"] == alone
    assert metrics(made(tmp_path / "later", cache), Harmless())["harmless"] == alone

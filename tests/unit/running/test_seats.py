"""From --device, --devices and --jobs to the seats of workers, with eight pretended GPUs."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from benchmark.errors import ConfigError
from benchmark.running.launch import Launch, placed, seats_for


@pytest.fixture(autouse=True)
def eight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def gpus(device: str | None, devices: str | None, jobs: int | None, ranks: int = 1, most: int = 99) -> list[str]:
    asked, named = placed(device, devices, jobs)
    return [",".join(seat.gpus) for seat in seats_for(ranks, asked, Launch(jobs, gpus=named), most)]


def test_jobs_side_by_side_are_on_different_gpus() -> None:
    assert gpus(None, None, 8) == list("01234567")
    assert Counter(gpus(None, None, 16)) == dict.fromkeys("01234567", 2)
    assert gpus("cuda:3", None, 2) == ["3", "3"]  # it was named


def test_one_worker_for_each_device_that_is_named() -> None:
    assert gpus(None, "auto", None) == list("01234567")
    assert gpus(None, "cuda:5,cuda:2", None) == ["5", "2"]
    assert placed(None, "cuda:5,cuda:2", None) == ("cuda:5", ("5", "2"))  # the command computes on the first
    assert gpus(None, "auto", None, most=3) == ["0", "1", "2"]


def test_without_being_asked_one_gpu_is_used() -> None:
    assert gpus(None, None, None) == gpus("cuda", None, None) == ["0"]
    assert gpus(None, None, None, ranks=4) == ["0,1,2,3"]


def test_jobs_of_several_ranks_are_on_gpus_of_their_own() -> None:
    assert gpus(None, "auto", None, ranks=4) == gpus(None, None, 2, ranks=4) == ["0,1,2,3", "4,5,6,7"]
    assert gpus(None, "auto", None, ranks=4, most=1) == ["0,1,2,3"]
    with pytest.raises(ConfigError, match="1 are to be used"):
        gpus("cuda:3", None, 1, ranks=2)
    with pytest.raises(ConfigError, match="8 are to be used: name 6 of them with --devices"):
        gpus(None, "auto", None, ranks=3)


def test_the_cpu_has_no_gpus() -> None:
    assert gpus(None, "cpu", None, most=1) == gpus("cpu", None, 1) == [""]
    assert placed(None, "cpu", None) == ("cpu", None)


@pytest.mark.parametrize(
    ("device", "jobs", "said"), [("cuda:1", None, "so does --device cuda:1"), (None, 0, "so does --jobs 0")]
)
def test_two_answers_to_one_question_are_refused(device: str | None, jobs: int | None, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        placed(device, "auto", jobs)
    assert said in str(error.value)


def test_ranks_need_a_process_for_the_job() -> None:
    with pytest.raises(ConfigError, match="--jobs 0 allows none"):
        seats_for(2, "cpu", Launch(0))

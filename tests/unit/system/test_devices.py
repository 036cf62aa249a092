"""Who is given which device, with pretended ones."""

from __future__ import annotations

import os

import pytest
import torch

from benchmark.errors import ConfigError
from benchmark.system.devices import Seat, chosen_gpus, cpu_seats, gpu_seats, visible_gpus

EIGHT = tuple("01234567")


def test_a_list_names_gpus_by_their_place_among_the_visible_ones() -> None:
    assert chosen_gpus("auto", EIGHT) == EIGHT
    assert chosen_gpus("cpu", EIGHT) == chosen_gpus("auto", ()) == ()
    assert chosen_gpus("cuda:2, cuda:0", ("GPU-a", "GPU-b", "GPU-c")) == ("GPU-c", "GPU-a")


@pytest.mark.parametrize(
    ("text", "gpus", "said"),
    [
        ("cuda:8", EIGHT, "cuda:8 does not exist, PyTorch finds cuda:0 to cuda:7 here"),
        ("cuda:1", ("0",), "finds cuda:0 only"),
        ("cuda:0", (), "finds no CUDA device"),
        ("cuda:1,cuda:1", EIGHT, "cuda:1 is named twice. For several workers on one GPU: --device cuda:1 --jobs 2"),
        ("cuda:0,cpu", EIGHT, "'cpu' is no GPU; expected auto, cpu, or a list such as cuda:0,cuda:2"),
        ("cuda", EIGHT, "'cuda' is no GPU"),
        ("0,1", EIGHT, "'0' is no GPU"),
        ("", EIGHT, "'' is no GPU"),
    ],
)
def test_a_list_that_cannot_be_followed_says_why(text: str, gpus: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        chosen_gpus(text, gpus)
    assert said in str(error.value)


def test_each_worker_has_a_gpu_of_its_own_and_its_share_of_the_threads() -> None:
    assert gpu_seats(("3", "5"), 1, threads=16) == (Seat(8, ("3",)), Seat(8, ("5",)))
    eight = gpu_seats(EIGHT, 1, threads=4, workers=8)
    assert [seat.gpus for seat in eight] == [(gpu,) for gpu in EIGHT]
    assert {seat.threads for seat in eight} == {1}


def test_workers_without_a_gpu_of_their_own_share_in_turn() -> None:
    assert [seat.gpus for seat in gpu_seats(("0", "1"), 1, 8, workers=3)] == [("0",), ("1",), ("0",)]


def test_a_job_of_several_ranks_has_as_many_gpus() -> None:
    assert [seat.gpus for seat in gpu_seats(EIGHT, 4, 8)] == [("0", "1", "2", "3"), ("4", "5", "6", "7")]
    assert [seat.gpus for seat in gpu_seats(EIGHT, 3, 8, workers=1)] == [("0", "1", "2")]
    with pytest.raises(ConfigError, match=r"takes 3 GPUs .*8 are to be used: name 6 of them"):
        gpu_seats(EIGHT, 3, 8)
    with pytest.raises(ConfigError, match=r"takes 4 GPUs .*1 are to be used: ask for fewer"):
        gpu_seats(("0",), 4, 8, workers=1)


def test_workers_on_the_cpu_share_threads() -> None:
    assert cpu_seats(3, 8) == (Seat(2),) * 3
    assert cpu_seats(4, 2) == (Seat(1),) * 4


@pytest.mark.parametrize(
    ("variable", "found"), [(None, ("0", "1")), ("4, GPU-7f", ("4", "GPU-7f")), ("4,5,-1,6", ("4", "5"))]
)
def test_visible_gpus_are_named_as_another_process_needs_it(
    monkeypatch: pytest.MonkeyPatch, variable: str | None, found: tuple[str, ...]
) -> None:
    """PyTorch counts two: a name that is not there hides those after it."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    if variable is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
    assert visible_gpus() == found


def test_taking_a_seat_hides_the_other_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    Seat(1).take()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1,2,3"
    Seat(1, ("2", "3")).take()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "2,3"

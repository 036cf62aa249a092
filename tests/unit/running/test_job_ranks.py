"""From the end of a rank, as torch's launcher tells it, to the reason of the job."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import torch
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ErrorHandler, ProcessFailure

from benchmark.errors import MethodError
from benchmark.running.ranks import RankKilled, handlers_put_back, raise_failure
from benchmark.running.worker import failure


def ended(folder: Path, monkeypatch: pytest.MonkeyPatch, code: int, error: Exception | None) -> Exception:
    """What the job fails with where the second of four ranks ended so."""
    file = folder / "error.json"
    if error is not None:
        monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(file))
        ErrorHandler().record_exception(error)
    with pytest.raises((MemoryError, MethodError, torch.OutOfMemoryError)) as found:
        raise_failure(ChildFailedError("one_rank", {1: ProcessFailure(1, 4711, code, str(file))}), 4)
    return found.value


@pytest.mark.parametrize(
    ("code", "error", "kind", "status", "said"),
    [
        (-9, None, RankKilled, "out-of-memory", "rank 1 of 4 was killed (SIGKILL), as the system does when"),
        (-11, None, MethodError, "failed", "rank 1 of 4 died: signal SIGSEGV"),
        (1, MethodError("it diverged"), MethodError, "failed", "rank 1 of 4: MethodError: it diverged"),
        (1, ZeroDivisionError("by nothing"), MethodError, "failed", "rank 1 of 4: ZeroDivisionError: by nothing"),
        (1, torch.OutOfMemoryError("4 GiB"), torch.OutOfMemoryError, "out-of-memory", "rank 1 of 4: OutOfMemoryError"),
        (143, None, MethodError, "failed", "rank 1 of 4: it was told to end (SIGTERM); the training is stored"),
    ],
)
def test_the_job_fails_with_the_reason_of_its_rank(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    error: Exception | None,
    kind: type[Exception],
    status: str,
    said: str,
) -> None:
    found = ended(tmp_path, monkeypatch, code, error)
    assert type(found) is kind
    _, told, reason = failure(found)
    assert told == status and said in reason


def test_the_launchers_handlers_do_not_stay() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGHUP)
    with handlers_put_back():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGHUP)) == before

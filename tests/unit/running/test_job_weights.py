"""Files of a training that are damaged, missing or left over: it is done again or goes on, and never stumbles."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmark.methods.finetune import Finetune
from benchmark.methods.minegan import MineGAN
from said import Said

from benchmark.config import NetConfig, TrainConfig
from benchmark.domains import Domain
from benchmark.domains.cards import list_cards
from benchmark.errors import WeightsError
from benchmark.metrics import Evaluator
from benchmark.results import ResultStore
from benchmark.results.hashes import hash_file
from benchmark.results.verify import verify_results
from benchmark.running.plan import Job, make_job
from benchmark.running.resume import Progress
from benchmark.running.setup import Request, Run
from benchmark.running.weights import MOST_TICKS, seconds_at, stored_generator, thinned, trained
from benchmark.sources import SourceCard
from benchmark.stylegan2 import Nets
from benchmark.stylegan2.weights import digest_of, load_generator, read_tensors, write_tensors
from benchmark.suites import load_suite
from benchmark.system.signals import Stopped

NETS = NetConfig(resolution=16, z_dim=8, w_dim=8, mapping_layers=1, channel_base=64, channel_max=8)
TRAIN = TrainConfig(
    kimg=0.024, batch=4, tick_kimg=0.008, r1_every=3, precision="fp32", checkpoint_minutes=0, snapshot_kimg=(0.008,)
)


def images(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (8, 3, 16, 16), np.uint8)


DOMAIN = Domain("toy-rings", images(0), images(1), "digest", list_cards()["toy-rings"])
SUITE = load_suite("smoke")[0].model_copy(update={"train": TRAIN})
JOB: Job = make_job(SUITE, Finetune(), DOMAIN, 0, "sha")


def run_in(tmp_path: Path) -> Run:
    request = Request("smoke", (), {}, "cpu", tmp_path)
    card = SourceCard(title="t", licence="none")
    nets = Nets.create(NETS, seed=0).to("cpu")
    store, domains = ResultStore(tmp_path / "res"), {"toy-rings": DOMAIN}
    return Run(request, store, card, nets, domains, Evaluator((), tmp_path), "cpu")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return run_in(tmp_path)


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose training nothing disturbed. Do not write to its folder."""
    run = run_in(tmp_path_factory.mktemp("quiet"))
    trained(JOB, run)
    return run


@pytest.fixture
def finished(run: Run, quiet: Run) -> Run:
    """A run of its own that has the files of the quiet one."""
    shutil.copytree(quiet.store.out, run.store.out)
    return run


def paths(run: Run) -> tuple[Path, Path, Path]:
    """Final weights, snapshot, training state."""
    path = run.store.out / "checkpoints" / f"{JOB.train_key}.safetensors"
    return path, path.with_name(f"{path.stem}-0.008kimg.safetensors"), path.with_suffix(".progress")


def tensors(run: Run) -> list[torch.Tensor]:
    path, snapshot, _ = paths(run)
    return [*read_tensors(path)[0].values(), *load_generator(snapshot).state_dict().values()]


def interrupt(run: Run, monkeypatch: pytest.MonkeyPatch, step: int, job: Job = JOB) -> None:
    """End the training after a step, as SIGTERM does."""
    whole = Progress.on_step

    def on_step(self: Progress, state: object) -> None:
        self.told = lambda: 15 if state.step == step else None  # type: ignore[attr-defined]
        whole(self, state)  # type: ignore[arg-type]

    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(Progress, "on_step", on_step)
        trained(job, run)


@pytest.fixture(scope="module")
def expected(quiet: Run) -> list[torch.Tensor]:
    return tensors(quiet)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def fill(path: Path) -> None:
    path.write_text("hello")


@pytest.mark.parametrize("damage", [cut, fill, Path.unlink])
@pytest.mark.parametrize("which", [0, 1])
def test_damaged_weights_are_trained_again(
    finished: Run, expected: list[torch.Tensor], damage: Callable[[Path], None], which: int
) -> None:
    damage(paths(finished)[which])
    trained(JOB, finished)
    assert all(a.equal(b) for a, b in zip(tensors(finished), expected, strict=True))


@pytest.mark.parametrize(("which", "damage"), [(None, cut), (2, cut), (2, fill), (1, Path.unlink), (1, cut)])
def test_an_interrupted_training_goes_on_or_begins_anew_to_the_same_weights(
    run: Run,
    expected: list[torch.Tensor],
    monkeypatch: pytest.MonkeyPatch,
    which: int | None,
    damage: Callable[[Path], None],
) -> None:
    interrupt(run, monkeypatch, step=4)
    assert paths(run)[2].is_file() and not paths(run)[0].exists()
    if which is not None:
        damage(paths(run)[which])
    trained(JOB, run)
    assert all(a.equal(b) for a, b in zip(tensors(run), expected, strict=True))
    assert not paths(run)[2].exists()


def test_it_does_not_begin_anew_where_it_can_go_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt(run, monkeypatch, step=4)
    steps = counted_steps(monkeypatch)
    trained(JOB, run)
    assert steps == [5, 6]


def counted_steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The steps of all trainings from now on."""
    steps, whole = list[int](), Progress.on_step

    def on_step(self: Progress, state: object) -> None:
        steps.append(state.step)  # type: ignore[attr-defined]
        whole(self, state)  # type: ignore[arg-type]

    monkeypatch.setattr(Progress, "on_step", on_step)
    return steps


def test_what_a_killed_write_left_is_gone_afterwards(run: Run) -> None:
    folder = run.store.out / "checkpoints"
    folder.mkdir(parents=True)
    (folder / f".{JOB.train_key}.progress.{'0' * 32}.tmp").write_text("half")
    trained(JOB, run)
    paths(run)[2].write_text("of before the end")
    trained(JOB, run)
    assert {p.name for p in folder.iterdir()} == {p.name for p in paths(run)[:2]}


def flip(path: Path) -> None:
    """One bit of every tensor, as a worn disk does."""
    data = bytearray(path.read_bytes())
    begin = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:begin])
    for name, entry in header.items():
        if name != "__metadata__" and entry["data_offsets"][0] < entry["data_offsets"][1]:
            data[begin + entry["data_offsets"][0]] ^= 4
    path.write_bytes(data)


def foreign(**meta: object) -> Callable[[Path], None]:
    """A valid file of the suite that is something else."""

    def put(path: Path) -> None:
        write_tensors(path, {"x": torch.zeros(3)}, meta)

    return put


@pytest.mark.parametrize("hashes", [True, False], ids=["with hashes", "without"])
@pytest.mark.parametrize("damage", [flip, foreign(), foreign(train_key=JOB.train_key), foreign(architecture={})])
@pytest.mark.parametrize("which", [0, 1])
def test_changed_weights_are_noticed_when_they_are_used(
    finished: Run, expected: list[torch.Tensor], damage: Callable[[Path], None], which: int, hashes: bool
) -> None:
    damage(paths(finished)[which])
    if not hashes:  # those of earlier versions, or killed before they were written
        hash_file(finished.store.out, JOB.train_key).unlink()
    said = Said()
    trained(JOB, replace(finished, bars=said))
    assert all(a.equal(b) for a, b in zip(tensors(finished), expected, strict=True))
    aside = f"{paths(finished)[which].name}.unusable"
    assert [aside in line for line in said.lines if "is made again" in line] == [True]
    verified = verify_results(with_records(finished))
    assert (verified.bad, verified.gone, verified.unhashed) == ((), (), ())


@pytest.mark.parametrize(
    "damage",
    [
        *(flip, foreign(), foreign(key=JOB.train_key), foreign(key=JOB.train_key, images="x")),
        *(foreign(key=JOB.train_key, images=8), foreign(key="another", images=8), fill, cut),
    ],
)
def test_a_state_that_is_damaged_or_foreign_is_set_aside_and_the_training_begins_again(
    run: Run, expected: list[torch.Tensor], monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], None]
) -> None:
    interrupt(run, monkeypatch, step=4)
    damage(paths(run)[2])
    said = Said()
    trained(JOB, replace(run, bars=said))
    assert all(a.equal(b) for a, b in zip(tensors(run), expected, strict=True))
    assert sum("begins again" in line for line in said.lines) == 1
    assert paths(run)[2].with_name(f"{paths(run)[2].name}.unusable").is_file()


def test_what_is_set_aside_replaces_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    aside = [paths(run)[2].with_name(f"{paths(run)[2].name}{number}.unusable") for number in ("", ".2", ".3")]
    for n, file in enumerate(aside):
        interrupt(run, monkeypatch, step=4)
        paths(run)[2].write_text(f"hello {n}")
        interrupt(run, monkeypatch, step=2)
        assert file.read_text() == f"hello {n}"
    assert [file.read_text() for file in aside] == ["hello 0", "hello 1", "hello 2"]


def of_a_gpu(path: Path, told: bool) -> None:
    """Make of a state what a training on a GPU would have left; versions before did not tell the device."""
    tensors, meta = read_tensors(path)
    for name in ("noise", "augment", "method"):
        tensors[f"streams.{name}"] = torch.zeros(16, dtype=torch.uint8)
    device = {"device": "cuda"} if told else {}
    write_tensors(path, tensors, {k: v for k, v in meta.items() if k not in ("device", "schema")} | device)


@pytest.mark.parametrize("told", [True, False], ids=["told", "of an earlier version"])
def test_a_state_of_another_kind_of_device_is_refused_and_stays(
    run: Run, monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    interrupt(run, monkeypatch, step=4)
    state = paths(run)[2]
    of_a_gpu(state, told)
    before = state.read_bytes()
    with pytest.raises(WeightsError, match=r"left by a training on cuda.* \(--device cuda\), or remove the file"):
        trained(JOB, run)
    assert state.read_bytes() == before and [p.name for p in state.parent.iterdir() if "unusable" in p.name] == []


def with_snapshots(*kimg: float) -> Job:
    """The same training, of which other weights are asked for."""
    suite = SUITE.model_copy(update={"train": TRAIN.model_copy(update={"snapshot_kimg": kimg})})
    job = make_job(suite, Finetune(), DOMAIN, 0, "sha")
    assert job.train_key == JOB.train_key
    return job


def test_a_state_beyond_a_moment_that_was_not_kept_is_not_lost(
    run: Run, expected: list[torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(run, monkeypatch, step=4)
    state, said = paths(run)[2].read_bytes(), Said()
    trained(with_snapshots(0.004, 0.008), replace(run, bars=said))
    (line,) = [line for line in said.lines if "begins again" in line]
    assert "beyond 0.004 kimg" in line and "leave 0.004 out of train.snapshot_kimg" in line
    aside = paths(run)[2].with_name(f"{paths(run)[2].name}.unusable")
    assert aside.name in line and aside.read_bytes() == state
    assert all(a.equal(b) for a, b in zip(tensors(run), expected, strict=True))
    paths(run)[0].unlink()
    steps = counted_steps(monkeypatch)
    aside.replace(paths(run)[2])
    trained(JOB, run)
    assert steps == [5, 6], "as the line says, it can be gone on from"


def test_weights_of_a_moment_are_made_for_a_finished_training_and_all_others_stay(
    finished: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, other = with_snapshots(0.008, 0.012), run_in(tmp_path / "other")
    trained(job, other)
    kept = [*paths(finished)[:2], finished.store.out / "logs" / f"{JOB.train_key}.jsonl"]
    before = [(path.stat().st_mtime_ns, path.read_bytes()) for path in kept]
    with monkeypatch.context() as patch:
        interrupt(finished, patch, step=2, job=job)
    steps, said = counted_steps(monkeypatch), Said()
    found = trained(job, replace(finished, bars=said))
    assert steps == [3], "it goes on, and not beyond what is wanted"
    (line,) = [line for line in said.lines if "repeating" in line]
    assert "its weights at 0.012 kimg are not there" in line and "the finished weights stay" in line
    assert [(path.stat().st_mtime_ns, path.read_bytes()) for path in kept] == before
    made, whole = (load_generator(trained(job, r).snapshots[0.012]).state_dict() for r in (finished, other))
    assert digest_of(made) == digest_of(whole) and [*found.snapshots] == [0.008, 0.012]
    verified = verify_results(with_records(finished))
    assert (verified.bad, verified.gone, verified.unhashed) == ((), (), ()) and not paths(finished)[2].exists()
    trained(JOB, finished)
    assert steps == [3] and verify_results(finished.store.out).unhashed == ()


def test_many_ticks_fit_into_a_header_and_tell_the_same_seconds() -> None:
    ticks = [(8 * n, 0.5 + n % 7) for n in range(1, 123_457)]
    few = thinned(ticks)
    assert len(few) <= MOST_TICKS and thinned(ticks[:MOST_TICKS]) == ticks[:MOST_TICKS] and thinned([]) == []
    lengths = [images / 1000 for images, _ in few]
    assert seconds_at(few, lengths) == pytest.approx(seconds_at(ticks, lengths)) and lengths[-1] == ticks[-1][0] / 1000


def test_a_header_that_was_changed_is_noticed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt(run, monkeypatch, step=4)
    data = paths(run)[2].read_bytes()
    changed = data.replace(b"seconds", b"sechnds", 1)
    assert changed != data
    paths(run)[2].write_bytes(changed)
    said = Said()
    trained(JOB, replace(run, bars=said))
    assert sum("begins again" in line for line in said.lines) == 1


def test_weights_whose_hash_was_never_written_get_one(finished: Run) -> None:
    """Killed between the two."""
    hash_file(finished.store.out, JOB.train_key).unlink()
    before = paths(finished)[0].stat().st_mtime_ns
    trained(JOB, finished)
    assert paths(finished)[0].stat().st_mtime_ns == before
    assert verify_results(with_records(finished)).unhashed == ()


def test_a_kill_while_weights_are_made_again_leaves_no_old_hash(finished: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    paths(finished)[1].unlink()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("benchmark.running.weights.note_hashes", interrupted)
        trained(JOB, finished)
    assert verify_results(with_records(finished)).bad == ()
    trained(JOB, finished)
    verified = verify_results(finished.store.out)
    assert (verified.bad, verified.unhashed) == ((), ())


def interrupted(*arguments: object) -> None:
    raise KeyboardInterrupt


def with_records(run: Run) -> Path:
    run.store.ensure_writable()
    return run.store.out


def test_a_reader_judges_stored_weights_as_a_run_does(run: Run) -> None:
    final, snapshot, _ = paths(run)
    last = trained(JOB, run).last
    out = run.store.out
    assert digest_of(stored_generator(out, JOB.train_key, NETS).state_dict()) == digest_of(last.state_dict())
    assert stored_generator(out, JOB.train_key, NETS, 0.008).cfg == NETS
    with pytest.raises(WeightsError, match="belongs to something else"):
        stored_generator(out, JOB.train_key, NETS.model_copy(update={"channel_max": 4}))
    for file, at in ((final, None), (snapshot, 0.008)):
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 4
        file.write_bytes(data)
        with pytest.raises(WeightsError, match="is not what was stored"):
            stored_generator(out, JOB.train_key, NETS, at)
        file.unlink()
        with pytest.raises(WeightsError, match="is missing"):
            stored_generator(out, JOB.train_key, NETS, at)


def test_a_method_that_adds_a_miner_is_not_trained_twice(run: Run) -> None:
    job = make_job(SUITE, MineGAN(mine_steps=1), DOMAIN, 0, "sha")
    trained(job, run)
    path = run.store.out / "checkpoints" / f"{job.train_key}.safetensors"
    before = path.stat().st_mtime_ns
    trained(job, run)
    assert path.stat().st_mtime_ns == before and not list(path.parent.glob("*.unusable"))
    assert stored_generator(run.store.out, job.train_key, NETS).mapping.miner is not None

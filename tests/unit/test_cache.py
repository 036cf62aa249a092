"""Hashes of what is stored, leftovers, locks and the cache: each told, none destroyed by mistake."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmark.cache import cache_entries, cache_leftovers, kept_entries, prune
from benchmark.domains import load_domain
from benchmark.errors import DataError
from benchmark.metrics.networks.feature_cache import cache_file, store_features
from benchmark.results import ResultStore, RunRecord
from benchmark.results.hashes import hash_file, hash_lines, read_hashes
from benchmark.results.verify import Verified, tidy_results, verify_results
from benchmark.system.files import clear_old_temporaries, clear_temporaries, new_file, reserve
from benchmark.system.locks import alone
from benchmark.system.signals import Stopped, finishing_steps, stoppable

KEY, OTHER = "ab" * 16, "cd" * 16


def make(key: str = KEY) -> RunRecord:
    return RunRecord.model_validate(
        {
            **{"record_key": key, "train_key": "12" * 16, "status": "done", "suite": "s", "method": "m", "domain": "d"},
            **{"domain_digest": "ee", "source": "s", "source_sha256": "ff", "seed": 0, "grid": f"samples/{key}.png"},
        }
    )


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Two records with their pictures."""
    store = ResultStore(tmp_path / "res")
    store.ensure_writable()
    for number, key in enumerate((KEY, OTHER)):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(store.samples_path(key))
        store.write(make(key))
    return store.out


def flip(path: Path) -> None:
    """One bit."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


# What is stored


def test_a_folder_as_it_was_stored_is_good_wherever_it_lies(out: Path, tmp_path: Path) -> None:
    assert verify_results(out) == Verified(4, (), (), ())
    moved = out.rename(tmp_path / "elsewhere")
    assert verify_results(moved) == Verified(4, (), (), ())
    done = subprocess.run(["sha256sum", "--check", "--quiet", f"hashes/{KEY}.sha256"], cwd=moved)
    assert done.returncode == 0, "everybody's own tool reads the hashes"


@pytest.mark.parametrize("name", [f"records/{KEY}.json", f"samples/{KEY}.png"])
def test_one_bit_is_noticed(out: Path, name: str) -> None:
    flip(out / name)
    found = verify_results(out)
    assert found.good == 3 and any(line.startswith(f"{name}: is not what was stored") for line in found.bad)


def test_what_is_gone_or_was_never_hashed_is_named_and_no_error(out: Path) -> None:
    (out / "samples" / f"{KEY}.png").unlink()
    hash_file(out, OTHER).unlink()
    gone, unhashed = (f"samples/{KEY}.png",), (f"records/{OTHER}.json", f"samples/{OTHER}.png")
    assert verify_results(out) == Verified(1, (), gone, unhashed)


@pytest.mark.parametrize(
    "text",
    ["x", "ab  records/x.json\n", f"{'0' * 64}  ../secret.txt\n", f"{'0' * 64}  /etc/passwd\n", "\x00", "é"],
)
def test_damaged_hashes_and_those_that_lead_out_are_told(out: Path, text: str) -> None:
    hash_file(out, KEY).write_text(text)
    assert any("hashes/" in line for line in verify_results(out).bad)


NAMES, DIGESTS = (
    st.sampled_from(["records/x.json", "samples/x.png"]),
    st.text("0123456789abcdef", min_size=64, max_size=64),
)


@given(st.dictionaries(NAMES, DIGESTS), st.binary(max_size=80), st.integers(0, 200))
def test_what_was_stored_is_read_back_and_among_any_bytes_nothing_is_made_up(
    tmp_path_factory: pytest.TempPathFactory, stored: dict[str, str], noise: bytes, place: int
) -> None:
    file, whole = hash_file(tmp_path_factory.mktemp("out"), KEY), hash_lines(stored)
    file.parent.mkdir()
    file.write_bytes(whole)
    assert read_hashes(file) == stored
    file.write_bytes(data := whole[:place] + noise + whole[place:])
    found = read_hashes(file)
    assert found is None or set(hash_lines(found).splitlines()) == set(data.splitlines())


def test_a_link_in_place_of_a_picture_is_not_followed(out: Path, tmp_path: Path) -> None:
    picture = out / "samples" / f"{KEY}.png"
    picture.rename(tmp_path / "outside.png")
    picture.symlink_to(tmp_path / "outside.png")
    assert verify_results(out).gone == (f"samples/{KEY}.png",)


# What interrupted writes leave


def test_only_old_leftovers_of_ours_are_removed(tmp_path: Path) -> None:
    old, young = tmp_path / f".a.json.{'0' * 32}.tmp", tmp_path / f".b.json.{'1' * 32}.tmp"
    others = [tmp_path / ".mine.tmp", tmp_path / "a.tmp", tmp_path / f".{'0' * 32}.tmp.txt"]
    for path in (old, young, *others):
        path.write_text("half")
        os.utime(path, (0, 0))
    os.utime(young)
    assert clear_old_temporaries([tmp_path, tmp_path / "nowhere"]) == (1, [young])
    assert not old.exists() and all(path.exists() for path in (young, *others))


def test_a_lock_holder_clears_what_belongs_to_its_key(tmp_path: Path) -> None:
    mine, other = tmp_path / f".{KEY}.json.{'0' * 32}.tmp", tmp_path / f".{OTHER}.json.{'0' * 32}.tmp"
    for path in (mine, other):
        path.write_text("half")
    (tmp_path / f".drawing-{KEY}-x").mkdir()
    clear_temporaries(tmp_path, KEY)
    assert [*tmp_path.iterdir()] == [other]


def test_a_run_reports_leftovers_and_removes_old_ones(out: Path) -> None:
    store = ResultStore(out)
    assert tidy_results(out) is None
    for number in (0, 1):
        path = store.records / f".x.json.{number}{'0' * 31}.tmp"
        path.write_text("half")
        os.utime(path, (time.time() - number * 2 * 86400,) * 2)
    said = tidy_results(out) or ""
    assert said.startswith("1 leftovers of interrupted writes removed; 1 younger than a day ignored (.x.json.0")
    assert len(store.read_all()[0]) == 2


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), new_file(path) as temporary:
        temporary.write_text("half of the n")
        raise ZeroDivisionError
    assert path.read_text() == "old" and [*tmp_path.iterdir()] == [path]


def test_reserved_bytes_are_there_before_they_are_mapped(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(1 << 20)
    assert path.stat().st_blocks == 0
    reserve(path)
    assert path.stat().st_blocks * 512 >= 1 << 20


# Locks and signals


def test_a_place_without_locks_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot lock .*choose a folder"), alone(tmp_path / "file" / "x.lock"):
        pass


def test_a_lock_is_free_after_an_error_inside(tmp_path: Path) -> None:
    asked: list[int] = []
    with pytest.raises(ZeroDivisionError), alone(tmp_path / "l" / "x.lock"):
        raise ZeroDivisionError
    with alone(tmp_path / "l" / "x.lock", lambda: asked.append(1)):
        pass
    assert not asked


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_waits_for_the_end_of_a_step_and_a_second_one_does_not(number: int, code: int) -> None:
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)]
    with finishing_steps() as told:
        assert told() is None
        signal.raise_signal(number)
        assert told() == number
        with pytest.raises(Stopped) as stopped:
            signal.raise_signal(signal.SIGINT)  # a second SIGTERM may be an echo of the first (test_signals.py)
        assert stopped.value.code == code
    with stoppable(), pytest.raises(Stopped) as stopped:
        signal.raise_signal(number)
    assert stopped.value.code == code
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)] == before
    assert signal.alarm(0) == 0


def test_a_step_that_does_not_end_is_given_up() -> None:
    with finishing_steps(), pytest.raises(Stopped) as stopped:
        signal.raise_signal(signal.SIGTERM)
        assert 0 < signal.alarm(0) <= 20, "well before the 30 seconds of a pre-emption"
        signal.raise_signal(signal.SIGALRM)
    assert stopped.value.code == 143


# The cache


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A drawn domain and features."""
    folder = tmp_path / "cache"
    load_domain("toy-disks", 16, 6, 4, folder)
    features = np.ones((4, 3), np.float32)
    store_features(cache_file(folder / "features", "net", "d", (4, 3, 16, 16)), features)
    return folder


def kinds(cache: Path) -> dict[str, str | None]:
    return {entry.kind: entry.check() for entry in cache_entries(cache)}


def damaged(cache: Path, pattern: str) -> None:
    flip(next(cache.glob(pattern)))


def test_whole_entries_are_good_and_stay(cache: Path) -> None:
    assert kinds(cache) == {"domain": None, "features": None}
    assert prune(cache, None) == ([], 0) and prune(cache, 1) == ([], 0)
    assert all(entry.size > 0 and entry.idle_days < 1 for entry in cache_entries(cache))


@pytest.mark.parametrize(("pattern", "kind"), [("*.npy", "domain"), ("features/*.npz", "features")])
def test_damage_is_found_and_removed_and_made_again(cache: Path, pattern: str, kind: str) -> None:
    digest = load_domain("toy-disks", 16, 6, 4, cache).digest
    damaged(cache, pattern)
    assert [k for k, why in kinds(cache).items() if why] == [kind]
    removed, freed = prune(cache, None)
    assert len(removed) == 1 and removed[0].startswith(kind) and freed > 0
    assert kind not in kinds(cache)
    assert load_domain("toy-disks", 16, 6, 4, cache).digest == digest


def test_what_nobody_read_for_long_goes_when_asked_and_what_is_not_ours_stays(cache: Path) -> None:
    mine = [cache / "notes.json", cache / "features" / "notes.txt", cache / "weights" / "mine.bin"]
    for path in mine:
        path.parent.mkdir(exist_ok=True)
        path.write_text("{}")
    for path in cache.rglob("*"):
        os.utime(path, (time.time() - 40 * 86400,) * 2)
    assert prune(cache, 60) == ([], 0)
    assert len(prune(cache, 30)[0]) == 2 and kinds(cache) == {}
    assert all(path.exists() for path in mine)


def test_half_drawings_go_when_they_are_a_day_old(cache: Path) -> None:
    scratch = cache / ".drawing-toy-x"
    scratch.mkdir()
    (scratch / "all.npy").write_text("half")
    assert cache_leftovers(cache) == [scratch] and prune(cache, None) == ([], 0)
    os.utime(scratch, (0, 0))
    assert prune(cache, None)[0] == ["1 leftovers of interrupted writes"] and not scratch.exists()


@pytest.mark.parametrize("call", [lambda path: list(cache_entries(path)), cache_leftovers, lambda p: prune(p, 1)[0]])
def test_no_cache_is_an_empty_one(tmp_path: Path, call: Callable[[Path], list[object]]) -> None:
    assert call(tmp_path / "nowhere") == []


def test_fetched_sets_count_and_an_import_that_was_killed_is_a_leftover(tmp_path: Path) -> None:
    for name in ("targets/metfaces/raw/a.png", "sources/net/raw/net.pkl", "imported/.importing-x/new/weights"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(bytes(100))
    assert {(e.kind, e.name, e.size) for e in kept_entries(tmp_path)} == {
        ("target", "metfaces", 100),
        ("source files", "net", 100),
    }
    left = tmp_path / "imported" / ".importing-x"
    assert cache_leftovers(tmp_path) == [left] and prune(tmp_path, 0.0) == ([], 0)
    os.utime(left, (0, 0))
    assert prune(tmp_path, 0.0)[0] == ["1 leftovers of interrupted writes"] and not left.exists()
    assert len(list(kept_entries(tmp_path))) == 2, "what was fetched is never pruned"

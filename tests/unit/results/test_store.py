"""The store: what is written is what is read, and nothing that lies in the folder can break a reader."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from benchmark.errors import DataError, UnknownName
from benchmark.results import MetricValue, ResultStore, RunRecord, Timing
from benchmark.results.store import to_json
from benchmark.results.verify import verify_results

KEY, OTHER = "ab" * 16, "cd" * 16


def make(key: str = KEY, **changes: Any) -> RunRecord:
    values: dict[str, Any] = {
        "record_key": key,
        "train_key": "12" * 16,
        "status": "done",
        "suite": "smoke",
        "method": "m",
        "fields": {"weight": 0.05, "layers": (1, 2)},
        "domain": "d",
        "domain_digest": "ee",
        "source": "s",
        "source_sha256": "ff",
        "seed": 0,
        "control": 0.25,
        "control_name": "noise",
        "metrics": {
            "kid_x": MetricValue(value=0.5, n=10, std_error=0.1, interval=(0.4, 0.6), title="Ünïcode"),
            "fid": MetricValue(reason="no inception file"),
        },
        "timing": Timing(train_seconds=1.5, shipped_params=7, eval_seconds=2.5),
        "notes": ("adapted: random noise; source: anchor noise",),
        "grid": f"samples/{key}.png",
    }
    return RunRecord(**(values | changes))


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    return ResultStore(tmp_path / "run")


def test_round_trip_keeps_every_field(store: ResultStore) -> None:
    record = make()
    path = store.write(record)
    assert store.has(KEY) == record
    assert store.read_all() == ([record], [])
    plain = json.loads(path.read_text(encoding="utf-8"))
    assert plain["schema"] == 1 and "schema_version" not in plain
    assert plain["fields"] == {"weight": 0.05, "layers": [1, 2]}
    assert plain["timing"]["eval_seconds"] == 2.5 and plain["timing"]["peak_mem_mb"] is None
    assert list(plain["metrics"]) == ["kid_x", "fid"], "the order of metrics is the suite's and must survive"


def test_only_done_counts_as_finished(store: ResultStore) -> None:
    assert store.has(KEY) is None
    for status in ("failed", "skipped"):
        store.write(make(status=status, reason="loss is not finite", metrics={}))
        assert store.has(KEY) is None
    store.write(make())
    assert store.has(KEY) is not None


@pytest.mark.parametrize(
    "changes",
    [
        {"record_key": "../../etc/passwd"},
        {"record_key": "AB" * 16},
        {"record_key": KEY + "\n"},
        {"train_key": ""},
        {"status": "ok"},
        {"status": "failed"},  # without a reason
        {"grid": "/etc/passwd"},
        {"grid": "samples/../../x.png"},
        {"grid": "samples\\x.png"},
        {"grid": ""},
        {"fields": {"x": float("nan")}},
        {"settings": {"a": {"b": [float("inf")]}}},
        {"environment": {"x": object()}},
        {"control": float("nan")},
        {"unknown": 1},
    ],
)
def test_refuses_what_must_not_be_stored(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        make(**changes)


@pytest.mark.parametrize(
    "values",
    [{"value": float("nan"), "n": 1}, {"value": None}, {"value": 1.0, "interval": (2.0, 1.0)}, {"value": 1.0, "n": -1}],
)
def test_refuses_a_metric_that_says_nothing(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        MetricValue(**values)


def test_undecodable_bytes_in_a_reason_do_not_cost_the_record(store: ResultStore) -> None:
    reason = "cannot read " + os.fsdecode(b"caf\xe9.png")
    store.write(make(status="failed", reason=reason))
    records, problems = store.read_all()
    assert problems == [] and (records[0].reason or "").startswith("cannot read caf")


def test_undecodable_bytes_anywhere_in_settings_do_not_cost_it_either(store: ResultStore) -> None:
    text = os.fsdecode(b"caf\xe9")
    for name in ("fields", "environment", "settings", "architecture"):
        store.write(make(**{name: {text: [text, {"deep": text}], "plain": 1}}))
        (record,), problems = store.read_all()
        assert problems == [] and getattr(record, name) == {"caf?": ["caf?", {"deep": "caf?"}], "plain": 1}


def hostile(store: ResultStore) -> dict[str, bytes]:
    good = to_json(make(OTHER))
    plain = json.loads(good)
    return {
        f"{'01' * 16}.json": good[: len(good) // 2],
        f"{'02' * 16}.json": b"",
        f"{'03' * 16}.json": b"[" * 100_000,
        f"{'04' * 16}.json": b"\xff\xfe\x00",
        f"{'05' * 16}.json": json.dumps(plain | {"record_key": "05" * 16, "seed": "zero"}).encode(),
        f"{'06' * 16}.json": json.dumps(plain | {"record_key": "06" * 16, "metrics": [1]}).encode(),
        f"{'07' * 16}.json": good,  # named otherwise than its key
        f"{'08' * 16}.json": good.replace(b'"weight": 0.05', b'"weight": NaN').replace(b"cd" * 16, b"08" * 16),
        f"{'09' * 16}.json": good.replace(b'"seed": 0', b'"seed": 1e999').replace(b"cd" * 16, b"09" * 16),
        f"{'0a' * 16}.json": b" " * (5 * 2**20),
        f"{'0b' * 16}.json": json.dumps(plain | {"schema": 2, "new": 1}).encode(),
        "notes.txt": b"hello",
        "x y\n<script>.json": good,
        f".{'0c' * 16}.json.123.tmp": good,
    }


def test_hostile_contents_are_reported_and_the_rest_is_read(store: ResultStore, tmp_path: Path) -> None:
    good = make()
    store.write(good)
    bad = hostile(store)
    for name, data in bad.items():
        (store.records / name).write_bytes(data)
    (store.records / f"{'0d' * 16}.json").mkdir()
    os.mkfifo(store.records / f"{'0e' * 16}.json")
    outside = tmp_path / "outside.json"
    outside.write_bytes(to_json(make("0f" * 16)))
    (store.records / f"{'0f' * 16}.json").symlink_to(outside)

    records, problems = store.read_all()
    assert records == [good]
    assert len(problems) == len(bad) + 3
    assert all("\n" not in line and len(line) < 300 for line in problems)
    assert sum("schema 2" in line and "upgrade" in line for line in problems) == 1
    for number in range(1, 11):
        assert store.has(f"{number:02x}" * 16) is None


RECORD = to_json(make(OTHER))


@settings(max_examples=150, deadline=None)
@given(st.floats(0, 1), st.binary(max_size=10), st.booleans())
def test_a_wounded_record_is_read_or_reported(
    tmp_path_factory: pytest.TempPathFactory, share: float, other: bytes, cut: bool
) -> None:
    """Other bytes somewhere, or cut there: a valid record or one line, and `has` agrees."""
    store = ResultStore(tmp_path_factory.getbasetemp() / "wounded")
    store.records.mkdir(parents=True, exist_ok=True)
    at = int(share * len(RECORD))
    store.record_path(OTHER).write_bytes(RECORD[:at] + other + (b"" if cut else RECORD[at + len(other) :]))
    records, problems = store.read_all()
    assert len(records) + len(problems) == 1
    assert all("\n" not in line and len(line) < 400 for line in problems)
    if not any("upgrade" in line for line in problems):
        assert store.has(OTHER) == (records[0] if records and records[0].status == "done" else None)


def test_a_newer_record_is_never_run_over(store: ResultStore) -> None:
    path = store.write(make())
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 2}))
    with pytest.raises(DataError, match="schema 2, this version reads 1"):
        store.has(KEY)


def test_order_does_not_depend_on_how_files_were_written(tmp_path: Path) -> None:
    records = [
        make(f"{i:02x}" * 16, method=m, seed=s, control=c, is_default_control=c == 0.5, zero_step=m == "source")
        for i, (m, s, c) in enumerate(
            [("b", 0, 10.0), ("b", 0, 9.0), ("b", 0, 0.5), ("a", 1, None), ("source", 0, None)]
        )
    ]
    orders = []
    for name, batch in (("x", records), ("y", records[::-1])):
        store = ResultStore(tmp_path / name)
        for record in batch:
            store.write(record)
        orders.append([(r.method, r.control) for r in store.read_all()[0]])
    assert orders[0] == orders[1] == [("source", None), ("a", None), ("b", 0.5), ("b", 9.0), ("b", 10.0)]


@pytest.mark.parametrize("call", ["pathlib.Path.replace", "os.fsync"])
def test_an_interrupted_write_leaves_the_old_record(
    store: ResultStore, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    old = make()
    store.write(old)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(call, fail)
    with pytest.raises(DataError, match="No space left on device") as error:
        store.write(make(seed=9))
    monkeypatch.undo()
    assert "\n" not in str(error.value)
    assert store.read_all() == ([old], []), "no torn record, no temporary file left behind"


def test_folders_that_cannot_be_used_give_one_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for action in (ResultStore(file).ensure_writable, lambda: ResultStore(file).write(make())):
        with pytest.raises(DataError, match="cannot write"):
            action()
    with pytest.raises(DataError, match="no results in"):
        ResultStore(tmp_path / "nowhere").read_all()
    store = ResultStore(tmp_path / "new")
    store.ensure_writable()
    assert store.read_all() == ([], []) and list(store.samples.iterdir()) == []


@pytest.mark.parametrize("key", ["../x", "", "ab" * 15 + "/x", "AB" * 16, KEY + "\n"])
def test_keys_cannot_climb_out(store: ResultStore, key: str) -> None:
    for use in (store.has, store.record_path, store.samples_path):
        with pytest.raises(DataError, match="hexadecimal"):
            use(key)


def test_find_by_beginning(store: ResultStore) -> None:
    for key in (KEY, "abcd" * 8):
        store.write(make(key))
    assert store.find("abc").record_key == "abcd" * 8
    with pytest.raises(DataError, match="not unique"):
        store.find("ab")
    for unknown in ("ff", ""):
        with pytest.raises(UnknownName):
            store.find(unknown)


@pytest.mark.parametrize("moment", range(5))
@pytest.mark.parametrize("before", ["nothing", "failed", "done"])
def test_a_kill_at_any_moment_of_a_write_leaves_nothing_that_looks_damaged(
    store: ResultStore, monkeypatch: pytest.MonkeyPatch, before: str, moment: int
) -> None:
    """Also where a failed job is done again; the next run completes what is missing."""
    store.ensure_writable()
    if before != "nothing":
        store.write(make(status=before, reason="it took too long", seed=1))
    calls = 0

    def kill(real: Any) -> Any:
        def maybe(*arguments: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > moment:
                raise KeyboardInterrupt
            return real(*arguments, **options)

        return maybe

    with monkeypatch.context() as patch:
        for call in ("replace", "unlink"):
            patch.setattr(f"pathlib.Path.{call}", kill(getattr(Path, call)))
        with contextlib.suppress(KeyboardInterrupt):
            store.write(make())
    assert not [line for line in verify_results(store.out).bad if "interrupted write" not in line]
    record = store.has(KEY)
    if record is None:
        store.write(make())
    else:
        store.note_hashes(record)
    found = verify_results(store.out)
    assert store.has(KEY) and found.unhashed == () and f"records/{KEY}.json" not in found.gone


def test_a_record_that_was_changed_is_made_again(store: ResultStore) -> None:
    path = store.write(make())
    assert store.has(KEY) and not store.changed(KEY)
    path.write_text(path.read_text().replace('"value": 0.5', '"value": 0.4'))
    assert store.read(KEY) is None and "is not what was stored" in store.read_all()[1][0]
    assert store.changed(KEY) and store.has(KEY) is None

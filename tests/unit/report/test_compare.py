"""Two folders side by side: what is subtracted, what is not and why, and that nothing of it is left unsaid."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmark.errors import ConfigError, DataError, UnknownName
from benchmark.report.compare import Comparison, compare, to_csv, write_comparison
from benchmark.report.matching import Entry
from benchmark.results import Doctor, MetricValue, ResultStore, RunRecord, Timing

ROOT = Path(__file__).parents[3]
SETTINGS = {"resolution": 16, "train": {"kimg": 4.0, "batch": 16}, "eval": {"samples": 1000}}
BASE = [0.010, 0.014, 0.012, 0.011, 0.016, 0.013, 0.018]


def make(method: str, seed: int, value: float | None, run: int = 0, **changes: Any) -> RunRecord:
    """A record; `run` tells apart the keys of two folders."""
    key = hashlib.sha256(repr((method, seed, changes.get("control"), run)).encode()).hexdigest()
    metric = MetricValue(value=value, n=1000, reason=None if value is not None else "no weights")
    values: dict[str, Any] = {
        "record_key": key,
        "train_key": key,
        "status": "done",
        "suite": "smoke",
        "method": method,
        "domain": "d",
        "domain_digest": "ab" * 32,
        "source": "src",
        "source_sha256": "cd" * 32,
        "seed": seed,
        "settings": SETTINGS,
        "environment": {"device": "cpu", "threads": 2},
        "metrics": {"kid_net": metric},
        "timing": Timing(ms_per_image=2.0 + seed / 8, trainable_params=7),
    }
    return RunRecord(**(values | changes))


def folder(path: Path, records: Sequence[RunRecord]) -> Path:
    for record in records:
        ResultStore(path).write(record)
    return path


def compared(tmp_path: Path, a: Sequence[RunRecord], b: Sequence[RunRecord], *metrics: str) -> Comparison:
    return compare(folder(tmp_path / "a", a), folder(tmp_path / "b", b), metrics or ("kid_net",))


def only(found: Comparison) -> Entry:
    (entry,) = found.entries
    return entry


def test_difference_interval_and_p_by_hand(tmp_path: Path) -> None:
    a = [make("m", s, v) for s, v in enumerate(BASE)]
    b = [make("m", s, v - 0.004 + 0.001 * (s % 2), run=1) for s, v in enumerate(BASE)]
    entry = only(compared(tmp_path, a, b))
    assert entry.status == "compared" and entry.seeds == 7
    assert entry.difference == pytest.approx((-0.004 * 7 + 0.001 * 3) / 7)
    assert entry.interval is not None and -0.004 <= entry.interval[0] < entry.difference < entry.interval[1] <= -0.003
    assert entry.p_value == entry.holm_p == 2 / 2**7
    assert entry.keys_a == tuple(r.record_key for r in a) and entry.keys_b == tuple(r.record_key for r in b)
    swapped = only(compare(tmp_path / "b", tmp_path / "a", ["kid_net"]))
    assert swapped.difference == -entry.difference and swapped.p_value == entry.p_value
    assert swapped.interval == (-entry.interval[1], -entry.interval[0])


def test_p_is_corrected_over_all_tests_of_a_metric_and_marked_by_that(tmp_path: Path) -> None:
    a = [make(m, s, v) for m in "xyz" for s, v in enumerate(BASE)]
    b = [make(m, s, v - (0.004 if m == "x" else 0.002 * (-1) ** s), run=1) for m in "xyz" for s, v in enumerate(BASE)]
    found = compared(tmp_path, a, b)
    by_label = {e.label: e for e in found.entries}
    assert by_label["x"].holm_p == 3 * 2 / 2**7 and by_label["y"].holm_p == 1
    (table,) = found.tables
    marked = {row.label: row.cells[3].best for row in table.rows}
    assert marked == {"x": True, "y": False, "z": False}
    assert table.rows[0].cells[3].text == "-0.004000" and table.columns[3].detail == "↓"


def test_three_seeds_cannot_reach_significance_and_that_is_said(tmp_path: Path) -> None:
    a, b = ([make("m", s, 0.01 + s / 100 - run / 200, run) for s in range(3)] for run in (0, 1))
    found = compared(tmp_path, a, b)
    assert only(found).p_value == 0.25
    assert "With 3 seeds and 1 tests, none can reach 0.05." in found.tables[0].caption
    assert any("about 76 % with 3 seeds" in line for line in found.tables[0].caption), "what its interval covers"


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        ({"settings": {**SETTINGS, "eval": {"samples": 500}}}, "eval.samples is 1000 in A and 500 in B"),
        ({"settings": {**SETTINGS, "train": {"kimg": 8, "batch": 16}}}, "train.kimg is 4 in A and 8 in B"),
        ({"settings": {**SETTINGS, "protocol": 2}}, "protocol is 1 in A and 2 in B"),
        (
            {"settings": {**SETTINGS, "metric_versions": {"kid_net": "2"}}},
            "metric_versions.kid_net is 1 in A and 2 in B",
        ),
        ({"domain_digest": "00" * 32}, "digest of the domain is abababababab in A and 000000000000 in B"),
        ({"source_sha256": "00" * 32}, "sha256 of the source is cdcdcdcdcdcd in A and 000000000000 in B"),
        ({"metrics": {"kid_net": MetricValue(value=0.1, n=999)}}, "N of kid_net is 1000 in A and 999 in B"),
        (
            {"metrics": {"kid_net": MetricValue(value=0.1, n=1000, title="KID, net 2")}},
            "title of kid_net is KID, net 1 in A and KID, net 2 in B",
        ),
        (
            {"settings": {**SETTINGS, "eval": {"samples": 1000, "snapshot": "legacy_best_on_test"}}},
            "eval.snapshot is last in A and legacy_best_on_test in B",  # A is older than the setting
        ),
    ],
)
def test_what_is_unlike_is_named_and_not_subtracted(tmp_path: Path, odd: dict[str, Any], said: str) -> None:
    settings = SETTINGS | {"protocol": 1, "metric_versions": {"kid_net": "1"}}
    metrics = {"kid_net": MetricValue(value=0.2, n=1000, title="KID, net 1")}
    found = compared(tmp_path, [make("m", 0, 0, settings=settings, metrics=metrics)], [make("m", 0, 0.1, 1, **odd)])
    entry = only(found)
    assert (entry.status, entry.why, entry.difference) == ("not compared", said, None) and not found.tables
    assert f"not compared: {said}: m [smoke, src] on d: kid_net" in found.lines


def test_what_changes_no_number_keeps_nothing_apart(tmp_path: Path) -> None:
    train = {"kimg": 4.0, "batch": 16, "tick_kimg": 9, "snapshot_kimg": [1]}
    measured = {"samples": 1000, "snapshot": "last", "metrics": ["kid_net", "fid"], "curve_metrics": ["kid_net"]}
    more = {**SETTINGS, "train": train, "eval": measured, "metric_versions": {"fid": "1"}}
    less = {**SETTINGS, "metric_versions": {"fid": "2"}}
    entry = only(compared(tmp_path, [make("m", 0, 0.1, settings=less)], [make("m", 0, 0.2, 1, settings=more)]))
    assert entry.status == "compared" and entry.difference == pytest.approx(0.1)


def test_times_are_compared_on_one_device_only_and_parameters_everywhere(tmp_path: Path) -> None:
    names = ("ms_per_image", "trainable_params")
    faster = {"timing": Timing(ms_per_image=1.0, trainable_params=9), "environment": {"device": "H100", "threads": 2}}
    found = compared(tmp_path, [make("m", 0, 0.1)], [make("m", 0, 0.1, 1, **faster)], *names)
    times, params = found.entries
    assert (times.status, times.why) == ("not compared", "device is cpu, 2 threads in A and H100, 2 threads in B")
    assert params.status == "compared" and params.difference == 2
    assert "environment: device is cpu in A and H100 in B" in found.lines
    alike = compare(tmp_path / "a", folder(tmp_path / "c", [make("m", 0, 0.1, 2, timing=faster["timing"])]), names)
    assert alike.entries[0].difference == -1


def test_cells_of_one_folder_are_listed_with_the_reason(tmp_path: Path) -> None:
    a = [make("m", 0, 0.1), make("gone", 0, 0.1), make("died", 0, 0.1), make("blind", 0, 0.1)]
    b = [make("m", 0, 0.1, 1), make("new", 0, 0.1, 1), make("blind", 0, None, 1)]
    b.append(make("died", 0, None, 1, status="failed", reason="out of\nmemory", metrics={}))
    found = compared(tmp_path, a, b)
    assert {e.label: e.status for e in found.entries} == {
        "m": "compared",
        "gone": "only in A",
        "died": "only in A",
        "blind": "only in A",
        "new": "only in B",
    }
    assert found.lines == (
        "only in A: gone [smoke, src] on d: kid_net",
        "only in A (failed in B: out of memory): died [smoke, src] on d: kid_net",
        "only in A (no value in B: no weights): blind [smoke, src] on d: kid_net",
        "only in B: new [smoke, src] on d: kid_net",
    )


def test_variants_of_a_method_meet_only_themselves(tmp_path: Path) -> None:
    def at(weight: float, control: float, run: int) -> RunRecord:
        return make("fix", 0, weight + control, run, fields={"weight": weight}, control=control, control_name="alpha")

    a = [at(0.1, 0.0, 0), at(0.1, 1.0, 0).model_copy(update={"is_default_control": False})]
    found = compared(tmp_path, a, [at(0.1, 0.0, 1), at(0.2, 1.0, 1)])
    assert [(e.label, e.status) for e in found.entries] == [
        ("fix [weight=0.1] (alpha=0)", "compared"),
        ("fix [weight=0.1] (alpha=1)", "only in A"),
        ("fix [weight=0.2] (alpha=1)", "only in B"),
    ]


def test_the_same_record_is_no_second_measurement(tmp_path: Path) -> None:
    records = [make("m", s, v) for s, v in enumerate(BASE)]
    entry = only(compared(tmp_path, records, records))
    assert (entry.difference, entry.p_value, entry.interval, entry.remarks) == (0, None, None, ("the same records",))
    again = [r if r.seed else make("m", 0, 0.011) for r in records]
    odd = only(compare(tmp_path / "a", folder(tmp_path / "c", again), ["kid_net"]))
    assert odd.remarks == (
        "same key but another value at seed 0: the same job, run twice on the same machine with the same code",
    )
    assert odd.difference == pytest.approx(0.001 / 7)


def test_another_value_of_one_key_is_told_by_machine_and_by_code(tmp_path: Path) -> None:
    def said(name: str, **environment: str) -> tuple[str, ...]:
        theirs = make("m", 0, 0.5, environment={"device": "cpu", "threads": 2, "commit": "aa"} | environment)
        ours = make("m", 0, 0.1, environment={"device": "cpu", "threads": 2, "commit": "aa"})
        return only(compared(tmp_path / name, [ours], [theirs])).remarks

    assert "another machine (device cpu and Xeon)" in said("machine", device="Xeon")[0]
    assert "another code (commit aa and bb)" in said("code", commit="bb")[0]
    assert "machine" in (both := said("both", device="Xeon", commit="bb")[0]) and "code" in both


def test_suites_of_other_names_meet_where_seeds_mean_the_same(tmp_path: Path) -> None:
    def of(suite: str, run: int, protocol: int) -> RunRecord:
        return make("m", 0, 0.1 + run, run, suite=suite, settings={**SETTINGS, "protocol": protocol})

    entry = only(compared(tmp_path / "new", [of("mine", 0, 2)], [of("theirs", 1, 2)]))
    assert (entry.status, entry.suite, entry.difference) == ("compared", "mine | theirs", 1)
    old = compared(tmp_path / "old", [of("mine", 0, 1)], [of("theirs", 1, 1)])
    assert {e.status for e in old.entries} == {"only in A", "only in B"}, "their latents differ"


def test_only_shared_seeds_are_paired(tmp_path: Path) -> None:
    a, b = [make("m", s, 0.1 * s) for s in (0, 1, 2)], [make("m", s, 0.1 * s + 1, 1) for s in (1, 2, 3)]
    entry = only(compared(tmp_path, a, b))
    assert entry.seeds == 2 and entry.difference == pytest.approx(1) and entry.p_value == 0.5
    assert entry.remarks == ("seed 0 is in A only and left out", "seed 3 is in B only and left out")
    apart = only(compare(tmp_path / "a", folder(tmp_path / "c", [make("m", 9, 0.5, 1)]), ["kid_net"]))
    assert (apart.seeds, apart.p_value, apart.interval) == (0, None, None)
    assert apart.difference == pytest.approx(0.5 - 0.1) and "no seed in common (A: 0, 1, 2; B: 9)" in apart.remarks[0]


def test_a_failed_doctor_and_notes_are_passed_on(tmp_path: Path) -> None:
    metrics = {"kid_net": MetricValue(value=0.1, n=1000, note="two clusters are empty")}
    sick = make("m", 0, 0.1, 1, doctor=Doctor(passed=False, failed=("wrong hash",)), metrics=metrics)
    found = compared(tmp_path, [make("m", 0, 0.1)], [sick])
    assert found.tables[0].footnotes == (
        "B was measured although the doctor failed: wrong hash",
        "B: two clusters are empty",
    )
    assert found.tables[0].rows[0].notes == (1, 2)


def test_refusals(tmp_path: Path) -> None:
    good = folder(tmp_path / "good", [make("m", 0, 0.1)])
    with pytest.raises(DataError, match="no results in"):
        compare(good, tmp_path / "absent")
    with pytest.raises(UnknownName, match="kid_net"):
        compare(good, good, ["kid_nt"])
    mixed = [make("m", 0, 0.1), make("n", 0, 0.1, settings={**SETTINGS, "eval": {"samples": 5}})]
    with pytest.raises(ConfigError, match=r"bad cannot be compared with anything: .*eval\.samples"):
        compare(good, folder(tmp_path / "bad", mixed))
    with pytest.raises(ConfigError, match=r"\*\.md or \*\.csv"):
        write_comparison(compare(good, good), tmp_path / "x.html")


def test_files_repeat_byte_by_byte_in_another_process_without_torch(tmp_path: Path) -> None:
    hostile = "a|b_<script>"
    a, b = ([make(hostile, s, v + run / 500, run) for s, v in enumerate(BASE)] for run in (0, 1))
    found = compared(tmp_path, a, [*b, make("new", 0, 0.5, 1)], "kid_net", "ms_per_image")
    for name in ("x.md", "x.csv"):
        write_comparison(found, tmp_path / name)
    code = (
        "import sys; from pathlib import Path; from benchmark.report.compare import compare, write_comparison\n"
        f"t = Path({str(tmp_path)!r}); found = compare(t / 'a', t / 'b', ['kid_net', 'ms_per_image'])\n"
        "[write_comparison(found, t / name) for name in ('y.md', 'y.csv')]\n"
        "assert not {'torch', 'torchvision'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": "5"})
    for kind in ("md", "csv"):
        assert (tmp_path / f"x.{kind}").read_bytes() == (tmp_path / f"y.{kind}").read_bytes()
    text = (tmp_path / "x.md").read_text()
    assert r"| a\|b\_&lt;script&gt; |" in text and "- only in B: new" in text and "<script" not in text
    rows = list(csv.DictReader(io.StringIO(to_csv(found))))
    assert [r["status"] for r in rows] == ["compared", "only in B"] * 2
    assert float(rows[0]["difference"]) == pytest.approx(0.002), "unscaled"
    assert rows[0]["records_a"].split() == [r.record_key for r in a]


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "benchmark", "compare", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, cwd=ROOT, env=os.environ | {"COLUMNS": "200"})


def test_the_command_prints_and_writes_and_refuses_in_one_line(tmp_path: Path) -> None:
    a, b = (folder(tmp_path / str(run), [make("[red]m[/red]", 0, 0.01 + run / 100, run)]) for run in (0, 1))
    done = command(a, b, "--metric", "kid_net", "--out", tmp_path / "x.md")
    assert done.returncode == 0 and "[red]m[/red]" in done.stdout and "+0.0100" in done.stdout
    assert "+0.0100" in (tmp_path / "x.md").read_text()
    refused = command(a, tmp_path / "absent")
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1 and "no results in" in refused.stderr

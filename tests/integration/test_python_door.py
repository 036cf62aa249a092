"""`import benchmark` as a stranger uses it: run, look at the numbers, read them again."""

from __future__ import annotations

import warnings
from importlib.resources import files
from pathlib import Path

import pandas as pd
import pytest

import benchmark
import benchmark.running.suite  # no module of the engine takes the place of a function
from benchmark.errors import ConfigError

TOY = {"train.kimg": 0.016, "eval.samples": 8, "eval.pairs": 4, "eval.metrics": ["kid_randconv", "fd_randconv"]}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> benchmark.Results:
    folder = tmp_path_factory.mktemp("door") / "res"
    wanted = {"suite": "smoke", "settings": TOY, "out": folder, "cache": cache, "quiet": True}
    return benchmark.run(["finetune", "layer_swap"], ["toy-rings"], seeds=[3], **wanted)


def test_a_run_gives_its_records_in_the_order_of_the_jobs(results: benchmark.Results) -> None:
    assert [r.method for r in results.records] == ["source", "finetune"] + ["layer_swap"] * (len(results.records) - 2)
    assert {(r.domain, r.seed, r.status) for r in results.records} == {("toy-rings", 3, "done")}
    assert results.failed == () and (results.out / "tables.csv").is_file()


def test_the_table_is_that_of_the_folder_and_of_tables_csv(results: benchmark.Results) -> None:
    table, read = results.frame(), benchmark.load_results(results.out)
    pd.testing.assert_frame_equal(table.sort_values(["record_key", "metric"]).reset_index(drop=True),
                                  read.sort_values(["record_key", "metric"]).reset_index(drop=True))  # fmt: skip
    assert list(read.columns) == list(pd.read_csv(results.out / "tables.csv").columns)
    assert len(read) == 2 * len(results.records)
    assert read.groupby("metric").value.mean().notna().all() and read.value.dtype == float


def test_the_same_call_goes_on_where_it_stopped(results: benchmark.Results, cache: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (results.out / "records").iterdir()}
    texts = [f"{name}={value}" for name, value in TOY.items()]
    again = benchmark.run(
        ["finetune"], ["toy-rings"], seeds=[3], suite="smoke", settings=texts, out=results.out, cache=cache, quiet=True
    )
    assert [r.record_key for r in again.records] == [r.record_key for r in results.records[:2]]
    assert {path: path.stat().st_mtime_ns for path in (results.out / "records").iterdir()} == before


def test_mistakes_are_errors_of_the_package(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(benchmark.BenchmarkError, match="did you mean finetune"):
        benchmark.run(["finetun"], suite="smoke", out=tmp_path, cache=cache)
    with pytest.raises(benchmark.BenchmarkError, match="name a run's folder"):
        benchmark.load_results(tmp_path)


@pytest.mark.parametrize("more", [{"threads": 0}, {"threads": True}, {"jobs": -1}, {"jobs": 1.5}])
def test_numbers_that_the_command_line_refuses_are_refused(more: dict, tmp_path: Path, cache: Path) -> None:
    (name,) = more
    with pytest.raises(ConfigError, match=f"{name}=.*: give a whole number"):
        benchmark.run(["finetune"], suite="smoke", out=tmp_path / "res", cache=cache, **more)
    if name == "threads":
        with pytest.raises(ConfigError, match=r"threads=.*: give a whole number"):
            benchmark.evaluate(tmp_path, "smoke", "toy-rings", out=tmp_path / "res", cache=cache, **more)
    assert not (tmp_path / "res").exists()


def test_what_is_no_record_is_left_out_with_a_warning(results: benchmark.Results, tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "notes.txt").write_text("mine")
    with pytest.warns(UserWarning, match="notes.txt: not a record's name"):
        assert benchmark.load_results(tmp_path).empty
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        benchmark.load_results(results.out)


def test_names() -> None:
    assert {"finetune", "fixnoise", "freezed"} <= set(benchmark.list_methods())
    assert "toy-rings" in benchmark.list_domains() and {"smoke", "avatars"} <= set(benchmark.list_suites())


def test_the_door_has_few_names_and_says_what_each_is() -> None:
    assert len(benchmark.__all__) <= 12 and callable(benchmark.run)
    for name in benchmark.__all__:
        assert getattr(benchmark, name).__doc__
    assert benchmark.__version__[0].isdigit()
    assert (files("benchmark") / "py.typed").is_file()
    with pytest.raises(AttributeError, match="no attribute 'runn'"):
        benchmark.runn  # noqa: B018

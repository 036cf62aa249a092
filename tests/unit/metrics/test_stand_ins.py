"""Files that stand in for published weights are used only when asked for, and never under a published name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from metric_pictures import pictures

from benchmark.errors import WeightsError
from benchmark.metrics import Evaluator, Samples, list_metrics
from benchmark.metrics.doctor import examine, verdict
from benchmark.metrics.networks.weight_files import WEIGHT_FILES, locate, stood_in
from benchmark.report.cautions import cautions
from benchmark.running.setup import with_stand_ins
from benchmark.suites import load_suite

NAMES = ["consistency_st_lpips_alex", "intra_st_lpips_alex"]
STAND_INS = [f"standin_{name}" for name in NAMES]
FILE = WEIGHT_FILES["st_lpips_alex"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network that comes as a package, with other weights: all twice as large in the last stage."""
    found = locate(FILE, {}, Path("none")).path
    assert found is not None
    state = torch.load(found, map_location="cpu", weights_only=True)
    state["lin4.model.1.weight"] *= 2
    folder = tmp_path_factory.mktemp("stand-ins")
    torch.save(state, folder / FILE.filename)
    return folder


def samples() -> Samples:
    fakes, sources = pictures(6, 32, seed=0), pictures(6, 32, seed=1)
    return Samples(fakes=fakes, sources=sources, anchored=fakes)


def scores(names: list[str], cache: Path, stand_ins: Path | None) -> dict[str, float | None]:
    made = Evaluator(names, cache, stand_ins=stand_ins)
    found = made(samples(), pictures(4, 32, seed=2), "digest", training=pictures(4, 32, seed=3)).scores
    return {name: score.value for name, score in found.items()}


def test_the_published_name_keeps_the_published_file(folder: Path, tmp_path: Path) -> None:
    """Also beside the stand-in, in one evaluator."""
    both = scores(NAMES + STAND_INS, tmp_path, folder)
    assert {name: both[name] for name in NAMES} == scores(NAMES, tmp_path, None)
    assert all(both[f"standin_{name}"] != both[name] for name in NAMES)
    assert all(np.isfinite(value) for value in both.values() if value is not None) and None not in both.values()


def test_without_the_folder_a_stand_in_has_no_number(tmp_path: Path) -> None:
    made = Evaluator(STAND_INS, tmp_path)
    assert "--stand-in-weights" in made.missing["standin_st_lpips_alex"]
    assert set(scores(STAND_INS, tmp_path, None).values()) == {None}


def test_a_stand_in_is_never_found_by_itself(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCHMARK_STANDIN_WEIGHTS", str(folder))
    monkeypatch.setenv("BENCHMARK_WEIGHTS_DIR", str(folder))
    assert scores(NAMES, tmp_path, None) == scores(NAMES, tmp_path, folder)
    assert locate(FILE, {}, tmp_path).path != folder / FILE.filename


def test_a_suite_is_renamed_where_the_folder_has_other_files(folder: Path) -> None:
    suite, _ = load_suite("avatars-report", ["eval.curve_metrics=[intra_st_lpips_alex, kid_effnetlite0_128]"])
    named = with_stand_ins(suite, folder)
    assert [name for name in named.eval.metrics if name.startswith("standin_")] == [
        "standin_consistency_st_lpips_alex", "standin_consistency_anchor_st_lpips_alex", "standin_step_st_lpips_alex",
        "standin_intra_st_lpips_alex", "standin_translation_error_st_lpips_alex",
    ]  # fmt: skip
    assert {"fid", "lpips_vgg", "kid_effnetlite0_128"} < set(named.eval.metrics)
    assert named.eval.curve_metrics == ("standin_intra_st_lpips_alex", "kid_effnetlite0_128")
    assert with_stand_ins(named, folder) == named
    assert with_stand_ins(suite, None) is suite


def test_the_published_file_is_no_stand_in(tmp_path: Path) -> None:
    published = locate(FILE, {}, tmp_path).path
    assert published is not None
    (tmp_path / FILE.filename).write_bytes(published.read_bytes())
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(WeightsError, match="no file there takes the place of"):
            stood_in(folder)


def test_each_stand_in_says_so_and_networks_that_need_no_file_have_none(folder: Path) -> None:
    infos = list_metrics()
    plain = {name for name in infos if not name.startswith("standin_")}
    without = {name for name in plain if f"standin_{name}" not in infos}
    assert without == {name for name in plain if infos[name].needs == "nothing"}
    assert all("STAND-IN" in infos[name].title for name in infos.keys() - plain)
    assert stood_in(folder) == {"st_lpips_alex"}


def test_the_doctor_compares_a_stand_in_with_no_stored_value(folder: Path, tmp_path: Path) -> None:
    checks = {c.name: c for c in examine(Evaluator(STAND_INS, tmp_path, stand_ins=folder))}
    assert checks["standin_st_lpips_alex: weights"].state == "not available"
    assert checks["standin_st_lpips_alex distances: stored values"].state == "not available"
    assert checks["standin_st_lpips_alex distances: to itself"].state == "ok"
    assert verdict(list(checks.values())).passed


def test_tables_of_stand_ins_and_rehearsals_are_marked() -> None:
    from made_records import kid, make

    assert cautions([make(metrics=kid(1.0))]) == ()
    stand_in = make(metrics={"standin_fid": kid(1.0)["kid_net"]})
    assert "standin_ mean nothing" in cautions([make(), stand_in])[0]
    small = make(settings={"scale": 0.01})
    assert "rehearsal at 0.01" in cautions([small])[0]
    assert len(cautions([small, stand_in])) == 2
    assert cautions([make(settings={"scale": "much"})]) == ()

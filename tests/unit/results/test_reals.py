"""Reference values of real images on disk, which records they belong to, and the share of the gap."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_records import make

from benchmark.results import MetricValue, ResultStore
from benchmark.results.reals import (
    FOLDER,
    RealScores,
    gap_closed,
    read_reals,
    real_values,
    reals_path,
    set_damaged_aside,
    write_reals,
)
from benchmark.results.verify import verify_results

KID = MetricValue(value=0.01, n=50, std_error=0.02, title="KID")


def scores(key: str = "ab" * 16, **change: object) -> RealScores:
    record = make("finetune")
    whole = {"schema": 1, "key": key, "domain": record.domain, "domain_digest": record.domain_digest}
    return RealScores.model_validate({**whole, "metrics": {"kid": KID}, "versions": {"kid": 1}, **change})


def test_what_is_written_is_read_and_verified(tmp_path: Path) -> None:
    ResultStore(tmp_path).write(make("finetune"))
    write_reals(tmp_path, scores())
    assert read_reals(tmp_path) == [scores()]
    before = verify_results(tmp_path)
    assert (before.bad, before.gone) == ((), ())
    path = reals_path(tmp_path, scores().key)
    path.write_text(path.read_text().replace("0.01", "0.001"))
    assert any(path.name in line for line in verify_results(tmp_path).bad)
    problems: list[str] = []
    assert read_reals(tmp_path, problems) == [] and "is not what was stored" in problems[0]
    damaged = path.read_bytes()
    assert len(set_damaged_aside(tmp_path)) == 1 and not path.exists()
    assert set_damaged_aside(tmp_path) == []
    path.write_text("damaged again")
    assert f"it is now {path.name}.2.unusable" in set_damaged_aside(tmp_path)[0]
    assert path.with_name(f"{path.name}.unusable").read_bytes() == damaged, "what was set aside before stays"


def test_nothing_is_read_through_a_linked_folder(tmp_path: Path) -> None:
    write_reals(tmp_path / "other", scores())
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / FOLDER).symlink_to(tmp_path / "other" / FOLDER, target_is_directory=True)
    assert read_reals(tmp_path / "here") == []


def test_what_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    assert read_reals(tmp_path) == []
    write_reals(tmp_path, scores())
    good = reals_path(tmp_path, scores().key)
    for name, text in {"bad": "{", "cd" * 16: good.read_text(), "ee" * 16: "[]", "dd" * 16: "\udcff"}.items():
        (tmp_path / FOLDER / f"{name}.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    (tmp_path / FOLDER / f"{'aa' * 16}.json").symlink_to(good)
    (tmp_path / FOLDER / f"{'bb' * 16}.json").mkdir()
    assert read_reals(tmp_path) == [scores()]


def test_values_belong_to_records_of_the_same_images_and_the_same_version() -> None:
    record = make("finetune")
    assert real_values([scores()], [record]) == {(record.domain, "kid"): KID}
    assert real_values([scores(domain_digest="f" * 64)], [record]) == {}
    assert real_values([scores(domain="elsewhere")], [record]) == {}
    newer = record.model_copy(update={"settings": {"metric_versions": {"kid": 2}}})
    assert real_values([scores()], [newer]) == {}


@pytest.mark.parametrize(
    ("source", "method", "real", "share"),
    [(1.4, 1.4, 0.0, 0.0), (1.4, 0.7, 0.0, 0.5), (1.4, 0.01, 0.01, 1.0), (1.4, 1.75, 0.0, -0.25), (0.1, 0.5, 0.9, 0.5)],
)
def test_the_gap_closed(source: float, method: float, real: float, share: float) -> None:
    """The audit's example: KID 1.38 of the source, 0.694 of FreezeD, real images at 0.0003: half of the way."""
    assert gap_closed(source, method, real) == pytest.approx(share)
    assert gap_closed(1.38, 0.694, 0.0003) == pytest.approx(0.4972, abs=1e-4)
    assert gap_closed(1.0, 0.5, 1.0) is None


def test_of_several_counts_the_one_of_the_records_is_taken() -> None:
    record = make("finetune", settings={"eval": {"samples": 500}})
    few, whole, many = (
        scores(key=k * 32, metrics={"kid": KID.model_copy(update={"n": n})})
        for k, n in (("a", 200), ("b", 500), ("c", 900))
    )
    for found in ([few, whole, many], [many, whole, few], [whole, few]):
        assert real_values(found, [record])[record.domain, "kid"].n == 500
    assert real_values([few], [record])[record.domain, "kid"].n == 200, "there are no more training images"

"""A row that was trained on the network of a metric: shown, said, but neither marked nor ranked nor tested by it."""

from __future__ import annotations

from made_records import kid, make

from benchmark.report.cautions import cautions
from benchmark.report.group import group_of
from benchmark.report.lines import taught_by, value_of
from benchmark.report.tables.differences import pairs_table
from benchmark.report.tables.metrics import metric_table
from benchmark.report.tables.ranking import ranking
from benchmark.report.tables.table import Cell, Table
from benchmark.results import MetricValue, RunRecord

KID, FID = "kid_effnetlite0_128", "fid"


def metrics(effnet: float, inception: float) -> dict[str, MetricValue]:
    one = next(iter(kid(effnet).values()))
    return {KID: one.model_copy(update={"value": effnet}), FID: one.model_copy(update={"value": inception})}


def records() -> list[RunRecord]:
    """Three methods with eight seeds, one of them plain; the one that knows the network looks best by it."""
    found = []
    for seed in range(8):
        for method, effnet, inception, keys in (
            ("taught", 0.1, 5.0, ("effnetlite0",)),
            ("good", 1.0, 1.0, ()),
            ("bad", 3.0, 3.0, ("clip_vit_b32",)),
        ):
            fields = {} if method == "good" else {"weight": 1}
            values = metrics(effnet + 0.01 * seed, inception + 0.01 * seed)
            found.append(make(method, seed=seed, metrics=values, trained_on=keys, method_label=method, fields=fields))
    return found


def table_of(metric: str) -> Table:
    table = metric_table(group_of(records()), metric)
    assert table is not None
    return table


def cells(metric: str) -> dict[str, Cell]:
    return {row.label: row.cells[0] for row in table_of(metric).rows}


def test_its_value_is_shown_and_not_marked() -> None:
    by_effnet, by_inception = cells(KID), cells(FID)
    assert by_effnet["taught"].text != "–" and not by_effnet["taught"].best and by_effnet["good"].best
    assert by_inception["good"].best and not by_inception["taught"].best
    note = table_of(KID).footnotes[by_effnet["taught"].notes[0] - 1]
    assert note == "taught: trained on the network of this metric: neither marked nor ranked by it"
    assert not by_inception["taught"].notes and not by_effnet["bad"].notes, "CLIP makes no metric"


def test_it_has_no_rank_in_a_metric_of_that_network() -> None:
    found = ranking(group_of(records()))
    assert found is not None and found.metric == KID
    assert list(found.test.ranks) == ["good", "bad"] and found.empty == ("taught",)


def test_it_is_not_tested_against_the_others_by_that_metric() -> None:
    table = pairs_table(group_of(records()))
    assert table is not None
    words = {row.label: [cell.text for cell in row.cells] for row in table.rows}
    assert set(words["taught"]) == {"–"} and "–" not in words["bad"][0]


def test_the_value_itself_stays() -> None:
    record = records()[0]
    assert taught_by(record, KID) and not taught_by(record, FID) and taught_by(record, "standin_" + KID)
    assert value_of(record, KID) == 0.1


def test_it_is_said_wherever_such_numbers_stand() -> None:
    assert cautions(records()) == ("taught: trained on a network that measures, neither marked nor ranked by it",)
    only_inception = [r.model_copy(update={"metrics": {FID: r.metrics[FID]}}) for r in records()]
    assert cautions(only_inception) == ()
    standing_in = [make("nada", metrics=kid(1.0), trained_on=("standin_clip_vit_b32",))]
    assert cautions(standing_in) == ("nada: trained with stand-in weights, the numbers mean nothing",)


def test_records_of_earlier_versions_were_trained_on_nothing() -> None:
    old = make().model_dump(mode="json", by_alias=True)
    del old["trained_on"]
    assert RunRecord.model_validate(old).trained_on == ()

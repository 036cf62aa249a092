"""A folder of one's own in a medium: a task whose right answer is known, from the command line to the page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import QUICK, Done, process
from PIL import Image

from benchmark.domains.cards import card_shelf
from benchmark.results import ResultStore, RunRecord

Command = Callable[..., Done]
METRICS = ("distance_averaged_l1", "translation_error_l1", "share_of_the_way_l2", "identity_retrieval_edges")
ASKED = ("--set", f"eval.metrics=[{', '.join(METRICS)}]", "--domains", str(card_shelf() / "packs" / "pixel-art-32.zip"))
METHODS = ("--methods", "finetune,fixnoise[match=all,weight=0.2]")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> tuple[Done, Path]:
    folder = tmp_path_factory.mktemp("known")
    arguments = ("run", *QUICK, *ASKED, *METHODS, "--set", "medium=charcoal", "--out", "res", "--jobs", "0")
    return process(arguments, cache, folder), folder / "res"


def records(out: Path) -> list[RunRecord]:
    return ResultStore(out).read_all()[0]


def test_every_row_has_its_place_between_source_and_answer(done: tuple[Done, Path]) -> None:
    assert done[0].code == 0, done[0].err
    made = records(done[1])
    assert {r.method for r in made} == {"source", "finetune", "fixnoise[match=all,weight=0.2]"}
    for r in made:
        error, share = r.metrics["translation_error_l1"], r.metrics["share_of_the_way_l2"]
        assert error.value is not None and error.floor is not None and error.ceiling is not None
        assert share.value is not None and share.n == 4
        assert any("take it that the source draws" in note for note in r.notes)
    (source,) = (r for r in made if r.zero_step)
    assert source.metrics["share_of_the_way_l2"].value == pytest.approx(0, abs=1e-6)
    assert source.metrics["distance_averaged_l1"].value == pytest.approx(0, abs=1e-6)


def test_the_variant_is_a_row_with_its_own_name_and_files(done: tuple[Done, Path]) -> None:
    table = (done[1] / "tables.md").read_text()
    assert "FixNoise (match=all,weight=0.2)" in table and "pixel-art-32-charcoal" in table
    assert r"match=all" in (done[1] / "tables.tex").read_text()
    assert [p.name for p in (done[1] / "figures").glob("controls_*FixNoise*")]


def test_right_answers_and_real_images_stand_in_the_grid(done: tuple[Done, Path]) -> None:
    (source,) = (r for r in records(done[1]) if r.zero_step)
    assert set(source.references) == {"right answer", "real images"}
    for name in source.references.values():
        assert Image.open(done[1] / name).height == 32
    page = (done[1] / "page.html").read_text()
    assert "right answer" in page and "real images (other people)" in page
    with Image.open(done[1] / "figures" / "grid_pixel-art-32-charcoal.png") as grid:
        assert grid.height > 5 * 64  # source, right answer, two methods, real images


def test_without_an_answer_the_reason_is_in_the_record(command: Command, tmp_path: Path) -> None:
    assert command("run", *QUICK, *ASKED, "--methods", "finetune", "--out", "res").code == 0
    for r in records(tmp_path / "res"):
        assert r.metrics["distance_averaged_l1"].value is not None
        assert "is not made by a medium" in (r.metrics["share_of_the_way_l2"].reason or "")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (("--set", "medium=charcol"), "did you mean charcoal"),
        (("--set", "medium=charcoal", "--domains", "toy-rings"), "'toy-rings' has a card"),
    ],
)
def test_a_medium_that_cannot_be_used_is_one_line(settings: tuple[str, ...], said: str, command: Command) -> None:
    done = command("run", *QUICK, *ASKED, *settings, "--methods", "finetune", "--out", "res")
    assert done.code == 2 and said in done.err and "Traceback" not in done.err

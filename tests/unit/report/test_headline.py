"""The headline table and its sentences: who is best, is it more than chance, what does it cost, in every format."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from made_records import SETTINGS, kid, make

from benchmark.errors import UnknownName
from benchmark.report import summary
from benchmark.report.choice import Choice, chosen
from benchmark.report.group import SOURCE, group_of
from benchmark.report.lines import groups
from benchmark.report.render import latex, latex_tables
from benchmark.report.section import Section, section_of
from benchmark.report.sentences import sentences
from benchmark.report.tables.headline import headline
from benchmark.report.tables.metrics import metric_table
from benchmark.report.tables.table import MISSING, Cell, Column, Row, Table, narrow
from benchmark.results import MetricValue, ResultStore, RunRecord, Timing
from benchmark.results.reals import RealScores, write_reals

PUBLISHED = Path(__file__).parents[3] / "results" / "published"
FOLDERS = sorted(path for path in PUBLISHED.iterdir() if path.is_dir())
PDFLATEX = shutil.which("pdflatex")
ERROR = "translation_error_l1"


def measured(fidelity: float, far: float, error: float | None = None, recall: float = 0.0) -> dict[str, MetricValue]:
    answer = MetricValue(value=error, n=9, reason=None if error is not None else "not known", floor=0.02)
    more = {"consistency_net": MetricValue(value=far, n=9), ERROR: answer}
    return kid(fidelity) | more | {"recall_net": MetricValue(value=recall, n=500, better="higher")}


def cost(pace: float, **more: Any) -> Timing:
    return Timing(seconds_per_kimg=pace, shipped_params=1_500_000, **more)


def records(seeds: int = 2) -> list[RunRecord]:
    """Two domains, the right answer known on `e`; tune is best, fix keeps more and costs 1.5 times as much."""
    found = []
    for s in range(seeds):
        found += [make("source", "d", s, zero_step=True, metrics=measured(1.6, 0.0))]
        found += [make("source", "e", s, zero_step=True, metrics=measured(1.4, 0.0, 0.5))]
        for domain, error in (("d", None), ("e", 0.2)):
            far = measured(0.8 + s / 100, 0.3, error, 0.2 if domain == "e" else 0.01)
            found += [make("tune", domain, s, metrics=far, timing=cost(10))]
            near = measured(1.0 + s / 100, 0.2, error and error / 2, 0.1 if domain == "e" else 0.0)
            found += [make("fix", domain, s, 1.0, metrics=near, timing=cost(15), fields={"weight": 1})]
            shared = cost(10, reused_training=True)
            half = make("half", domain, s, 0.5, metrics=measured(1.2, 0.1, error), timing=shared)
            found += [half.model_copy(update={"train_key": make("tune", domain, s).train_key})]
    return found


def table_of(found: list[RunRecord]) -> Table:
    return headline(group_of(groups(found)[0]))


def test_at_most_three_columns_a_domain_then_rank_and_cost() -> None:
    table = table_of(records())
    assert [(c.group, c.name, c.detail) for c in table.columns] == [
        ("d", "KID", "↓"),
        ("d", "to source", "↓"),
        ("e", "KID", "↓"),
        ("e", "error", "↓"),
        ("e", "recall", "↑"),
        ("", "rank", "↓"),
        ("", "cost", "↓"),
    ], "the error where the answer is known, variety where it is off its floor, and no more than eight columns"
    assert [row.label for row in table.rows] == [
        SOURCE,
        "tune",
        "fix (noise 1)",
        "half (noise 0.5)",
        "best possible images",
    ]
    rows = {row.label: [c.text for c in row.cells] for row in table.rows}
    assert rows["tune"][-2:] == ["1.0", "1.00"] and rows["fix (noise 1)"][-2:] == ["2.0", "1.50"]
    assert rows["half (noise 0.5)"][-1] == "1.00†" and rows[SOURCE][-2:] == [MISSING, MISSING]
    assert rows["best possible images"][:4] == [MISSING, MISSING, MISSING, "0.020"]


def test_a_narrow_table_says_what_has_to_be_stored_and_a_wide_one_what_it_costs_at_least() -> None:
    found = records()
    narrow = table_of([r for r in found if r.domain == "d"])
    assert [c.name for c in narrow.columns] == ["KID", "to source", "rank", "cost", "stored"]
    more = [r.model_copy(update={"domain": "f", "record_key": r.record_key[::-1]}) for r in found if r.domain == "e"]
    wide = table_of(found + more)
    assert [c.name for c in wide.columns][-2:] == ["recall", "cost"] and len(wide.columns) == 9


def test_network_size_and_units_stand_in_the_caption_once() -> None:
    def titled(r: RunRecord) -> RunRecord:
        metrics = {name: m.model_copy(update={"title": f"T, {name}"}) for name, m in r.metrics.items()}
        return r.model_copy(update={"metrics": metrics})

    named = [titled(r) for r in records()]
    words = " ".join(table_of(named).words)
    assert (
        words.count("T, kid_net, 1000 images") == 1
        and "the target's medium (T, translation_error_l1, 9 pairs)." in words
    )
    assert "cost: training time per image, × tune (cpu, 2 threads)." in words and "† Uses another" in words


def test_each_title_is_explained_in_a_line_of_its_own_before_its_network() -> None:
    words = table_of(records()).words
    for name, meaning in (("KID", "real target images"), ("to source", "same latent"), ("error", "right answer")):
        (line,) = [text for text in words if text.startswith(f"{name}: ")]
        assert meaning in line.split("(")[0] and len(line) < 140
    two = [r.model_copy(update={"metrics": {"kid_net": m.model_copy(update={"n": 9 if r.domain == "d" else 8})}})
           for r in records() for m in [r.metrics["kid_net"]]]  # fmt: skip
    assert [t[:8] for t in table_of(two).words if t.startswith("KID")] == ["KID (d):", "KID (e):"], "told apart by N"


def test_a_cost_says_how_far_its_single_runs_are_apart() -> None:
    paces = {("fix", "d", 0): 8.0, ("fix", "e", 1): 22.0}
    found = [
        r.model_copy(update={"timing": cost(paces[key])}) if (key := (r.method, r.domain, r.seed)) in paces else r
        for r in records()
    ]
    (line,) = [text for text in table_of(found).words if text.startswith("cost")]
    assert "uncertain: single runs of fix range from 0.80 to 2.20." in line
    said = sentences(group_of(groups(found)[0]))[-1]
    assert said.startswith("Training time per image: tune 1.00 (1.00 to 1.00) to fix 1.50 (0.80 to 2.20) times tune's")


def test_the_cost_is_a_ratio_of_runs_on_one_device() -> None:
    other = make("fix", "e", 0, 1.0, metrics=measured(1, 0.2, 0.1), timing=cost(900), fields={"weight": 1},
                 environment={"device": "slow"})  # fmt: skip
    found = [other if r.record_key == other.record_key else r for r in records()]
    rows = {row.label: [c.text for c in row.cells] for row in table_of(found).rows}
    assert rows["fix (noise 1)"][-1] == "1.50", "the run on the slow machine has no partner there"
    assert any("Several machines" in text for text in table_of(found).caption)


def test_the_sentences_say_who_is_best_and_what_seeds_could_show() -> None:
    said = sentences(group_of(groups(records())[0]))
    no_winner = (
        "No clear winner: with 2 seeds no method can be significantly better than all others on a domain (7 seeds"
    )
    assert said[0].startswith(no_winner)
    assert "Lowest KID (mean): tune on both domains (d 0.805, 50 % of the source's gap closed" in said[0]
    assert any(
        text.startswith("With 2 seeds, an uncorrected paired t test would show a true difference of ")
        and "in KID from tune with 80 % power" in text
        for text in said
    )
    lowest = "Lowest error to the right answers (mean): fix on e (0.1; next half, 0.2, not significantly apart)."
    assert lowest in said
    assert said[-1].startswith("Training time per image: tune 1.00 (1.00 to 1.00) to fix 1.50 (1.50 to 1.50) times")
    one = sentences(group_of(groups(records(1))[0]))
    assert one[0].startswith("No winner can be named: with one seed no difference can be told from chance. Lowest KID:")


def rivals(means: dict[str, dict[str, float]], seeds: int = 9) -> list[RunRecord]:
    """Methods with these means on these domains, moved a little by the seed, each by itself."""
    return [
        make(m, d, s, metrics=kid(v + s / 10 + ((s + i) % 3) / 100), fields={"w": i} if i else {})
        for d, own in means.items()
        for i, (m, v) in enumerate(own.items())
        for s in range(seeds)
    ]


@pytest.mark.parametrize(
    ("means", "verdict"),
    [
        ({"d": {"a": 1, "b": 0.5, "c": 1}}, "Clear winner: b has a significantly better KID than every other on d. "),
        (
            {"d": {"a": 1, "b": 0.5, "c": 0.5}},
            "No clear winner: b and c are not significantly apart on d, all others are significantly worse. ",
        ),
        (
            {"d": {"a": 1, "b": 1, "c": 1}},
            "No clear winner: no significant lead on d",
        ),
        (
            {"d": {"a": 1, "b": 0.5, "c": 1}, "e": {"a": 1, "b": 1, "c": 1}},
            "Winner of some domains, each domain corrected on its own: b has a significantly better KID than every "
            "other on d; no significant lead on e",
        ),
        (
            {d: {"a": 1, "b": 0.5} for d in "de"},
            "Clear winner, each domain corrected on its own: b has a significantly better KID than every other on ",
        ),
        ({"d": {"a": 1.0}}, "Lowest KID (mean): a on d ("),
    ],
)
def test_the_verdict_names_winners_ties_and_why_there_is_none(means: dict[str, dict[str, float]], verdict: str) -> None:
    assert sentences(group_of(groups(rivals(means))[0]))[0].startswith(verdict)


def test_a_significant_difference_is_named_and_so_is_what_is_not() -> None:
    found = [make("a", "d", s, metrics=kid(1 + s / 10)) for s in range(9)]
    found += [make("b", "d", s, metrics=kid(0.5 + s / 10), fields={"w": 1}) for s in range(9)]
    found += [make("c", "d", s, metrics=kid(1 + s / 10 + (-1) ** s / 50), fields={"w": 2}) for s in range(9)]
    texts = sentences(group_of(groups(found)[0]))
    assert any("9 (domain, seed) blocks, which are not independent): b ranks above" in t for t in texts)
    (said,) = [text for text in texts if text.startswith("Significantly")]
    assert said.startswith(
        "Significantly better than a: b; 1 of 2 differences from a are not significant; with 9 seeds, an "
        "uncorrected paired t test would show a true "
    )


def test_two_domains_fit_into_eighty_columns_of_a_terminal() -> None:
    text = summary(section_of(groups(records())[0]))
    assert max(map(len, text.splitlines())) <= 80
    assert "rank" in text and "error ↓" in text and re.search(r"^tune +0\.80", text, re.M)
    (head,) = [line for line in text.splitlines() if "KID ↓" in line]
    assert head.startswith("method") and head.rstrip().endswith("cost"), "all in one table"


def test_a_domain_with_fewer_seeds_is_told_once_and_a_row_with_fewer_in_its_cell() -> None:
    found = [
        make(name, domain, s, metrics=kid(1 + s / 10), fields={"w": len(name)} if name != "a" else {})
        for name, domain, seeds in (("a", "d", 3), ("bb", "d", 3), ("a", "e", 2), ("bb", "e", 1))
        for s in range(seeds)
    ]
    table = headline(group_of(groups(found)[0]))
    assert table.caption[0].startswith("Mean ± standard deviation of 3 training seeds (2 on e), ")
    texts = {row.label: [cell.text for cell in row.cells[:2]] for row in table.rows}
    assert "(n=" not in texts["a"][1] and texts["bb"][1].endswith("(n=1)") and "(n=" not in texts["bb"][0]


def test_seeds_of_one_network_from_elsewhere_are_no_trainings() -> None:
    def said(*keys: str) -> str:
        made = [
            make("theirs", "d", s, metrics=kid(1 + s), outside="a.pkl", train_key=k * 8) for s, k in enumerate(keys)
        ]
        own = [make("a", "d", s, metrics=kid(2 + s)) for s in range(len(keys))]
        return " ".join(headline(group_of(groups([*own, *made])[0])).caption)

    words = "± of theirs (outside) is over draws of latents of one network, not over trainings."
    assert words in said("a", "a", "a") and words in said("a", "a", "b")
    assert "trained elsewhere" in said("a", "b", "c") and words not in said("a", "b", "c") and words not in said("a")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda p: p.name)
def test_published_headlines_fit_into_terminals_and_papers(folder: Path) -> None:
    (own,) = groups(ResultStore(folder).read_all()[0])
    section = section_of(own)
    assert max(map(len, summary(section).splitlines())) <= 80
    tables = re.findall(r"\\begin\{tabular\}\{(l[rc]*)\}", latex([section]))
    assert tables and max(map(len, tables)) <= 8 and r"\begin{table}" not in latex([section])
    assert len(section.headline.rows) <= 2 + len(section.group.shown), "one row a method"


@pytest.mark.skipif(
    PDFLATEX is None, reason="no pdflatex: apt-get install texlive-latex-base texlive-latex-recommended"
)
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda p: p.name)
def test_latex_compiles_without_an_overfull_box(folder: Path, tmp_path: Path) -> None:
    (own,) = groups(ResultStore(folder).read_all()[0])
    (tmp_path / "tables.tex").write_text(latex([section_of(own)]), "utf-8")
    (tmp_path / "paper.tex").write_text(
        "\\documentclass[twocolumn]{article}\n\\usepackage{booktabs}\n\\begin{document}\\input{tables}\\end{document}\n"
    )
    command = [str(PDFLATEX), "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    assert not re.findall(r"Overfull \\hbox.*", done.stdout), "LaTeX's own margins hold every table and every hash"


def test_latex_of_numbers_has_minus_signs_and_marks_that_move_no_digit() -> None:
    row = Row("m", (Cell("-0.131 ± 0.020"), Cell("1.00†"), Cell("-0.294 to -0.009"), Cell("a-1")), method="m")
    last = Row("best possible images", tuple(Cell("0.1") for _ in range(4)))
    text = latex_tables([Table("t", tuple(Column("", n) for n in "abcd"), (row, last))])
    minus = r"$-$0.131 {\scriptsize$\pm$ 0.020} & 1.00\rlap{\dag} & $-$0.294 to $-$0.009 & a-1 \\"
    assert minus in text and text.count(r"\midrule") == 2, "what competes is set apart from what does not"


def test_a_wide_table_is_cut_between_its_groups() -> None:
    columns = (*(Column(d, n) for d in "abc" for n in "xyz"), Column("", "rank"), Column("", "cost"))
    rows = (Row("m", tuple(Cell(f"{c.group}{c.name}") for c in columns)),)
    parts = narrow(Table("t", columns, rows), 8)
    assert [[c.text for c in part.rows[0].cells] for part in parts] == [
        ["ax", "ay", "az", "bx", "by", "bz"],
        ["cx", "cy", "cz", "rank", "cost"],
    ]
    kept = narrow(Table("t", columns, rows), 8, kept=2)
    assert [c.text for part in kept for c in part.rows[0].cells] == ["ax", "ay", "bx", "by", "cx", "cy", "rank"]
    assert max(len(part.columns) + 1 for part in parts + kept) <= 8


def test_a_wide_table_without_groups_is_cut_into_parts_that_a_page_holds() -> None:
    columns = tuple(Column("", f"a column with a long name {i}") for i in range(6))
    rows = (Row("m", tuple(Cell("1.00 ± 0.10") for _ in columns)),)
    text = latex_tables([Table("t", columns, rows)])
    widths = [line.count("&") for line in text.splitlines() if line.startswith("method")]
    assert sum(widths) == 6 and max(widths) <= 3
    parts = narrow(Table("t", columns, rows), 4)
    assert [len(part.columns) for part in parts] == [3, 3]


def test_footnotes_of_a_part_are_numbered_anew() -> None:
    columns = (Column("a", "x"), Column("b", "y"))
    rows = (Row("m", (Cell("1", notes=(1,)), Cell("2", notes=(2,)))),)
    first, second = narrow(Table("t", columns, rows, ("first", "second")), 2)
    assert (first.footnotes, second.footnotes) == (("first",), ("second",))
    assert [part.rows[0].cells[0].notes for part in (first, second)] == [(1,), (1,)]


def test_many_domains_are_told_in_sum_and_in_tables_of_the_metrics() -> None:
    found = [make(m, f"d{i}", metrics=kid(v + i)) for i in range(9) for m, v in (("a", 1.0), ("b", 2.0))]
    section = section_of(groups(found)[0])
    assert [c.name for c in section.headline.columns] == ["rank"] and len(section.metrics[0].columns) == 9
    assert "9 domains: each has its column" in " ".join(section.headline.caption)
    assert section.sentences[0].endswith(" Lowest KID: a on all 9 domains.") and section.smoothness is None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for record in records():
        ResultStore(tmp_path).write(record)
    return tmp_path


def test_one_table_can_be_asked_for_in_every_format(folder: Path) -> None:
    asked = Choice(metrics=("kid",), domains=("d",), methods=("tune",))
    text = chosen(folder, asked)
    assert "tune" in text and "0.80" in text and "fix" not in text and SOURCE in text
    assert "left out by choice: 2." in " ".join(text.split())
    assert "| tune | 0.80" in chosen(folder, asked, "md") and r"\begin{table*}" in chosen(folder, asked, "tex")
    rows = chosen(folder, asked, "csv").splitlines()
    assert len(rows) == 1 + 2 * 2 and all(",kid_net," in row for row in rows[1:])
    page = chosen(folder, asked, "html")
    assert page.lstrip().startswith("<!DOCTYPE html>") and "<script" not in page and "0.80" in page
    assert "error ↓" in chosen(folder, Choice(), "md"), "without metrics it is the headline"
    assert not [path for path in folder.iterdir() if path.suffix], "nothing is written"


def test_what_the_folder_does_not_have_is_refused_with_near_names(folder: Path) -> None:
    for choice in (Choice(metrics=("kidd",)), Choice(domains=("q",)), Choice(methods=("tun",))):
        with pytest.raises(UnknownName):
            chosen(folder, choice)


def calls(count: int) -> int:
    """Python calls that the tables of so many records take, a method in ever more seeds."""
    import sys

    found = [
        make(m, d, s, metrics=kid(v + s / 1000))
        for s in range(count)
        for d in "de"
        for m, v in (("a", 1.0), ("b", 2.0))
    ]
    number = 0

    def count_call(frame: object, event: str, argument: object) -> None:
        nonlocal number
        number += event == "call"

    sys.setprofile(count_call)
    try:
        section: Section = section_of(groups(found)[0])
    finally:
        sys.setprofile(None)
    assert len(section.headline.rows) == 2
    return number


def test_the_work_grows_with_the_number_of_records_and_no_faster() -> None:
    calls(20)  # caches and imports
    small, large = calls(100), calls(200)
    assert large < 2.3 * small


def test_settings_of_the_table_are_those_of_the_records() -> None:
    settings = {**SETTINGS, "scale": 0.5}
    table = table_of([make("a", metrics=kid(0.1), settings=settings)])
    assert "rehearsal at 0.5" in table.title
    assert "rehearsal at 0.5" in latex_tables([table])


def test_a_lucky_seed_is_no_lowest_mean_and_a_domain_without_rivals_is_not_won() -> None:
    found = rivals({"d": {"a": 1, "b": 0.5, "c": 1}, "e": {"a": 1, "b": 0.5, "c": 1}}, seeds=10)
    lost = [r for r in found if r.domain == "e" and r.method != "b"]
    gone = {r.record_key: r.model_copy(update={"status": "failed", "metrics": {}}) for r in lost}
    lucky = make("c", "e", 0, metrics=kid(0.01), fields={"w": 2})
    kept = [lucky if r.record_key == lucky.record_key else gone.get(r.record_key, r) for r in found]
    said = sentences(group_of(groups(kept)[0]))[0]
    assert "b has a significantly better KID than every other with enough seeds on d; no" in said
    assert "too few seeds of c to tell on e. Lowest KID (mean): b on both domains" in said
    without = [gone.get(r.record_key, r) for r in found]
    alone = sentences(group_of(groups(without)[0]))[0]
    assert alone.startswith(
        "Winner of some domains, each domain corrected on its own: b has a significantly better KID than every other "
        "on d; too few "
    )
    assert "Lowest KID (mean): b on both domains" in said


def failing(found: list[RunRecord], method: str, seeds: set[int]) -> list[RunRecord]:
    """The same, but this method failed at these seeds."""
    gone = {"status": "failed", "metrics": {}}
    return [r.model_copy(update=gone) if r.method == method and r.seed in seeds else r for r in found]


def test_a_method_with_too_few_seeds_for_a_test_is_neither_marked_nor_even() -> None:
    found = failing(rivals({"d": {"a": 0.5, "b": 1, "c": 9}}), "c", {*range(3, 9)})
    table = table_of(found)
    marked = {row.label: row.cells[0].best for row in table.rows}
    assert marked == {"a": True, "b": False, "c": False}
    assert any("KID on d: c: too few seeds shared with a for a test." in text for text in table.caption)
    said = sentences(group_of(groups(found)[0]))[0]
    assert said.startswith("Winner of some domains: a has a significantly better KID than every other with enough")
    assert "too few seeds of c to tell on d" in said


def test_a_method_that_failed_where_it_is_hard_has_no_lowest_mean() -> None:
    """Its mean over the easy seeds is lowest; on each of them another is better."""
    hard = {*range(5, 9)}
    values = {m: {s: v + 1.0 * (s in hard) for s in range(9)} for m, v in (("a", 0.5), ("b", 0.7))}
    found = [make(m, "d", s, metrics=kid(v), fields={"w": m}) for m, own in values.items() for s, v in own.items()]
    said = sentences(group_of(groups(failing(found, "b", hard))[0]))[0]
    assert "Lowest KID (mean): a on d (" in said


def test_bold_is_explained_where_only_another_column_than_fidelity_has_any() -> None:
    answers = {"a": 0.1, "b": 0.3}
    found = [
        make(m, "d", s, metrics=measured(1 + s / 10 + (-1) ** (s + i) / 50, 0.2, error + s / 1000), fields={"w": m})
        for i, (m, error) in enumerate(answers.items())
        for s in range(8)
    ]
    table = table_of(found)
    assert any(cell.best for row in table.rows for cell in row.cells)
    assert any(text.startswith("Bold: the best and") for text in table.caption)
    assert not any("Nothing is marked" in text for text in table.caption)


def test_fidelity_is_never_a_metric_in_which_learning_nothing_is_best() -> None:
    """As where the file of LPIPS is there and that of FID is not."""
    away = {"kid_net": kid(None)["kid_net"]}
    found = [
        make(m, "d", s, metrics=away | {"consistency_net": MetricValue(value=v, n=9)}, fields={"w": m})
        for m, v in (("hardly", 0.01), ("tune", 0.5))
        for s in range(8)
    ]
    group = group_of(groups(found)[0])
    assert group.fidelity is None
    assert sentences(group) == ("No metric that compares with real images has a value.",)
    section = section_of(groups(found)[0])
    assert not any(cell.best for table in section.tables for row in table.rows for cell in row.cells)


@pytest.mark.parametrize("kind", ["identity_retrieval_edges", "memorisation_net", "distance_averaged_l1"])
def test_nothing_is_marked_where_doing_nothing_is_best(kind: str) -> None:
    better = "higher" if kind.startswith("identity") else "lower"
    lazy = {"lazy": 0.95, "tune": 0.5} if better == "higher" else {"lazy": 0.01, "tune": 0.5}
    found = [
        make(
            m, "d", s, metrics=kid(1.0) | {kind: MetricValue(value=v + s / 1000, n=100, better=better)}, fields={"w": m}
        )
        for m, v in lazy.items()
        for s in range(8)
    ]
    table = metric_table(group_of(groups(found)[0]), kind)
    assert table is not None and not any(cell.best for row in table.rows for cell in row.cells)


def test_a_domain_with_fewer_seeds_says_how_many_it_has() -> None:
    found = rivals({"d": {"a": 1, "b": 0.5}}) + rivals({"e": {"a": 1, "b": 0.5}}, seeds=3)
    table = metric_table(group_of(groups(found)[0]), "kid_net")
    assert table is not None
    assert any("e: with 3 seeds none can be significantly worse" in text.lower() for text in table.caption)


def test_one_method_alone_makes_no_empty_sentence() -> None:
    said = sentences(group_of(groups(rivals({"d": {"a": 1}}))[0]))
    assert said[0].startswith("Lowest KID (mean): a on d") and all(len(text) > 1 for text in said)


def test_equal_costs_are_not_a_range_and_a_tiny_p_value_is_one() -> None:
    means = {d: {f"m{i:02}": 1.0 + i for i in range(30)} for d in "abcdefgh"}
    found = [r.model_copy(update={"timing": cost(10)}) for r in rivals(means, seeds=15)]
    said = sentences(group_of(groups(found)[0]))
    assert any(text.startswith("Mean ranks in KID that differ") for text in said), "p is 0 in float64"
    assert not any(text.startswith("Training time") for text in said)


def test_controls_of_unlike_numbers_of_steps_say_so_and_one_step_is_no_evenness() -> None:
    def swept(method: str, far: list[float]) -> list[RunRecord]:
        last = len(far) - 1
        return [
            make(
                method,
                "d",
                s,
                float(i),
                metrics=measured(1.0 + s / 100, x),
                is_default_control=i == last,
                fields={"w": method},
            )
            for i, x in enumerate(far)
            for s in range(2)
        ]

    found = [*swept("two", [0.0, 0.4]), *swept("three", [0.0, 0.1, 0.4]), *swept("four", [0.0, 0.1, 0.2, 0.4])]
    (said,) = [text for text in sentences(group_of(groups(found)[0])) if text.startswith("Controls")]
    assert "four 1.50 (3 steps), three 1.50 (2 steps)" in said and "two" not in said


def test_long_lists_say_how_much_they_leave_out() -> None:
    means = {"d": {"finetune": 0.5, **{f"m{i:02}": 2.0 + i for i in range(12)}}}
    (said,) = [
        text for text in sentences(group_of(groups(rivals(means, seeds=16))[0])) if "worse than finetune" in text
    ]
    assert "and 4 more" in said


def test_a_table_on_request_has_real_images_and_no_formulas(folder: Path) -> None:
    (first, *_) = records()
    values = {"kid_net": MetricValue(value=0.0123, n=9, title="KID")}
    known = {"schema": 1, "key": "ab" * 16, "domain": first.domain, "domain_digest": first.domain_digest}
    write_reals(folder, RealScores.model_validate({**known, "metrics": values, "versions": {}}))
    assert "0.01" in chosen(folder, Choice(metrics=("kid",)), "md")
    ResultStore(folder).write(make("tune", domain='=HYPERLINK("http://x")', metrics=kid(1.0)))
    assert "\"'=HYPERLINK" in chosen(folder, Choice(), "csv") and ',"=HYPERLINK' not in chosen(folder, Choice(), "csv")

"""Numbers in README and docs: they are those of the newest published records, and one script makes them again."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from made_records import SETTINGS, kid, make

from benchmark.errors import ConfigError
from benchmark.report.group import group_of
from benchmark.results import MetricValue, ResultStore, RunRecord

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs"))

import measured  # noqa: E402
import published  # noqa: E402

PAGES = [page for page in measured.pages() if "<!-- numbers:" in page.read_text("utf-8")]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_pages_state_the_numbers_of_the_records(page: Path) -> None:
    text = page.read_text("utf-8")
    assert measured.made_again(text, page) == text, "run python docs/measured.py"
    assert text.count("<!-- numbers:") == text.count("<!-- end -->") == len(measured.REGION.findall(text))


def test_the_first_screen_states_no_number_of_a_run_by_hand() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    sections = [
        readme.partition(f"## {title}\n")[2].partition("\n## ")[0] for title in ("What it has found", "What comes out")
    ]
    assert [len(measured.REGION.findall(section)) for section in sections] == [3, 3]
    section = "\n".join(sections)
    assert not re.findall(r"\d+\.\d+|\d+ %|\d+ seeds?|20\d\d-", measured.REGION.sub("", section))


def own(value: float, **more: object) -> dict[str, MetricValue]:
    known = {"translation_error_l1": MetricValue(value=value / 4, n=100, floor=0.02, ceiling=0.1)}
    return kid(value) | known | {"share_of_the_way_l2": MetricValue(value=1 - value / 2, n=100, better="higher")}


def run(folder: Path, value: float, seeds: int) -> None:
    store = ResultStore(folder)
    for s in range(seeds):
        more = {"seed": s, "domain": "d"}
        rows: list[RunRecord] = [make("source", zero_step=True, metrics=own(2.0), **more)]
        rows.append(make("tune", is_default_control=True, metrics=own(value + s / 10), **more))
        for control in (0.0, 1.0):
            metrics = own(value + control / 2 + s / 10)
            rows.append(make("fix", control=control, is_default_control=control == 1, metrics=metrics, **more))
        for record in rows:
            store.write(record)


@pytest.mark.parametrize("part", ["table smoke fxi", "rows smoke tune, fxi", "picture smoke d, fxi"])
def test_a_region_that_names_no_method_of_the_folder_is_refused(part: str, tmp_path: Path) -> None:
    run(tmp_path / "2026-01-01_aaaaaaa", 1.5, 1)
    with pytest.raises(LookupError, match="2026-01-01_aaaaaaa has no method fxi"):
        measured.made_again(f"<!-- numbers: {part} -->\n<!-- end -->\n", ROOT / "README.md", tmp_path)


def test_what_the_script_does_not_know_changes_no_page() -> None:
    with pytest.raises(SystemExit, match="it takes --check or nothing"):
        measured.main(["--chek"])


FINDINGS = "<!-- numbers: findings smoke -->\n<!-- end -->\n"
PAGE = f"a\n<!-- numbers: table smoke fix -->\nold 1.23\n<!-- end -->\nb 4.56\n{FINDINGS}"


def test_all_comes_from_the_newest_folder_with_its_spread_over_seeds(tmp_path: Path) -> None:
    run(tmp_path / "2026-01-01_aaaaaaa", 1.5, 1)
    first = measured.made_again(PAGE, ROOT / "README.md", tmp_path)
    assert "old 1.23" not in first and first.startswith("a\n<!-- numbers: table smoke fix -->\n| method |")
    assert "b 4.56" in first and "| tune | 1.50 |" in first and "one seed (0)" in first
    assert "fix on d, noise 0 to 1: share of the way 0.250 to 0." in first
    (tmp_path / "2026-01-02_bbbbbbb").mkdir()  # a folder of another suite, or an unfinished one
    run(tmp_path / "2026-01-03_ccccccc", 1.0, 3)
    (tmp_path / "2026-01-03_ccccccc" / "NOTE.md").write_text("Mind the gap.\n")
    published.every.cache_clear()
    again = measured.made_again(first, ROOT / "README.md", tmp_path)
    assert "| tune | 1.10 ± 0.10 |" in again and "| fix (noise 0) | 1.10 ± 0.10 |" in again
    assert "3 seeds, published as `2026-01-03_ccccccc`" in again and "Mind the gap." in again
    assert (
        "floor, the same answer with different grain, is 0.020; "
        "its ceiling, the right answer for another latent, is 0.100" in again
    )
    assert measured.made_again(again, ROOT / "README.md", tmp_path) == again


def test_what_a_region_asks_for_in_vain_is_named(tmp_path: Path) -> None:
    run(tmp_path / "2026-01-01_ddddddd", 1.5, 1)
    for region, said in (
        ("tabel smoke", "tabel"),
        ("table smok", "smok"),
        ("picture smoke d", "no drawing grid_d.png"),
        ("overview smoke KID, eror", "no column eror"),
    ):
        with pytest.raises(LookupError, match=re.escape(said)):
            measured.made_again(f"<!-- numbers: {region} -->\n<!-- end -->\n", ROOT / "README.md", tmp_path)


def test_verdicts_wait_for_a_published_run_and_then_come_from_it(tmp_path: Path) -> None:
    page, region = ROOT / "docs" / "answers.md", "<!-- numbers: verdicts smoke -->\n<!-- end -->\n"
    assert "No run of the suite `smoke` is published yet." in measured.made_again(region, page, tmp_path)
    run(tmp_path / "2026-01-01_eeeeeee", 1.5, 2)
    for record in ResultStore(tmp_path / "2026-01-01_eeeeeee").read_all()[0]:
        if record.method == "fix":
            ours = {"method": "fixnoise", "record_key": record.record_key[::-1]}
            ResultStore(tmp_path / "2026-01-01_eeeeeee").write(record.model_copy(update=ours))
    published.every.cache_clear(), published._records.cache_clear()
    text = measured.made_again(region, page, tmp_path)
    assert "| 1 preservation: lower error at equal KID | fixnoise | finetune |" in text
    assert "`fixnoise`: **preliminary: undecided**" in text


def test_folders_are_taken_together_if_nothing_but_the_precision_differs(tmp_path: Path) -> None:
    def part(name: str, seed: int, **train: object) -> published.Published:
        more = {"settings": {**SETTINGS, "train": {"kimg": 4, "precision": "fp32", **train}}, "seed": seed}
        rows = [make("source", zero_step=True, metrics=own(2.0), **more), make("tune", metrics=own(1.0), **more)]
        for record in rows:
            ResultStore(tmp_path / name).write(record)
        found = published.of_suite(tmp_path / name, "smoke")
        assert found is not None
        return found

    first = part("a", 0)
    assert published.pooled([first, part("b", 1, precision="bf16")]).seeds == [0, 1]
    with pytest.raises(ConfigError, match=r"d, seed 0 is in \S+/a and in \S+/c"):
        published.pooled([first, part("c", 0, precision="bf16")])
    with pytest.raises(ConfigError, match=r"train\.kimg is 4 and 8"):
        published.pooled([first, part("e", 1, kimg=8)])
    elsewhere = part("f", 1)
    other = [r.model_copy(update={"source_sha256": "cd" * 32}) for r in elsewhere.group.records]
    with pytest.raises(ConfigError, match="several sources: src"):
        published.pooled([first, replace(elsewhere, group=group_of(other))])
    for record in other:
        ResultStore(tmp_path / "a").write(record.model_copy(update={"record_key": record.record_key[::-1]}))
    published._records.cache_clear()
    with pytest.raises(ConfigError, match="several sources: src"):
        published.of_suite(tmp_path / "a", "smoke")
    (tmp_path / "a" / "records" / f"{'0' * 32}.json").write_text("{", "utf-8")
    published._records.cache_clear()
    with pytest.raises(ConfigError, match=r"000\.json"):
        published.of_suite(tmp_path / "a", "smoke")

"""The command line from end to end: runs, goes on, reports, lists and explains itself."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import numpy as np
import pytest
from command_line import QUICK, Done, Finished, process, python, start
from PIL import Image
from waiting import PATIENCE

import benchmark.methods
from benchmark.cli.app import WHAT, cli
from benchmark.registry import find_method, method_names
from benchmark.results import ResultStore, RunRecord

Command = Callable[..., Done]


def records(out: Path) -> list[RunRecord]:
    found, problems = ResultStore(out).read_all()
    assert not problems
    return found


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.is_file()}


def numbers(out: Path) -> dict[str, object]:
    """All that must not differ between two runs of the same jobs: everything but what was measured with a clock."""
    return {r.record_key: r.model_dump(exclude={"timing", "environment"}) for r in records(out)}


# A run


def test_a_run_leaves_records_tables_and_pictures_and_says_where(finished: Finished) -> None:
    done = finished.done
    assert done.code == 0 and "Traceback" not in done.err
    last = done.out.rstrip().splitlines()[-1]
    for place in re.findall(r"res/[\w./]+", last):
        assert (finished.out.parent / place).exists()
    assert last.count("res/") == 4
    assert {p.suffix for p in (finished.out / "figures").iterdir()} == {".png"}
    made = records(finished.out)
    for r in made:
        absent = {name for name, m in r.metrics.items() if m.value is None}
        first = r.control is None or r.control == min(x.control for x in made if x.method == r.method)
        assert r.status == "done" and absent == ({"step_randconv"} if first else set())
        strip = Image.open(finished.out / (r.grid or ""))
        assert strip.size == (8 * 32 if not r.zero_step else 4 * 32, 32)


def test_every_table_names_every_method(finished: Finished) -> None:
    for name in ("tables.md", "tables.tex", "tables.csv"):
        text = (finished.out / name).read_text()
        for method in ("finetune", "layer_swap", "fixnoise"):
            assert (method if name.endswith("csv") else find_method(method)().title) in text
        assert ("source" if name.endswith("csv") else "source, untouched") in text
        assert "toy-rings" in text
    assert all(find_method(m)().title in finished.done.out for m in ("finetune", "layer_swap", "fixnoise"))


def test_layer_swap_did_not_train(finished: Finished) -> None:
    made = records(finished.out)
    training = {r.method: r.train_key for r in made}
    assert training["layer_swap"] == training["finetune"] != training["fixnoise"]
    assert {p.stem for p in (finished.out / "checkpoints").iterdir()} == {training["finetune"], training["fixnoise"]}
    assert {r.method for r in made if r.timing.reused_training} == {"layer_swap"}
    assert len(re.findall("train ", finished.done.out)) == 2


def test_lines_without_a_terminal_tell_each_stage_once(finished: Finished) -> None:
    lines = finished.done.out.splitlines()
    assert "\x1b" not in finished.done.out and "\r" not in finished.done.out
    assert len([x for x in lines if re.fullmatch(r"\[2/4\] train finetune on toy-rings, seed 0: [\d.]+ s", x)]) == 1
    assert "4 jobs, 10 records to make" in lines


def test_the_same_command_again_trains_nothing(finished: Finished, cache: Path, tmp_path: Path) -> None:
    folders = ("records", "samples", "checkpoints", "figures", ".")
    before = {folder: contents(finished.out / folder) for folder in folders}
    shutil.copytree(finished.out, tmp_path / "res")  # other tests read the shared one meanwhile
    done = process(finished.arguments, cache, tmp_path)
    assert done.code == 0
    assert "0 records to make, 10 stored already" in done.out
    assert "train " not in done.out and "evaluate " not in done.out
    assert {folder: contents(tmp_path / "res" / folder) for folder in folders} == before


def test_an_interrupted_run_goes_on_to_the_same_records(finished: Finished, cache: Path, tmp_path: Path) -> None:
    running = start(finished.arguments, cache, tmp_path)
    assert running.stdout is not None
    for line in running.stdout:
        if "train finetune" in line:  # in the middle: two jobs are finished or nearly so, two are not
            break
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=PATIENCE)
    assert running.returncode == 130
    assert err.splitlines()[-1] == "interrupted; finished records are kept, run the same command again to resume."
    assert "Traceback" not in err
    kept = contents(tmp_path / "res" / "records")
    assert 1 <= len(kept) < 10 and all(json.loads(text)["status"] == "done" for text in kept.values())
    done = process(finished.arguments, cache, tmp_path)
    assert done.code == 0 and f"{len(kept)} stored already" in done.out
    assert contents(tmp_path / "res" / "records").items() >= kept.items()
    assert numbers(tmp_path / "res") == numbers(finished.out)


def test_a_dry_run_prints_the_keys_and_writes_nothing(finished: Finished, command: Command, tmp_path: Path) -> None:
    done = command(*finished.arguments, "--dry-run")
    assert done.code == 0 and not list(tmp_path.iterdir())
    rows = [line.split() for line in done.out.splitlines()[2:]]
    assert {row[4] for row in rows} == {p.stem for p in (finished.out / "records").iterdir()}
    assert {row[5] for row in rows} - {"–"} == {p.stem for p in (finished.out / "checkpoints").iterdir()}


def test_a_report_can_be_made_again_from_the_records_alone(
    finished: Finished, command: Command, tmp_path: Path
) -> None:
    done = command("report", str(finished.out), "--out", "again")
    assert done.code == 0 and not done.err
    again, way = contents(tmp_path / "again"), os.path.relpath(finished.out, tmp_path / "again")
    assert f"{way}/records/".encode() in again["page.html"], "its links lead to the records"
    again["page.html"] = again["page.html"].replace(f"{way}/records/".encode(), b"records/")
    assert again == contents(finished.out)
    assert contents(tmp_path / "again" / "figures") == contents(finished.out / "figures")


# What can go wrong in a job


def test_a_training_that_diverges_costs_its_own_cells_only(command: Command, tmp_path: Path) -> None:
    run = ("run", *QUICK, "--methods", "finetune,fixnoise", "--domains", "toy-rings", "--out", "res")
    done = command(*run, "--set", "fixnoise.weight=1e39")
    assert done.code == 1
    status = {(r.method, r.status) for r in records(tmp_path / "res")}
    assert status == {("source", "done"), ("finetune", "done"), ("fixnoise", "failed")}
    assert "FAILED fixnoise on toy-rings, seed 0: training diverged" in done.out
    assert "5 of 7 records failed" in done.out
    assert "failed" in (tmp_path / "res" / "tables.md").read_text()


@pytest.fixture
def broken_method(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    shelf = tmp_path_factory.mktemp("shelf")
    (shelf / "crashing.py").write_text(
        "from benchmark.api import Method\n\n\nclass Crashing(Method):\n    name = 'crashing'\n\n"
        "    def generator_loss(self, step):\n        return {'x': step.no_such_thing}\n"
    )
    monkeypatch.setattr(benchmark.methods, "__path__", [*benchmark.methods.__path__, str(shelf)])
    method_names.cache_clear()
    yield
    method_names.cache_clear()


@pytest.mark.usefixtures("broken_method")
def test_a_method_with_a_bug_leaves_its_traceback_in_the_log(command: Command, tmp_path: Path) -> None:
    done = command("run", *QUICK, "--methods", "crashing,finetune", "--domains", "toy-rings", "--out", "res")
    assert done.code == 1 and "Traceback" not in done.out + done.err
    by_method = {r.method: r for r in records(tmp_path / "res")}
    assert by_method["finetune"].status == "done"
    assert "AttributeError: 'GeneratorStep' object has no attribute 'no_such_thing'" in (
        by_method["crashing"].reason or ""
    )
    (log,) = (tmp_path / "res" / "logs").glob("*.error.txt")
    assert "crashing.py" in log.read_text() and f"logs/{log.name}" in done.out


# One's own images


def pictures(count: int, px: int) -> Iterator[tuple[str, Image.Image]]:
    rng = np.random.default_rng(0)
    for number in range(count):
        yield f"{number}.png", Image.fromarray(rng.integers(0, 256, (px, px + number, 3), np.uint8))


def test_a_folder_and_a_zip_are_domains(command: Command, tmp_path: Path) -> None:
    folder = tmp_path / "[bold]my faces"
    (folder / "deep").mkdir(parents=True)
    (folder / "notes.txt").write_text("no image")
    archive = zipfile.ZipFile(tmp_path / "packed.zip", "w")
    for name, image in pictures(9, 40):
        image.save(folder / "deep" / name)
        archive.write(folder / "deep" / name, f"00000/img{name}")
    archive.writestr("dataset.json", '{"labels": null}')
    archive.close()
    run = ("run", *QUICK, "--methods", "finetune", "--domains", "[bold]my faces,packed.zip", "--out", "res")
    done = command(*run)
    assert done.code == 0, done.err
    assert "[bold]my faces: 1 files skipped, the first: notes.txt (not an image)" in done.out
    made = {(r.domain, r.method): r for r in records(tmp_path / "res")}
    assert set(made) == {(d, m) for d in ("[bold]my faces", "packed") for m in ("source", "finetune")}
    assert made["packed", "finetune"].domain_digest == made["[bold]my faces", "finetune"].domain_digest
    assert made["packed", "finetune"].settings["reals"] == {"train": 6, "reference (held out)": 3}
    assert re.search(r"^ .*\[bold\]my faces", done.out, re.MULTILINE)


# Looking at what there is


def test_show_finds_a_record_by_the_beginning_of_its_key_or_by_its_file(finished: Finished, command: Command) -> None:
    for r in records(finished.out)[:2]:
        by_key = command("show", r.record_key[:12], "--results", str(finished.out))
        by_file = command("show", str(finished.out / "records" / f"{r.record_key}.json"))
        assert by_key.code == by_file.code == 0 and by_key.out == by_file.out
        assert r.record_key in by_key.out and r.method in by_key.out and "kid_randconv" in by_key.out


@pytest.mark.parametrize("what", WHAT)
@pytest.mark.parametrize("width", ["80", "120"])
def test_lists_show_every_name_whole(
    what: str, width: str, command: Command, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmark.domains.cards import list_cards
    from benchmark.metrics import list_metrics
    from benchmark.sources import list_sources
    from benchmark.suites import suite_names

    monkeypatch.setenv("COLUMNS", width)
    done = command("list", what)
    assert done.code == 0
    known = {
        "methods": method_names(), "domains": list_cards(), "suites": suite_names(), "sources": list_sources(),
        "metrics": [name for name in list_metrics() if not name.startswith("standin_")],
    }  # fmt: skip
    for name in known[what]:
        assert re.search(rf"^│ {re.escape(name)} +│", done.out, re.MULTILINE), name
    assert "…" not in done.out
    assert max(map(len, done.out.splitlines())) <= int(width)


def test_list_domains_shows_licences_and_attributions(command: Command) -> None:
    out = " ".join(command("list", "domains").out.split())
    assert "drawings, not photographs" in out
    assert "licensed under „CC BY 4.0”" in out and "Lisa Wischofsky" in out


@pytest.mark.usefixtures("broken_method")
def test_a_broken_file_on_the_shelf_does_not_hide_the_others(command: Command) -> None:
    (Path(benchmark.methods.__path__[-1]) / "unreadable.py").write_text("(")
    method_names.cache_clear()
    done = command("list", "methods")
    assert done.code == 0
    assert "unavailable: method unreadable: its file cannot be imported" in " ".join(done.out.split())
    assert "finetune" in done.out


def test_a_plan_runs_nothing_and_leaves_with_0(command: Command, tmp_path: Path) -> None:
    done = command("run", "--suite", "paper", "--plan", "--seconds-per-kimg", "20")
    assert done.code == 0 and not [*tmp_path.iterdir()]
    assert "paper-metfaces: metfaces from ffhq-res256-mirror-paper256-noaug, 256 px" in done.out
    assert "together: 24 jobs, 18 trainings, 114,000 kimg, 633.3 h of training" in done.out
    for name in ("metfaces", "aahq", "wikiart-cityscape"):
        assert f"python -m benchmark datasets fetch {name} --accept-licence" in done.out
    assert done.out.count("sources import") == 2  # each missing thing once
    smoke = command("run", "--suite", "smoke", "--plan")
    assert smoke.code == 0 and "nothing is missing" in smoke.out and "hours of training unknown" in smoke.out


def test_a_rehearsal_has_a_folder_names_and_a_title_of_its_own(command: Command, tmp_path: Path) -> None:
    done = command("run", *QUICK, "--domains", "toy-rings", "--methods", "finetune", "--scale", "0.5", "--threads", "1")
    assert done.code == 0, done.err
    out = tmp_path / "results/runs/smoke-scale-0.5"
    records, _ = ResultStore(out).read_all()
    assert {r.suite for r in records} == {"smoke-scale-0.5"} and {r.settings["scale"] for r in records} == {0.5}
    assert {r.timing.kimg for r in records if not r.zero_step} == {0.016}
    for name in ("tables.md", "tables.tex", "page.html"):
        assert "rehearsal at 0.5 of the real lengths" in (out / name).read_text(), name
    listed = command("run", *QUICK, "--domains", "toy-rings", "--methods", "finetune", "--dry-run").out
    assert not any(r.record_key in listed for r in records)


def test_a_collection_refuses_what_belongs_to_its_members(command: Command) -> None:
    done = command("run", "--suite", "paper", "--domains", "toy-rings")
    assert done.code == 2 and "--domains: the suites of paper have their own" in done.err


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, below in group.commands.items():
        yield from commands(below, (*path, name)) if isinstance(below, click.Group) else [(*path, name)]


@pytest.mark.parametrize("text", ["nan", "inf", "-inf"])
def test_no_number_of_any_command_may_be_nan_or_inf(text: str) -> None:
    found = []
    for path in commands(cli):
        group: click.Command = cli
        for name in path:
            assert isinstance(group, click.Group)
            group = group.commands[name]
        for option in group.params:
            if isinstance(option.type, click.types.FloatParamType):
                found.append(option.name)
                with pytest.raises(click.BadParameter, match=r"not a finite number|not in the range"):
                    option.type.convert(text, option, None)
    assert len(found) >= 9


@pytest.mark.parametrize("path", [*commands(cli)], ids="-".join)
def test_every_help_has_an_example(path: tuple[str, ...], command: Command) -> None:
    done = command(*path, "--help")
    assert done.code == 0
    assert re.search(rf"^ *Examples?:\n +python -m benchmark {' '.join(path)}", done.out, re.MULTILINE)


def test_no_arguments_print_the_help(cache: Path, tmp_path: Path) -> None:
    done = python((), cache, tmp_path)
    assert done.code == 0 and done.out.startswith("Usage: python -m benchmark")


@pytest.mark.parametrize(
    "arguments", [("list", "domains"), ("list", "nothing"), ("run", "--methods", "no_such_method")]
)
def test_a_forked_command_says_what_a_new_python_says(arguments: tuple[str, ...], cache: Path, tmp_path: Path) -> None:
    """Else other tests would look at something that users do not have."""
    assert process(arguments, cache, tmp_path) == python(arguments, cache, tmp_path)

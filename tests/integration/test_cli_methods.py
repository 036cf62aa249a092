"""conform, new-method, --plugin and a+b at the command line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import QUICK, Done

from benchmark.conformity.stand_ins import write_stand_in
from benchmark.registry import method_names
from benchmark.results import ResultStore

Command = Callable[..., Done]
BROKEN = Path(__file__).parents[1] / "data" / "broken_methods"
QUIET = "from benchmark.api import Method\n\nclass Quiet(Method):\n    name = 'quiet'\n"


def test_conform_says_what_is_kept_and_what_it_costs(command: Command) -> None:
    done = command("conform", "freezed+fixnoise", "freezed")
    assert done.code == 0 and done.err == ""
    lines = done.out.splitlines()
    facts = (
        r"\d+ promises kept; a step costs \d+\.\d x fine-tuning's; [\d,]+ toy parameters train \(fine-tuning: [\d,]+\)"
    )
    assert len(lines) == 2
    assert re.fullmatch(rf"fixnoise\+freezed: {facts}", lines[0]) and re.fullmatch(f"freezed: {facts}", lines[1])


def test_conform_tells_a_broken_promise_and_the_exit_code_does_too(command: Command) -> None:
    done = command("conform", "diverges", "freezed", "--plugin", str(BROKEN / "diverges.py"))
    assert done.code == 1
    assert re.search(r"^diverges: 6 promises kept, 1 broken, 11 not tried$", done.out, re.MULTILINE)
    assert re.search(r"^  BROKEN  trains two steps .*: MethodError: training diverged", done.out, re.MULTILINE)
    assert re.search(r"^freezed: 18 promises kept; ", done.out, re.MULTILINE)
    assert done.err.strip() == "1 of 2 methods break a promise"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("conform", "fixnoize"), "unknown method 'fixnoize': did you mean fixnoise"),
        (("conform", "fixnoise+layer_swap"), "fixnoise and layer_swap both"),
        (("conform", "mine", "--plugin", "mine.py"), "plug-in mine.py does not exist"),
        (("run", *QUICK, "--methods", "mine", "--plugin", "mine.py"), "plug-in mine.py does not exist"),
        (("run", *QUICK, "--methods", "fixnoise+layer_swap"), "fixnoise and layer_swap both"),
        (("run", *QUICK, "--methods", "finetune+freezed"), "finetune is plain fine-tuning and adds nothing"),
        (("run", *QUICK, "--methods", "freezed", "--plugin", "freezed.py"), "freezed has the name of another"),
        (("new-method", "freezed"), "the shelf has a method of this name"),
        (("new-method", "../mine"), "small letters"),
    ],
)
def test_what_does_not_fit_is_one_line(arguments: tuple[str, ...], message: str, command: Command) -> None:
    Path("freezed.py").write_text(QUIET.replace("quiet", "freezed"))
    done = command(*arguments)
    assert done.code == 2 and done.out == ""
    assert message in done.err and done.err.startswith("error: ") and done.err.count("\n") == 1


def test_list_shows_what_a_method_is_and_a_broken_one_with_its_reason(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    Path("quiet.py").write_text(QUIET)
    Path("torn.py").write_text("(")
    Path("late.py").write_text(QUIET.replace("quiet", "late") + "\n    def frozen(self, nets):\n        return 1 / 0\n")
    done = command(
        "list", "methods", *(word for name in ("quiet", "torn", "late") for word in ("--plugin", name + ".py"))
    )
    assert done.code == 0
    assert re.search(r"│ quiet +│ plug-in quiet.py +│ 1 +│ G 100 %, D 100 % +│ – +│", done.out)
    assert re.search(r"│ freezed +│ shelf +│ 2 +│ G 100 %, D 90 % +│ – +│", done.out)
    assert re.search(r"│ layer_swap +│ shelf +│ 1 +│ as finetune +│ swap_at_px +│", done.out)
    assert re.search(r"│ torn +│ plug-in torn.py +│ – +│ unavailable +│", done.out)
    assert re.search(
        r"^torn +unavailable: method torn: plug-in torn.py cannot be imported \(SyntaxError", done.out, re.MULTILINE
    )
    assert re.search(r"│ late .* unknown ", done.out)
    assert "what trains is unknown (ZeroDivisionError: division by zero). Try: " in done.out
    assert re.search(r"^fixnoise +FixNoise: .* \(licence of the authors' code: NVIDIA .*\)", done.out, re.MULTILINE)
    assert re.search(r"^ +--set fixnoise.FIELD: weight=0.05, match=.*interpolation=linear", done.out, re.MULTILINE)


@pytest.mark.parametrize("columns", [80, 160])
def test_the_list_of_methods_fits_a_terminal(columns: int, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = command("list", "methods").out.splitlines()
    assert max(map(len, shown)) <= columns
    first = {line.split("│")[1].strip() for line in shown if line.startswith("│")}
    assert set(method_names()) <= first, "a name is cut"


def test_a_broken_plugin_harms_no_run_and_a_composition_is_a_row(command: Command, tmp_path: Path) -> None:
    Path("torn.py").write_text("(")
    settings = ("--domains", "toy-rings", "--set", "fixnoise.weight=0.5", "--plugin", "torn.py", "--out", "res")
    done = command("run", *QUICK, "--methods", "freezed+fixnoise,layer_swap+freezed,freezed", *settings)
    assert done.code == 0, done.err
    tables = (tmp_path / "res" / "tables.md").read_text()
    assert "| FixNoise + FreezeD (noise 1) |" in tables
    assert "| FreezeD + Layer swapping (16 px) |" in tables
    made = [json.loads(path.read_text()) for path in (tmp_path / "res" / "records").glob("*.json")]
    both = [record for record in made if record["method"] == "fixnoise+freezed"]
    assert {record["control"] for record in both} == {0.0, 0.25, 0.5, 0.75, 1.0}
    fields = {"fixnoise.weight": 0.5, "fixnoise.interpolation": "linear", "freezed.up_to_px": 16}
    assert all(fields.items() <= record["fields"].items() for record in both)
    keys = {record["method"]: record["train_key"] for record in made}
    assert keys["freezed+layer_swap"] == keys["freezed"] != keys["fixnoise+freezed"]
    assert len(list((tmp_path / "res" / "checkpoints").iterdir())) == 2


def test_a_dry_run_and_the_table_name_a_composition_alike(command: Command) -> None:
    arguments = ("run", *QUICK, "--methods", "freezed+fixnoise,freezed", "--domains", "toy-rings", "--dry-run")
    plain, changed = command(*arguments), command(*arguments, "--set", "fixnoise.weight=0.1")
    assert plain.code == changed.code == 0 and not Path("results").exists()
    lines = [done.out.splitlines() for done in (plain, changed)]
    rows = [[line.split() for line in shown if line.startswith("fixnoise+freezed ")] for shown in lines]
    assert [row[3] for row in rows[0]] == ["0.0", "0.25", "0.5", "0.75", "1.0"]
    assert len({row[5] for row in rows[0]}) == 1
    assert not {word for row in rows[0] for word in row[4:]} & {word for row in rows[1] for word in row[4:]}
    others = [{line for line in shown if not line.startswith("fixnoise+freezed ")} for shown in lines]
    assert others[0] == others[1], "a field of one part changed another method's key"


def test_new_method_writes_what_conforms(command: Command, tmp_path: Path) -> None:
    done = command("new-method", "mine")
    assert done.code == 0
    assert done.out.splitlines()[-1] == "next: python -m benchmark conform mine --plugin mine.py"
    assert {path.name for path in tmp_path.iterdir()} == {"mine.py", "test_mine.py"}
    assert command("conform", "mine", "--plugin", "mine.py").code == 0
    assert command("new-method", "mine").code == 2


def test_a_method_without_its_file_fails_with_the_reason_and_the_others_run(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    asked = ("run", *QUICK, "--methods", "stylegan_nada,finetune", "--domains", "toy-rings")
    done = command(*asked, "--out", "without")
    found = {r.method: r for r in ResultStore(Path("without")).read_all()[0]}
    assert done.code != 0 and found["finetune"].status == "done" and found["stylegan_nada"].status == "failed"
    assert "method stylegan_nada: not available: needs ViT-B-32.pt" in str(found["stylegan_nada"].reason)
    write_stand_in("clip_vit_b32", tmp_path).rename(tmp_path / "ViT-B-32.pt")
    done = command(*asked, "--out", "with", "--stand-in-weights", str(tmp_path))
    found = {r.method: r for r in ResultStore(Path("with")).read_all()[0]}
    assert done.code == 0, done.err
    assert found["stylegan_nada"].status == "done" and found["stylegan_nada"].trained_on == ("standin_clip_vit_b32",)
    assert "trained with stand-in weights, the numbers mean nothing" in " ".join(done.out.split())

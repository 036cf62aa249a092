"""`translate` and `eval.translate` through the real command line: strips, records, pictures that are none."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import QUICK, Done, Finished
from PIL import Image

import benchmark
from benchmark.domains import load_domain
from benchmark.domains.cards import card_shelf
from benchmark.errors import ConfigError
from benchmark.metrics.catalogue import OF_PICTURES
from benchmark.results import ResultStore
from benchmark.sources.inversion import Search
from benchmark.use.adapted import from_run, methods_in
from benchmark.use.demo import Handlers, Networks
from benchmark.use.translate import translate

Command = Callable[..., Done]
FEW = ("--steps", "3")
FEWER = ("--set", "eval.pairs=3")
PX, LABEL = 32, 18


@pytest.fixture
def drawing(cache: Path, tmp_path: Path) -> Path:
    """A held-out picture of the source's domain."""
    image = load_domain("toy-disks", PX, 1, 1, cache).test[0]
    Image.fromarray(image.transpose(1, 2, 0)).save(tmp_path / "drawing.png")
    return tmp_path / "drawing.png"


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def row(strip: np.ndarray, number: int) -> np.ndarray:
    """The first picture of a row, below its label."""
    top = number * (PX + LABEL) + LABEL
    return strip[top : top + PX, :PX]


def test_a_strip_has_the_picture_its_inversion_and_each_method_at_the_values_that_it_takes(
    finished: Finished, command: Command, tmp_path: Path, drawing: Path
) -> None:
    asked = ("--method", "finetune,layer_swap,fixnoise", "--control", "0,0.5", "--out", "strip.png")
    done = command("translate", str(drawing), str(drawing), "--run", str(finished.out), *asked, *FEW)
    assert done.code == 0 and "ST" not in done.err, done.err
    assert done.out.count("found to st_lpips_alex") == 2 and "4 rows of translations" in done.out
    strip = pixels(tmp_path / "strip.png")
    assert strip.shape[0] == 6 * (PX + LABEL)
    assert (row(strip, 0) == pixels(drawing)).all()
    rows = [row(strip, number) for number in range(6)]
    assert all((one != other).any() for i, one in enumerate(rows) for other in rows[:i])


def test_the_python_function_gives_what_the_strip_shows(
    finished: Finished, command: Command, cache: Path, tmp_path: Path, drawing: Path
) -> None:
    out = ("--method", "fixnoise", "--control", "0.5", "--out", "strip.png")
    assert command("translate", str(drawing), "--run", str(finished.out), *out, *FEW).code == 0
    net = from_run(finished.out, cache, "fixnoise")
    for image in (drawing, Image.open(drawing), pixels(drawing)):
        made = translate(net, image, 0.5, Search(steps=3), cache=cache)
        assert made.dtype == np.uint8 and (made == row(pixels(tmp_path / "strip.png"), 2)).all()
    assert (benchmark.Network(net).translate(drawing, 0.5, steps=3) == made).all()


def test_any_picture_is_read_as_domains_read_it(finished: Finished, command: Command, tmp_path: Path) -> None:
    wide = np.zeros((40, 80, 4), np.uint8)
    wide[10:30, 30:50] = (200, 40, 90, 255)
    Image.fromarray(wide).save(tmp_path / "alpha.png")
    Image.fromarray(wide[..., :3]).convert("CMYK").save(tmp_path / "cmyk.jpg", quality=100)
    files = [str(tmp_path / name) for name in ("alpha.png", "cmyk.jpg")]
    done = command("translate", *files, "--run", str(finished.out), "--method", "finetune", *FEW)
    assert done.code == 0, done.err
    alpha, cmyk = (pixels(tmp_path / "strip.png")[LABEL : LABEL + PX, x : x + PX] for x in (0, PX))
    assert (alpha[0, 0] == 255).all() and np.abs(alpha[16, 16].astype(int) - (200, 40, 90)).max() < 3
    assert (cmyk[0, 0] < 30).all() and np.abs(cmyk[16, 16].astype(int) - (200, 40, 90)).max() < 30


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"hello", "picture.png: not an image."),
        (b"", "picture.png: not an image, but an empty file."),
        (None, "is no file"),
        ("huge", "too large"),
        ("tiny", "too small: 8x8 px"),
        ("half", "cannot be decoded"),
    ],
)
def test_what_is_no_picture_is_one_line_and_leaves_nothing(
    finished: Finished, command: Command, tmp_path: Path, content: bytes | str | None, said: str
) -> None:
    path = tmp_path / "picture.png"
    if content == "huge":
        Image.new("1", (20000, 20000)).save(path)
    elif content == "tiny":
        Image.new("RGB", (8, 8)).save(path)
    elif content == "half":
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(path)
        path.write_bytes(path.read_bytes()[:4000])
    elif isinstance(content, bytes):
        path.write_bytes(content)
    done = command("translate", str(path), "--run", str(finished.out), *FEW)
    assert done.code == 2 and said in done.err and len(done.err.strip().splitlines()) == 1, done.err
    assert not (tmp_path / "strip.png").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--method", "fixnois"), "did you mean fixnoise"),
        (("--control", "7"), "choose from"),
        (("--method", "finetune", "--control", "1"), "has no control"),
        (("--domain", "toy-ring"), "toy-rings"),
        (("--out", "strip.jpg"), "ends in .png"),
        (("--out", "/dev/null/strip.png"), "cannot write /dev/null/strip.png"),
        (("--distance", "lpips_vgg"), "needs vgg16"),
        (("--method", ""), "the list is empty"),
    ],
)
def test_bad_input_is_one_line_that_names_what_there_is(
    finished: Finished, command: Command, tmp_path: Path, drawing: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = command("translate", str(drawing), "--run", str(finished.out), *arguments, *FEW)
    assert done.code == 2 and said in done.err and len(done.err.strip().splitlines()) == 1, done.err
    assert not list(tmp_path.glob("strip.*"))


@pytest.mark.parametrize("out", ["drawing.png", "./drawing.png", "link.png"])
def test_a_picture_is_not_replaced_by_its_strip(
    finished: Finished, command: Command, tmp_path: Path, drawing: Path, out: str
) -> None:
    (tmp_path / "link.png").symlink_to(drawing)
    before = drawing.read_bytes()
    done = command("translate", str(drawing), "--run", str(finished.out), "--out", out, *FEW)
    assert done.code == 2 and f"--out {Path(out)} is one of the pictures" in done.err, done.err
    assert drawing.read_bytes() == before and (tmp_path / "link.png").is_symlink()


def test_without_gradio_the_demo_says_what_to_install(
    finished: Finished, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)  # as where it is not installed
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    done = command("demo", str(finished.out), "--no-open")
    assert done.code == 2 and "stylegan-transfer-benchmark[demo]" in done.err, done.err
    assert len(done.err.strip().splitlines()) == 1 and not list(tmp_path.glob("benchmark-demo-*"))


@pytest.mark.slow(
    twin="tests/unit/running/test_few_pictures.py::test_each_metric_costs_its_own_cell_and_the_record_is_done"
)
def test_as_an_axis_of_the_benchmark_pictures_are_inverted_once_and_scored_for_each_row(
    command: Command, cache: Path, tmp_path: Path
) -> None:
    """In a medium of one's own folder the right answer is known."""
    pack = card_shelf() / "packs" / "pixel-art-32.zip"
    own = ("--domains", str(pack), "--set", "medium=charcoal", "--set", "eval.metrics=[kid_randconv]")
    asked = (*FEWER, "--set", "eval.translate=true", "--methods", "finetune,style_align", "--out", "res")
    shutil.rmtree(cache / "inversions", ignore_errors=True)
    done = command("run", *QUICK, *own, *asked)
    assert done.code == 0, done.err
    assert len(re.findall(r"invert 3 pictures in smoke-32: [\d.]+ s$", done.out, re.MULTILINE)) == 1
    made, _ = ResultStore(tmp_path / "res").read_all()
    assert len(made) == 7
    for record in made:
        assert tuple(record.metrics) == ("kid_randconv", *OF_PICTURES)
        assert all(record.metrics[name].n == 3 for name in OF_PICTURES)
        error = record.metrics["picture_error_l1"]
        assert error.value is not None and error.floor is not None and 0 < error.floor < error.value
        assert record.settings["eval"]["translate"] is True
    seconds = {json.loads(record.timing.model_dump_json())["inversion_seconds"] for record in made}
    assert len(seconds) == 1 and seconds.pop() > 0


def test_only_what_a_run_trained_and_finished_is_offered(finished: Finished, cache: Path, tmp_path: Path) -> None:
    """Rows of `evaluate` have no weights, and a method may have failed on one of the domains."""
    out = tmp_path / "res"
    shutil.copytree(finished.out, out, ignore=shutil.ignore_patterns("figures", ".*.tmp"))
    everyone = methods_in(out)
    for path in (out / "records").glob("*.json"):
        record = json.loads(path.read_text())
        if record["method"] == "finetune":
            path.write_text(json.dumps(record | {"outside": "adapted.pkl"}))
        if record["method"] == "layer_swap" and record["is_default_control"]:
            path.write_text(json.dumps(record | {"status": "failed", "reason": "x", "metrics": {}}))
    assert set(everyone) - set(methods_in(out)) == {"finetune", "layer_swap"}
    assert methods_in(out, "toy-rings", 0) == methods_in(out) and methods_in(out, "elsewhere") == []
    networks = Networks(out, cache)
    assert not [name for name in networks.records if name.startswith(("finetune", "layer_swap"))]
    (name,) = [name for name in networks.records if name.startswith("fixnoise ")]
    found: Any = ("the sha256 of another source", None)
    assert Handlers(networks, cache).translate(name, None, found) is None


def test_a_path_may_be_a_text_and_steps_are_counted(finished: Finished, cache: Path, drawing: Path) -> None:
    net = from_run(finished.out, cache, "finetune")
    made = benchmark.Network(net).translate(str(drawing), steps=1)
    assert made.shape == (PX, PX, 3) and net.images([]).shape == (0, 3, PX, PX)
    for steps in (0, -5):
        with pytest.raises(ConfigError, match="at least one step"):
            benchmark.Network(net).translate(drawing, steps=steps)


@pytest.mark.parametrize("control", ["016", "1:30", "["])
def test_a_control_that_is_no_plain_value_is_one_line(finished: Finished, command: Command, control: str) -> None:
    done = command("generate", str(finished.out), "--method", "layer_swap", "--control", control, "--out", "x.png")
    assert done.code == 2 and "Traceback" not in done.err and "--control" in done.err, done.err

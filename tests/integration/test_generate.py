"""`generate` through the real command line: the same pictures twice, those of the evaluation, bad input."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import Done, Finished
from PIL import Image

from benchmark.results import ResultStore
from benchmark.training.determinism import PINNED
from benchmark.use.adapted import from_run
from benchmark.use.generate import evaluated_images, unlike

Command = Callable[..., Done]
MANY = "0-99999,100000-199999,200000-262144"
"""One more than 512 rows of 512."""


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_a_seed_is_the_same_picture_whatever_others_are_asked_for(
    finished: Finished, command: Command, tmp_path: Path
) -> None:
    run = (str(finished.out), "--method", "fixnoise")
    assert command("generate", *run, "--seeds", "0-3", "--out", "some").code == 0
    assert command("generate", *run, "--seeds", "2,7", "--out", "others").code == 0
    assert sorted(p.name for p in (tmp_path / "some").iterdir()) == [f"seed{i:04d}.png" for i in range(4)]
    assert (tmp_path / "some/seed0002.png").read_bytes() == (tmp_path / "others/seed0002.png").read_bytes()
    assert command("generate", *run, "--n", "2", "--out", "two").code == 0
    assert command("generate", *run, "--n", "1", "--seeds", "5-9", "--out", "five").code == 0
    found = [sorted(p.name for p in (tmp_path / name).iterdir()) for name in ("two", "five")]
    assert found == [["seed0000.png", "seed0001.png"], ["seed0005.png"]]
    assert (pixels(tmp_path / "others/seed0002.png") != pixels(tmp_path / "others/seed0007.png")).any()


@pytest.mark.parametrize("method", ["finetune", "layer_swap", "fixnoise"])
def test_evaluated_images_are_those_of_the_record(
    finished: Finished, command: Command, tmp_path: Path, method: str
) -> None:
    records = [json.loads(p.read_text()) for p in (finished.out / "records").glob("*.json")]
    record = next(r for r in records if r["method"] == method and r["is_default_control"])
    done = command("generate", str(finished.out), "--method", method, "--seeds", "0-3", "--evaluated", "--out", "drawn")
    assert done.code == 0 and done.err == "", done.err
    strip = pixels(finished.out / record["grid"])
    px = strip.shape[0]
    assert sorted(p.name for p in (tmp_path / "drawn").iterdir()) == [f"eval{i:04d}.png" for i in range(4)]
    for i in range(4):
        assert (pixels(tmp_path / f"drawn/eval{i:04d}.png") == strip[:, i * px : (i + 1) * px]).all()


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(("said", "used"), [(1, 1), (3, 3), (0, 2), (10**9, 2), ("many", 2), (None, 2)])
def test_evaluated_images_are_drawn_with_the_threads_of_the_record(
    finished: Finished, cache: Path, said: object, used: int
) -> None:
    """A number that cannot be used is told, and this process's own counts."""
    net = from_run(finished.out, cache, "fixnoise")
    assert net.record is not None
    record = net.record.model_copy(update={"environment": {**net.record.environment, "threads": said}})
    seen = set[int]()
    net.weights.register_forward_hook(lambda *_: seen.add(torch.get_num_threads()))
    evaluated_images(replace(net, record=record), 4, 1.0)
    assert seen == {used} and torch.get_num_threads() == 2
    assert unlike(record) == ([] if used == said else [f"with {said} threads"])


def test_what_may_differ_from_what_was_measured_is_told(
    finished: Finished, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(finished.out, tmp_path / "copy")
    store = ResultStore(tmp_path / "copy")
    for record in store.read_all()[0]:
        train = {**record.settings["train"], "deterministic": True}
        other = {**record.environment, "device": "CPU of another make", "torch": "1.0"}
        store.write(record.model_copy(update={"environment": other, "settings": {**record.settings, "train": train}}))
    asked = ("copy", "--method", "fixnoise", "--n", "1", "--out", "drawn")
    done = command("generate", *asked, "--evaluated")
    said = "on CPU of another make, by PyTorch 1.0{} pinned kernels of train.deterministic: single grey levels may"
    assert done.code == 0 and said.format(" and with the") in done.err, done.err
    for name, value in PINNED.items():
        monkeypatch.setenv(name, value)
    assert "pinned" not in command("generate", *asked, "--evaluated").err
    assert command("generate", *asked).err == ""


def test_what_a_gpu_measured_is_not_drawn_again_here(finished: Finished, command: Command, tmp_path: Path) -> None:
    """Its random noise is another, so these would be other pictures."""
    shutil.copytree(finished.out, tmp_path / "copy")
    store = ResultStore(tmp_path / "copy")
    for record in store.read_all()[0]:
        store.write(record.model_copy(update={"environment": {**record.environment, "device": "NVIDIA H200"}}))
    done = command("generate", "copy", "--method", "fixnoise", "--seeds", "0-3", "--evaluated", "--out", "drawn")
    assert done.code == 2 and not (tmp_path / "drawn").exists()
    assert "was measured on NVIDIA H200" in done.err and len(done.err.strip().splitlines()) == 1, done.err
    assert command("generate", "copy", "--method", "fixnoise", "--seeds", "0", "--out", "drawn").code == 0


def test_a_grid_has_a_row_for_each_value_and_one_of_real_images(
    finished: Finished, command: Command, tmp_path: Path
) -> None:
    arguments = ("--method", "fixnoise", "--seeds", "0-4", "--control", "0,0.3,1", "--reals", "--out", "grid.png")
    done = command("generate", str(finished.out), *arguments)
    assert done.code == 0 and "15 pictures" in done.out, done.err
    px = 32
    assert pixels(tmp_path / "grid.png").shape == (4 * (px + 18), 5 * px, 3)
    assert [p.name for p in tmp_path.iterdir()] == ["grid.png"]


@pytest.mark.parametrize("out", ["drawn", "."])
def test_real_images_lie_in_a_folder_beside_the_pictures(
    finished: Finished, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    """What `evaluate` finds in the pictures' folder is of the generator alone."""
    here = tmp_path / "drawn"
    if out == ".":
        here.mkdir()
        monkeypatch.chdir(here)
    done = command("generate", str(finished.out), "--method", "fixnoise", "--n", "2", "--reals", "--out", out)
    assert done.code == 0 and "drawn-reals" in done.out, done.err
    assert sorted(p.name for p in here.iterdir()) == ["seed0000.png", "seed0001.png"]
    assert sorted(p.name for p in (tmp_path / "drawn-reals").iterdir()) == ["real0000.png", "real0001.png"]


def test_pictures_of_several_commands_are_told_apart_where_nobody_names_a_folder(
    finished: Finished, command: Command, tmp_path: Path
) -> None:
    run = ("generate", str(finished.out), "--n", "2", "--method")
    for words in ((*run, "fixnoise"), (*run, "finetune"), (*run, "fixnoise", "--evaluated"), (*run, "source")):
        assert command(*words).code == 0
    assert command("generate", "--source", "smoke-32", "--n", "1").code == 0
    seeds, evaluated = (["seed0000.png", "seed0001.png"], ["eval0000.png", "eval0001.png"])
    assert {p.name: sorted(x.name for x in p.iterdir()) for p in (tmp_path / "pictures").iterdir()} == {
        "fixnoise-toy-rings": [*evaluated, *seeds],
        "finetune-toy-rings": seeds,
        "source-toy-rings": seeds,
        "smoke-32": seeds[:1],
    }


def test_videos_loop_and_have_the_frames_that_were_asked_for(
    finished: Finished, command: Command, tmp_path: Path
) -> None:
    video = ("--seconds", "0.5", "--fps", "8", "--seeds", "0-3")
    made = command("generate", str(finished.out), "--method", "fixnoise", *video, "--video", "control.webp")
    assert made.code == 0 and made.out.splitlines()[-1] == "4 frames, 8 per second, of FixNoise in control.webp", made
    assert command("generate", "--source", "smoke-32", *video, "--walk", "latents", "--video", "walk.gif").code == 0
    for name in ("control.webp", "walk.gif"):
        with Image.open(tmp_path / name) as image:
            assert image.n_frames == 4 and image.info["loop"] == 0, name
            lasting = []
            for i in range(4):
                image.seek(i)
                image.load()
                lasting.append(image.info["duration"])
            assert sum(lasting) == 500, "what was rounded in one frame is made good by the next"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--method", "fixnois"), "did you mean fixnoise"),
        ((), "choose one with --method"),
        (("--method", "fixnoise", "--domain", "toy-ring"), "toy-rings"),
        (("--method", "fixnoise", "--control", "2"), "choose from"),
        (("--method", "finetune", "--control", "1"), "has no control"),
        (("--method", "fixnoise", "--training-seed", "5"), "with seeds 0, not 5"),
        (("--method", "fixnoise", "--label", "3"), "knows no labels"),
        (("--method", "fixnoise", "--seeds", "0..5"), "ranges such as 0-4"),
        (("--method", "fixnoise", "--seeds", "0-3", "--n", "5"), "--seeds names 4"),
        (("--method", "finetune", "--video", "a.webp"), "no control that moves smoothly"),
        (("--method", "fixnoise", "--video", "a.avi"), "a name that ends in"),
        (("--method", "fixnoise", "--video", "a.gif", "--fps", "60"), "50 frames per second at most"),
        (("--method", "fixnoise", "--video", "a.gif", "--seconds", "1e308"), "a video has at most 36000 frames"),
        (("--method", "fixnoise", "--video", "a.gif", "--seconds", "1501"), "a video has at most 36000 frames"),
        (("--method", "fixnoise", "--video", "a.webp", "--seeds", MANY), "16416x16384 px, a side at most 16383"),
        (("--method", "fixnoise", "--out", "grid.JPG"), "name a folder, or a grid that ends in .png"),
        (("--method", "fixnoise", "--video", "a.gif", "--control", "1"), "--control would change nothing in a video"),
        (("--method", "fixnoise", "--video", "a.gif", "--walk", "latents", "--control", "0,1"), "give one"),
        (("--method", "fixnoise", "--video", "a.gif", "--out", "b", "--reals"), "--out and --reals would change"),
        (
            ("--method", "fixnoise", "--video", "a.gif", "--evaluated"),
            "--evaluated would change nothing beside --video",
        ),
        (("--method", "fixnoise", "--walk", "latents", "--fps", "9"), "--walk and --fps would change nothing without"),
        (("--method", "fixnoise", "--evaluated", "--psi", "0.7"), "--psi would change nothing beside --evaluated"),
        (("--method", "fixnoise", "--evaluated", "--noise", "none"), "--noise would change nothing beside --evaluated"),
        (("--method", "fixnoise", "--evaluated", "--label", "1"), "--label would change nothing beside --evaluated"),
        (("--method", "fixnoise", "--evaluated", "--seeds", "4-7"), "say how many with --n"),
    ],
)
def test_bad_input_is_one_line_that_names_what_there_is(
    finished: Finished, command: Command, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = command("generate", str(finished.out), *arguments)
    assert done.code == 2 and said in done.err and len(done.err.strip().splitlines()) == 1, done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["--reals", "--method=fixnoise", "--domain=toy-rings", "--training-seed=0"])
def test_what_belongs_to_a_run_is_refused_beside_a_source(command: Command, tmp_path: Path, option: str) -> None:
    done = command("generate", "--source", "smoke-32", "--seeds", "0", option)
    assert done.code == 2 and f"{option.partition('=')[0]} would change nothing beside --source" in done.err, done.err
    assert list(tmp_path.iterdir()) == []


def test_a_video_of_the_control_draws_with_the_noise_that_is_asked_for(
    finished: Finished, command: Command, tmp_path: Path
) -> None:
    """Without noise there is nothing that this control could move."""
    video = ("--method", "fixnoise", "--seconds", "0.5", "--fps", "8", "--seeds", "0,1")
    still = {}
    for noise in ("method", "none"):
        done = command("generate", str(finished.out), *video, "--noise", noise, "--video", f"{noise}.webp")
        assert done.code == 0, done.err
        with Image.open(tmp_path / f"{noise}.webp") as image:
            frames = []
            for i in range(image.n_frames):
                image.seek(i)
                frames.append(np.asarray(image.convert("RGB")))
        still[noise] = all(np.array_equal(frame, frames[0]) for frame in frames)
    assert still == {"method": False, "none": True}


def test_damaged_weights_draw_nothing(finished: Finished, command: Command, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished.out, copy)
    for file in (copy / "checkpoints").glob("*.safetensors"):
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 4
        file.write_bytes(data)
    done = command("generate", str(copy), "--method", "fixnoise", "--out", "drawn")
    assert done.code == 2 and "damaged" in done.err and not (tmp_path / "drawn").exists(), done.err


def test_weights_behind_a_link_are_not_read(finished: Finished, command: Command, tmp_path: Path) -> None:
    """The folder may be somebody else's; the right weights lie there, so nothing else can be the reason."""
    shutil.copytree(finished.out, tmp_path / "copy")
    (tmp_path / "copy/checkpoints").rename(tmp_path / "elsewhere")
    (tmp_path / "copy/checkpoints").symlink_to(tmp_path / "elsewhere")
    done = command("generate", "copy", "--method", "finetune", "--seeds", "0", "--out", "drawn")
    assert done.code == 2 and "lies behind checkpoints, which is a link" in done.err, done.err
    assert not (tmp_path / "drawn").exists()

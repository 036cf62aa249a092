"""Suites whose settings follow from the source and the number of images."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import PIL
import pytest
from image_files import folder_of, noise
from PIL import Image
from rich.console import Console

from benchmark.domains.assets import target_folder
from benchmark.domains.prepared import Entry, new_prepared, png
from benchmark.errors import ConfigError, UnknownName
from benchmark.running.forecast import missing_domains
from benchmark.running.setup import Request, prepare
from benchmark.suites import own
from benchmark.suites.own import derived


@pytest.mark.parametrize(
    ("resolution", "batch", "gamma"), [(64, 32, 0.0256), (256, 16, 0.8192), (512, 8, 6.5536), (1024, 4, 52.4288)]
)
def test_batch_and_gamma_are_those_of_the_usual_configuration(resolution: int, batch: int, gamma: float) -> None:
    train = derived("own", resolution, 1336)["train"]
    assert train["batch"] == batch and train["r1_gamma"] == pytest.approx(gamma)
    assert train["augment"] == "ada" and train["mirror"] is True
    assert train["lr_g"] == (0.002 if resolution == 1024 else 0.0025)


def test_length_follows_the_number_of_images_and_the_area() -> None:
    at = {n: derived("own", 256, n)["train"]["kimg"] for n in (30, 1500, 20_000)}
    assert at == {30: 20, 1500: 500, 20_000: 1000}
    assert derived("own", 64, 20_000)["train"]["kimg"] == 62.5
    assert derived("fewshot", 256, 10)["train"]["kimg"] == 10
    assert derived("fewshot", 256, 10)["train"]["batch"] == 4


def test_held_out_images_decide_what_is_measured() -> None:
    few, small, large = (
        derived("fewshot", 256, 10),
        derived("own", 256, 60),
        derived("own", 256, 3000),
    )
    assert few["split"] == {"train": 10, "test": 0} and "kid_effnetlite0_128" not in few["eval"]["metrics"]
    assert small["split"] == {"train": 40, "test": 20} and "fid" not in small["eval"]["metrics"]
    assert large["split"] == {"train": 2000, "test": 1000} and "fid" in large["eval"]["metrics"]
    assert large["eval"]["samples"] == 5000


def test_fixnoise_has_its_published_weight_on_wide_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = Request("own", (), {"source": "smoke-32", "domains": ["toy-rings"]}, "cpu", tmp_path)
    weights = []
    for wide in (512, 4):  # smoke-32 lies between
        monkeypatch.setattr("benchmark.suites.own.WIDE", wide)
        weights.append({m.name: m.model_dump().get("weight") for m in request.load()[1]}["fixnoise"])
    assert weights == [0.2, 0.05]


@pytest.mark.parametrize("suite", ["own", "own-fewshot"])
def test_mining_leaves_most_of_a_short_training_to_the_rest(suite: str, pictures: str, tmp_path: Path) -> None:
    """MineGAN's 1,000 steps, or 100 on narrow networks, are longer than the whole of it."""

    def steps(*settings: str) -> tuple[int, float]:
        found, (method,) = asked(suite, pictures, tmp_path, "methods=[minegan]", *settings).load()
        return method.model_dump()["mine_steps"], found.train.kimg * 1000 / found.train.batch

    mining, whole = steps()
    assert mining == round(0.33 * whole) < 100
    assert steps("minegan.mine_steps=7")[0] == 7


def test_a_plug_ins_steps_follow_the_length_too(pictures: str, tmp_path: Path) -> None:
    (tmp_path / "patient.py").write_text(
        "from benchmark.api import Field, Method\n\n\nclass Patient(Method):\n"
        '    name = "patient"\n    waits: int = Field(900, description="steps")\n'
    )
    chosen = {"methods": ["patient"], "step_shares": {"patient": {"waits": 0.5}}}
    request = replace(asked("own", pictures, tmp_path), plugins=(str(tmp_path / "patient.py"),))
    found, (method,) = replace(request, overrides={**request.overrides, **chosen}).load()
    assert method.model_dump() == {"waits": round(0.5 * found.train.kimg * 1000 / found.train.batch)}


@pytest.fixture
def pictures(tmp_path: Path) -> str:
    return str(folder_of(tmp_path / "mine", map(noise, range(12))))


def asked(suite: str, pictures: str, cache: Path, *settings: str) -> Request:
    return Request(suite, settings, {"source": "smoke-32", "domains": [pictures]}, "cpu", cache, threads=1)


def test_a_folder_and_a_source_are_enough_and_what_is_set_counts(pictures: str, tmp_path: Path) -> None:
    suite, methods = asked("own", pictures, tmp_path, "train.kimg=0.064", "freezed.up_to_px=8").load()
    assert (suite.resolution, suite.split.train, suite.split.test) == (32, 8, 4)
    assert suite.train.kimg == 0.064 and suite.train.batch == 32 and suite.train.mirror
    at = {method.name: method.model_dump() for method in methods}
    assert at["freezed"]["up_to_px"] == 8 and at["layer_swap"]["swap_at_px"] == 16
    few, _ = asked("own-fewshot", pictures, tmp_path).load()
    assert (few.split.train, few.split.test, few.train.batch) == (12, 0, 4)


@pytest.mark.parametrize("more", [{"scale": 0.5}, {"name": "birds-10"}])
def test_a_rehearsal_or_a_copy_is_derived_in_the_same_way(
    more: dict[str, object], pictures: str, tmp_path: Path
) -> None:
    request = asked("own-fewshot", pictures, tmp_path)
    suite, _ = replace(request, overrides={**request.overrides, **more}).load()
    assert suite.name != "own-fewshot"
    assert (suite.split.train, suite.split.test, suite.train.batch) == (12, 0, 4)
    assert suite.train.r1_gamma == pytest.approx(0.0002 * 32**2 / 4) and suite.train.snapshot_kimg == ()


def test_only_usable_pictures_count(pictures: str, tmp_path: Path) -> None:
    for number in range(20):
        (Path(pictures) / f"{number}.txt").write_text("a caption", "utf-8")
    Image.new("RGB", (2, 2)).save(Path(pictures) / "tiny.png")
    suite, _ = asked("own", pictures, tmp_path).load()
    assert (suite.split.train, suite.split.test) == (8, 4)


def test_a_folder_in_the_home_folder_is_counted(pictures: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    suite, _ = asked("own", "~/mine", tmp_path).load()
    assert (suite.split.train, suite.split.test) == (8, 4)
    assert missing_domains(suite, tmp_path) == []


@pytest.mark.parametrize(
    ("settings", "split", "kimg"),
    [
        ((), (2000, 1000), 15.6),  # a thousand kimg at 256 px, by the area of an image
        (("split.train=100", "split.test=50"), (100, 50), 1.0),
        (("split.test=1000",), (2000, 1000), 15.6),
    ],
)
def test_a_domain_that_can_draw_any_number_is_as_large_as_asked_for(
    settings: tuple[str, ...], split: tuple[int, int], kimg: float, tmp_path: Path
) -> None:
    suite, _ = asked("own", "toy-rings", tmp_path, *settings).load()
    assert ((suite.split.train, suite.split.test), suite.train.kimg) == (split, kimg)
    few, _ = asked("own-fewshot", "toy-rings", tmp_path).load()
    assert (few.split.train, few.split.test) == (10, 0)


def test_the_training_images_that_are_asked_for_set_the_length_and_a_held_out_number_is_one_whatever_it_is() -> None:
    assert derived("own", 256, 1500, None, 100)["train"]["kimg"] == 50
    assert derived("own", 256, 1500, None, 100)["split"] == {"train": 100, "test": 500}
    assert derived("own", 256, 1500, 1000)["split"] == {"train": 500, "test": 1000}


def test_what_a_copy_of_the_suite_states_goes_before_what_is_derived(pictures: str, tmp_path: Path) -> None:
    copy = tmp_path / "mine.yaml"
    fields = "fields: {fixnoise: {normalise: true}, ewc: {weight: 7}}\n"
    stated = "train: {kimg: 0.5, lr_g: 0.001}\neval: {psi: 0.7}\nsplit: {test: 2}\n"
    shelf = (Path(own.__file__).parent / "own.yaml").read_text("utf-8")
    lines = [line for line in shelf.splitlines() if not line.startswith(("fields:", "name:"))]
    copy.write_text("\n".join([*lines, "name: mine", fields + stated]), "utf-8")
    suite, methods = asked(str(copy), pictures, tmp_path).load()
    assert (suite.train.kimg, suite.train.lr_g, suite.train.batch, suite.eval.psi) == (0.5, 0.001, 32, 0.7)
    assert (suite.split.train, suite.split.test) == (10, 2) and "kid_effnetlite0_128" in suite.eval.metrics
    at = {method.name: method.model_dump() for method in methods}
    assert at["fixnoise"]["normalise"] is True and at["fixnoise"]["weight"] == 0.2  # that of narrow networks


def test_metrics_may_follow_from_the_images_but_not_be_none(pictures: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"eval\.metrics: the list is empty"):
        asked("own", pictures, tmp_path, "eval.metrics=[]").load()
    copy = tmp_path / "mine.yaml"
    copy.write_text((Path(own.__file__).parent / "own.yaml").read_text("utf-8") + "\ntrain:\n", "utf-8")
    suite, _ = asked(str(copy), pictures, tmp_path, "train.kimg=2").load()
    assert suite.train.kimg == 2 and suite.train.batch == 32


def test_all_pictures_train_where_none_is_to_be_held_out(pictures: str, tmp_path: Path) -> None:
    run = prepare(asked("own", pictures, tmp_path, "split.test=0"), tmp_path / "out", Console(quiet=True))
    suite = run.jobs[0].suite
    assert (suite.split.train, suite.split.test, suite.train.batch) == (12, 0, 32)
    assert len(run.domains[next(iter(run.domains))].train) == 12
    assert not any(name.startswith(("kid", "memorisation")) for name in suite.eval.metrics)


def test_a_prepared_set_has_its_own_numbers(tmp_path: Path) -> None:
    """MetFaces at 32 px with 9 images, of which 2 are held out; unprepared it has those of its card."""
    own = Request("own", (), {"source": "smoke-32", "domains": ["metfaces"]}, "cpu", tmp_path, threads=1)
    card, _ = own.load()
    assert (card.split.train, card.split.test) == (1336 - 445, 445)
    shots, _ = replace(own, overrides={**own.overrides, "domains": ["raphael-10"]}).load()
    assert (shots.split.train, shots.split.test) == (10, 0)
    splits = ["test"] * 2 + ["train"] * 7
    facts = {"name": "metfaces", "resolution": 32, "filter": "lanczos", "rule": "by_name_hash", "request": "0" * 64}
    with new_prepared(target_folder(tmp_path, "metfaces").prepared(32, "lanczos")) as writer:
        for number, split in enumerate(splits):
            pixels = noise(number)
            entry = Entry(file=f"{number}.png", split=split, sha256=hashlib.sha256(pixels.tobytes()).hexdigest())
            writer.add(entry, png(pixels), None)
        writer.finish({**facts, "pillow": PIL.__version__})
    suite, _ = own.load()
    assert (suite.split.train, suite.split.test) == (7, 2) and "fid" not in suite.eval.metrics


def test_a_misspelt_domain_gets_its_hint(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean toy-rings"):
        prepare(asked("own", "toy-ring", tmp_path), tmp_path / "out", Console(quiet=True))


def test_a_suite_that_was_tuned_to_other_networks_says_so_and_its_records_too(pictures: str, tmp_path: Path) -> None:
    console = Console(record=True, width=400)
    small = ("resolution=32", "eval.metrics=[kid_randconv]")
    run = prepare(asked("avatars", pictures, tmp_path, *small), tmp_path / "out", console)
    (said,) = run.remarks
    assert said in console.export_text().replace("\n", " ")
    assert "tuned to peeps-ink-64, 64 px" in said and "smoke-32 has 32 px" in said and "--suite own" in said
    quiet = prepare(
        asked("own", pictures, tmp_path, "eval.metrics=[kid_randconv]", "eval.curve_metrics=[]"),
        tmp_path / "own",
        console,
    )
    assert quiet.remarks == ()
    assert "mine: 8 images to train on and 4 held out" in console.export_text()

"""`evaluate` through the real command line: the bits of a run, pictures from a folder, the mark, bad input."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import QUICK, Done, Finished
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import benchmark
from benchmark.config import EvalConfig
from benchmark.errors import ConfigError
from benchmark.metrics.sampling import Sampler, to_uint8
from benchmark.sources import find_source, load_source
from benchmark.stylegan2 import Nets, save

Command = Callable[..., Done]
AGAINST = ("--against", "smoke", "--domain", "toy-rings", *QUICK[2:])
OF_PICTURES = {"kid_randconv", "fd_randconv", "memorisation_randconv", "authenticity_randconv", "intra_randconv"}


def records(out: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted((out / "records").glob("*.json"))]


def of_run(finished: Finished, method: str) -> dict:
    return next(r for r in records(finished.out) if r["method"] == method and r["is_default_control"])


def weights_of(finished: Finished, method: str) -> Path:
    return finished.out / "checkpoints" / f"{of_run(finished, method)['train_key']}.safetensors"


def write_pngs(folder: Path, images: np.ndarray) -> None:
    folder.mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{i:03d}.png")


def noise_of(count: int, px: int = 32) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, px, px, 3), np.uint8)


@pytest.mark.parametrize(("method", "more"), [("finetune", ()), ("fixnoise", ("--as", "fixnoise"))])
def test_the_same_weights_score_the_same_bits_as_in_the_run(
    finished: Finished, command: Command, tmp_path: Path, method: str, more: tuple[str, ...]
) -> None:
    arguments = (str(weights_of(finished, method)), *AGAINST, "--name", "theirs", *more, "--out", "res")
    done = command("evaluate", *arguments)
    assert done.code == 0, done.err
    theirs = {r["control"]: r for r in records(tmp_path / "res") if r["outside"]}
    ours = {r["control"]: r for r in records(finished.out) if r["method"] == method}
    assert theirs.keys() == ours.keys()
    for control, record in theirs.items():
        assert record["metrics"] == ours[control]["metrics"]
        assert (tmp_path / "res" / record["grid"]).read_bytes() == (finished.out / ours[control]["grid"]).read_bytes()
        assert (
            record["timing"]["train_seconds"] is None and record["fields"] == {} and "train" not in record["settings"]
        )
        assert any("training are unknown" in note for note in record["notes"])
    again = command("evaluate", *arguments)
    assert again.code == 0 and len(records(tmp_path / "res")) == len(theirs) + 1


def test_the_row_stands_marked_in_the_tables_of_the_run_and_is_not_ranked(
    finished: Finished, command: Command, tmp_path: Path
) -> None:
    shutil.copytree(finished.out, tmp_path / "res")
    done = command("evaluate", str(weights_of(finished, "finetune")), *AGAINST, "--name", "theirs", "--out", "res")
    assert done.code == 0 and "theirs (outside)" in done.out, done.err
    tables = (tmp_path / "res/tables.md").read_text()
    row = next(line for line in tables.splitlines() if line.startswith("| theirs (outside) |"))
    assert "trained elsewhere" in tables and "left out" not in tables.lower()
    assert row.split("|")[5].strip() == "–"
    assert "theirs (outside)" in (tmp_path / "res/page.html").read_text()
    drawn = command("generate", "res", "--method", "theirs")
    assert drawn.code == 2 and "unknown method" in drawn.err


def test_the_folder_that_export_wrote_is_its_network(finished: Finished, command: Command, tmp_path: Path) -> None:
    formats = ("--format", "safetensors", "--format", "rosinality")
    shape = ("--domain", "toy-rings", "--method", "finetune", *formats, "--out", "exported")
    assert command("export", str(finished.out), *shape).code == 0
    assert sorted(path.suffix for path in (tmp_path / "exported").iterdir()) == [".md", ".pt", ".safetensors"]
    (tmp_path / "exported" / ".DS_Store").write_bytes(b"")
    done = command("evaluate", "exported", *AGAINST, "--out", "res")
    assert done.code == 0, done.err
    (theirs,) = (r for r in records(tmp_path / "res") if r["outside"])
    assert theirs["method"] == "exported" and theirs["metrics"] == of_run(finished, "finetune")["metrics"]
    card = tmp_path / "exported/README.md"
    card.write_text(card.read_text().replace("\n- `generator-rosinality.pt`", "\n- `another.pt`"))
    done = command("evaluate", "exported", *AGAINST, "--out", "res", "--name", "second")
    assert done.code == 2 and "holds generator-rosinality.pt, which no README.md there lists" in done.err, done.err
    (tmp_path / "exported" / "more.safetensors").write_bytes(b"")
    done = command("evaluate", "exported", *AGAINST, "--out", "res", "--name", "second")
    assert done.code == 2 and "0 pictures" in done.err


def test_other_weights_under_a_name_that_is_taken_are_refused(
    finished: Finished, command: Command, tmp_path: Path
) -> None:
    first, second = (str(weights_of(finished, method)) for method in ("finetune", "fixnoise"))
    assert command("evaluate", first, *AGAINST, "--name", "theirs", "--out", "res").code == 0
    done = command("evaluate", second, *AGAINST, "--name", "theirs", "--out", "res")
    assert done.code == 2 and "has another theirs on toy-rings" in done.err and "--name" in done.err
    assert command("evaluate", second, *AGAINST, "--name", "others", "--out", "res").code == 0


def test_the_same_pictures_are_no_repetition_and_the_same_network_is_one_of_draws(
    finished: Finished, command: Command, tmp_path: Path
) -> None:
    write_pngs(tmp_path / "samples", noise_of(8))
    weights = str(weights_of(finished, "finetune"))
    for seed in ("0", "1"):
        done = command("evaluate", weights, *AGAINST, "--name", "theirs", "--seed", seed, "--out", "res")
        assert done.code == 0, done.err
    assert command("evaluate", "samples", *AGAINST, "--out", "res").code == 0
    tables = (tmp_path / "res/tables.md").read_text()
    assert "± of theirs (outside) is over draws of latents of one network, not over trainings" in tables
    before = records(tmp_path / "res")
    done = command("evaluate", "samples", *AGAINST, "--seed", "1", "--out", "res")
    assert done.code == 2 and "has these pictures as samples on toy-rings with seed 0" in done.err, done.err
    assert records(tmp_path / "res") == before
    Image.fromarray(noise_of(9)[-1]).save(tmp_path / "samples/000.png")
    assert command("evaluate", "samples", *AGAINST, "--seed", "1", "--out", "res").code == 0


def test_pictures_in_a_folder_have_the_metrics_that_need_nothing_else(
    finished: Finished, command: Command, tmp_path: Path
) -> None:
    write_pngs(tmp_path / "samples", noise_of(9, 64))
    (tmp_path / "samples/notes.txt").write_text("mine")
    done = command("evaluate", "samples", *AGAINST, "--out", "res")
    assert done.code == 0, done.err
    record = next(r for r in records(tmp_path / "res") if r["outside"])
    assert record["method"] == "samples" and record["outside"].startswith(
        "samples: the first 8 of 9 pictures, 64 px, resized to 32 px with Lanczos"
    )
    valued = {name for name, m in record["metrics"].items() if m["value"] is not None}
    assert valued <= OF_PICTURES and {"kid_randconv", "intra_randconv"} <= valued
    reasons = {name: m["reason"] for name, m in record["metrics"].items() if m["value"] is None}
    assert reasons["step_randconv"].startswith("not available: it needs the network itself")
    assert reasons["consistency_randconv"].startswith("not available: there are no pictures of the source")


def test_the_pictures_that_a_run_drew_score_the_same_bits_from_a_folder(
    finished: Finished, command: Command, tmp_path: Path, cache: Path
) -> None:
    """Also their distance to the source, given the source's pictures."""
    record, net = (
        of_run(finished, "finetune"),
        benchmark.load(finished.out, "finetune", "toy-rings", cache=cache).adapted,
    )
    streams = (record["source_sha256"], record["domain_digest"], record["seed"])
    sampler = Sampler(net.source, EvalConfig.model_validate(record["settings"]["eval"]), streams)
    drawn, _ = sampler(net.generator(None), lambda n, rng: net.method.noise(net.weights, n, None, rng))
    write_pngs(tmp_path / "samples", drawn.fakes.transpose(0, 2, 3, 1))
    write_pngs(tmp_path / "sources", drawn.sources.transpose(0, 2, 3, 1))
    done = command("evaluate", "samples", *AGAINST, "--pairs", "sources", "--out", "res")
    assert done.code == 0, done.err
    found = next(r["metrics"] for r in records(tmp_path / "res") if r["outside"])
    for name in (*sorted(OF_PICTURES), "consistency_randconv"):
        assert found[name] == record["metrics"][name], name
    assert found["consistency_anchor_randconv"]["value"] is None


def test_a_function_is_measured_on_the_latents_of_the_protocol(finished: Finished, tmp_path: Path, cache: Path) -> None:
    """One that draws with the anchor noise is as far from the source as the network is at that noise."""
    net = benchmark.load(finished.out, "finetune", "toy-rings", cache=cache).adapted
    seen: list[int] = []

    def theirs(z: np.ndarray) -> np.ndarray:
        seen.append(len(z))
        with torch.inference_mode():
            images = net.weights(torch.from_numpy(z), noise=net.source.synthesis.anchor_noise())
        return to_uint8(images).transpose(0, 2, 3, 1)

    settings = {"eval.samples": 8, "eval.pairs": 4, "eval.batch": 4}
    results = benchmark.evaluate(
        theirs, "smoke", "toy-rings", settings=settings, out=tmp_path / "res", cache=cache, quiet=True
    )
    ours = of_run(finished, "finetune")["metrics"]["consistency_anchor_randconv"]["value"]
    (record,) = results.records
    assert seen == [4, 4] and record.outside and record.method == "theirs"
    assert record.metrics["consistency_randconv"].value == pytest.approx(ours, rel=1e-4)
    assert {"theirs"} == set(results.frame().method)


def test_pairs_that_mean_nothing_are_refused(tmp_path: Path, cache: Path) -> None:
    write_pngs(tmp_path / "samples", noise_of(8))
    for what, pairs, said in (
        (noise_of, "does-not-exist", "pairs=does-not-exist: the pairs of a function"),
        (noise_of, tmp_path / "samples", "the pairs of a function"),
        (tmp_path / "samples", True, "pairs=True: name the folder"),
    ):
        with pytest.raises(ConfigError, match=said):
            benchmark.evaluate(what, "smoke", "toy-rings", pairs=pairs, out=tmp_path / "res", cache=cache, quiet=True)
    assert not (tmp_path / "res").exists()


@pytest.mark.parametrize("twice", ["samples", "sources"])
def test_pairs_whose_name_is_that_of_two_files_are_refused(command: Command, tmp_path: Path, twice: str) -> None:
    for folder in ("samples", "sources"):
        write_pngs(tmp_path / folder, noise_of(8))
    shutil.copy(tmp_path / twice / "001.png", tmp_path / twice / "000.PNG")
    done = command("evaluate", "samples", *AGAINST, "--pairs", "sources", "--out", "res")
    assert done.code == 2 and "several files are called 000" in done.err, done.err
    assert len(done.err.strip().splitlines()) == 1 and not list(tmp_path.glob("res/records/*.json"))


def test_a_suite_of_several_domains_wants_one_to_be_chosen(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(benchmark.BenchmarkError, match="toy-rings, toy-squares; choose the one"):
        benchmark.evaluate(noise_of, "smoke", out=tmp_path / "res", cache=cache, quiet=True)


@pytest.mark.parametrize(
    ("count", "px", "more", "said"),
    [
        (7, 32, (), "samples has 7 pictures, and this suite measures 8"),
        (8, 16, (), "16 x 16 px, and this suite measures 32 px: nothing is enlarged"),
        (8, 32, ("--pairs", "samples/sub"), "no picture called 000 (4 of 4 are missing)"),
        (8, 32, ("--as", "fixnoise"), "not for pictures"),
        (8, 32, ("--name", "finetune"), "a method is called so"),
        (8, 32, ("--name", "a/b"), "at most 64 letters"),
    ],
)
def test_pictures_that_do_not_fit_are_refused_in_a_line(
    command: Command, tmp_path: Path, count: int, px: int, more: tuple[str, ...], said: str
) -> None:
    write_pngs(tmp_path / "samples", noise_of(count, px))
    (tmp_path / "samples/sub").mkdir()
    done = command("evaluate", "samples", *AGAINST, *more, "--out", "res")
    assert done.code == 2 and said in done.err and len(done.err.strip().splitlines()) == 1, done.err
    assert not list(tmp_path.glob("res/records/*.json"))


def test_a_picture_of_another_shape_is_named(command: Command, tmp_path: Path) -> None:
    write_pngs(tmp_path / "samples", noise_of(8))
    for size, said in (((32, 40), "002.png in samples is 32 x 40 px: pictures"), ((64, 64), "all pictures must be of")):
        Image.new("RGB", size).save(tmp_path / "samples/002.png")
        done = command("evaluate", "samples", *AGAINST, "--out", "res")
        assert done.code == 2 and said in done.err, done.err
    whole = (tmp_path / "samples/001.png").read_bytes()
    (tmp_path / "samples/001.png").write_bytes(whole[: len(whole) // 2])
    Image.new("RGB", (32, 32)).save(tmp_path / "samples/002.png")
    done = command("evaluate", "samples", *AGAINST, "--out", "res")
    assert done.code == 2 and "001.png in samples: " in done.err, done.err


def test_networks_that_do_not_fit_are_refused_in_a_line(command: Command, tmp_path: Path, cache: Path) -> None:
    (tmp_path / "broken.pkl").write_bytes(b"\x80\x02no network")
    for file, said in (("none.pt", "does not exist"), ("broken.pkl", "broken.pkl")):
        done = command("evaluate", file, *AGAINST, "--out", "res")
        assert done.code == 2 and said in done.err and len(done.err.strip().splitlines()) == 1, done.err
    larger = find_source("open-peeps-64", cache).path
    done = command("evaluate", str(larger), *AGAINST, "--name", "larger", "--out", "res")
    assert done.code == 2 and "has resolution 64, and the source of this suite 32" in done.err, done.err


def test_networks_of_other_widths_are_measured_or_refused_in_a_line(
    command: Command, tmp_path: Path, cache: Path
) -> None:
    source = load_source(find_source("smoke-32", cache))[0].cfg
    for name, change in (("wide", {"channel_max": 2 * source.channel_max}), ("deep", {"w_dim": source.w_dim + 1})):
        save(tmp_path / f"{name}.safetensors", Nets.create(source.model_copy(update=change), seed=3))
        as_it_is = command("evaluate", f"{name}.safetensors", *AGAINST, "--out", "res")
        assert as_it_is.code == 0 and f"{name} (outside)" in as_it_is.out, as_it_is.err
        for method in ("layer_swap", "layer_swap+freezed"):
            done = command("evaluate", f"{name}.safetensors", *AGAINST, "--as", method, "--out", "swapped")
            assert done.code == 2 and "joins the weights of the two; leave it out" in done.err, done.err
            assert len(done.err.strip().splitlines()) == 1 and f"error: {name}.safetensors: " in done.err
    pictures = ("--set", "eval.translate=true", "--out", "translated")
    done = command("evaluate", "deep.safetensors", *AGAINST, *pictures)
    assert done.code == 2 and f"has w_dim {source.w_dim + 1}, and the source" in done.err, done.err
    assert len(done.err.strip().splitlines()) == 1 and "eval.translate=false" in done.err
    assert not [*tmp_path.glob("swapped/records/*.json"), *tmp_path.glob("translated/records/*.json")]


def test_other_settings_than_the_folders_are_refused_before_anything_is_measured(
    finished: Finished, command: Command, tmp_path: Path
) -> None:
    shutil.copytree(finished.out, tmp_path / "res")
    before = sorted((tmp_path / "res/records").iterdir())
    weights = str(weights_of(finished, "finetune"))
    for setting, said in (
        ("eval.samples=6", "eval.samples=8, and 6 is asked for"),
        ("eval.batch=4", "eval.batch=32, and 4 is asked for"),
        ("split.test=20", "reals.reference (held out)=48, and 20 is asked for"),
        ("split.train=40", "reals.train=64, and 40 is asked for"),
    ):
        done = command("evaluate", weights, *AGAINST, "--set", setting, "--name", "theirs", "--out", "res")
        assert done.code == 2 and said in done.err, done.err
        assert sorted((tmp_path / "res/records").iterdir()) == before
    assert command("report", "res").code == 0


def test_a_folder_whose_images_are_others_now_is_refused_before_anything_is_measured(
    finished: Finished, command: Command, tmp_path: Path
) -> None:
    write_pngs(tmp_path / "mine", noise_of(12))
    split = ("--set", "split.train=8", "--set", "split.test=4")
    against = ("--against", "smoke", "--domain", "mine", *QUICK[2:], *split, "--out", "res")
    weights = str(weights_of(finished, "finetune"))
    done = command("evaluate", weights, *against, "--name", "first")
    assert done.code == 0, done.err
    Image.fromarray(noise_of(13)[-1]).save(tmp_path / "mine/000.png")
    done = command("evaluate", weights, *against, "--name", "second")
    assert done.code == 2 and "records on mine with the digest of the domain" in done.err, done.err
    assert command("report", "res").code == 0


def test_what_a_file_lacked_and_got_instead_is_in_the_record(
    finished: Finished, command: Command, tmp_path: Path
) -> None:
    whole = load_file(weights_of(finished, "finetune"))
    with safe_open(weights_of(finished, "finetune"), "pt") as opened:
        content = json.loads(opened.metadata()["json"])
    del content["digest"]  # somebody who takes tensors out writes another file
    header = {"json": json.dumps(content)}
    kept = {name: t for name, t in whole.items() if name.startswith("g.") and "noise_const" not in name}
    save_file(kept, tmp_path / "raw.safetensors", header)
    done = command("evaluate", "raw.safetensors", *AGAINST, "--as", "fixnoise", "--out", "res")
    assert done.code == 0, done.err
    for record in (r for r in records(tmp_path / "res") if r["outside"]):
        said = [note for note in record["notes"] if note.startswith("raw.safetensors: ")]
        assert len(said) == 2 and any("new random ones" in note for note in said), said
        assert any("g_ema was not in the file: it is a copy of g" in note for note in said)

"""Whatever is wrong gets one line that says what was asked, what was found and what to do; nothing is written."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import QUICK, Done, Finished, process
from image_files import folder_of, noise

from benchmark.config import NetConfig
from benchmark.sources import source as sources
from benchmark.stylegan2 import Nets, save
from benchmark.suites.load import SHELF

Command = Callable[..., Done]
RUN = ("run", *QUICK, "--methods", "finetune", "--domains", "toy-rings", "--out", "res")


def images(folder: Path, count: int, px: int = 32) -> list[Path]:
    return sorted(folder_of(folder, (noise(n, px) for n in range(count))).iterdir())


@pytest.fixture
def mess(tmp_path: Path) -> Path:
    """A folder of things that are not what they should be."""
    good = images(tmp_path / "good", 6)
    images(tmp_path / "two", 2)
    images(tmp_path / "tiny", 6, px=8)
    for path in images(tmp_path / "truncated", 6):
        path.write_bytes(path.read_bytes()[:300])
    for folder in ("empty", "texts", "twin"):
        (tmp_path / folder).mkdir()
    for number in range(6):
        (tmp_path / "texts" / f"{number}.png").write_text("this is no picture")
    shutil.copytree(tmp_path / "good", tmp_path / "twin" / "good")
    with zipfile.ZipFile(tmp_path / "climbing.zip", "w") as archive:
        archive.write(good[0], "../../outside.png")
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04 and no more")
    (tmp_path / "file").write_text("x")
    (tmp_path / "torn.py").write_text("class Torn(Method:\n")
    smoke = (SHELF / "smoke.yaml").read_text()
    (tmp_path / "list.yaml").write_text("- smoke\n")
    (tmp_path / "tag.yaml").write_text(f"{smoke}\nx: !!python/object/apply:os.mkdir [executed]\n")
    (tmp_path / "unknown.yaml").write_text(f"{smoke}\nkimgs: 3\n")
    (tmp_path / "binary.yaml").write_bytes(os.urandom(64) + b"\xff\xfe")
    return tmp_path


WRONG: dict[str, tuple[tuple[str, ...], str]] = {
    # names
    "method": (("--methods", "fixnoize"), "unknown method 'fixnoize': did you mean fixnoise"),
    "domain": (("--domains", "toy-ring"), "unknown domain 'toy-ring': did you mean toy-rings"),
    "suite": (("--suite", "smokes"), "unknown suite 'smokes': did you mean smoke"),
    "metric": (("--set", "eval.metrics=[kid_rand]"), "unknown metric 'kid_rand': did you mean kid_randconv"),
    "source": (("--set", "source=smoke-33"), "unknown source 'smoke-33': did you mean smoke-32"),
    "field of the suite": (("--set", "train.kmig=1"), "unknown setting 'train.kmig': did you mean train.kimg"),
    "field of a method": (("--set", "finetune.weight=1"), "unknown setting 'weight': known: none"),
    "method outside of the run": (("--set", "fixnoise.weight=1"), "fixnoise is not among the methods of this run"),
    "command": (("rum",), "No such command 'rum'. Did you mean 'run'"),
    "option": (("--metods", "x"), "No such option '--metods'"),
    "failed and never tried": (("--retry-failed", "--only-missing"), "no job is both; give one"),
    "never tried and failed": (("--only-missing", "--retry-failed"), "no job is both; give one"),
    "method of a torn file": (("--methods", "one", "--plugin", "torn.py"), "unknown method 'one': .*SyntaxError: "),
    "method of no file": (("--methods", "one", "--plugin", "my/freezed.py"), "plug-in my/freezed.py does not exist"),
    # values
    "word for a number": (("--set", "train.kimg=long"), "train.kimg = 'long': .*number"),
    "negative number": (("--set", "train.kimg=-1"), "train.kimg = -1: .*greater than 0"),
    "number for a mapping": (("--set", "train=3"), "train = 3: expected a mapping"),
    "word for a list": (("--set", "domains=toy-rings"), "domains = 'toy-rings': expected a list"),
    "infinity": (("--set", "train.lr_g=.inf"), "train.lr_g = inf: .*finite"),
    "value outside of a choice": (("--set", "train.augment=rain"), "'none', 'ada', 'apa' or 'diffaug'"),
    "seeds that are words": (("--seeds", "abc"), "seeds = 'abc': 'abc' is no seed; write numbers and ranges"),
    "no seeds": (("--seeds", ","), "seeds: the list is empty"),
    "seeds twice": (("--seeds", "1,1"), "seeds: 1 is named twice"),
    "methods twice": (("--methods", "finetune,finetune"), "methods: 'finetune' is named twice"),
    "setting without value": (("--set", "train.kimg"), "--set train.kimg: expected NAME=VALUE"),
    "setting with half a list": (("--set", "seeds=["), r"--set seeds=\[: not valid YAML"),
    "setting with a tag": (("--set", "name=!!python/object/apply:os.mkdir [executed]"), "not valid YAML"),
    # what does not fit together
    "batch": (("--set", "train.batch=6"), "train.batch=6 .*Change train.batch"),
    "accumulate": (("--set", "train.accumulate=3"), "train.accumulate=3"),
    "pairs": (("--set", "eval.pairs=9"), "eval.pairs=9 must not exceed eval.samples=8"),
    "resolution": (("--set", "resolution=64"), "resolution 64, its source smoke-32 32: choose another"),
    "too many frozen layers": (("--methods", "freezed", "--set", "freezed.layers=11"), "layers=11: .*10 layers"),
    "swap between blocks": (("--methods", "layer_swap", "--set", "layer_swap.grid=[9]"), "swap_at_px=9: .*8, 16, 32"),
    "more images than there are": (("--set", "split.train=1000000"), "asked for 1000000 .* ask for fewer"),
    # images
    "no such folder": (("--domains", "no/where"), "no folder or ZIP of images at 'no/where'; check the path"),
    "empty folder": (("--domains", "empty"), "folder 'empty' holds no files; give one with images"),
    "folder of texts": (("--domains", "texts"), "0 usable images .6 skipped: not an image.; give at least 4"),
    "too few images": (("--domains", "two"), "2 usable images; give at least 4"),
    "too small images": (("--domains", "tiny"), "too small: 8x8 px, at least 16 px needed"),
    "truncated images": (("--domains", "truncated"), "truncated.; give at least 4"),
    "climbing ZIP": (("--domains", "climbing.zip"), "ZIP 'climbing.zip' refused: member '../../outside.png' leads out"),
    "broken ZIP": (("--domains", "broken.zip"), "'broken.zip' is no folder and does not open as a ZIP"),
    "text file": (("--domains", "file"), "'file' is no folder and does not open as a ZIP"),
    "two of one name": (("--domains", "good,twin/good"), "two are called good, one of them twin/good. Rename"),
    # suite files
    "missing suite file": (("--suite", "none.yaml"), "suite file none.yaml cannot be read: No such file"),
    "suite that is a list": (("--suite", "list.yaml"), r"must hold a mapping of settings; found \['smoke'\]"),
    "suite with a tag": (("--suite", "tag.yaml"), "not valid YAML in line"),
    "suite with an unknown key": (("--suite", "unknown.yaml"), "unknown setting 'kimgs'"),
    "binary suite": (("--suite", "binary.yaml"), "binary.yaml cannot be read: not a text file"),
    # places and devices
    "results in a file": (("--out", "file"), "cannot write .*file/.*choose another folder with --out"),
    "results below a file": (("--out", "file/deep"), "cannot write .*file/deep/.*choose another folder"),
    "results where nobody may write": (("--out", "/proc/results"), "cannot write /proc/results/.*choose another"),
    "cache in a file": (("--cache", "file"), "cannot write domain 'toy-rings' to .*file.*choose another cache"),
    "unknown device": (("--device", "tpu"), "--device tpu: expected auto, cpu, cuda"),
    "devices that are not there": (("--devices", "cuda:0,cuda:99"), "--devices cuda:0,cuda:99: cuda:.* does not exist"),
    "devices and jobs": (("--devices", "auto", "--jobs", "2"), "--devices auto says .* and so does --jobs 2: give one"),
    "devices and a device": (("--devices", "cpu", "--device", "cpu"), "so does --device cpu: give one of them"),
    "ranks that share no batch": (("--gpus-per-job", "3", "--jobs", "1"), "train.batch=8 in 3 parts"),
    "ranks without a process": (("--ranks-per-job", "2", "--jobs", "0"), "train.ranks=2: .* --jobs 0 allows none"),
    "devices of a task": (("--devices", "auto", "--engine", "slurm"), "--devices auto names devices of this machine"),
    "a GPU of a task": (("--device", "cuda:1", "--engine", "ray"), "--device cuda:1 names .* --engine ray the jobs"),
    "tasks to stop": (("--fail-fast", "--engine", "slurm"), "--fail-fast has no effect with --engine slurm"),
    "limits for this process": (("--jobs", "0", "--time-limit", "5"), "--jobs 0: .* Give --jobs 1, or leave the lim"),
    "device that is not there": (("--device", "cuda:99"), r"--device cuda:99: PyTorch [\w.+]+ finds \d+ CUDA devices"),
}  # fmt: skip


def refused(done: Done, said: str) -> None:
    """Exit code 2 and exactly one line, which says `said`."""
    assert done.code == 2
    (line,) = done.err.splitlines()
    assert re.match(rf"error: .*{said}", line), line
    assert len(line) < 700


def tree(folder: Path) -> set[tuple[str, int]]:
    return {(str(p.relative_to(folder)), p.stat().st_size if p.is_file() else -1) for p in folder.rglob("*")}


@pytest.mark.parametrize(("arguments", "said"), WRONG.values(), ids=WRONG)
def test_a_wrong_run_is_refused_on_one_line(
    arguments: tuple[str, ...], said: str, mess: Path, command: Command
) -> None:
    before = tree(mess)
    refused(command(*(arguments if arguments[0] == "rum" else (*RUN, *arguments))), said)
    assert tree(mess) == before


@pytest.mark.parametrize("case", ["results in a file", "option"])
def test_a_process_ends_with_code_2_and_no_traceback(case: str, mess: Path, cache: Path) -> None:
    arguments, said = WRONG[case]
    refused(process((*RUN, *arguments), cache, mess), said)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_closed_folders_are_told(mess: Path, command: Command) -> None:
    closed = mess / "good"
    closed.chmod(0)
    try:
        refused(command(*RUN, "--domains", "./good"), "cannot be read: Permission denied")
        refused(command(*RUN, "--out", "good/res"), "cannot write .*Permission denied; choose another folder")
    finally:
        closed.chmod(0o755)


def test_a_few_damaged_files_among_good_ones_are_skipped(mess: Path, command: Command) -> None:
    for name in ("00.png", "01.png"):
        shutil.copy(mess / "truncated" / name, mess / "good" / f"damaged-{name}")
    done = command(*RUN, "--domains", "good", "--dry-run")
    assert done.code == 0
    assert "good: 2 files skipped, the first: damaged-00.png (cannot be decoded" in done.out


# Weight files


def weights(folder: Path, cfg: NetConfig) -> Path:
    path = folder / "w.safetensors"
    save(path, Nets.create(cfg, seed=0), {})
    return path


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def misshapen(path: Path) -> None:
    """The header of one architecture, the tensors of another."""
    text = path.read_bytes().replace(b'\\"w_dim\\": 16', b'\\"w_dim\\": 17')
    assert text != path.read_bytes()
    path.write_bytes(text)


def foreign(path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(3)}, path)


DAMAGE: dict[str, tuple[Callable[[Path], None], bool, str]] = {
    "altered": (lambda path: path.write_bytes(path.read_bytes()[:-1] + b"!") and None, False, "has sha256 .* expected"),
    "missing": (lambda path: path.unlink(), False, "does not exist; install the package again"),
    "truncated": (cut, True, "cannot be read .*truncated or not safetensors"),
    "misshapen": (misshapen, True, "damaged: it does not hold what was written"),
    "foreign": (foreign, True, "was not written by this suite"),
    "text": (lambda path: path.write_text("hello") and None, True, "cannot be read"),
}


@pytest.mark.parametrize(("damage", "listed", "said"), DAMAGE.values(), ids=DAMAGE)
def test_a_weight_file_that_is_not_what_it_should_be(
    damage: Callable[[Path], object],
    listed: bool,
    said: str,
    tmp_path: Path,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`listed`: the card names the damaged file's own hash, so that only its contents are wrong."""
    folder = tmp_path / "package"
    folder.mkdir()
    path = weights(
        folder, NetConfig(resolution=32, z_dim=16, w_dim=16, mapping_layers=1, channel_base=64, channel_max=8)
    )
    good = hashlib.sha256(path.read_bytes()).hexdigest()
    card = "mine: {{title: t, licence: none, domain: toy-disks, file: w.safetensors, sha256: {}}}\n"
    (folder / "sources.yaml").write_text(card.format(good))
    monkeypatch.setattr(sources, "HERE", folder)
    assert command(*RUN, "--set", "source=mine", "--dry-run").code == 0
    damage(path)
    if listed:
        (folder / "sources.yaml").write_text(card.format(hashlib.sha256(path.read_bytes()).hexdigest()))
    refused(command(*RUN, "--set", "source=mine"), said)
    assert not (tmp_path / "res").exists()


# Results


def test_results_that_cannot_be_read_are_told(command: Command, finished: Finished, tmp_path: Path) -> None:
    refused(command("report", "nowhere"), "no results in nowhere")
    refused(command("show", "abcd"), "no results in results/runs: run a suite first")
    refused(command("show", "abcd", "--results", "nowhere"), "no results in nowhere")
    refused(command("show", "zzz", "--results", str(finished.out)), "unknown record 'zzz': known: ")
    (tmp_path / "file").write_text("x")
    refused(command("report", str(finished.out), "--out", "file"), "cannot write file/")
    (tmp_path / "old" / "records").mkdir(parents=True)
    (tmp_path / "old" / "records" / "0123456789abcdef.json").write_text("{")
    refused(command("report", "old"), "no usable records in old/records .*0123456789abcdef.json")


def test_a_record_of_a_newer_version_is_never_overwritten(command: Command, finished: Finished, tmp_path: Path) -> None:
    shutil.copytree(finished.out / "records", tmp_path / "res" / "records")
    path = sorted((tmp_path / "res" / "records").iterdir())[0]
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 2'))
    before = path.read_bytes()
    methods = ("--methods", "finetune,layer_swap,fixnoise")
    refused(command(*RUN, *methods), "schema 2, this version reads 1; upgrade the benchmark")
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("sources", "train", "nope"), "unknown source 'nope'"),
        (("sources", "train", "smoke-32"), "source smoke-32 has no training recipe"),
        (("sources", "train", "open-peeps-64", "--kimg", "-1"), "Invalid value for '--kimg'"),
        (("sources", "train", "open-peeps-64", "--device", "tpu"), "--device tpu: expected"),
        (("sources", "score", "nope", "{file}"), "unknown source 'nope'"),
        (("sources", "score", "open-peeps-64", "none.safetensors"), "'none.safetensors' does not exist"),
        (("sources",), "Missing command"),
        (("list", "method"), "'method' is not one of 'methods'"),
        (("list",), "Missing argument 'WHAT'"),
        (("show",), "Missing argument 'RECORD'"),
        (("show", "abcd.json", "--results", "nowhere"), "--results would change nothing beside a JSON file"),
        (("report", "nowhere", "--metrics", ""), "'--metrics': the list is empty"),
        (("report", "nowhere", "--methods", " ,"), "'--methods': the list is empty"),
        (("doctor", "--metrics", ","), "'--metrics': the list is empty"),
    ],
)
def test_other_commands_are_refused_on_one_line_too(
    arguments: tuple[str, ...], said: str, command: Command, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    refused(command(*(a.format(file="file") for a in arguments)), said)

"""`export` through the real command line: each format gives the pictures of `generate`, whole or not at all."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from command_line import Done, Finished

import benchmark
from benchmark.checkpoints import convert, read_checkpoint
from benchmark.errors import BenchmarkError
from benchmark.stylegan2.weights import digest_of
from benchmark.system.random_streams import generator
from benchmark.use.adapted import latent
from benchmark.use.export import export_network

Command = Callable[..., Done]


def front_of(card: Path) -> tuple[dict, str]:
    _, front, body = card.read_text().split("---\n", 2)
    return yaml.safe_load(front), body


SLOW = pytest.mark.slow(
    twin="tests/integration/test_export.py::test_a_graph_draws_the_pictures_of_generate_at_any_batch"
)


@pytest.mark.parametrize(
    ("method", "control"),
    [
        ("fixnoise", None),
        pytest.param("finetune", None, marks=SLOW),
        pytest.param("layer_swap", "8", marks=SLOW),
    ],
)
def test_a_graph_draws_the_pictures_of_generate_at_any_batch(
    finished: Finished, command: Command, tmp_path: Path, cache: Path, method: str, control: str | None
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    more = ("--control", control) if control else ()
    done = command(
        "export", str(finished.out), "--method", method, *more, "--format", "onnx", "--format", "torch", "--out", "net"
    )
    assert done.code == 0 and done.out.count("run again") == 2, done.err
    session = onnxruntime.InferenceSession(tmp_path / "net/generator.onnx", providers=["CPUExecutionProvider"])
    program = torch.export.load(tmp_path / "net/generator.pt2").module()
    net = benchmark.load(finished.out, method, "toy-rings", cache=cache).adapted
    value = float(control) if control else net.method.default_control
    synthesis, moves = net.source.synthesis, method == "fixnoise"
    for seeds, values in (([5], [0.1]), ([0, 3, 4, 9], [0.0, 0.37, 0.5, 1.0])):
        maps = [synthesis.random_noise(1, generator("generate", seed)) for seed in seeds]
        noise = {layer: torch.cat([own[layer] for own in maps]) for layer in synthesis.layer_names}
        z, psi = torch.cat([latent(seed, 32) for seed in seeds]), torch.full((len(seeds),), 0.6)
        feed = {"z": z, "psi": psi, **{f"noise_{name.replace('.', '_')}": maps for name, maps in noise.items()}}
        feed |= {"control": torch.tensor(values)} if moves else {}
        assert {i.name for i in session.get_inputs()} == feed.keys()
        at = values if moves else [int(value) if control else value] * len(seeds)
        wanted = torch.cat([net.images([seed], one, 0.6) for seed, one in zip(seeds, at, strict=True)]).numpy()
        (images,) = session.run(["images"], {name: tensor.numpy() for name, tensor in feed.items()})
        again = program(z, psi, [*noise.values()], *([feed["control"]] if moves else [])).numpy()
        assert np.abs(images - wanted).max() < 1e-3 and np.abs(again - wanted).max() < 1e-3


def test_weights_are_the_same_under_both_layouts_and_can_be_measured(
    finished: Finished, command: Command, tmp_path: Path, cache: Path
) -> None:
    formats = ("--format", "safetensors", "--format", "rosinality")
    assert command("export", str(finished.out), "--method", "finetune", *formats, "--out", "net").code == 0
    net = benchmark.load(finished.out, "finetune", "toy-rings", cache=cache).adapted
    for name in ("generator.safetensors", "generator-rosinality.pt"):
        found = convert(read_checkpoint(tmp_path / "net" / name), (), name)
        assert found.present == ("g_ema",)
        assert digest_of(found.nets.g_ema.state_dict()) == digest_of(net.generator(None).state_dict())


def test_the_card_says_licence_source_method_scores_and_conditions(
    finished: Finished, command: Command, tmp_path: Path
) -> None:
    arguments = (str(finished.out), "--method", "fixnoise", "--format", "safetensors", "--out", "net")
    assert command("export", *arguments).code == 0
    front, body = front_of(tmp_path / "net/README.md")
    records = [json.loads(path.read_text()) for path in (finished.out / "records").glob("*.json")]
    record = next(r for r in records if r["method"] == "fixnoise" and r["is_default_control"])
    assert front["license"] == "other" and front["pipeline_tag"] == "unconditional-image-generation"
    metrics = {m["type"]: m["value"] for m in front["model-index"][0]["results"][0]["metrics"]}
    assert metrics == {name: m["value"] for name, m in record["metrics"].items() if m["value"] is not None}
    for text in ("FixNoise on toy-rings", "smoke-32", "Apache-2.0", "CC0 1.0", "seed 0", record["train_key"], "Doctor"):
        assert text in body, text
    assert "## Scores at noise 1.0" in body


def test_nothing_is_written_over_anybody_elses_files(finished: Finished, command: Command, tmp_path: Path) -> None:
    run = (str(finished.out), "--format", "safetensors", "--out", "net")
    (tmp_path / "net").mkdir()
    (tmp_path / "net/README.md").write_text("my notes")
    done = command("export", *run, "--method", "finetune")
    assert done.code == 2 and "holds something else" in done.err
    assert [path.name for path in (tmp_path / "net").iterdir()] == ["README.md"]
    (tmp_path / "net/README.md").unlink()
    assert command("export", *run, "--method", "finetune").code == 0
    before = (tmp_path / "net/generator.safetensors").read_bytes()
    assert command("export", *run, "--method", "fixnoise").code == 2
    assert (tmp_path / "net/generator.safetensors").read_bytes() == before


def test_a_file_that_no_card_lists_is_somebody_elses(finished: Finished, command: Command, tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net/generator.safetensors").write_text("precious")
    for kind in ("safetensors", "rosinality"):  # beside it would be a second network
        done = command("export", str(finished.out), "--method", "finetune", "--format", kind, "--out", "net")
        assert done.code == 2 and "lists its generator.safetensors; choose another --out" in done.err, done.err
    assert {path.name: path.read_text() for path in (tmp_path / "net").iterdir()} == {
        "generator.safetensors": "precious"
    }


def test_an_export_that_draws_something_else_leaves_no_file(
    finished: Finished, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor one of another format that was written before."""
    monkeypatch.setattr("benchmark.use.export.LARGEST", -1.0)  # of which every program falls short
    formats = ("--format", "safetensors", "--format", "torch")
    done = command("export", str(finished.out), "--method", "finetune", *formats, "--out", "net")
    assert done.code == 2 and "nothing was written" in done.err and list((tmp_path / "net").iterdir()) == []


def test_two_values_of_a_control_have_folders_of_their_own(
    finished: Finished, command: Command, tmp_path: Path
) -> None:
    layer_swap = ("export", str(finished.out), "--method", "layer_swap", "--format", "rosinality")
    for more in ((), ("--control", "8"), ("--training-seed", "0")):
        done = command(*layer_swap, *more)
        assert done.code == 0, done.err
    found = [path.parent for path in (tmp_path / "exported").glob("*/generator-rosinality.pt")]
    assert len(found) == 2 and len({(folder / "generator-rosinality.pt").read_bytes() for folder in found}) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--method", "fixnois"), "did you mean fixnoise"),
        (("--method", "fixnoise", "--domain", "toy-ring"), "toy-rings"),
        (("--method", "fixnoise", "--control", "2"), "choose from"),
        (("--method", "fixnoise", "--control", "0"), "acts on the noise alone"),
        (("--method", "fixnoise", "--control", "0,1"), "give one"),
        (("--method", "finetune", "--training-seed", "4"), "with seeds 0, not 4"),
        ((), "choose one with --method"),
    ],
)
def test_bad_input_is_one_line(
    finished: Finished, command: Command, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = command("export", str(finished.out), *arguments, "--format", "torch", "--out", "net")
    assert done.code == 2 and said in done.err and len(done.err.strip().splitlines()) == 1, done.err
    assert list(tmp_path.iterdir()) == []


def test_texts_of_a_hostile_results_folder_are_only_text(finished: Finished, command: Command, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished.out, copy)
    shutil.rmtree(copy / "hashes")
    for path in (copy / "records").glob("*.json"):
        record = json.loads(path.read_text())
        record["domain"] = "x\n---\n# <script>alert(1)</script> [a](http://b)"
        path.write_text(json.dumps(record))
    done = command("export", str(copy), "--method", "finetune", "--format", "safetensors", "--out", "net")
    assert done.code == 0, done.err
    front, body = front_of(tmp_path / "net/README.md")
    assert front["library_name"] == "stylegan-transfer-benchmark"
    assert "---\n" not in body and not re.search(r"(?<!\\)[<\]`]script|(?<!\\)\]\(http", body)


def test_a_package_that_is_missing_is_told_before_anything_is_written(
    finished: Finished, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    net = benchmark.load(finished.out, "finetune", "toy-rings", cache=cache).adapted
    with pytest.raises(BenchmarkError, match="needs onnx"):
        export_network(net, None, ("safetensors", "onnx"), tmp_path / "net", finished.out, cache)
    assert not (tmp_path / "net").exists()

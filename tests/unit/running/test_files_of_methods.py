"""Weight files that methods need: what a plan says, which keys they enter, and what happens without them."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.api import Method
from benchmark.conformity.stand_ins import write_stand_in
from benchmark.errors import UnknownName
from benchmark.metrics.networks.weight_files import WEIGHT_FILES, for_methods, stood_in
from benchmark.running.forecast import Unseen, forecast
from benchmark.running.plan import plan
from benchmark.suites import load_suite

FILE = WEIGHT_FILES["clip_vit_b32"]
SUITE, (NADA, PLAIN) = load_suite("smoke", (), {"methods": ("stylegan_nada", "finetune")})


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file of CLIP is found by chance."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("BENCHMARK_WEIGHTS_DIR", raising=False)


@pytest.fixture
def stand_in(tmp_path: Path) -> Path:
    (folder := tmp_path / "stand-ins").mkdir()
    write_stand_in("clip_vit_b32", folder).rename(folder / FILE.filename)
    return folder


def keys(stand_ins: dict[str, str]) -> dict[str, tuple[str, tuple[str, ...]]]:
    jobs = plan(SUITE, [NADA, PLAIN], {"toy-rings": Unseen("toy-rings")}, "source", stand_ins)
    return {job.method.name: (job.train_key, job.trained_on) for job in jobs if job.method}


def test_a_plan_says_which_file_is_missing_and_how_to_get_it(tmp_path: Path) -> None:
    missing = forecast(SUITE, [NADA], tmp_path, tmp_path).missing
    assert missing == ("weights ViT-B-32.pt: python -m benchmark weights fetch clip_vit_b32",)
    assert forecast(SUITE, [PLAIN], tmp_path, tmp_path).missing == ()


def test_a_file_may_be_needed_for_one_value_of_a_field_alone(tmp_path: Path) -> None:
    names = ("fixnoise", "fixnoise[match=vgg]", "lecam+feature_matching[match=vgg]", "weight_interpolation")
    suite, methods = load_suite("smoke", (), {"methods": names})
    said = [forecast(suite, [method], tmp_path, tmp_path).missing for method in methods]
    assert said == [(), *[("weights vgg16-397923af.pth: python -m benchmark weights fetch vgg16",)] * 2, ()]


def test_a_file_counts_only_with_its_hash(tmp_path: Path, stand_in: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / FILE.filename).write_bytes((stand_in / FILE.filename).read_bytes())
    found = for_methods(["clip_vit_b32"], None, tmp_path)["clip_vit_b32"]
    assert found.place.path is None and "is another file" in str(found.place.reason) and found.stand_in is None
    given = for_methods(["clip_vit_b32"], stand_in, tmp_path)["clip_vit_b32"]
    assert given.place.path == stand_in / FILE.filename and given.stand_in
    assert stood_in(stand_in) == frozenset(), "a stand-in for a method alone renames no metric"
    with pytest.raises(UnknownName, match="clip_vit_b32"):
        for_methods(["clip_vit_b3"], None, tmp_path)


def test_a_stand_in_enters_the_key_of_the_trainings_that_read_it() -> None:
    real, other, third = keys({}), keys({"clip_vit_b32": "ab" * 32}), keys({"clip_vit_b32": "cd" * 32})
    assert len({found["stylegan_nada"][0] for found in (real, other, third)}) == 3
    assert real["finetune"] == other["finetune"] == third["finetune"]
    assert real["stylegan_nada"][1] == ("clip_vit_b32",)
    assert other["stylegan_nada"][1] == ("standin_clip_vit_b32",) and real["finetune"][1] == ()


def test_the_list_says_which_files_a_method_needs(tmp_path: Path) -> None:
    from benchmark.cli.listing import needs

    class Unknown(Method):
        name = "unknown"
        needs = ("clip_vit_b33",)

    assert "needs ViT-B-32.pt: not available: needs ViT-B-32.pt (OpenAI's CLIP" in needs(type(NADA), tmp_path)
    assert needs(type(PLAIN), tmp_path) == ""
    assert needs(Unknown, tmp_path) == "needs clip_vit_b33: unknown, so that it is not available"

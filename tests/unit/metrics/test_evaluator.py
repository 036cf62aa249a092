"""The evaluator as the runner uses it: right images to right metric, cached references, honest gaps."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from benchmark.errors import DataError, UnknownName, WeightsError
from benchmark.metrics import Evaluator, Samples, Score, list_metrics
from benchmark.metrics.networks.kept_maps import KeptMaps
from benchmark.metrics.networks.weight_files import WEIGHT_FILES

RANDCONV = ("kid_randconv", "fd_randconv", "consistency_randconv", "consistency_anchor_randconv")


def noise(n: int, seed: int, low: int = 0, high: int = 256) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, high, (n, 3, 32, 32), dtype=np.uint8)


@pytest.fixture
def samples() -> Samples:
    return Samples(fakes=noise(40, 0), sources=noise(25, 1), anchored=noise(25, 2))


def test_listing_metrics_is_cheap() -> None:
    code = (
        "import sys, benchmark.metrics as m\n"
        "assert 'kid_effnetlite0_128' in m.list_metrics()\n"
        "print([name for name in ('torch', 'torchvision', 'lpips', 'cleanfid', 'scipy') if name in sys.modules])\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stdout.strip() == "[]", run.stderr


def test_every_listed_metric_is_scored_or_says_what_it_needs(tmp_path: Path, samples: Samples) -> None:
    names = list(list_metrics())
    before = torch.random.get_rng_state()
    samples = replace(samples, legacy=(noise(25, 6), noise(25, 7)))
    scores = Evaluator(names, tmp_path)(samples, noise(30, 3), "digest", training=noise(20, 5)).scores
    assert torch.equal(before, torch.random.get_rng_state())
    assert list(scores) == names
    for name, score in scores.items():
        if score.value is None:
            assert str(score.reason).startswith("not available: "), name
        else:
            paired = any(word in name for word in ("lpips", "consistency", "step", "legacy", "distance_averaged"))
            assert score.n == (25 if paired and "intra" not in name else 40), name
    absent = {name for name in names if "infinity" in name} | {"step_st_lpips_alex"}  # too few images; nothing before
    absent |= {"legacy_uniform_z_independent_noise_face_crop_st_lpips_alex"}  # too small an image
    absent |= {
        "translation_error_st_lpips_alex",
        *(name for name in names if name.startswith("ppl")),
    }  # none were drawn
    absent |= {name for name in names if name.startswith("standin_")}  # nobody gave files
    absent |= {name for name in names if name.startswith("picture_")}  # no pictures were translated
    here = {name for name in names if "effnet" in name or "st_lpips" in name} - absent
    assert here and all(scores[name].value is not None for name in here)


def test_a_step_is_the_distance_to_the_images_before(tmp_path: Path) -> None:
    fakes, sources, before = noise(20, 0), noise(10, 1), noise(10, 2)
    evaluator = Evaluator(["step_randconv", "consistency_randconv"], tmp_path)
    found = evaluator(Samples(fakes, sources, noise(10, 3), before), noise(30, 4), "x").scores
    swapped = evaluator(Samples(fakes, before, noise(10, 3), before), noise(30, 4), "x").scores
    assert found["step_randconv"].value == pytest.approx(swapped["consistency_randconv"].value)
    assert found["step_randconv"].value != pytest.approx(found["consistency_randconv"].value)
    still = evaluator(Samples(fakes, sources, noise(10, 3), fakes[:10]), noise(30, 4), "x").scores
    assert still["step_randconv"].value == pytest.approx(0, abs=1e-6)
    with pytest.raises(DataError, match="before this control"):
        Samples(fakes, sources, noise(10, 3), fakes)


def test_metrics_look_at_the_right_images(tmp_path: Path) -> None:
    sources, others, real = noise(10, 1), noise(10, 2, high=100), noise(30, 3)
    evaluator = Evaluator(RANDCONV, tmp_path)
    more = noise(20, 4, high=100)
    followed = evaluator(Samples(np.concatenate([sources, more]), sources, others), real, "real").scores
    assert followed["consistency_randconv"].value == pytest.approx(0, abs=1e-6)
    assert followed["consistency_anchor_randconv"].value > 0.1
    anchored = evaluator(Samples(np.concatenate([others, more]), sources, sources), real, "real").scores
    assert anchored["consistency_randconv"].value == followed["consistency_anchor_randconv"].value
    assert anchored["consistency_anchor_randconv"].value == pytest.approx(0, abs=1e-6)
    same = evaluator(Samples(real, sources, others), real, "real").scores
    assert same["fd_randconv"].value == pytest.approx(0, abs=1e-6)
    assert same["kid_randconv"].value < 0 < anchored["kid_randconv"].value
    assert anchored["kid_randconv"].interval[0] > 0


def test_the_order_is_by_distance_to_the_nearest_held_out_image(tmp_path: Path) -> None:
    """Greys: a generated image is the farther from the reference images the greyer they differ."""
    levels = np.array([90, 12, 60, 200, 10, 61], dtype=np.uint8)
    fakes = np.ones((6, 3, 32, 32), np.uint8) * levels[:, None, None, None]
    real = np.ones((2, 3, 32, 32), np.uint8) * np.array([10, 60], np.uint8)[:, None, None, None]
    samples = Samples(fakes, fakes[:2], fakes[:2])
    found = Evaluator(["consistency_randconv", "fd_randconv"], tmp_path)(samples, real, "digest")
    assert found.order is not None and found.order.tolist() == [2, 4, 5, 1, 0, 3]
    assert Evaluator(["consistency_randconv"], tmp_path)(samples, real, "digest").order is None


def test_scores_do_not_depend_on_the_batch(tmp_path: Path, samples: Samples) -> None:
    one = Evaluator(RANDCONV, tmp_path / "a", batch=7)(samples, noise(30, 3), "digest").scores
    two = Evaluator(RANDCONV, tmp_path / "b", batch=64)(samples, noise(30, 3), "digest").scores
    for name in RANDCONV:
        assert one[name].value == pytest.approx(two[name].value, rel=1e-4, abs=1e-7)


def test_images_of_the_source_pass_through_the_network_of_pairs_once(tmp_path: Path, samples: Samples) -> None:
    """For all controls of a (domain, seed); and an array that was changed is not taken for what it was."""
    names, real = RANDCONV[2:], noise(30, 3)
    evaluator = Evaluator(names, tmp_path, batch=10)
    (net,) = evaluator.perceptual.values()
    seen: list[int] = []
    make = net.features
    net.features = lambda images: seen.append(len(images)) or make(images)  # type: ignore[method-assign, func-returns-value]
    evaluator(samples, real, "digest")
    assert sum(seen) == 3 * 25
    seen.clear()
    further = replace(samples, fakes=noise(40, 9))
    scores = evaluator(further, real, "digest").scores
    assert sum(seen) == 25  # the fakes; sources and anchored images are those of before
    assert scores == Evaluator(names, tmp_path, batch=10)(further, real, "digest").scores
    further.sources[:] = noise(25, 10)
    changed = evaluator(further, real, "digest").scores
    assert changed == Evaluator(names, tmp_path, batch=10)(further, real, "digest").scores != scores


def test_maps_are_kept_up_to_a_limit() -> None:
    made: list[int] = []

    def make(images: np.ndarray) -> list[torch.Tensor]:
        made.append(int(images[0, 0, 0, 0]))
        return [torch.full((100,), float(images[0, 0, 0, 0]))]

    kept = KeptMaps(limit=900)  # two sets of 400 bytes
    sets = [np.full((1, 3, 2, 2), k, np.uint8) for k in range(3)]
    for k in (0, 1, 0, 2, 0, 1):
        assert kept.get(sets[k], make)[0][0] == k
    assert made == [0, 1, 2, 1] and kept.size == 800
    none = KeptMaps(limit=100)
    for _ in range(2):
        none.get(sets[0], make)
    assert made == [0, 1, 2, 1, 0, 0] and none.size == 0


def test_reference_features_are_made_once(tmp_path: Path, samples: Samples) -> None:
    totals: list[list[tuple[int, int]]] = []

    def score(digest: str, reference: np.ndarray) -> dict[str, Score]:
        totals.append([])
        evaluator = Evaluator(RANDCONV, tmp_path)
        return evaluator(samples, reference, digest, lambda done, total: totals[-1].append((done, total))).scores

    first = score("a", noise(30, 3))
    again = score("a", noise(30, 3))
    assert again == first
    score("b", noise(30, 4))
    score("a", noise(31, 3))
    work = [ticks[-1] for ticks in totals]
    pairs = 3 * 25  # sources, fakes and anchored images pass once each
    assert work == [(40 + 30 + pairs,) * 2, (40 + pairs,) * 2, (40 + 30 + pairs,) * 2, (40 + 31 + pairs,) * 2]


@pytest.mark.parametrize("damage", ["truncated", "flipped", "emptied", "other rows", "pickled"])
def test_damaged_cache_is_made_again(damage: str, tmp_path: Path, samples: Samples) -> None:
    evaluator, reference = Evaluator(["fd_randconv"], tmp_path), noise(30, 3)
    score = evaluator(samples, reference, "digest").scores
    (path,) = (tmp_path / "features").glob("*.npz")
    good = path.read_bytes()
    if damage == "truncated":
        path.write_bytes(good[: len(good) // 2])
    elif damage == "flipped":
        path.write_bytes(good[:2000] + bytes([good[2000] ^ 64]) + good[2001:])
    elif damage == "emptied":
        path.write_bytes(b"")
    elif damage == "other rows":
        np.savez(path, features=np.zeros((29, 112), np.float32))
    else:
        np.savez(path, features=np.array([{"a": 1}], dtype=object))
    assert evaluator(samples, reference, "digest").scores == score
    assert path.read_bytes() == good
    assert {entry.name for entry in path.parent.iterdir()} == {path.name, path.with_suffix(".lock").name}


def test_unwritable_cache_costs_a_warning_only(tmp_path: Path, samples: Samples) -> None:
    (tmp_path / "features").write_text("a file where the folder should be")
    with pytest.warns(UserWarning, match="are made again next time"):
        scores = Evaluator(["fd_randconv"], tmp_path)(samples, noise(30, 3), "digest").scores
    assert scores["fd_randconv"].value is not None


def test_absent_weights_leave_a_reason_and_the_other_metrics(tmp_path: Path, samples: Samples) -> None:
    gone = replace(WEIGHT_FILES["inception"], filename="no-such-inception-2718.pt")
    files = {**WEIGHT_FILES, "inception": gone}
    evaluator = Evaluator(["fid", "fd_randconv"], tmp_path, files=files)
    scores = evaluator(samples, noise(30, 3), "digest").scores
    assert scores["fid"].value is None
    assert "no-such-inception-2718.pt" in str(scores["fid"].reason)
    assert scores["fd_randconv"].value is not None
    path = tmp_path / "mine.pt"
    path.write_bytes(b"not Inception")
    with pytest.raises(WeightsError, match="f58cb9b6"):
        Evaluator(["fid"], tmp_path, weights={"inception": path})


def test_absent_package_leaves_a_reason(tmp_path: Path, samples: Samples, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)  # Python's way to say: not installed
    score = Evaluator(["kid_effnetlite0_128"], tmp_path)(samples, noise(30, 3), "digest").scores["kid_effnetlite0_128"]
    assert score.value is None
    assert str(score.reason).startswith("not available: ")
    assert "efficientnet_lite_pytorch" in str(score.reason)


def test_wrong_names(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="kid_effnetlite0_128"):
        Evaluator(["kid_effnetlite_128"], tmp_path)
    with pytest.raises(UnknownName, match="inception"):
        Evaluator(["fid"], tmp_path, weights={"inceptio": tmp_path})


def test_wrong_images_are_refused(tmp_path: Path, samples: Samples) -> None:
    good = samples.sources
    with pytest.raises(DataError, match=r"float32 \(25, 3, 32, 32\)"):
        Samples(samples.fakes, good.astype(np.float32), good)
    with pytest.raises(DataError, match="same latents"):
        Samples(samples.fakes, good, good[:-1])
    with pytest.raises(DataError, match="same latents"):
        Samples(samples.fakes, good[..., :16, :16], good[..., :16, :16])
    with pytest.raises(DataError, match="25 pairs"):
        Samples(samples.fakes[:10], good, good)
    for wrong in ((good, good[:-1]), (good.astype(np.float32), good)):
        with pytest.raises(DataError, match="legacy images"):
            Samples(samples.fakes, good, good, legacy=wrong)
    with pytest.raises(DataError, match="reference set"):
        Evaluator(["fd_randconv"], tmp_path)(samples, np.zeros((5, 32, 32, 3), np.uint8), "digest")


def test_a_score_has_a_value_or_a_reason() -> None:
    for value, reason in ((None, None), (1.0, "not available")):
        with pytest.raises(ValidationError):
            Score(value=value, n=3, reason=reason)
    assert Score.measured(1.0, 4, 0.5).interval == pytest.approx((0.02, 1.98))
    assert Score.model_validate_json(Score.measured(1.0, 4, 0.5).model_dump_json()) == Score.measured(1.0, 4, 0.5)

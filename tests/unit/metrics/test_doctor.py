"""The doctor: passes what is right, and each of its checks fails for the fault that it is there for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch
import torch.nn.functional as F
from click.testing import CliRunner
from PIL import Image
from torch import Tensor, nn

from benchmark.cli.app import cli
from benchmark.domains.pictures.pixels import to_square
from benchmark.metrics import Evaluator, MetricInfo, Samples, Score, doctor, known_answers, list_metrics
from benchmark.metrics.base import Images, Kind, Translations
from benchmark.metrics.doctor import examine, verdict
from benchmark.metrics.formulas.clip_mmd import features_to_cmmd
from benchmark.metrics.formulas.sliced import features_to_mind
from benchmark.metrics.formulas.vendi import features_to_vendi
from benchmark.metrics.intra import images_to_intra, intra
from benchmark.metrics.known_answers import EXAMPLES, Check, close, clustered, compared, translated
from benchmark.metrics.networks.features import EfficientNetLite0, FeatureNetwork, RandConv
from benchmark.metrics.networks.perceptual import PerceptualNetwork, RandConvDistance, StLpips
from benchmark.metrics.networks.resizing import resize
from benchmark.metrics.networks.weight_files import WEIGHT_FILES
from benchmark.metrics.paired import Comparison, comparisons
from benchmark.metrics.pooled import features_to_scores
from benchmark.metrics.sampling import to_uint8
from benchmark.metrics.translation import TRANSLATED, translations_to_scores

Features = np.ndarray
HERE = ("effnetlite0_128", "st_lpips_alex", "st_lpips_vgg", "st_vgg16", "randconv")
"""Networks whose weights come with the packages that the suite installs."""


def failed(checks: Sequence[Check]) -> set[str]:
    return {c.name for c in checks if c.state == "failed"}


@pytest.fixture(scope="module")
def evaluator(tmp_path_factory: pytest.TempPathFactory) -> Evaluator:
    names = [name for name, info in list_metrics().items() if info.network in HERE]
    return Evaluator(names, tmp_path_factory.mktemp("cache"))


@pytest.fixture
def effnet(evaluator: Evaluator) -> EfficientNetLite0:
    return doctor.networks_of(evaluator)[0]["effnetlite0_128"]


@pytest.fixture
def st_lpips(evaluator: Evaluator) -> StLpips:
    return doctor.networks_of(evaluator)[1]["st_lpips_alex"]


# What is right


def test_nothing_fails_where_nothing_is_broken(evaluator: Evaluator) -> None:
    checks = examine(evaluator)
    assert {c.state for c in checks} == {"ok"}, [c for c in checks if c.state != "ok"]
    assert len({c.name for c in checks}) == len(checks)
    kept = {
        "effnetlite0_128 features",
        "st_vgg16 features",
        "st_lpips_alex distances",
        "st_lpips_vgg distances",
        "randconv features",
        "randconv distances",
    }
    assert {f"{name}: stored values" for name in kept} <= {c.name for c in checks}
    assert verdict(checks).model_dump() == {"passed": True, "checks": len(checks), "failed": ()}


def test_only_what_the_metrics_need_is_examined(tmp_path: Path) -> None:
    names = {c.name for c in examine(Evaluator(["kid_randconv"], tmp_path))}
    assert "kid: known answer" in names and "randconv features: mode" in names
    assert not [name for name in names if name.startswith(("fd", "precision", "consistency", "effnet", "st_lpips"))]
    assert "randconv distances: mode" not in names


def test_the_maintainers_command_makes_the_numbers_that_are_stored(evaluator: Evaluator) -> None:
    made, stored = doctor.measure_stored(evaluator), doctor.read_stored()
    assert made.keys() == stored.keys()
    for name, values in made.items():
        assert close(name, values, stored[name], 1e-2).state == "ok"
    assert doctor.STORED.stat().st_size < 100_000


# The known answers are right, by definitions written out again


def example(kind: str) -> tuple[Features, Features, float]:
    fakes, reals, answer, _, _ = EXAMPLES[kind]()
    return fakes, reals, answer


def test_the_answer_for_fd() -> None:
    x, y, answer = example("fd")
    root = scipy.linalg.sqrtm(np.cov(x.T) @ np.cov(y.T)).real
    gap = x.mean(0) - y.mean(0)
    assert gap @ gap + np.trace(np.cov(x.T) + np.cov(y.T) - 2 * root) == pytest.approx(answer, rel=1e-9)


def test_the_answer_for_kid() -> None:
    x, y, answer = example("kid")

    def kernel(a: Features, b: Features) -> float:
        return (a @ b / len(a) + 1) ** 3

    own = [np.mean([kernel(a, b) for a, b in combinations(side, 2)]) for side in (x, y)]
    assert sum(own) - 2 * np.mean([kernel(a, b) for a in x for b in y]) == pytest.approx(answer, rel=1e-12)


def test_the_answers_for_precision_recall_density_and_coverage() -> None:
    fakes, reals, _ = example("precision")

    def radius(point: Features, of: Features) -> float:
        return sorted(np.linalg.norm(of - point, axis=1))[5]  # the first is the point itself

    held = np.array([[np.linalg.norm(r - f) <= radius(r, reals) for f in fakes] for r in reals])
    reached = [any(np.linalg.norm(r - f) <= radius(f, fakes) for f in fakes) for r in reals]
    found = {"precision": held.any(0).mean(), "recall": np.mean(reached), "density": held.sum() / (5 * len(fakes))}
    for kind, value in {**found, "coverage": held.any(1).mean()}.items():
        assert value == pytest.approx(example(kind)[2], rel=1e-12)


# Faults of the metrics of sets

Ask = Callable[[Sequence[MetricInfo], Features, Features, Features | None], dict[str, Score]]


def test_exchanged_sets_are_found() -> None:
    def exchanged(infos: Sequence[MetricInfo], fakes: Features, real: Features, train: Features | None) -> dict:
        return features_to_scores(infos, real, fakes, train)

    for kind in EXAMPLES:
        checks = doctor.finished(kind, lambda kind=kind: known_answers.known_answers(kind, exchanged))
        assert failed(checks), kind
    assert "recall: known answer" in failed(known_answers.known_answers("recall", exchanged))


@pytest.mark.parametrize("kind", ["memorisation", "authenticity"])
def test_training_and_held_out_images_exchanged_are_found(kind: str) -> None:
    def exchanged(infos: Sequence[MetricInfo], fakes: Features, real: Features, train: Features | None) -> dict:
        return features_to_scores(infos, fakes, train, real)

    assert failed(known_answers.known_answers(kind, exchanged)) == {f"{kind}: known answer"}


def answering(kind: str, formula: Callable[[Features, Features], float]) -> Ask:
    """Scores by a formula of one's own."""

    def score(infos: Sequence[MetricInfo], fakes: Features, real: Features, train: Features | None) -> dict:
        return {
            info.name: Score.measured(formula(fakes.astype(float), real.astype(float)), len(fakes)) for info in infos
        }

    return score


def fd_formula(x: Features, y: Features, ddof: int = 1, by_diagonal: bool = False) -> float:
    a, b = (np.cov(side.T, ddof=ddof) for side in (x, y))
    squares = np.diag(a) * np.diag(b) if by_diagonal else np.linalg.eigvals(a @ b).real.clip(0)
    shared = np.sqrt(squares).sum()
    return float(np.square(x.mean(0) - y.mean(0)).sum() + np.trace(a) + np.trace(b) - 2 * shared)


def kid_formula(x: Features, y: Features, biased: bool = False, divide: bool = True) -> float:
    xx, yy, xy = ((a @ b.T / (a.shape[1] if divide else 1) + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
    if biased:
        return xx.mean() + yy.mean() - 2 * xy.mean()
    own = sum((k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in (xx, yy))
    return own - 2 * xy.mean()


def test_right_formulas_pass_and_near_misses_do_not() -> None:
    def answer(kind: str, formula: Callable[[Features, Features], float]) -> str:
        return known_answers.known_answers(kind, answering(kind, formula))[0].state

    assert answer("fd", fd_formula) == answer("kid", kid_formula) == "ok"
    assert answer("fd", lambda x, y: fd_formula(x, y, ddof=0)) == "failed"
    assert answer("fd", lambda x, y: fd_formula(x, y, by_diagonal=True)) == "failed"
    assert answer("fd", lambda x, y: fd_formula(x, y) ** 0.5) == "failed"
    assert answer("kid", lambda x, y: kid_formula(x, y, biased=True)) == "failed"
    assert answer("kid", lambda x, y: kid_formula(x, y, divide=False)) == "failed"
    assert answer("fd_infinity", lambda x, y: 1.5) == "failed"


def test_a_distance_that_is_not_symmetric_or_not_zero_fails() -> None:
    def fd(formula: Callable[[Features, Features], float]) -> set[str]:
        return failed(known_answers.known_answers("fd", answering("fd", formula)))

    assert fd(lambda x, y: 7.0) == {"fd: identical sets"}
    one_way = fd(lambda x, y: fd_formula(x, y) if len(x) <= len(y) else 2 * fd_formula(x, y))
    assert one_way == {"fd: sets exchanged"}


def test_a_score_without_a_value_and_a_crash_are_failures() -> None:
    def missing(infos: Sequence[MetricInfo], fakes: Features, real: Features, train: Features | None) -> dict:
        return {info.name: Score.missing("not available: no reason") for info in infos}

    assert "kid: known answer" in failed(known_answers.known_answers("kid", missing))
    checks = doctor.finished("kid", lambda: known_answers.known_answers("kid", answering("kid", lambda x, y: 1 / 0)))
    assert [(c.state, c.found) for c in checks] == [("failed", "ZeroDivisionError: division by zero")]


# Faults of pairs, rounding and resizing


def test_pairs_of_the_wrong_images_are_found() -> None:
    legacy = ["legacy_consistency", "legacy_consistency_face"]
    kinds = ["consistency", "consistency_anchor", "step", "translation_error", *legacy, "kid"]

    def anchored_first(infos: Sequence[MetricInfo], s: Samples, px: int) -> tuple[list[Comparison], dict[str, Score]]:
        return comparisons(infos, replace(s, fakes=s.anchored, anchored=s.fakes), px)

    def forgotten(infos: Sequence[MetricInfo], s: Samples, px: int) -> tuple[list[Comparison], dict[str, Score]]:
        return comparisons(infos, replace(s, legacy=None), px)

    def with_the_source(infos: Sequence[MetricInfo], s: Samples, px: int) -> tuple[list[Comparison], dict[str, Score]]:
        return comparisons(infos, replace(s, fakes=s.sources), px)

    assert len(compared(kinds)) == 6 and not failed(compared(kinds))
    assert {"consistency: who is compared", "consistency_anchor: who is compared"} <= failed(
        compared(kinds, anchored_first)
    )
    assert "translation_error: who is compared" in failed(compared(kinds, with_the_source))
    assert failed(compared(kinds, forgotten)) == {
        "legacy_consistency: who is compared",
        "legacy_consistency_face: who is compared",
    }


@pytest.mark.parametrize("kind", TRANSLATED)
def test_other_formulas_of_translation_are_found(kind: Kind) -> None:
    """Images and their sources exchanged, answers of other latents, and nothing but zeros."""

    def exchanged(infos: Sequence[MetricInfo], t: Translations | None) -> dict[str, Score]:
        assert t is not None
        return translations_to_scores(infos, replace(t, sources=t.adapted, adapted=t.sources + 0.01))

    def shifted(infos: Sequence[MetricInfo], t: Translations | None) -> dict[str, Score]:
        assert t is not None and not isinstance(t.answers, str)
        return translations_to_scores(infos, replace(t, answers=replace(t.answers, mean=np.roll(t.answers.mean, 1, 0))))

    def zero(infos: Sequence[MetricInfo], t: Translations | None) -> dict[str, Score]:
        return {info.name: Score.measured(0.0, 4) for info in infos}

    name = f"{kind}: known answer"
    assert not failed(translated(kind))
    assert name in failed(translated(kind, exchanged)) and name in failed(translated(kind, zero))
    if kind in ("translation_error_l1", "identity_retrieval"):
        assert name in failed(translated(kind, shifted))


def test_an_intra_distance_that_drops_empty_clusters_is_found() -> None:
    def dropping(net: PerceptualNetwork, fakes: Images, training: Images, *rest: Any) -> Score:
        return images_to_intra(net, fakes, training[:2], *rest)

    assert not failed(clustered())
    assert failed(clustered(dropping)) == {"intra: known answer", "intra: clusters without a pair are told"}


ROUNDINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "truncated": lambda x: (x * 127.5 + 127.5).clamp(0, 255),
    "not clamped": lambda x: (x * 127.5 + 127.5).round(),
    "0 to 1": lambda x: (x * 255).round().clamp(0, 255),
    "levels of 256": lambda x: (x * 128 + 127.5).round().clamp(0, 255),
}


@pytest.mark.parametrize("fault", ROUNDINGS)
def test_other_ways_to_8_bits_are_found(fault: str) -> None:
    assert failed(doctor.rounding(lambda x: ROUNDINGS[fault](x).to(torch.int32).to(torch.uint8).numpy()))


def test_rounding_down_at_the_half_is_found() -> None:
    def half_down(x: Tensor) -> np.ndarray:
        return (x * 127.5 + 127.5 - 0.5).ceil().clamp(0, 255).to(torch.uint8).numpy()

    assert failed(doctor.rounding(half_down)) == {"rounding: half"}
    assert not failed(doctor.rounding(to_uint8))


def square(image: Image.Image, px: int, filter_: Image.Resampling, reducing_gap: float | None = None) -> np.ndarray:
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    small = image.crop((left, top, left + side, top + side)).resize((px, px), filter_, reducing_gap=reducing_gap)
    return np.asarray(small).transpose(2, 0, 1)


@pytest.mark.parametrize("name", ["NEAREST", "BOX", "BILINEAR", "BICUBIC"])
def test_another_filter_or_crop_of_images_is_found(name: str) -> None:
    wrong = {"resize of images to 8 px: stored values"}
    assert failed(doctor.resizing(square=lambda image, px: square(image, px, Image.Resampling[name]))) == wrong
    assert not failed(doctor.resizing(square=lambda image, px: square(image, px, Image.Resampling.LANCZOS)))
    corner = doctor.resizing(square=lambda image, px: to_square(image.crop((0, 0, 50, 50)), px))
    assert failed(corner) == wrong


def test_another_resize_for_networks_is_found() -> None:
    def plain(images: Tensor, px: int, mode: str = "bicubic", antialias: bool = False) -> Tensor:
        x = F.interpolate(images.float(), size=(px, px), mode=mode, antialias=antialias, align_corners=False)
        return x.clamp(0, 255)

    both = {f"resize for networks to {px} px: stored values" for px in (24, 128)}
    assert failed(doctor.resizing(scale=plain)) == both
    assert failed(doctor.resizing(scale=lambda x, px: plain(x, px, "bilinear", True))) == both
    assert failed(doctor.resizing(scale=lambda x, px: resize(x, px).flip(-1))) == both
    assert not failed(doctor.resizing(scale=lambda x, px: plain(x, px, antialias=True)))


# Faults of networks


def features_of(net: FeatureNetwork, name: str = "randconv") -> set[str]:
    return {text.removeprefix(f"{name} features: ") for text in failed(doctor.feature_network(name, net, "cpu"))}


def distances_of(net: PerceptualNetwork, name: str = "randconv") -> set[str]:
    return {text.removeprefix(f"{name} distances: ") for text in failed(doctor.distance_network(name, net, "cpu"))}


class Around(FeatureNetwork):
    """RandConv with something done to its images or features."""

    dim = RandConv.dim

    def __init__(self, before: Callable[[Tensor], Tensor] | None, after: Callable[[Tensor], Tensor] | None) -> None:
        super().__init__()
        self.net, self.before, self.after = RandConv(), before, after
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        features = self.net(self.before(images) if self.before else images)
        return self.after(features) if self.after else features


def test_networks_are_passed_and_faults_of_features_found() -> None:
    assert not features_of(Around(None, None))
    assert features_of(Around(None, None).train()) == {"mode"}
    assert features_of(Around(None, lambda x: x / x.mean(0, keepdim=True))) == {"batches of 1 and 8", "stored values"}
    assert features_of(Around(None, lambda x: x.index_fill(0, torch.tensor(0), torch.nan))) == {"finite"}
    assert features_of(Around(None, lambda x: x.flip(1))) == {"stored values"}
    assert features_of(Around(lambda x: x.flip(1), None)) == {"stored values"}  # BGR
    assert features_of(Around(lambda x: x // 2 * 2, None)) == {"stored values"}  # one bit is lost
    assert features_of(Around(lambda x: F.avg_pool2d(x.float(), 2), None)) == {"stored values"}


def test_one_changed_weight_is_found() -> None:
    net, distance = RandConv().eval(), RandConvDistance().eval()
    for weight in (net.get_buffer("weight0"), distance.get_buffer("net.weight0")):
        weight[3, 1, 2, 0] += 0.1
    assert features_of(net) == {"stored values"}
    assert distances_of(distance) == {"stored values"}


def test_gradients_left_on_are_found() -> None:
    net = RandConv().eval()
    net.extra = nn.Linear(2, 2)
    assert features_of(net.eval()) == {"mode"}
    assert features_of(net.requires_grad_(False)) == set()
    net.extra.train()
    assert features_of(net) == {"mode"}


def test_faults_of_the_published_networks_are_found(effnet: EfficientNetLite0, st_lpips: StLpips) -> None:
    weight = effnet.net._conv_stem.weight
    kept = weight[0, 0, 1, 1].item()
    try:
        with torch.no_grad():
            weight[0, 0, 1, 1] += 0.2
        assert features_of(effnet, "effnetlite0_128") == {"stored values"}
    finally:
        with torch.no_grad():
            weight[0, 0, 1, 1] = kept
    effnet.px = 112
    try:
        assert features_of(effnet, "effnetlite0_128") == {"stored values"}
    finally:
        del effnet.px
    try:
        assert features_of(effnet.train(), "effnetlite0_128") >= {"mode"}
    finally:
        effnet.eval()
    head = st_lpips.get_buffer("lin2_model_1_weight")
    head *= 1.5
    try:
        assert distances_of(st_lpips, "st_lpips_alex") == {"stored values"}
    finally:
        head /= 1.5
    assert not distances_of(st_lpips, "st_lpips_alex") and not features_of(effnet, "effnetlite0_128")


class Twisted(RandConvDistance):
    """RandConvDistance whose answer is another one."""

    def __init__(self, twist: Callable[[Tensor, list[Tensor], list[Tensor]], Tensor]) -> None:
        super().__init__()
        self.twist = twist
        self.eval()

    def distance(self, a: list[Tensor], b: list[Tensor]) -> Tensor:
        return self.twist(super().distance(a, b), a, b)


def test_faults_of_distances_are_found() -> None:
    def norm(maps: list[Tensor]) -> Tensor:
        return maps[0][:, 0].mean((1, 2))

    assert not distances_of(Twisted(lambda d, a, b: d))
    assert distances_of(Twisted(lambda d, a, b: d).train()) == {"mode"}
    assert distances_of(Twisted(lambda d, a, b: d + 0.5)) == {"to itself", "stored values"}
    assert distances_of(Twisted(lambda d, a, b: d * (1.5 + norm(a)))) == {"both ways", "stored values"}
    assert distances_of(Twisted(lambda d, a, b: d * len(d))) == {"batches of 1 and 4", "stored values"}
    assert distances_of(Twisted(lambda d, a, b: d * (2 - d))) >= {"stored values"}
    assert distances_of(Twisted(lambda d, a, b: (d > 0).float())) == {"grow with noise", "stored values"}
    assert distances_of(Twisted(lambda d, a, b: d * torch.nan)) == {"finite"}


def test_a_network_that_was_not_at_hand_has_no_stored_values() -> None:
    last = doctor.distance_network("lpips_vgg", RandConvDistance().eval(), "cpu")[-1]
    assert (last.name, last.state) == ("lpips_vgg distances: stored values", "not available")
    assert last.found == "no stored value"


# Weights


def test_a_missing_file_is_not_available_and_an_altered_one_that_was_named_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BENCHMARK_WEIGHTS_DIR", raising=False)
    right, wrong = tmp_path / "right.pt", tmp_path / "wrong.pt"
    right.write_bytes(b"weights")
    wrong.write_bytes(b"weightz")
    sha256 = hashlib.sha256(b"weights").hexdigest()
    file = replace(WEIGHT_FILES["inception"], filename="only-in-this-test.pt", sha256=sha256)

    def found() -> Check:
        return doctor.weights("inception", tmp_path / "cache", {"inception": file})[0]

    assert found().state == "not available" and "only-in-this-test.pt" in found().found
    monkeypatch.setenv(file.variable, str(right))
    assert found().state == "ok" and sha256[:12] in found().found
    monkeypatch.setenv(file.variable, str(wrong))
    assert found().state == "failed" and sha256 in found().found
    monkeypatch.delenv(file.variable)
    (tmp_path / "cache" / "weights").mkdir(parents=True)
    wrong.rename(tmp_path / "cache" / "weights" / file.filename)
    assert found().state == "not available" and "is another file" in found().found


def test_a_missing_network_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    absent = replace(WEIGHT_FILES["inception"], filename="only-in-this-test.pt")
    made = Evaluator(["fid", "kid_randconv"], tmp_path, files={**WEIGHT_FILES, "inception": absent})
    checks = examine(made)
    (state,) = [c for c in checks if c.name == "inception: network"]
    assert state.state == "not available" and "only-in-this-test.pt" in state.found
    assert verdict(checks).passed and verdict(checks).checks == len(checks) - 1


# The verdict and the command


def test_close_says_where_the_worst_is() -> None:
    check = close("x", [1.0, 2.0, 3.5], [1.0, 2.0, 3.0], 0.1)
    assert (check.state, check.found, check.expected) == ("failed", "3.5 (worst of 3)", "3 ± 0.3")
    assert close("x", [np.nan, 1.0], [1.0, 1.0], 0.1).found == "nan (worst of 2)"
    assert close("x", [np.inf], [1.0], 0.1).state == "failed"
    assert close("x", [1.0], [1.0, 1.0], 0.1).state == "failed"
    assert close("x", [], [1.0], 0.1).state == "failed"


def test_the_verdict_has_a_line_for_each_failure() -> None:
    checks = [Check("a", "ok", "1", "1"), Check("b", "failed", "2", "1"), Check("c", "not available", "no file", "")]
    assert verdict(checks).model_dump() == {"passed": False, "checks": 2, "failed": ("b: found 2; expected 1",)}


def call(*arguments: str) -> tuple[int, str]:
    done = CliRunner(env={"COLUMNS": "200"}).invoke(cli, ["doctor", *arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done.exit_code, done.output


def test_the_command_passes_the_smoke_suite(tmp_path: Path) -> None:
    code, text = call("--suite", "smoke", "--device", "cpu", "--cache", str(tmp_path))
    assert code == 0
    assert "kid: known answer" in text and "randconv features: stored values" in text
    assert text.splitlines()[-1].endswith("checks, 0 failed, 0 not available")


def test_the_command_exits_1_and_shows_what_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = doctor.read_stored()
    stored["randconv features"][0][0] += 0.5
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"schema": 1, "values": stored}))
    monkeypatch.setattr(doctor, "STORED", other)
    code, text = call("--metrics", "fd_randconv", "--device", "cpu", "--cache", str(tmp_path))
    (row,) = [line for line in text.splitlines() if "failed" in line and "│" in line]
    assert code == 1 and "randconv features: stored values" in row and ", 1 failed," in text


# Faults of the further formulas


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        ("mind", lambda x, y: features_to_mind(x, y) / x.shape[1]),
        ("mind", lambda x, y: features_to_mind(x, y) ** 0.5),
        ("mind", lambda x, y: features_to_mind(x, y[: len(x)])),
        ("vendi", lambda x, y: features_to_vendi(y)),
        ("vendi", lambda x, y: np.log(features_to_vendi(x))),
        ("cmmd", lambda x, y: features_to_cmmd(x, y) / 1000),
        ("cmmd", lambda x, y: features_to_cmmd(x, x)),
    ],
)
def test_faults_of_the_further_formulas_are_found(kind: str, fault: Callable[[Features, Features], float]) -> None:
    assert failed(known_answers.known_answers(kind, answering(kind, fault))) == {f"{kind}: known answer"}


def test_faults_of_balance_and_of_paths_are_found() -> None:
    assert failed(known_answers.balanced(intra)) == {"intra_balanced: known answer"}
    assert failed(known_answers.walked(lambda x: Score.measured(float(x.mean()), len(x)))) == {
        "path_length: known answer"
    }
    assert failed(known_answers.walked(lambda x: Score.measured(101, len(x) - 4))) == {"path_length: counts paths"}
    assert not failed([*known_answers.balanced(), *known_answers.walked()])

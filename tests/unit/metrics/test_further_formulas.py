"""MIND, Vendi score, CMMD and perceptual path length against the definitions written out and against scipy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.linalg import eigh
from scipy.stats import wasserstein_distance

from benchmark.config import EvalConfig, NetConfig
from benchmark.errors import DataError
from benchmark.metrics import Evaluator, Samples
from benchmark.metrics.catalogue import find_metric
from benchmark.metrics.formulas.clip_mmd import features_to_cmmd
from benchmark.metrics.formulas.path_length import EPSILON, lengths_to_score, path_lengths
from benchmark.metrics.formulas.sliced import features_to_mind, squared_transport
from benchmark.metrics.formulas.vendi import features_to_vendi
from benchmark.metrics.networks.perceptual import load_perceptual_network
from benchmark.metrics.pooled import features_to_scores
from benchmark.metrics.sampling import Sampler
from benchmark.stylegan2 import Generator, Nets, Noise


def normal(n: int, d: int, seed: int, mean: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d)) + mean


# MIND


def test_transport_of_equal_numbers_pairs_sorted_values() -> None:
    a, b = np.sort(normal(7, 20, 0).T), np.sort(normal(7, 20, 1).T)
    assert squared_transport(a, b) == pytest.approx(np.square(a - b).mean(axis=1), rel=1e-12)


@pytest.mark.parametrize(("n", "m"), [(1, 5), (4, 6), (7, 5), (9, 3)])
def test_transport_of_other_numbers_is_that_of_repeated_values(n: int, m: int) -> None:
    """Each value m times on one side and n times on the other: equal numbers, the same distributions."""
    a, b = np.sort(normal(n, 3, 2).T), np.sort(normal(m, 3, 3, 1.0).T)
    repeated = np.square(np.repeat(a, m, axis=1) - np.repeat(b, n, axis=1)).mean(axis=1)
    assert squared_transport(a, b) == pytest.approx(repeated, rel=1e-12)


def test_values_below_each_other_are_as_far_apart_as_scipy_says() -> None:
    """Where all of a lies a constant below b, W2 is W1, which scipy computes."""
    a = np.sort(normal(6, 1, 4).T)
    b = a + 3
    assert squared_transport(a, b)[0] ** 0.5 == pytest.approx(wasserstein_distance(a[0], b[0]))


def test_mind_of_a_shift_is_three_times_its_square() -> None:
    """Along u a shift by t is (u.t)^2, whose mean over the sphere is |t|^2 / d; the factor is 3 d."""
    x, t = normal(40, 8, 5), np.arange(8.0) / 4
    assert features_to_mind(x, x + t) == pytest.approx(3 * t @ t, rel=0.1)
    assert features_to_mind(x, x) == 0
    assert features_to_mind(x, x + t) == features_to_mind(x + t, x)


def test_mind_is_its_definition_on_other_directions() -> None:
    """Written out with other random directions; the two agree within their errors."""
    x, y = normal(60, 5, 6), normal(60, 5, 7, 0.7)
    u = np.random.default_rng(99).standard_normal((20000, 5))
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    expected = 15 * np.square(np.sort(u @ x.T) - np.sort(u @ y.T)).mean()
    assert features_to_mind(x, y) == pytest.approx(expected, rel=0.05)


def test_mind_falls_with_the_number_of_images_and_sees_more_than_two_moments() -> None:
    few, many = (features_to_mind(normal(n, 4, 8), normal(n, 4, 9)) for n in (20, 2000))
    assert 0 < many < few / 10
    two = np.where(normal(2000, 4, 10) > 0, 1.0, -1.0)  # mean 0, variance 1, as the normal distribution
    assert features_to_mind(normal(2000, 4, 11), two) > 10 * many


# Vendi score


def test_vendi_is_its_definition() -> None:
    for shape in ((6, 9), (12, 4)):  # more features than images, and fewer
        x = normal(*shape, 12)
        unit = x / np.linalg.norm(x, axis=1, keepdims=True)
        shares = eigh(unit @ unit.T / len(x), eigvals_only=True)
        shares = shares[shares > 1e-12]
        expected = np.prod(shares**-shares)
        assert features_to_vendi(x) == pytest.approx(expected, rel=1e-9)
        assert features_to_vendi(5 * x) == pytest.approx(expected, rel=1e-9)


def test_vendi_counts_different_images() -> None:
    assert features_to_vendi(np.tile(normal(1, 5, 13), (7, 1))) == pytest.approx(1)
    assert features_to_vendi(np.eye(6)) == pytest.approx(6)
    assert features_to_vendi(np.repeat(np.eye(6), 3, axis=0)) == pytest.approx(6)
    with pytest.raises(DataError, match="image 1 has features of 0"):
        features_to_vendi(np.array([[1.0, 0], [0, 0]]))


def test_vendis_note_compares_equal_numbers() -> None:
    """The score grows with the number: 40 images of one distribution score more than 10 of them."""
    info = find_metric("vendi_randconv")
    drawn, real = normal(40, 6, 30).astype(np.float32), normal(10, 6, 31).astype(np.float32)
    for fakes, held_out in ((drawn, real), (real, drawn)):
        score = features_to_scores([info], fakes, held_out)[info.name]
        own, generated = features_to_vendi(held_out[:10]), features_to_vendi(fakes[:10])
        assert score.note == f"at N=10: held-out images' own {own:.4g}, generated ones {generated:.4g}"
        assert score.value == features_to_vendi(fakes) and score.n == len(fakes)
    assert features_to_vendi(drawn) > features_to_vendi(real) + 0.3


# CMMD


def test_cmmd_is_its_definition() -> None:
    """The kernel matrices written out; the mean takes in an image with itself."""
    x, y = normal(30, 16, 14), normal(20, 16, 15, 0.5)
    a, b = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (x, y))

    def kernel(p: np.ndarray, q: np.ndarray) -> float:
        return float(np.exp(-np.square(p[:, None] - q[None]).sum(2) / 200).mean())

    expected = 1000 * (kernel(a, a) + kernel(b, b) - 2 * kernel(a, b))
    assert features_to_cmmd(x, y) == pytest.approx(expected, rel=1e-6)
    assert features_to_cmmd(x, x) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("formula", [features_to_mind, features_to_cmmd, lambda x, y: features_to_vendi(x)])
def test_features_that_are_no_numbers_are_refused(formula: Callable[[np.ndarray, np.ndarray], float]) -> None:
    x = normal(4, 3, 16)
    x[1, 2] = np.nan
    with pytest.raises(DataError, match="must be finite numbers"):
        formula(x, normal(4, 3, 17))


# Perceptual path length


CFG = NetConfig(resolution=32, z_dim=8, w_dim=8, mapping_layers=2, channel_base=128, channel_max=16, conv_clamp=None)


@pytest.fixture(scope="module")
def generator() -> Generator:
    return Nets.create(CFG, 3).g_ema.eval()


def paths_of(g: Generator, samples: int = 12, batch: int = 5) -> Samples:
    cfg = EvalConfig(metrics=("ppl_randconv",), samples=samples, pairs=4, batch=batch)

    def noise(n: int, rng: torch.Generator) -> Noise:
        return g.synthesis.random_noise(n, rng)

    return Sampler(g, cfg, ("seed",))(g, noise)[0]


def test_path_length_is_its_definition(generator: Generator) -> None:
    """One path at a time: w of both latents, a small step between, the squared distance over the squared step."""
    paths, net = paths_of(generator).paths, load_perceptual_network("randconv", {})
    assert paths is not None and len(paths) == 12
    found = path_lengths(net, paths, "cpu", lambda k: None)
    draw, expected = paths.noise(), []
    with torch.inference_mode():
        for start in (0, 5, 10):
            z = paths.ends[:, start : start + 5]
            maps = draw(z.shape[1])
            w0, w1 = generator.mapping(z[0]), generator.mapping(z[1])
            a, b = (generator.synthesis(w, maps)[0] * 127.5 + 127.5 for w in (w0, w0 + EPSILON * (w1 - w0)))
            expected.append(net.distance(net.features(a), net.features(b)) / EPSILON**2)
    assert found == pytest.approx(torch.cat(expected).numpy(), rel=0.05)
    assert (found > 0).all() and found.std() > 0


def test_path_length_does_not_hang_on_the_step(generator: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a derivative: a step that is five times as long gives nearly the same speed, rounding is no part of it."""
    net, paths = load_perceptual_network("randconv", {}), paths_of(generator).paths
    short = path_lengths(net, paths, "cpu", lambda k: None)
    monkeypatch.setattr("benchmark.metrics.formulas.path_length.EPSILON", 5 * EPSILON)
    assert path_lengths(net, paths, "cpu", lambda k: None).mean() == pytest.approx(short.mean(), rel=0.05)


def test_a_generator_that_ignores_w_has_no_path_length(generator: Generator, tmp_path: Path) -> None:

    still = Generator(generator.cfg).eval()
    still.load_state_dict(generator.state_dict())
    for name, p in still.named_parameters():
        if "affine.weight" in name:
            p.data.zero_()
    images = np.zeros((12, 3, 32, 32), np.uint8)
    scores = {}
    for name, g in {"still": still, "moving": generator}.items():
        samples, seen = paths_of(g), []
        found = Evaluator(["ppl_randconv"], tmp_path)(samples, images, "digest", lambda *of, seen=seen: seen.append(of))
        scores[name] = found.scores["ppl_randconv"]
        assert seen[-1] == (24, 24)
    assert scores["still"].value == pytest.approx(0, abs=1e-6)
    assert scores["moving"].value > 1 and scores["moving"].n == 12


def test_paths_are_the_same_each_time_and_for_all_methods(generator: Generator) -> None:
    first, again = (paths_of(generator, batch=b).paths for b in (5, 5))
    assert first.ends.equal(again.ends)
    pairs = [next(iter(paths)) for paths in (first, first, again)]
    assert all(pair[0].equal(pairs[0][0]) and pair[1].equal(pairs[0][1]) for pair in pairs)


def test_the_outermost_paths_are_left_out_of_the_mean() -> None:
    lengths = np.concatenate([np.full(2, -1e9), np.arange(1.0, 198.0), np.full(2, 1e9)])
    score = lengths_to_score(np.random.default_rng(0).permutation(lengths))
    assert score.value == pytest.approx(99) and score.n == 201
    assert lengths_to_score(np.array([2.0])).value == 2


def test_without_paths_it_is_not_available(tmp_path: Path) -> None:
    images = np.zeros((4, 3, 32, 32), np.uint8)
    score = Evaluator(["ppl_randconv"], tmp_path)(Samples(images, images, images), images, "digest").scores
    assert score["ppl_randconv"].reason == "not available: no images along paths were drawn"

"""All methods are sampled at the same latents; equal networks are exactly equal."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmark.api import Control, Method
from benchmark.api.returned import noise_of
from benchmark.config import EvalConfig, NetConfig
from benchmark.domains import load_domain
from benchmark.errors import MethodError
from benchmark.metrics import Evaluator
from benchmark.metrics.sampling import NoiseOf, Sampler, to_uint8
from benchmark.metrics.translation import DRAWS
from benchmark.results import ResultStore
from benchmark.running.plan import plan
from benchmark.running.setup import Request, Run
from benchmark.sources import list_sources
from benchmark.stylegan2 import Generator, Nets, Noise
from benchmark.suites import load_suite
from benchmark.system.random_streams import generator

CFG = NetConfig(resolution=16, z_dim=8, w_dim=8, mapping_layers=1, channel_base=64, channel_max=8, conv_clamp=None)
CARD = list_sources()["smoke-32"].card
EVAL = EvalConfig(metrics=("consistency_anchor_randconv", "consistency_randconv"), samples=11, pairs=7, batch=4)
SEED = ("suite", "domain", 0)


@cache
def network(seed: int) -> Generator:
    g = Nets.create(CFG, seed).g_ema
    with torch.no_grad():
        for name, p in g.named_parameters():
            if name.endswith("noise_strength"):
                p.fill_(0.5)
    return g


def random_noise(n: int, rng: torch.Generator) -> Noise:
    return network(0).synthesis.random_noise(n, rng)


def anchor(n: int, rng: torch.Generator) -> Noise:
    return "const"


def test_images_are_rounded_to_what_a_png_would_hold() -> None:
    values = torch.tensor([-9.0, -1.0, -1 + 0.49 / 127.5, -1 + 0.51 / 127.5, 0.004, 1.0, 1.7]).view(1, 1, 1, -1)
    made = to_uint8(values)
    assert made.dtype == np.uint8
    assert made.ravel().tolist() == [0, 0, 0, 1, 128, 255, 255]
    every = torch.arange(256.0)
    assert to_uint8((every / 127.5 - 1).view(1, 1, 16, 16)).ravel().tolist() == list(range(256))


def test_latents_depend_on_the_seed_alone() -> None:
    first, again = Sampler(network(0), EVAL, SEED), Sampler(network(1), EVAL, SEED)
    assert first.z.equal(again.z) and first.z.shape == (11, 8)
    for other in (("suite", "domain", 1), ("suite", "other", 0), ("other", "domain", 0)):
        assert not Sampler(network(0), EVAL, other).z.equal(first.z)


def test_every_method_of_a_group_gets_the_same_sampler(tmp_path: Path) -> None:
    suite, methods = load_suite("smoke", ["seeds=[0, 1]"])
    domains = {name: load_domain(name, 32, 8, 8, tmp_path) for name in suite.domains}
    request, nets = Request("smoke", (), {}, "cpu", tmp_path), Nets.create(CFG, 0)
    run = Run(request, ResultStore(tmp_path), CARD, nets, domains, Evaluator([], tmp_path), "cpu")
    latents: dict[tuple[str, int], Tensor] = {}
    for job in plan(suite, methods, domains, "sha"):
        z = run.sampler_for(job, suite.eval).z
        assert latents.setdefault((job.domain, job.seed), z) is z
    assert len({tuple(z.ravel().tolist()) for z in latents.values()}) == 4


def test_the_source_is_exactly_consistent_with_itself(tmp_path: Path) -> None:
    samples, _ = Sampler(network(0), EVAL, SEED)(network(0), random_noise)
    np.testing.assert_array_equal(samples.sources, samples.anchored)
    scores = Evaluator(EVAL.metrics, tmp_path)(samples, samples.fakes, "digest").scores
    assert scores["consistency_anchor_randconv"].value == 0
    assert (scores["consistency_randconv"].value or 0) > 0  # its noise differs
    samples, _ = Sampler(network(0), EVAL, SEED)(network(0), anchor)
    assert Evaluator(EVAL.metrics, tmp_path)(samples, samples.fakes, "digest").scores["consistency_randconv"].value == 0


def test_images_at_the_anchor_are_those_of_the_weights_of_now() -> None:
    """A method may hand out one network again, with other weights."""
    g, other = copy.deepcopy(network(0)), network(1)
    sampler = Sampler(network(0), EVAL, SEED)
    first = sampler(g, anchor)[0].anchored
    assert first is not None and sampler(copy.deepcopy(g), anchor)[0].anchored is first
    g.load_state_dict(other.state_dict())
    np.testing.assert_array_equal(sampler(g, anchor)[0].anchored, sampler(other, anchor)[0].anchored)
    assert not np.array_equal(sampler(g, anchor)[0].anchored, first)


@pytest.mark.parametrize("said", ["random", "const", "none"])
def test_noise_that_a_method_names_by_a_word_is_drawn_from_its_stream(said: str) -> None:
    class Words(Method):
        name = "words"

        def noise(self, g: Generator, n: int, control: Control, rng: torch.Generator) -> Noise:
            return said

    def images() -> np.ndarray:
        sampler = Sampler(network(0), EVAL, SEED)
        return sampler(network(0), lambda n, rng: noise_of(Words(), network(0), n, None, rng))[0].fakes

    before = torch.random.get_rng_state()
    np.testing.assert_array_equal(images(), images())
    assert torch.random.get_rng_state().equal(before)
    np.testing.assert_array_equal(images(), Sampler(network(0), EVAL, SEED)(network(0), AS_SAID[said])[0].fakes)


AS_SAID: dict[str, NoiseOf] = {"random": random_noise, "const": anchor, "none": lambda n, rng: "none"}


@pytest.mark.parametrize(("given", "found"), [(None, "None"), ("loud", "'loud'"), (3, "a int")])
def test_other_noise_is_refused(given: Any, found: str) -> None:
    class Odd(Method):
        name = "odd"

        def noise(self, g: Generator, n: int, control: Control, rng: torch.Generator) -> Noise:
            return given

    with pytest.raises(MethodError, match=rf"odd\.noise\(\) returned {found}: return \"const\", \"none\""):
        noise_of(Odd(), network(0), 2, None, torch.Generator())


def test_an_image_does_not_depend_on_what_was_sampled_before() -> None:
    sampler = Sampler(network(0), EVAL, SEED)
    first, _ = sampler(network(1), random_noise)
    sampler(network(2), anchor)
    again, _ = sampler(network(1), random_noise)
    alone, _ = Sampler(network(0), EVAL, SEED)(network(1), random_noise)
    for other in (again, alone):
        for part in ("fakes", "sources", "anchored"):
            np.testing.assert_array_equal(getattr(first, part), getattr(other, part))
    assert (first.anchored != first.sources).any()


@pytest.mark.parametrize("batch", [1, 7, 11, 50])
def test_pairs_belong_to_one_latent_whatever_the_batch(batch: int) -> None:
    cfg = EVAL.model_copy(update={"batch": batch})
    seen: list[int] = []
    samples, _ = Sampler(network(0), cfg, SEED)(network(1), anchor, seen.append)
    assert sum(seen) == len(samples.fakes) == 11 and max(seen) <= batch
    assert len(samples.sources) == len(samples.anchored) == 7
    z = Sampler(network(0), cfg, SEED).z
    by_hand = to_uint8(network(1)(z, noise="const").detach())
    assert np.abs(samples.fakes.astype(int) - by_hand).max() <= 1  # sums in another order
    at_source = to_uint8(network(1)(z[:7], noise=network(0).synthesis.anchor_noise()).detach())
    assert np.abs(samples.anchored.astype(int) - at_source).max() <= 1


def test_truncation_leads_to_one_image() -> None:
    samples, _ = Sampler(network(0), EVAL.model_copy(update={"psi": 0.0}), SEED)(network(1), anchor)
    assert (samples.fakes == samples.fakes[:1]).all()


def test_pairs_are_the_first_samples_whatever_the_batches() -> None:
    sampler = Sampler(network(0), EVAL, SEED)
    samples, _ = sampler(network(1), random_noise, before=sampler.pairs(network(0), random_noise))
    assert samples.before is not None
    assert np.array_equal(sampler.pairs(network(1), random_noise), samples.fakes[: EVAL.pairs])
    assert len(samples.before) == EVAL.pairs and not np.array_equal(samples.before, samples.fakes[: EVAL.pairs])


def test_images_at_the_anchor_are_drawn_only_for_metrics_that_need_them(tmp_path: Path) -> None:
    followed = EVAL.model_copy(update={"metrics": ("consistency_randconv",)})
    plain, _ = Sampler(network(0), followed, SEED)(network(1), random_noise)
    both, _ = Sampler(network(0), EVAL, SEED)(network(1), random_noise)
    assert plain.anchored is None and both.anchored is not None
    for part in ("fakes", "sources"):
        np.testing.assert_array_equal(getattr(plain, part), getattr(both, part))
    scores = Evaluator(EVAL.metrics, tmp_path)(plain, plain.fakes, "digest").scores
    assert "anchor noise" in (scores["consistency_anchor_randconv"].reason or "")
    assert scores["consistency_randconv"].value is not None


@pytest.mark.parametrize(("noise", "passes"), [(random_noise, DRAWS), (anchor, 1)])
def test_averaged_images_share_what_equal_noises_have_in_common(
    noise: Callable[[int, torch.Generator], Noise], passes: int
) -> None:
    """And are what a pass for each draw gives, bit for bit."""
    cfg = EVAL.model_copy(update={"metrics": ("distance_averaged_l1",), "batch": 7})
    g, seen = copy.deepcopy(network(1)), []
    g.synthesis.register_forward_hook(lambda module, args, out: seen.append(out[0]))
    sampler = Sampler(network(0), cfg, SEED)
    samples, _ = sampler(g, noise)
    assert len(seen) == 2 + passes  # eleven samples are two batches
    rng = generator(*SEED, "eval", "averaged noise")
    draws = [(g(sampler.z[:7], noise=noise(7, rng)) * 0.5 + 0.5).clamp(0, 1) for _ in range(DRAWS)]
    assert samples.translations is not None
    np.testing.assert_array_equal(samples.translations.adapted, (sum(draws) / DRAWS).detach().numpy())


@pytest.fixture
def tf32() -> Iterator[None]:
    """TF32 allowed in all products; monkeypatch cannot take back what is no plain attribute."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


@pytest.mark.usefixtures("tf32")
def test_evaluated_images_are_drawn_in_full_precision_whatever_is_set() -> None:
    """In every pass of either generator: cuDNN's default is TF32, and somebody may leave autocast or TF32 on."""
    seen: list[tuple[bool, ...]] = []

    def settings() -> tuple[bool, ...]:
        allowed = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
        return (*allowed, torch.is_autocast_enabled("cpu"), torch.is_grad_enabled())

    names = (*EVAL.metrics, *LEGACY.metrics, "distance_averaged_l1", "ppl_randconv")
    source, g = copy.deepcopy(network(0)), copy.deepcopy(network(1))
    for net in (source, g):
        net.synthesis.register_forward_pre_hook(lambda module, args: seen.append(settings()))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        before = settings()
        sampler = Sampler(source, EVAL.model_copy(update={"metrics": names}), SEED)
        samples, _ = sampler(g, random_noise, before=sampler.pairs(g, random_noise))
        sampler.at(g, network(1).mapping(sampler.z).detach().float(), random_noise)
        assert samples.paths is not None and len(list(samples.paths)) > 0
        assert settings() == before == (True, True, True, True)
    assert len(seen) > 20 and set(seen) == {(False,) * 4}


LEGACY = EVAL.model_copy(update={"metrics": ("legacy_uniform_z_independent_noise_randconv",)})


def test_legacy_images_are_drawn_only_for_metrics_that_need_them() -> None:
    plain, _ = Sampler(network(0), EVAL, SEED)(network(1), random_noise)
    legacy, _ = Sampler(network(0), LEGACY, SEED)(network(1), random_noise)
    assert plain.legacy is None and legacy.legacy is not None
    for part in ("fakes", "sources"):  # streams of their own: nothing else moves
        np.testing.assert_array_equal(getattr(plain, part), getattr(legacy, part))


def test_legacy_latents_are_uniform_and_the_same_for_all_methods() -> None:
    wide = CFG.model_copy(update={"z_dim": 512, "mapping_layers": 1})
    g = Nets.create(wide, 0).g_ema
    z = Sampler(g, LEGACY, SEED).legacy_latents()
    assert z.shape == (7, 512) and z.min() >= 0 and z.max() < 1
    counts = torch.histc(z, 8, 0, 1) / z.numel()
    assert (counts - 1 / 8).abs().max() < 0.03
    cosines = torch.nn.functional.cosine_similarity(z[:1], z[1:])
    assert cosines.mean().item() == pytest.approx(0.75, abs=0.03)  # the flaw: all point into one corner
    assert z.equal(Sampler(Nets.create(wide, 1).g_ema, LEGACY, SEED).legacy_latents())
    assert not z.equal(Sampler(g, LEGACY, ("suite", "domain", 1)).legacy_latents())


def test_legacy_noise_is_independent_in_the_two_networks_and_of_the_control() -> None:
    sampler = Sampler(network(0), LEGACY, SEED)
    with_noise, again, at_anchor = (
        sampler(network(0), noise)[0].legacy for noise in (random_noise, random_noise, anchor)
    )
    assert with_noise is not None and again is not None and at_anchor is not None
    for other in (again, at_anchor):
        np.testing.assert_array_equal(with_noise[0], other[0])
        np.testing.assert_array_equal(with_noise[1], other[1])
    source, adapted = (images.astype(float) for images in with_noise)
    assert (source != adapted).mean() > 0.5  # one network, one z: only the noise differs
    still = network(0)(sampler.legacy_latents(), noise="none").detach()
    apart = [(to_uint8(still) - images).ravel() for images in (source, adapted)]
    assert abs(np.corrcoef(*apart)[0, 1]) < 0.2


def test_legacy_images_are_not_truncated() -> None:
    made = [
        Sampler(network(0), LEGACY.model_copy(update={"psi": psi}), SEED)(network(1), anchor)[0].legacy
        for psi in (0.0, 1.0)
    ]
    assert made[0] is not None and made[1] is not None
    np.testing.assert_array_equal(made[0][1], made[1][1])
    assert made[0][1].std(axis=0).max() > 0

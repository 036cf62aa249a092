"""Samples and a reference set in, one score per metric out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from benchmark.metrics.base import (
    NEIGHBOURS,
    Images,
    Kind,
    MetricInfo,
    Samples,
    Score,
    distances_to_score,
    find_metric,
    require_images,
)
from benchmark.metrics.extrapolation import fd_std_error, features_to_fd_infinity
from benchmark.metrics.feature_cache import Features, cache_file, load_features, store_features
from benchmark.metrics.frechet import features_to_gaussian, frechet_distance
from benchmark.metrics.kid import features_to_kid
from benchmark.metrics.neighbours import features_to_prdc
from benchmark.metrics.weights import NETWORK_FILES, WEIGHT_FILES, WeightFile, locate, require_known

if TYPE_CHECKING:
    from benchmark.metrics.features import FeatureNetwork
    from benchmark.metrics.perceptual import PerceptualNetwork

POOLED: tuple[Kind, ...] = ("kid", "fd", "fd_infinity", "precision", "recall", "density", "coverage")
PAIRED: tuple[Kind, ...] = ("consistency", "consistency_anchor", "step")
FEWEST_FOR_INFINITY = 100
NO_STEP = "not available: there is no value of the control before this one"

Progress = Callable[[int, int], None]
"""Called as progress(images done, images in all); an image counts once per network that sees it."""


class Evaluator:
    """Computes the named metrics; each network is loaded once, here, and each set of features made once per call.

    ``cache`` holds features of reference sets and is one of the places where weights are looked for. ``weights`` names
    files by key (see weights.py). ``files`` replaces the published files by others and exists for tests.
    Raises UnknownName for a metric or weight key, WeightsError for a named file that is missing or altered.
    A metric whose network cannot be had is decided here, once, and scored as ``not available: ...``.
    """

    def __init__(
        self,
        names: Sequence[str],
        cache: Path,
        device: str = "cpu",
        batch: int = 50,
        weights: Mapping[str, Path] = MappingProxyType({}),
        files: Mapping[str, WeightFile] = WEIGHT_FILES,
    ) -> None:
        require_known(weights, files)
        self.infos = tuple(find_metric(name) for name in dict.fromkeys(names))
        self.device, self.batch, self.cache = device, batch, Path(cache)
        self.missing: dict[str, str] = {}
        self._pooled: dict[str, tuple[FeatureNetwork, str]] = {}
        self._perceptual: dict[str, PerceptualNetwork] = {}
        for network in dict.fromkeys(info.network for info in self.infos):
            self._load(network, weights, files)

    def __call__(
        self, samples: Samples, reference: Images, reference_digest: str, progress: Progress | None = None
    ) -> dict[str, Score]:
        """Score ``samples`` against ``reference`` (uint8 [M, 3, R, R]), in the order of the names.

        ``reference_digest`` stands for the content of ``reference`` in the cache, so it must change with the images.
        Raises DataError for images of another type or shape.
        """
        require_images(reference, "the reference set")
        folder, size = self.cache / "features", reference.shape
        files = {name: cache_file(folder, mark, reference_digest, size) for name, (_, mark) in self._pooled.items()}
        cached = {name: load_features(files[name], len(reference), net.dim) for name, (net, _) in self._pooled.items()}
        tick = self._counter(samples, reference, cached, progress)
        scores = {i.name: Score.missing(self.missing[i.network]) for i in self.infos if i.network in self.missing}
        for network, (net, _) in self._pooled.items():
            real = cached[network]
            if real is None:
                real = self._features(net, reference, tick)
                store_features(files[network], real)
            fakes = self._features(net, samples.fakes, tick)
            scores |= features_to_scores(self._of(network, *POOLED), fakes, real)
        for network, perceptual in self._perceptual.items():
            scores |= self._consistency(network, perceptual, samples, tick)
        return {info.name: scores[info.name] for info in self.infos}

    def _load(self, network: str, weights: Mapping[str, Path], files: Mapping[str, WeightFile]) -> None:
        """Find the network's files, then load it in the roles that the metrics need; or note why not."""
        located = {key: locate(files[key], weights, self.cache) for key in NETWORK_FILES[network]}
        reasons = [place.reason for place in located.values() if place.reason]
        if reasons:
            self.missing[network] = reasons[0]
            return
        from benchmark.metrics.features import fingerprint, load_feature_network
        from benchmark.metrics.perceptual import load_perceptual_network

        paths = {key: place.path for key, place in located.items() if place.path}
        try:
            if self._of(network, *POOLED):
                net = load_feature_network(network, paths)
                mark = fingerprint(net, [files[key].sha256 for key in paths])
                self._pooled[network] = (net.to(self.device), mark)
            if self._of(network, *PAIRED):
                self._perceptual[network] = load_perceptual_network(network, paths).to(self.device)
        except ImportError as error:
            self.missing[network] = f"not available: {error}; install what `list metrics` says that it needs"

    def _consistency(
        self, network: str, net: PerceptualNetwork, samples: Samples, tick: Callable[[int], None]
    ) -> dict[str, Score]:
        from benchmark.metrics.perceptual import images_to_distances

        adapted = {"consistency": samples.fakes[: len(samples.sources)], "consistency_anchor": samples.anchored}
        infos = self._of(network, *adapted)
        others = {info.name: adapted[info.kind] for info in infos}
        distances = images_to_distances(net, samples.sources, others, self.device, self.batch, tick)
        steps = {info.name: adapted["consistency"] for info in self._of(network, "step")}
        if steps and samples.before is not None:
            distances |= images_to_distances(net, samples.before, steps, self.device, self.batch, tick)
        missing = {name: Score.missing(NO_STEP) for name in steps if samples.before is None}
        return missing | {name: distances_to_score(values) for name, values in distances.items()}

    def _features(self, net: FeatureNetwork, images: Images, tick: Callable[[int], None]) -> Features:
        from benchmark.metrics.features import images_to_features

        return images_to_features(net, images, self.device, self.batch, tick)

    def _of(self, network: str, *kinds: str) -> list[MetricInfo]:
        return [info for info in self.infos if info.network == network and info.kind in kinds]

    def _counter(
        self,
        samples: Samples,
        reference: Images,
        cached: Mapping[str, Features | None],
        progress: Progress | None,
    ) -> Callable[[int], None]:
        """A tick that adds up images and tells ``progress``."""
        total = sum(len(samples.fakes) + (len(reference) if real is None else 0) for real in cached.values())
        for network in self._perceptual:
            total += len(samples.sources) * (1 + len(self._of(network, "consistency", "consistency_anchor")))
            if samples.before is not None:
                total += len(samples.before) * (1 + len(self._of(network, "step")))
        done = 0

        def tick(images: int) -> None:
            nonlocal done
            done += images
            if progress is not None:
                progress(done, total)

        return tick


def features_to_scores(infos: Sequence[MetricInfo], fakes: Features, real: Features) -> dict[str, Score]:
    """{name: score} of the metrics that compare two sets of features; n is the number of generated images."""
    n = len(fakes)
    kinds = {info.kind for info in infos}
    found: dict[str, Score] = {}
    if "kid" in kinds:
        value, std_error = features_to_kid(fakes, real)
        found["kid"] = Score.measured(value, n, std_error)
    if "fd" in kinds:
        distance = frechet_distance(features_to_gaussian(fakes), features_to_gaussian(real))
        found["fd"] = Score.measured(distance, n, fd_std_error(fakes, real))
    if "fd_infinity" in kinds:
        found["fd_infinity"] = _fd_infinity(fakes, real)
    if kinds & {"precision", "recall", "density", "coverage"}:
        found |= {kind: Score.measured(value, n) for kind, value in _prdc(fakes, real).items()}
    return {info.name: found[info.kind] for info in infos}


def _prdc(fakes: Features, real: Features) -> dict[str, float]:
    return vars(features_to_prdc(real, fakes, NEIGHBOURS))


def _fd_infinity(fakes: Features, real: Features) -> Score:
    """A value only where FD is a straight line in 1/N: elsewhere the interval does not hold what it promises."""
    if len(fakes) < FEWEST_FOR_INFINITY:
        return Score.missing(f"not available: needs at least {FEWEST_FOR_INFINITY} generated images")
    fit = features_to_fd_infinity(fakes, real, seed=0)
    if not fit.straight:
        return Score.missing("not available: FD is no straight line in 1/N at so few images; raise eval.samples")
    return Score(value=fit.value, n=len(fakes), std_error=fit.std_error, interval=fit.interval)

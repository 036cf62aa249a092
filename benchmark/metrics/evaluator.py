"""The `Evaluator`: samples and a reference set in, one score per metric out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import DataError
from benchmark.metrics.base import STAND_IN, Images, MetricInfo, Samples, Score, require_images
from benchmark.metrics.catalogue import find_metric
from benchmark.metrics.neighbours import nearest_first
from benchmark.metrics.networks.feature_cache import Features, KeptFeatures
from benchmark.metrics.networks.weight_files import (
    NETWORK_FILES,
    WEIGHT_FILES,
    WeightFile,
    locate,
    locate_stand_in,
    require_known,
)
from benchmark.metrics.paired import PAIRED, Pairs
from benchmark.metrics.pooled import COMPARE_TRAINING, POOLED, features_to_scores
from benchmark.metrics.translation import TRANSLATED, translations_to_scores
from benchmark.system.files import sha256_of

if TYPE_CHECKING:
    from benchmark.metrics.networks.features import FeatureNetwork
    from benchmark.metrics.networks.perceptual import PerceptualNetwork

Progress = Callable[[int, int], None]
"""Called as progress(images done, images in all); an image counts once per network and comparison that sees it."""
Tick = Callable[[int], None]


@dataclass(frozen=True)
class Evaluation:
    """What one call of the evaluator found.

    ``scores``: by name of metric, in the order of the names. ``features``: those of the generated images [N, d] and of
    the reference set [M, d] in the first network that pools features; None where no metric has such a network.
    """

    scores: dict[str, Score]
    features: tuple[Features, Features] | None = None

    @cached_property
    def order(self) -> NDArray[np.int64] | None:
        """Numbers [N] of the generated images, that nearest to any reference image first; None without features."""
        return None if self.features is None else nearest_first(*self.features)


class Evaluator:
    """Computes the named metrics; each network is loaded once, here, and each set of features made once per call.

    ``cache`` holds features of real images and is one of the places where weights are looked for. ``weights`` names
    files by key (see weight_files.py). ``files`` replaces the published files by others and exists for tests.
    ``stand_ins`` is the folder of the files for metrics called ``standin_*``.
    Raises UnknownName for a metric or weight key, WeightsError for a named file that is missing or altered.
    A metric whose network is unavailable is decided here, once, and scored as ``not available: ...``.
    """

    def __init__(
        self,
        names: Sequence[str],
        cache: Path,
        device: str = "cpu",
        batch: int = 50,
        weights: Mapping[str, Path] = MappingProxyType({}),
        files: Mapping[str, WeightFile] = WEIGHT_FILES,
        stand_ins: Path | None = None,
    ) -> None:
        require_known(weights, files)
        self.stand_ins = stand_ins
        self.infos = tuple(find_metric(name) for name in dict.fromkeys(names))
        self.device, self.batch, self.cache = device, batch, Path(cache)
        self.missing: dict[str, str] = {}
        self._pooled: dict[str, tuple[FeatureNetwork, str]] = {}
        self._perceptual: dict[str, PerceptualNetwork] = {}
        for network in dict.fromkeys(info.network for info in self.infos):
            self._load(network, weights, files)

    def __call__(
        self,
        samples: Samples,
        reference: Images,
        reference_digest: str,
        progress: Progress | None = None,
        training: Images | None = None,
    ) -> Evaluation:
        """Score ``samples`` against ``reference`` (uint8 [M, 3, R, R]), in the order of the names.

        ``training`` (uint8 [T, 3, R, R]) are the images that the adapted network was trained on, for the metrics that
        ask for them; without, these say so. ``reference_digest`` stands for the content of both sets in the cache, so
        it must change with the images. Raises DataError for images of another type or shape.
        """
        require_images(reference, "the reference set")
        if training is not None:
            require_training(training, samples.fakes)
        real = {network: self._kept(network, reference, reference_digest) for network in self._pooled}
        trained = self._training(training, reference_digest)
        pairs = [Pairs(net, self._of(name, *PAIRED), samples, training) for name, net in self._perceptual.items()]
        absent = sum(kept.absent for kept in (*real.values(), *trained.values()))
        tick = counter(absent + len(samples.fakes) * len(real) + sum(work.seen for work in pairs), progress)

        scores = {i.name: Score.missing(self.missing[i.network]) for i in self.infos if i.network in self.missing}
        first: tuple[Features, Features] | None = None
        for network, (net, _) in self._pooled.items():

            def make(images: Images, net: FeatureNetwork = net) -> Features:
                return self._features(net, images, tick)

            reals = real[network].get(make)
            trains = trained[network].get(make) if network in trained else None
            fakes = make(samples.fakes)
            scores |= features_to_scores(self._of(network, *POOLED), fakes, reals, trains)
            first = first or (fakes, reals)
        for work in pairs:
            scores |= work.scores(self.device, self.batch, tick)
        scores |= translations_to_scores([i for i in self.infos if i.kind in TRANSLATED], samples.translations)
        return Evaluation({info.name: scores[info.name] for info in self.infos}, first)

    def _load(self, network: str, weights: Mapping[str, Path], files: Mapping[str, WeightFile]) -> None:
        """Find the network's files, then load it in the roles that the metrics need; or note why not."""
        real = network.removeprefix(STAND_IN)
        located = {
            key: locate(files[key], weights, self.cache)
            if real == network
            else locate_stand_in(files[key], self.stand_ins, self.cache)
            for key in NETWORK_FILES[real]
        }
        reasons = [place.reason for place in located.values() if place.reason]
        if reasons:
            self.missing[network] = reasons[0]
            return
        from benchmark.metrics.networks.features import fingerprint, load_feature_network
        from benchmark.metrics.networks.perceptual import load_perceptual_network

        paths = {key: place.path for key, place in located.items() if place.path}
        try:
            if self._of(network, *POOLED):
                net = load_feature_network(real, paths)
                hashes = [files[k].sha256 if real == network else sha256_of(path) for k, path in paths.items()]
                mark = fingerprint(net, hashes)
                self._pooled[network] = (net.to(self.device), mark)
            if self._of(network, *PAIRED):
                self._perceptual[network] = load_perceptual_network(real, paths).to(self.device)
        except ImportError as error:
            self.missing[network] = f"not available: {error}; install what `list metrics` says that it needs"

    def _kept(self, network: str, images: Images, digest: str) -> KeptFeatures:
        net, mark = self._pooled[network]
        return KeptFeatures(self.cache / "features", mark, digest, images, net.dim)

    def _training(self, images: Images | None, digest: str) -> dict[str, KeptFeatures]:
        """Features of the training images, for the networks with metrics that need them.

        The domain's digest stands for both splits, and they may be of one size: hence the mark in the key.
        """
        networks = [] if images is None else [name for name in self._pooled if self._of(name, *COMPARE_TRAINING)]
        return {name: self._kept(name, images, f"{digest}/training") for name in networks if images is not None}

    def _features(self, net: FeatureNetwork, images: Images, tick: Tick) -> Features:
        from benchmark.metrics.networks.features import images_to_features

        return images_to_features(net, images, self.device, self.batch, tick)

    def _of(self, network: str, *kinds: str) -> list[MetricInfo]:
        return [info for info in self.infos if info.network == network and info.kind in kinds]


def require_training(training: Images, fakes: Images) -> None:
    """Raise DataError unless ``training`` are images of the size of ``fakes``."""
    require_images(training, "the training set", least=1)
    if training.shape[1:] != fakes.shape[1:]:
        size, px = training.shape[-1], fakes.shape[-1]
        raise DataError(f"training images must have the size of the generated ones, {px} px; found {size} px.")


def counter(total: int, progress: Progress | None) -> Tick:
    """A tick that adds up images and tells ``progress``."""
    done = 0

    def tick(images: int) -> None:
        nonlocal done
        done += images
        if progress is not None:
            progress(done, total)

    return tick

"""The `Evaluator`: samples and a reference set in, one score per metric out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import DataError, as_line
from benchmark.metrics.base import STAND_IN, Images, MetricInfo, Samples, Score, require_features, require_images
from benchmark.metrics.catalogue import find_metric
from benchmark.metrics.formulas.neighbours import nearest_first
from benchmark.metrics.networks.feature_cache import Features, KeptFeatures
from benchmark.metrics.networks.weight_files import (
    NETWORK_FILES,
    OWN_NETWORKS,
    WEIGHT_FILES,
    Located,
    WeightFile,
    locate,
    locate_stand_in,
    require_known,
)
from benchmark.metrics.paired import PAIRED, Pairs
from benchmark.metrics.pooled import COMPARE_TRAINING, OF_PICTURES, POOLED, features_to_scores, picture_scores
from benchmark.metrics.sizes import Sizes, shortage
from benchmark.metrics.translation import TRANSLATED, pictures_to_scores, translations_to_scores
from benchmark.system.files import sha256_of

if TYPE_CHECKING:
    from benchmark.metrics.networks.features import FeatureNetwork
    from benchmark.metrics.networks.kept_maps import KeptMaps
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


@dataclass(frozen=True)
class Loaded:
    """Networks by name, in the roles that the metrics need, or why they are unavailable."""

    pooled: dict[str, tuple[FeatureNetwork, str]] = field(default_factory=dict)
    perceptual: dict[str, PerceptualNetwork] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


class Evaluator:
    """Computes the named metrics; each network is loaded once, when needed; each set of features is made once a call.

    Maps of pairs are kept between calls: the source's images are the same for all controls of a (domain, seed).

    ``cache`` is one of the places where weights are looked for. ``features`` is where features of real images are kept,
    unless said otherwise in the cache. ``weights`` names files by key (see weight_files.py). ``files`` replaces the
    published files by others and exists for tests. ``stand_ins`` is the folder of the files for metrics called
    ``standin_*``.
    Raises UnknownName for a metric or weight key, WeightsError for a named file that is missing or altered.
    Weight files are looked for here, once. A metric whose network is unavailable is scored as ``not available: ...``.
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
        features: Path | None = None,
    ) -> None:
        require_known(weights, files)
        self.stand_ins = stand_ins
        self.infos = tuple(find_metric(name) for name in dict.fromkeys(names))
        self.device, self.batch, self.cache = device, batch, Path(cache)
        self.kept_features = features or self.cache / "features"
        self.files = files
        networks = dict.fromkeys(info.network for info in self.infos)
        self._located = {network: self._locate(network, weights) for network in networks}
        self._maps: dict[str, KeptMaps] = {}

    @property
    def missing(self) -> dict[str, str]:
        """Why a network is unavailable, by its name."""
        return self._loaded.missing

    def _images_at_once(self, px: int) -> int:
        """Of a network: ``batch``; on a GPU as many as a quarter of the free memory holds, where that is more.

        On a CPU larger batches gain nothing. Sampled images do not depend on this.
        """
        from benchmark.metrics.networks.features import images_in

        return self.batch if self.device == "cpu" else max(self.batch, images_in(self.device, px))

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
        require_images(reference, "the reference set", least=1)
        if training is not None:
            require_training(training, samples.fakes)
        real = {network: self._kept(network, reference, reference_digest) for network in self.pooled}
        trained = self._training(training, reference_digest)
        short = self._short(samples, reference, training)

        def able(network: str, *kinds: str) -> list[MetricInfo]:
            return [info for info in self._of(network, *kinds) if info.name not in short]

        pairs = {name: Pairs(net, able(name, *PAIRED), samples, training) for name, net in self.perceptual.items()}
        absent = sum(kept.absent for kept in (*real.values(), *trained.values()))
        drawn = 0 if isinstance(samples.pictures, str) else len(samples.pictures.drawn)
        pictured = drawn * sum(bool(able(network, *OF_PICTURES)) for network in self.pooled)
        seen = absent + pictured + len(samples.fakes) * len(real)
        tick = counter(seen + sum(work.seen for work in pairs.values()), progress)

        scores = {i.name: Score.missing(self.missing[i.network]) for i in self.infos if i.network in self.missing}
        scores |= short
        first: tuple[Features, Features] | None = None
        for network, (net, _) in self.pooled.items():
            make = partial(self._features, net, tick=tick, what=f"{network}: features of real images")
            reals = real[network].get(make)
            trains = trained[network].get(make) if network in trained else None
            fakes = make(samples.fakes, what=f"{network}: features of generated images")
            require_features((f"{network}: generated", fakes, 1))
            scores |= features_to_scores(able(network, *POOLED), fakes, reals, trains)
            if wanted := able(network, *OF_PICTURES):
                found = samples.pictures
                pictures = (
                    found if isinstance(found, str) else make(found.drawn, what=f"{network}: features of pictures")
                )
                scores |= picture_scores(wanted, pictures, reals)
            first = first or (fakes, reals)
        px = samples.fakes.shape[-1]
        for network, work in pairs.items():
            scores |= work.scores(self.device, self._images_at_once(px), tick, self._maps[network])
        moved = [info for info in self.infos if info.kind in TRANSLATED and info.name not in short]
        scores |= translations_to_scores(moved, samples.translations)
        scores |= pictures_to_scores([info for info in self.infos if info.kind == "picture_error"], samples.pictures)
        for name, score in scores.items():
            ends = [end for end in (score.floor, score.ceiling) if end is not None]
            if not all(map(math.isfinite, ends)):
                raise DataError(f"{name}: its floor or ceiling is not a finite number: {ends}.")
        return Evaluation({info.name: scores[info.name] for info in self.infos}, first)

    def keep_real(self, reference: Images, reference_digest: str, training: Images | None = None) -> None:
        """Make those features of real images that the cache does not have yet; the arguments are those of a call."""
        reals = {network: self._kept(network, reference, reference_digest) for network in self.pooled}
        for network, kept in (*reals.items(), *self._training(training, reference_digest).items()):
            net, _ = self.pooled[network]
            kept.get(lambda images, net=net: self._features(net, images, lambda n: None))  # type: ignore[misc]

    def forget_maps(self) -> None:
        """Make the maps of pairs again that are kept between calls."""
        self._maps = {network: type(kept)() for network, kept in self._maps.items()}

    def _short(self, samples: Samples, reference: Images, training: Images | None) -> dict[str, Score]:
        """Scores of the metrics for which there are too few images: each costs its own cell only."""
        counts = len(samples.fakes), len(samples.sources), len(reference), -1 if training is None else len(training)
        found = {info.name: shortage(info, Sizes(*counts)) for info in self.infos if info.network not in self.missing}
        return {name: Score.missing(reason) for name, reason in found.items() if reason}

    def _locate(self, network: str, weights: Mapping[str, Path]) -> dict[str, Located]:
        """The network's files by key; of placeholders, those of the user."""
        real = network.removeprefix(STAND_IN)
        if real == network:
            return {key: locate(self.files[key], weights, self.cache) for key in NETWORK_FILES[real]}
        return {key: locate_stand_in(self.files[key], self.stand_ins, self.cache) for key in NETWORK_FILES[real]}

    @cached_property
    def _loaded(self) -> Loaded:
        """The networks that the metrics need, on the device; loading them takes half a second."""
        from benchmark.metrics.networks.features import fingerprint, load_feature_network
        from benchmark.metrics.networks.kept_maps import KeptMaps
        from benchmark.metrics.networks.perceptual import load_perceptual_network

        found = Loaded()
        for network, located in self._located.items():
            reasons = [place.reason for place in located.values() if place.reason]
            if reasons:
                found.missing[network] = reasons[0]
                continue
            real, paths = network.removeprefix(STAND_IN), {key: at.path for key, at in located.items() if at.path}
            try:
                if self._of(network, *POOLED, *OF_PICTURES):
                    net = load_feature_network(real, paths)
                    hashes = [self.files[k].sha256 if real == network else sha256_of(at) for k, at in paths.items()]
                    mark = fingerprint(real, net, hashes)
                    found.pooled[network] = (net.to(self.device), mark)
                if self._of(network, *PAIRED):
                    found.perceptual[network] = load_perceptual_network(real, paths).to(self.device)
                    self._maps[network] = KeptMaps()
            except ImportError as error:
                found.missing[network] = f"not available: {error}; install what `list metrics` says that it needs"
            except Exception as error:  # a network of a package, or a file that only stands in for one
                if network in OWN_NETWORKS or real != network:
                    found.missing[network] = f"not available: {network} failed: {as_line(error)}"
                    continue
                raise
        return found

    @property
    def pooled(self) -> dict[str, tuple[FeatureNetwork, str]]:
        """The networks of pooled features, each with its fingerprint, by name."""
        return self._loaded.pooled

    @property
    def perceptual(self) -> dict[str, PerceptualNetwork]:
        """The networks of distances by name."""
        return self._loaded.perceptual

    def _kept(self, network: str, images: Images, digest: str) -> KeptFeatures:
        net, mark = self.pooled[network]
        return KeptFeatures(self.kept_features, mark, digest, images, net.dim)

    def _training(self, images: Images | None, digest: str) -> dict[str, KeptFeatures]:
        """Features of the training images, for the networks with metrics that need them.

        The domain's digest stands for both splits, and they may be of one size: hence the mark in the key.
        """
        networks = [] if images is None else [name for name in self.pooled if self._of(name, *COMPARE_TRAINING)]
        return {name: self._kept(name, images, f"{digest}/training") for name in networks if images is not None}

    def _features(self, net: FeatureNetwork, images: Images, tick: Tick, what: str = "features") -> Features:
        from benchmark.metrics.networks.features import images_to_features

        return images_to_features(net, images, self.device, self._images_at_once(images.shape[-1]), tick, what)

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

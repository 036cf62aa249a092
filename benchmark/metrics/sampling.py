"""The same latents for all methods: z_i depends on (source, domain, seed) alone, the noise on its own stream."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from benchmark.config import EvalConfig
from benchmark.domains import media
from benchmark.domains.answers import KnownAnswer
from benchmark.metrics.base import Answers, Samples, Translations
from benchmark.metrics.catalogue import find_metric
from benchmark.metrics.formulas.path_length import ShortPaths
from benchmark.metrics.networks.features import full_precision
from benchmark.metrics.networks.finite import require_finite
from benchmark.metrics.paired import LEGACY
from benchmark.metrics.translation import DRAWS, LATENTS, NO_TRANSLATIONS, TRANSLATED
from benchmark.stylegan2 import Generator, Noise
from benchmark.stylegan2.weights import digest_of
from benchmark.system.random_streams import derive_seed, generator

NoiseOf = Callable[[int, torch.Generator], Noise]
"""Number of images and random stream -> the noise for a batch."""
BEFORE = "images at the control's value before this one"


def to_uint8(images: Tensor) -> np.ndarray:
    """float [N, 3, R, R] in about [-1, 1] -> uint8, rounded and clamped; metrics see what a PNG would hold."""
    return (images * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8).cpu().numpy()


@dataclass(frozen=True)
class Drawn:
    """What sampling draws of the source alone: the same for all methods of a (domain, seed)."""

    sources: np.ndarray
    legacy: np.ndarray | None
    averaged: tuple[np.ndarray, Answers | str] | None
    """Averaged images and their right answers, where a metric asks for translations."""


class Sampler:
    """Draws the images of one (domain, seed): source and adapted networks at the same latents."""

    def __init__(
        self,
        source: Generator,
        cfg: EvalConfig,
        seed: Sequence[object],
        answer: KnownAnswer | str = NO_TRANSLATIONS,
        drawn: Drawn | None = None,
    ) -> None:
        self.source, self.cfg, self.seed, self.answer = source, cfg, tuple(seed), answer
        self.device = source.mapping.w_avg.device
        rng = generator(*self.seed, "eval", "latents")
        self.z = torch.randn(cfg.samples, source.cfg.z_dim, generator=rng).to(self.device)
        self._anchored: tuple[str, np.ndarray] | None = None
        kinds = {find_metric(name).kind for name in cfg.metrics}
        self.anchors, self.walks = "consistency_anchor" in kinds, "path_length" in kinds
        self.drawn = self._draw() if drawn is None else drawn

    def __call__(
        self,
        g: Generator,
        noise: NoiseOf,
        progress: Callable[[int], None] = lambda n: None,
        before: np.ndarray | None = None,
    ) -> tuple[Samples, float]:
        """Samples of `g` with the control's noise, and the generator's milliseconds per image.

        `before` goes into the samples: what `pairs` gave at the control's value before this one. Images at the anchor,
        legacy and averaged ones are drawn if one of the metrics in `cfg` needs them.
        """
        rng = self._noise_stream("noise")
        fakes, ms = self._images(g, self.z, lambda n: noise(n, rng), self.cfg.psi, "generated images", progress)
        anchored = self._anchored_of(g) if self.anchors else None
        drawn = self.drawn
        legacy = None if drawn.legacy is None else (drawn.legacy, self._legacy(g, "adapted"))
        translations = None
        if drawn.averaged is not None:
            translations = Translations(drawn.averaged[0], self._averaged(g, noise), drawn.averaged[1])
        paths = self._paths(g, noise) if self.walks else None
        return Samples(
            fakes, drawn.sources, anchored, before=before, legacy=legacy, translations=translations, paths=paths
        ), ms

    def pairs(self, g: Generator, noise: NoiseOf) -> np.ndarray:
        """The first images that `__call__` makes of the same arguments, as many as there are pairs."""
        rng = self._noise_stream("noise")
        whole = min(-(-self.cfg.pairs // self.cfg.batch) * self.cfg.batch, self.cfg.samples)  # batches draw as one
        return self._images(g, self.z[:whole], lambda n: noise(n, rng), self.cfg.psi, BEFORE)[0][: self.cfg.pairs]

    def legacy_latents(self) -> Tensor:
        """z [P, z_dim], uniform in [0, 1): all in one corner of the space that the networks were trained on."""
        rng = generator(*self.seed, "eval", "legacy latents")
        return torch.rand(self.cfg.pairs, self.source.cfg.z_dim, generator=rng).to(self.device)

    def _legacy(self, g: Generator, role: str) -> np.ndarray:
        """As the published evaluation of FixNoise draws pairs, whatever the control: uniform z, no truncation, and in
        each of the two networks random noise of its own. Streams are the same for all methods.
        """
        rng = self._noise_stream(f"legacy noise, {role}")
        what = f"images drawn in the published way, {role}"
        return self._images(g, self.legacy_latents(), lambda n: g.synthesis.random_noise(n, rng), 1.0, what)[0]

    def _draw(self) -> Drawn:
        kinds = {find_metric(name).kind for name in self.cfg.metrics}
        legacy = self._legacy(self.source, "source") if kinds.intersection(LEGACY) else None
        averaged = self._averaged_sources() if kinds.intersection((*TRANSLATED, "translation_error")) else None
        return Drawn(self._at_anchor(self.source), legacy, averaged)

    def _paths(self, g: Generator, noise: NoiseOf) -> ShortPaths:
        """As many paths in w as there are samples, the same for all methods, with the control's noise."""
        rng = generator(*self.seed, "eval", "path latents")
        ends = torch.randn(2, self.cfg.samples, self.source.cfg.z_dim, generator=rng)

        def stream() -> Callable[[int], Noise]:
            rng = self._noise_stream("path noise")
            return lambda n: noise(n, rng)

        return ShortPaths(g, ends.to(self.device), stream, self.cfg.batch)

    def _averaged_sources(self) -> tuple[np.ndarray, Answers | str]:
        """The source's averaged images and their right answers."""
        sources = self._averaged(self.source, self.source.synthesis.random_noise)
        if isinstance(self.answer, str):
            return sources, self.answer
        return sources, right_answers(self.answer, self.answer.clean(sources), (*self.seed, "eval", "grain"))

    @full_precision()
    def at(self, g: Generator, ws: Tensor, noise: NoiseOf) -> tuple[np.ndarray, np.ndarray]:
        """What `g` draws at given ws [n, num_ws, w_dim]: uint8 [n, 3, R, R] with one noise, and float32 in 0 to 1, the
        mean over DRAWS noises. The streams are the same for all methods.
        """
        rng = self._noise_stream("picture noise")
        first, mean = [], []
        for start, stop in _ranges(len(ws), self.cfg.batch):
            images = list(_draws(g, ws[start:stop], (noise(stop - start, rng) for _ in range(DRAWS)), start))
            first.append(to_uint8(images[0] * 2 - 1))
            mean.append(torch.stack(images).mean(0).cpu().numpy())
        return np.concatenate(first), np.concatenate(mean)

    @full_precision()
    def _averaged(self, g: Generator, noise: NoiseOf) -> np.ndarray:
        """Mean over DRAWS noises at each of the first latents, float32 [n, 3, R, R] in 0 to 1."""
        rng = self._noise_stream("averaged noise")
        batches = []
        for start, stop in _ranges(min(LATENTS, self.cfg.pairs), self.cfg.batch):
            ws = g.mapping(self.z[start:stop], psi=self.cfg.psi)
            images = _draws(g, ws, (noise(stop - start, rng) for _ in range(DRAWS)), start)
            total = sum(images, torch.zeros((), device=self.device))
            batches.append((total / DRAWS).cpu().numpy())
        return np.concatenate(batches)

    def _anchored_of(self, g: Generator) -> np.ndarray:
        """Those of the control before where its weights were the same."""
        weights = digest_of(g.state_dict())
        if self._anchored is None or self._anchored[0] != weights:
            self._anchored = (weights, self._at_anchor(g))
        return self._anchored[1]

    def _at_anchor(self, g: Generator) -> np.ndarray:
        """The pairs' latents with the source's anchor noise, in whichever network."""
        anchor = self.source.synthesis.anchor_noise()
        what = "images of the source" if g is self.source else "images at the anchor noise"
        return self._images(g, self.z[: self.cfg.pairs], lambda n: anchor, self.cfg.psi, what)[0]

    def _noise_stream(self, name: str) -> torch.Generator:
        return generator(*self.seed, "eval", name, device=self.device)

    @full_precision()
    def _images(
        self,
        g: Generator,
        z: Tensor,
        noise: Callable[[int], Noise],
        psi: float,
        what: str,
        progress: Callable[[int], None] = lambda n: None,
    ) -> tuple[np.ndarray, float]:
        batches, times = [], []
        for start, stop in _ranges(len(z), self.cfg.batch):
            maps = noise(stop - start)
            _synchronise(self.device)
            begun = time.perf_counter()
            images = g(z[start:stop], noise=maps, psi=psi)
            _synchronise(self.device)
            times.append((time.perf_counter() - begun) / (stop - start) * 1000)
            require_finite(images, what, start)
            batches.append(to_uint8(images))
            progress(stop - start)
        return np.concatenate(batches), float(np.median(times))


def right_answers(known: KnownAnswer, clean: np.ndarray, stream: Sequence[object]) -> Answers:
    """Clean drawings [n, 3, R, R] in 0 to 1 in the target's medium, averaged over its grain twice."""

    def draw(number: int) -> np.ndarray:
        return known.answers(clean, [derive_seed(*stream, number, i) for i in range(len(clean))])

    first, second = ([draw(DRAWS * half + i) for i in range(DRAWS)] for half in range(2))
    mean, again = (np.asarray(sum(draws) / DRAWS, np.float32) for draws in (first, second))
    return Answers(mean, again, media.to_uint8(first[0]), media.to_uint8(second[0]))


def _draws(g: Generator, ws: Tensor, noises: Iterable[Noise], first: int) -> Iterator[Tensor]:
    """For each noise the image of `ws`, float32 [n, 3, R, R] in 0 to 1; equal noises in a row share one pass."""
    before: Noise | None = None
    for maps in noises:
        if before is None or not _equal(maps, before):
            raw = g.synthesis(ws, maps)[0]
            require_finite(raw, "images to be averaged over noise", first)
            image = (raw * 0.5 + 0.5).clamp(0, 1)
        before = maps
        yield image


def _equal(a: Noise, b: Noise) -> bool:
    if isinstance(a, str) or isinstance(b, str):
        return a == b != "random"
    return all(torch.equal(a[layer], b[layer]) for layer in a)


def _ranges(count: int, size: int) -> Iterator[tuple[int, int]]:
    return pairwise([*range(0, count, size), count])


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)

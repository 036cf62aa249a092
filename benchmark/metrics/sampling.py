"""The same latents for all methods: z_i depends on (source, domain, seed) alone, the noise on its own stream."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
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
from benchmark.metrics.paired import LEGACY
from benchmark.metrics.translation import DRAWS, LATENTS, NO_TRANSLATIONS, TRANSLATED
from benchmark.stylegan2 import Generator, Noise
from benchmark.system.random_streams import derive_seed, generator

NoiseOf = Callable[[int, torch.Generator], Noise]
"""Number of images and random stream -> the noise for a batch."""


def to_uint8(images: Tensor) -> np.ndarray:
    """float [N, 3, R, R] in about [-1, 1] -> uint8, rounded and clamped; metrics see what a PNG would hold."""
    return (images * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8).cpu().numpy()


class Sampler:
    """Draws the images of one (domain, seed): source and adapted networks at the same latents."""

    def __init__(
        self, source: Generator, cfg: EvalConfig, seed: Sequence[object], answer: KnownAnswer | str = NO_TRANSLATIONS
    ) -> None:
        self.source, self.cfg, self.seed, self.answer = source, cfg, tuple(seed), answer
        self.device = source.mapping.w_avg.device
        rng = generator(*self.seed, "eval", "latents")
        self.z = torch.randn(cfg.samples, source.cfg.z_dim, generator=rng).to(self.device)
        self._anchored: tuple[Generator, np.ndarray] | None = None
        self.sources = self._at_anchor(source)
        needed = any(find_metric(name).kind in LEGACY for name in cfg.metrics)
        self.legacy_sources = self._legacy(source, "source") if needed else None
        self.walks = any(find_metric(name).kind == "path_length" for name in cfg.metrics)
        self.translates = any(find_metric(name).kind in (*TRANSLATED, "translation_error") for name in cfg.metrics)

    def __call__(
        self,
        g: Generator,
        noise: NoiseOf,
        progress: Callable[[int], None] = lambda n: None,
        before: np.ndarray | None = None,
    ) -> tuple[Samples, float]:
        """Samples of `g` with the control's noise and at the anchor, and the generator's milliseconds per image.

        `before` goes into the samples: what `pairs` gave at the control's value before this one. Legacy images are
        drawn if one of the metrics in `cfg` needs them.
        """
        rng = self._noise_stream("noise")
        fakes, ms = self._images(g, self.z, lambda n: noise(n, rng), self.cfg.psi, progress)
        if self._anchored is None or self._anchored[0] is not g:
            self._anchored = (g, self._at_anchor(g))
        legacy = None if self.legacy_sources is None else (self.legacy_sources, self._legacy(g, "adapted"))
        translations = self._translations(g, noise) if self.translates else None
        paths = self._paths(g, noise) if self.walks else None
        anchored = self._anchored[1]
        return Samples(
            fakes, self.sources, anchored, before=before, legacy=legacy, translations=translations, paths=paths
        ), ms

    def pairs(self, g: Generator, noise: NoiseOf) -> np.ndarray:
        """The first images that `__call__` makes of the same arguments, as many as there are pairs."""
        rng = self._noise_stream("noise")
        whole = min(-(-self.cfg.pairs // self.cfg.batch) * self.cfg.batch, self.cfg.samples)  # batches draw as one
        return self._images(g, self.z[:whole], lambda n: noise(n, rng), self.cfg.psi)[0][: self.cfg.pairs]

    def legacy_latents(self) -> Tensor:
        """z [P, z_dim], uniform in [0, 1): all in one corner of the space that the networks were trained on."""
        rng = generator(*self.seed, "eval", "legacy latents")
        return torch.rand(self.cfg.pairs, self.source.cfg.z_dim, generator=rng).to(self.device)

    def _legacy(self, g: Generator, role: str) -> np.ndarray:
        """As the published evaluation of FixNoise draws pairs, whatever the control: uniform z, no truncation, and in
        each of the two networks random noise of its own. Streams are the same for all methods.
        """
        rng = self._noise_stream(f"legacy noise, {role}")
        return self._images(g, self.legacy_latents(), lambda n: g.synthesis.random_noise(n, rng), psi=1.0)[0]

    def _paths(self, g: Generator, noise: NoiseOf) -> ShortPaths:
        """As many paths in w as there are samples, the same for all methods, with the control's noise."""
        ends = torch.randn(
            2, self.cfg.samples, self.source.cfg.z_dim, generator=generator(*self.seed, "eval", "path latents")
        )

        def stream() -> Callable[[int], Noise]:
            rng = self._noise_stream("path noise")
            return lambda n: noise(n, rng)

        return ShortPaths(g, ends.to(self.device), stream, self.cfg.batch)

    def _translations(self, g: Generator, noise: NoiseOf) -> Translations:
        """Averaged images of the source and of `g` with the control's noise, and the right answers."""
        sources, answers = self._averaged_sources
        return Translations(sources, self._averaged(g, noise), answers)

    @cached_property
    def _averaged_sources(self) -> tuple[np.ndarray, Answers | str]:
        """The source's averaged images and their right answers: the same for all methods."""
        sources = self._averaged(self.source, self.source.synthesis.random_noise)
        if isinstance(self.answer, str):
            return sources, self.answer
        known, clean = self.answer, self.answer.clean(sources)
        n = len(clean)

        def draw(number: int) -> np.ndarray:
            seeds = [derive_seed(*self.seed, "eval", "grain", number, i) for i in range(n)]
            return known.answers(clean, seeds)

        first, second = ([draw(DRAWS * half + i) for i in range(DRAWS)] for half in range(2))
        mean, again = (np.asarray(sum(draws) / DRAWS, np.float32) for draws in (first, second))
        return sources, Answers(mean, again, media.to_uint8(first[0]), media.to_uint8(second[0]))

    @torch.inference_mode()
    def _averaged(self, g: Generator, noise: NoiseOf) -> np.ndarray:
        """Mean over DRAWS noises at each of the first latents, float32 [n, 3, R, R] in 0 to 1."""
        rng = self._noise_stream("averaged noise")
        batches = []
        for start, stop in _ranges(min(LATENTS, self.cfg.pairs), self.cfg.batch):
            z = self.z[start:stop]
            images = (g(z, noise=noise(len(z), rng), psi=self.cfg.psi) for _ in range(DRAWS))
            total = sum((image * 0.5 + 0.5).clamp(0, 1) for image in images)
            batches.append((total / DRAWS).cpu().numpy())
        return np.concatenate(batches)

    def _at_anchor(self, g: Generator) -> np.ndarray:
        """The pairs' latents with the source's anchor noise, in whichever network."""
        anchor = self.source.synthesis.anchor_noise()
        return self._images(g, self.z[: self.cfg.pairs], lambda n: anchor, self.cfg.psi)[0]

    def _noise_stream(self, name: str) -> torch.Generator:
        return generator(*self.seed, "eval", name, device=self.device)

    @torch.inference_mode()
    def _images(
        self,
        g: Generator,
        z: Tensor,
        noise: Callable[[int], Noise],
        psi: float,
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
            batches.append(to_uint8(images))
            progress(stop - start)
        return np.concatenate(batches), float(np.median(times))


def _ranges(count: int, size: int) -> Iterator[tuple[int, int]]:
    return pairwise([*range(0, count, size), count])


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)

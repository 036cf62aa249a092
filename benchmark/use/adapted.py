"""An adapted generator with all that belongs to it: its method, its source, the control, the noise."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor

from benchmark.api import Control, Method
from benchmark.api.returned import noise_of
from benchmark.config import NetConfig
from benchmark.errors import ConfigError, DataError, UnknownName, WeightsError
from benchmark.metrics.sampling import to_uint8
from benchmark.registry import find_method
from benchmark.registry.composition import Composition
from benchmark.registry.variants import base_name
from benchmark.results import ResultStore, RunRecord
from benchmark.running.make_record import ZeroStep
from benchmark.running.resume import weights_path
from benchmark.running.weights import stored_generator
from benchmark.sources import find_source, load_source
from benchmark.stylegan2 import Generator, Noise
from benchmark.system.folder import Folder
from benchmark.system.random_streams import generator

NOISES = ("method", "anchor", "random", "none")
"""What feeds the noise inputs: as the method says, the source's anchor maps, new maps, nothing."""


@dataclass(frozen=True)
class Adapted:
    """A generator that was adapted to a domain, or a source as it is."""

    method: Method
    source: Generator
    weights: Generator
    """As trained; `generator` makes of it what the method evaluates."""
    record: RunRecord | None = None
    """The record of the default control; None for a source."""

    @property
    def title(self) -> str:
        """What to write beside its images."""
        return self.method.title or self.method.name

    def check(self, control: Control) -> Control:
        """`control` if the method takes it; ConfigError otherwise. A number between two values of the grid is taken."""
        grid = self.method.controls
        numbers = [value for value in grid if isinstance(value, int | float)]
        within = isinstance(control, float | int) and numbers and min(numbers) <= control <= max(numbers)
        if control in grid or (within and any(isinstance(value, float) for value in numbers)):
            return control
        if grid == (None,):
            raise ConfigError(f"{self.method.name} has no control; leave out --control.")
        known = ", ".join(str(value) for value in grid)
        raise ConfigError(f"{self.method.name} at {self.method.control_name} {control}: choose from {known}.")

    def generator(self, control: Control) -> Generator:
        """The network that the method evaluates at `control`, in eval mode."""
        return self.method.finalize(self.source, self.weights, control).eval().requires_grad_(False)

    def noise(self, g: Generator, control: Control, kind: str, rng: torch.Generator) -> Noise:
        """Noise for one image; `kind` is one of NOISES (ConfigError)."""
        if kind not in NOISES:
            raise ConfigError(f"noise {kind}: choose from {', '.join(NOISES)}.")
        if kind == "anchor":
            return self.source.synthesis.anchor_noise()
        if kind == "none":
            return "none"
        return g.synthesis.random_noise(1, rng) if kind == "random" else noise_of(self.method, g, 1, control, rng)

    def images(
        self,
        seeds: Sequence[int],
        control: Control = None,
        psi: float = 1.0,
        noise: str = "method",
        label: int | None = None,
    ) -> Tensor:
        """float32 [N, 3, R, R], about [-1, 1], one image for each seed.

        An image depends on its own seed alone, bit for bit: each is drawn by itself. The latent of a seed is that of
        stylegan2-ada-pytorch: NumPy's `RandomState(seed).randn(z_dim)`.
        """
        drawn, px = [*self._each(seeds, control, psi, noise, label)], self.source.cfg.resolution
        return torch.cat(drawn) if drawn else torch.empty(0, 3, px, px)

    def pictures(
        self,
        seeds: Sequence[int],
        control: Control = None,
        psi: float = 1.0,
        noise: str = "method",
        label: int | None = None,
    ) -> np.ndarray:
        """uint8 [N, 3, R, R]: what a PNG holds of `images`, of which one at a time is in memory."""
        px = self.source.cfg.resolution
        made = np.empty((len(seeds), 3, px, px), np.uint8)
        for i, image in enumerate(self._each(seeds, control, psi, noise, label)):
            made[i] = to_uint8(image)[0]
        return made

    @torch.inference_mode()
    def _each(
        self, seeds: Sequence[int], control: Control, psi: float, noise: str, label: int | None
    ) -> Iterator[Tensor]:
        """float32 [1, 3, R, R] of each seed."""
        g, c = self.generator(control), one_hot(label, self.source.cfg.c_dim)
        for seed in seeds:
            maps = self.noise(g, control, noise, generator("generate", seed))
            yield g(latent(seed, g.cfg.z_dim), c, noise=maps, psi=psi)


def latent(seed: int, z_dim: int) -> Tensor:
    """float32 [1, z_dim], unit normal. Raises ConfigError for a seed that NumPy's RandomState does not take."""
    if not 0 <= seed < 2**32:
        raise ConfigError(f"seed {seed}: seeds of latents are whole numbers from 0 to {2**32 - 1}.")
    return torch.from_numpy(np.random.RandomState(seed).randn(1, z_dim)).float()


def one_hot(label: int | None, classes: int) -> Tensor | None:
    """float32 [1, classes]; None for a network without labels. Raises ConfigError where the two do not fit."""
    if not classes:
        if label is not None:
            raise ConfigError(f"--label {label}: this network knows no labels.")
        return None
    if label is None or not 0 <= label < classes:
        raise ConfigError(f"this network draws {classes} classes; give --label from 0 to {classes - 1}.")
    return torch.eye(classes)[label : label + 1]


def untouched(name: str, cache: Path) -> Adapted:
    """The source `name` as it is. Raises UnknownName, WeightsError."""
    nets, _ = load_source(find_source(name, cache))
    g = nets.g_ema.eval().requires_grad_(False)
    return Adapted(ZeroStep(), g, g)


def from_run(
    out: Path,
    cache: Path,
    method: str,
    domain: str | None = None,
    seed: int | None = None,
    plugins: Sequence[str] = (),
) -> Adapted:
    """What a run in the folder `out` left of `method` on `domain` with `seed`.

    Without `domain` the run must have one; without `seed` its smallest counts. `method="source"` is the untouched
    source. Raises UnknownName or DataError that name what the folder has, WeightsError where weights are missing or are
    not those that were stored.
    """
    record = find_record(out, method, domain, seed)
    nets, digest = load_source(find_source(record.source, cache))
    if digest != record.source_sha256:
        raise WeightsError(f"{record.source} here is another file than the one that {out} adapted. Get that source.")
    source = nets.g_ema.eval().requires_grad_(False)
    if record.zero_step:
        return Adapted(ZeroStep(), source, source, record)
    return Adapted(method_of(record, plugins), source, stored_weights(out, record, source.cfg), record)


def methods_in(out: Path, domain: str | None = None, seed: int | None = None) -> list[str]:
    """The methods that a run adapted, to this domain and with this seed where given; the untouched source left out."""
    done = [r for r in ResultStore(out).read_all()[0] if own(r) and r.is_default_control and not r.zero_step]
    return sorted({r.method for r in done if domain in (None, r.domain) and seed in (None, r.seed)})


def only_method(out: Path) -> str:
    """The one method that a run adapted; ConfigError with all names where there are several."""
    names = methods_in(out)
    if len(names) != 1:
        raise ConfigError(f"{out} has {', '.join(names) or 'no finished records'}; choose one with --method.")
    return names[0]


def own(record: RunRecord) -> bool:
    """Whether a record is finished and a run has its weights: what was trained elsewhere was only measured."""
    return record.status == "done" and not record.outside


def find_record(out: Path, method: str, domain: str | None = None, seed: int | None = None) -> RunRecord:
    """The finished record of the method's default control."""
    read, _ = ResultStore(out).read_all()
    done = [r for r in read if own(r) and r.is_default_control]
    found = [r for r in done if method == ("source" if r.zero_step else r.method)]
    if not found:
        raise UnknownName(f"method in {out}", method, sorted({"source" if r.zero_step else r.method for r in done}))
    domains = sorted({r.domain for r in found})
    if domain is None and len(domains) > 1:
        raise DataError(f"{out} adapted {method} to {', '.join(domains)}; choose one with --domain.")
    chosen = [r for r in found if r.domain == (domain or domains[0])]
    if not chosen:
        raise UnknownName(f"domain of {method} in {out}", domain or "", domains)
    seeds = sorted({r.seed for r in chosen})
    if seed is not None and seed not in seeds:
        raise DataError(
            f"{out} has {method} on {chosen[0].domain} with seeds {', '.join(map(str, seeds))}, not {seed}."
        )
    same = [r for r in chosen if r.seed == (seeds[0] if seed is None else seed)]
    if len({identity(r) for r in same}) > 1:
        where = ", ".join(sorted({f"{r.record_key[:12]} ({_told(r)})" for r in same}))
        raise DataError(f"{out} has several of {method} on {same[0].domain}: {where}; use a folder with one of them.")
    return same[0]


def identity(record: RunRecord) -> tuple[str, str, str, float | None]:
    """What tells adapted networks apart: their training, the method, its fields, and at which length they were taken.

    Methods that use another's training differ by their fields alone.
    """
    return record.train_key, record.method, json.dumps(record.fields, sort_keys=True), record.weights_kimg


def _told(record: RunRecord) -> str:
    fields = [f"{name}={value}" for name, value in record.fields.items()]
    taken = [] if record.weights_kimg is None else [f"taken at {record.weights_kimg:g} kimg"]
    return ", ".join([record.suite, record.source, *fields, *taken])


def method_of(record: RunRecord, plugins: Sequence[str] = ()) -> Method:
    """The method with the fields that the record says. Raises UnknownName, MethodError, ConfigError."""
    kind = find_method(record.method, plugins)
    fields: dict[str, Any] = dict(record.fields)
    if issubclass(kind, Composition):
        parts: dict[str, dict[str, Any]] = {}
        for name, value in fields.items():
            part, _, field = name.partition(".")
            parts.setdefault(part, {})[field] = value
        fields = {name: parts.get(base_name(name), {}) for name in kind.model_fields}
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(
            f"{record.method} of this version does not take the fields of record {record.record_key[:12]}: "
            f"{'.'.join(map(str, first['loc']))}: {first['msg']}."
        ) from None


def stored_weights(out: Path, record: RunRecord, cfg: NetConfig) -> Generator:
    """The generator that the record measured, float32 on the CPU; `cfg` is its source's architecture.

    WeightsError where its file is missing, is not what was stored, or lies behind a link: the folder may be somebody
    else's.
    """
    at = None if record.weights_kimg == record.timing.kimg else record.weights_kimg
    try:
        Folder(out).plain(weights_path(out, record.train_key, at).relative_to(out).as_posix())
    except OSError as error:
        raise WeightsError(f"weights in {out} cannot be used: {error}.") from None
    return stored_generator(out, record.train_key, cfg, at)

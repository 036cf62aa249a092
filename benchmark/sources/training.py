"""Training a source from scratch with the suite's own loop."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import nn

from benchmark.api import Field, Method
from benchmark.domains import load_domain
from benchmark.errors import ConfigError, DataError, WeightsError
from benchmark.sources.source import NoiseStart, Recipe, find_source, list_sources, load_source
from benchmark.stylegan2 import Generator, Nets, save
from benchmark.system.files import write_atomic
from benchmark.system.hardware import prepare_torch
from benchmark.training import dist
from benchmark.training.kernels import held
from benchmark.training.state import State, restore_state
from benchmark.training.together import save_together, stored
from benchmark.training.train import train


class SourceTraining(Method):
    """The plain objective, with the noise strengths of the lowest resolutions held where a recipe says so."""

    name = "from_scratch"
    held_to_px: int = Field(0, ge=0, description="noise strengths up to this resolution stay as they are")

    def frozen(self, nets: Nets) -> Iterable[nn.Parameter]:
        """The noise strengths that are held."""
        return [strength for px, strength in noise_strengths(nets.g) if px <= self.held_to_px]


def train_source(
    name: str, out: Path, cache: Path, kimg: float | None, device: str, say: Callable[[str], None] = print
) -> None:
    """Train `name` by its recipe into `out`; the same command resumes it.

    Each tick prints a line and goes to `out/ticks.jsonl`; every `snapshot_kimg` a snapshot of all three networks is
    written, to be compared by `sources score`. `kimg` replaces the recipe's length. An earlier phase of the recipe is
    trained first, in `out/before`. Raises ConfigError, WeightsError.
    """
    recipe = _recipe(name, kimg)
    dist.init(device)
    prepare_torch()
    _train_phase(name, recipe, out, cache, device, say)


def _train_phase(name: str, recipe: Recipe, out: Path, cache: Path, device: str, say: Callable[[str], None]) -> Nets:
    """The trained networks of a recipe, after those of the phases before it."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot write into {out}: {error.strerror or error}; choose another --out.") from None
    before = _train_phase(name, recipe.before, out / "before", cache, device, say) if recipe.before else None
    domain = load_domain(recipe.domain, recipe.networks.resolution, recipe.split.train, recipe.split.test, cache)
    key = _key(recipe, domain.digest)
    state_path = out / f"state.{dist.rank()}.safetensors"
    nets = start_of(recipe, before).to(device)

    def restore(state: State) -> None:
        """Resume from the last state that all processes have stored."""
        found = stored(state_path)
        common = dist.in_all(found)
        if common and restore_state(found[max(common)], state, key):
            say(f"resuming at {state.images / 1000:g} kimg")
        elif dist.largest(len(found)):
            raise WeightsError(f"{out}: the processes have no stored state of one step in common: remove them all.")

    def on_tick(state: State) -> None:
        if dist.rank() == 0:
            say(_line(state))
            log = "".join(f"{json.dumps(vars(tick))}\n" for tick in state.ticks)
            write_atomic(out / "ticks.jsonl", log.encode("utf-8"))
            last = state.ticks[-2].images if len(state.ticks) > 1 else 0
            every = round(recipe.snapshot_kimg * 1000)
            if state.images // every > last // every:
                save(out / f"snapshot-{state.images // 1000:05d}.safetensors", nets, {"kimg": state.images / 1000})
        save_together(state_path, state, key)

    method = SourceTraining(held_to_px=recipe.noise.held_to_px if recipe.noise else 0)
    with held(recipe.train, nets):
        train(nets, domain.train, method, recipe.train, ("source", name, recipe.seed), restore, on_tick)
    return nets


def _recipe(name: str, kimg: float | None) -> Recipe:
    recipe = find_source(name).card.recipe
    if recipe is None:
        known = [n for n, source in list_sources().items() if source.card.recipe]
        raise ConfigError(f"source {name} has no training recipe; those that have one: {', '.join(known)}.")
    if kimg is None:
        return recipe
    return recipe.model_copy(update={"train": recipe.train.model_copy(update={"kimg": kimg})})


def noise_strengths(g: Generator) -> list[tuple[int, nn.Parameter]]:
    """(resolution in px, strength, a scalar) of each layer that has a noise input, coarse to fine."""
    return [
        (px, getattr(block, name).noise_strength) for px, block in g.synthesis.blocks.items() for name in block.layers
    ]


def start_of(recipe: Recipe, before: Nets | None = None) -> Nets:
    """The networks that a recipe begins with; `before`: those of the phase before."""
    if before is None and not recipe.start:
        nets = Nets.create(recipe.networks, seed=recipe.seed)
    else:
        nets = before or load_source(find_source(recipe.start))[0]
        if nets.cfg != recipe.networks:
            whose = recipe.start or "the phase before"
            raise ConfigError(f"the recipe's networks are not those of {whose}, from which it continues.")
        nets.g.load_state_dict(nets.g_ema.state_dict())
    if recipe.noise:
        _begin_noise(nets, recipe.noise)
    return nets


@torch.no_grad()
def _begin_noise(nets: Nets, noise: NoiseStart) -> None:
    for g in (nets.g, nets.g_ema):
        for px, strength in noise_strengths(g):
            if px <= noise.held_to_px:
                strength.fill_(noise.held)
            elif noise.strength is not None:
                strength.fill_(noise.strength)


def _key(recipe: Recipe, digest: str) -> str:
    """What a training state belongs to. Without the length, so that a training can continue beyond its first goal."""
    fixed = recipe.model_dump(exclude={"train", "snapshot_kimg", *(() if recipe.before else ("before",))})
    fixed["train"] = recipe.train.content(("kimg", "checkpoint_minutes", "cudnn_benchmark"))
    return hashlib.sha256(json.dumps([fixed, digest, dist.world()], sort_keys=True).encode()).hexdigest()


def _line(state: State) -> str:
    tick = state.ticks[-1]
    losses = "  ".join(f"{name} {value:.3f}" for name, value in tick.losses.items())
    return f"{tick.images / 1000:8.1f} kimg  {tick.seconds_per_kimg:6.2f} s/kimg  {losses}"

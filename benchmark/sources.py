"""Pretrained generators: the list, checked loading, and training one from scratch with the suite's own loop."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import yaml
from pydantic import ValidationError

from benchmark.config import DomainConfig, Frozen, NetConfig, TrainConfig
from benchmark.errors import ConfigError, UnknownName, WeightsError

HERE = Path(__file__).parent


class Recipe(Frozen):
    """How to train a source from scratch: everything that its weights depend on."""

    domain: str
    split: DomainConfig
    networks: NetConfig
    train: TrainConfig
    seed: int = 0
    snapshot_kimg: float = 25.0


class Source(Frozen):
    """One pretrained GAN: its card."""

    title: str
    file: str = ""
    """Relative to the package; empty for networks that are drawn from a seed."""
    sha256: str = ""
    licence: str
    notes: str = ""
    domain: str
    kimg: float | None = None
    scores: dict[str, str] = {}
    networks: NetConfig | None = None
    """Architecture of seed-drawn networks (those without a file)."""
    recipe: Recipe | None = None


def list_sources() -> dict[str, Source]:
    """{name: card} from sources.yaml."""
    raw = yaml.safe_load((HERE / "sources.yaml").read_text())
    try:
        return {name: Source.model_validate(card) for name, card in raw.items()}
    except ValidationError as error:
        raise ConfigError(f"sources.yaml is not valid: {error}") from None


def find_source(name: str) -> Source:
    """The card of `name`; UnknownName with near names otherwise."""
    known = list_sources()
    if name not in known:
        raise UnknownName("source", name, known)
    return known[name]


def source_path(name: str, card: Source) -> Path:
    """Where the weights lie."""
    if not card.file:
        raise WeightsError(f"source {name} has no weight file; train it with: python -m benchmark sources train {name}")
    return HERE / card.file


def sha256_of(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def source_digest(name: str) -> str:
    """What identifies a source in keys: the file's sha256, or the architecture of seed-drawn networks."""
    card = find_source(name)
    if card.networks is not None:
        return hashlib.sha256(f"seed-drawn {name} {card.networks.model_dump_json()}".encode()).hexdigest()
    path = source_path(name, card)
    if not path.is_file():
        raise WeightsError(
            f"source {name}: {path} does not exist. Reinstall the package or train it: python -m benchmark sources train {name}"
        )
    found = sha256_of(path)
    if found != card.sha256:
        raise WeightsError(
            f"source {name}: {path.name} has sha256 {found}, expected {card.sha256}. The file was altered or is not the one listed."
        )
    return found


def load_source(name: str):  # type: ignore[no-untyped-def]
    """The networks of a source (float32, CPU), after its hash was checked."""
    from benchmark.stylegan2 import Nets, load

    card = find_source(name)
    source_digest(name)
    if card.networks is not None:
        return Nets.create(card.networks, seed=0)
    return load(source_path(name, card))


def train_source(
    name: str,
    out: Path,
    cache: Path,
    kimg: float | None = None,
    device: str = "cpu",
    report: Callable[[str], None] = print,
) -> Path:
    """Train `name` from scratch by its recipe into `out`; resumable: the same command goes on. Returns the folder of snapshots.

    Every `snapshot_kimg` a snapshot of all three networks is written; choose among them with `sources score`.
    """
    from benchmark import dist
    from benchmark.domains import load_domain
    from benchmark.methods.finetune import Finetune
    from benchmark.state_file import restore_state, save_state
    from benchmark.stylegan2 import Nets, save
    from benchmark.train import State, train

    card = find_source(name)
    if card.recipe is None:
        raise ConfigError(
            f"source {name} has no training recipe; those that have: {[n for n, c in list_sources().items() if c.recipe]}."
        )
    recipe = card.recipe
    if kimg is not None:
        recipe = recipe.model_copy(update={"train": recipe.train.model_copy(update={"kimg": kimg})})
    dist.init()
    lead = dist.rank() == 0
    domain = load_domain(recipe.domain, recipe.networks.resolution, recipe.split.train, recipe.split.test, cache)
    # The length is left out of the key, so that a training can be continued beyond its first goal.
    fixed = recipe.model_dump(exclude={"train": {"kimg"}, "snapshot_kimg": True})
    key = hashlib.sha256(json.dumps([fixed, domain.digest, dist.world()], sort_keys=True).encode()).hexdigest()
    state_path = out / f"state.{dist.rank()}.safetensors"
    log = out / "ticks.jsonl"
    nets = Nets.create(recipe.networks, seed=recipe.seed).to(device)
    out.mkdir(parents=True, exist_ok=True)

    def restore(state: State) -> None:
        if restore_state(state_path, state, key):
            report(f"going on at {state.images / 1000:g} kimg")

    def on_tick(state: State) -> None:
        tick = state.ticks[-1]
        if lead:
            losses = "  ".join(f"{k} {v:.3f}" for k, v in tick.losses.items())
            report(f"{tick.images / 1000:8.1f} kimg  {tick.seconds_per_kimg:6.2f} s/kimg  {losses}")
            with log.open("a") as f:
                f.write(json.dumps({"images": tick.images, "seconds": tick.seconds, **tick.losses}) + "\n")
        every = round(recipe.snapshot_kimg * 1000)
        if lead and (state.images // every) > (state.images - round(recipe.train.tick_kimg * 1000)) // every:
            save(
                out / f"snapshot-{round(state.images / 1000):05d}.safetensors",
                state.nets,
                {"kimg": state.images / 1000},
            )
        save_state(state_path, state, key)

    train(nets, domain.train, Finetune(), recipe.train, ("source", name, recipe.seed), restore, on_tick)
    return out

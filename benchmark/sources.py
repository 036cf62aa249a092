"""Pretrained generators: their cards, and loading that checks them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from pydantic import Field, ValidationError

from benchmark.config import DomainConfig, Frozen, NetConfig, TrainConfig
from benchmark.errors import ConfigError, UnknownName, WeightsError

if TYPE_CHECKING:
    from benchmark.stylegan2 import Nets

HERE = Path(__file__).parent


class Recipe(Frozen):
    """How to train a source from scratch: everything that its weights depend on."""

    domain: str
    split: DomainConfig
    networks: NetConfig
    train: TrainConfig
    seed: int = 0
    snapshot_kimg: float = 25.0


class SourceCard(Frozen):
    """One pretrained GAN: its card."""

    title: str
    file: str = ""
    """Relative to the package; empty for networks that are drawn from a seed."""
    sha256: str = ""
    licence: str
    notes: str = ""
    domain: str
    kimg: float | None = None
    scores: dict[str, str] = Field(default_factory=dict, description="measured on held-out images, with N")
    networks: NetConfig | None = None
    """Architecture of seed-drawn networks (those without a file)."""
    recipe: Recipe | None = None


def list_sources() -> dict[str, SourceCard]:
    """{name: card} from sources.yaml."""
    raw = yaml.safe_load((HERE / "sources.yaml").read_text())
    try:
        return {name: SourceCard.model_validate(card) for name, card in raw.items()}
    except ValidationError as error:
        raise ConfigError(f"sources.yaml is not valid: {error}") from None


def find_source(name: str) -> SourceCard:
    """The card of `name`; UnknownName with near names otherwise."""
    known = list_sources()
    if name not in known:
        raise UnknownName("source", name, known)
    return known[name]


def source_path(name: str, card: SourceCard) -> Path:
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
            f"source {name}: {path} does not exist. Install the package again, or train it: "
            f"python -m benchmark sources train {name}"
        )
    found = sha256_of(path)
    if found != card.sha256:
        raise WeightsError(
            f"source {name}: {path.name} has sha256 {found}, expected {card.sha256}. "
            "The file was altered; install the package again."
        )
    return found


def load_source(name: str) -> Nets:
    """The networks of a source (float32, CPU), after its hash was checked."""
    from benchmark.stylegan2 import Nets, load

    card = find_source(name)
    source_digest(name)
    if card.networks is not None:
        return Nets.create(card.networks, seed=0)
    return load(source_path(name, card))

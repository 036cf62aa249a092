"""Pretrained generators: those that ship with the suite, those a user imported, and loading that checks them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, ValidationError

from benchmark.config import DomainConfig, Frozen, NetConfig, TrainConfig
from benchmark.domains.assets import list_targets
from benchmark.errors import ConfigError, UnknownName, WeightsError
from benchmark.system.files import sha256_of
from benchmark.system.text.plain_yaml import NotPlainYaml, plain_yaml

if TYPE_CHECKING:
    from benchmark.stylegan2 import Nets

HERE = Path(__file__).parent
IMPORTED = "imported"
"""Folder below the cache; each imported source is a folder in it."""
IMPORTING = ".importing-"
"""Folders there that an import is writing begin so."""
INVERSIONS = "inversions"
"""Folder below the cache; where sources draw their held-out pictures (inverted.py)."""
NAMED = 3
"""Tensors that a caveat names."""
CARD, WEIGHTS, CHECK = "card.json", "weights.safetensors", "check.safetensors"


class NoiseStart(Frozen):
    """Noise strengths that a training begins with.

    A generator of flat drawings switches its noise off. A training that continues from it must give it back, and where
    the new images ask for it slowly, at the lowest resolutions, it is held.
    """

    strength: float | None = Field(0.1, ge=0, description="of every layer to begin with; null: as they are")
    held: float = Field(0.1, ge=0, description="of the layers up to `held_to_px`, all the time")
    held_to_px: int = Field(0, ge=0, description="0: none is held")


class Recipe(Frozen):
    """How to train a source from scratch: everything that its weights depend on."""

    before: Recipe | None = Field(None, description="the phase before, whose averaged networks this one starts from")

    domain: str
    split: DomainConfig
    networks: NetConfig
    train: TrainConfig
    seed: int = 0
    snapshot_kimg: float = 25.0
    start: str = Field("", description="the source to train on from; empty: from random weights")
    noise: NoiseStart | None = Field(None, description="noise strengths to begin with")


class Origin(Frozen):
    """Where an imported source came from."""

    file: str
    sha256: str
    bytes: int
    format: str
    networks: tuple[str, ...] = Field(description="which of g, g_ema, d the file held")
    left_out: tuple[str, ...] = Field((), description="what else the file held")
    notes: tuple[str, ...] = Field((), description="what was filled in or allowed")

    @property
    def new_discriminator(self) -> bool:
        """Whether the discriminator, or a part of it, was not in the file and starts with random weights."""
        new = (note for note in self.notes if note.startswith("allowed: d") and not note.endswith("is unexpected"))
        return any(note.startswith(("allowed: d.", "allowed: d was")) for note in new)

    @property
    def caveats(self) -> tuple[str, ...]:
        """The notes as they stand in records and tables: tensors that were allowed for one reason in one sentence."""
        said, alike = dict[str, None](), dict[tuple[str, str], list[str]]()
        for note in self.notes:
            found = re.fullmatch(
                r"allowed: (\S+) (is missing|is unexpected|has shape .*|is of .*|holds .*|is another .*)", note
            )
            if not found:
                said[note] = None
                continue
            left_out = found[2] == "is unexpected"
            alike.setdefault((found[1].split(".")[0], "left out" if left_out else "new and random"), []).append(
                found[1]
            )
        for (_, what), names in alike.items():
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            said[f"allowed at import: {', '.join(names[:NAMED])}{more}: {what}"] = None
        return tuple(said)


class SourceCard(Frozen):
    """One pretrained GAN: its card."""

    title: str
    file: str = Field("", description="below the card's folder; empty for networks that are drawn from a seed")
    sha256: str = ""
    check: str = Field("", description="file of expected images, below the card's folder")
    licence: str
    notes: str = ""
    domain: str = ""
    kimg: float | None = None
    scores: dict[str, str] = Field(default_factory=dict, description="measured on held-out images, with N")
    networks: NetConfig | None = Field(None, description="architecture, where no file says it")
    recipe: Recipe | None = None
    origin: Origin | None = None


@dataclass(frozen=True)
class Source:
    """A card, and where its files lie."""

    name: str
    card: SourceCard
    folder: Path

    @property
    def path(self) -> Path:
        """The weights."""
        if not self.card.file:
            raise WeightsError(
                f"source {self.name} has no weight file; its networks are drawn from a seed when they are needed."
            )
        return self.folder / self.card.file

    @property
    def check_path(self) -> Path | None:
        """Expected images, if the card has any."""
        return self.folder / self.card.check if self.card.check else None


def list_sources(cache: Path | None = None) -> dict[str, Source]:
    """{name: source}: those of sources.yaml, then those imported into `cache`. Raises ConfigError for a broken card."""
    try:
        raw: Mapping[str, object] = plain_yaml((HERE / "sources.yaml").read_text("utf-8"))
    except NotPlainYaml as error:
        raise ConfigError(f"sources.yaml: {error}; correct the file") from None
    found = {name: Source(name, _card(card, "sources.yaml"), HERE) for name, card in raw.items()}
    for path in sorted((cache / IMPORTED).glob(f"*/{CARD}")) if cache else ():
        name = path.parent.name
        if name not in found and not name.startswith("."):
            found[name] = Source(name, _card(_read(path), str(path)), path.parent)
    return found


def _read(path: Path) -> object:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        raise ConfigError(f"{path} is no card: damaged? Remove its folder and import the source again.") from None


def _card(raw: object, where: str) -> SourceCard:
    try:
        return SourceCard.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{where} is not valid: {'.'.join(map(str, first['loc']))}: {first['msg']}.") from None


def find_source(name: str, cache: Path | None = None) -> Source:
    """The source `name`; ConfigError with the commands that get it, or UnknownName with near names, otherwise."""
    known = list_sources(cache)
    if name not in known:
        if name in list_targets("source"):
            raise ConfigError(
                f"source {name} is not on this machine; first: python -m benchmark datasets fetch {name}; then: "
                f"python -m benchmark sources import {name}"
            )
        raise UnknownName("source", name, known)
    return known[name]


def source_digest(source: Source) -> str:
    """What identifies a source in keys: the file's sha256, or the architecture of seed-drawn networks.

    Raises WeightsError where the file is missing or not the one that the card describes.
    """
    name, card = source.name, source.card
    if card.networks is not None:
        return hashlib.sha256(f"seed-drawn {name} {card.networks.model_dump_json()}".encode()).hexdigest()
    again = "import it again" if card.origin else "install the package again"
    if not source.path.is_file():
        raise WeightsError(f"source {name}: {source.path} does not exist; {again}.")
    found = sha256_of(source.path)
    if found != card.sha256:
        raise WeightsError(
            f"source {name}: {source.path.name} has sha256 {found}, expected {card.sha256}. It was altered; {again}."
        )
    return found


def load_source(source: Source) -> tuple[Nets, str]:
    """The networks of a source (float32, CPU) and its digest, after its hash was checked."""
    from benchmark.stylegan2 import Nets, load

    digest = source_digest(source)
    if source.card.networks is not None:
        return Nets.create(source.card.networks, seed=0), digest
    return load(source.path), digest


def file_source(path: Path) -> Source:
    """A network file of this suite (an adapted checkpoint, for one) as a source without a card of its own."""
    if not path.is_file():
        raise WeightsError(
            f"{path} does not exist; give a source's name (sources list) or a .safetensors of this suite."
        )
    title = f"{path.name}, a network file of this suite"
    card = SourceCard(title=title, file=path.name, sha256=sha256_of(path), licence="as its source's")
    return Source(path.stem, card, path.parent)

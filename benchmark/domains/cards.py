"""Cards of domains: what each shows, who made it, under which licence; one YAML file each on the shelf `datasets/`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pydantic import Field

from benchmark.config import Frozen
from benchmark.errors import DataError
from benchmark.system.text.plain_yaml import plain_yaml

if TYPE_CHECKING:
    import numpy as np

Skipped = tuple[tuple[str, str], ...]


class Probes(Frozen):
    """Pixel hash of a domain's first pictures, to notice when other library versions draw differently."""

    count: int = Field(16, ge=1)
    resolution: int = Field(64, ge=4, description="px")
    sha256: str


class Card(Frozen):
    """What a domain shows, who made it and under which licence."""

    schema_version: Literal[1] = Field(1, alias="schema")
    name: str
    title: str
    kind: Literal["dicebear", "toy", "folder", "zip", "target"]
    style: str = Field("", description="DiceBear style or toy shape")
    medium: str = Field("", description="what the pictures are drawn in (`media`); empty: as they are")
    creator: str
    licence: str
    licence_url: str = ""
    attribution: str
    homepage: str = ""
    seeds: int = Field(0, ge=0, description="pictures there are, duplicates included; 0 for user data")
    options: dict[str, Any] = Field(default_factory=dict, description="options given to the style")
    probes: Probes | None = None
    distance: str = Field("", description="how far from the source domain, in words")
    notes: str = ""
    found: int | None = Field(None, description="user data: files looked at")
    skipped: Skipped = Field((), description="user data: (file, reason)")
    digest: str | None = Field(None, description="user data: the domain's digest")
    whole: bool = Field(True, description="standard sets: there are as many images as were published")
    remarks: tuple[str, ...] = Field((), description="user data and standard sets: what a reader of numbers must know")


def card_shelf() -> Path:
    """Folder of the cards: inside the package in a wheel, beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "datasets"
    return inside if inside.is_dir() else package.parent / "datasets"


@lru_cache(maxsize=256)
def _card(path: Path, changed: int, size: int) -> Card:
    """The card as the file was when it was `changed`; the whole shelf is asked for often."""
    return Card.model_validate(plain_yaml(path.read_text("utf-8")))


def list_cards() -> dict[str, Card]:
    """All cards on the shelf by name. Raises `DataError` for a card that does not read."""
    cards = {}
    for path in sorted(card_shelf().glob("*.yaml")):
        try:
            found = path.stat()
            card = _card(path, found.st_mtime_ns, found.st_size)
        except (OSError, ValueError) as error:
            raise DataError(f"card {path.name} cannot be read: {' '.join(str(error).split())}") from error
        if card.name != path.stem:
            raise DataError(f"card {path.name} names itself {card.name!r}; rename the file or the card")
        cards[card.name] = card
    return cards


class Pictures(Protocol):
    """Something that draws pictures by number; `drawings`, `toys` and `images` have one each."""

    count: int  # how many there are, duplicates included

    @property
    def skipped(self) -> Sequence[tuple[str, str]]:
        """(file, reason) for what is not among them."""

    def recipe(self) -> dict[str, Any]:
        """All that the pixels depend on, as JSON values."""

    def draw(self, start: int, stop: int) -> Iterator[tuple[str, np.ndarray | str]]:
        """Yields (label, uint8 [3,R,R]), or (label, reason) for a picture that cannot be used."""

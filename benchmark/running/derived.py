"""What a suite that is derived from a source and images takes from them: the network's size, the number of images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmark.config import DomainConfig, NetConfig, Suite
from benchmark.domains.assets import list_targets, target_folder
from benchmark.domains.cards import list_cards
from benchmark.domains.pictures.images import count_pictures
from benchmark.domains.prepared import read_provenance
from benchmark.sources import Source, find_source
from benchmark.stylegan2.weights import architecture_of
from benchmark.suites.own import WIDE, derived

UNTOLD = DomainConfig()
"""The split where nobody asked for one."""


def derived_settings(suite: Suite, cache: Path) -> dict[str, Any]:
    """The sections that follow from the suite's source and images; of several domains the one with fewest counts."""
    assert suite.derived is not None
    shape = shape_of(find_source(suite.source, cache))
    found = [of for name in suite.domains if (of := counted(name, shape.resolution, suite.split.filter, cache))]
    images, held_out = min(found, default=(UNTOLD.train + UNTOLD.test, None), key=lambda of: of[0])
    if suite.split.test != UNTOLD.test:
        held_out = min(suite.split.test, images - 1)
    fields = suite.fields | (suite.narrow_fields if shape.channels(4) < WIDE else {})
    return derived(suite.derived, shape.resolution, images, held_out) | {"fields": fields}


def shape_of(source: Source) -> NetConfig:
    """The architecture of a source, from its card or its file's header."""
    return source.card.networks or architecture_of(source.path)


def counted(name: str, resolution: int, resized: str, cache: Path) -> tuple[int, int | None] | None:
    """(images, how many of them are held out where that is fixed) of a domain; None where any number can be drawn.

    A data set that is not prepared has the numbers of its card.
    """
    targets = list_targets("target")
    if name in targets:
        card = targets[name]
        note = read_provenance(target_folder(cache, name).prepared(resolution, resized))
        if note is not None:
            return len(note.images), note.count("test")
        shots = card.few_shot.shots if card.few_shot else None
        return (shots, 0) if shots else (card.count, None) if card.count else None
    if name in list_cards() or not Path(name).exists():
        return None
    return count_pictures(Path(name), resolution), None

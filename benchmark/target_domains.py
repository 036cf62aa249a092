"""Domains that are standard targets: from a card's name to the images that `datasets prepare` made of its files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmark.cards import Card
from benchmark.config import Filter
from benchmark.errors import DataError
from benchmark.prepared import PreparedPictures, Rule, read_provenance
from benchmark.targets import Target, raw_folder, target_folder

SPLITS: dict[Rule, str] = {
    "official": "official split",
    "few_shot": "published list of shots",
    "few_shot_by_name_hash": "shots chosen by us, by their names: no list is published",
    "by_name_hash": "split by us, by names",
}


@dataclass(frozen=True)
class Wanted:
    """Which images of a domain, how large, and how they were resized."""

    name: str
    resolution: int
    train: int
    test: int
    filter: Filter = "lanczos"


def open_target(target: Target, wanted: Wanted, cache: Path) -> tuple[Card, PreparedPictures]:
    """Card and images of a target; `DataError` where it is not prepared, with the commands that get it."""
    name, px, resized = wanted.name, wanted.resolution, wanted.filter
    path = target_folder(cache, name).prepared(px, resized)
    note = read_provenance(path)
    if note is None:
        chosen = "" if resized == "lanczos" else f" --filter {resized}"
        raise DataError(
            f"domain {name!r} is not prepared at {px} px with {resized}; first: python -m benchmark datasets fetch "
            f"{name}; then: python -m benchmark datasets prepare {name} --resolution {px}{chosen}"
        )
    pictures = PreparedPictures(path, note, wanted.train, wanted.test)
    if wanted.test and not pictures.held_out:
        raise DataError(f"domain {name!r} has no held-out images; score against the training images: split.test=0")
    if pictures.count == pictures.held_out:
        raise DataError(f"domain {name!r} has no images to train on in {path}; prepare it again")
    about = {"schema": 1, "name": name, "title": target.title, "kind": "target", "homepage": target.homepage}
    about |= {"creator": target.creator, "attribution": target.creator}
    about |= {"licence": target.licence, "licence_url": target.licence_url}
    return Card.model_validate({**about, "notes": f"{SPLITS[note.rule]}; resized with {resized}"}), pictures


def state(target: Target, cache: Path) -> str:
    """What of a target is here, in a few words."""
    folder = target_folder(cache, target.name).prepared(0, "").parent
    start = f"{target.name}-"
    prepared = [path.stem.removeprefix(start).replace("-", " px ") for path in sorted(folder.glob(f"{start}*.zip"))]
    if prepared:
        return f"prepared: {', '.join(prepared)}"
    raw = raw_folder(cache, target).raw
    return "fetched, not prepared" if raw.is_dir() and any(raw.iterdir()) else "not here"

"""Target image sets: from a card's name, or a user's folder or ZIP, to uint8 images.

Standard targets (`assets`) come from what `datasets prepare` made, with splits of their own: see `prepared`.

A domain is drawn once and kept in a content-addressed cache. How the splits are made:

1. Pictures come in a fixed order: drawings by seed number, the user's own images by the sha256 of their bytes.
2. A picture whose pixels equal an earlier one's is dropped.
3. The first ``test`` pictures are held out, the next ``train`` are for training. So the held-out set does not depend
   on the size of the training set, and a ten-shot training set is the beginning of the 2,000-image one.
4. Where a suite wants a selection split, it is the last of those (`set_apart`).
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.config import Filter
from benchmark.domains.assets import list_targets
from benchmark.domains.cards import Card, Pictures, Skipped, list_cards
from benchmark.domains.media import in_medium
from benchmark.domains.packaged import package_domain, package_domains
from benchmark.domains.pictures.looks import remarks
from benchmark.domains.prepared import PreparedPictures, Wanted, open_target
from benchmark.domains.split import enlarged_told, held_out_images, split_told
from benchmark.domains.stored import About, pixel_digest, pixel_hash, read_entry
from benchmark.errors import ConfigError, DataError, UnknownName
from benchmark.system.files import SCRATCH, clear_temporaries, new_file, reserve
from benchmark.system.locks import alone

if TYPE_CHECKING:
    from benchmark.domains.pictures.images import UserImages

Progress = Callable[[Iterable[Any], int, str], Iterable[Any]]
LAYOUT = 1  # version of the splits and of the cache files; raise it when either changes
LOOKS = 3  # version of the remarks on sets that were not drawn here
DRAWN = ("dicebear", "toy")
UNKNOWN = {"creator": "unknown", **dict.fromkeys(("licence", "attribution"), "unknown; the user's own data")}


@dataclass(frozen=True)
class Domain:
    """Images of one domain, uint8 RGB, 0 to 255; arrays are read-only and may be memory-mapped."""

    name: str
    train: np.ndarray  # uint8 [N,3,R,R]
    test: np.ndarray  # uint8 [M,3,R,R], held out, no image equal to one in train; or train itself, see `held_out`
    digest: str  # sha256 of the pixels of both splits, in order
    card: Card
    skipped: Skipped = ()  # user data: (file, reason)
    selection: np.ndarray = field(default_factory=lambda: np.empty((0, 3, 1, 1), np.uint8))  # held out as well

    @property
    def held_out(self) -> bool:
        """False where the training images are the reference, as many papers have it."""
        return self.test is not self.train

    @property
    def standard_set(self) -> str | None:
        """Card and digest of the field's set that these images are, as NAME:DIGEST; None for any other images."""
        return f"{self.name}:{self.digest}" if self.card.kind == "target" and self.card.whole else None


def plain(items: Iterable[Any], total: int, text: str) -> Iterable[Any]:
    """The progress bar that shows nothing."""
    return items


def load_domain(
    name: str,
    resolution: int,
    train: int,
    test: int,
    cache: Path,
    progress: Progress | None = None,
    filter: Filter = "lanczos",
    medium: str = "",
) -> Domain:
    """Images of the domain called ``name``, drawn now or read from ``cache``.

    ``name`` is a card's name or the path of a folder or ZIP of images; ``resolution`` is in px; ``train`` and ``test``
    are numbers of images; with ``test`` 0 the training images are the reference, too. A user's set with fewer images
    than asked for is split 2:1; a standard target has its own splits, of which the numbers are upper limits, and is
    read as it was prepared with ``filter``. A user's own images are drawn in ``medium``, where one is named (`media`).
    Raises `UnknownName` for a name without a card, `ConfigError` for settings that make no sense and `DataError` for
    images that are unavailable.
    """
    if resolution < 4 or train < 1 or test < 0:
        raise ConfigError(
            f"domain {name!r}: asked for {train} + {test} images of {resolution} px; use 1 or more, 4 px up"
        )
    bar = progress or plain
    card, pictures = _open(Wanted(name, resolution, train, test, filter), cache, bar, medium)
    probes = card.probes and [card.probes.count, card.probes.resolution]
    sizes = {"resolution": resolution, "train": train, "test": test}
    looked = {} if card.kind in DRAWN else {"looks": LOOKS}
    wanted = {**pictures.recipe(), **sizes, "probes": probes, "layout": LAYOUT, **looked}
    key = hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()
    slug = "".join(c if c.isascii() and c.isalnum() else "-" for c in card.name)[:40]
    entry = Path(cache) / f"{slug}-{resolution}px-{key[:16]}"
    stored = read_entry(entry)
    if stored is None:
        try:
            entry.parent.mkdir(parents=True, exist_ok=True)
            with alone(Path(f"{entry}.lock")):
                clear_temporaries(entry.parent, entry.name)
                stored = read_entry(entry)
                if stored is None:
                    _render(entry, card, pictures, (resolution, train, test), bar)
                    stored = read_entry(entry)
        except OSError as error:
            why = error if error.errno else f"No space left on device ({error})"  # numpy's own, of a write cut short
            raise DataError(f"cannot write domain {card.name!r} to {cache}: {why}; choose another cache") from error
    if stored is None:
        raise DataError(f"domain {card.name!r} was written to {cache} but does not read back; is the disk full?")
    return _domain(card, *stored)


def set_apart(domain: Domain, train: int, selection: int) -> Domain:
    """The domain with the last ``selection`` of its training images held out to choose weights by.

    ``train`` is the number that is to stay; a user's set with fewer images is split in the same ratio.
    Raises `DataError` where nothing would be left on either side.
    """
    if not selection:
        return domain
    have = len(domain.train)
    apart = min(selection, have * selection // (train + selection))
    if not 0 < apart < have:
        raise DataError(
            f"domain {domain.name!r}: {have} images cannot be split into {train} for training and {selection} for "
            "selection; lower split.selection"
        )
    rest = domain.train[:-apart]
    return replace(domain, train=rest, test=domain.test if domain.held_out else rest, selection=domain.train[-apart:])


def _open(wanted: Wanted, cache: Path, progress: Progress, medium: str) -> tuple[Card, Pictures]:
    """Card and drawing machine behind a name or a path; a card goes before a path of the same name."""
    name, resolution, cards = wanted.name, wanted.resolution, list_cards()
    targets = {} if name in cards else list_targets("target")
    if medium and (name in cards or name in targets):
        raise ConfigError(
            f"medium={medium} is for folders and ZIPs of your own, and {name!r} has a card; choose a domain whose card "
            f"has that medium: {', '.join(n for n, card in cards.items() if card.medium == medium) or 'there is none'}."
        )
    if name in targets:
        return open_target(targets[name], wanted, cache)
    if wanted.filter != "lanczos":
        raise ConfigError(f"split.filter={wanted.filter} is for standard targets, and {name!r} is none; leave it out.")
    if name in cards:
        return cards[name], _machine(cards[name], resolution)
    packaged = package_domain(name)
    if not packaged and not ("/" in name or os.sep in name or os.path.exists(name)):
        raise UnknownName("domain", name, (*cards, *targets, *package_domains()))
    from benchmark.domains.pictures.images import UserImages

    user = UserImages(Path(packaged.path if packaged else name), resolution, progress)
    base = name if packaged else user.title
    title = f"{base}-{medium}" if medium else base
    known = packaged.facts() if packaged else UNKNOWN
    about = {"schema": 1, "name": title, "title": title, "kind": user.kind, "medium": medium}
    about |= {"remarks": tuple(_said_of(user, title, wanted.name))}
    return Card.model_validate({**about, **known}), in_medium(user, medium, resolution)


def clean_drawings(card: Card, resolution: int, count: int) -> np.ndarray:
    """The first `count` different drawings of a card in a medium, before that: uint8 [count,3,R,R], held-out first."""
    return np.stack([*_unique(_machine(card.model_copy(update={"medium": ""}), resolution), count, [])])


def _said_of(user: UserImages, title: str, path: str) -> Iterator[str]:
    """What is to be told of a folder or ZIP before its pictures are looked at."""
    yield from enlarged_told(user.enlarged, user.count, user.resolution)
    if user.labelled:
        yield "the labels of dataset.json are not used: these generators know no classes"
    if title in list_targets("target"):
        yield f"{title} is the name of a standard set, but these images are those of the {user.kind} {path}"


def _machine(card: Card, resolution: int) -> Pictures:
    """What draws the pictures of a card."""
    pictures: Pictures
    if card.kind == "toy":
        from benchmark.domains.toys import ToyPictures

        pictures = ToyPictures(card.style, card.seeds, resolution)
    else:
        from benchmark.domains.drawings import Drawings

        pictures = Drawings(card.name, card.style, card.options, card.seeds, resolution)
    return in_medium(pictures, card.medium, resolution)


def _unique(pictures: Pictures, need: int, skipped: list[tuple[str, str]]) -> Iterator[np.ndarray]:
    """The first ``need`` pictures with pixels of their own; draws no more than that takes."""
    seen: set[bytes] = set()
    start = 0
    while len(seen) < need and start < pictures.count:
        stop = min(pictures.count, start + need - len(seen))
        for label, image in pictures.draw(start, stop):
            if isinstance(image, str):
                skipped.append((label, image))
                continue
            pixels = hashlib.sha256(image.tobytes()).digest()
            if pixels in seen:
                skipped.append((label, "same pixels as another image"))
            else:
                seen.add(pixels)
                yield image
        start = stop


def _render(entry: Path, card: Card, pictures: Pictures, sizes: tuple[int, int, int], progress: Progress) -> None:
    """Draw, split and write one cache entry: `.npy` [test + train,3,R,R] and `.json`."""
    resolution, train, test = sizes
    user = card.kind in ("folder", "zip")
    ready = pictures if isinstance(pictures, PreparedPictures) else None
    if not user and not ready:
        held_out_images(card.name, pictures.count, train, test, user, [])  # too few are refused before any is drawn
    need = min(train + test, pictures.count)
    skipped = list(pictures.skipped)
    with tempfile.TemporaryDirectory(
        dir=entry.parent, prefix=f"{SCRATCH}{entry.name}-", ignore_cleanup_errors=True
    ) as scratch:
        shape = (max(need, 1), 3, resolution, resolution)
        images: np.ndarray = np.lib.format.open_memmap(
            Path(scratch) / "all.npy", mode="w+", dtype=np.uint8, shape=shape
        )
        reserve(Path(scratch) / "all.npy")
        found = 0
        drawn = (image for _, image in ready.draw(0, need)) if ready else _unique(pictures, need, skipped)
        for image in progress(drawn, need, f"{'read' if ready else 'draw'} {card.name}"):
            images[found] = image
            found += 1
        held_out = ready.held_out if ready else held_out_images(card.name, found, train, test, user, skipped)
        images = images[: min(found, held_out + train)]
        about = {
            "schema": 1,
            "test": held_out,
            "digest": pixel_digest(images[held_out:], images[:held_out]),
            "found": pictures.count + len(pictures.skipped) if user or ready else None,
            "skipped": sorted(skipped) if user or ready else [],
            "probe": _probe(card),
            "remarks": [*split_told(found, held_out, train, test, user), *remarks(images, held_out)]
            if user or ready
            else [],
        }
        with new_file(entry.with_suffix(".npy")) as temporary, temporary.open("wb") as file:
            np.save(file, images)
        with new_file(entry.with_suffix(".json")) as temporary:
            temporary.write_text(json.dumps(about, indent=1), "utf-8")


def _domain(card: Card, images: np.ndarray, about: About) -> Domain:
    """The public value, after comparing the card's probe."""
    if card.probes is not None and about.probe != card.probes.sha256:
        warnings.warn(
            f"domain {card.name!r} is drawn differently here than when its card was written (another version of the "
            f"drawing packages?); its digest is {about.digest[:12]} and results compare only with the same digest",
            stacklevel=3,
        )
    train = images[about.test :]
    test = images[: about.test] if about.test else train
    if about.found is not None:
        notes = f"{len(train)} training and {about.test} held-out images, "
        notes += card.notes or "centre-cropped and resized"
        changes = {"found": about.found, "skipped": about.skipped, "digest": about.digest, "notes": notes}
        card = card.model_copy(update={**changes, "remarks": (*card.remarks, *about.remarks)})
    return Domain(card.name, train, test, about.digest, card, about.skipped)


def _probe(card: Card) -> str | None:
    """Pixel hash of the card's probe pictures as drawn here."""
    if card.probes is None:
        return None
    pictures = _machine(card, card.probes.resolution)
    return pixel_hash(image for _, image in pictures.draw(0, card.probes.count) if not isinstance(image, str))

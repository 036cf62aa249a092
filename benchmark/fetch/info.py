"""The text of `datasets info` about a target or pretrained network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmark.domains.assets import Asset, RemoteFile, owner, raw_folder
from benchmark.domains.prepared import state
from benchmark.fetch.licences import terms


def target_text(target: Asset, cache: Path) -> Iterator[str]:
    """Lines: what it is, whose, where from, how it is split, what is available locally."""
    card, folder = owner(target), raw_folder(cache, target)
    yield f"{target.name}: {target.title}"
    facts = {"homepage": target.homepage, "paper": target.paper}
    yield from (f"  {name}: {fact}" for name, fact in facts.items() if fact)
    yield f"  {terms(target)}"
    if target.kind == "target":
        many = f"{target.count:,}" if target.count else "not published"
        yield f"  images: {many}" + (f"; {target.size}" if target.size else "")
        yield f"  split: {_split(target)}"
        yield from ([f"  published tables: {target.splits.published}"] if target.splits.published else [])
    if target.notes:
        yield f"  notes: {target.notes}"
    shared = f" (those of {card.name})" if card is not target else ""
    yield f"  files{shared}, about {card.raw_gb:g} GB:" if card.raw_gb else f"  files{shared}:"
    for file in card.files:
        yield f"    {file.name}: {_origin(file)}; {'here' if (folder.raw / file.name).is_file() else 'not here'}"
    lock = folder.read_lock()
    if lock.files:
        dead = f", {len(lock.dead)} listed images could not be downloaded" if lock.dead else ""
        yield f"  locked: {len(lock.files)} files{dead}; digest {lock.digest}"
    yield f"  state: {_state(target, cache)}"
    for file in card.files:
        if file.login and file.url is None and not (folder.raw / file.name).is_file():
            yield file.login.rstrip()


def _state(target: Asset, cache: Path) -> str:
    if target.kind == "target":
        return state(target, cache)
    return "fetched" if (raw_folder(cache, target).raw / target.files[0].name).is_file() else "not here"


def _origin(file: RemoteFile) -> str:
    mirrors = f" and {len(file.mirrors)} mirrors" if file.mirrors else ""
    said = "published hash" if file.sha256 or file.md5 else "no published hash: trusted on first use, then locked"
    return f"{file.url}{mirrors}, {said}" if file.url else f"by hand, {said}"


def _split(target: Asset) -> str:
    if target.few_shot:
        shots = f"{target.few_shot.shots} to train on"
        if target.few_shot.names or target.layout.test:
            return f"{shots}, as published"
        return f"{shots}, chosen here by the hashes of their names" if target.files_of else f"{shots}, all there are"
    if target.splits.rule == "official":
        return "official"
    return f"ours: {target.splits.share:.0%} are held out, by the hashes of their names"

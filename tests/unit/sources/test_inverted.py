"""Held-out pictures of a source's domain: which they are, what lies behind them, and that they are inverted once."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from benchmark.cache import cache_entries, prune
from benchmark.domains import load_domain
from benchmark.domains.cards import list_cards
from benchmark.domains.load import clean_drawings
from benchmark.domains.media import drawn_in
from benchmark.sources import find_source, load_source
from benchmark.sources.inversion import Search
from benchmark.sources.inverted import Inverted, Seeker
from benchmark.system.progress import Bars

BARS = Bars(Console(quiet=True))


@pytest.fixture
def seeker(tmp_path: Path) -> Seeker:
    nets, digest = load_source(find_source("smoke-32"))
    return Seeker("smoke-32", digest, "toy-disks", nets.g_ema.eval(), tmp_path, Search(steps=3))


def found(seeker: Seeker) -> Inverted:
    made = seeker.held_out(4, BARS)
    assert not isinstance(made, str), made
    return made


def stored(seeker: Seeker) -> Path:
    (path,) = (seeker.cache / "inversions").glob("*.npz")
    return path


def test_they_are_the_held_out_ones_of_the_domain_and_are_inverted_once(seeker: Seeker) -> None:
    first = found(seeker)
    assert (first.pictures == load_domain("toy-disks", 32, 6, 4, seeker.cache).test).all()
    assert (first.clean * 255 == first.pictures).all(), "this domain has no medium"
    assert len(first.code) == 4 and first.seconds > 0
    before = stored(seeker).stat()
    again = found(seeker)
    assert torch.equal(again.code.offset, first.code.offset) and again.seconds == first.seconds
    assert stored(seeker).stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 no archive", None])
def test_a_damaged_file_is_made_again(seeker: Seeker, damage: bytes | None) -> None:
    first = found(seeker)
    if damage is None:  # an archive with arrays of another generator
        np.savez(stored(seeker), z=np.zeros((4, 3), np.float32), offset=np.zeros((4, 1, 3)), seconds=np.float64(1))
    else:
        stored(seeker).write_bytes(damage)
    torch.testing.assert_close(found(seeker).code.offset, first.code.offset)


def test_another_search_or_source_has_a_file_of_its_own(seeker: Seeker) -> None:
    found(seeker)
    found(replace(seeker, search=Search(steps=2)))
    found(replace(seeker, digest="other weights"))
    assert len(list((seeker.cache / "inversions").glob("*.npz"))) == 3


@pytest.mark.parametrize(("domain", "said"), [("", "is not known"), ("no-such-domain", "unknown domain")])
def test_without_their_domain_there_are_none_and_it_says_why(seeker: Seeker, domain: str, said: str) -> None:
    why = replace(seeker, domain=domain).held_out(4, BARS)
    assert isinstance(why, str) and why.startswith("not available") and said in why


def test_clean_drawings_are_those_behind_the_pictures_of_a_medium(tmp_path: Path) -> None:
    held_out = load_domain("peeps-ink", 32, 1, 5, tmp_path).test
    clean = clean_drawings(list_cards()["peeps-ink"], 32, 5)
    assert all((drawn_in("ink", drawing) == picture).all() for drawing, picture in zip(clean, held_out, strict=True))


def test_the_cache_lists_checks_and_prunes_them(seeker: Seeker) -> None:
    found(seeker)
    path = stored(seeker)
    (entry,) = (entry for entry in cache_entries(seeker.cache) if entry.kind == "inversions")
    assert entry.name == path.stem and entry.check() is None and entry.size > 0
    old = path.stat().st_mtime - 90 * 24 * 3600
    os.utime(path, (old, old))
    removed, _ = prune(seeker.cache, days=30)
    assert not path.exists() and any(line.startswith("inversions smoke-32") for line in removed)

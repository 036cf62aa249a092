"""Draws the sheets of docs/images: media, domains and the source of the avatars suites.

python docs/sheets.py        # needs the package and its drawing libraries; about a minute
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmark.domains.cards import list_cards
from benchmark.domains.drawings import Drawings
from benchmark.domains.media import MEDIA, drawn_in
from benchmark.sources import find_source
from benchmark.stylegan2 import load

OUT = Path(__file__).parent / "images"
R, COLUMNS = 64, 12


def clean(name: str, n: int = COLUMNS) -> list[np.ndarray]:
    """The first n drawings of a card without its medium, uint8 [3, R, R] each."""
    card = list_cards()[name]
    return [image for _, image in Drawings(card.name, card.style, card.options, card.seeds, R).draw(0, n)]


def in_its_medium(name: str) -> list[np.ndarray]:
    """The first drawings of a card, as its domain has them."""
    return [drawn_in(list_cards()[name].medium, image) for image in clean(name)]


def source_rows(name: str) -> list[list[np.ndarray]]:
    """A source at its anchor noise, twice at random noise with the same latents, and at other latents."""
    g = load(find_source(name).path).g_ema.eval()
    rng = torch.Generator().manual_seed(0)
    z, other = (torch.randn(COLUMNS, g.cfg.z_dim, generator=rng) for _ in range(2))
    anchor = g.synthesis.anchor_noise()
    plans = [(z, anchor), *((z, g.synthesis.random_noise(COLUMNS, rng)) for _ in range(2)), (other, anchor)]
    with torch.inference_mode():
        drawn = [(g(at, noise=noise) * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8) for at, noise in plans]
    return [list(np.asarray(images)) for images in drawn]


def write(name: str, rows: list[list[np.ndarray]]) -> None:
    """Rows of images as one PNG, twice as large."""
    sheet = np.concatenate([np.concatenate(row, axis=2) for row in rows], axis=1).transpose(1, 2, 0)
    picture = Image.fromarray(np.ascontiguousarray(sheet))
    OUT.mkdir(exist_ok=True)
    picture.resize((picture.width * 2, picture.height * 2), Image.Resampling.NEAREST).save(OUT / name, optimize=True)


if __name__ == "__main__":
    people = clean("peeps-ink")
    write("media.png", [people, *([drawn_in(medium, image) for image in people] for medium in MEDIA)])
    write("domains.png", [in_its_medium(name) for name, card in list_cards().items() if card.medium])
    write("peeps-ink-64.png", source_rows("peeps-ink-64"))

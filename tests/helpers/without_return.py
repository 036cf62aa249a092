"""What hooks have to return, as the error about a forgotten `return` says it; for the loop and for compositions."""

from __future__ import annotations

OF_PARTS = [
    ("generator_loss", "{name: scalar}, or {} for no losses"),
    ("discriminator_loss", "{name: scalar}, or {} for no losses"),
    ("frozen", "parameters of nets.g and nets.d, or () for none"),
    ("resting", "parameters of nets.g and nets.d, or () for none"),
]
"""Hooks of which a composition calls those of all parts."""

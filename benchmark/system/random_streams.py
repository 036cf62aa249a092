"""Separate random streams, seeded from names, so that comparisons between methods are paired."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

NAMES = ("data", "latents", "noise", "augment", "method")


def derive_seed(*parts: object) -> int:
    """A 63-bit seed from the text of `parts`; equal on every machine and Python."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(*parts: object, device: str | torch.device = "cpu") -> torch.Generator:
    """A random generator on `device`, seeded from `parts`."""
    return torch.Generator(device).manual_seed(derive_seed(*parts))


class Streams:
    """One generator each for data, latents, noise, augmentation and the method's own draws.

    The method gets its own stream: what it draws must not shift the latents or the noise that all methods share.
    Data and latents are drawn on the CPU: a loop that decides by them would wait for the device otherwise, and they
    are the same on every device.
    """

    def __init__(self, *parts: object, device: str | torch.device = "cpu") -> None:
        self.data, self.latents = (generator(*parts, name) for name in NAMES[:2])
        self.noise, self.augment, self.method = (generator(*parts, name, device=device) for name in NAMES[2:])

    @property
    def device(self) -> str:
        """The kind of device that draws, such as "cuda": the state of one kind is none of another."""
        return self.noise.device.type

    def state_dict(self) -> dict[str, Tensor]:
        """{name: uint8 state}, always on the CPU."""
        return {name: getattr(self, name).get_state() for name in NAMES}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue where `state` was taken."""
        for name in NAMES:
            getattr(self, name).set_state(state[name].to("cpu", torch.uint8))

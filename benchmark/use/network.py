"""The handle on an adapted generator that Python gets. Importing it costs nothing: torch comes with the first call."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from benchmark.use.adapted import Adapted


@dataclass(frozen=True)
class Network:
    """What `load` gives back: an adapted generator with its method, its source and its control."""

    adapted: Adapted
    """What the engine works with."""

    @property
    def controls(self) -> tuple[float | int | str | None, ...]:
        """The values of the control that were measured, from end to end; (None,) for a method without one."""
        return self.adapted.method.controls

    def generate(
        self,
        seeds: Iterable[int],
        control: float | int | str | None = None,
        psi: float = 1.0,
        noise: str = "method",
        label: int | None = None,
    ) -> np.ndarray:
        """Pictures uint8 [N, R, R, 3], one for each seed, the same as of the command `generate`.

        Args:
            seeds: 0 to 2**32 - 1; the latent of a seed is that of stylegan2-ada-pytorch.
            control: the value of the method's control; its default by default.
            psi: truncation, 0 to 1; 1 is none.
            noise: "method" as it evaluates, "anchor" the source's stored maps, "random" new maps, "none".
            label: the class, for a network with labels.

        Raises BenchmarkError for a control that the method does not take, a wrong noise, psi, seed or label.
        """
        from benchmark.errors import ConfigError

        if not 0 <= psi <= 1:
            raise ConfigError(f"psi={psi}: truncation is a number from 0 to 1.")
        net = self.adapted
        value = net.method.default_control if control is None else net.check(control)
        return net.pictures(list(seeds), value, psi, noise, label).transpose(0, 2, 3, 1)

    def translate(
        self,
        image: str | Path | Image.Image | np.ndarray,
        control: float | int | str | None = None,
        steps: int | None = None,
    ) -> np.ndarray:
        """`image` as the adapted generator draws it, uint8 [R, R, 3]: found by inversion in the source, in seconds.

        Args:
            image: a file, a Pillow image or uint8 [H, W, 3], framed like the pictures that the source learned from; its
                centre is cut out and resized.
            control: the value of the method's control; its default by default.
            steps: of the inversion; fewer are faster, and farther from the picture.

        Raises BenchmarkError for what is no picture and for a control that the method does not take.
        """
        from benchmark.sources.inversion import Search
        from benchmark.use.translate import translate

        return translate(self.adapted, image, control, None if steps is None else Search(steps=steps))

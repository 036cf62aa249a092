"""The controller of adaptive discriminator augmentation: how its probability follows the discriminator."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from benchmark.errors import ConfigError, WeightsError


@dataclass
class Ada:
    """The controller of ``p`` (Karras et al. 2020, section 3), which watches r_t = E[sign(D(real))]."""

    target: float = 0.6  # r_t that p is steered to
    kimg: float = 100.0  # thousands of images in which p can go from 0 to 1
    every: int = 4  # steps between adjustments
    p: float = 0.0

    _steps: int = field(default=0, init=False, repr=False)  # since the last adjustment
    _images: int = field(default=0, init=False, repr=False)
    _signs: Tensor | float = field(default=0.0, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.kimg <= 0 or self.every < 1 or not 0 <= self.p <= 1:
            raise ConfigError(f"ADA needs kimg > 0, every >= 1 and p in [0, 1], found {self}: correct the settings")

    def update(self, signs: Tensor | float, images: int) -> float:
        """Count one step: ``signs`` = sum of sign(D(real)) over ``images`` real images of all ranks. Returns ``p``.

        ``signs`` may stay on its device: it is read only when an adjustment is due.
        """
        self._steps, self._images, self._signs = self._steps + 1, self._images + images, self._signs + signs
        if self._steps % self.every == 0:
            mean = float(self._signs) / max(self._images, 1)
            direction = (mean > self.target) - (mean < self.target)
            self.p = min(max(self.p + direction * self._images / (self.kimg * 1000), 0.0), 1.0)
            self._steps, self._images, self._signs = 0, 0, 0.0
        return self.p

    def state_dict(self) -> dict[str, float]:
        """What changes during training, as plain numbers; the settings are not part of it."""
        return {"p": self.p, "steps": self._steps, "images": self._images, "signs": float(self._signs)}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Restore a ``state_dict()``. Raises WeightsError when ``state`` is not one."""
        if set(state) != {"p", "steps", "images", "signs"} or not 0 <= state["p"] <= 1:
            raise WeightsError(
                f"ADA state needs p in [0, 1], steps, images and signs, found {state}: the checkpoint is damaged or "
                "from another version; start the job again"
            )
        self.p, self._signs = float(state["p"]), float(state["signs"])
        self._steps, self._images = int(state["steps"]), int(state["images"])

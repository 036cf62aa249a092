"""`Extra`: what a method trains or remembers besides the networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

from benchmark.errors import MethodError, WeightsError

T = TypeVar("T")


class Extra(nn.Module):
    """A method's own modules: trained, moved and stored with the networks, but never shipped.

    The parameters of `g` train in the generator's phases, those of `d` in the discriminator's; buffers, wherever they
    are registered, are the method's memory (anchors, importances). Assign modules to `g` and `d` or add to them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.g: nn.Module = nn.Module()
        self.d: nn.Module = nn.Module()


def checked(extra: object, name: str, device: torch.device) -> Extra:
    """What `prepare` of method `name` returned, on `device`; MethodError where the loop could not train or store it."""
    if extra is None:
        return Extra()
    if not isinstance(extra, Extra):
        raise MethodError(f"{name}.prepare() returned a {type(extra).__name__}: return an Extra, or None for nothing.")
    trained = {id(p) for part in (extra.g, extra.d) for p in part.parameters()}
    stray = [path for path, p in extra.named_parameters() if id(p) not in trained]
    if stray:
        raise MethodError(
            f"{name}.prepare() returned parameters that belong to neither network: {', '.join(stray[:3])}. "
            "Put them into extra.g or extra.d, or register them as buffers."
        )
    extra.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return extra


def load_extra(extra: Extra, state: dict[str, torch.Tensor], where: str) -> None:
    """Copy a stored state in; WeightsError where names or shapes differ."""
    own = extra.state_dict()
    wrong = sorted(
        k for k in own.keys() | state.keys() if k not in own or k not in state or own[k].shape != state[k].shape
    )
    if wrong:
        raise WeightsError(
            f"{where} does not fit what the method prepares: {len(wrong)} differ, as {', '.join(wrong[:3])}. "
            "Remove the file and start again."
        )
    for name, tensor in own.items():
        tensor.copy_(state[name])


def build(make: Callable[[], T], rng: torch.Generator) -> T:
    """`make()` with torch's default initialisation drawn from `rng`; the global random state stays as it was."""
    seed = int(torch.randint(2**62, (1,), generator=rng, device=rng.device))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # `torch.manual_seed` would reseed the GPUs' too, for good
        return make()

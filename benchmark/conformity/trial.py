"""Trials of a method: two steps on a toy domain with tiny networks, and its neighbours for comparison."""

from __future__ import annotations

import copy
import random
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.random import get_state
from torch import Tensor, nn

from benchmark.api import Control, DiscriminatorStep, Extra, Generator, GeneratorStep, Method, Nets, Turn
from benchmark.api.extra import checked
from benchmark.api.returned import noise_of
from benchmark.config import NetConfig, TrainConfig
from benchmark.conformity.stand_ins import with_stand_ins
from benchmark.domains.toys import ToyPictures
from benchmark.registry.composition import overrides, part_kinds
from benchmark.registry.variants import given_fields
from benchmark.system.process_state import ProcessState
from benchmark.system.random_streams import generator
from benchmark.training.state import State
from benchmark.training.train import train, trainable

PX = 32
NETS = NetConfig(
    resolution=PX, z_dim=8, w_dim=8, mapping_layers=2, channel_base=128, channel_max=8, conv_clamp=None, mbstd_group=2
)
TRAIN = TrainConfig(kimg=0.008, batch=4, r1_gamma=1, r1_every=2, ema_kimg=0.01, precision="fp32", tick_kimg=1)
COUNTED = NETS.model_copy(update={"mapping_layers": 4, "channel_base": 512, "channel_max": 32})
"""Wide enough for a meaningful share of parameters."""
FACTS = {"resolution": PX, "d_layers": 10}
"""What a method's check() is told of the toy source."""
GUARDED = ("latents", "judge", "generator_loss", "discriminator_loss", "after_step")
"""Hooks that see the networks in training; `after_step` may write to their buffers, the others to nothing."""


@dataclass
class Trial:
    """What two steps left behind."""

    nets: Nets
    """Afterwards."""
    seconds: float = 0.0
    """Processor time of the two steps, without what `prepare` and the guards took."""
    guarding: float = 0.0
    """Processor time of the guards."""
    trainable: int = 0
    frozen: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    """{name of what was to stay: (value it had, value afterwards)}, in G, its average and D."""
    trains: dict[str, bool] = field(default_factory=dict)
    """{"generator" or "discriminator", if anything of it was free: whether something changed}."""
    global_random_state_changed: bool = False
    process_changes: list[str] = field(default_factory=list)
    """Settings and functions of the process that differ afterwards."""
    remarks: list[str] = field(default_factory=list)
    """Weights and buffers that a hook changed by itself."""


@contextmanager
def same_arithmetic() -> Iterator[None]:
    """One thread, denormals flushed: with another setting the last bits differ, and trials are compared bit by bit.

    Trials are kept for later comparisons, so that what the process is set to may change in between.
    """
    threads, flushes = torch.get_num_threads(), bool(torch.tensor(1e-40) == 0)
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_flush_denormal(flushes)


@cache
def toy_source() -> Nets:
    """Networks in which nothing is at its initial value: noise matters, g and its average differ. Copy before use."""
    nets = Nets.create(NETS, seed=1)
    rng = generator("toy source")
    with torch.no_grad():
        for net in (nets.g, nets.g_ema, nets.d):
            for p in net.parameters():
                p.add_(torch.randn(p.shape, generator=rng), alpha=0.1)
        nets.g.mapping.w_avg.normal_(generator=rng)
        nets.g_ema.mapping.w_avg.copy_(nets.g.mapping.w_avg)
    return nets


@cache
def toy_reals() -> np.ndarray:
    """uint8 [16, 3, 32, 32]. Do not write to it."""
    return np.stack([image for _, image in ToyPictures("rings", 16, PX).draw(0, 16) if not isinstance(image, str)])


def global_random_state() -> tuple[bytes, str, str]:
    """The states of the generators that no method may use."""
    return torch.get_rng_state().numpy().tobytes(), repr(get_state()), repr(random.getstate())


def state_of(*networks: nn.Module) -> list[dict[str, Tensor]]:
    """Copies of all weights and buffers."""
    return [{name: t.clone() for name, t in net.state_dict().items()} for net in networks]


def changed(before: list[dict[str, Tensor]], *networks: nn.Module) -> list[str]:
    """Names of weights and buffers that are new, or no longer what they were."""
    pairs = [(old, net.state_dict()) for old, net in zip(before, networks, strict=True)]
    return sorted({name for old, new in pairs for name in new if name not in old or not same(old[name], new[name])})


def same(a: Tensor, b: Tensor) -> bool:
    """Equal bits, NaN included."""
    return torch.equal(a, b) or (torch.equal(a.isnan(), b.isnan()) and torch.equal(a.nan_to_num(), b.nan_to_num()))


def toy(kind: type[Method]) -> Method:
    """The method as it is tried: with what a variant's name states, else with its `toy_fields`, else with defaults."""
    return _made(
        kind,
        {
            name: {field: value for field, value in part.toy_fields if field not in given_fields(name)}
            for name, part in part_kinds(kind).items()
        },
    )


def comparable(kind: type[Method]) -> Method:
    """The method as its result is compared with others': with all its `toy_fields`, whatever a variant's name states.

    They are there because with other values two steps may do too little to tell two methods apart.
    """
    return _made(kind, {name: dict(part.toy_fields) for name, part in part_kinds(kind).items()})


def _made(kind: type[Method], fields: Mapping[str, Mapping[str, object]]) -> Method:
    """The method with these fields of each of its parts."""
    parts = {name: part.model_validate(fields[name]) for name, part in part_kinds(kind).items()}
    return (parts[kind.name] if kind.name in parts else kind.model_validate(parts)).fitted(PX)


@same_arithmetic()
def trainable_shares(method: Method) -> dict[str, float]:
    """{"G": percent, "D": percent} of the networks' parameters that train; above 100 where the method adds some."""
    nets = Nets.create(COUNTED, seed=1)
    whole = [sum(p.numel() for p in net.parameters()) for net in (nets.g, nets.d)]
    with with_stand_ins(method.needs):
        made = method.prepare(nets, torch.from_numpy(toy_reals().copy()), generator("toy rng"))
    extra = checked(made, method.name, torch.device("cpu"))
    chosen = trainable(nets, method, extra)
    return {
        net: 100 * sum(p.numel() for p in parameters) / n
        for net, parameters, n in zip("GD", chosen, whole, strict=True)
    }


@same_arithmetic()
def picture(method: Method, g: Generator, control: Control) -> Tensor:
    """Two evaluated images at fixed latents, float32 [2, 3, 32, 32]."""
    noise = noise_of(method, g, 2, control, generator("toy noise"))
    z = torch.randn(2, NETS.z_dim, generator=generator("toy latents"))
    with torch.no_grad():
        return g(z, noise=noise)


@same_arithmetic()
def run_trial(method: Method) -> Trial:
    """Train two steps, watching the hooks. Raises what the hooks or the loop raise."""
    trial = Trial(toy_source().copy())
    held: dict[str, nn.Parameter] = {}
    extras: list[tuple[Extra, Extra]] = []
    times: list[float] = []
    before, process = global_random_state(), ProcessState()
    with with_stand_ins(method.needs), put_back(trial, process):
        state = train_two_steps(
            trial.nets,
            watched(method, trial, held, extras),
            restore=lambda state: times.append(time.process_time()),
            on_step=lambda state: times.append(time.process_time()),
        )
    trial.global_random_state_changed = global_random_state() != before
    trial.seconds = times[-1] - times[0] - trial.guarding
    trial.trainable = sum(p.numel() for opt in (state.opt_g, state.opt_d) for p in opt.parameters)
    look_at(trial, held, extras)
    return trial


def train_two_steps(
    nets: Nets,
    method: Method,
    restore: Callable[[State], None] = lambda state: None,
    on_step: Callable[[State], None] = lambda state: None,
) -> State:
    """The training of every trial, in place: the same data and random streams for all methods."""
    return train(nets, toy_reals(), method, TRAIN, ("trial", 0), restore=restore, on_step=on_step)


@contextmanager
def put_back(trial: Trial, process: ProcessState) -> Iterator[None]:
    """Note what the block changed of the process, and restore it."""
    try:
        yield
    finally:
        trial.process_changes = process.restore()


def watched(method: Method, trial: Trial, held: dict[str, nn.Parameter], extras: list[tuple[Extra, Extra]]) -> Method:
    """The same method, noting what its hooks freeze, add and change."""
    own = overrides(method, *GUARDED)

    def guard(hook: str, step: Any) -> AbstractContextManager[None]:
        return guarded(hook, step, trial) if hook in own else nullcontext()

    class Watched(type(method)):  # type: ignore[misc]
        def prepare(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> Extra | None:
            extra = super().prepare(nets, reals, rng)
            if extra is not None:
                extras.append((extra, copy.deepcopy(extra)))
            return extra  # type: ignore[no-any-return]

        def frozen(self, nets: Nets) -> Iterable[nn.Parameter]:
            chosen = tuple(super().frozen(nets))
            ids = {id(p) for p in chosen}
            parts = {"g": nets.g, "d": nets.d}
            held.update({n: p for part, net in parts.items() for n, p in net.named_parameters(part) if id(p) in ids})
            return chosen

        def latents(self, turn: Turn, z: Tensor) -> Tensor:
            with guard("latents", turn):
                return super().latents(turn, z)

        def judge(self, turn: Turn, images: Tensor, c: Tensor | None) -> Tensor:
            with guard("judge", turn):
                return super().judge(turn, images, c)

        def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
            with guard("generator_loss", step):
                return super().generator_loss(step)

        def discriminator_loss(self, step: DiscriminatorStep) -> dict[str, Tensor]:
            with guard("discriminator_loss", step):
                return super().discriminator_loss(step)

        def after_step(self, turn: Turn) -> None:
            with guard("after_step", turn):
                super().after_step(turn)

    return Watched.model_validate(dict(method))  # type: ignore[no-any-return]


@contextmanager
def guarded(hook: str, step: Any, trial: Trial) -> Iterator[None]:
    """Remarks if the hook in the block writes to the networks of `step`, a step or a turn, where it must not."""
    networks = [step.nets.g, step.nets.g_ema, step.nets.d, *([] if isinstance(step, Turn) else [step.source])]
    begun = time.process_time()
    before = state_of(*networks)
    trial.guarding += time.process_time() - begun
    yield
    begun = time.process_time()
    for old, network in zip(before, networks, strict=True):
        found = changed([old], network)
        if hook == "after_step":
            found = [name for name in found if name in dict(network.named_parameters())]
        trial.remarks += [f"{hook} changed {name}" for name in found]
    trial.guarding += time.process_time() - begun


def look_at(trial: Trial, held: dict[str, nn.Parameter], extras: list[tuple[Extra, Extra]]) -> None:
    """Compare what training left with the source: what was to stay, and whether the rest changed."""
    start, end = toy_source().state_dict(), trial.nets.state_dict()
    for name, parameter in held.items():
        plain = re.sub(r"\.parametrizations\.(\w+)\.original$", r".\1", name)
        averaged = plain.replace("g.", "g_ema.", 1) if plain.startswith("g.") else plain
        if averaged in start:  # else it belongs to a reparametrisation, and is gone now
            trial.frozen[name] = start[averaged], parameter.detach()
            if name == plain:
                trial.frozen[averaged] = start[averaged], end[averaged]
    free = {"generator": "g.", "discriminator": "d."}
    for what, prefix in free.items():
        names = [n for n in dict(trial.nets.g.named_parameters("g")) | dict(trial.nets.d.named_parameters("d"))]
        names = [n for n in names if n.startswith(prefix) and n not in held]
        added = [getattr(extra, prefix[0]) for pair in extras for extra in pair]
        grown = any(changed(state_of(old), new) for new, old in zip(added[::2], added[1::2], strict=True))
        if names or any(True for module in added for _ in module.parameters()):
            trial.trains[what] = grown or any(n not in start or not same(start[n], end[n]) for n in names)

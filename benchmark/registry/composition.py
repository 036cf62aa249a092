"""Compositions `a+b`: one method that combines several.

Losses add, frozen sets unite, everything is prepared. What only one can decide (the generator and the noise that are
evaluated, the control, the learning rates, whose training is re-used) has at most one owner; two are refused by name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import torch
from pydantic import create_model
from torch import Tensor, nn

from benchmark.api import Control, DiscriminatorStep, Extra, Generator, GeneratorStep, Method, Nets, Noise, Turn
from benchmark.api.returned import LOSSES, parameter_ids, returned, returned_parameters
from benchmark.config import Augmentation, TrainConfig
from benchmark.errors import ConfigError
from benchmark.registry.hooks import EFFECTS, EXCLUSIVE, HOOKS, OF_JUDGEMENT, TRAINING_HOOKS
from benchmark.registry.idle import require_effect
from benchmark.registry.settings import united_settings
from benchmark.registry.variants import base_name


def overrides(method: Method | type[Method], *hooks: str) -> list[str]:
    """Those of `hooks` in which a method differs from plain fine-tuning."""
    kinds = part_kinds(method if isinstance(method, type) else type(method)).values()
    return [hook for hook in hooks if any(getattr(kind, hook) is not getattr(Method, hook) for kind in kinds)]


class Parts(Extra):
    """The extras of all parts side by side, as one."""

    def __init__(self, extras: Sequence[Extra]) -> None:
        nn.Module.__init__(self)  # `g` and `d` are views here: what is a child twice would be stored twice
        self.parts = nn.ModuleList(extras)

    @property
    def g(self) -> nn.Module:  # type: ignore[override]
        """What trains with the generator."""
        return nn.ModuleList([extra.get_submodule("g") for extra in self.parts])

    @property
    def d(self) -> nn.Module:  # type: ignore[override]
        """What trains with the discriminator."""
        return nn.ModuleList([extra.get_submodule("d") for extra in self.parts])


class Composition(Method):
    """Several methods as one. Its fields are its parts, in the order of their names."""

    @property
    def parts(self) -> tuple[Method, ...]:
        """The methods that it combines."""
        return tuple(getattr(self, name) for name in type(self).model_fields)

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(dict.fromkeys(key for part in self.parts for key in part.needs))

    def owner(self, hook: str) -> Method | None:
        """The part that overrides `hook`, if one does."""
        return next((part for part in self.parts if overrides(part, hook)), None)

    @property
    def controls(self) -> tuple[Control, ...]:
        owner = self.owner("controls")
        return owner.controls if owner else (None,)

    @property
    def default_control(self) -> Control:
        owner = self.owner("controls")
        return owner.default_control if owner else None

    def fitted(self, resolution: int) -> Method:
        return self.model_copy(update={part.name: part.fitted(resolution) for part in self.parts})

    def settings(self, train: TrainConfig) -> TrainConfig:
        return united_settings(self.name, self.parts, train)

    def check(self, source: Mapping[str, int]) -> None:
        for part in self.parts:
            part.check(source)

    def warm_up(self) -> int:
        return max(part.warm_up() for part in self.parts)

    def prepare(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> Extra | None:
        extras, new = [], []
        for part in self.parts:
            before = parameter_ids(nets)
            extras.append(part.prepare(nets, reals, rng) or Extra())
            new.append(parameter_ids(nets) - before)
        require_effect(self.parts, nets, new, [overrides(part, *EFFECTS) == ["frozen"] for part in self.parts])
        return Parts(extras)

    @property
    def augment(self) -> Augmentation | None:  # type: ignore[override]
        owner = self.owner("augment")
        return owner.augment if owner else None

    @property
    def truncation(self) -> float:  # type: ignore[override]
        owner = self.owner("truncation")
        return owner.truncation if owner else 1.0

    def frozen(self, nets: Nets) -> Iterable[nn.Parameter]:
        return [p for part in self.parts for p in returned_parameters(part.name, "frozen", part.frozen(nets))]

    def lr_scale(self) -> tuple[float, float]:
        owner = self.owner("lr_scale")
        return owner.lr_scale() if owner else (1.0, 1.0)

    def resting(self, turn: Turn) -> Iterable[nn.Parameter]:
        return [
            p for part, own in self._shares(turn) for p in returned_parameters(part.name, "resting", part.resting(own))
        ]

    def latents(self, turn: Turn, z: Tensor) -> Tensor:
        for part, own in self._shares(turn):
            if overrides(part, "latents"):
                return part.latents(own, z)
        return z

    def judge(self, turn: Turn, images: Tensor, c: Tensor | None) -> Tensor:
        for part, own in self._shares(turn):
            if overrides(part, "judge"):
                return part.judge(own, images, c)
        return super().judge(turn, images, c)

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        return self._sum("generator_loss", step)

    def discriminator_loss(self, step: DiscriminatorStep) -> dict[str, Tensor]:
        return self._sum("discriminator_loss", step)

    def after_step(self, turn: Turn) -> None:
        for part, own in self._shares(turn):
            part.after_step(own)

    def training(self) -> Method:
        return united([part.training() for part in self.parts]) if self.owner("training") else self

    def finalize(self, source: Generator, adapted: Generator, control: Control) -> Generator:
        owner = self.owner("finalize")
        return owner.finalize(source, adapted, self._control_of(owner, control)) if owner else adapted

    def noise(self, g: Generator, n: int, control: Control, rng: torch.Generator) -> Noise:
        owner = self.owner("noise")
        return owner.noise(g, n, self._control_of(owner, control), rng) if owner else super().noise(g, n, control, rng)

    def noise_statement(self) -> str:
        owner = self.owner("noise")
        return owner.noise_statement() if owner else super().noise_statement()

    def _control_of(self, part: Method, control: Control) -> Control:
        """The control is its owner's; any other part has only its default."""
        return control if overrides(part, "controls") else part.default_control

    def _shares(self, step: Any) -> Iterator[tuple[Method, Any]]:
        """(part, the step as it sees it: with its own extra)."""
        extras = step.extra.parts if isinstance(step.extra, Parts) else [Extra() for _ in self.parts]
        for part, extra in zip(self.parts, extras, strict=True):
            yield part, replace(step, extra=extra)

    def _sum(self, hook: str, step: Any) -> dict[str, Tensor]:
        """All losses of a hook under their names; a name that several parts use gets theirs before it."""
        losses: dict[str, Mapping[str, Tensor]] = {
            p.name: returned(p.name, hook, getattr(p, hook)(own), Mapping, LOSSES) for p, own in self._shares(step)
        }
        uses = Counter(name for terms in losses.values() for name in terms)
        return {
            name if uses[name] == 1 else f"{part}.{name}": loss
            for part, terms in losses.items()
            for name, loss in terms.items()
        }


def composed(kinds: Sequence[type[Method]]) -> type[Method]:
    """The class of the methods together, whatever their order; ConfigError where they do not fit each other."""
    return _composed(tuple(sorted(kinds, key=lambda kind: kind.name)))


@cache
def _composed(kinds: tuple[type[Method], ...]) -> type[Method]:
    names = [kind.name for kind in kinds]
    asked = "+".join(names)
    for name, count in Counter(map(base_name, names)).items():
        if count > 1:
            raise ConfigError(f"method {asked}: {name} is named twice. Name each part once.")
    for kind in kinds:
        if not overrides(kind, *HOOKS):
            raise ConfigError(f"method {asked}: {kind.name} is plain fine-tuning and adds nothing. Leave it out.")
    for hook, what in EXCLUSIVE.items():
        owners = [kind.name for kind in kinds if overrides(kind, hook)]
        if len(owners) > 1:
            raise ConfigError(
                f"method {asked}: {' and '.join(owners)} both {what} ({hook}), and only one part can. "
                f"Leave {' or '.join(owners)} out."
            )
    for alone in (kind for kind in kinds if not kind.adversarial):
        for kind in (kind for kind in kinds if kind.adversarial):
            if idle := overrides(kind, *OF_JUDGEMENT):
                raise ConfigError(
                    f"method {asked}: {alone.name} trains without an adversary, so what {kind.name} does about the "
                    f"discriminator's judgement ({', '.join(idle)}) would have no effect. "
                    f"Leave {alone.name} or {kind.name} out."
                )
    fields: Any = {kind.name: (kind, kind()) for kind in kinds}
    made = create_model(
        "".join(kind.__name__ for kind in kinds), __base__=Composition, __module__=Composition.__module__, **fields
    )
    made.name = asked
    made.title = " + ".join(kind.title or kind.name for kind in kinds)
    made.paper = "; ".join(kind.paper for kind in kinds)
    made.generators_kept = max(kind.generators_kept for kind in kinds)
    made.adversarial = all(kind.adversarial for kind in kinds)
    made.control_name = next((kind.control_name for kind in kinds if overrides(kind, "controls")), None)
    return made


def united(methods: Sequence[Method]) -> Method:
    """One method that trains like all of `methods` together; parts that do not touch the training are left out."""
    flat = [part for method in methods for part in parts_of(method)]
    active = [part for part in flat if overrides(part, *TRAINING_HOOKS)]
    different = {part.name: part for part in active}
    clash = [part.name for part in active if part != different[part.name]]
    if clash:
        raise ConfigError(f"two parts train with {clash[0]}, each with other fields. Give both the same, or leave one.")
    chosen = list(different.values()) or flat[:1]
    return chosen[0] if len(chosen) == 1 else composed([type(p) for p in chosen]).model_validate(different)


def parts_of(method: Method) -> tuple[Method, ...]:
    """The parts of a method: itself, or those of a composition."""
    return method.parts if isinstance(method, Composition) else (method,)


def part_kinds(kind: type[Method]) -> dict[str, type[Method]]:
    """{name: class} of the parts of a method's class."""
    if not issubclass(kind, Composition):
        return {kind.name: kind}
    return {name: type(field.default) for name, field in kind.model_fields.items()}


def fields_of(method: Method) -> dict[str, Any]:
    """Hyper-parameters as JSON values; those of a composition under the names that `--set` has for them."""
    if not isinstance(method, Composition):
        return method.model_dump(mode="json")
    return {
        f"{base_name(part.name)}.{name}": value
        for part in method.parts
        for name, value in part.model_dump(mode="json").items()
    }


def described(method: Method) -> dict[str, Any]:
    """What identifies a method: name, version and every field; of a composition the versions of its parts.

    A variant is its method with other fields, whatever the row is called.
    """
    parts = parts_of(method)
    names = [base_name(part.name) for part in parts]
    version = method.version if parts == (method,) else {n: p.version for n, p in zip(names, parts, strict=True)}
    return {"name": "+".join(names), "version": version, "fields": fields_of(method)}

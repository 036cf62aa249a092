"""A method under examination, and what its trials gave; each trial is made once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property

from torch import Tensor
from torch.nn.modules.module import register_module_forward_hook

from benchmark.api import Control, Generator, Method
from benchmark.conformity import trial
from benchmark.stylegan2.networks import DiscriminatorBlock


class Plain(Method):
    """Plain fine-tuning, to compare with."""

    name = "plain"


@dataclass
class Case:
    """A method under examination."""

    kind: type[Method]
    others: Mapping[str, type[Method]]

    @cached_property
    def method(self) -> Method:
        """With its defaults."""
        return self.kind().fitted(trial.PX)

    @cached_property
    def tried(self) -> Method:
        """As it is tried: see `trial.toy`."""
        return trial.toy(self.kind)

    @cached_property
    def first(self) -> trial.Trial:
        """Its trial."""
        return trial_of(self.tried.training())

    @cached_property
    def again(self) -> trial.Trial:
        """A second trial."""
        return trial.run_trial(self.tried.training())

    def generator(self, control: Control) -> Generator:
        """The generator to evaluate at `control` after the trial."""
        return generator_of(self.tried, control)


def trial_of(method: Method) -> trial.Trial:
    """The trial of a method; made once."""
    return _trial(type(method), method.model_dump_json())


@cache
def _trial(kind: type[Method], fields: str) -> trial.Trial:
    return trial.run_trial(kind.model_validate_json(fields))


def generator_of(method: Method, control: Control) -> Generator:
    """The generator to evaluate at `control` after the method's trial."""
    return method.finalize(trial.toy_source().g_ema, trial_of(method.training()).nets.g_ema, control)


def result_of(method: Method) -> Tensor:
    """Images at the default control after the trial; drawn once, since each method is compared with every other."""
    return _result(type(method), method.model_dump_json())


@cache
def _result(kind: type[Method], fields: str) -> Tensor:
    method = kind.model_validate_json(fields)
    control = method.default_control
    return trial.picture(method, generator_of(method, control), control)


def asks_d(method: Method) -> bool:
    """Whether a trial of the method shows images to the discriminator of the source, or to a copy of it."""
    asked: list[bool] = []
    hook = register_module_forward_hook(lambda module, *_: asked.append(isinstance(module, DiscriminatorBlock)))
    try:
        trial.run_trial(method)
    finally:
        hook.remove()
    return any(asked)

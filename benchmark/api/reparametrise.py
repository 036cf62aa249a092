"""Reparametrised weights: training a function of few new parameters instead of the weight itself.

A reparametrised module computes its weight from the one that it had, `parametrizations.NAME.original`, and from the
parameters of a small module, `parametrizations.NAME.0...`. Average, optimiser and training state run over these; at the
end of a training `bake` turns them into plain weights.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from functools import reduce
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from benchmark.errors import MethodError
from benchmark.stylegan2 import Discriminator, Generator, Nets

Net = TypeVar("Net", Generator, Discriminator)


def reparametrise(nets: Nets, parts: Iterable[tuple[nn.Module, str]], make: Callable[[Tensor], nn.Module]) -> None:
    """Let each (module of nets.g or nets.d, parameter's name) compute that parameter by `make(weight)(weight)`.

    `make` is called once a weight, without gradients; what it returns must leave the weight bit for bit as it was until
    its parameters move. A module of nets.g starts from its average's weight, and its twin in nets.g_ema gets a copy of
    the same: both share one basis, so that the average of the new parameters is meaningful. Raises MethodError.
    """
    paths = {id(m): (net, path) for net in (nets.g, nets.d) for path, m in net.named_modules()}
    for module, name in parts:
        if id(module) not in paths or not isinstance(getattr(module, name, None), Tensor):
            raise MethodError(f"reparametrise: {type(module).__name__}.{name} is no parameter of nets.g or nets.d.")
        net, path = paths[id(module)]
        twins = [module, nets.g_ema.get_submodule(path)] if net is nets.g else [module]
        with torch.no_grad():
            weight = getattr(twins[-1], name).detach().clone()
            if not parametrize.is_parametrized(module, name):
                getattr(module, name).copy_(weight)
            made = make(weight)
            for twin in twins:
                parametrize.register_parametrization(twin, name, copy.deepcopy(made))
            if not all(getattr(twin, name).equal(weight) for twin in twins):
                raise MethodError(
                    f"reparametrise: {type(made).__name__} changes {path}.{name} at the start; "
                    "its initial parameters must leave the weight as it was."
                )


def plain(module: nn.Module, name: str) -> nn.Parameter:
    """A parameter as it was built; MethodError where another part of a composition reparametrises it."""
    if name not in module._parameters:
        raise MethodError(
            f"{type(module).__name__}.{name} is reparametrised by another part of this composition, and this part "
            "needs it as it was; leave one of them out."
        )
    return module.get_parameter(name)


def added(net: nn.Module, by: type[nn.Module] = nn.Module) -> list[nn.Parameter]:
    """The new parameters of the reparametrised weights of `net`, without the weights that they replace.

    Where `by` is given, those of that class's modules alone: other parts of a composition may have theirs beside them.
    """
    lists = [m for m in net.modules() if isinstance(m, parametrize.ParametrizationList)]
    return [p for one in lists for function in one if isinstance(function, by) for p in function.parameters()]


def all_but(net: nn.Module, keep: Iterable[nn.Parameter]) -> list[nn.Parameter]:
    """All parameters of `net` other than those of `keep`: what a method freezes that trains `keep` alone."""
    kept = {id(p) for p in keep}
    return [p for p in net.parameters() if id(p) not in kept]


def bake(net: Generator | Discriminator) -> None:
    """Turn reparametrised weights into plain parameters of the same value, in place; without gradients.

    Not torch's `remove_parametrizations`: that changes a class which deep copies share, and the order of parameters.
    """
    changed = [(path, module) for path, module in net.named_modules() if parametrize.is_parametrized(module)]
    if not changed:
        return
    with torch.device("meta"):
        plain = type(net)(net.cfg)
    for path, module in changed:
        values = {name: getattr(module, name).detach().clone() for name in module.parametrizations}  # type: ignore[union-attr]
        del module.parametrizations
        module.__class__ = module.__class__.__bases__[0]
        for name, value in values.items():
            module.register_parameter(name, nn.Parameter(value, requires_grad=False))
        for name in plain.get_submodule(path)._parameters:  # as in networks that never were reparametrised
            module._parameters[name] = module._parameters.pop(name)


def baked(net: Net) -> Net:
    """A plain copy of a network in training, as `train` would leave it: float32, in evaluation mode, frozen."""
    with torch.device("meta"):
        plain = type(net)(net.cfg)
    tensors = {name: reduce(getattr, name.split("."), net).detach().clone() for name in plain.state_dict()}  # type: ignore[attr-defined, operator]
    plain.load_state_dict(tensors, assign=True)
    return plain.eval().requires_grad_(False)

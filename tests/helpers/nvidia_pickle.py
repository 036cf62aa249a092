"""Networks of ours as a pickle in the format of stylegan2-ada-pytorch, for tests of its reader.

Each module is reduced to `torch_utils.persistence._reconstruct_persistent_obj(meta)`; its meta says class, version,
source and state. The source that we put there raises if anybody runs it. Tensors are pickled as PyTorch does it.
"""

from __future__ import annotations

import contextlib
import pickle
import sys
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from rosinality_net import shaken
from torch import nn

from benchmark.config import NetConfig
from benchmark.stylegan2 import Discriminator, Generator, Nets
from benchmark.stylegan2.networks import (
    ConvLayer,
    DiscriminatorBlock,
    DiscriminatorEpilogue,
    FullyConnected,
    MappingNetwork,
    SynthesisBlock,
    SynthesisLayer,
    SynthesisNetwork,
    ToRGB,
)

SOURCE = "raise RuntimeError('the source inside a network pickle must never be executed')\n"
Attributes = Mapping[tuple[str, str], Any]


def shaken_nets(cfg: NetConfig) -> Nets:
    """Networks of ours in which no two tensors are alike, G and its average included."""
    nets = Nets.create(cfg, seed=0)
    for seed, net in enumerate((nets.g, nets.g_ema, nets.d)):
        shaken(net, seed)
    return nets


def write_pickle(
    path: Path,
    nets: Nets,
    protocol: int = 4,
    dtype: torch.dtype = torch.float32,
    noise_rand: bool = False,
    attributes: Attributes | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Path:
    """{"G", "D", "G_ema", "training_set_kwargs", "augment_pipe"} at `path`; see `pickle_of`."""
    path.write_bytes(pickle_of(nets, protocol, dtype, noise_rand, attributes, extra))
    return path


def pickle_of(
    nets: Nets,
    protocol: int = 4,
    dtype: torch.dtype = torch.float32,
    noise_rand: bool = False,
    attributes: Attributes | None = None,
    extra: Mapping[str, Any] | None = None,
    source: str = SOURCE,
    held: Collection[str] = (),
) -> bytes:
    """The bytes of such a pickle; networks are conditional if `nets.cfg.c_dim` says so.

    `dtype` is the type of the stored tensors. `noise_rand` adds the second noise map of FixNoise's networks.
    `attributes` replaces or adds values of modules' states, {("D.b4.mbstd", "group_size"): 8} for one. `extra` are
    further entries of the file. `source` is the text that takes the place of the modules' source. The parameters of
    modules whose paths begin with one of `held` are stored as buffers, as some forks freeze layers.
    """
    spec = _Spec(nets.cfg, dtype, noise_rand, dict(attributes or {}), source, tuple(held))
    parts = {"G": nets.g, "D": nets.d, "G_ema": nets.g_ema}
    data = {
        **{name: spec.record(net, name) for name, net in parts.items()},
        "training_set_kwargs": {"path": "x.zip", "resolution": nets.cfg.resolution},
        "augment_pipe": None,
        **(extra or {}),
    }
    if spec.attributes:
        raise KeyError(f"no such modules: {list(spec.attributes)}")
    return dumps(data, protocol)


def dumps(data: Any, protocol: int = 4) -> bytes:
    """`pickle.dumps` for data with `Persistent` objects in it."""
    with persistence():
        return pickle.dumps(data, protocol)


class Persistent:
    """What NVIDIA's modules are for `pickle`: a call of their persistence layer with a description."""

    def __init__(self, class_name: str, state: dict[str, Any], source: str = SOURCE) -> None:
        self.class_name, self.state, self.source = class_name, state, source

    def __reduce__(self) -> tuple[Callable[[Any], Any], tuple[dict[str, Any]]]:
        meta = {
            "type": "class",
            "version": 6,
            "module_src": self.source,
            "class_name": self.class_name,
            "state": self.state,
        }
        return sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj, (meta,)


@contextlib.contextmanager
def persistence() -> Iterator[None]:
    """`torch_utils.persistence` exists in this block, because `pickle` wants to see a name that it writes."""

    def _reconstruct_persistent_obj(meta: Any) -> None:
        raise AssertionError("a network pickle was executed")

    package, module = ModuleType("torch_utils"), ModuleType("torch_utils.persistence")
    _reconstruct_persistent_obj.__module__ = module.__name__
    _reconstruct_persistent_obj.__qualname__ = "_reconstruct_persistent_obj"
    module._reconstruct_persistent_obj = _reconstruct_persistent_obj  # type: ignore[attr-defined]
    package.persistence = module  # type: ignore[attr-defined]
    sys.modules |= {"torch_utils": package, "torch_utils.persistence": module}
    try:
        yield
    finally:
        del sys.modules["torch_utils"], sys.modules["torch_utils.persistence"]


class _Spec:
    """How modules of ours look in the file."""

    def __init__(
        self,
        cfg: NetConfig,
        dtype: torch.dtype,
        noise_rand: bool,
        attributes: dict[Any, Any],
        source: str,
        held: tuple[str, ...],
    ) -> None:
        self.held = held
        self.cfg, self.dtype, self.noise_rand, self.attributes, self.source = cfg, dtype, noise_rand, attributes, source

    def record(self, module: nn.Module, path: str) -> Persistent:
        """A module and all below it."""
        kind, attributes = self.described(module)
        buffers = {name: t.to(self.dtype) for name, t in module.named_buffers(recurse=False)}
        if self.noise_rand and isinstance(module, SynthesisLayer):
            buffers["noise_rand"] = torch.full_like(buffers["noise_const"], 0.5)
        children = {name: self.record(child, f"{path}.{name}") for name, child in module.named_children()}
        if isinstance(module, DiscriminatorEpilogue):
            mbstd = {"group_size": module.group, "num_channels": 1}
            children["mbstd"] = Persistent(
                "MinibatchStdLayer", self.state(f"{path}.mbstd", mbstd, {}, {}, {}), self.source
            )
        parameters = {
            name: nn.Parameter(p.detach().to(self.dtype)) for name, p in module.named_parameters(recurse=False)
        }
        if path.startswith(self.held):
            buffers |= {name: p.data for name, p in parameters.items()}
            parameters = {}
        return Persistent(kind, self.state(path, attributes, parameters, buffers, children), self.source)

    def state(self, path: str, attributes: Any, parameters: Any, buffers: Any, children: Any) -> dict[str, Any]:
        """The `__dict__` of one module, with what was to be replaced."""
        hooks = ("_backward_hooks", "_forward_hooks", "_forward_pre_hooks", "_state_dict_hooks")
        state = {
            "training": False,
            "_parameters": OrderedDict(parameters),
            "_buffers": OrderedDict(buffers),
            "_non_persistent_buffers_set": set(),
            **{name: OrderedDict() for name in hooks},
            "_is_full_backward_hook": None,
            "_modules": OrderedDict(children),
            **attributes,
            "_init_args": (),
            "_init_kwargs": dict(attributes),
        }
        for where, name in [key for key in self.attributes if key[0] == path]:
            state[name] = self.attributes.pop((where, name))
        return state

    def described(self, module: nn.Module) -> tuple[str, dict[str, Any]]:
        """(name of NVIDIA's class, the plain attributes that it records)."""
        cfg = self.cfg
        size = {"c_dim": cfg.c_dim, "img_resolution": cfg.resolution, "img_channels": 3}
        match module:
            case Generator():
                num_ws = module.synthesis.num_ws
                return "Generator", {"z_dim": cfg.z_dim, "w_dim": cfg.w_dim, "num_ws": num_ws, **size}
            case SynthesisNetwork():
                resolutions = list(module.resolutions)
                return "SynthesisNetwork", {"w_dim": cfg.w_dim, "block_resolutions": resolutions, **size}
            case SynthesisBlock():
                px = {"resolution": module.px, "is_last": module.px == cfg.resolution}
                return "SynthesisBlock", {**px, "architecture": "skip", "use_fp16": False, "img_channels": 3}
            case SynthesisLayer():
                layer = {"resolution": module.px, "up": 2 if module.up else 1, "use_noise": True}
                return "SynthesisLayer", {**layer, **_activated(True), "conv_clamp": module.clamp, "padding": 1}
            case ToRGB():
                return "ToRGBLayer", {"conv_clamp": module.clamp, "weight_gain": np.float64(module.weight_gain)}
            case MappingNetwork():
                mapping = {"z_dim": module.z_dim, "c_dim": module.c_dim, "w_dim": module.w_dim}
                beta = 0.995 if hasattr(module, "w_avg") else None
                mapping |= {"num_ws": module.num_ws, "num_layers": module.layers, "w_avg_beta": beta}
                return "MappingNetwork", mapping
            case FullyConnected():
                gains = {"weight_gain": np.float64(module.weight_gain), "bias_gain": module.bias_gain}
                return "FullyConnectedLayer", {"activation": "lrelu" if module.act else "linear", **gains}
            case Discriminator():
                return "Discriminator", {"block_resolutions": list(module.resolutions), **size}
            case DiscriminatorBlock():
                return "DiscriminatorBlock", {"architecture": "resnet", "use_fp16": False, "img_channels": 3}
            case DiscriminatorEpilogue():
                return "DiscriminatorEpilogue", {"architecture": "resnet", "cmap_dim": self.cmap_dim, "resolution": 4}
            case ConvLayer():
                clamp = cfg.conv_clamp if module.act else None
                layer = {"up": 1, "down": 2 if module.down else 1, "conv_clamp": clamp, "padding": module.kernel // 2}
                return "Conv2dLayer", {**_activated(module.act), **layer, "weight_gain": np.float64(module.weight_gain)}
        raise TypeError(f"no module of ours: {type(module).__name__}")

    @property
    def cmap_dim(self) -> int:
        """Width of D's label features."""
        return self.cfg.channels(4) if self.cfg.c_dim else 0


def _activated(act: bool) -> dict[str, Any]:
    return {"activation": "lrelu", "act_gain": np.sqrt(2)} if act else {"activation": "linear", "act_gain": 1}

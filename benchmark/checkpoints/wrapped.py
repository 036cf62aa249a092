"""State dicts inside other projects' files: where the networks of a StyleGAN2 are in them, under rosinality's names.

pSp, e4e, ReStyle      state_dict: decoder.* (rosinality's generator), encoder.*; latent_avg beside it
mmgeneration           state_dict: generator.*, generator_ema.*, discriminator.*, under names of their own
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from benchmark.checkpoints.damage import shown
from benchmark.checkpoints.foreign import Foreign
from benchmark.errors import WeightsError

STATE = "state_dict"
PREFIXES = {
    "decoder": "g_ema",
    "generator_ema": "g_ema",
    "generator": "g",
    "discriminator": "d",
}
"""What the names of a network begin with: our name of it."""

MMGENERATION = (
    ("style_mapping.", "style."),
    ("constant_input.input", "input.input"),
    (".style_modulation.", ".modulation."),
    (".noise_injector.weight", ".noise.weight"),
    ("injected_noise_", "noises.noise_"),
    (".linear.weight_orig", ".weight"),
)
"""Parts of mmgeneration's names, and what they are in rosinality's; all else is called alike."""


def unwrapped(data: Mapping[Any, Any], names: Mapping[str, tuple[str, ...]], where: str) -> Mapping[Any, Any]:
    """The content with the networks of its `state_dict` as entries of their own; as it is where there is none.

    `names`: what entries with networks are called, by our name. Raises WeightsError where a network is there twice.
    """
    states = data.get(STATE)
    if not isinstance(states, Mapping):
        return data
    parts: dict[str, dict[str, Any]] = {}
    for name, value in states.items():
        prefix, dot, rest = str(name).partition(".")
        parts.setdefault(prefix if dot else "", {})[rest if dot else prefix] = value
    others = {name: value for name, value in data.items() if name != STATE}
    refuse_twins(others, parts, names, where)
    found = {PREFIXES[prefix]: state for prefix, state in parts.items() if prefix in PREFIXES}
    if not found:
        return {**others, **states}
    return {**others, **found, **{prefix: state for prefix, state in parts.items() if prefix not in PREFIXES}}


def refuse_twins(
    others: Mapping[Any, Any],
    parts: Mapping[str, Mapping[str, Any]],
    names: Mapping[str, tuple[str, ...]],
    where: str,
) -> None:
    """WeightsError where `state_dict` has one of our networks under two prefixes, or has what lies beside it, too."""
    ours = {name: part for part, several in names.items() for name in several} | PREFIXES
    whole = [name for name, value in parts.get("", {}).items() if isinstance(value, Mapping)]
    places = [(name, name) for name, value in others.items() if isinstance(value, Mapping)]
    places += [(name, f"{STATE}.{name}") for name in (*parts, *whole)]
    found: dict[str, list[str]] = {}
    for name, place in places:
        if name in ours:
            found.setdefault(ours[name], []).append(place)
    for several in found.values():
        if len(several) > 1:
            raise WeightsError(f"{where} has {' and '.join(several)}; it is not clear which of them counts.")


def is_mmgeneration(state: Mapping[str, Tensor]) -> bool:
    """Whether a state dict has mmgeneration's names."""
    return any(name.endswith(".weight_orig") for name in state)


def from_mmgeneration(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict under rosinality's names, if it has those of mmgeneration; as it is otherwise."""
    if not is_mmgeneration(state):
        return dict(state)
    generator = any(name.startswith("style_mapping.") for name in state)
    renamed: dict[str, Tensor] = {}
    for name, tensor in state.items():
        ours = name
        for theirs, part in MMGENERATION:
            ours = ours.replace(theirs, part)
        # Their generator's convolutions have the weight themselves, their discriminator's in a module of its own.
        ours = ours.replace(".conv.weight_orig", ".conv.weight" if generator else ".weight")
        if ours in renamed:
            raise WeightsError(f"{shown(name)} is there under two names; it is not clear which counts.")
        renamed[ours] = tensor
    return renamed


def refuse_objects(data: Any, names: Mapping[str, tuple[str, ...]], where: str) -> None:
    """WeightsError where the file, or an entry of it that is needed, is a whole pickled module."""
    entries = data if isinstance(data, Mapping) else {"": data}
    needed = {name for several in names.values() for name in several} | {"", STATE}
    for name, value in entries.items():
        if isinstance(value, Foreign) and name in needed:
            what = f"its {name} is" if name else "it is"
            raise WeightsError(
                f"{where}: {what} a whole {value.name} object, and its code is not run. Where that code is, save the "
                "weights alone: torch.save({'g_ema': network.state_dict()}, FILE)."
            )

"""A guard that lets ``import torchvision`` succeed if its compiled part does not fit the installed torch.

A torchvision built for CUDA cannot load its operators beside a CPU-only torch. Its Python part then misses two of them
and the import ends with "operator torchvision::nms does not exist". lpips and clean-fid need only torchvision's plain
networks, so it is enough to declare the two signatures; nothing here implements them.
"""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path

_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}


@functools.cache
def declare_missing_operators() -> tuple[str, ...]:
    """Call right before importing torchvision or a package that does; returns the names that had to be declared.

    Raises ModuleNotFoundError where torchvision is not installed.
    """
    import torch

    spec = importlib.util.find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("No module named 'torchvision'", name="torchvision")
    for compiled in sorted(Path(spec.submodule_search_locations[0]).glob("_C*")):
        try:
            torch.ops.load_library(str(compiled))
        except OSError:  # built for another torch or for a GPU runtime that is not installed
            continue
    missing = tuple(name for name in _SCHEMAS if not hasattr(torch.ops.torchvision, name))
    _declare(missing)
    return missing


@functools.cache
def _declare(names: tuple[str, ...]) -> object:
    """The cache keeps the library object alive: torch forgets the operators when it is collected."""
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in names:
        library.define(_SCHEMAS[name])
    return library

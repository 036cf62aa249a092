"""Networks on disk: one safetensors file, architecture in its header. Loading is strict and executes nothing."""

from __future__ import annotations

import copy
import errno
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from benchmark.config import NetConfig
from benchmark.errors import MethodError, WeightsError
from benchmark.stylegan2.networks import Discriminator, Generator
from benchmark.system.files import in_utf8, new_file

SCHEMA = 1
MAX_HEADER = 16 * 2**20
"""Bytes; a training of 1024 px with all its optimisers has a header of about 1 MB."""
T = TypeVar("T")


@dataclass
class Nets:
    """The three networks of a GAN: generator, its weight average, discriminator."""

    g: Generator
    g_ema: Generator
    d: Discriminator

    @property
    def cfg(self) -> NetConfig:
        """The shared architecture."""
        return self.g.cfg

    @classmethod
    def create(cls, cfg: NetConfig, seed: int) -> Nets:
        """Newly initialised networks; weights depend on `seed` alone, and the global random state stays as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            g, d = Generator(cfg), Discriminator(cfg)
        return cls(g, copy.deepcopy(g).requires_grad_(False), d)

    def to(self, device: str | torch.device) -> Nets:
        """Move all three; convolution weights go to channels_last."""
        for net in (self.g, self.g_ema, self.d):
            net.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return self

    def copy(self) -> Nets:
        """A deep copy."""
        return copy.deepcopy(self)

    def state_dict(self) -> dict[str, Tensor]:
        """{"g." + name, "g_ema." + name, "d." + name: tensor}."""
        parts = {"g": self.g, "g_ema": self.g_ema, "d": self.d}
        return {f"{part}.{name}": t for part, net in parts.items() for name, t in net.state_dict().items()}

    def load_state_dict(self, state: dict[str, Tensor], where: str = "weights") -> None:
        """Copy all tensors in; every missing, extra or misshapen name is an error (WeightsError)."""
        own = self.state_dict()
        require_shapes({name: t.shape for name, t in own.items()}, state, where)
        with torch.no_grad():
            for k, t in own.items():
                t.copy_(state[k])


def digest_of(tensors: Mapping[str, Tensor]) -> str:
    """sha256 (hex) of names, types, shapes and bits, whatever the order, device and layout in memory."""
    found = hashlib.sha256()
    for name, t in sorted(tensors.items()):
        found.update(f"{name} {t.dtype} {list(t.shape)}\n".encode())
        found.update(t.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())  # type: ignore[arg-type]
    return found.hexdigest()


def not_finite(net: nn.Module) -> str | None:
    """The name of the first of a network's weights and buffers that holds NaN or infinity."""
    found = net.state_dict().items()
    return next((name for name, t in found if t.is_floating_point() and not t.isfinite().all()), None)


@contextmanager
def left_alone(who: str, networks: Mapping[str, nn.Module]) -> Iterator[None]:
    """MethodError after the block if one of the networks (by what it is in words) has other weights or buffers then."""
    before = {what: digest_of(net.state_dict()) for what, net in networks.items()}
    yield
    changed = [what for what, net in networks.items() if digest_of(net.state_dict()) != before[what]]
    if changed:
        raise MethodError(f"{who} changed {' and '.join(changed)} in place; begin with copy_of(...).")


def write_tensors(path: Path, tensors: dict[str, Tensor], meta: dict[str, object]) -> None:
    """Atomic safetensors file: temporary name, fsync, rename. `meta` becomes JSON in the header; OSError as usual.

    The header also holds a digest of tensors and `meta`, by which a reader notices any change. WeightsError, and the
    file of before stays, where the header would be larger than a reader takes.
    """
    plain = {k: t.detach().cpu().contiguous() for k, t in tensors.items()}
    content = {"schema": SCHEMA, **meta}
    content["digest"] = _digest(plain, content)
    text = json.dumps(content, sort_keys=True)
    with new_file(path) as temporary:
        temporary.touch()
        mode = temporary.stat().st_mode & 0o777  # what the umask allows; safetensors would leave 0600
        try:
            save_file(
                plain,
                temporary,
                metadata={"json": text},
            )
        except SafetensorError as error:
            code = re.search(r"os error (\d+)", str(error))
            number = int(code[1]) if code else errno.EIO
            raise OSError(number, os.strerror(number), str(path)) from None
        if (size := _header_size(temporary)) > MAX_HEADER:
            raise WeightsError(
                f"{path} was not written: its header would have {size} bytes, {MAX_HEADER} at most can be read."
            )
        temporary.chmod(mode)


def _header_size(path: Path) -> int:
    """Of a safetensors file, as it says it."""
    with path.open("rb") as raw:
        return int.from_bytes(raw.read(8), "little")


def _digest(tensors: Mapping[str, Tensor], content: Mapping[str, object]) -> str:
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(f"{digest_of(tensors)} {text}".encode()).hexdigest()


def is_damaged(tensors: Mapping[str, Tensor], content: Mapping[str, object], digest: object) -> bool:
    """Whether a file's tensors and the rest of its header are not those of the header's digest, where it has one."""
    return digest is not None and digest != _digest(tensors, content)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, object]]:
    """Tensors and header of `write_tensors`; WeightsError where the file is missing, damaged or of another schema.

    What it says of its digest has to be so; files of earlier versions say nothing of it.
    """
    tensors, meta, digest = _read(path, lambda f: {k: f.get_tensor(k) for k in f.keys()})  # noqa: SIM118 (not a dict)
    if is_damaged(tensors, meta, digest):
        raise WeightsError(f"weights file {path} is damaged: it does not hold what was written. Fetch it again.")
    return tensors, meta


def read_header(path: Path) -> dict[str, object]:
    """The header of `write_tensors` alone, without reading a tensor; WeightsError as `read_tensors`."""
    return _read(path, lambda f: None)[1]


def _read(path: Path, content: Callable[[Any], T]) -> tuple[T, dict[str, object], object]:
    if not path.is_file():
        raise WeightsError(f"weights file {path} does not exist.")
    try:
        if _header_size(path) > MAX_HEADER:
            raise ValueError("its header is larger than any network's")
        with path.open("rb") as raw, safe_open(in_utf8(path, raw.fileno()), framework="pt") as f:
            meta = json.loads((f.metadata() or {}).get("json", "{}"))
            digest = meta.pop("digest", None) if isinstance(meta, dict) else None
            json.dumps(meta, sort_keys=True)  # as the digest needs it
            found = content(f)
    except (SafetensorError, ValueError, RuntimeError, OSError) as error:
        # Its JSON may be deep or hold any number; torch refuses to map a file that was replaced while it was opened.
        raise WeightsError(
            f"weights file {path} cannot be read ({str(error)[:200]}): truncated or not safetensors? Fetch it again."
        ) from None
    if not isinstance(meta, dict) or meta.get("schema") != SCHEMA:
        raise WeightsError(f"weights file {path} has no header of schema {SCHEMA}; it was not written by this suite.")
    return found, meta, digest


def shapes_of(cfg: NetConfig) -> dict[str, torch.Size]:
    """{name: shape} of all three networks as `Nets.state_dict` has them, without allocating any."""
    with torch.device("meta"):
        g, d = Generator(cfg), Discriminator(cfg)
    nets = {"g": g, "g_ema": g, "d": d}
    return {f"{part}.{name}": t.shape for part, net in nets.items() for name, t in net.state_dict().items()}


def require_shapes(expected: Mapping[str, torch.Size], state: Mapping[str, Tensor], where: str) -> None:
    """WeightsError unless these are all the tensors, in these shapes."""
    missing, extra = sorted(expected.keys() - state.keys()), sorted(state.keys() - expected.keys())
    wrong = [
        f"{k} is {list(state[k].shape)}, expected {list(expected[k])}"
        for k in sorted(expected.keys() & state.keys())
        if expected[k] != state[k].shape
    ]
    if missing or extra or wrong:
        found = "; ".join(
            f"{n} {what}: {', '.join(names[:3])}{' ...' if len(names) > 3 else ''}"
            for n, what, names in (
                (len(missing), "missing", missing),
                (len(extra), "unexpected", extra),
                (len(wrong), "misshapen", wrong),
            )
            if names
        )
        raise WeightsError(
            f"{where} does not fit the architecture: {found}. Use the file that belongs to this architecture."
        )


def save(path: Path, nets: Nets, meta: dict[str, object] | None = None) -> None:
    """Write all three networks."""
    write_tensors(path, nets.state_dict(), {"architecture": nets.cfg.model_dump(), **(meta or {})})


def save_generator(path: Path, g: Generator, meta: dict[str, object] | None = None) -> None:
    """Write one generator."""
    write_tensors(path, dict(g.state_dict()), {"architecture": g.cfg.model_dump(), **(meta or {})})


def load_generator(path: Path) -> Generator:
    """A generator, float32 on the CPU, from a file of `save_generator`; strict (WeightsError)."""
    tensors, meta = read_tensors(path)
    cfg = _architecture(meta, path)
    shapes = {name.removeprefix("g."): shape for name, shape in shapes_of(cfg).items() if name.startswith("g.")}
    require_shapes(shapes, tensors, f"weights file {path}")
    g = Generator(cfg)
    g.load_state_dict(tensors)
    return g.eval().requires_grad_(False)


def load(path: str | Path) -> Nets:
    """Networks float32 on the CPU, from a file of `save`; strict (WeightsError on any disagreement)."""
    path = Path(path)
    tensors, meta = read_tensors(path)
    cfg = _architecture(meta, path)
    require_shapes(shapes_of(cfg), tensors, f"weights file {path}")  # before anything of that size is built
    nets = Nets.create(cfg, seed=0)
    nets.load_state_dict(tensors, where=f"weights file {path}")
    return nets


def architecture_of(path: Path) -> NetConfig:
    """The header of a file of `save`: its networks."""
    return _architecture(read_header(path), path)


def _architecture(meta: dict[str, object], path: Path) -> NetConfig:
    try:
        return NetConfig.model_validate(meta.get("architecture"))
    except ValidationError as error:
        first = error.errors()[0]
        place = "".join(f"{part}: " for part in first["loc"])
        why = f" ({place}{first['msg']})" if first["loc"] or first["type"] == "value_error" else ""
        raise WeightsError(f"weights file {path} does not say its architecture{why}.") from None

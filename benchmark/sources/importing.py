"""Import of the field's checkpoints as sources: converted strictly, written, read again and compared."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import torch

from benchmark.checkpoints import convert, read_checkpoint
from benchmark.checkpoints.containers import refuse_other_paths
from benchmark.checkpoints.damage import shown
from benchmark.errors import ConfigError, DataError, WeightsError
from benchmark.sources.check import write_check
from benchmark.sources.source import CARD, CHECK, IMPORTED, IMPORTING, WEIGHTS, Origin, Source, SourceCard, list_sources
from benchmark.stylegan2 import Nets, load, save
from benchmark.system.files import sha256_of

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
UNKNOWN = "unknown: see where the file came from"


def import_source(
    path: Path,
    name: str | None,
    cache: Path,
    allow: Sequence[str] = (),
    licence: str | None = None,
    replace: bool = False,
    bgr: bool = False,
) -> Source:
    """Convert `path` into the source `name` (default: the file's name) below `cache`.

    Its folder appears when all is done. `allow`: see `convert`. `bgr`: the file's networks draw and judge images whose
    first channel is blue; they are changed to red first. Raises WeightsError where the file cannot be used,
    ConfigError where the name is unusable or taken (`replace` gives up an earlier import), DataError where the cache
    cannot be written.
    """
    refuse_other_paths(path)
    name = checked_name(name or path.stem, cache, replace)
    checkpoint = read_checkpoint(path)
    converted = convert(checkpoint, allow, path.name)
    if bgr:
        exchange_red_and_blue(converted.nets)
    checkpoint.networks.clear()  # a large file's tensors are not needed twice
    origin = Origin(
        file=shown(path.name, 255),
        sha256=sha256_of(path),
        bytes=path.stat().st_size,
        format=checkpoint.format,
        networks=converted.present,
        left_out=tuple(checkpoint.left_out),
        notes=(*(["red and blue were exchanged (--bgr)"] if bgr else checkpoint.notes), *converted.notes),
    )
    try:
        folder = write_source(cache / IMPORTED / name, converted.nets, origin, shown(licence or UNKNOWN, 1000))
    except OSError as error:
        raise DataError(f"cannot write to {cache}: {error.strerror or error}; choose another --cache.") from None
    return Source(name, SourceCard.model_validate_json((folder / CARD).read_bytes()), folder)


def exchange_red_and_blue(nets: Nets) -> None:
    """Let networks draw and judge RGB that drew and judged BGR, or the other way round."""
    with torch.no_grad():
        for g in (nets.g, nets.g_ema):
            for block in g.synthesis.blocks.values():
                for part in (block.torgb.weight, block.torgb.bias):
                    part.copy_(part.flip(0))
        for layer in (block.fromrgb for block in nets.d.blocks.values() if hasattr(block, "fromrgb")):
            layer.weight.copy_(layer.weight.flip(1))


def checked_name(name: str, cache: Path, replace: bool) -> str:
    """`name`, if a folder and an option can be called so and nothing else is."""
    if not NAME.fullmatch(name):
        raise ConfigError(f"source name {name[:80]!r}: use at most 64 letters, digits, '-', '_' and '.'; see --out.")
    if name in list_sources():
        raise ConfigError(f"source name {name} belongs to a source of the suite; choose another with --out.")
    if (cache / IMPORTED / name).exists() and not replace:
        raise ConfigError(f"source {name} exists; choose another --out, or add --replace.")
    return name


def write_source(target: Path, nets: Nets, origin: Origin, licence: str) -> Path:
    """Weights, expected images and card into a folder that becomes `target` in one step."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=IMPORTING) as scratch:
        folder = Path(scratch) / "new"
        save(folder / WEIGHTS, nets, {"origin_sha256": origin.sha256})
        compare_with_file(nets, folder / WEIGHTS)
        write_check(nets.g_ema, folder / CHECK)
        card = SourceCard(
            title=f"{origin.file}, a StyleGAN2 of {nets.cfg.resolution} px ({origin.format})",
            file=WEIGHTS,
            sha256=sha256_of(folder / WEIGHTS),
            check=CHECK,
            licence=licence,
            origin=origin,
        )
        (folder / CARD).write_bytes(card.model_dump_json(indent=1, exclude_defaults=True).encode())
        with suppress(FileNotFoundError):
            target.rename(Path(scratch) / "old")
        folder.rename(target)
    return target


def compare_with_file(nets: Nets, path: Path) -> None:
    """Raise WeightsError where `path` does not give back every tensor exactly."""
    again = load(path).state_dict()
    differing = [name for name, tensor in nets.state_dict().items() if not tensor.equal(again[name])]
    if differing:
        raise WeightsError(f"{path.name} does not read back what was written ({differing[0]}); is the disk sound?")

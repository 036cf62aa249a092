"""The folder of an export: what its files are called, whose they are, and which network it holds."""

from __future__ import annotations

from pathlib import Path

from benchmark.api import Control
from benchmark.errors import DataError
from benchmark.report.figures.grids import slug
from benchmark.results import ResultStore
from benchmark.use.adapted import Adapted, own
from benchmark.use.model_card import NETWORK, listed_in, text_of

FILES = {
    "onnx": "generator.onnx",
    "torch": "generator.pt2",
    "safetensors": "generator.safetensors",
    "rosinality": "generator-rosinality.pt",
}
CARD = "README.md"
NETWORKS = (".pkl", ".pt", ".pth", ".safetensors")
BESIDE = (".md", ".json", ".onnx", ".pt2")
"""What may lie beside a network: its card, and what `export` makes of it that is no checkpoint."""


def default_folder(net: Adapted, control: Control, run: Path) -> Path:
    """Where an export goes if nobody says; control and training seed are in its name unless they are the default."""
    record, parts = net.record, [net.method.name]
    if record is not None:
        at = (record.method, record.domain)
        seeds = [r.seed for r in ResultStore(run).read_all()[0] if own(r) and (r.method, r.domain) == at]
        parts += [record.domain]
        parts += [] if control == net.method.default_control else [str(control)]
        parts += [] if record.seed == min(seeds) else [f"seed{record.seed}"]
    return Path("exported") / slug("-".join(parts))


def refuse_others(folder: Path, card: str) -> None:
    """DataError where a file has the name of an export's and this card, the network's own, does not list it."""
    for name in FILES.values():
        path = folder / name
        if (path.exists() or path.is_symlink()) and not listed_in(card, path):
            raise DataError(
                f"{folder} holds something else: no {CARD} of this network lists its {name}; choose another --out, or "
                "move that file away."
            )


def network_in(folder: Path) -> Path:
    """The checkpoint that a folder holds beside its card, as `export` writes it; otherwise the folder.

    `export` writes and compares one network in several formats, so any that its card lists is it. DataError where one
    may be another network: it alone has no card that lists it, or has another's.
    """
    files = [path for path in folder.iterdir() if not path.name.startswith(".") and path.suffix.lower() not in BESIDE]
    if files and {path.name for path in files} <= set(FILES.values()):
        card = text_of(folder / CARD)
        others = [path.name for path in files if not listed_in(card, path)]
        if others and (len(files) > 1 or NETWORK in card):
            raise DataError(
                f"{folder} holds {others[0]}, which no {CARD} there lists: it may be another network than the rest; "
                "name the file that is meant."
            )
        files = sorted(files, key=lambda path: path.name != FILES["safetensors"])[:1]
    return files[0] if len(files) == 1 and files[0].suffix.lower() in NETWORKS else folder

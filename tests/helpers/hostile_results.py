"""Results folders from somebody who means harm: a good one with one thing in it that leads out, waits or never ends."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

ESCAPES = "\x1b[31mred\x1b]0;title\x07\x9b2J\u202eevil"
"""Colours, the window's title, an erased screen, text that runs backwards."""
FORMULA = "=HYPERLINK(0)"
Plant = Callable[[Path, Path], None]
"""Puts something into a results folder; the second folder is outside, holds `target`, and has to stay as it is."""


def key(out: Path, kind: str) -> str:
    """A key of that kind in the folder, `record_key` or `train_key`, of plain fine-tuning."""
    records = [json.loads(path.read_text("utf-8")) for path in sorted((out / "records").glob("*.json"))]
    return str(next(r for r in records if r["method"] == "finetune")[kind])


def linked_folder(name: str) -> Plant:
    """A folder of the results is a link."""

    def plant(out: Path, outside: Path) -> None:
        if (out / name).is_dir():
            (out / name).rename(out / f"before-{name.replace('/', '-')}")
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).symlink_to(outside, target_is_directory=True)

    return plant


def in_place_of(name: Callable[[Path], str], put: Callable[[Path, Path], None]) -> Plant:
    """Something else under the name of a file."""

    def plant(out: Path, outside: Path) -> None:
        path = out / name(out)
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        put(path, outside)

    return plant


def link(path: Path, outside: Path) -> None:
    path.symlink_to(outside / "target")


def further_name(path: Path, outside: Path) -> None:
    os.link(outside / "target", path)


def pipe(path: Path, outside: Path) -> None:
    os.mkfifo(path)


def endless(path: Path, outside: Path) -> None:
    path.symlink_to("/dev/zero")


def huge(path: Path, outside: Path) -> None:
    """Takes no room on the disk, and months to read."""
    with path.open("wb") as file:
        file.truncate(1 << 42)


NAMES: dict[str, Callable[[Path], str]] = {
    "a record": lambda out: f"records/{key(out, 'record_key')}.json",
    "a picture": lambda out: f"samples/{key(out, 'record_key')}.png",
    "scores of real images": lambda out: f"reals/{next((out / 'reals').glob('*.json')).name}",
    "hashes": lambda out: f"hashes/{key(out, 'record_key')}.sha256",
    "hashes of nothing": lambda out: f"hashes/{'a' * 32}.sha256",
    "weights": lambda out: f"checkpoints/{key(out, 'train_key')}.safetensors",
    "a state": lambda out: f"checkpoints/{key(out, 'train_key')}.progress",
    "a training's log": lambda out: f"logs/{key(out, 'train_key')}.jsonl",
    "a job's log": lambda out: f"logs/{key(out, 'record_key')}.log",
    "a lock": lambda out: f"locks/{key(out, 'train_key')}-0",
    "the page": lambda out: "page.html",
}
PLANTS: dict[str, Plant] = {
    f"{name} is {what.__name__.replace('_', ' ')}": in_place_of(place, what)
    for name, place in NAMES.items()
    for what in (link, further_name, pipe, endless, huge)
}
FOLDERS = (
    "records",
    "samples",
    "reals",
    "hashes",
    "logs",
    "logs/tensorboard",
    "checkpoints",
    "locks",
    "figures",
    "engine",
)
PLANTS |= {f"{name} is a linked folder": linked_folder(name) for name in FOLDERS}


def outside_folder(path: Path) -> Path:
    """A folder whose content must not change."""
    path.mkdir(parents=True)
    (path / "target").write_text("mine\n", "utf-8")
    return path


def untouched(outside: Path) -> bool:
    """Whether it is as `outside_folder` made it."""
    names = [entry.name for entry in outside.iterdir()]
    return names == ["target"] and (outside / "target").read_text("utf-8") == "mine\n"


def speaking(out: Path) -> None:
    """A copy of a record whose texts try to steer a terminal and a spreadsheet."""
    path = out / NAMES["a record"](out)
    record = json.loads(path.read_text("utf-8"))
    record |= {"record_key": "f" * 32, "method": FORMULA, "method_label": f"{ESCAPES} label", "fields": {"a": ESCAPES}}
    record |= {"notes": [ESCAPES], "suite": "+1+1", "grid": None, "extremes": None}
    record |= {"control": None, "control_name": None, "is_default_control": True}
    record["environment"] |= {"device": ESCAPES, ESCAPES: f"two\nlines {ESCAPES}"}
    (out / "records" / f"{'f' * 32}.json").write_text(json.dumps(record), "utf-8")
    (out / "records" / f"stray {ESCAPES}").write_text("", "utf-8")

"""The templates of `new-method`: a first version of a method, and its test."""

from __future__ import annotations

import datetime
import keyword
import sys
from importlib.util import find_spec
from pathlib import Path

import benchmark.methods
from benchmark.errors import ConfigError
from benchmark.registry import method_names
from benchmark.registry.plugins import unfit

METHOD = '''"""{title}: one sentence about the idea.

Your Name, "Title of the Paper" (unpublished, {year}), equation and section. What differs from its
official code, and why.
"""

from torch import Tensor

from benchmark.api import Field, GeneratorStep, Method


class {kind}(Method):
    """Fine-tuning that keeps the source's latent space; put your own idea here."""

    name = "{name}"
    title = "{title}"
    paper = "Your Name, Title of the Paper, unpublished, {year}"
    weight: float = Field(1.0, ge=0, description="weight of the distance between both networks' w")

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        ours = step.nets.g.mapping(step.z, step.c)
        theirs = step.source.mapping(step.z, step.c)
        return {{self.name: self.weight * (ours - theirs).square().mean()}}
'''

TEST = '''"""{title} keeps what every method promises; add what is special about yours."""

from pathlib import Path

from benchmark.conformity.conform import conform
from benchmark.conformity.trial import changed, run_trial, state_of
from benchmark.registry import catalogue, find_method, method_names

PLUGIN = str(Path(__file__).with_name("{name}.py"))


def test_it_keeps_what_every_method_promises() -> None:
    mine = catalogue([PLUGIN])["{name}"].load()
    verdict = conform(mine, others={{name: find_method(name) for name in method_names()}})
    assert verdict.broken == {{}}


def test_its_weight_changes_what_is_trained() -> None:
    mine = catalogue([PLUGIN])["{name}"].load()
    without, plain = (run_trial(mine(**fields)).nets.g_ema for fields in ({{"weight": 0}}, {{}}))
    assert changed(state_of(without), plain)
'''


def write_method(name: str, folder: Path) -> list[Path]:
    """Write NAME.py and test_NAME.py into `folder`; ConfigError where that is not possible, and nothing is replaced."""
    if why := unfit(name):
        raise ConfigError(f"new-method {name}: {why}.")
    if name in method_names():
        raise ConfigError(f"new-method {name}: the shelf has a method of this name. Choose another.")
    if any(Path(shelf).resolve() == folder.resolve() for shelf in benchmark.methods.__path__):
        raise ConfigError(
            f"new-method {name}: this is the shelf itself. Begin in a folder of yours, move {name}.py later."
        )
    words = name.split("_")
    parts = {"name": name, "title": " ".join(words).capitalize(), "kind": "".join(map(str.capitalize, words))}
    if keyword.iskeyword(parts["kind"]):
        raise ConfigError(f"new-method {name}: its class would be {parts['kind']}, a word of Python. Choose another.")
    year = datetime.date.today().year
    texts = {
        folder / f"{name}.py": METHOD.format(year=year, **parts),
        folder / f"test_{name}.py": TEST.format(**parts),
    }
    for path in texts:
        if path.exists():
            raise ConfigError(f"new-method {name}: {path} exists already. Remove it or choose another name.")
    if module := module_called(name):
        raise ConfigError(
            f"new-method {name}: Python has a module {name} already ({module}), and {name}.py would take its place for "
            "every command that is started in this folder. Choose another name."
        )
    try:
        for path, text in texts.items():
            path.write_text(text, "utf-8")
    except OSError as error:
        raise ConfigError(f"new-method {name}: cannot write into {folder.resolve()}: {error.strerror}.") from None
    return list(texts)


def module_called(name: str) -> str | None:
    """Where `import NAME` finds a module now; None where it finds none, or only a folder of that name."""
    if name in sys.stdlib_module_names:
        return "of its standard library"
    try:
        spec = find_spec(name)
    except ValueError:  # it is imported, and does not say from where
        return "imported"
    return spec.origin if spec else None

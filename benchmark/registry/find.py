"""Lookup of methods by name. A file on the shelf is enough; nothing has to be listed anywhere.

Beside the shelf there are plug-ins and installed packages (`plugins.py`), and `a+b` combines several methods.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial
from types import ModuleType

import benchmark.methods
from benchmark.api import Method
from benchmark.errors import ConfigError, MethodError, UnknownName
from benchmark.registry.composition import composed
from benchmark.registry.plugins import Entry, package_entries, plugin_entries
from benchmark.registry.variants import base_name, given_fields, variant
from benchmark.system.text.lists import split_names

SHELF = "shelf"


@cache
def method_names() -> tuple[str, ...]:
    """The names on the shelf, sorted, without importing the files."""
    return tuple(sorted(info.name for info in pkgutil.iter_modules(benchmark.methods.__path__)))


def find_method(name: str, plugins: Sequence[str] = ()) -> type[Method]:
    """The class of a method, of "a+b" or of "a[field=value]".

    UnknownName with near names; MethodError where its file breaks the contract; ConfigError where the parts of a
    composition do not fit each other, a variant cannot be made, or a plug-in takes another's name.
    """
    known = catalogue(plugins)
    kinds = []
    for part in split_names(name, "+"):
        base = base_name(part)
        if base not in known or " " in base:
            raise UnknownName("method", base, (n for n in known if " " not in n))
        given = given_fields(part)
        kinds.append(variant(known[base].load(), given) if given else known[base].load())
    return kinds[0] if len(kinds) == 1 else composed(tuple(kinds))


def catalogue(plugins: Sequence[str] = ()) -> dict[str, Entry]:
    """{name: entry} of the shelf, then of `plugins`, then of installed packages.

    A name belongs to the first that has it. One of `plugins` may not take another's (ConfigError); a package that does
    is listed as "name (package)", unavailable.
    """
    known = {name: Entry(name, SHELF, partial(_on_shelf, name)) for name in method_names()}
    for plugin in dict.fromkeys(plugins):
        for entry in plugin_entries(plugin):
            if entry.name in known:
                raise ConfigError(
                    f"--plugin {plugin}: its method {entry.name} has the name of another "
                    f"({known[entry.name].origin}). Rename yours, file and class."
                )
            known[entry.name] = entry
    for entry in package_entries():
        if entry.name in known:
            reason = f"method {entry.name}: the name belongs to another ({known[entry.name].origin})."
            entry = replace(entry, name=f"{entry.name} ({entry.origin})", load=partial(_refuse, reason))
        known[entry.name] = entry
    return known


def _refuse(reason: str) -> type[Method]:
    raise MethodError(reason)


def _on_shelf(name: str) -> type[Method]:
    try:
        module = importlib.import_module(f"benchmark.methods.{name}")
    except Exception as error:  # a method file may fail in any way; the message must name it
        raise MethodError(
            f"method {name}: its file cannot be imported ({type(error).__name__}: {error}). Correct the file."
        ) from error
    return _method_in(module, name)


def _method_in(module: ModuleType, name: str) -> type[Method]:
    own = [
        c
        for c in vars(module).values()
        if isinstance(c, type) and issubclass(c, Method) and c.__module__ == module.__name__
    ]
    if len(own) != 1 or getattr(own[0], "name", None) != name:
        found = [f"{c.__name__}(name={getattr(c, 'name', None)!r})" for c in own]
        raise MethodError(
            f"method {name}: its file must define exactly one Method whose name is {name!r}; found {found}."
        )
    return own[0]

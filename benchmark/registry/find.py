"""Lookup of methods by name. A file on the shelf is enough; nothing has to be listed anywhere.

Beside the shelf there are plug-ins and installed packages (`plugins.py`), and `a+b` combines several methods.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Container, Iterable, Sequence
from dataclasses import replace
from functools import cache, partial
from itertools import chain, count
from types import ModuleType

import benchmark.methods
from benchmark.api import Method
from benchmark.errors import BenchmarkError, ConfigError, MethodError, UnknownName
from benchmark.registry.composition import composed
from benchmark.registry.guard import reason
from benchmark.registry.plugins import Entry, package_entries, plugin_entries, unusable
from benchmark.registry.variants import base_name, given_fields, variant
from benchmark.system.text.lists import split_names

SHELF = "shelf"


@cache
def method_names() -> tuple[str, ...]:
    """The names on the shelf, sorted, without importing the files."""
    return tuple(sorted(info.name for info in pkgutil.iter_modules(benchmark.methods.__path__)))


def find_method(name: str, plugins: Sequence[str] = ()) -> type[Method]:
    """The class of a method, of "a+b" or of "a[field=value]".

    UnknownName with near names; MethodError where its file breaks the contract, or where the name is unknown and may be
    in a plug-in that cannot be used; ConfigError where the parts of a composition do not fit each other, a variant
    cannot be made, or a plug-in takes another's name.
    """
    known = catalogue(plugins)
    kinds = []
    for part in split_names(name, "+"):
        base = base_name(part)
        if base not in known or " " in base:
            raise _unknown(base, known, plugins)
        given = given_fields(part)
        kinds.append(variant(known[base].load(), given) if given else known[base].load())
    return kinds[0] if len(kinds) == 1 else composed(tuple(kinds))


def catalogue(plugins: Sequence[str] = ()) -> dict[str, Entry]:
    """{name: entry} of the shelf, then of `plugins`, then of installed packages.

    A name belongs to the first that has it. One of `plugins` may not take another's (ConfigError). A package that does
    is listed as "name (package)", unavailable; so is, as "name (plug-in)", one that cannot be used and whose file is
    called like another.
    """
    known = {name: Entry(name, SHELF, partial(_on_shelf, name)) for name in method_names()}
    given = [(plugin, entry) for plugin in dict.fromkeys(plugins) for entry in plugin_entries(plugin)]
    for plugin, entry in sorted(given, key=lambda one: not one[1].usable):
        if entry.usable and entry.name in known:
            raise ConfigError(
                f"--plugin {plugin}: its method {entry.name} has the name of another "
                f"({known[entry.name].origin}). Rename yours, file and class."
            )
        known[_free(entry.name, known)] = entry
    for entry in package_entries():
        if entry.name in known:
            said = f"method {entry.name}: the name belongs to another ({known[entry.name].origin})."
            entry = replace(entry, name=f"{entry.name} ({entry.origin})", load=partial(_refuse, said))
        known[entry.name] = entry
    return known


def _free(name: str, known: Container[str]) -> str:
    """The name of a plug-in that cannot be used; where another has it, one that nobody can ask for."""
    more = (f"{name} (plug-in{f' {number}' if number > 1 else ''})" for number in count(1))
    return next(free for free in chain([name], more) if free not in known)


def _unknown(name: str, known: Iterable[str], plugins: Sequence[str]) -> BenchmarkError:
    """The error for a name that is not known: where a plug-in cannot be used, the method may be in that."""
    error = UnknownName("method", name, (n for n in known if " " not in n))
    broken = unusable(plugins)
    return MethodError(f"{error} It may be in what cannot be used: {' '.join(broken)}") if broken else error


def _refuse(said: str) -> type[Method]:
    raise MethodError(said)


def _on_shelf(name: str) -> type[Method]:
    try:
        module = importlib.import_module(f"benchmark.methods.{name}")
    except Exception as error:  # a method file may fail in any way; the message must name it
        raise MethodError(f"method {name}: its file cannot be imported ({reason(error)}). Correct the file.") from error
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

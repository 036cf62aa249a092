"""Methods from outside: a file or module given with `--plugin`, or the entry points of installed packages.

A plug-in may fail in any way: whatever goes wrong while it is imported is noted in its own entry.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.abc import SourceLoader
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from benchmark.api import Method
from benchmark.errors import MethodError
from benchmark.registry.guard import imported

GROUP = "benchmark.methods"
RESERVED = {"train", "eval", "split", "source"}
"""Names that mean something else in `--set` and in tables."""


@dataclass(frozen=True)
class Entry:
    """A method that can be asked for by name."""

    name: str
    origin: str
    """Where it comes from, for people."""
    load: Callable[[], type[Method]]
    """Its class; MethodError with the reason where there is none."""
    usable: bool = True
    """False for a plug-in without a class; whether a package has one is known only when it is asked for."""


def plugin_entries(plugin: str) -> list[Entry]:
    """The methods of a `.py` file or of an importable module; one entry without a class where it cannot be used."""
    origin = f"plug-in {plugin}"
    name = Path(plugin).stem if _is_file(plugin) else plugin.rpartition(".")[2]
    try:
        module = _module(plugin)
        return [Entry(kind.name, origin, partial(_same, kind)) for kind in methods_in(module)]
    except MethodError as error:
        return [Entry(name, origin, partial(_fail, f"method {name}: {origin} {error}"), usable=False)]


def unusable(plugins: Sequence[str]) -> list[str]:
    """One line for each plug-in that cannot be used, asked for or not."""
    said = []
    for entry in (entry for plugin in dict.fromkeys(plugins) for entry in plugin_entries(plugin)):
        try:
            entry.load()
        except MethodError as error:
            said.append(str(error))
    return said


@cache
def package_entries() -> tuple[Entry, ...]:
    """The entry points of installed packages, by name; nothing is imported before it is asked for."""
    found = sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value))
    return tuple(Entry(point.name, _package(point), partial(_load_point, point)) for point in found)


def methods_in(module: ModuleType) -> list[type[Method]]:
    """The named methods that `module`, or a module below it, defines; MethodError if there is none or a name is bad."""
    own = {
        c: None
        for c in vars(module).values()
        if isinstance(c, type) and issubclass(c, Method) and f"{c.__module__}.".startswith(f"{module.__name__}.")
    }
    kinds = [kind for kind in own if hasattr(kind, "name")]
    if not kinds:
        raise MethodError("defines no Method that has a name. Begin with: python -m benchmark new-method NAME")
    for name, count in Counter(kind.name for kind in kinds).items():
        if why := unfit(name):
            raise MethodError(f"calls its method {name!r}: {why}.")
        if count > 1:
            raise MethodError(f"defines {count} methods called {name!r}. Give each a name of its own.")
    return kinds


def unfit(name: object) -> str | None:
    """Why a method cannot be called `name`; None if it can."""
    if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name):
        return "a name has at most 40 small letters, digits and underscores and begins with a letter"
    if name in RESERVED or hasattr(Method, name):
        return "this word has a meaning in settings or hooks; choose another"
    return None


def _module(plugin: str) -> ModuleType:
    """The module of a file or of a name; MethodError, the same each time, where it cannot be imported."""
    path = Path(plugin)
    if not _is_file(plugin):
        found = _tried(plugin, None, b"")
    elif not path.is_file():
        what = "is no file" if path.exists() else "does not exist"
        raise MethodError(f"{what}; give the path of a .py file or the name of a module.")
    elif path.suffix != ".py":
        raise MethodError("is no Python file; its name must end with .py.")
    else:
        found = _tried(plugin, path.resolve(), _bytes(path))
    if isinstance(found, MethodError):
        raise found
    return found


def _is_file(plugin: str) -> bool:
    return plugin.endswith(".py") or len(Path(plugin).parts) > 1


@cache
def _tried(plugin: str, path: Path | None, source: bytes) -> ModuleType | MethodError:
    """Once only: what fails may have taken a minute."""
    try:
        return imported(partial(_module_of, path, source) if path else partial(importlib.import_module, plugin))
    except MethodError as error:
        return error


def _bytes(path: Path) -> bytes:
    """What is in a file; times of change are too coarse to tell versions apart."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise MethodError(f"cannot be read: {error.strerror or error}.") from None


class _Bytes(SourceLoader):
    """A file as it was read: no bytecode of another version takes its place, and none is left behind."""

    def __init__(self, path: Path, source: bytes) -> None:
        self.path, self.source = path, source

    def get_filename(self, fullname: str) -> str:
        """Its path."""
        return str(self.path)

    def get_data(self, path: str | bytes) -> bytes:
        """Its source, or a file that it asks for."""
        return self.source if os.fsdecode(path) == str(self.path) else Path(os.fsdecode(path)).read_bytes()


def _module_of(path: Path, source: bytes) -> ModuleType:
    """The module in a file, under a name of its own: no file can take the place of another's module."""
    name = f"benchmark_plugin_{path.stem}_{hashlib.sha256(bytes(path) + source).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path, loader=_Bytes(path, source))
    assert spec is not None and spec.loader is not None, "it has the loader that it was given"
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # type hints of its classes are looked up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _load_point(point: EntryPoint) -> type[Method]:
    """The class that an entry point names, directly or by its module."""
    who = f"method {point.name}: {_package(point)}"
    try:
        found = imported(point.load)
        kinds = methods_in(found) if isinstance(found, ModuleType) else [found]
        kind = next((k for k in kinds if getattr(k, "name", None) == point.name), None)
        if not (isinstance(kind, type) and issubclass(kind, Method)) or unfit(point.name):
            raise MethodError(f"has no Method called {point.name!r} in {point.value}.")
    except MethodError as error:
        raise MethodError(f"{who} {error}") from error
    return kind


def _package(point: EntryPoint) -> str:
    return f"package {point.dist.name} {point.dist.version}" if point.dist else f"package of {point.module}"


def _same(kind: type[Method]) -> type[Method]:
    return kind


def _fail(message: str) -> type[Method]:
    raise MethodError(message)

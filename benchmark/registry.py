"""Name -> method. A method is known because its file lies on the shelf; nothing has to be listed anywhere."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from types import ModuleType

import benchmark.methods
from benchmark.api import Method
from benchmark.errors import MethodError, UnknownName


@cache
def method_names() -> tuple[str, ...]:
    """The names on the shelf, sorted, without importing the files."""
    return tuple(sorted(info.name for info in pkgutil.iter_modules(benchmark.methods.__path__)))


def find_method(name: str) -> type[Method]:
    """The class of a method; UnknownName with near names, MethodError where its file breaks the contract."""
    if name not in method_names():
        raise UnknownName("method", name, method_names())
    try:
        module = importlib.import_module(f"benchmark.methods.{name}")
    except Exception as error:  # a method file may fail in any way; the message must name it
        raise MethodError(
            f"method {name}: its file cannot be imported ({type(error).__name__}: {error}). Mend the file."
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

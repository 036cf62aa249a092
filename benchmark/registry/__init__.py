"""From a name to a method: those on the shelf, plug-ins, installed packages, and `a+b` made of several."""

from benchmark.registry.find import SHELF, catalogue, find_method, method_names

__all__ = ["SHELF", "catalogue", "find_method", "method_names"]

"""The registry of methods by name: the shelf, plug-ins, installed packages, and compositions `a+b`."""

from benchmark.registry.find import SHELF, catalogue, find_method, method_names
from benchmark.registry.plugins import unusable

__all__ = ["SHELF", "catalogue", "find_method", "method_names", "unusable"]

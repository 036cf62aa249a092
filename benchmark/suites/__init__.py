"""Suites: each YAML file here is a suite or a collection of suites, and `load_suite` makes it typed."""

from benchmark.suites.load import find_collection, load_suite, load_suites, members, suite_names
from benchmark.suites.own import derived_settings

__all__ = ["derived_settings", "find_collection", "load_suite", "load_suites", "members", "suite_names"]

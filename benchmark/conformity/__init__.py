"""Conformity: checks of a method's promises, for the command line, our tests and those of plug-ins.

Each promise is tried on tiny networks and a toy domain; `new-method` writes a method that keeps them all.
"""

from benchmark.conformity.conform import Verdict, conform

__all__ = ["Verdict", "conform"]

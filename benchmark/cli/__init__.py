"""The command line: text becomes typed values, the engine is called, what it returns is printed. Nothing else."""

from benchmark.cli.app import main

__all__ = ["main"]

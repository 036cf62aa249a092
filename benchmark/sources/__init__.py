"""Pretrained generators: their cards, finding and loading them, importing, exporting, checking, training.

Those of the suite are in sources.yaml and weights/ beside this file, imported ones in the user's cache.
"""

from benchmark.sources.source import (
    Origin,
    Recipe,
    Source,
    SourceCard,
    file_source,
    find_source,
    list_sources,
    load_source,
)

__all__ = ["Origin", "Recipe", "Source", "SourceCard", "file_source", "find_source", "list_sources", "load_source"]

"""Lists that people write on one line: names between commas, paths that have commas themselves, ranges of numbers."""

from __future__ import annotations

import os


def split_names(text: str, separator: str = ",") -> list[str]:
    """The parts of `text` between separators that are not in brackets, without surrounding space."""
    parts, depth = [""], 0
    for letter in text:
        depth += {"[": 1, "]": -1}.get(letter, 0)
        if letter == separator and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def listed(words: list[str]) -> str:
    """``a, b and c``."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def split_paths(text: str) -> list[str]:
    """Names and paths between commas; a comma, or space at an end, belongs to a path that lies on the disk with it.

    Of several such paths the longest counts: in "a,b/c,d" the folder "a,b/c" goes before "a".
    """
    parts, found = text.split(","), list[str]()
    while parts:
        joined = ((n, text) for n in range(len(parts), 0, -1) for text in _with_and_without_space(",".join(parts[:n])))
        n, path = next((way for way in joined if os.path.exists(way[1])), (1, parts[0].strip()))
        found.append(path)
        parts = parts[n:]
    return [name for name in found if name]


def _with_and_without_space(text: str) -> tuple[str, str]:
    return text, text.strip()

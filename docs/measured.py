"""The numbers that README.md and the pages of docs/ state, made again from results/published.

python docs/measured.py            # writes every marked region again
python docs/measured.py --check    # writes nothing; exit code 1 and a line for each page that would change

A region begins with ``<!-- numbers: PART SUITE MORE -->`` and ends with ``<!-- end -->``, each on a line of its own.
PART is a function of parts.py, SUITE a suite: the newest published folder with records of it counts. What a folder's
``NOTE.md`` says stands beside its numbers. Nothing in a region is written by hand.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from parts import PARTS
from published import PUBLISHED, ROOT, newest

REGION = re.compile(r"^(<!-- numbers: ([a-z-]+) ([\w.-]+)(?: ([^\n]+?))? -->\n)(.*?)^<!-- end -->$", re.M | re.S)


def made_again(text: str, page: Path, published: Path = PUBLISHED) -> str:
    """The text of a page with all its regions made again; LookupError names what a region asks for in vain."""

    def again(match: re.Match[str]) -> str:
        head, part, suite, more = match[1], match[2], match[3], match[4] or ""
        if part not in PARTS:
            raise LookupError(f"{page.name}: no part {part}; there are {', '.join(PARTS)}")
        try:
            there = newest(suite, published)
        except LookupError:
            if part not in ("verdicts", "by-domain"):
                raise
            return f"{head}No run of the suite `{suite}` is published yet.\n<!-- end -->"
        return f"{head}{PARTS[part](there, page, more)}\n<!-- end -->"

    return REGION.sub(again, text)


def pages() -> list[Path]:
    """The pages that may state numbers."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def main(arguments: Sequence[str]) -> int:
    """Write the pages again, or say which differ."""
    if arguments not in ([], ["--check"]):
        sys.exit(f"measured.py {' '.join(arguments)}: it takes --check or nothing.")
    stale = 0
    for page in pages():
        text = page.read_text("utf-8")
        new = made_again(text, page)
        if new != text:
            stale += 1
            print(f"{page.relative_to(ROOT)}: {'would change' if '--check' in arguments else 'written'}")
            if "--check" not in arguments:
                page.write_text(new, "utf-8")
    return int(bool(stale) and "--check" in arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Records and their sample strips -> picture files: same-z grids, control strips."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, UnidentifiedImageError

from benchmark.report.figures.drawing import font_file
from benchmark.report.group import SOURCE, Group, row_label
from benchmark.report.lines import Line, lengths
from benchmark.results import RunRecord
from benchmark.results.record import control_order
from benchmark.system.files import write_atomic
from benchmark.system.folder import Folder, NotPlain

GAP, MARGIN, LABEL_PX, MAX_PX = 4, 10, 190, 1024
MAX_BYTES = 256 << 20
"""Of a picture file; 32 images of MAX_PX in two rows have 200 MB before they are packed."""
RIGHT, REAL = "right answer", "real images"
REFERENCE_LABELS = {RIGHT: "right answer", REAL: "real images (other people)"}
"""Strips of the zero-step record beside its own, and what a grid calls them."""
Row = tuple[str, RunRecord, str | None]
"""A row of a grid: label, record, file of the strip."""
INK, SOFT, PAPER = (20, 20, 20), (110, 110, 110), (255, 255, 255)


@dataclass
class Drawn:
    """Pictures written so far, and one line for each that could not be."""

    paths: list[Path] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class Gone(ValueError):
    """A picture that a record names is not there."""


def write_grids(group: Group, results: Path, out: Path, prefix: str = "") -> Drawn:
    """Grids of all domains as PNG into ``out``; strips are read from the folder ``results``, of the first seed each."""
    drawn, gone = Drawn(), list[str]()
    for domain in group.domains:
        pairs = [(line, r) for line in group.lines for r in group.at(line, domain) if r.status == "done"]
        seed = min((r.seed for _, r in pairs), default=0)
        rows = [(line, r) for line, r in pairs if r.seed == seed]
        source = [(line, r) for line, r in rows if line.zero_step]
        methods = [(line, r) for line, r in rows if line in (*group.shown, *group.without_default)]
        first = [(SOURCE, r, r.grid) for _, r in source]
        if methods:
            named = [*_references(source, REAL), *first, *_references(source, RIGHT)]
            named += [(line.base if line.is_default else row_label(line), r, r.grid) for line, r in methods]
            _grid(drawn, gone, results, out / f"{prefix}grid_{slug(domain)}.png", named)
        for base in dict.fromkeys(line.base for line, _ in rows if not line.zero_step):
            own = sorted((p for p in rows if p[0].base == base), key=lambda p: control_order(p[0].control))
            if len(own) > 1:
                named = [*first, *_references(source, RIGHT), *((_control_label(line), r, r.grid) for line, r in own)]
                named += _references(source, REAL)
                _grid(drawn, gone, results, out / f"{prefix}controls_{slug(domain)}__{slug(base)}.png", named, base)
    if missing := list(dict.fromkeys(gone)):
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        drawn.problems.append(f"{missing[0]}{more}: not a file in the results folder; grids have no such rows")
    return drawn


def _references(source: Sequence[tuple[Line, RunRecord]], what: str) -> list[Row]:
    """The rows of the zero-step records that show `what`."""
    return [(REFERENCE_LABELS[what], r, r.references[what]) for _, r in source if what in r.references]


def slug(name: str) -> str:
    """``name`` as part of a file name: different names stay different, nothing climbs out of the folder."""
    safe = re.sub(r"[^A-Za-z0-9-]+", "_", name).strip("_")
    return safe if safe == name else f"{safe}_{sha256(name.encode()).hexdigest()[:6]}"


def compose(rows: Sequence[tuple[str, Image.Image]], caption: Sequence[str]) -> Image.Image:
    """Strips under each other, each named at its left, one z per column, ``caption`` (paragraphs) below."""
    font, small = _font(15), _font(13)
    side = rows[0][1].height
    labels = [_wrap(label, font, LABEL_PX) for label, _ in rows]
    left = MARGIN * 2 + int(max(font.getlength(text) for lines_ in labels for text in lines_))
    count = max(strip.width // strip.height for _, strip in rows)
    width = left + count * (side + GAP) + MARGIN
    text = [line for paragraph in caption for line in _wrap(paragraph, small, width - 2 * MARGIN)]
    top = MARGIN + 20
    bottom = top + len(rows) * (side + GAP)
    page = Image.new("RGB", (width, bottom + 6 + 18 * len(text) + MARGIN), PAPER)
    draw = ImageDraw.Draw(page)
    for column in range(count):
        draw.text((left + column * (side + GAP) + side / 2, top - 6), f"z{column}", SOFT, small, anchor="mb")
    for i, ((_, strip), label) in enumerate(zip(rows, labels, strict=True)):
        y = top + i * (side + GAP)
        for column in range(strip.width // strip.height):
            tile = strip.crop((column * strip.height, 0, (column + 1) * strip.height, strip.height))
            page.paste(tile.resize((side, side), Image.Resampling.NEAREST), (left + column * (side + GAP), y))
        middle = y + side / 2 - 19 * (len(label) - 1) / 2
        for j, line in enumerate(label):
            draw.text((left - MARGIN, middle + 19 * j), line, INK, font, anchor="rm")
    for j, line in enumerate(text):
        draw.text((MARGIN, bottom + 6 + 18 * j), line, INK, small, anchor="la")
    return page


def _grid(drawn: Drawn, gone: list[str], results: Path, path: Path, rows: Iterable[Row], method: str = "") -> None:
    strips = []
    for label, record, file in rows:
        try:
            strips.append((label, read_strip(results, record, file), record))
        except Gone:
            gone.append(str(file))
        except (OSError, ValueError, Image.DecompressionBombError, SyntaxError) as error:
            drawn.problems.append(f"{path.name}: no row for {label}: {' '.join(str(error).split())}")
    if strips:
        page = compose([(label, strip) for label, strip, _ in strips], _caption([r for *_, r in strips], method))
        buffer = BytesIO()
        page.save(buffer, "PNG")
        write_atomic(path, buffer.getvalue())
        drawn.paths.append(path)


def read_strip(results: Path, record: RunRecord, file: str | None, enlarge: bool = True) -> Image.Image:
    """One of a record's strips, small images doubled (``enlarge``); ValueError or OSError where there is none."""
    if file is None:
        raise ValueError(f"record {record.record_key[:12]} has no strip of samples")
    strip = _read(results, file, 1)
    twice = 2 if enlarge and strip.height <= 64 else 1
    return strip.resize((strip.width * twice, strip.height * twice), Image.Resampling.NEAREST)


def read_extremes(results: Path, record: RunRecord) -> tuple[Image.Image, Image.Image]:
    """A record's samples nearest to and farthest from the held-out images, each a strip; errors as ``read_strip``."""
    if record.extremes is None:
        raise ValueError(f"record {record.record_key[:12]} has no picture of its best and worst samples")
    both = _read(results, record.extremes, 2)
    side, wanted = both.height // 2, record.settings.get("resolution")
    if isinstance(wanted, int) and side != wanted:  # one strip read as two rows has tiles of half the side
        raise ValueError(f"{record.extremes} has images of {side} px, the record {wanted} px")
    near, far = (both.crop((0, top, both.width, top + side)) for top in (0, side))
    return near, far


def _read(results: Path, name: str, rows: int) -> Image.Image:
    """The picture ``name``: ``rows`` rows of 1 to 32 square images of at most MAX_PX."""
    try:
        opened = Image.open(BytesIO(Folder(results).read(name, MAX_BYTES)), formats=["PNG"])
    except (FileNotFoundError, NotPlain) as error:
        why = f" of this report: it {error.strerror}" if isinstance(error, NotPlain) else ""
        raise Gone(f"{name} is not a file in the results folder{why}") from None
    except UnidentifiedImageError:  # its own message names no file
        raise ValueError(f"{name} is not a PNG") from None
    with opened as image:
        side, rest = divmod(image.height, rows)
        if rest or not 0 < side <= MAX_PX or image.width not in range(side, 33 * side, side):
            what = "square images side by side" if rows == 1 else f"{rows} rows of square images"
            raise ValueError(f"{name} is {image.width} x {image.height} px, not {what}")
        return image.convert("RGB")


def _caption(records: Sequence[RunRecord], method: str) -> list[str]:
    """What the picture shows, and under which conditions: the notes of the records, each with the rows it holds for."""
    first = records[0]
    trained = lengths(records)
    length = f", trained for {trained} kimg" if trained else ""
    what = f"{method} at each value of its control" if method else "each method at its default control"
    lead = f"Same z down each column, {what}. Domain {first.domain}, source {first.source}, suite {first.suite}, "
    notes: dict[str, list[str]] = {}
    for r in records:
        for note in r.notes:
            notes.setdefault(note, []).append(r.method)
    everyone = len(records)
    held = (f"{', '.join(dict.fromkeys(who))}: {note}" if len(who) < everyone else note for note, who in notes.items())
    return [f"{lead}seed {first.seed}{length}.", *held]


def _control_label(line: Line) -> str:
    name = line.label.removeprefix(line.base).strip(" ()").removesuffix(", default")
    return name + (" (default)" if line.is_default else "")


def _font(px: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(font_file()), px)


def _wrap(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """``text`` in lines of at most ``width`` px; a word that is too long is cut."""
    result = [""]
    for word in text.split():
        while font.getlength(word) > width:
            cut = next(i for i in range(len(word), 0, -1) if i == 1 or font.getlength(word[:i]) <= width)
            result.append(word[:cut])
            word = word[cut:]
        joined = f"{result[-1]} {word}".strip()
        result = [*result[:-1], joined] if font.getlength(joined) <= width else [*result, word]
    return [line for line in result if line] or [""]

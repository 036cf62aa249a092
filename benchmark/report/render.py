"""Tables -> Markdown and LaTeX. Every text that comes from a record is escaped for where it goes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from importlib.resources import files
from itertools import groupby

import jinja2

from benchmark.report.section import Section
from benchmark.report.tables.table import Cell, Column, Row, Table, narrow

MARKDOWN_TABLE = """\

| {{ t.head|md }} |{% for c in t.columns %} {{ c|title|md }} |{% endfor %}

|:--|{{ "--:|" * t.columns|length }}
{% for row in t.rows %}
| {{ row|mdlabel }} |{% for cell in row.cells %} {{ cell|mdcell }} |{% endfor %}

{% endfor %}
{% for line in t.words %}

{{ line|md }}
{% endfor %}
{% for line in t.footnotes %}

\\[{{ loop.index }}\\] {{ line|md }}
{% endfor %}
"""

MARKDOWN = (
    """\
# Results
{% for s in sections %}

## {{ s.question|md }}

{% for line in s.sentences %}
- {{ line|md }}
{% endfor %}

### {{ s.title|md }}
{% set t = s.headline %}
"""
    + MARKDOWN_TABLE
    + """\
{% for t in s.appendix %}

### {{ t.title|md }}
"""
    + MARKDOWN_TABLE
    + """\
{% endfor %}
{% if s.unavailable %}

### Not available

{% for line in s.unavailable %}
- {{ line|md }}
{% endfor %}
{% endif %}

### Conditions

{% for line in s.conditions %}
- {{ line|md }}
{% endfor %}
{% if s.pictures %}

### Pictures

{% for path in s.pictures %}
![{{ path|md }}]({{ path }})
{% endfor %}
{% endif %}
{% endfor %}
"""
)

LATEX = (files("benchmark.report") / "templates" / "tables.tex.j2").read_text("utf-8")

MOST = 8
"""Columns of a LaTeX table."""
WIDE, LETTER, GAP = 469.0, 4.3, 8.0
"""Width of LaTeX's own page with two columns, of a letter and between columns, in pt."""

_TEX = {c: "\\" + c for c in "&%$#_{}"} | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}"}
_TEX |= {
    "*": "{*}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",
}
_TEX |= {"]": "{]}", "±": r"$\pm$", "↓": r"$\downarrow$", "↑": r"$\uparrow$", "³": r"\textsuperscript{3}"}
_TEX |= {"\N{MULTIPLICATION SIGN}": r"$\times$", "\N{EN DASH}": "--", "†": r"\dag{}", "…": r"\ldots{}"}
_TEX["\0"] = "-{}"  # a hyphen before another: TeX would make a dash of the two
_MD = {"&": "&amp;", "<": "&lt;", ">": "&gt;"} | {c: "\\" + c for c in "\\|*`[]$~"}


def markdown(sections: Sequence[Section]) -> str:
    """GitHub-flavoured Markdown of all sections."""
    return _markdown().from_string(MARKDOWN).render(sections=sections)


def markdown_table(table: Table) -> str:
    """GitHub-flavoured Markdown of one table and its words, without its title."""
    return _markdown().from_string(MARKDOWN_TABLE).render(t=table).strip()


def markdown_tables(title: str, tables: Sequence[Table], lines: Sequence[str]) -> str:
    """GitHub-flavoured Markdown of tables that are no section, ``lines`` as a list below them."""
    parts = [f"# {_md(title)}\n"]
    for table in tables:
        parts.append(_markdown().from_string(f"\n## {{{{ t.title|md }}}}\n{MARKDOWN_TABLE}").render(t=table))
    return "".join([*parts, "\n" if lines else "", *(f"- {_md(line)}\n" for line in lines)])


def latex(sections: Sequence[Section]) -> str:
    """LaTeX (booktabs) of all sections, to be included in a document of two columns."""
    return _latex().from_string(LATEX).render(sections=sections)


def _latex() -> jinja2.Environment:
    filters: dict[str, Callable[..., object]] = {"tex": _tex, "texcell": _tex_cell, "head": _tex_head, "spans": _spans}
    filters |= {"texlabel": _tex_label, "texitem": _tex_item}
    filters |= {"parts": _parts, "comment": _tex, "heads": _heads}
    return _environment("<%", "%>", "<<", ">>", filters)


def latex_tables(tables: Sequence[Table]) -> str:
    """LaTeX of tables that are no section, each a ``table*``."""
    start = LATEX.index(r"\begin{table*}")
    body = LATEX[start : LATEX.index("<% endfor %>\n\n\\begin{itemize}")]
    text = f"% Needs \\usepackage{{booktabs}}.\n<% for t in tables %>\n\n{body}<% endfor %>\n"
    return _latex().from_string(text).render(tables=[part for t in tables for part in _fitting(t)])


def _parts(section: Section) -> list[Table]:
    """The headline and the appendix in parts that a page can hold."""
    whole = _fitting(section.headline, kept=2)
    return [*whole, *(part for t in section.appendix for part in _fitting(t))]


def _fitting(table: Table, kept: int | None = None) -> list[Table]:
    """The table in parts that are about as wide as two columns of a paper, at most."""
    parts = narrow(table, MOST, kept)
    for most in range(MOST - 1, 1, -1):
        if all(_points(part) <= WIDE for part in parts):
            break
        parts = narrow(table, most, kept)
    return parts


def _points(table: Table) -> float:
    """About the width of a table in LaTeX's ``small``, in pt: deviations are printed smaller, marks hang above."""
    texts = [[f"{c.name} {c.detail}", *(row.cells[i].text for row in table.rows)] for i, c in enumerate(table.columns)]
    labels = [table.head, *(row.label for row in table.rows)]
    first, *widths = (LETTER * max(map(_length, own)) + GAP for own in (labels, *texts))
    groups = dict.fromkeys((c.group for c in table.columns), 0.0)
    for column, width in zip(table.columns, widths, strict=True):
        groups[column.group] += width
    return first + sum(max(LETTER * _length(name) + GAP, width) for name, width in groups.items())


def _length(text: str) -> float:
    """In letters; a capital is half as wide again."""
    mean, sign, rest = text.partition(" ± ")
    return len(mean) + 0.5 * sum(map(str.isupper, mean)) + (2 + 0.75 * len(rest) if sign else 0)


def _markdown() -> jinja2.Environment:
    filters: dict[str, Callable[..., object]] = {"md": _md, "mdcell": _md_cell, "title": _title}
    filters["mdlabel"] = lambda row: _md(row.label + _marks(row))
    return _environment("{%", "%}", "{{", "}}", filters)


def _environment(
    block: str, end_block: str, value: str, end_value: str, filters: dict[str, Callable[..., object]]
) -> jinja2.Environment:
    environment = jinja2.Environment(
        block_start_string=block,
        block_end_string=end_block,
        variable_start_string=value,
        variable_end_string=end_value,
        comment_start_string="<#",
        comment_end_string="#>",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(filters)
    return environment


def _title(column: Column) -> str:
    group = f"{column.group}: " if column.group else ""
    return f"{group}{column.name} {column.detail}".strip()


def _marks(noted: Cell | Row) -> str:
    return f" [{','.join(str(n) for n in noted.notes)}]" if noted.notes else ""


def _tex_marks(noted: Cell | Row) -> str:
    return rf"\textsuperscript{{{','.join(str(n) for n in noted.notes)}}}" if noted.notes else ""


def _md(text: str) -> str:
    safe = "".join(_MD.get(c, c) for c in " ".join(text.split()))
    # an underscore between two letters or digits is no markup
    return re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", safe)


def _md_cell(cell: Cell) -> str:
    return (f"**{_md(cell.text)}**" if cell.best else _md(cell.text)) + (f" {_md(_marks(cell))}" if cell.notes else "")


def _tex(text: str) -> str:
    printed = "".join(c for c in " ".join(text.split()) if c.isprintable())  # TeX stops at control characters
    return "".join(_TEX.get(c, c) for c in re.sub("-(?=-)", "\0", printed))


def _tex_item(text: str) -> str:
    """Text whose long words, as hashes and paths, may be broken: a column of a page has about 50 letters."""
    pieces = re.split(r"(?<=[/_=])(?=\w)|(?<=\w{16})(?=\w{4})", text)
    return r"\allowbreak{}".join(map(_tex, pieces))


def _tex_cell(cell: Cell) -> str:
    mean, sign, rest = cell.text.partition(" ± ")
    number = re.sub(r"(?<![\w-])-(?=\d)", "$-$", _tex(mean)).replace(r"\dag{}", r"\rlap{\dag}")
    text = number + (rf" {{\scriptsize$\pm$ {_tex(rest)}}}" if sign else "")
    return (rf"\textbf{{{text}}}" if cell.best else text) + _tex_marks(cell)


def _tex_label(row: Row) -> str:
    return (rf"\emph{{{_tex(row.label)}}}" if row.zero_step else _tex(row.label)) + _tex_marks(row)


def _tex_head(column: Column) -> str:
    return f"{_tex(column.name)} {_tex(column.detail)}".strip()


def _heads(columns: Sequence[Column]) -> list[tuple[str, int, int]]:
    """(group, first, last column) of all columns, one by one where they have no group."""
    named = {first: (name, first, last) for name, first, last in _spans(columns)}
    found, at = [], 2
    while at < len(columns) + 2:
        found.append(named.get(at, ("", at, at)))
        at = found[-1][2] + 1
    return found


def _spans(columns: Sequence[Column]) -> list[tuple[str, int, int]]:
    """(group, first, last column of the tabular, from 2) for each named group."""
    spans, at = [], 2
    for group, members in groupby(columns, key=lambda c: c.group):
        count = len(list(members))
        if group:
            spans.append((group, at, at + count - 1))
        at += count
    return spans

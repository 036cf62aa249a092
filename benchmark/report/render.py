"""Tables -> Markdown, LaTeX and the terminal. Every text that comes from a record is escaped for where it goes."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Sequence
from itertools import groupby

import jinja2
import rich.table
from rich.console import Group, RenderableType
from rich.text import Text

from benchmark.report.tables import Cell, Column, Row, Section, Table

MARKDOWN_TABLE = """\

| method |{% for c in t.columns %} {{ c|title|md }} |{% endfor %}

|:--|{{ "--:|" * t.columns|length }}
{% for row in t.rows %}
| {{ row|mdlabel }} |{% for cell in row.cells %} {{ cell|mdcell }} |{% endfor %}

{% endfor %}
{% for line in t.caption %}

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

## {{ s.quality.title|md }}
{% for t in s.tables %}
{% if not loop.first %}

### {{ t.title|md }}
{% endif %}
"""
    + MARKDOWN_TABLE
    + """\
{% endfor %}

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

LATEX = r"""
% Needs \usepackage{booktabs}.
<% for s in sections %>
<% for t in s.tables %>

\begin{table}
\centering\small
\caption{<< t.title|tex >>. << t.caption|join(" ")|tex >>}
\begin{tabular}{l<< "r" * t.columns|length >>}
\toprule
<% for name, first, last in t.columns|spans %>
<% if loop.first %>
<% for n, f, l in t.columns|spans %> & \multicolumn{<< l - f + 1 >>}{c}{<< n|tex >>}<% endfor %> \\
<% endif %>
\cmidrule(lr){<< first >>-<< last >>}
<% endfor %>
method<% for c in t.columns %> & << c|head >><% endfor %> \\
\midrule
<% for row in t.rows %>
<< row|texlabel >><% for cell in row.cells %> & << cell|texcell >><% endfor %> \\
<% if row.zero_step and not loop.last %>
\midrule
<% endif %>
<% endfor %>
\bottomrule
\end{tabular}
<% for line in t.footnotes %>
\par\footnotesize\textsuperscript{<< loop.index >>}~<< line|tex >>
<% endfor %>
\end{table}
<% endfor %>

\begin{itemize}\footnotesize
<% for line in s.conditions %>
\item << line|tex >>
<% endfor %>
\end{itemize}
<% endfor %>
"""

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


def rich_table(table: Table) -> Group:
    """For the terminal: narrow, so one table per group of columns; the footnotes follow."""
    parts: list[RenderableType] = [Text(table.title, style="bold")]
    for group, members in groupby(enumerate(table.columns), key=lambda pair: pair[1].group):
        columns = list(members)
        shown = rich.table.Table(title=Text(group) if group else None, title_justify="left")
        shown.add_column("method", overflow="fold")
        absent = [(i, c) for i, c in columns if {row.cells[i].text for row in table.rows} == {"not available"}]
        columns = [column for column in columns if column not in absent]
        for _, c in columns:
            head = [*_pieces(c.name), *filter(None, [c.detail])]
            shown.add_column(Text("\n".join(head)), justify="right", overflow="fold")
        for row in table.rows:
            cells = [row.cells[i] for i, _ in columns]
            shown.add_row(
                Text(row.label + _marks(row)),
                *(Text(c.text + _marks(c), style="bold" if c.best else "") for c in cells),
            )
        parts.append(shown)
        parts += [Text(f"{c.name}: not available{_marks(table.rows[0].cells[i])}") for i, c in absent]
    parts += [Text(line) for line in table.caption]
    parts += [Text(f"[{i}] {line}") for i, line in enumerate(table.footnotes, 1)]
    return Group(*parts)


def _pieces(name: str, width: int = 12) -> list[str]:
    """A metric's name in lines that a narrow column can hold, broken after underscores."""
    return [line.replace("_ ", "_") for line in textwrap.wrap(name.replace("_", "_ "), width)]


def markdown(sections: Sequence[Section]) -> str:
    """GitHub-flavoured Markdown of all sections."""
    return _markdown().from_string(MARKDOWN).render(sections=sections)


def markdown_tables(title: str, tables: Sequence[Table], lines: Sequence[str]) -> str:
    """GitHub-flavoured Markdown of tables that are no section, ``lines`` as a list below them."""
    parts = [f"# {_md(title)}\n"]
    for table in tables:
        parts.append(_markdown().from_string(f"\n## {{{{ t.title|md }}}}\n{MARKDOWN_TABLE}").render(t=table))
    return "".join([*parts, "\n" if lines else "", *(f"- {_md(line)}\n" for line in lines)])


def latex(sections: Sequence[Section]) -> str:
    """LaTeX (booktabs) of all sections, to be included in a document."""
    filters: dict[str, Callable[..., object]] = {"tex": _tex, "texcell": _tex_cell, "head": _tex_head, "spans": _spans}
    filters["texlabel"] = lambda row: _tex(row.label) + _tex_marks(row)
    return _environment("<%", "%>", "<<", ">>", filters).from_string(LATEX.lstrip()).render(sections=sections)


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


def _tex_cell(cell: Cell) -> str:
    return (rf"\textbf{{{_tex(cell.text)}}}" if cell.best else _tex(cell.text)) + _tex_marks(cell)


def _tex_head(column: Column) -> str:
    return rf"\shortstack{{{_tex(column.name)}\\{_tex(column.detail)}}}" if column.detail else _tex(column.name)


def _spans(columns: Sequence[Column]) -> list[tuple[str, int, int]]:
    """(group, first, last column of the tabular, from 2) for each named group."""
    spans, at = [], 2
    for group, members in groupby(columns, key=lambda c: c.group):
        count = len(list(members))
        if group:
            spans.append((group, at, at + count - 1))
        at += count
    return spans

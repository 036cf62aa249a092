"""Charts for a paper: fidelity against preservation as vector PDF, a panel per domain, drawn by seaborn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.report.figures.drawing import INK, MATPLOTLIB
from benchmark.report.figures.scatter import method_styles
from benchmark.report.group import SOURCE, Group, short_title
from benchmark.report.tables.ranking import ordered
from benchmark.system.files import new_file

HEIGHT = 2.6
"""Of a panel, inches: two of them fill a text width."""
MOST = 3
"""Panels side by side."""


def points(group: Group) -> pd.DataFrame:
    """A row per method at its default control, domain and seed: method, domain, fidelity, preservation.

    Methods come in the order of the headline; the untouched source is first, at no distance from itself.
    """
    rows: list[dict[str, Any]] = []
    for line in [*([group.source] if group.source else []), *ordered(group)]:
        for domain in group.domains:
            far = group.preservation(domain)
            y, x = group.values(line, domain, group.fidelity), group.values(line, domain, far)
            x = x or (dict.fromkeys(y, 0.0) if line.zero_step else {})
            name = SOURCE if line.zero_step else line.base
            rows += [
                {"method": name, "domain": domain, "fidelity": y[seed], "preservation": x[seed]}
                for seed in sorted(y.keys() & x.keys())
            ]
    return pd.DataFrame(rows, columns=["method", "domain", "fidelity", "preservation"])


def write_pdf(group: Group, path: Path) -> bool:
    """The chart at `path`, the same bytes for the same records; False where nothing has both values."""
    found = points(group)
    if found.empty:
        return False
    import matplotlib

    matplotlib.use("agg")
    import seaborn as sns
    from matplotlib import pyplot as plt

    fidelity, drawn = short_title(group.fidelity or "fidelity"), method_styles(group)
    with sns.axes_style("ticks"), matplotlib.rc_context({"pdf.fonttype": 42, "font.size": 8, "text.parse_math": False}):
        grid = sns.relplot(
            found,
            x="preservation",
            y="fidelity",
            hue="method",
            style="method",
            col="domain",
            col_wrap=min(MOST, found["domain"].nunique()),
            palette={SOURCE: INK} | {name: style.colour for name, style in drawn.items()},
            markers={SOURCE: "*"} | {name: MATPLOTLIB[style.marker] for name, style in drawn.items()},
            height=HEIGHT,
            aspect=1.15,
            s=28,
            facet_kws={"sharex": False, "sharey": False},
        )
        for domain, axes in grid.axes_dict.items():
            kept = group.preservation(str(domain))
            axes.set(title=domain, xlabel=short_title(kept) if kept else "to source", ylabel=fidelity)
        with new_file(path) as temporary:
            grid.figure.savefig(temporary, format="pdf", metadata={"CreationDate": None})
        plt.close(grid.figure)
    return True

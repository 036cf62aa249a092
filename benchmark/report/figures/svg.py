"""Charts -> inline SVG for an HTML page, and what HTML forbids in texts."""

from __future__ import annotations

import re
from io import BytesIO
from xml.etree import ElementTree

import matplotlib
from markupsafe import Markup
from matplotlib.figure import Figure

from benchmark.report.tables import brief

FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff]|[\ud800-\udfff]")
"""What HTML does not allow in a text."""
PAINT = {"#262626": "currentColor", "#000000": "currentColor", "#cccccc": "var(--rule)", "#ffffff": "var(--paper)"}
"""seaborn's ink, rules and paper -> the page's, which follow the reader's light or dark setting."""


def svg(figure: Figure, prefix: str, alt: str) -> Markup:
    """``figure`` as an ``<svg>`` for an HTML page: colours that follow the page, ids that begin with ``prefix``."""
    buffer = BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "benchmark", "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = re.sub(r"<!--.*?-->", "", buffer.getvalue().decode(), flags=re.S)  # texts, as the records have them
    root = ElementTree.fromstring(text)
    for parent in list(root.iter()):
        parent.tag = parent.tag.rpartition("}")[2]
        for child in list(parent):
            if child.tag.rpartition("}")[2] in ("metadata", "style"):
                parent.remove(child)
        for name, value in list(parent.attrib.items()):
            del parent.attrib[name]
            parent.set(name.rpartition("}")[2], _attribute(name, value, prefix))
    width = float(root.get("width", "0").removesuffix("pt")) * 4 / 3
    del root.attrib["height"], root.attrib["version"]
    for name, value in (("width", f"{width:.0f}"), ("role", "img"), ("aria-label", FORBIDDEN.sub("", brief(alt, 300)))):
        root.set(name, value)
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _attribute(name: str, value: str, prefix: str) -> str:
    if name == "id":
        return prefix + value
    value = re.sub(r"^#|(?<=url\()#", f"#{prefix}", value) if name != "style" or "url(" in value else value
    return re.sub("|".join(PAINT), lambda found: PAINT[found[0]], value) if name == "style" else value

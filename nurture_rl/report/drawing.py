"""How every figure looks, and figures as SVG with the same bytes for the same numbers."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe & Ito (2008), Color Universal Design: told apart by colour-blind readers and in print.
BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, GREY, INK = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#56B4E9",
    "#B8BEC6",
    "#1F2933",
)
WIDTH = 9.2  # inches
_STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#7B8794",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "figure.constrained_layout.use": True,
    "font.family": ["DejaVu Sans"],
    "font.size": 10,
    "grid.color": "#E4E7EB",
    "legend.frameon": False,
    "text.parse_math": False,  # names may hold a dollar sign
    "svg.fonttype": "path",
    "xtick.color": INK,
    "ytick.color": INK,
}
_NOTHING = {"Date": None, "Creator": None, "Format": None, "Type": None}
_GROUP = re.compile(rb'<g id="[^"]*"')  # numbered within one figure, so not unique on a page
_GLYPH = re.compile(rb'(id="|href="#)(?=DejaVuSans)')  # named alike in every figure


def draw(name: str, height: float, paint: Callable[[Figure], None]) -> bytes:
    """Paint a figure of `height` inches and give it as SVG.

    The name keeps identifiers of one figure apart from those of others on the same page.
    """
    with matplotlib.rc_context(_STYLE | {"svg.hashsalt": name}):
        figure = Figure(figsize=(WIDTH, height))
        paint(figure)
        out = io.BytesIO()
        figure.savefig(out, format="svg", metadata=_NOTHING)
    return _GLYPH.sub(rb"\1" + name.encode() + b"-", _GROUP.sub(b"<g", out.getvalue()))


def inline(svg: bytes) -> str:
    """An SVG as it stands inside a page: without prolog, labelled by its holder."""
    text = svg.decode("utf-8")
    return text[text.index("<svg") :].replace("<svg", '<svg aria-hidden="true"', 1)


def legend_below(figure: Figure, axes: Axes, columns: int) -> None:
    """One legend under the whole figure, where it hides nothing."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=columns)

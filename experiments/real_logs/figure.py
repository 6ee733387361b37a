"""Figure of estimates from real logs beside values that were measured elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import blended_transform_factory

from experiments.common.png import png
from nurture_rl.report import drawing

_COLOURS = (drawing.BLUE, drawing.SKY, drawing.ORANGE, drawing.GREEN, drawing.PURPLE)


@dataclass(frozen=True, slots=True)
class KnownRow:
    """One case: estimates relative to the known value, which is 1."""

    label: str
    carried: bool  # the log carries the policy
    known_half: float  # half width of the known value's interval, of the value
    estimates: tuple[tuple[str, float, float, float], ...]  # name, value, lower, upper


def known_values(rows: Sequence[KnownRow]) -> bytes:
    """A line a case: grey band the known value's interval, marks the estimates; as a PNG."""

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        names = list(dict.fromkeys(one[0] for row in rows for one in row.estimates))
        for place, row in enumerate(rows):
            _line(axes, place, row, names)
        axes.axvline(1.0, color="#7B8794", linewidth=1.0, linestyle=(0, (4, 3)))
        axes.set_yticks(np.arange(len(rows)), [row.label for row in rows], fontsize=8)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlim(0.0, 2.0)
        axes.set_xlabel("estimate over the value known from elsewhere, with 95 % intervals")
        drawing.legend_below(figure, axes, len(names) + 1)

    return png("known-values", 1.0 + 0.42 * len(rows), paint)


def _line(axes: Axes, place: int, row: KnownRow, names: Sequence[str]) -> None:
    first = place == 0
    low, high = 1.0 - row.known_half, 1.0 + row.known_half
    label = "known value" if first else None
    axes.fill_betweenx([place - 0.4, place + 0.4], low, high, color="#E4E7EB", label=label)
    for name, value, lower, upper in row.estimates:
        k = names.index(name)
        height = place + 0.6 * ((k + 0.5) / len(names) - 0.5)
        colour = _COLOURS[k % len(_COLOURS)]
        axes.hlines(height, lower, upper, color=colour, linewidth=1.3)
        axes.plot(value, height, "o", color=colour, markersize=4, label=name if first else None)
    if not row.carried:
        where = blended_transform_factory(axes.transAxes, axes.transData)
        axes.text(0.995, place, "cannot tell", transform=where, ha="right", va="center", fontsize=8)

"""Figure of policies' values in learned worlds against the true world: one panel a world."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from experiments.common.png import png
from nurture_rl.report import drawing

_ROW_HEIGHT = 2.6  # inches
_REGRETTABLE = 0.005  # of what the best earns above the reference


@dataclass(frozen=True, slots=True, eq=False)
class RankingPanel:
    """What one learned world believes of every policy, and what is true."""

    journey: str
    contacts: int  # in the log
    true: NDArray[np.float64]  # [p]
    believed: NDArray[np.float64]  # [p]
    members: NDArray[np.float64]  # [E, p]; E = 0: no ensemble
    reference: int  # position of the policy others are measured from
    correlation: float  # of the ranks
    regret: float  # share of what the best earns above the reference

    @property
    def chosen(self) -> int:
        """Position of the policy that the learned world likes best."""
        return int(self.believed.argmax())


def ranking(rows: Sequence[Sequence[RankingPanel]], unit: str) -> bytes:
    """Small multiples as a PNG: a row of panels each, usually a journey's, by size of the log.

    Args:
        rows: equally many panels each.
        unit: of the values.
    """

    def paint(figure: Figure) -> None:
        grid = figure.subplots(len(rows), len(rows[0]), squeeze=False)
        for line, panels in zip(grid, rows, strict=True):
            for axes, panel in zip(line, panels, strict=True):
                _paint(axes, panel)
            line[0].set_ylabel(panels[0].journey.replace("_", " "), fontweight="bold")
        for axes in grid[-1]:
            axes.set_xlabel(f"true value, {unit}")
        figure.supylabel(f"value in the learned world, {unit} per episode", fontsize=10)
        drawing.legend_below(figure, grid[0, 0], 5)

    return png("ranking", 0.8 + _ROW_HEIGHT * len(rows), paint)


def _paint(axes: Axes, panel: RankingPanel) -> None:
    """Points on the diagonal are believed rightly; height order is the learned world's ranking."""
    everything = np.concatenate([panel.true, panel.believed, panel.members.ravel()])
    margin = 0.06 * np.ptp(everything)
    ends = [everything.min() - margin, everything.max() + margin]
    axes.plot(ends, ends, color="#7B8794", linewidth=1.0, linestyle=(0, (4, 3)))
    if len(panel.members):
        low, high = panel.members.min(axis=0), panel.members.max(axis=0)
        axes.vlines(panel.true, low, high, color=drawing.SKY, linewidth=1.6, label="members")
    axes.plot(panel.true, panel.believed, "o", color=drawing.BLUE, markersize=4.5, label="policy")
    marks = ((panel.reference, drawing.ORANGE, "drip"), (panel.chosen, drawing.VERMILION, "chosen"))
    for place, colour, label in marks:
        axes.plot(
            panel.true[place], panel.believed[place], "o", color=colour, markersize=6, label=label
        )
    axes.axvline(
        panel.true.max(), color=drawing.GREEN, linewidth=0.8, zorder=1, label="best true value"
    )
    axes.set_xlim(ends[0], ends[1])
    axes.set_ylim(ends[0], ends[1])
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(4))
    axes.set_title(_title(panel), fontsize=9)


def _title(panel: RankingPanel) -> str:
    lost = "no regret" if panel.regret < _REGRETTABLE else f"regret {panel.regret:.0%}"
    return f"{panel.contacts:,} contacts\nρ = {panel.correlation:.2f}, {lost}"

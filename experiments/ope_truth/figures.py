"""Figures of estimators held against true values: scores by size of the log, and values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from experiments.common.png import png
from nurture_rl.report import drawing

FloatArray = NDArray[np.float64]

_COLOURS = (drawing.BLUE, drawing.ORANGE, drawing.GREEN, drawing.PURPLE, drawing.SKY, drawing.INK)
_LARGEST_ERROR = 1.0  # relative; larger ones stand at the edge
_LARGEST_REGRET = 1.5  # of the gain; larger ones stand at the edge


@dataclass(frozen=True, slots=True, eq=False)
class ScorePanel:
    """What logs of one size give: w worlds, k estimators; NaN where nothing is known."""

    size: int  # decisions
    worlds: tuple[str, ...]
    estimators: tuple[str, ...]
    error: FloatArray  # relative, [w, k]
    covered: FloatArray  # share of intervals, [w, k]
    spearman: FloatArray  # [w, k]
    regret: FloatArray  # share of the gain, [w, k]


@dataclass(frozen=True, slots=True, eq=False)
class ValuePanel:
    """One estimator's values on one log against the truth, p policies."""

    world: str
    size: int  # decisions
    true: FloatArray  # [p]
    value: FloatArray  # [p]
    lower: FloatArray  # [p]
    upper: FloatArray  # [p]
    carried: NDArray[np.bool_]  # the log carries the policy, [p]


def truth_scores(panels: Sequence[ScorePanel]) -> bytes:
    """A row a size, four columns of dots: one dot a world, one line an estimator; as a PNG."""

    def paint(figure: Figure) -> None:
        grid = figure.subplots(len(panels), 4, squeeze=False, sharey=True)
        for line, panel in zip(grid, panels, strict=True):
            _dots(line[0], panel, panel.error, (0.0, _LARGEST_ERROR), None)
            _dots(line[1], panel, panel.covered, (0.0, 1.0), 0.95)
            _dots(line[2], panel, panel.spearman, (-1.0, 1.0), None)
            _dots(line[3], panel, panel.regret, (0.0, _LARGEST_REGRET), None)
            line[0].set_ylabel(f"{panel.size:,} decisions", fontweight="bold")
        names = ("relative error", "intervals that cover", "rank correlation", "regret@1")
        for axes, name in zip(grid[0], names, strict=True):
            axes.set_title(name)
        for axes in (*grid[:, 1], *grid[:, 3]):
            axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        drawing.legend_below(figure, grid[0, 0], len(panels[0].worlds))

    height = 0.8 + sum(0.5 + 0.22 * len(panel.estimators) for panel in panels)
    return png("truth-scores", height, paint)


def truth_values(rows: Sequence[Sequence[ValuePanel]], estimator: str) -> bytes:
    """Small multiples as a PNG: a row a world, a column a size; points on the diagonal are right.

    Args:
        rows: equally many panels each.
        estimator: whose values they are.
    """

    def paint(figure: Figure) -> None:
        grid = figure.subplots(len(rows), len(rows[0]), squeeze=False)
        for line, panels in zip(grid, rows, strict=True):
            for axes, panel in zip(line, panels, strict=True):
                _values(axes, panel)
            line[0].set_ylabel(panels[0].world.replace("_", " "), fontweight="bold")
        for axes in grid[-1]:
            axes.set_xlabel("true value")
        figure.supylabel(f"value by {estimator}, per episode", fontsize=10)
        drawing.legend_below(figure, grid[0, -1], 3)

    return png("truth-values", 0.8 + 2.5 * len(rows), paint)


def _dots(
    axes: Axes, panel: ScorePanel, values: FloatArray, ends: tuple[float, float], mark: float | None
) -> None:
    places = np.arange(len(panel.estimators))
    if mark is not None:
        axes.axvline(mark, color="#7B8794", linewidth=1.0, linestyle=(0, (4, 3)))
    for row, (world, colour) in enumerate(zip(panel.worlds, _COLOURS, strict=False)):
        shown = np.clip(values[row], *ends)
        label = world.replace("_", " ")
        axes.plot(shown, places, "o", color=colour, markersize=5, alpha=0.8, label=label)
    margin = 0.05 * (ends[1] - ends[0])
    axes.set_xlim(ends[0] - margin, ends[1] + margin)
    axes.set_ylim(len(places) - 0.5, -0.5)
    axes.set_yticks(places, panel.estimators)


def _values(axes: Axes, panel: ValuePanel) -> None:
    """Intervals of policies that the log does not carry may leave the frame."""
    known = np.concatenate([panel.true, panel.value[panel.carried], panel.true.mean(keepdims=True)])
    margin = 0.1 * max(float(np.ptp(known)), 1e-9)
    ends = (known.min() - margin, known.max() + margin)
    axes.plot(ends, ends, color="#7B8794", linewidth=1.0, linestyle=(0, (4, 3)))
    groups = (
        (~panel.carried, drawing.GREY, "the log does not carry it"),
        (panel.carried, drawing.BLUE, "policy with 95 % interval"),
    )
    for which, colour, label in groups:
        low, high = panel.lower[which], panel.upper[which]
        axes.vlines(panel.true[which], low, high, color=colour, linewidth=1.2)
        axes.plot(panel.true[which], panel.value[which], "o", color=colour, ms=4, label=label)
    axes.set_xlim(*ends)
    axes.set_ylim(*ends)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(4))
    carried = int(panel.carried.sum())
    axes.set_title(f"{panel.size:,} decisions: {carried} of {panel.true.size} carried", fontsize=9)

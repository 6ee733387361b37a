"""Pictures of an experiment: every key figure, and how the answer narrowed week by week."""

from __future__ import annotations

from math import isfinite

import numpy as np
from matplotlib.figure import Figure

from nurture_rl.lift.judged_arms import FigureLift
from nurture_rl.report import drawing

_COLOURS = {"better": drawing.GREEN, "worse": drawing.VERMILION}
_ROW = 0.55  # inches


def lift_bars(lifts: tuple[FigureLift, ...]) -> bytes:
    """The difference in each figure in standard errors, so that all fit on one axis."""

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        for row, one in enumerate(reversed(lifts)):
            scale = one.stderr if one.stderr > 0.0 else 1.0
            middle = one.difference / scale
            colour = _COLOURS.get(one.verdict, drawing.BLUE)
            if isfinite(one.lower):
                axes.plot([one.lower / scale, one.upper / scale], [row, row], color=colour, lw=4)
            axes.plot([x / scale for x in one.once], [row, row], "|", color=drawing.INK, ms=12)
            axes.plot(middle, row, "o", color=colour, mec="white", ms=8)
        axes.axvline(0.0, color=drawing.INK, lw=1)
        names = [f"{one.name}\n({one.better} is better)" for one in reversed(lifts)]
        axes.set_yticks(range(len(lifts)), names)
        axes.set_ylim(-0.6, len(lifts) - 0.4)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("difference in standard errors")

    return drawing.draw("lift-bars", 1.0 + _ROW * len(lifts), paint)


def reads_picture(reads: list[tuple[int, FigureLift]]) -> bytes:
    """Difference and interval over the days on which they were read."""

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        days = np.array([us for us, _ in reads], "datetime64[us]").astype("datetime64[D]")
        lifts = [one for _, one in reads]
        scale = 1.0 if lifts[0].per == "days" else 1000.0
        low, high = ([scale * getattr(one, side) for one in lifts] for side in ("lower", "upper"))
        axes.fill_between(
            days, low, high, color=drawing.SKY, alpha=0.4, lw=0, label="interval at all times"
        )
        axes.plot(
            days,
            [scale * one.difference for one in lifts],
            color=drawing.BLUE,
            marker="o",
            ms=4,
            label="difference",
        )
        axes.axhline(0.0, color=drawing.INK, lw=1)
        axes.set_xticks(days[:: -(-len(days) // 8)])  # eight dates find room
        unit = "days" if lifts[0].per == "days" else "in 1,000 contacts"
        axes.set_ylabel(f"{lifts[0].name}\n({unit})")
        drawing.legend_below(figure, axes, 2)

    return drawing.draw("lift-reads", 3.4, paint)

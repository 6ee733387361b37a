"""What every hour of the week is worth: the planted truth beside what a learned world believes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from nurture_rl.report import drawing

FloatArray = NDArray[np.float64]

SHAPE = (7, 24)  # weekdays from Monday, local hours from midnight
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_LEAST_SPAN = 0.05  # a flat surface is drawn flat


@dataclass(frozen=True, slots=True, eq=False)
class HourSurfaces:
    """Chance of a signal after a send in each hour of the week."""

    signal: str
    truth: FloatArray  # [7, 24], of the world that emitted the log
    learned: FloatArray  # [7, 24], of the world fitted to it
    sent: NDArray[np.bool_]  # [7, 24]: the log has sends there, at least one

    def relative(self) -> tuple[FloatArray, FloatArray]:
        """Both surfaces over their mean over the slots of the log, less 1; each [7, 24]."""
        truth, learned = (
            side / side[self.sent].mean() - 1.0 for side in (self.truth, self.learned)
        )
        return truth, learned

    def correlation(self, slots_only: bool) -> float:
        """Pearson's, over the slots of the log or the whole week; NaN where one side is flat."""
        chosen = self.sent if slots_only else np.ones(SHAPE, bool)
        truth, learned = self.truth[chosen], self.learned[chosen]
        if np.ptp(truth) == 0.0 or np.ptp(learned) == 0.0:
            return float("nan")
        return float(np.corrcoef(truth, learned)[0, 1])


def hour_figure(surfaces: Sequence[HourSurfaces]) -> bytes:
    """One line of two maps a signal, as SVG; dots mark the slots of the log."""

    def paint(figure: Figure) -> None:
        grid = figure.subplots(len(surfaces), 2, squeeze=False, sharex=True, sharey=True)
        for pair, surface in zip(grid, surfaces, strict=True):
            _paint_pair(figure, list(pair), surface)
        for axes in grid[-1]:
            axes.set_xlabel("local hour of the send (dot: the log sends then)")

    return drawing.draw("hours-168", 0.9 + 2.5 * len(surfaces), paint)


def _paint_pair(figure: Figure, pair: list[Axes], surface: HourSurfaces) -> None:
    sides = surface.relative()
    span = max(_LEAST_SPAN, *(float(np.abs(side).max()) for side in sides))
    signal, hours = surface.signal.replace("_", " "), int(surface.sent.sum())
    titles = (
        f"{signal}, as planted; the log sends in {hours} of 168 hours",
        f"as learned: correlation {surface.correlation(True):.2f} in these hours, "
        f"{surface.correlation(False):.2f} in all",
    )
    for axes, side, title in zip(pair, sides, titles, strict=True):
        image = _paint_week(axes, side, surface.sent, span)
        axes.set_title(title, fontsize=9)
    percent = FuncFormatter(lambda value, _: f"{100 * value:+.0f} %")
    bar = figure.colorbar(image, ax=pair, format=percent, shrink=0.95, pad=0.02)
    bar.set_label("chance over its mean\nin the hours of the log")


def _paint_week(axes: Axes, side: FloatArray, sent: NDArray[np.bool_], span: float) -> AxesImage:
    """A map of the week; orange against purple is told apart by colour-blind readers too."""
    image = axes.imshow(side, cmap="PuOr_r", vmin=-span, vmax=span, aspect="auto", origin="upper")
    day, hour = np.nonzero(sent)
    axes.plot(hour, day, ".", color=drawing.INK, markersize=3.5)
    axes.set_xticks(range(0, SHAPE[1], 3), [f"{hour:02d}" for hour in range(0, SHAPE[1], 3)])
    axes.set_yticks(range(SHAPE[0]), _DAYS)
    axes.grid(visible=False)
    return image

"""Pictures of the study: shares of the attainable lift, and where the rest of it goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from experiments.common.png import png
from experiments.learners.oracle import Standard
from experiments.learners.scoring import ALONE, RELEASED, Panel, panels
from experiments.learners.seeds import summary
from experiments.learners.shares import EXPERT
from experiments.learners.study import LearnerRecord
from nurture_rl.report import drawing

_SEED = 0  # of the bootstrap
_LEAST = -0.6  # share; what lies below stands at the edge
_LINE = "#7B8794"
_TITLES = {"reference": "inbound lead", "re_engagement": "re-engagement"}
_ROWS = ((ALONE, drawing.ORANGE, "alone"), (RELEASED, drawing.BLUE, "in the trust region"))
_PARTS = (
    ("taken", drawing.BLUE, "taken"),
    ("by_region", drawing.SKY, "trust region"),
    ("by_choice", drawing.PURPLE, "choice of the learner"),
    ("by_learning", drawing.GREY, "not found by any learner"),
)


def write_figures(
    records: Sequence[LearnerRecord], standards: Mapping[str, Standard], folder: Path
) -> None:
    """Pictures of every size that has sound journeys, as PNG."""
    sound = [panel for panel in panels(records, standards) if not panel.void]
    for contacts in sorted({panel.contacts for panel in sound}):
        of_size = [panel for panel in sound if panel.contacts == contacts]
        (folder / f"shares-{contacts}.png").write_bytes(share_figure(of_size))
        if any(one.losses is not None for panel in of_size for one in panel.choices()):
            (folder / f"losses-{contacts}.png").write_bytes(loss_figure(of_size))


def share_figure(of_size: Sequence[Panel]) -> bytes:
    """A column a journey, a line a learner; as a PNG.

    Args:
        of_size: journeys at one size of the log, none of them void.
    """
    learners = _ranked(of_size)

    def paint(figure: Figure) -> None:
        grid = figure.subplots(1, len(of_size), squeeze=False, sharey=True)[0]
        for axes, panel in zip(grid, of_size, strict=True):
            _shares(axes, panel, learners)
        grid[0].set_yticks(range(len(learners)), learners)
        grid[0].set_ylim(len(learners) - 0.5, -0.5)
        for axes in grid:
            axes.set_xlabel("share of the lift")
        drawing.legend_below(figure, grid[0], 4)

    return png("learner-shares", 1.3 + 0.24 * len(learners), paint)


def loss_figure(of_size: Sequence[Panel]) -> bytes:
    """Where the attainable lift goes, a bar a journey: of what is taken for release; as a PNG.

    Args:
        of_size: journeys at one size of the log, none of them void.
    """
    shown = [panel for panel in of_size if any(one.losses for one in panel.choices())]

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        for place, panel in enumerate(shown):
            _bar(axes, panel, place, label=place == 0)
        axes.axvline(0.0, color=drawing.INK, linewidth=1.0)
        axes.set_yticks(range(len(shown)), [_title(panel) for panel in shown])
        axes.set_ylim(len(shown) - 0.5, -0.5)
        axes.grid(axis="y", visible=False)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.set_xlabel("share of the attainable lift")
        drawing.legend_below(figure, axes, len(_PARTS))

    return png("learner-losses", 1.3 + 0.5 * len(shown), paint)


def _ranked(of_size: Sequence[Panel]) -> list[str]:
    """Learners of any journey, by their mean share alone."""
    means = {
        name: np.mean([np.mean(p.shares(name, ALONE)) for p in of_size if name in p.learners])
        for name in {name for panel in of_size for name in panel.learners}
    }
    return sorted(means, key=lambda name: (-means[name], name))


def _shares(axes: Axes, panel: Panel, learners: Sequence[str]) -> None:
    axes.axvline(0.0, color=_LINE, linewidth=1.0)
    if EXPERT in panel.programmes:
        expert = panel.share(panel.programmes[EXPERT])
        axes.axvline(expert, color=drawing.GREEN, linestyle=(0, (4, 3)), label="expert's rules")
    rng = np.random.default_rng(_SEED)
    for row, colour, label in _ROWS:
        known = [place for place, name in enumerate(learners) if name in panel.learners]
        found = [summary([panel.shares(learners[place], row)], rng) for place in known]
        middle = np.clip([one.value for one in found], _LEAST, 1.0)
        ends = np.array([(one.lower, one.upper) for one in found]).reshape(-1, 2)
        axes.hlines(known, *np.clip(ends.T, _LEAST, 1.0), color=colour, linewidth=1.6, alpha=0.7)
        axes.plot(middle, known, "o", color=colour, markersize=4.5, label=label)
    _rings(axes, panel, learners)
    axes.set_xlim(_LEAST - 0.06, 1.02)
    axes.set_xticks([-0.5, 0.0, 0.5, 1.0])
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_title(_title(panel), fontsize=10)


def _rings(axes: Axes, panel: Panel, learners: Sequence[str]) -> None:
    """Rings around the mean share of whoever is taken without the truth, on any log."""
    rings = set()
    for one in panel.choices():
        for taken, row in ((one.released, RELEASED), (one.alone, ALONE)):
            if taken is not None:
                name = taken.record.learner
                mean = summary([panel.shares(name, row)], np.random.default_rng(_SEED)).value
                rings.add((float(np.clip(mean, _LEAST, 1.0)), learners.index(name)))
    if rings:
        across, down = zip(*sorted(rings), strict=True)
        label = "taken without the truth"
        axes.plot(across, down, "o", color=drawing.INK, fillstyle="none", ms=9.0, label=label)


def _bar(axes: Axes, panel: Panel, place: int, label: bool) -> None:
    """Means over seeds; parts below 0 grow to the left."""
    lost = [one.losses for one in panel.choices() if one.losses is not None]
    left, right = 0.0, 0.0
    for name, colour, told in _PARTS:
        part = float(np.mean([getattr(one, name) / one.lift for one in lost]))
        start = right if part >= 0.0 else left
        axes.barh(place, part, 0.6, start, color=colour, label=told if label else None)
        right, left = (right + part, left) if part >= 0.0 else (right, left + part)
    ceilings = [one.region_ceiling for one in lost if one.region_ceiling is not None]
    if ceilings:
        at = float(np.mean(ceilings)) / lost[0].lift
        about = "an oracle in the trust region" if label else None
        axes.plot([at, at], [place - 0.38, place + 0.38], color=drawing.INK, lw=2.0, label=about)


def _title(panel: Panel) -> str:
    return _TITLES.get(panel.data, panel.data.replace("_", " "))

"""Value by round, with bands, in each world."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.common.png import png
from experiments.rounds.shares import attainable, reached
from nurture_rl.logs.atomic import atomic_write_bytes
from nurture_rl.report import drawing

if TYPE_CHECKING:
    from experiments.rounds.cell import CellRecord

_COLOURS = {
    "rounds": drawing.BLUE,
    "one_log": drawing.ORANGE,
    "from_expert": drawing.GREEN,
    "directed": drawing.PURPLE,
    "compared_bare": drawing.VERMILION,  # an earlier form: see README.md
}

_NAMES = {"compared_bare": "rounds by the earlier form of the question"}


def value_by_round(cells: Sequence[CellRecord], path: Path) -> None:
    """Draw what each programme is truly worth by the contacts that it was learned from."""
    worlds = list(dict.fromkeys(one.data for one in cells))
    if not worlds:
        return

    def paint(figure: Figure) -> None:
        every = figure.subplots(1, len(worlds), squeeze=False)[0]
        for axes, world in zip(every, worlds, strict=True):
            _world(axes, world, [one for one in cells if one.data == world])
        fullest = max(every, key=lambda axes: len(axes.get_legend_handles_labels()[1]))
        drawing.legend_below(figure, fullest, 4)

    atomic_write_bytes(path, png("value-by-round", 4.2, paint))


def _world(axes: Axes, world: str, cells: Sequence[CellRecord]) -> None:
    labelled = set()
    for cell in cells:
        values, sizes = reached(cell.record), [one.contacts for one in cell.record.rounds]
        at = [sum(sizes[:k]) for k in range(len(sizes) + 1)]
        colour = _COLOURS[cell.arm]
        label = None if cell.arm in labelled else _NAMES.get(cell.arm, cell.arm.replace("_", " "))
        labelled.add(cell.arm)
        line = [band.value for band in values]
        axes.plot(at, line, marker="o", markersize=3, color=colour, label=label, linewidth=1.2)
        lower, upper = ([getattr(band, end) for band in values] for end in ("lower", "upper"))
        axes.fill_between(at, lower, upper, color=colour, alpha=0.15, linewidth=0)
    known = attainable().get(world)
    if known is not None:
        axes.axhline(known.drip, color=drawing.GREY, linestyle=":", linewidth=1)
    unit = cells[0].record.unit
    axes.set_title(world.replace("_", " "), fontsize=9)
    axes.set_xlabel("contacts so far")
    axes.set_ylabel(f"{unit} per contact in truth, without exploration")

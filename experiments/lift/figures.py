"""False positives, power and days of each method."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

_COLOURS = ("#0072B2", "#E69F00", "#B8BEC6", "#D55E00")  # told apart by colour-blind readers
_PANELS = (
    ("false_positives", "called different without an effect (stated: 5 %)"),
    ("power", "called different with an effect"),
    ("days", "mean day of the answer"),
)


def draw_figures(rows: Sequence[Any], path: Path) -> None:
    """One panel for each number, a group of bars for each key figure."""
    figures = list(dict.fromkeys(row.figure for row in rows))
    methods = list(dict.fromkeys(row.method for row in rows))
    picture, axes = plt.subplots(3, 1, figsize=(9, 9), layout="constrained", sharex=True)
    places = np.arange(len(figures))
    for axis, (field, title) in zip(axes, _PANELS, strict=True):
        for m, (method, colour) in enumerate(zip(methods, _COLOURS, strict=True)):
            values = [getattr(row, field) for row in rows if row.method == method]
            axis.bar(places + 0.2 * (m - 1.5), values, 0.2, color=colour, label=method)
        axis.set_title(title, loc="left", fontsize=10)
        axis.grid(axis="y", color="#E4E7EB")
        axis.set_axisbelow(True)
    axes[0].axhline(0.05, color="#1F2933", lw=1, ls="--")
    axes[2].set_xticks(places, figures)
    picture.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    picture.savefig(path, dpi=110)
    plt.close(picture)

"""The last interval of every run, beside the truth."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from experiments.served_weeks.served import Run
from experiments.served_weeks.truth import Truth

_INSIDE, _OUTSIDE = "#0072B2", "#D55E00"  # told apart by colour-blind readers
_ARMS = ("policy", "holdout")
_KINDS = ("north star", "first supporting", "second supporting", "velocity")  # in order of reports


def draw_intervals(runs: Sequence[Run], truths: Sequence[Truth], path: Path) -> None:
    """A panel for each arm and kind of key figure: intervals of all worlds in standard errors.

    0 is the truth; runs stand in the order of how far their estimate is from it.
    """
    true = {(one.world, one.arm, one.figure): one.difference for one in truths}
    rows, columns = len(_KINDS), len(_ARMS)
    picture, axes = plt.subplots(
        rows, columns, figsize=(11, 9), sharex=True, sharey=True, layout="constrained"
    )
    for (row, kind), (column, arm) in product(enumerate(_KINDS), enumerate(_ARMS)):
        axis, found = axes[row][column], []
        for run in runs:
            told = [told for told in run.told if told.arm == arm][row]
            half, stderr = told.half[-1], told.stderr[-1]
            if half is not None and stderr is not None:
                off = told.difference[-1] - true[run.world, arm, told.figure]
                found.append((off / stderr, half / stderr))
        z, width = np.array(sorted(found)).T
        colours = np.where(np.abs(z) <= width, _INSIDE, _OUTSIDE)
        axis.vlines(np.arange(z.size), z - width, z + width, color=colours.tolist(), lw=1)
        axis.plot(np.arange(z.size), z, ".", color="#1F2933", ms=3)
        axis.axhline(0.0, color="#1F2933", lw=1, ls="--")
        axis.set_title(f"{arm}: {kind}, {z.size} runs", loc="left", fontsize=10)
    picture.supylabel("standard errors from the truth")
    picture.savefig(path, dpi=90)
    plt.close(picture)

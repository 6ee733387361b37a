"""Coverage of each key figure, week by week."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt

from experiments.served_weeks.scoring import Score

_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00")  # told apart by colour-blind readers


def draw_coverage(scores: Sequence[Score], path: Path) -> None:
    """A panel for each world and arm, a line for each key figure."""
    panels = list(dict.fromkeys((one.truth.world, one.truth.arm) for one in scores))
    picture, axes = plt.subplots(
        len(panels), 1, figsize=(9, 2.6 * len(panels)), layout="constrained", sharex=True
    )
    for axis, (world, arm) in zip(axes, panels, strict=True):
        some = [one for one in scores if (one.truth.world, one.truth.arm) == (world, arm)]
        for one, colour in zip(some, _COLOURS, strict=True):
            shares = [100.0 * held / said for held, said in one.weekly.values()]
            days = [day / 7 for day in one.weekly]
            axis.plot(days, shares, color=colour, marker="o", ms=3, lw=1.2, label=one.truth.figure)
        axis.axhline(95, color="#1F2933", lw=1, ls="--")
        axis.set_ylim(84, 101)
        axis.set_ylabel("%")
        axis.set_title(f"{world}: {arm} against usual", loc="left", fontsize=10)
        axis.grid(axis="y", color="#E4E7EB")
        axis.set_axisbelow(True)
        axis.legend(loc="lower right", ncols=4, fontsize=8)
    axes[-1].set_xlabel("week of the read")
    picture.savefig(path, dpi=110)
    plt.close(picture)

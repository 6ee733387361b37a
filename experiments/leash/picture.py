"""Truth and lower bound of fixed and chosen regions, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from experiments.leash.table import in_order, region

if TYPE_CHECKING:
    from experiments.leash.run import LeashRecord


def draw(records: Sequence[LeashRecord], path: Path) -> None:
    """What each policy truly earns over the drip, and what the held-out contacts can show of it."""
    rows = [(one, leashed) for one in in_order(records) for leashed in one.leashed]
    if not rows:
        return
    figure, axes = plt.subplots(figsize=(9, 0.9 + 0.3 * len(rows)))
    for place, (_, one) in enumerate(rows):
        colour = "tab:orange" if one.asked.startswith("auto") else "tab:blue"
        axes.barh(place, one.over_drip, color=colour, alpha=0.35)
        reach = one.difference - one.lower
        axes.errorbar(one.difference, place, xerr=reach, fmt="o", color=colour, markersize=3)
    names = [f"{one.contacts:,} {one.learner} {one.seed}: {region(held)}" for one, held in rows]
    axes.set_yticks(range(len(rows)), names, fontsize=8)
    axes.invert_yaxis()
    axes.axvline(0.0, color="black", linewidth=0.8)
    axes.set_xlabel("EUR a lead over the drip: bars in truth, lines by the held-out contacts")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)

"""Truth and lower bound of fixed and chosen regions, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from experiments.leash.table import in_order

if TYPE_CHECKING:
    from experiments.leash.run import LeashRecord


def draw(records: Sequence[LeashRecord], path: Path) -> None:
    """What each policy truly earns over the drip, and what the held-out contacts can show of it."""
    rows = in_order(records)
    if not rows:
        return
    figure, axes = plt.subplots(figsize=(8, 0.6 + 0.32 * len(rows)))
    places = range(len(rows))
    colours = ["tab:blue" if one.region is None else "tab:orange" for one in rows]
    axes.barh(places, [one.over_drip for one in rows], color=colours, alpha=0.35)
    for place, one, colour in zip(places, rows, colours, strict=True):
        axes.plot([one.lower, 2 * one.difference - one.lower], [place, place], color=colour)
        axes.plot(one.lower, place, "|", color=colour, markersize=12)
    names = [f"{one.contacts:,} {one.learner} {one.seed}: "
             f"{one.asked if one.region is None else one.region.size}" for one in rows]  # fmt: skip
    axes.set_yticks(places, names, fontsize=8)
    axes.invert_yaxis()
    axes.axvline(0.0, color="black", linewidth=0.8)
    axes.set_xlabel(
        "EUR a lead over the drip: bars in truth, lines the held-out contacts' interval"
    )
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)

"""What rules of a growing number truly earn less than the policy that they were made of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from experiments.distilled.table import in_order

if TYPE_CHECKING:
    from experiments.distilled.run import DistilledRecord


def draw(records: Sequence[DistilledRecord], path: Path) -> None:
    """A panel a journey: fidelity against what is lost, a point for each list of rules."""
    journeys = sorted({one.data for one in records})
    if not journeys:
        return
    figure, panels = plt.subplots(
        1, len(journeys), figsize=(4.5 * len(journeys), 3.6), squeeze=False
    )
    for panel, journey in zip(panels[0], journeys, strict=True):
        of_it = [one for one in in_order(records) if one.data == journey]
        for place, learner in enumerate(sorted({one.learner for one in of_it})):
            rows = [
                row
                for one in of_it
                if one.learner == learner
                for row in one.rows
                if row.fidelity is not None and not row.policy.endswith("held")
            ]
            shares = [100.0 * (row.fidelity or 0.0) for row in rows]
            lost = [row.less_alone for row in rows]
            error = [2.0 * row.less_alone_stderr for row in rows]
            marks = {"color": f"C{place}", "label": learner}
            panel.errorbar(shares, lost, yerr=error, fmt="o", markersize=4, **marks)
        panel.axhline(0.0, color="black", linewidth=0.8)
        panel.set_title(journey)
        panel.set_xlabel("held-out decisions taken alike, %")
        panel.set_ylabel("EUR a contact less the policy alone")
        panel.margins(y=0.3)  # room for the legend
        panel.legend(fontsize=8, ncols=2, loc="upper left")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)

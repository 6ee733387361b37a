"""What the library's own reports tell of the study: what is recorded, in few numbers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.rounds.shares import attainable, reached

if TYPE_CHECKING:
    from experiments.rounds.cell import CellRecord

FILE = Path(__file__).parents[2] / "nurture_rl" / "report" / "recorded_rounds.json"
ARMS = ("rounds", "one_log")  # what is told


def shipped(cells: Sequence[CellRecord]) -> str:
    """The text of `recorded_rounds.json`: by journey, what every programme truly came to."""
    told: dict[str, Any] = {}
    for cell in cells:
        known = attainable().get(cell.data)
        if cell.arm not in ARMS or known is None:
            continue
        journey = told.setdefault(
            cell.record.journey,
            {"unit": cell.record.unit, "oracle": round(known.oracle, 1), "programmes": []},
        )
        journey["programmes"].append(
            {
                "arm": cell.arm,
                "seed": cell.seed,
                "contacts": [one.contacts for one in cell.record.rounds],
                "runs": [*(one.programme for one in cell.record.rounds), _last(cell)],
                "values": [round(band.value, 1) for band in reached(cell.record)],
            }
        )
    return json.dumps(told, indent=1, sort_keys=True) + "\n"


def _last(cell: CellRecord) -> str:
    return cell.record.rounds[-1].next_programme

"""The reality gap as a page; a stage of its own, so that a style sheet redoes no judgement."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from nurture_rl.report.gap_page import write_gap_report
from nurture_rl.workflow.gap import read_gap

if TYPE_CHECKING:
    from nurture_rl.workflow.stages import Workshop


def gap_page(workshop: Workshop, gap: Path) -> Path:
    """The folder with `gap.html`, `gap.md` and `gap.json` of a judged world."""
    return workshop.stage("gap_page", {"gap": gap.name}, partial(_written, gap))


def _written(gap: Path, out: Path) -> None:
    write_gap_report(read_gap(gap), out)

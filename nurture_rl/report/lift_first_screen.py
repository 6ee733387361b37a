"""The first screen of a report on lift, whatever chance dealt."""

from __future__ import annotations

from nurture_rl.lift.judged_arms import LiftReport
from nurture_rl.report.lift_answers import FirstScreen, answers
from nurture_rl.report.lift_blocks import block_answers


def first_screen(report: LiftReport) -> FirstScreen:
    """The four lines that are read first."""
    return answers(report) if report.blocks is None else block_answers(report)

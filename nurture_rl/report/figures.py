"""Every figure of a report by name."""

from __future__ import annotations

from nurture_rl.report import ensemble, recorded_rounds, value_figures, world_figures
from nurture_rl.report.source import ReportInput

_PAINTERS = {
    "values": value_figures.values,
    "overlap": value_figures.overlap,
    "members": ensemble.member_values,
    "rounds": recorded_rounds.picture,
    "calibration": world_figures.calibration,
    "action_mix": world_figures.action_mix,
    "guardrails": world_figures.guardrails,
}


def figures(source: ReportInput) -> dict[str, bytes]:
    """Each figure as SVG; those without anything to show are absent.

    Names: values, overlap, members, rounds, calibration, action_mix, guardrails.
    """
    drawn = {name: paint(source) for name, paint in _PAINTERS.items()}
    return {name: svg for name, svg in drawn.items() if svg is not None}

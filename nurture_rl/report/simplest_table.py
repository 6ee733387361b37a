"""Policies from the simplest to the most complex, and how far each may be behind the best."""

from __future__ import annotations

from nurture_rl.report.numbers import MISSING, percent, shown
from nurture_rl.report.ope_source import OpeSource, rows
from nurture_rl.report.source import mapping, number, words
from nurture_rl.report.tables import Table


def simplest_table(source: OpeSource) -> Table:
    """How much there is to understand in each policy, and what none earns more than it."""
    found = mapping(source.appraisal, "simplest")
    tolerance = number(found, "tolerance")
    lines = []
    for row in rows(found, "policies"):
        most = number(row, "at_most")
        enough = most is not None and tolerance is not None and most <= tolerance
        lines.append(
            (
                words(row, "name") or "",
                words(row, "says") or "none to recommend",
                shown(number(row, "estimate"), signed=True),
                shown(most, signed=True),
                "yes" if enough else "not shown",
            )
        )
    level = MISSING if not lines else percent(number(found, "level"))
    caption = (
        f"From the simplest policy on: how far behind the best, {source.unit} {source.per}; "
        f"{level} together, {shown(tolerance)} is tolerated"
    )
    columns = ("Policy", "Made of", "Behind the best", "At most", "Enough")
    return Table(caption, columns, tuple(lines), frozenset({1, 4}))

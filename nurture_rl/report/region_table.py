"""Trust regions that the log chose: which sizes were tried, and what each would show."""

from __future__ import annotations

from dataclasses import dataclass

from nurture_rl.report.numbers import MISSING, count, shown
from nurture_rl.report.source import ReportInput, listed, number, pick, words
from nurture_rl.report.tables import Table


@dataclass(frozen=True, slots=True)
class RegionTable:
    """What the page says of one policy whose trust region was chosen."""

    name: str
    sentence: str
    regions: Table


def chosen_regions(source: ReportInput) -> tuple[RegionTable, ...]:
    """Every policy whose trust region was left to the log."""
    return tuple(
        RegionTable(name, _sentence(found), _regions(source, name, found))
        for name, found in source.regions.items()
    )


def _sentence(found: object) -> str:
    return (
        f"Chosen by {count(number(found, 'episodes'))} training episodes that the policy was not "
        "learned from; then it was learned again from all training contacts. The held-out contacts "
        f"had no say. {words(found, 'reason')}."
    )


def _regions(source: ReportInput, name: str, found: object) -> Table:
    rows = []
    for one in listed(found, "regions"):
        soft, ratio = number(one, "size", "temperature"), number(one, "size", "max_ratio")
        taken = pick(one, "size") == pick(found, "size")
        rows.append(
            (
                f"{shown(ratio)}{' (taken)' if taken else ''}",
                MISSING if soft is None else shown(soft),
                count(number(one, "expected_ess")),
                shown(number(one, "difference"), signed=True),
                shown(number(one, "lower"), signed=True),
                "yes" if pick(one, "carried") is True else words(one, "reason") or MISSING,
            )
        )
    columns = (
        "Largest ratio",
        "Temperature",
        "Expected effective sample",
        f"Difference to {words(found, 'reference')}",
        "Expected lower bound",
        "Can be judged",
    )
    caption = f"Trust regions of \u201c{name}\u201d, {source.unit} {source.per}"
    return Table(caption, columns, tuple(rows), frozenset({5}))

"""What a hidden cause could make of numbers whose propensities are estimated."""

from __future__ import annotations

from nurture_rl.report.numbers import MISSING, shown
from nurture_rl.report.ope_source import OpeSource, role, rows
from nurture_rl.report.source import listed, number, words
from nurture_rl.report.tables import Table

_WHERE = {"each": "every decision", "one": "one decision of an episode"}
NOTE = (
    "Γ says how strong a cause may be that nobody wrote down: by how much it changes the odds of "
    "what was done, up or down. At Γ = 1 nothing is hidden and the value is the self-normalised "
    "one. Each cell is what the value may then be, and in brackets the same with chance; bounds of "
    "several decisions are outer ones. The last column is the Γ at which the difference to the "
    "logged programme may be nothing, chance included."
)


def bounds(source: OpeSource) -> Table:
    """The bounds of every policy that the log carries, by how strong a hidden cause may be."""
    lines, gammas = [], [1.0]
    for name in source.policies:
        for one in rows(source.appraisal, "hidden", name):
            gammas += [number(row, "gamma") or 1.0 for row in rows(one, "bounds")]
            gammas += [float(str(gamma)) for gamma in listed(one, "refused")]
    columns = sorted(set(gammas))
    for name in source.policies:
        for one in rows(source.appraisal, "hidden", name):
            cells = {number(row, "gamma"): _cell(row) for row in rows(one, "bounds")}
            told = [cells.get(gamma, "anything") for gamma in columns]
            where = _WHERE.get(words(one, "spread") or "", MISSING)
            lines.append((role(source, name), where, *told, _undone(number(one, "undone_at"))))
    heads = tuple(f"Γ = {gamma:g}" for gamma in columns)
    return Table(
        f"Bounds of the value, {source.unit} {source.per}",
        ("Policy", "Hidden in", *heads, "Undone at Γ"),
        tuple(lines),
        frozenset({1}),
    )


def _cell(row: object) -> str:
    least, most = number(row, "least"), number(row, "most")
    lower, upper = number(row, "interval", "lower"), number(row, "interval", "upper")
    value = shown(least) if least == most else f"{shown(least)} to {shown(most)}"
    return f"{value} [{shown(lower)}, {shown(upper)}]"


def _undone(gamma: float | None) -> str:
    if gamma is None:
        return "none found"
    return "as it is" if gamma <= 1.0 else f"{gamma:.2f}"

"""Whether a program that learned nothing is enough: each learned policy less that bar."""

from __future__ import annotations

from collections.abc import Mapping

from nurture_rl.report.numbers import MISSING, Bounded, bounded
from nurture_rl.report.source import ReportInput, listed, mapping, number, pick, words
from nurture_rl.report.tables import Table

_ANSWERS: Mapping[object, str] = {True: "passed", False: "refused"}


def bar_name(source: ReportInput) -> str | None:
    """The program that a learned policy must beat."""
    return words(source.evaluation, "bar", "name")


def about_bar(source: ReportInput) -> str:
    """Which program it is, why, and whether the log can judge it; empty where nothing is known."""
    name, reason = bar_name(source), words(source.evaluation, "bar", "reason")
    if name is None:
        return "" if reason is None else f"No program stands as a bar: {reason}."
    carried = pick(source.ope, "policies", name, "overlap", "feasible")
    judges = (
        "The log carries it, so both judges must put a policy above it."
        if carried is True
        else "The log does not carry it, so the lower bound in the world's worst member decides."
    )
    return f"The bar is “{name}”: {reason}. {judges}"


def against_bar(source: ReportInput) -> Table:
    """Learned policies less the bar by every judge, in truth where it is known."""
    bar = bar_name(source)
    names = [str(name) for name in listed(source.appraisal, "candidates")]
    truth = pick(source.evaluation, "truth", "policies") is not None
    passed = {words(one, "name"): pick(one, "passed") for one in listed(source.gate, "judged")}
    worlds = [("simulator", ()), ("simulator", ("worst",)), *([("truth", ())] if truth else [])]
    rows = tuple(
        (
            name,
            _logged(source, str(bar), name),
            *(_played(source, world, name, *deeper).shown(signed=True) for world, deeper in worlds),
            _ANSWERS.get(passed.get(name), MISSING),
        )
        for name in names
    )
    judges = ("By the log", "In the simulator", "In its worst member")
    columns = ("Policy", *judges, *(("In truth",) if truth else ()), "Gate")
    caption = f"Each candidate less “{bar}”, {source.unit} {source.per}"
    return Table(caption, columns, () if bar is None else rows, frozenset({len(columns) - 1}))


def left_out(source: ReportInput) -> tuple[str, ...]:
    """Learned policies that are no candidates, with the reason."""
    return tuple(f"{name}: {why}" for name, why in mapping(source.gate, "left_out").items())


def _played(source: ReportInput, world: str, name: str, *deeper: str) -> Bounded:
    return bounded(source.evaluation, world, "policies", name, "over_bar", *deeper)


def _logged(source: ReportInput, bar: str, name: str) -> str:
    policies = pick(source.ope, "policies")
    if any(pick(policies, one, "overlap", "feasible") is not True for one in (bar, name)):
        return "not carried"
    difference = pick(policies, name, "against_rules")
    ends = (number(difference, "interval", end) for end in ("lower", "upper"))
    return Bounded(number(difference, "value"), *ends).shown(signed=True)

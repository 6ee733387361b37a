"""Tables of the judge of the log that the page of a run and that of `ope` share."""

from __future__ import annotations

from nurture_rl.report.numbers import MISSING, bounded, percent, shown
from nurture_rl.report.ope_source import OpeSource, feasible, interval_at, role, rows
from nurture_rl.report.source import Json, mapping, number, pick, words
from nurture_rl.report.tables import Table

WITHHELD, NOT_CARRIED = "withheld", "not carried"
_DONE = ("routing", "timing")  # factors that say what a policy does and when


def lack(source: OpeSource, name: str) -> str:
    """Why a policy has no number."""
    return WITHHELD if feasible(source, name) else NOT_CARRIED


def kpis(source: OpeSource) -> Table:
    """Each policy's key figures, the north star first, with what it adds to the reference's."""
    entries = sorted(
        rows(source.appraisal, "kpis"), key=lambda kpi: words(kpi, "role") != "north star"
    )
    columns = tuple(
        f"{words(kpi, 'name') or MISSING} ({words(kpi, 'role') or 'supporting'}, "
        f"{words(kpi, 'better') or 'higher'} is better)"
        for kpi in entries
    )
    names = dict.fromkeys(name for kpi in entries for name in mapping(kpi, "policies"))
    logged = ("as logged", *(bounded(kpi, "logged").shown() for kpi in entries))
    lines = [(role(source, name), *(_kpi(source, kpi, name) for kpi in entries)) for name in names]
    caption = f"Key figures by policy, {source.per}"
    return Table(caption, ("Policy", *columns), (logged, *lines) if entries else ())


def _kpi(source: OpeSource, kpi: Json, name: str) -> str:
    if pick(kpi, "policies", name) is None:
        return lack(source, name)
    gain = interval_at(mapping(kpi, "policies", name, "difference"))
    beside = "" if gain.value is None else f"; {gain.shown(signed=True)}"
    return f"{bounded(kpi, 'policies', name).shown()}{beside}"


def doing(source: OpeSource) -> Table:
    """What each policy would do per contact: mails and their hours, pauses, calls."""
    frequencies = mapping(source.appraisal, "doing")
    levels = [
        (factor, level)
        for factor in _DONE
        for level in mapping(frequencies, "logged", factor)
        if (factor, level) != ("routing", "pause:1")  # every bin without anything else
    ]
    lines = tuple(
        (
            "as logged" if name == "logged" else role(source, name),
            *(shown(number(one, factor, level)) for factor, level in levels),
        )
        for name, one in frequencies.items()
    )
    heads = (_head(factor, level) for factor, level in levels)
    caption = f"What each policy would do where the log went, times {source.per}"
    return Table(caption, ("Policy", *heads), lines if levels else ())


def _head(factor: str, level: str) -> str:
    if factor == "timing":
        return "sent at once" if level == "None" else f"sent at {level}:00"
    return f"pause of {level.removeprefix('pause:')} bins" if level.startswith("pause:") else level


def limits(source: OpeSource) -> Table:
    """Who keeps to the journey's limits on harms, by the upper bound."""
    lines = []
    for limit in rows(source.appraisal, "limits"):
        per = words(limit, "per") or ""
        for name, held in mapping(limit, "policies").items():
            lines.append(
                (
                    words(limit, "name") or "",
                    role(source, name),
                    f"{_at_most(number(held, 'upper'))} per {per}",
                    percent(number(limit, "at_most")),
                    _at_most(number(held, "added")) if pick(held, "added") is not None else MISSING,
                    percent(number(limit, "above_reference")),
                    "yes" if pick(held, "kept") is True else "no",
                )
            )
    columns = (
        "Harm",
        "Policy",
        "At most",
        "Limit",
        "At most beyond the reference, per contact",
        "Limit beyond it",
        "Kept",
    )
    return Table(
        "Limits on harms, held against upper bounds", columns, tuple(lines), frozenset({1})
    )


def _at_most(upper: float | None) -> str:
    return "unbounded" if upper is None else percent(upper)

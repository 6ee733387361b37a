"""Sections on risk, segments and lift: figures, tables and what they say."""

from __future__ import annotations

from collections.abc import Mapping

from nurture_rl.report import drawing
from nurture_rl.report.numbers import MISSING, Bounded, count, percent, shown
from nurture_rl.report.ope_figures import Row, forest
from nurture_rl.report.ope_source import OpeSource, role, rows
from nurture_rl.report.source import Json, mapping, number, words
from nurture_rl.report.tables import Table

SEGMENT_VERDICTS = {
    "better": "better",
    "worse": "worse",
    "cannot_tell": "cannot tell",
    "same": "act alike",
}


def appendix_figures(source: OpeSource) -> dict[str, bytes]:
    """Figures of segments and lift; those without anything to show are absent."""
    drawn = {"segments": segments_figure(source), "lift": lift_figure(source)}
    return {name: svg for name, svg in drawn.items() if svg is not None}


def segments_figure(source: OpeSource) -> bytes | None:
    """The candidate's difference to the reference in every segment."""
    lines = []
    for name, values in mapping(source.appraisal, "segments").items():
        for row in rows({"rows": values}, "rows"):
            gap = _gap(row)
            lines.append(
                Row(
                    f"{name}: {words(row, 'name')}",
                    gap,
                    _tone(words(row, "verdict")),
                    sets_axis=gap.lower is not None,
                )
            )
    if not lines:
        return None
    axis = f"{source.unit} {source.per}, {source.candidate} less {_reference(source)}"
    overall = source.difference(source.candidate).value
    return forest("segments", lines, axis, overall, "all contacts")


def lift_figure(source: OpeSource) -> bytes | None:
    """Each factor's share of the lift, and their sum."""
    shares = rows(source.appraisal, "lift", "shares")
    if not shares:
        return None
    lines = [Row(words(row, "name") or "", _interval(row), drawing.BLUE) for row in shares]
    total = mapping(source.appraisal, "lift", "total")
    lines.append(Row("all together", _interval(total), drawing.INK, "D", strong=True))
    axis = f"{source.unit} {source.per}, {source.candidate} less {_reference(source)}"
    return forest("lift", lines, axis, 0.0, "no difference")


def segments_table(source: OpeSource) -> Table:
    """Value and difference by segment."""
    lines = []
    for name, values in mapping(source.appraisal, "segments").items():
        for row in rows({"rows": values}, "rows"):
            verdict = words(row, "verdict") or ""
            lines.append(
                (
                    f"{name}: {words(row, 'name')}",
                    count(number(row, "n_contacts")),
                    count(number(row, "ess")),
                    shown(number(row, "value")),
                    _gap(row).shown(signed=True),
                    _p(number(row, "p_value")),
                    SEGMENT_VERDICTS.get(verdict, verdict),
                )
            )
    columns = (
        "Segment",
        "Contacts",
        "Effective sample size",
        f"Value of {source.candidate}",
        f"Less {_reference(source)}",
        "p, corrected",
        "There",
    )
    caption = f"Value by segment, {source.unit} {source.per}"
    return Table(caption, columns, tuple(lines), frozenset({6}))


def lift_table(source: OpeSource) -> Table:
    """The lift by factor; shares add up to the total."""
    lines = [
        (
            words(row, "name") or "",
            _interval(row).shown(signed=True),
            shown(number(row, "ordered"), signed=True),
            shown(number(row, "alone"), signed=True),
        )
        for row in rows(source.appraisal, "lift", "shares")
    ]
    if lines:
        total = _interval(mapping(source.appraisal, "lift", "total"))
        whole = shown(total.value, signed=True)
        lines.append(("all together", total.shown(signed=True), whole, MISSING))
    columns = ("Factor", "Share of the lift", "Unlocked in this order", "Unlocked alone")
    caption = f"Lift of {source.candidate} by factor, {source.unit} {source.per}"
    return Table(caption, columns, tuple(lines))


def tails_table(source: OpeSource) -> Table:
    """How bad, typical and good episodes go under each policy."""
    tails = mapping(source.appraisal, "tails")
    lines, heads, share = [], [], 0.05
    for name, tail in tails.items():
        share = number(tail, "share") or share
        quantiles = rows(tail, "quantiles")
        heads = [f"{_whole_percent(number(one, 'share'))} quantile" for one in quantiles]
        worst = Bounded(number(tail, "cvar"), *_ends(mapping(tail, "cvar_interval")))
        lines.append(
            (
                "as logged" if name == "logged" else role(source, name),
                worst.shown(),
                count(number(tail, "tail_ess")),
                *(shown(number(one, "value")) for one in quantiles),
            )
        )
    columns = (
        "Policy",
        f"Mean of the worst {_whole_percent(share)}",
        "Episodes it rests on",
        *heads,
    )
    return Table(f"Return, {source.unit} {source.per}", columns, tuple(lines))


def harms_table(source: OpeSource) -> Table:
    """Rates of rare harms with upper bounds."""
    lines = []
    for harm, bounds in mapping(source.appraisal, "harms").items():
        for name, bound in bounds.items() if isinstance(bounds, Mapping) else ():
            lines.append(
                (
                    harm,
                    "as logged" if name == "logged" else role(source, name),
                    percent(number(bound, "rate")),
                    percent(number(bound, "upper")),
                    percent(number(bound, "level")),
                    count(number(bound, "observed")),
                )
            )
    columns = (
        "Harm",
        "Policy",
        f"Rate {source.per}",
        "At most",
        "Level",
        "Contacts it was seen in",
    )
    return Table("Rare harms, bounded from above", columns, tuple(lines), frozenset({1}))


def _reference(source: OpeSource) -> str:
    return "the log" if source.reference == "logged" else source.reference


def _gap(row: Json) -> Bounded:
    return Bounded(number(row, "difference"), *_ends(mapping(row, "interval")))


def _interval(row: Json) -> Bounded:
    return Bounded(number(row, "value"), *_ends(mapping(row, "interval")))


def _ends(interval: Json) -> tuple[float | None, float | None]:
    return number(interval, "lower"), number(interval, "upper")


def _tone(verdict: str | None) -> str:
    tones = {"better": drawing.BLUE, "worse": drawing.VERMILION}
    return tones.get(verdict or "", drawing.GREY)


def _whole_percent(share: float | None) -> str:
    """A share that does not break between number and sign."""
    return f"{100.0 * (share or 0.0):g}\N{NO-BREAK SPACE}%"


def _p(value: float | None) -> str:
    if value is None:
        return MISSING
    return "< 0.0001" if value < 0.0001 else f"{value:.2g}"

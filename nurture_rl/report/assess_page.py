"""Which journey to begin with, for people."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup
from matplotlib.figure import Figure

from nurture_rl.appraisal.journey_ranking import RankedJourney
from nurture_rl.report import drawing
from nurture_rl.report.drawing import inline
from nurture_rl.report.markdown import grid
from nurture_rl.report.numbers import MISSING, count, percent, shown
from nurture_rl.report.tables import Table
from nurture_rl.report.templates import page

TITLE = "Which journey to begin with?"
_TEN_YEARS = 520  # weeks


def assess_page(rows: Sequence[RankedJourney], subtitle: str) -> str:
    """The page; the same rows give the same bytes.

    Args:
        rows: the first one first.
        subtitle: of which log.
    """
    return page(
        "assess_page.html.j2",
        TITLE,
        subtitle=subtitle,
        answers=answers(rows),
        figure=Markup(inline(_picture(rows))),
        table=_table(rows),
    )


def assess_markdown(rows: Sequence[RankedJourney], subtitle: str) -> str:
    """The same without the picture."""
    lines = [f"# {TITLE}", "", subtitle, ""]
    lines += [f"- **{question}** {answer}" for question, answer in answers(rows)]
    return "\n".join([*lines, *grid(_table(rows))]) + "\n"


def answers(rows: Sequence[RankedJourney]) -> list[tuple[str, str]]:
    """The first screen: with which, how soon an answer comes, and what would help."""
    best = rows[0]
    if best.why_not is not None:
        first = f"With none yet: of {best.name}, the nearest, {best.why_not}."
    else:
        first = (
            f"With {best.name} ({best.title}): {count(best.contacts)} contacts, "
            f"{shown(best.per_week)} more a week, of whom "
            f"{percent(best.reached / max(best.watched, 1))} come to {best.north_star}."
        )
    soon = (
        f"A gain of a quarter is found in {count(best.units)} contacts: {_long(best.weeks)} as "
        "they come now."
        if best.contacts
        else "Nobody in the log enters it."
    )
    missing = sorted({source for row in rows for source in row.silent_sources})
    help_ = (
        f"Events of {', '.join(missing)}: journeys have signals of them, and the log has none."
        if missing
        else "No source is missing; more contacts, or a larger effect to look for."
    )
    return [(TITLE, first), ("How soon would it tell?", soon), ("What would help?", help_)]


def _long(weeks: int) -> str:
    return f"{count(weeks)} weeks" if weeks <= _TEN_YEARS else "more than ten years"


def _table(rows: Sequence[RankedJourney]) -> Table:
    head = (
        *("Journey", "Contacts", "A week", "North star", "Reached", "Median days to it"),
        *("Signals heard", "Weeks to an answer", "Against it"),
    )
    cells = tuple(
        (
            row.name,
            count(row.contacts),
            shown(row.per_week),
            row.north_star,
            percent(row.reached / row.watched) if row.watched else MISSING,
            MISSING if row.median_days is None else shown(row.median_days),
            percent(row.heard),
            _long(row.weeks) if row.contacts else MISSING,
            row.why_not or "nothing",
        )
        for row in rows
    )
    return Table("Candidates, the first one first", head, cells, frozenset({8}))


def _picture(rows: Sequence[RankedJourney]) -> bytes:
    """Weeks to an answer of each candidate."""

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        entered = [row for row in reversed(rows) if row.contacts]
        colours = [drawing.BLUE if row.why_not is None else drawing.GREY for row in entered]
        axes.barh([row.name for row in entered], [row.weeks for row in entered], color=colours)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("weeks to an answer (grey: something speaks against it)")

    return drawing.draw("weeks-to-an-answer", 1.2 + 0.4 * len(rows), paint)

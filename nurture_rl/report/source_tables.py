"""Tables of the sources of a log: what decisions know of them, and visits after mails."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nurture_rl.appraisal.health.mail_visits import HIGH_INTENT, SESSION_MINUTES, MailVisits
from nurture_rl.appraisal.health.source_reach import SourceReach
from nurture_rl.report.numbers import MISSING, count, percent, shown
from nurture_rl.report.tables import Table

_MOST = 30  # messages shown


def reach_table(reach: Sequence[SourceReach]) -> Table:
    """What decisions know of each source, and what it takes to join it."""
    columns = ("Source", "Decisions that know it", "Events", "Contacts", "Of them alone")
    rows = tuple(
        (
            one.source,
            MISSING if one.decisions is None else percent(one.decisions),
            count(one.events),
            count(one.contacts),
            count(one.alone),
            _joining(one),
        )
        for one in reach
    )
    caption = "Sources; alone: contacts whom no other source knows"
    return Table(caption, (*columns, "To join it"), rows, frozenset({5}))


def visits_table(visits: Sequence[MailVisits]) -> Table:
    """What clicks on each message led to; no rows where none led to anything."""
    columns = ("Message", "Mails", "Clicks of people", "Of them with a visit", "Pages a click")
    rows = tuple(
        (
            one.message,
            *(count(one.mails), count(one.clicks), _over(one.visits, one.clicks, percent)),
            _over(one.pages, one.clicks, shown),
            _over(one.different, one.visits, shown),
            _over(one.high_intent, one.clicks, shown),
        )
        for one in visits[:_MOST]
        if any(other.pages for other in visits)
    )
    caption = (
        f"Visits after mails: pages within {SESSION_MINUTES} minutes of a click, or that name the "
        f"message; high intent: {', '.join(HIGH_INTENT)} and forms"
    )
    more = ("Different pages a visit", "High-intent pages a click")
    return Table(caption, (*columns, *more), rows)


def _joining(one: SourceReach) -> str:
    if not one.signals:
        return "no signal of the journey reads it"
    if not one.events:
        return "export it with a key that mail has too, and map it (`nurture map`)"
    if one.alone:
        return "rows that name both keys of a person, as a form or a sign-in does"
    return "joined"


def _over(part: int, whole: int, told: Callable[[float], str]) -> str:
    return told(part / whole) if whole else MISSING

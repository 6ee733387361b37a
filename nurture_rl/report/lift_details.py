"""Tables of what happened by arm, each with what it counts and over what."""

from __future__ import annotations

from math import isfinite

from nurture_rl.lift.arm_details import ArmDetails
from nurture_rl.lift.written_plan import Plan
from nurture_rl.report.numbers import MISSING, Bounded, count, percent, shown
from nurture_rl.report.tables import Table


def detail_tables(details: ArmDetails, plan: Plan) -> list[tuple[Table, str]]:
    """Each table and its definition; a table without rows says so in its definition."""
    made = [
        _pipeline(details, plan),
        _meetings(details, plan),
        _jobs(details),
        _replies(details, plan),
        _families(details, plan),
    ]
    return [
        (table, words if table.rows else f"{words} The log tells of none so far.")
        for table, words in made
    ]


def _share(part: float, whole: float) -> str:
    return percent(part / whole) if whole > 0 else MISSING


def _pipeline(details: ArmDetails, plan: Plan) -> tuple[Table, str]:
    head = (
        *("Arm", "Key figure", "Followed up", "Mailed", "Outcomes", "Influenced"),
        *("Influenced share", "Incremental", "Incremental share"),
    )
    rows = []
    for one in details.pipeline:
        low = Bounded(None) if one.incremental is None else _bounded(*one.incremental)
        rows.append(
            (
                one.arm,
                one.figure,
                count(one.contacts),
                count(one.mailed),
                _amount(one.outcomes),
                _amount(one.influenced),
                _share(one.influenced, one.outcomes),
                low.shown(signed=True),
                MISSING if low.value is None else _share(low.value, one.outcomes),
            )
        )
    words = (
        "Contacts followed up, outcomes within the window. Influenced: every outcome of a contact "
        "with a mail in the window, also those that would have come without it. Incremental: the "
        f"difference to `{plan.usual}` per contact, times the arm's contacts, with the interval "
        "at all times together. Shares are of the arm's outcomes. What lies between the two is "
        "claimed by mail and not brought by it."
    )
    return Table("Influenced and incremental pipeline", head, tuple(rows), frozenset({1})), words


def _amount(value: float) -> str:
    return count(value) if value.is_integer() else shown(value)


def _bounded(value: float, lower: float, upper: float) -> Bounded:
    return Bounded(value, *(end if isfinite(end) else None for end in (lower, upper)))


def _meetings(details: ArmDetails, plan: Plan) -> tuple[Table, str]:
    head = (
        *("Arm", "Accounts", "Booked", "Accounts with one", "Share of accounts"),
        *("Held", "Accounts that held one", "Share of accounts with one"),
    )
    told = any(one.held for one in details.meetings)  # else the log may not know of it
    rows = tuple(
        (
            one.arm,
            count(one.accounts),
            count(one.booked),
            count(one.booked_accounts),
            _share(one.booked_accounts, one.accounts),
            *(
                (
                    count(one.held),
                    count(one.held_accounts),
                    _share(one.held_accounts, one.booked_accounts),
                )
                if told
                else (MISSING,) * 3
            ),
        )
        for one in details.meetings
        if told or any(other.booked for other in details.meetings)
    )
    words = (
        "Events `meeting_booked` and `meeting_held` within the window, of contacts followed up. An "
        "account (or a contact without one) counts once, however many colleagues meet. A meeting "
        f"that is held after the {plan.window_days} days is not in it."
    )
    return Table("Meetings by account", head, rows), words


def _jobs(details: ArmDetails) -> tuple[Table, str]:
    head = (
        *("Arm", "Job", "Mails", "Clicked", "Click rate"),
        *("Converted", "Conversion rate", "Opted out", "Opt-out rate"),
    )
    rows = tuple(
        (
            one.arm,
            one.job,
            count(one.mails),
            *(
                text
                for part in (one.clicked, one.converted, one.opted_out)
                for text in (count(part), _share(part, one.mails))
            ),
        )
        for one in details.jobs
    )
    words = (
        f"Mails whose {details.after_days} days after are over. A mail counts as clicked, "
        "converted (a signal of the north star) or opted out where that came within "
        f"{details.after_days} days; an event belongs to the mail that it names, else to the "
        "contact's last mail before it. Clicks of machines are left out. Rates are per mail."
    )
    return Table("Mail by job", head, rows, frozenset({1})), words


def _replies(details: ArmDetails, plan: Plan) -> tuple[Table, str]:
    names = sorted({name for one in details.replies for name in one.by_class})
    head = ("Arm", "Followed up", *(text for name in names for text in (name, "Share")))
    rows = tuple(
        (
            one.arm,
            count(one.contacts),
            *(
                text
                for name in names
                for text in (
                    count(one.by_class.get(name, 0)),
                    _share(one.by_class.get(name, 0), one.contacts),
                )
            ),
        )
        for one in details.replies
        if names
    )
    words = (
        "Contacts with a reply of a class within the window, over contacts followed up. Classes "
        "are those of the log (`reply_class`); a contact may be in several."
    )
    return Table("Replies by class", head, rows), words


def _families(details: ArmDetails, plan: Plan) -> tuple[Table, str]:
    head = (
        *("Arm", "Family", "Contacts", "Mails", "Hard bounces", "Bounce rate"),
        *("Complaints", "Complaint rate"),
    )
    rows = tuple(
        (
            one.arm,
            one.family,
            count(one.contacts),
            count(one.mails),
            *(
                text
                for part in (one.hard_bounces, one.complaints)
                for text in (count(part), _share(part, one.mails))
            ),
        )
        for one in details.families
    )
    words = (
        "All contacts so far, also those not followed up yet: mails decided within the window and "
        "not taken back, hard bounces and complaints known within it. Families are those of "
        "`email_domain` and of the guardrail `volume`. Rates are per mail. Mail of other systems "
        "is not counted, what it caused is."
    )
    return Table("Mailboxes by family", head, rows, frozenset({1})), words

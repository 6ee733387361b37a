"""Mails, complaints and hard bounces by family of recipient domains, beside what senders may do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from nurture_envs.clock import DAY_US
from nurture_rl.serving.contacts.mail_counts import HARMS, MailCounts, counted, families_in
from nurture_rl.serving.contacts.recipient_domains import BUSINESS, UNKNOWN
from nurture_rl.serving.records import AuditEntry
from nurture_rl.serving.storage.reading import StoreReader
from nurture_rl.serving.watching.timeline import iso

# Complaints per mail: bulk senders are asked to stay below the first, and never to reach the
# second (Google's and Yahoo's rules for senders of 2024).
COMPLAINT_LINES = (0.001, 0.003)
_RARE = 0.00135  # chance beyond three standard deviations of one side of a normal
_EPOCH = date(1970, 1, 1)
_SHOWN = 200  # latest entries of the audit


@dataclass(frozen=True, slots=True)
class HarmDays:
    """One kind of harm of one family."""

    counts: Sequence[int]  # by day
    rate: float | None  # of all these days, per mail; None: there was no mail
    # Most that chance makes of a day's mail at that rate, by day: a control limit. One more is a
    # signal: of a family whose rate did not change, one day in 700 has it.
    most: Sequence[int]
    signals: Sequence[str]  # days above it


@dataclass(frozen=True, slots=True)
class FamilyDays:
    """The mail of one family of mailboxes."""

    family: str
    kind: str  # consumer, business or unknown
    mails: Sequence[int]  # by day; those planned for later today among them
    complaints: HarmDays
    bounces: HarmDays


@dataclass(frozen=True, slots=True)
class SlowedMail:
    """One time at which the server slowed a family down, stopped it, or let it recover."""

    at: str  # ISO 8601
    family: str
    state: str
    why: str


@dataclass(frozen=True, slots=True)
class MailDays:
    """The latest days of all journeys together: mailbox providers judge a sender, not a journey."""

    days: Sequence[str]  # UTC, ISO 8601, the oldest first
    complaint_lines: Sequence[float]
    families: Sequence[FamilyDays]  # the one with the most mail first
    audit: Sequence[SlowedMail]  # the latest first


def mail_days(store: StoreReader, families: Mapping[str, str], now_us: int, days: int) -> MailDays:
    """Count the mail of the latest days, today's among them.

    Args:
        store: read beside the work.
        families: the sender's own, by plain domain.
        now_us: the moment, microseconds since 1970 UTC.
        days: how many UTC days, >= 1.

    Raises:
        StoreUnavailable: the store cannot be read.
    """
    first = now_us // DAY_US - days + 1
    span, counts = range(first, first + days), MailCounts()
    for one in counted(store, families_in(store, families), first * DAY_US).values():
        counts.add(one)

    def by_day(family: str, harm: str) -> list[int]:
        return [counts.harms[family, harm][day] for day in span]

    names = sorted({*counts.sends, *(name for name, _ in counts.harms)})
    rows = [
        FamilyDays(
            family=name,
            kind=name if name in (BUSINESS, UNKNOWN) else "consumer",
            mails=(mails := [counts.sends[name][day] for day in span]),
            complaints=harm_days(by_day(name, HARMS[0]), mails, span),
            bounces=harm_days(by_day(name, HARMS[1]), mails, span),
        )
        for name in names
    ]
    audit = store.audit("mail_volume")[-_SHOWN:]
    return MailDays(
        days=[_iso(day) for day in span],
        complaint_lines=COMPLAINT_LINES,
        families=sorted(rows, key=lambda row: (-sum(row.mails), row.family)),
        audit=[_slowed(entry) for entry in reversed(audit)],
    )


def harm_days(counts: Sequence[int], mails: Sequence[int], span: range) -> HarmDays:
    """One kind of harm held against what chance makes.

    Args:
        counts: by day.
        mails: by day.
        span: the days, since 1970 UTC.
    """
    rate = sum(counts) / sum(mails) if any(mails) else None
    most = [most_by_chance(n * (rate or 0.0)) for n in mails]
    signals = [
        _iso(day) for day, count, limit in zip(span, counts, most, strict=True) if count > limit
    ]
    return HarmDays(counts, rate, most, signals)


def most_by_chance(mean: float) -> int:
    """The most events of a Poisson count that are no signal: more have a chance below 0.135 %.

    Args:
        mean: of the count, >= 0.
    """
    if mean <= 0.0:
        return 0
    if mean > 500.0:  # the sum below would underflow, and the normal is as good
        return math.ceil(mean + 3.0 * math.sqrt(mean))
    term = below = math.exp(-mean)
    count = 0
    while 1.0 - below > _RARE:
        count += 1
        term *= mean / count
        below += term
    return count


def _slowed(entry: AuditEntry) -> SlowedMail:
    return SlowedMail(iso(entry.at_us), entry.subject, entry.state, entry.why)


def _iso(day: int) -> str:
    return str(_EPOCH + timedelta(days=day))

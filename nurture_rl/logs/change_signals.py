"""Signals of a contact that begin to come more or less often, as events: intent, fatigue.

Each contact has a cumulative sum (CUSUM, Page 1954) of the log likelihood ratio between what is
looked for and its own usual. The sum never falls below 0, and at log(run length) the change is
told: where the usual is right, false alarms are then no closer together than the run length, in the
mean (Lorden 1971, theorem 2).

The usual is the contact's own history, shrunk to that of everybody. It learns only when the sum is
at 0, so that a change under way does not become the usual before it is told. What came since the
change began is the history after it: the next one is told against that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from math import log

import pyarrow as pa

from nurture_envs.clock import HOUR_US
from nurture_envs.derived_rules import ChangePoints
from nurture_envs.journey import Journey
from nurture_rl.logs.derived_rows import SignalRow, derived_event, signal_rows
from nurture_rl.logs.schema import EVENTS

_OF, _PER = 0, 1  # roles of signals that are watched, and of what they answer
_WEEK_US = 168 * HOUR_US
_LARGEST_SHARE = 0.999


@dataclass(frozen=True, slots=True)
class _Change:
    """A change that is told."""

    times: float  # the new rate or share, as multiple of the usual
    reason: str


def change_events(events: pa.Table, rule: ChangePoints, journey: Journey) -> pa.Table:
    """An event for every change that is told, at the signal that tells it.

    Args:
        events: rows of the events table, all of each contact, in any order.
        rule: what is watched.
        journey: whose signals.

    Returns:
        Rows of the events table. Their value is the new rate or share, as multiple of the usual;
        the property `reason` says it in words.
    """
    rows = signal_rows(events, (rule.of, rule.per, rule.until), journey)
    made = [
        derived_event(rule.type, row, round(change.times, 6), change.reason)
        for _, own in groupby(rows, key=lambda row: row.contact)
        for row, change in _told(own, rule)
    ]
    return pa.Table.from_pylist(made, schema=EVENTS)


def _told(rows: Iterator[SignalRow], rule: ChangePoints) -> Iterator[tuple[SignalRow, _Change]]:
    """The changes of one contact, and the signals that tell them."""
    begin = _Share if rule.per else _Rate
    watch: _Share | _Rate = begin(rule)
    for row in rows:
        change = watch.heard(row) if row.role in (_OF, _PER) else None
        if change is not None:
            yield row, change
        if row.role not in (_OF, _PER):
            watch = begin(rule)


def _usual(rule: ChangePoints, seen: float, among: float) -> float:
    """What is usual for a contact, [0, inf): its own history, shrunk to that of everybody.

    Args:
        rule: what is watched.
        seen: signals so far.
        among: weeks, or signals of `per`, in which they came.
    """
    return (rule.counts_for * rule.usual + seen) / (rule.counts_for + among)


class _Rate:
    """Watches for a Poisson process whose rate rises to a multiple of the usual.

    A signal says something by the time that passed since the one before, so the first says nothing.
    """

    def __init__(self, rule: ChangePoints) -> None:
        self._rule = rule
        self._usual = rule.usual  # signals a week
        self._first = self._last = self._since = -1  # times: of all, until now, of the sum
        self._seen = 0  # intervals between signals that are usual
        self._signals = 0  # since the sum was 0, that one included
        self._sum = 0.0

    def heard(self, row: SignalRow) -> _Change | None:
        """What one more signal tells."""
        rule, at = self._rule, max(row.at, self._last)
        if self._first < 0:
            self._first = self._last = self._since = at
            self._signals = 1
            return None
        unlikely = self._usual * (rule.becomes - 1.0) * (at - self._last) / _WEEK_US
        self._sum += log(rule.becomes) - unlikely
        self._signals, self._last = self._signals + 1, at
        if self._sum <= 0.0:
            self._settle(at)
        if self._sum < log(max(self._usual * rule.run_length, rule.becomes)):
            return None
        days = (at - self._since) / _WEEK_US * 7.0
        change = _Change(
            self._signals / max(days, 1.0) * 7.0 / self._usual,
            f"{self._signals} times {' or '.join(rule.of)} within {days:.1f} days;"
            f" usual is {self._usual:.2g} a week",
        )
        self._first, self._seen = self._since, 0
        self._settle(at)
        return change

    def _settle(self, at: int) -> None:
        """What came so far is usual."""
        self._seen += self._signals - 1
        self._usual = _usual(self._rule, self._seen, (at - self._first) / _WEEK_US)
        self._sum, self._signals, self._since = 0.0, 1, at


class _Share:
    """Watches for a change of the chance that something is answered.

    Whether it was is known when the next of its kind comes, and so the change is told then.
    """

    def __init__(self, rule: ChangePoints) -> None:
        self._rule = rule
        self._usual = rule.usual
        self._waits = self._answered = False  # the last one of `per`
        self._seen = self._among = 0  # answers, and what they were among, that are usual
        self._answers = self._trials = 0  # the same while the sum is above 0
        self._sum = 0.0

    def heard(self, row: SignalRow) -> _Change | None:
        """What one more signal tells."""
        if row.role == _OF:
            self._answered = True
            return None
        change = self._counted() if self._waits else None
        self._waits, self._answered = True, False
        return change

    def _counted(self) -> _Change | None:
        """What an answer tells that is known by now, or that none came."""
        rule = self._rule
        self._trials += 1
        self._answers += self._answered
        self._sum += _evidence(self._answered, self._usual, rule.becomes)
        if self._sum <= 0.0:
            self._settle()
        if self._sum < log(rule.run_length):
            return None
        change = _Change(
            self._answers / self._trials / self._usual,
            f"{' or '.join(rule.of)} after {self._answers} of {self._trials} times"
            f" {' or '.join(rule.per)}; usual is {self._usual:.0%}",
        )
        self._seen = self._among = 0
        self._settle()
        return change

    def _settle(self) -> None:
        """What came so far is usual."""
        self._seen, self._among = self._seen + self._answers, self._among + self._trials
        self._usual = _usual(self._rule, self._seen, self._among)
        self._sum, self._answers, self._trials = 0.0, 0, 0


def _evidence(answered: bool, usual: float, times: float) -> float:
    """Log likelihood ratio of one answer, or of none."""
    usual = min(usual, _LARGEST_SHARE)
    changed = min(usual * times, _LARGEST_SHARE)
    return log(changed / usual) if answered else log((1.0 - changed) / (1.0 - usual))

"""Signals of a contact that repeat themselves, as events of their own: friction, confusion."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

import pyarrow as pa

from nurture_envs.clock import HOUR_US
from nurture_envs.derived_rules import RepeatedEvents
from nurture_envs.journey import Journey
from nurture_rl.logs.derived_rows import SignalRow, derived_event, signal_rows
from nurture_rl.logs.schema import EVENTS

_COUNTED = 0  # role of a signal that is counted


def repeated_events(events: pa.Table, rule: RepeatedEvents, journey: Journey) -> pa.Table:
    """An event for every so many signals within so many hours, at the last of them known.

    Each signal counts for one event at most. A signal of `until` begins the count anew, as does an
    event that was made.

    Args:
        events: rows of the events table, all of each contact, in any order.
        rule: what is counted.
        journey: whose signals.

    Returns:
        Rows of the events table; their value is the number of signals.
    """
    rows = signal_rows(events, (rule.of, rule.until), journey)
    made = [derived_event(rule.type, row, float(rule.times)) for row in _made(rows, rule)]
    return pa.Table.from_pylist(made, schema=EVENTS)


def _made(rows: Sequence[SignalRow], rule: RepeatedEvents) -> Iterator[SignalRow]:
    """The rows that complete a count."""
    span = round(rule.hours * HOUR_US)
    who, times = "", deque[int]()
    for row in rows:
        counts = row.role == _COUNTED
        if row.contact != who or not counts:
            who = row.contact
            times.clear()
        if not counts:
            continue
        times.append(row.at)
        last = max(times)
        times = deque(one for one in times if one > last - span)
        if len(times) >= rule.times:
            times.clear()
            yield row

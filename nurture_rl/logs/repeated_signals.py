"""Signals of a contact that repeat themselves, as events of their own: friction, confusion.

They are counted in the order in which the log knew of them, so that nothing that became known later
can change one that was made.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nurture_envs.clock import HOUR_US
from nurture_envs.journey import Journey
from nurture_envs.repeated_events import RepeatedEvents
from nurture_rl.logs.click_signals import SOURCE, derived_id
from nurture_rl.logs.schema import EVENTS

# A row: contact, when it was known, when it happened, its id, whether it is counted.
_Row = tuple[str, int, int, str, bool]


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
    counted = _of(events, rule.of, journey)
    asked = np.flatnonzero(counted | _of(events, rule.until, journey))
    some = events.take(pa.array(asked))
    happened = some["occurred_at"].cast(pa.int64()).to_pylist()
    recorded = some["recorded_at"].cast(pa.int64()).to_pylist()
    rows = sorted(
        zip(
            some["contact_id"].to_pylist(),
            map(max, happened, recorded),
            happened,
            some["event_id"].to_pylist(),
            counted[asked].tolist(),
            strict=True,
        )
    )
    made = [_event(row, rule) for row in _made(rows, rule)]
    return pa.Table.from_pylist(made, schema=EVENTS)


def _of(events: pa.Table, names: Sequence[str], journey: Journey) -> np.ndarray:
    """Which events are one of some signals, [n]."""
    found = np.zeros(len(events), bool)
    for signal in journey.signals:
        if signal.name in names:
            one = pc.equal(events["type"], signal.type)
            for column, value in signal.filters().items():
                one = pc.and_(one, pc.fill_null(pc.equal(events[column], value), False))
            found |= np.asarray(one.to_numpy(), bool)
    return found


def _made(rows: Sequence[_Row], rule: RepeatedEvents) -> Iterator[_Row]:
    """The rows that complete a count."""
    span = round(rule.hours * HOUR_US)
    who, times = "", deque[int]()
    for row in rows:
        contact, _, at, _, counts = row
        if contact != who or not counts:
            who = contact
            times.clear()
        if not counts:
            continue
        times.append(at)
        last = max(times)
        times = deque(one for one in times if one > last - span)
        if len(times) >= rule.times:
            times.clear()
            yield row


def _event(row: _Row, rule: RepeatedEvents) -> dict[str, object]:
    contact, known, at, name, _ = row
    return {
        **dict.fromkeys(EVENTS.names),
        "event_id": derived_id(rule.type, contact, name),
        "contact_id": contact,
        "occurred_at": at,
        "recorded_at": known,
        "type": rule.type,
        "source": SOURCE,
        "value": float(rule.times),
        "is_machine": False,
        "properties": "{}",
    }

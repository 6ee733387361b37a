"""What derived events are worked out of, in the order in which the log knew of it.

In that order nothing that became known later can change an event that was made: a log read
afterwards and a server that hears of one event after the other work out the same.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nurture_envs.journey import Journey
from nurture_rl.logs.click_signals import SOURCE, derived_id
from nurture_rl.logs.schema import EVENTS


class SignalRow(NamedTuple):
    """One signal of a contact; times in microseconds since 1970 UTC."""

    contact: str
    known: int
    at: int
    event_id: str
    role: int  # place of the group that names it


def signal_rows(
    events: pa.Table, groups: Sequence[Sequence[str]], journey: Journey
) -> list[SignalRow]:
    """The events that are signals of some groups, by contact and by when they were known.

    Args:
        events: rows of the events table, in any order.
        groups: names of signals; an event of several groups counts for the first.
        journey: whose signals.
    """
    roles = np.full(len(events), len(groups))
    for role in reversed(range(len(groups))):
        roles[_of(events, groups[role], journey)] = role
    asked = np.flatnonzero(roles < len(groups))
    some = events.take(pa.array(asked))
    happened = some["occurred_at"].cast(pa.int64()).to_pylist()
    recorded = some["recorded_at"].cast(pa.int64()).to_pylist()
    columns = (
        some["contact_id"].to_pylist(),
        map(max, happened, recorded),
        happened,
        some["event_id"].to_pylist(),
        roles[asked].tolist(),
    )
    return sorted(map(SignalRow, *columns))


def derived_event(
    kind: str, row: SignalRow, value: float, reason: str | None = None
) -> dict[str, Any]:
    """A row of the events table: what is worked out, at the signal that completes it.

    Args:
        kind: its type.
        row: the signal.
        value: its value.
        reason: why, in words, as the property `reason`; None: it has no property.
    """
    return {
        **dict.fromkeys(EVENTS.names),
        "event_id": derived_id(kind, row.contact, row.event_id),
        "contact_id": row.contact,
        "occurred_at": row.at,
        "recorded_at": row.known,
        "type": kind,
        "source": SOURCE,
        "value": value,
        "is_machine": False,
        "properties": "{}" if reason is None else json.dumps({"reason": reason}),
    }


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

"""Events that a server works out of others, as `ingest` does, for signals that read them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

from nurture_rl.logs.derived_events import DerivedEvents
from nurture_rl.logs.schema import EVENTS
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.records import Event
from nurture_rl.serving.storage.store import Store

_MICROSECONDS = {"occurred_at": "occurred_us", "recorded_at": "recorded_us"}


def add_derived(store: Store, bundles: Iterable[Bundle], fresh: Sequence[Event]) -> None:
    """Work out and store what follows from all events of those contacts who have new ones.

    What is known changes nothing that was worked out before, so a server that stopped in between
    makes up for it at the contact's next event.

    Args:
        store: holds the new events, under the lock of their contacts.
        bundles: whose journeys' signals are worked out.
        fresh: the new events.
    """
    derived = [
        one for one in (DerivedEvents(bundle.journey, None) for bundle in bundles) if one.types
    ]
    read = {kind for one in derived for kind in one.reads}
    names = {event.contact_id for event in fresh if event.type in read}
    if not names:
        return
    rows = pa.Table.from_pylist(
        [_cells(event) for told in store.events(names).values() for event in told], schema=EVENTS
    )
    new = {row["event_id"]: row for one in derived for row in _plain(one.new(rows))}
    if new:
        store.append_events([_event(row) for _, row in sorted(new.items())])


def _cells(event: Event) -> dict[str, Any]:
    return {name: getattr(event, _MICROSECONDS.get(name, name)) for name in EVENTS.names}


def _event(row: dict[str, Any]) -> Event:
    return Event(**{_MICROSECONDS.get(name, name): value for name, value in row.items()})


def _plain(rows: pa.Table) -> list[dict[str, Any]]:
    """Rows with times in microseconds."""
    for name in _MICROSECONDS:
        place = rows.schema.get_field_index(name)
        rows = rows.set_column(place, name, rows[name].cast(pa.int64()))
    return list(rows.to_pylist())

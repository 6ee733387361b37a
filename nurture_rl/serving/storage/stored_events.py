"""Events as a store gives them: rows of their table, made into records only where one is asked for.

Most events of a contact only add to channels. So whoever decides for many contacts takes columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, overload

from nurture_rl.serving.records import Event
from nurture_rl.serving.storage.rows import Row, event_of, event_row

_NAMES = Event.__slots__
_TYPE, _REPLY = _NAMES.index("type"), _NAMES.index("reply_class")

Test = Callable[[str, str | None], bool]  # of an event's type and reply class


class StoredEvents(Sequence[Event]):
    """Events of one contact, in the order in which they were acknowledged."""

    __slots__ = ("rows",)

    def __init__(self, rows: Sequence[Row] = ()) -> None:
        """Take rows of the events table."""
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Event]:
        return map(event_of, self.rows)

    @overload
    def __getitem__(self, place: int) -> Event: ...

    @overload
    def __getitem__(self, place: slice) -> StoredEvents: ...

    def __getitem__(self, place: int | slice) -> Event | StoredEvents:
        if isinstance(place, slice):
            return StoredEvents(self.rows[place])
        return event_of(self.rows[place])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))


def rows_of(events: Sequence[Event]) -> Sequence[Row]:
    """The rows of events."""
    if isinstance(events, StoredEvents):
        return events.rows
    return [event_row(event) for event in events]


def columns_of_rows(rows: Sequence[Row]) -> Mapping[str, Sequence[Any]]:
    """The cells of rows of the events table by column, each [m]."""
    return dict(zip(_NAMES, zip(*rows, strict=True) if rows else [()] * len(_NAMES), strict=True))


def events_that(events: Iterable[Event], test: Test) -> list[Event]:
    """The events whose type and reply class pass a test."""
    if isinstance(events, StoredEvents):
        return [event_of(row) for row in events.rows if test(row[_TYPE], row[_REPLY])]
    return [event for event in events if test(event.type, event.reply_class)]


def is_report_of_send(kind: str, reply_class: str | None) -> bool:
    """Whether an event says that a mail left."""
    return kind == "sent"

"""A log that is read again with each row that comes, as a server hears of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.unit.logs.test_machine_marks import table

Events = dict[str, dict[str, Any]]  # by their ids


def read_piece_by_piece(rows: list[dict[str, Any]], work: Callable[[Any], Any]) -> Events:
    """What is worked out of rows that come one by one; it must be that of all of them at once.

    Args:
        rows: of the events table, in any order.
        work: makes a table of events out of one.
    """

    def worked_out(some: list[dict[str, Any]]) -> Events:
        return {row["event_id"]: row for row in work(table(*some)).to_pylist()}

    known = sorted(rows, key=lambda row: max(row["recorded_at"], row["occurred_at"]))
    pieces: Events = {}
    for until in range(1, len(known) + 1):
        for name, row in worked_out(known[:until]).items():
            pieces.setdefault(name, row)
    assert pieces == worked_out(known)
    return pieces

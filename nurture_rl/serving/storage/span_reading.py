"""What was decided and reported in a span of time, for whoever watches a server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nurture_rl.serving.names import contact_key
from nurture_rl.serving.records import Decision, Event
from nurture_rl.serving.storage import rows
from nurture_rl.serving.storage.table_reading import TableReader, columns_of

_BLOCK = 10_000  # rows read at a time


class SpanReader(TableReader):
    """The part of a store's reader that asks by time; it reads beside the work."""

    @property
    def location_name(self) -> str:
        """The store as people know it, without a password."""
        return self._source.name

    def latest_decision_us(self, journey: str) -> int | None:
        """When a journey's latest decision was made, microseconds since 1970 UTC; None: never."""
        asked = "SELECT max(decided_us) FROM decisions WHERE journey = ?"
        ((latest,),) = self._source.read(asked, (journey,))
        return None if latest is None else int(latest)

    def last_before(self, journey: str, at_us: int) -> int:
        """The place of the last decision before the change of policies' roles of a moment.

        Args:
            journey: whose policies.
            at_us: the moment that the change says, microseconds since 1970 UTC.
        """
        asked = "SELECT max(after_row) FROM policy_log WHERE journey IN (?, '') AND at_us = ?"
        ((place,),) = self._source.read(asked, (journey, at_us))
        return place or 0

    def decisions_after(self, journey: str, after_us: int) -> Iterator[Decision]:
        """A journey's decisions after some moment, in the order they came."""
        columns = columns_of("decisions")
        asked = (
            f"SELECT {columns} FROM decisions WHERE journey = ? AND decided_us > ? ORDER BY rowid"
        )
        with self._source.blocks(asked, _BLOCK, (journey, after_us)) as blocks:
            for block in blocks:
                yield from map(rows.decision_of, block)

    def count_decisions(self, journey: str, after_us: int) -> int:
        """How many decisions of a journey were made after some moment."""
        asked = "SELECT count(*) FROM decisions WHERE journey = ? AND decided_us > ?"
        ((count,),) = self._source.read(asked, (journey, after_us))
        return int(count)

    def place_before(self, journey: str, at_us: int) -> int:
        """The place of a journey's last decision until some moment; 0: there is none."""
        asked = "SELECT max(rowid) FROM decisions WHERE journey = ? AND decided_us <= ?"
        ((place,),) = self._source.read(asked, (journey, at_us))
        return place or 0

    def decided_cells(
        self, journey: str, after_us: int, most: int, columns: Sequence[str]
    ) -> Iterator[list[rows.Row]]:
        """Some columns of a journey's latest decisions after some moment, the latest first.

        Args:
            journey: of the decisions.
            after_us: that moment, microseconds since 1970 UTC.
            most: older decisions than so many are left out.
            columns: of `DECISION_COLUMNS`.
        """
        asked = (
            f"SELECT {', '.join(columns)} FROM decisions WHERE journey = ? AND decided_us > ? "
            "ORDER BY decided_us DESC LIMIT ?"
        )
        with self._source.blocks(asked, _BLOCK, (journey, after_us, most)) as blocks:
            yield from blocks

    def withdrawn_by_reason(self, journey: str, after_us: int) -> dict[str, int]:
        """How many decisions of a journey were taken back after some moment, by why."""
        asked = (
            "SELECT reason, count(*) FROM withdrawals JOIN decisions USING (decision_id) "
            "WHERE journey = ? AND at_us > ? GROUP BY reason"
        )
        return {why: int(count) for why, count in self._source.read(asked, (journey, after_us))}

    def decisions_of(self, contact_id: str, most: int) -> list[Decision]:
        """A contact's latest decisions in any journey, the latest first.

        Args:
            contact_id: in any spelling.
            most: how many.
        """
        columns = columns_of("decisions")
        asked = (
            f"SELECT {columns} FROM decisions WHERE contact_id = ? "
            "ORDER BY decided_us DESC, rowid DESC LIMIT ?"
        )
        found = self._source.read(asked, (contact_key(contact_id), most))
        return [rows.decision_of(row) for row in found]

    def latest_events(self, contact_id: str, most: int) -> list[Event]:
        """A contact's latest events, the latest first; arguments as of `decisions_of`."""
        columns = columns_of("events")
        asked = (
            f"SELECT {columns} FROM events WHERE contact_id = ? "
            "ORDER BY occurred_us DESC, rowid DESC LIMIT ?"
        )
        found = self._source.read(asked, (contact_key(contact_id), most))
        return [rows.event_of(row) for row in found]

    def event_counts(self, after_us: int, until_us: int) -> dict[str, int]:
        """How many events of each type became known in (after, until]."""
        asked = (
            "SELECT type, count(*) FROM events WHERE recorded_us > ? AND recorded_us <= ? "
            "GROUP BY type"
        )
        with self._source.blocks(asked, _BLOCK, (after_us, until_us)) as blocks:
            return {kind: int(count) for block in blocks for kind, count in block}

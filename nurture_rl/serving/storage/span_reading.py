"""What was decided and reported in a span of time, for whoever watches a server."""

from __future__ import annotations

from collections.abc import Iterator

from nurture_rl.serving.records import Decision
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

    def event_counts(self, after_us: int, until_us: int) -> dict[str, int]:
        """How many events of each type became known in (after, until]."""
        asked = (
            "SELECT type, count(*) FROM events WHERE recorded_us > ? AND recorded_us <= ? "
            "GROUP BY type"
        )
        with self._source.blocks(asked, _BLOCK, (after_us, until_us)) as blocks:
            return {kind: int(count) for block in blocks for kind, count in block}

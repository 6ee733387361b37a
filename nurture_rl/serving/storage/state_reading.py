"""What decisions need of a contact: events, and the state that holds the first of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from nurture_rl.serving.names import contact_key
from nurture_rl.serving.records import ContactState
from nurture_rl.serving.storage import rows, state_tables
from nurture_rl.serving.storage.stored_events import StoredEvents
from nurture_rl.serving.storage.table_reading import TableReader, columns_of

Places = Mapping[str, int]  # of events, by contact
NOWHERE: Places = {}  # before all events
_EVENT = columns_of("events", "events.")
_STATE = ", ".join(f"contact_states.{name}" for name in state_tables.COLUMNS["contact_states"])
# The place of a contact's last event that their state holds.
_PLACE = (
    "SELECT last.rowid FROM contact_states JOIN events AS last ON last.event_id = through "
    "WHERE contact_states.contact_id = contacts.contact_id AND journey = ?"
)


class StateReader(TableReader):
    """The part of a store's reader that asks for events, calls and states."""

    def events(self, ids: Iterable[str], after: Places = NOWHERE) -> dict[str, StoredEvents]:
        """The events of these contacts, all or those after a place, as `states` gives it."""
        places = {name: after.get(name, 0) for name in map(contact_key, ids)}
        asked = (
            f"SELECT {_EVENT} FROM {self._source.numbered} CROSS JOIN events WHERE "
            "events.contact_id = asked.key AND events.rowid > asked.value ORDER BY events.rowid"
        )
        grouped: dict[str, list[rows.Row]] = defaultdict(list)
        for row in self._source.read(asked, self._source.numbers(places)):
            grouped[row[1]].append(row)
        return {contact: StoredEvents(told) for contact, told in grouped.items()}

    def calls_since(self, since_us: int) -> list[tuple[str, str, int]]:
        """Id, contact and moment of every escalation decided from a moment on."""
        asked = (
            "SELECT decision_id, contact_id, decided_us FROM decisions "
            "WHERE action = 'escalate' AND decided_us >= ?"
        )
        return [(row[0], row[1], row[2]) for row in self._source.read(asked, (since_us,))]

    def repliers_since(self, since_us: int) -> list[str]:
        """Keys of the contacts of whom a reply was recorded from a moment on."""
        asked = "SELECT DISTINCT contact_id FROM events WHERE type = 'reply' AND recorded_us >= ?"
        return [name for (name,) in self._source.read(asked, (since_us,))]

    def events_since(
        self, types: Sequence[str], since_us: int, names: Sequence[str] | None = None
    ) -> list[tuple[str, str, int]]:
        """Contact, type and moment of every event of some types from a moment on.

        Args:
            types: of events.
            since_us: that moment, microseconds since 1970 UTC.
            names: contacts; None: all.
        """
        where, given = self._of(names)
        asked = (
            "SELECT contact_id, type, occurred_us FROM events "
            f"WHERE type IN ({', '.join(map(repr, types))}) AND occurred_us >= ? AND {where}"
        )
        found = self._source.read(asked, (since_us, *given))
        return [(row[0], row[1], row[2]) for row in found]

    def states(
        self, ids: Iterable[str], journey: str, folding: str
    ) -> dict[str, tuple[ContactState, int]]:
        """The state of each of these contacts who has one, and the place of its last event.

        Args:
            ids: of contacts.
            journey: whose states.
            folding: the key of what the journey needs; other states do not serve it.
        """
        asked = (
            f"SELECT events.rowid, {_STATE} FROM contact_states JOIN events ON event_id = through "
            f"WHERE contact_states.contact_id {self._source.any_of} AND journey = ? "
            "AND folding = ?"
        )
        keys = self._source.listed([contact_key(name) for name in ids])
        found = self._source.read(asked, (keys, journey, folding))
        return {row[1]: (rows.state_of(row[1:]), row[0]) for row in found}

    def unfolded(self, ids: Iterable[str], journey: str, least: int) -> list[str]:
        """Those of these contacts who have at least so many events after their state."""
        asked = (
            f"SELECT contact_id FROM contacts WHERE contact_id {self._source.any_of} AND "
            "(SELECT count(*) FROM (SELECT 1 FROM events WHERE events.contact_id = "
            f"contacts.contact_id AND events.rowid > coalesce(({_PLACE}), 0) LIMIT ?) "
            "AS later) >= ?"
        )
        keys = self._source.listed(sorted({contact_key(name) for name in ids}))
        return [name for (name,) in self._source.read(asked, (keys, journey, least, least))]

"""What a store holds: contacts, events, episodes and decisions, read and never written."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from nurture_rl.serving.arm_records import Ghost, StartedPlan
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.records import (
    ArmCounts,
    Decision,
    Event,
    Fate,
    Planned,
)
from nurture_rl.serving.roles import PolicyChange, Roles
from nurture_rl.serving.storage import arm_rows, policy_rows, rows
from nurture_rl.serving.storage.chain import Entry
from nurture_rl.serving.storage.chained_rows import chained, unchained
from nurture_rl.serving.storage.contact_reading import ContactReader
from nurture_rl.serving.storage.databases import Location, ReadableDatabase
from nurture_rl.serving.storage.episode_reading import EpisodeReader
from nurture_rl.serving.storage.erased_marks import SALT
from nurture_rl.serving.storage.locating import open_for_reading
from nurture_rl.serving.storage.permission_reading import PermissionReader
from nurture_rl.serving.storage.span_reading import SpanReader
from nurture_rl.serving.storage.state_reading import NOWHERE, Places, StateReader
from nurture_rl.serving.storage.table_reading import columns_of
from nurture_rl.serving.store_errors import StoreError, StoreUnavailable

NOT_CONFIRMED = "not confirmed"  # why a send that had to be confirmed is none
_EVER = -(2**62)  # before all moments
_BLOCK = 50_000  # rows read from the database at a time
# Events that prove that the mail of the decision they name went, or that its call was passed on.
_OF_MAIL = frozenset(
    {"sent", "delivered", "open", "click", "reply", "hard_bounce", "soft_bounce", "complaint"}
    | {"unsubscribe"}
)
_OF_CALL = frozenset({"escalated"})
# Of a row of `decisions` and one of `events`: this is such an event.
_PROVES = (
    "events.decision_id = decisions.decision_id AND CASE WHEN scheduled_us IS NULL "
    f"THEN type IN ({', '.join(map(repr, sorted(_OF_CALL)))}) "
    f"ELSE type IN ({', '.join(map(repr, sorted(_OF_MAIL)))}) END"
)
# Of a row of `decisions`: there is such an event; it was withdrawn before it can have left, and
# there is none; nothing became of it yet.
_WENT = f"EXISTS (SELECT 1 FROM events WHERE {_PROVES})"
_FREED = (
    "EXISTS (SELECT 1 FROM withdrawals "
    f"WHERE withdrawals.decision_id = decisions.decision_id AND freed = 1) AND NOT {_WENT}"
)
# Of a row of `decisions`: the place of the first event that says that its contact got the mail.
_SENT_AT = (
    "(SELECT min(events.rowid) FROM events WHERE events.decision_id = decisions.decision_id "
    "AND events.contact_id = decisions.contact_id AND type = 'sent' AND scheduled_us IS NOT NULL)"
)
_OPEN = (
    "NOT EXISTS (SELECT 1 FROM withdrawals WHERE withdrawals.decision_id = decisions.decision_id) "
    "AND NOT EXISTS "
    "(SELECT 1 FROM confirmations WHERE confirmations.decision_id = decisions.decision_id)"
)


class StoreReader(ContactReader, EpisodeReader, PermissionReader, SpanReader, StateReader):
    """Reads a store beside those who write it.

    Contacts are asked for by any spelling of their id and come under `contact_key` of it.
    """

    def __init__(self, location: Location, database: ReadableDatabase | None = None) -> None:
        """Open a store that exists.

        Args:
            location: where it is.
            database: which is open there already; None: opened for reading alone.

        Raises:
            StoreError: there is no store of this version.
        """
        self._location = location
        self._source = open_for_reading(location) if database is None else database
        try:
            meta: dict[str, str] = dict(self._source.read("SELECT name, value FROM meta"))
        except StoreUnavailable as error:
            self._source.close()
            raise StoreError(
                f"expected a store at {self._source.name}, got: {error}; give what the server "
                "runs with"
            ) from error
        if meta.get("version") != rows.VERSION:
            self._source.close()
            raise StoreError(
                f"expected a store of version {rows.VERSION} at {self._source.name}, got "
                f"{meta.get('version')}; start the server on it once, which brings it up to date"
            )
        if not (meta.get("seed", "").isdecimal() and SALT in meta):
            self._source.close()
            raise StoreError(
                f"expected seed and {SALT} in the table meta of {self._source.name}, got "
                f"{', '.join(sorted(meta))}; bring the store back from a backup"
            )
        self.seed = int(meta["seed"])  # of all decisions logged here
        self.salt = meta[SALT]  # of the marks of erased contacts

    def close(self) -> None:
        """Finish what is under way, then let go of the database."""
        self._source.close()

    def events_of_ids(self, event_ids: Sequence[str]) -> dict[str, Event]:
        """The events of these ids that exist."""
        return {row[0]: rows.event_of(row) for row in self._among("events", "event_id", event_ids)}

    def sent_of(self, events: Sequence[Event]) -> list[Event]:
        """The `sent` events that may be about the mails of some `sent` events."""
        sent = [event for event in events if event.type == "sent"]
        decisions = [event.decision_id for event in sent if event.decision_id]
        names = [event.contact_id for event in sent if event.message_id]
        where = "type = 'sent'"
        found = self._among("events", "decision_id", decisions, where=where)
        found += self._among("events", "contact_id", names, where=f"{where} AND message_id <> ''")
        return [rows.event_of(row) for row in found]

    def events_of_decision(self, decision_id: str) -> list[Event]:
        """The events that name a decision, as they happened."""
        found = [rows.event_of(row) for row in self._among("events", "decision_id", [decision_id])]
        return sorted(found, key=lambda event: (event.occurred_us, event.event_id))

    def decisions(self, decision_ids: Sequence[str]) -> dict[str, Decision]:
        """The decisions of these ids that exist."""
        stored = self._among("decisions", "decision_id", decision_ids)
        return {row[0]: rows.decision_of(row) for row in stored}

    def decided(self, decision_ids: Sequence[str]) -> set[str]:
        """Those of these ids whose decisions exist."""
        found = self._among("decisions", "decision_id", decision_ids, "decision_id")
        return {name for (name,) in found}

    def policy_changes(self, journey: str = "") -> list[PolicyChange]:
        """All changes of policies' roles in a journey, the oldest first."""
        columns = columns_of("policy_log")
        asked = f"SELECT {columns} FROM policy_log WHERE journey IN (?, '') ORDER BY rowid"
        return [policy_rows.change_of(row) for row in self._source.read(asked, (journey,))]

    def last_roles(self, journey: str = "") -> Roles | None:
        """The roles in a journey after the latest change; None: nobody has set any."""
        asked = "SELECT after FROM policy_log WHERE journey IN (?, '') ORDER BY rowid DESC LIMIT 1"
        found = self._source.read(asked, (journey,))
        return policy_rows.roles_of(found[0][0]) if found else None

    def plans(self) -> list[StartedPlan]:
        """The plans of all experiments that ever began here, the earliest first."""
        asked = f"SELECT {columns_of('plans')} FROM plans ORDER BY began_us, experiment"
        return [StartedPlan(*row) for row in self._source.read(asked)]

    def ghosts(self, decision_ids: Sequence[str]) -> dict[str, Ghost]:
        """What policies would have decided in place of these decisions, by id."""
        found = self._among("ghosts", "decision_id", decision_ids)
        return {row[0]: arm_rows.ghost_of(row) for row in found}

    def arm_counts(
        self, journey: str, after: int, signals: Sequence[Mapping[str, str | bool]]
    ) -> dict[str, ArmCounts]:
        """What became of the contacts whose episode began after some decision, by arm.

        Read beside the work: nobody waits for it.

        Args:
            journey: of the episodes.
            after: the place of that decision, as of `last_before`.
            signals: each the columns of events that it pins; one of them after a contact's first
                decision, or of one of these decisions, makes the contact harmed.
        """
        kinds = [" AND ".join(f"events.{column} = ?" for column in one) for one in signals]
        harmed = " OR ".join(f"({kind})" for kind in kinds) or "FALSE"
        pinned = [value for one in signals for value in one.values()]
        given = [int(value) if isinstance(value, bool) else value for value in pinned]
        # Found by their place: neither the journey nor the groups are to choose another index.
        asked = f"""
            WITH late AS MATERIALIZED (
              SELECT contact_id, episode_id, arm, decided_us,
                CASE WHEN scheduled_us IS NOT NULL AND NOT ({_FREED}) THEN 1 END AS send
              FROM decisions WHERE rowid > ? AND journey || '' = ?),
            begun AS (
              SELECT contact_id, arm, min(decided_us) AS first_us, count(*) AS made,
                count(send) AS sends
              FROM late WHERE NOT EXISTS (
                SELECT 1 FROM decisions AS earlier WHERE earlier.episode_id = late.episode_id
                AND earlier.rowid <= ?)
              GROUP BY contact_id, arm)
            SELECT arm, count(*), sum(made), sum(sends), count(CASE WHEN EXISTS (
              SELECT 1 FROM events WHERE events.contact_id = begun.contact_id
              AND ({harmed}) AND (occurred_us >= first_us OR EXISTS (SELECT 1 FROM decisions AS own
                WHERE own.decision_id = events.decision_id AND own.rowid > ?))) THEN 1 END)
            FROM begun GROUP BY arm"""
        with self._source.blocks(asked, _BLOCK, (after, journey, after, *given, after)) as blocks:
            return {row[0]: ArmCounts(*map(int, row[1:])) for block in blocks for row in block}

    def planned(
        self,
        ids: Sequence[str],
        after: Places = NOWHERE,
        since_us: int = _EVER,
        named: Sequence[str] = (),
    ) -> tuple[dict[str, tuple[Planned, ...]], dict[str, tuple[Planned, ...]]]:
        """Every decision to send and every one to escalate, in any journey, of these contacts.

        A send counts at the moment at which it was confirmed, else at its hour. One that was
        withdrawn before it can have left does not count, unless an event proves that it went. Nor
        does one that a `sent` event names which is not after a place, as `states` gives it.

        Args:
            ids: of contacts.
            after: places of events, by contact.
            since_us: sends that were decided earlier are left out, besides `named` ones.
            named: ids of decisions that later events name.
        """
        sends: dict[str, list[Planned]] = defaultdict(list)
        calls: dict[str, list[Planned]] = defaultdict(list)
        any_of, keys = self._source.any_of, self._keys(ids)
        asked = (
            "SELECT contact_id, decisions.decision_id, scheduled_us, action, decided_us, (SELECT "
            "at_us FROM confirmations WHERE confirmations.decision_id = decisions.decision_id), "
            f"CASE WHEN {_OPEN} AND NOT {_WENT} THEN confirm_by_us END, {_SENT_AT} FROM ("
            f"SELECT decision_id FROM decisions WHERE contact_id {any_of} AND decided_us >= ? "
            f"UNION SELECT decision_id FROM decisions WHERE contact_id {any_of} "
            f"AND action = 'escalate' UNION SELECT decision_id FROM decisions WHERE decision_id "
            f"{any_of}) AS seen CROSS JOIN decisions WHERE decisions.decision_id = "
            f"seen.decision_id AND contact_id {any_of} AND NOT ({_FREED}) ORDER BY decisions.rowid"
        )
        given = (keys, since_us, keys, self._source.listed(named), keys)
        stored = self._source.read(asked, given)
        for contact, decision_id, at_us, action, decided_us, confirmed_us, by_us, place in stored:
            if place is not None and place <= after.get(contact, 0):
                continue
            if at_us is not None:
                moment = at_us if confirmed_us is None else confirmed_us
                sends[contact].append(Planned(decision_id, moment, message_of(action), by_us))
            elif action == "escalate":
                calls[contact].append(Planned(decision_id, decided_us))
        return _frozen(sends), _frozen(calls)

    def sent_messages(self, journey: str, messages: Collection[str]) -> dict[str, int]:
        """How often each of these messages was chosen in a journey and may have left since."""
        if not messages:
            return {}
        known = {action for ids in self.catalogs().values() for action in ids}
        actions = sorted(action for action in known if message_of(action) in messages)
        asked = (
            "SELECT action, COUNT(*) FROM decisions WHERE journey = ? "
            f"AND scheduled_us IS NOT NULL AND action {self._source.any_of} "
            f"AND NOT ({_FREED}) GROUP BY action UNION ALL SELECT action, times "
            f"FROM erased_actions WHERE journey = ? AND action {self._source.any_of}"
        )
        given = (journey, self._source.listed(actions))
        counted: dict[str, int] = defaultdict(int)
        for action, times in self._source.read(asked, given + given):
            counted[message_of(action) or ""] += times
        return dict(counted)

    def sends_since(
        self, since_us: int, names: Sequence[str] | None = None
    ) -> list[tuple[str, int]]:
        """Contact and moment of every send from a moment on that may have left or may yet.

        Args:
            since_us: that moment, microseconds since 1970 UTC.
            names: contacts; None: all.
        """
        asked = "SELECT contact_id, scheduled_us FROM decisions WHERE scheduled_us >= ?"
        where, given = self._of(names)
        found = self._source.read(f"{asked} AND NOT ({_FREED}) AND {where}", (since_us, *given))
        return [(row[0], row[1]) for row in found]

    def mail_changes(self, mark: str | None) -> tuple[str, set[str]]:
        """Whose mail may count otherwise since a mark, as of `ReadableDatabase`."""
        return self._source.mail_changes(mark)

    def catalogs(self) -> dict[str, tuple[str, ...]]:
        """The action ids of every catalogue that decided here, by its hash."""
        stored = self._source.read("SELECT hash, ids FROM catalogs")
        return {name: tuple(json.loads(ids)) for name, ids in stored}

    def fates(self, decision_ids: Sequence[str]) -> dict[str, Fate]:
        """Those of these decisions that were confirmed or withdrawn since."""
        columns = "decision_id, at_us"
        found = {
            name: Fate(at_us)
            for name, at_us in self._among("confirmations", "decision_id", decision_ids, columns)
        }
        columns = "decision_id, at_us, reason"
        for name, at_us, why in self._among("withdrawals", "decision_id", decision_ids, columns):
            found[name] = replace(found.get(name, Fate()), withdrawn_us=at_us, reason=why)
        return found

    def proofs(self, decision_ids: Sequence[str]) -> dict[str, Event]:
        """The event that proves that a decision was carried out, by id, where there is one.

        That is its report where it has one, else the first.
        """
        asked = (
            f"SELECT {columns_of('events', 'events.')} FROM decisions JOIN events ON {_PROVES} "
            f"WHERE decisions.decision_id {self._source.any_of} "
            "ORDER BY type != 'sent', occurred_us, events.rowid"
        )
        found: dict[str, Event] = {}
        for row in self._source.read(asked, (self._source.listed(decision_ids),)):
            event = rows.event_of(row)
            found.setdefault(event.decision_id or "", event)
        return found

    def freed(self, decision_ids: Sequence[str]) -> list[Decision]:
        """Those of these decisions that were withdrawn before they can have left, and did not."""
        stored = self._among("decisions", "decision_id", decision_ids, where=_FREED)
        return [rows.decision_of(row) for row in stored]

    def awaiting(self, ids: Sequence[str], now_us: int) -> list[Decision]:
        """Sends of these contacts that can still be stopped at a moment.

        Their hour has not come or, where they must be confirmed, their confirmation has not.
        """
        stored = self._among(
            *("decisions", "contact_id", ids),
            where=f"(scheduled_us > {int(now_us)} OR confirm_by_us > {int(now_us)}) AND {_OPEN}",
        )
        return [rows.decision_of(row) for row in stored]

    def unconfirmed(self, after_us: int, until_us: int) -> list[Decision]:
        """Sends that had to be confirmed by some moment of (after, until], and were not."""
        asked = (
            f"SELECT {columns_of('decisions')} FROM decisions "
            f"WHERE confirm_by_us > ? AND confirm_by_us <= ? AND {_OPEN} ORDER BY rowid"
        )
        return [rows.decision_of(row) for row in self._source.read(asked, (after_us, until_us))]

    def not_carried_out(self) -> dict[str, str]:
        """Decisions that were taken back and never confirmed, with why; no event proves they went.

        So is a send that had to be confirmed by the latest decision or event, and was not.
        """
        asked = (
            "SELECT decision_id, reason FROM withdrawals JOIN decisions USING (decision_id) "
            f"WHERE NOT {_WENT} "
            "AND decision_id NOT IN (SELECT decision_id FROM confirmations) UNION ALL "
            f"SELECT decision_id, '{NOT_CONFIRMED}' FROM decisions WHERE "
            "(confirm_by_us <= (SELECT max(decided_us) FROM decisions) "
            "OR confirm_by_us <= (SELECT max(recorded_us) FROM events)) "
            f"AND {_OPEN} AND NOT {_WENT}"
        )
        return dict(self._source.read(asked))

    def scan(self, table: str) -> Iterator[list[rows.Row]]:
        """All rows of a table in the order they came, in blocks, as of the first block."""
        asked = f"SELECT {columns_of(table)} FROM {table} ORDER BY rowid"
        with self._source.blocks(asked, _BLOCK) as blocks:
            yield from blocks

    def chained(self) -> Iterator[list[tuple[Entry, rows.Row | None]]]:
        """The chain's entries in order with their rows, in blocks, as of the first block."""
        return chained(self._source)

    def unchained(self) -> Iterator[tuple[str, str]]:
        """Kind and id of every row that no entry of the chain vouches for."""
        return unchained(self._source)

    def _keys(self, ids: Sequence[str]) -> Any:
        return self._source.listed([contact_key(name) for name in ids])


def proves(event: Event, decision: Decision) -> bool:
    """Whether an event proves that a decision was carried out."""
    kinds = _OF_CALL if decision.scheduled_us is None else _OF_MAIL
    return event.decision_id == decision.decision_id and event.type in kinds


def message_of(action: str) -> str | None:
    """The message that an action sends, by the action's id; None where it sends none."""
    routing, _, rest = action.partition(":")
    return rest.rpartition("@")[0] if routing == "send" else None


def _frozen(lists: dict[str, list[Planned]]) -> dict[str, tuple[Planned, ...]]:
    return {contact: tuple(planned) for contact, planned in lists.items()}

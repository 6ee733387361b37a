"""What a store holds: contacts, events, episodes and decisions, read and never written."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from nurture_envs.actions import ActionCatalog
from nurture_rl.serving import opening, rows
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.records import (
    Contact,
    ContactState,
    Decision,
    Episode,
    Event,
    Fate,
    Planned,
)

NOT_CONFIRMED = "not confirmed"  # why a send that had to be confirmed is none
Places = Mapping[str, int]  # of events, by contact
NOWHERE: Places = {}  # before all events
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
    f"WHERE withdrawals.decision_id = decisions.decision_id AND freed) AND NOT {_WENT}"
)
# Of a row of `episodes`: its latest decision, and its latest pause of several bins. No such pause
# begins within another, and nothing comes after an exit, so earlier ones do not matter.
_LAST = (
    "FROM decisions WHERE decisions.contact_id = episodes.contact_id "
    "AND decisions.journey = episodes.journey ORDER BY step DESC LIMIT 1"
)
_PAUSED = _LAST.replace("ORDER", f"AND {rows.LONG_PAUSE} ORDER")
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


class StoreReader:
    """Reads a store beside the one process that writes it.

    Contacts are asked for by any spelling of their id and come under `contact_key` of it.
    """

    def __init__(self, path: Path) -> None:
        """Open a store that exists.

        Raises:
            StoreError: the file is no store of this version.
        """
        opening.require_own(path)
        self.path = path
        self._reader = opening.connect_reading(path)
        self._reading = threading.Lock()
        self._require_there: Callable[[], None] = lambda: None
        try:
            meta: dict[str, str] = dict(self._read("SELECT name, value FROM meta"))
        except sqlite3.Error as error:
            self._reader.close()
            raise opening.StoreError(
                f"expected a store at {path}, got: {error}; give the path the server runs with"
            ) from error
        if meta["version"] != opening.VERSION:
            self._reader.close()
            raise opening.StoreError(
                f"expected a store of version {opening.VERSION} at {path}, got "
                f"{meta['version']}; start the server on it once, which brings it up to date"
            )
        self.seed = int(meta["seed"])  # of all decisions logged here

    def close(self) -> None:
        """Let go of the file, once nobody reads: a connection closed under a query crashes."""
        with self._reading:
            self._reader.close()

    def contacts(self, ids: Sequence[str]) -> dict[str, Contact]:
        """The contacts of these ids that exist."""
        stored = self._among("contacts", "contact_id", ids)
        return {row[0]: rows.contact_of(row) for row in stored}

    def members(self, account_keys: Sequence[str]) -> dict[str, list[str]]:
        """The contacts of each of these accounts, by `account_key`."""
        found: dict[str, list[str]] = defaultdict(list)
        columns = "account_key, contact_id"
        for account, contact in self._among("contacts", "account_key", account_keys, columns):
            found[account].append(contact)
        return dict(found)

    def events(self, ids: Iterable[str], after: Places = NOWHERE) -> dict[str, tuple[Event, ...]]:
        """The events of these contacts, all or those after a place, as `states` gives it."""
        places = {name: after.get(name, 0) for name in map(contact_key, ids)}
        asked = (
            "SELECT events.* FROM json_each(?) AS asked CROSS JOIN events "
            "ON contact_id = asked.key AND events.rowid > asked.value ORDER BY events.rowid"
        )
        grouped: dict[str, list[Event]] = defaultdict(list)
        for row in self._read(asked, (json.dumps(places),)):
            grouped[row[1]].append(rows.event_of(row))
        return {contact: tuple(events) for contact, events in grouped.items()}

    def states(
        self, ids: Sequence[str], journey: str, folding: str
    ) -> dict[str, tuple[ContactState, int]]:
        """The state of each of these contacts who has one, and the place of its last event.

        Args:
            ids: of contacts.
            journey: whose states.
            folding: the key of what the journey needs; other states do not serve it.
        """
        asked = (
            "SELECT events.rowid, contact_states.* FROM contact_states "
            "JOIN events ON event_id = through "
            "WHERE contact_states.contact_id IN (SELECT value FROM json_each(?)) "
            "AND journey = ? AND folding = ?"
        )
        found = self._read(asked, (_keys(ids), journey, folding))
        return {row[1]: (rows.state_of(row), row[0]) for row in found}

    def unfolded(self, ids: Iterable[str], journey: str, least: int) -> list[str]:
        """Those of these contacts who have at least so many events after their state."""
        asked = (
            "SELECT asked.value FROM json_each(?) AS asked JOIN contacts "
            "ON contacts.contact_id = asked.value WHERE ? <= (SELECT count(*) FROM (SELECT 1 "
            "FROM events WHERE events.contact_id = asked.value AND events.rowid > ifnull(("
            "SELECT last.rowid FROM contact_states JOIN events AS last ON last.event_id = through "
            "WHERE contact_states.contact_id = asked.value AND journey = ?), 0) LIMIT ?))"
        )
        names = json.dumps(sorted({contact_key(name) for name in ids}))
        return [name for (name,) in self._read(asked, (names, least, journey, least))]

    def events_of_ids(self, event_ids: Sequence[str]) -> dict[str, Event]:
        """The events of these ids that exist."""
        return {row[0]: rows.event_of(row) for row in self._among("events", "event_id", event_ids)}

    def decisions(self, decision_ids: Sequence[str]) -> dict[str, Decision]:
        """The decisions of these ids that exist."""
        stored = self._among("decisions", "decision_id", decision_ids)
        return {row[0]: rows.decision_of(row) for row in stored}

    def episodes(
        self, ids: Sequence[str], journey: str, catalog: ActionCatalog
    ) -> dict[str, Episode]:
        """The open or ended episode of each of these contacts, with what was decided in it.

        A pause that the catalogue no longer has lasts as long as its id says.
        """
        asked = (
            f"SELECT contact_id, episode_id, anchor_us, (SELECT step {_LAST}), "
            f"(SELECT action {_LAST}), (SELECT step {_PAUSED}), (SELECT action {_PAUSED}) "
            "FROM episodes WHERE contact_id IN (SELECT value FROM json_each(?)) AND journey = ?"
        )
        pauses = dict(zip(catalog.ids, catalog.pause_bins.tolist(), strict=True))
        episodes: dict[str, Episode] = {}
        for contact, episode, anchor_us, step, action, paused, pause in self._read(
            asked, (_keys(ids), journey)
        ):
            bins = 0 if pause is None else pauses.get(pause) or _bins_of(pause)
            episodes[contact] = Episode(
                episode,
                anchor_us,
                last_step=step,
                paused_until=paused + bins if bins > 1 else 0,
                exited=action == "exit",
            )
        return episodes

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
        of_contact = "contact_id IN (SELECT value FROM json_each(?))"
        asked = (
            "SELECT contact_id, decisions.decision_id, scheduled_us, action, decided_us, (SELECT "
            "at_us FROM confirmations WHERE confirmations.decision_id = decisions.decision_id), "
            f"CASE WHEN {_OPEN} AND NOT {_WENT} THEN confirm_by_us END, {_SENT_AT} FROM ("
            f"SELECT decision_id FROM decisions WHERE {of_contact} AND decided_us >= ? UNION "
            f"SELECT decision_id FROM decisions WHERE {of_contact} AND action = 'escalate' UNION "
            "SELECT value FROM json_each(?)) AS seen CROSS JOIN decisions "
            f"ON decisions.decision_id = seen.decision_id WHERE {of_contact} AND NOT ({_FREED}) "
            "ORDER BY decisions.rowid"
        )
        keys = _keys(ids)
        stored = self._read(asked, (keys, since_us, keys, json.dumps(list(named)), keys))
        for contact, decision_id, at_us, action, decided_us, confirmed_us, by_us, place in stored:
            if place is not None and place <= after.get(contact, 0):
                continue
            if at_us is not None:
                moment = at_us if confirmed_us is None else confirmed_us
                sends[contact].append(Planned(decision_id, moment, message_of(action), by_us))
            elif action == "escalate":
                calls[contact].append(Planned(decision_id, decided_us))
        return _frozen(sends), _frozen(calls)

    def sent_messages(self, journey: str) -> dict[str, int]:
        """How often each message was chosen in a journey and may have left since."""
        asked = (
            "SELECT action, COUNT(*) FROM decisions "
            f"WHERE journey = ? AND NOT ({_FREED}) GROUP BY action"
        )
        counted: dict[str, int] = defaultdict(int)
        for action, times in self._read(asked, (journey,)):
            if (message := message_of(action)) is not None:
                counted[message] += times
        return dict(counted)

    def catalogs(self) -> dict[str, tuple[str, ...]]:
        """The action ids of every catalogue that decided here, by its hash."""
        stored = self._read("SELECT hash, ids FROM catalogs")
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
            "SELECT events.* FROM decisions JOIN events ON "
            f"{_PROVES} WHERE decisions.decision_id IN (SELECT value FROM json_each(?)) "
            "ORDER BY type != 'sent', occurred_us, events.rowid"
        )
        found: dict[str, Event] = {}
        for row in self._read(asked, (json.dumps(list(decision_ids)),)):
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
            where=f"max(scheduled_us, ifnull(confirm_by_us, 0)) > {int(now_us)} AND {_OPEN}",
        )
        return [rows.decision_of(row) for row in stored]

    def unconfirmed(self, after_us: int, until_us: int) -> list[Decision]:
        """Sends that had to be confirmed by some moment of (after, until], and were not."""
        asked = (
            "SELECT * FROM decisions WHERE confirm_by_us > ? AND confirm_by_us <= ? "
            f"AND {_OPEN} ORDER BY rowid"
        )
        return [rows.decision_of(row) for row in self._read(asked, (after_us, until_us))]

    def not_carried_out(self) -> dict[str, str]:
        """Decisions that were taken back and never confirmed, with why; no event proves they went.

        So is a send that had to be confirmed by the latest decision or event, and was not.
        """
        asked = (
            "SELECT decision_id, reason FROM withdrawals JOIN decisions USING (decision_id) "
            f"WHERE NOT {_WENT} "
            "AND decision_id NOT IN (SELECT decision_id FROM confirmations) UNION ALL "
            f"SELECT decision_id, '{NOT_CONFIRMED}' FROM decisions WHERE confirm_by_us <= max("
            "(SELECT max(decided_us) FROM decisions), "
            "(SELECT ifnull(max(recorded_us), 0) FROM events)) "
            f"AND {_OPEN} AND NOT {_WENT}"
        )
        return dict(self._read(asked))

    def spellings(self) -> dict[str, str]:
        """Contact ids as they came, where that is not how they are stored."""
        asked = "SELECT contact_id, spelling FROM contacts WHERE spelling IS NOT NULL"
        return dict(self._read(asked))

    def scan(self, table: str) -> Iterator[list[rows.Row]]:
        """All rows of a table in the order they came, in blocks, as of the first block."""
        with closing(opening.connect_reading(self.path)) as reader:
            cursor = reader.execute(f"SELECT * FROM {table} ORDER BY rowid")
            while block := cursor.fetchmany(_BLOCK):
                yield block

    def _among(
        self,
        table: str,
        key: str,
        values: Sequence[str],
        columns: str = "*",
        where: str = "TRUE",
    ) -> list[rows.Row]:
        if key == "contact_id":
            values = [contact_key(value) for value in values]
        among = f"{key} IN (SELECT value FROM json_each(?))"
        sql = f"SELECT {columns} FROM {table} WHERE {among} AND {where} ORDER BY rowid"
        return self._read(sql, (json.dumps(list(values)),))

    def _read(self, sql: str, given: tuple[Any, ...] = ()) -> list[rows.Row]:
        self._require_there()
        with self._reading:
            return self._reader.execute(sql, given).fetchall()


def proves(event: Event, decision: Decision) -> bool:
    """Whether an event proves that a decision was carried out."""
    kinds = _OF_CALL if decision.scheduled_us is None else _OF_MAIL
    return event.decision_id == decision.decision_id and event.type in kinds


def message_of(action: str) -> str | None:
    """The message that an action sends, by the action's id; None where it sends none."""
    routing, _, rest = action.partition(":")
    return rest.rpartition("@")[0] if routing == "send" else None


def _keys(ids: Sequence[str]) -> str:
    return json.dumps([contact_key(name) for name in ids])


def _bins_of(action: str) -> int:
    routing, _, bins = action.partition(":")
    return int(bins) if routing == "pause" and bins.isdigit() else 0


def _frozen(lists: dict[str, list[Planned]]) -> dict[str, tuple[Planned, ...]]:
    return {contact: tuple(planned) for contact, planned in lists.items()}

"""What a store holds: contacts, events, episodes and decisions, read and never written."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from nurture_envs.actions import ActionCatalog
from nurture_rl.serving import opening, rows
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.records import Contact, Decision, Episode, Event, Planned

_BLOCK = 50_000  # rows read from the database at a time


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

    def events(self, ids: Sequence[str]) -> dict[str, tuple[Event, ...]]:
        """All events of these contacts."""
        grouped: dict[str, list[Event]] = defaultdict(list)
        for row in self._among("events", "contact_id", ids):
            grouped[row[1]].append(rows.event_of(row))
        return {contact: tuple(events) for contact, events in grouped.items()}

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
        stored = self._among(
            "episodes", "contact_id", ids, "episode_id, contact_id, anchor_us", journey
        )
        episodes = {contact: Episode(episode, anchor) for episode, contact, anchor in stored}
        pauses = dict(zip(catalog.ids, catalog.pause_bins.tolist(), strict=True))
        columns = "contact_id, step, action"
        for contact, step, action in self._among("decisions", "contact_id", ids, columns, journey):
            before = episodes[contact]
            bins = pauses.get(action) or _bins_of(action)
            until = step + bins if bins > 1 else 0
            episodes[contact] = replace(
                before,
                last_step=max(step, -1 if before.last_step is None else before.last_step),
                paused_until=max(before.paused_until, until),
                exited=before.exited or action == "exit",
            )
        return episodes

    def planned(
        self, ids: Sequence[str]
    ) -> tuple[dict[str, tuple[Planned, ...]], dict[str, tuple[Planned, ...]]]:
        """Every decision to send and every one to escalate, in any journey, of these contacts."""
        sends: dict[str, list[Planned]] = defaultdict(list)
        calls: dict[str, list[Planned]] = defaultdict(list)
        columns = "contact_id, decision_id, scheduled_us, action, decided_us"
        stored = self._among("decisions", "contact_id", ids, columns)
        for contact, decision_id, at_us, action, decided_us in stored:
            if at_us is not None:
                sends[contact].append(Planned(decision_id, at_us, message_of(action)))
            elif action == "escalate":
                calls[contact].append(Planned(decision_id, decided_us))
        return _frozen(sends), _frozen(calls)

    def sent_messages(self, journey: str) -> dict[str, int]:
        """How often each message was chosen in a journey, also where it was withdrawn since."""
        asked = "SELECT action, COUNT(*) FROM decisions WHERE journey = ? GROUP BY action"
        counted: dict[str, int] = defaultdict(int)
        for action, times in self._read(asked, (journey,)):
            if (message := message_of(action)) is not None:
                counted[message] += times
        return dict(counted)

    def catalogs(self) -> dict[str, tuple[str, ...]]:
        """The action ids of every catalogue that decided here, by its hash."""
        stored = self._read("SELECT hash, ids FROM catalogs")
        return {name: tuple(json.loads(ids)) for name, ids in stored}

    def withdrawn(self, decision_ids: Sequence[str]) -> dict[str, str]:
        """Those of these decisions that were taken back, with the reason."""
        columns = "decision_id, reason"
        return dict(self._among("withdrawals", "decision_id", decision_ids, columns))

    def not_carried_out(self) -> frozenset[str]:
        """Decisions that were withdrawn and that no event reports as carried out."""
        asked = (
            "SELECT decision_id FROM withdrawals WHERE decision_id NOT IN "
            "(SELECT decision_id FROM events WHERE decision_id IS NOT NULL)"
        )
        return frozenset(decision_id for (decision_id,) in self._read(asked))

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
        journey: str | None = None,
    ) -> list[rows.Row]:
        if key == "contact_id":
            values = [contact_key(value) for value in values]
        sql = f"SELECT {columns} FROM {table} WHERE {key} IN (SELECT value FROM json_each(?))"
        given: tuple[Any, ...] = (json.dumps(list(values)),)
        if journey is not None:
            sql, given = f"{sql} AND journey = ?", (*given, journey)
        return self._read(f"{sql} ORDER BY rowid", given)

    def _read(self, sql: str, given: tuple[Any, ...] = ()) -> list[rows.Row]:
        self._require_there()
        with self._reading:
            return self._reader.execute(sql, given).fetchall()


def message_of(action: str) -> str | None:
    """The message that an action sends, by the action's id; None where it sends none."""
    routing, _, rest = action.partition(":")
    return rest.rpartition("@")[0] if routing == "send" else None


def _bins_of(action: str) -> int:
    routing, _, bins = action.partition(":")
    return int(bins) if routing == "pause" and bins.isdigit() else 0


def _frozen(lists: dict[str, list[Planned]]) -> dict[str, tuple[Planned, ...]]:
    return {contact: tuple(planned) for contact, planned in lists.items()}

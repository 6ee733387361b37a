"""The server's durable memory: contacts, events, episodes and decisions in one SQLite file."""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from nurture_envs.actions import ActionCatalog
from nurture_rl.errors import LogError, NurtureError
from nurture_rl.serving import rows
from nurture_rl.serving.records import Contact, Decision, Episode, Event, PlannedSend
from nurture_rl.serving.writer import GroupCommit, Statement

_VERSION = "1"
_BLOCK = 50_000  # rows read from a log or the database at a time


class StoreError(NurtureError):
    """The store cannot be opened, or it is another version's."""


class Store:
    """One process writes it; what its methods acknowledge survives a kill or a power cut."""

    def __init__(self, path: Path) -> None:
        """Open the store, making it where there is none.

        Raises:
            StoreError: the file is no store of this version, or cannot be written.
        """
        self.path = path
        try:
            self._writer = GroupCommit(_connect(path))
            self._reader = _connect(path)
        except sqlite3.Error as error:
            raise StoreError(
                f"expected a store that can be written at {path}, got: {error}; "
                "give another path or mend its permissions"
            ) from error
        self._reading = threading.Lock()
        meta = "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO NOTHING"
        fresh = [("version", _VERSION), ("seed", str(secrets.randbits(48)))]
        self._writer.write([Statement(meta, fresh)])
        found: dict[str, str] = dict(self._read("SELECT name, value FROM meta"))
        if found["version"] != _VERSION:
            self.close()
            raise StoreError(
                f"expected a store of version {_VERSION} at {path}, got {found['version']}; "
                "serve it with the version that made it, or give a new path"
            )
        self.seed = int(found["seed"])  # of all decisions logged here

    def close(self) -> None:
        """Commit what waits and let go of the file."""
        self._writer.close()
        self._reader.close()

    def touch(self) -> None:
        """Prove that the store can be written.

        Raises:
            sqlite3.Error: it cannot.
        """
        self._writer.write(
            [Statement("INSERT OR REPLACE INTO meta VALUES (?, ?)", [("touched", "")])]
        )

    def remember(self, mark: str) -> None:
        """Keep a mark for as long as the store lasts."""
        self._writer.write([Statement("INSERT OR REPLACE INTO meta VALUES (?, ?)", [(mark, "")])])

    def remembers(self, mark: str) -> bool:
        """Whether the mark was kept."""
        return bool(self._read("SELECT 1 FROM meta WHERE name = ?", (mark,)))

    def put_contacts(self, contacts: Sequence[Contact]) -> None:
        """Add contacts, or replace those of the same id."""
        self._writer.write([Statement(rows.PUT_CONTACT, [rows.contact_row(c) for c in contacts])])

    def append_events(self, events: Sequence[Event]) -> int:
        """Add events; ids already there are left as they are.

        Returns:
            How many were new.
        """
        added = self._writer.write([Statement(rows.ADD_EVENT, [rows.event_row(e) for e in events])])
        return added[0]

    def append_decisions(self, decisions: Sequence[Decision]) -> None:
        """Add decisions and the episodes they open; returns only after they are on disk.

        Raises:
            sqlite3.IntegrityError: an id or a bin has its decision already; none was added.
        """
        episodes = [(d.episode_id, d.contact_id, d.journey, d.anchor_us) for d in decisions]
        self._writer.write(
            [
                Statement(rows.ADD_EPISODE, episodes),
                Statement(rows.ADD_DECISION, [rows.decision_row(d) for d in decisions]),
            ]
        )

    def contacts(self, ids: Sequence[str]) -> dict[str, Contact]:
        """The contacts of these ids that exist."""
        found = self._among("contacts", "contact_id", ids)
        return {row[0]: rows.contact_of(row) for row in found}

    def events(self, ids: Sequence[str]) -> dict[str, tuple[Event, ...]]:
        """All events of these contacts."""
        grouped: dict[str, list[Event]] = defaultdict(list)
        for row in self._among("events", "contact_id", ids):
            grouped[row[1]].append(rows.event_of(row))
        return {contact: tuple(events) for contact, events in grouped.items()}

    def decisions(self, decision_ids: Sequence[str]) -> dict[str, Decision]:
        """The decisions of these ids that exist."""
        found = self._among("decisions", "decision_id", decision_ids)
        return {row[0]: rows.decision_of(row) for row in found}

    def episodes(
        self, ids: Sequence[str], journey: str, catalog: ActionCatalog
    ) -> dict[str, Episode]:
        """The open or ended episode of each of these contacts, with what was decided in it."""
        found = self._among(
            "episodes", "contact_id", ids, "episode_id, contact_id, anchor_us", journey
        )
        episodes = {contact: Episode(episode, anchor) for episode, contact, anchor in found}
        pauses = {action.id: action.bins for action in catalog.actions}
        columns = "contact_id, step, action"
        for contact, step, action in self._among("decisions", "contact_id", ids, columns, journey):
            before = episodes[contact]
            bins = pauses.get(action, 0)
            until = step + bins if bins > 1 else 0
            episodes[contact] = replace(
                before,
                last_step=max(step, -1 if before.last_step is None else before.last_step),
                paused_until=max(before.paused_until, until),
                exited=before.exited or action == "exit",
            )
        return episodes

    def sends(self, ids: Sequence[str]) -> dict[str, tuple[PlannedSend, ...]]:
        """Every decision to send that was made for these contacts, in any journey."""
        grouped: dict[str, list[PlannedSend]] = defaultdict(list)
        columns = "contact_id, decision_id, scheduled_us"
        for contact, decision_id, at_us in self._among("decisions", "contact_id", ids, columns):
            if at_us is not None:
                grouped[contact].append(PlannedSend(decision_id, at_us))
        return {contact: tuple(sends) for contact, sends in grouped.items()}

    def scan(self, table: str) -> Iterator[list[rows.Row]]:
        """All rows of a table in the order they came, in blocks, as of the first block."""
        reader = _connect(self.path)
        try:
            cursor = reader.execute(f"SELECT * FROM {table} ORDER BY rowid")
            while block := cursor.fetchmany(_BLOCK):
                yield block
        finally:
            reader.close()

    def load_log(self, folder: Path) -> tuple[int, int]:
        """Take in the contacts and events of an ingested log; what is already there stays.

        A consent withdrawn over the API outlives the older log it is started with again.

        Returns:
            New contacts and new events.

        Raises:
            LogError: the folder is not what ingest writes.
        """
        for name in ("contacts.parquet", "events.parquet"):
            if not (folder / name).is_file():
                raise LogError(f"expected {name} in {folder}; give a folder that ingest wrote")
        contacts = events = 0
        for block in pq.ParquetFile(folder / "contacts.parquet").iter_batches(_BLOCK):
            found = block.to_pylist()
            known = [
                Contact(**{**row, "attributes": json.loads(row["attributes"])}) for row in found
            ]
            added = [Statement(rows.ADD_CONTACT, [rows.contact_row(c) for c in known])]
            contacts += self._writer.write(added)[0]
        for block in pq.ParquetFile(folder / "events.parquet").iter_batches(_BLOCK):
            columns = {name: block.column(name) for name in block.schema.names}
            for name in ("occurred_at", "recorded_at"):
                columns[f"{name[:-3]}_us"] = columns.pop(name).cast("int64")
            cells = [columns[name].to_pylist() for name in Event.__slots__]
            events += self.append_events([Event(*row) for row in zip(*cells, strict=True)])
        return contacts, events

    def _among(
        self,
        table: str,
        key: str,
        values: Sequence[str],
        columns: str = "*",
        journey: str | None = None,
    ) -> list[rows.Row]:
        sql = f"SELECT {columns} FROM {table} WHERE {key} IN (SELECT value FROM json_each(?))"
        given: tuple[Any, ...] = (json.dumps(list(values)),)
        if journey is not None:
            sql, given = f"{sql} AND journey = ?", (*given, journey)
        return self._read(f"{sql} ORDER BY rowid", given)

    def _read(self, sql: str, given: tuple[Any, ...] = ()) -> list[rows.Row]:
        with self._reading:
            return self._reader.execute(sql, given).fetchall()


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10.0)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.executescript(rows.TABLES)
    return connection

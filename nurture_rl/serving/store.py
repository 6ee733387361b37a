"""The server's durable memory: contacts, events, episodes and decisions in one SQLite file."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyarrow.parquet as pq

from nurture_envs.actions import ActionCatalog
from nurture_rl.errors import LogError
from nurture_rl.serving import opening, rows
from nurture_rl.serving.forbidding import Forbidding
from nurture_rl.serving.ledger import settle
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.reading import StoreReader
from nurture_rl.serving.records import (
    Contact,
    ContactState,
    Decision,
    Event,
    Quarantined,
    Withdrawal,
)
from nurture_rl.serving.writer import GroupCommit, Statement

_BLOCK = 50_000  # rows read from a log at a time


class Store(StoreReader):
    """One process writes it; what its methods acknowledge survives a kill or a power cut."""

    def __init__(self, path: Path) -> None:
        """Open the store, making it where there is none, and keep everybody else from writing it.

        Raises:
            StoreError: the file is no store of this version, cannot be written, or another process
                writes it.
        """
        opening.require_own(path)
        self._claim = opening.claim(path)
        try:
            opening.make(path, secrets.randbits(48))
            super().__init__(path)
        except BaseException:
            self._claim.release()
            raise
        self.lost: opening.StoreLost | None = None
        self._tell_lost: Callable[[], None] = lambda: None
        self._writer = GroupCommit(opening.connect(path), self._require_file)
        self._path_watch = opening.PathWatch(path.resolve())
        self._require_there = self._require_file

    def close(self) -> None:
        """Commit what waits and let go of the file."""
        self._require_there = lambda: None
        super().close()
        self._writer.close()  # the last to close takes the -wal file in; a reader cannot
        self._claim.release()

    def when_lost(self, tell: Callable[[], None]) -> None:
        """Call this, from any thread, when the file is found gone from its path.

        Nothing is acknowledged from then on, and `lost` says why.
        """
        self._tell_lost = tell

    def _require_file(self) -> None:
        try:
            self._path_watch.require_there()
        except opening.StoreLost as error:
            first, self.lost = self.lost is None, error
            if first:
                self._tell_lost()
            raise

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

    def keep_catalog(self, catalog: ActionCatalog) -> None:
        """Remember a catalogue's ids, so that its decisions can be read under any later one."""
        row = (catalog.hash, json.dumps(list(catalog.ids)))
        self._writer.write([Statement(rows.ADD_CATALOG, [row])])

    def settle(self, withdrawals: Sequence[Withdrawal], confirmed: Mapping[str, int]) -> None:
        """Note what became of decisions.

        Args:
            withdrawals: those that may not be carried out any more.
            confirmed: when each of the others was told to leave, by id, microseconds since 1970.
        """
        self._writer.write(
            [
                Statement(rows.ADD_WITHDRAWAL, [rows.withdrawal_row(w) for w in withdrawals]),
                Statement(rows.ADD_CONFIRMATION, list(confirmed.items())),
            ]
        )

    def put_contacts(
        self, contacts: Sequence[Contact], withdrawals: Sequence[Withdrawal] = ()
    ) -> None:
        """Add contacts, or replace those of the same id, and take back what they refuse."""
        self._writer.write(
            [
                Statement(rows.PUT_CONTACT, [rows.contact_row(c) for c in contacts]),
                Statement(rows.ADD_WITHDRAWAL, [rows.withdrawal_row(w) for w in withdrawals]),
            ]
        )

    def append_events(
        self,
        events: Sequence[Event],
        quarantined: Sequence[Quarantined] = (),
        withdrawals: Sequence[Withdrawal] = (),
    ) -> int:
        """Add events, and keep rows that were refused or mended; ids already there stay as is.

        What the events take back is withdrawn with them, or nothing is.

        Returns:
            How many events were new.
        """
        added = self._writer.write(
            [
                Statement(rows.ADD_EVENT, [rows.event_row(e) for e in events]),
                Statement(rows.ADD_QUARANTINED, [rows.quarantine_row(q) for q in quarantined]),
                Statement(rows.ADD_WITHDRAWAL, [rows.withdrawal_row(w) for w in withdrawals]),
            ]
        )
        return added[0]

    def append_decisions(self, decisions: Sequence[Decision], events: Sequence[Event] = ()) -> None:
        """Add decisions and the episodes they open; returns only after they are on disk.

        Args:
            decisions: what was decided.
            events: what the decisions themselves are, such as a slower cadence that begins.

        Raises:
            sqlite3.IntegrityError: an id or a bin has its decision already; none was added.
        """
        episodes = [
            (d.episode_id, contact_key(d.contact_id), d.journey, d.anchor_us) for d in decisions
        ]
        self._writer.write(
            [
                Statement(
                    rows.DROP_STATE,
                    [(contact_key(d.contact_id), d.decision_id) for d in decisions],
                ),
                Statement(rows.ADD_EPISODE, episodes),
                Statement(rows.ADD_DECISION, [rows.decision_row(d) for d in decisions]),
                Statement(rows.ADD_EVENT, [rows.event_row(e) for e in events]),
            ]
        )

    def put_states(self, journey: str, folding: str, states: Mapping[str, ContactState]) -> None:
        """Keep the states of contacts, by id, in place of earlier ones; they are copies alone."""
        kept = [rows.state_row(name, journey, folding, one) for name, one in states.items()]
        self._writer.write([Statement(rows.PUT_STATE, kept)])

    def load_log(self, folder: Path, forbidding: Forbidding) -> tuple[int, int]:
        """Take in the contacts and events of an ingested log; what is already there stays.

        Consent alone is taken wherever it is gone: what was withdrawn over the API outlives an
        older log, and who has none in the log loses what was put.

        Args:
            folder: what ingest wrote.
            forbidding: which events count under an id that is taken by another.

        Returns:
            New contacts and new events.

        Raises:
            LogError: the folder is not what ingest writes, or two contacts of it would be one.
        """
        for name in ("contacts.parquet", "events.parquet"):
            if not (folder / name).is_file():
                raise LogError(f"expected {name} in {folder}; give a folder that ingest wrote")
        contacts = events = 0
        for block in pq.ParquetFile(folder / "contacts.parquet").iter_batches(_BLOCK):
            batch = block.to_pylist()
            known = [
                Contact(**{**row, "attributes": json.loads(row["attributes"])}) for row in batch
            ]
            self._require_told_apart(known, folder)
            gone = [(contact_key(c.contact_id),) for c in known if not c.consent]
            statements = [
                Statement(rows.ADD_CONTACT, [rows.contact_row(c) for c in known]),
                Statement(rows.TAKE_CONSENT, gone),
            ]
            contacts += self._writer.write(statements)[0]
        for block in pq.ParquetFile(folder / "events.parquet").iter_batches(_BLOCK):
            columns = {name: block.column(name) for name in block.schema.names}
            for name in ("occurred_at", "recorded_at"):
                columns[f"{name[:-3]}_us"] = columns.pop(name).cast("int64")
            cells = [columns[name].to_pylist() for name in Event.__slots__]
            told = [Event(*row) for row in zip(*cells, strict=True)]
            stored = self.events_of_ids([event.event_id for event in told])
            events += self.append_events(settle(told, stored, forbidding).fresh)
        return contacts, events

    def _require_told_apart(self, contacts: Sequence[Contact], folder: Path) -> None:
        ids = [contact.contact_id for contact in contacts]
        known = {key: stored.spelling or key for key, stored in self.contacts(ids).items()}
        for name in ids:
            other = known.setdefault(contact_key(name), name)
            if other != name:
                raise LogError(
                    f"expected contact ids that differ in more than case and space, got {other!r} "
                    f"and {name!r}, in {folder} or loaded before: the server would take them for "
                    "one person; use ids that differ, such as a CRM's long form"
                )

"""The ledger of deliveries: what became of each decision, in one SQLite file with one owner.

    planned -> attempted -> accepted | refused | unknown          planned -> withdrawn | refused
                         -> planned (a temporary refusal)         unknown -> accepted | planned
    refused -> planned (the receiver refused everybody)            unknown -> attempted (a key)

A decision is `attempted` on disk before the bytes of its mail go out, so that whoever was cut off
knows for which mails he has no answer. A row forgets its contact once there is nothing to report.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nurture_rl.delivery.planned_sends import PlannedSend
from nurture_rl.errors import DeliveryError

State = Literal["planned", "attempted", "accepted", "refused", "unknown", "withdrawn"]
Event = Literal["sent", "hard_bounce", "soft_bounce"]

_APPLICATION = 0x4E44454C  # "NDEL", where SQLite keeps whose file it is
_VERSION = 1
_TABLE = """
CREATE TABLE deliveries (
  decision_id TEXT PRIMARY KEY, contact_id TEXT, message TEXT NOT NULL, topic TEXT NOT NULL,
  send_at_us INTEGER NOT NULL, state TEXT NOT NULL, reason TEXT, place TEXT, tries INTEGER NOT NULL,
  next_us INTEGER NOT NULL, at_us INTEGER, event TEXT, code INTEGER, status TEXT) STRICT;
CREATE INDEX unreported ON deliveries (event) WHERE event IS NOT NULL;
CREATE INDEX states ON deliveries (state);
"""
_FORGET = "contact_id = CASE WHEN event IS NULL THEN NULL ELSE contact_id END"


@dataclass(frozen=True, slots=True)
class Attempt:
    """A mail that went out, or may have."""

    decision_id: str
    place: str  # its Message-ID or key at the receiver, or the file that it was written to
    at_us: int  # when, microseconds since 1970 UTC


@dataclass(frozen=True, slots=True)
class DeliveryOutcome:
    """What is to be told to the policy server of one decision."""

    decision_id: str
    contact_id: str
    message: str
    topic: str
    event: Event
    at_us: int
    code: int | None  # of SMTP
    status: str | None  # enhanced, such as 5.1.1


@dataclass(frozen=True, slots=True)
class WaitingSend:
    """A planned decision."""

    tries: int  # temporary refusals so far
    next_us: int  # not before


class DeliveryLedger:
    """One file, which one process has at a time."""

    def __init__(self, path: Path, must_exist: bool = False) -> None:
        """Open it, or make it.

        Args:
            path: of the file.
            must_exist: make none.

        Raises:
            DeliveryError: another process has it, it is another program's, or cannot be written.
        """
        if must_exist and not path.exists():
            raise DeliveryError(f"expected a ledger of deliveries at {path}, got none; name it")
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = path.resolve().with_name(f"{path.resolve().name}.lock")
            self._lock = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._unusable(error) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._file = sqlite3.connect(path, isolation_level=None)
            self._begin()
        except BlockingIOError as error:
            os.close(self._lock)
            raise DeliveryError(
                f"expected that nobody delivers by the ledger {path}, but another process does: "
                "two would mail one contact twice; wait for it"
            ) from error
        except (OSError, sqlite3.Error) as error:
            os.close(self._lock)
            raise self._unusable(error) from error
        except DeliveryError:
            os.close(self._lock)
            raise

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
        with suppress(OSError):
            os.close(self._lock)

    def plan(self, sends: Iterable[PlannedSend], topics: Mapping[str, str]) -> None:
        """Take up decisions; those that are known stay as they are, but for what planned ones say.

        Args:
            sends: the decisions.
            topics: of their messages, by decision id.
        """
        self._many(
            "INSERT INTO deliveries (decision_id, contact_id, message, topic, send_at_us, next_us, "
            "state, tries) VALUES (?, ?, ?, ?, ?, ?, 'planned', 0) ON CONFLICT (decision_id) DO "
            "UPDATE SET contact_id = excluded.contact_id, message = excluded.message, "
            "topic = excluded.topic, send_at_us = excluded.send_at_us WHERE state = 'planned'",
            [
                (name, one.contact_id, one.message, topics[name], one.send_at_us, one.send_at_us)
                for one in sends
                for name in [one.decision_id]
            ],
        )

    def waiting(self, ids: Collection[str]) -> dict[str, WaitingSend]:
        """Those of some decisions that are planned."""
        asked = "SELECT decision_id, tries, next_us FROM deliveries WHERE state = 'planned'"
        wanted = set(ids)
        found = {name: WaitingSend(tries, at) for name, tries, at in self._file.execute(asked)}
        return {name: one for name, one in found.items() if name in wanted}

    def attempted(self, state: State = "attempted") -> list[Attempt]:
        """Mails without an answer."""
        asked = "SELECT decision_id, place, at_us FROM deliveries WHERE state = ? ORDER BY at_us"
        return [Attempt(*row) for row in self._file.execute(asked, (state,))]

    def attempt(self, ids: Sequence[str], place: str, at_us: int, repeated: bool = False) -> None:
        """Note that mails go out now; on disk when this returns.

        Args:
            ids: of their decisions.
            place: where they are found again.
            at_us: when, microseconds since 1970 UTC.
            repeated: they may have gone out already, to a receiver that counts them once.

        Raises:
            DeliveryError: one of them is not planned. Nothing was noted: it must not go out.
        """
        change = "state = 'attempted', place = ?, at_us = ?"
        before: tuple[State, ...] = ("planned", "unknown") if repeated else ("planned",)
        self._move(change, before, ids, (place, at_us))

    def accept(self, ids: Sequence[str], event: Event | None) -> None:
        """Note that attempted mails were taken, and what is to be reported of them."""
        change = "state = 'accepted', reason = NULL, event = ?"
        self._move(change, ("attempted", "unknown"), ids, (event,))

    def refuse(
        self,
        decision_id: str,
        event: Event,
        at_us: int,
        code: int | None,
        status: str | None,
        reason: str,
    ) -> None:
        """Note that a mail was refused for good."""
        self._move(
            "state = 'refused', event = ?, at_us = ?, code = ?, status = ?, reason = ?",
            ("planned", "attempted"),
            [decision_id],
            (event, at_us, code, status, reason),
        )

    def postpone(self, decision_id: str, next_us: int, reason: str, refused: bool = True) -> None:
        """Note that a mail did not get through, and is to be tried again.

        Args:
            decision_id: whose.
            next_us: not before, microseconds since 1970 UTC.
            reason: why.
            refused: the receiver said so; False: it never had it.
        """
        self._move(
            "state = 'planned', tries = tries + ?, next_us = ?, reason = ?, place = NULL",
            ("planned", "attempted", "unknown"),
            [decision_id],
            (int(refused), next_us, reason),
        )

    def withdraw(self, decision_id: str, reason: str) -> None:
        """Note why a planned mail is not sent."""
        self._move("state = 'withdrawn', reason = ?", ("planned",), [decision_id], (reason,))

    def take_back(self, ids: Sequence[str], reason: str) -> None:
        """Plan refused mails again: who refuses everybody says nothing of each of them."""
        change = "state = 'planned', event = NULL, code = NULL, status = NULL, reason = ?"
        self._move(change, ("refused",), ids, (reason,))

    def in_a_row(self, but: Sequence[str]) -> int:
        """How many mails were refused, or had no answer, since the last that was accepted.

        Args:
            but: reasons that are none of the receiver's.
        """
        marks = ", ".join("?" for _ in but)
        asked = (
            "SELECT count(*) FROM deliveries WHERE state IN ('refused', 'unknown') "
            f"AND coalesce(reason, '') NOT IN ({marks}) AND at_us > coalesce("
            "(SELECT max(at_us) FROM deliveries WHERE state = 'accepted'), 0)"
        )
        (count,) = self._file.execute(asked, tuple(but)).fetchone()
        return int(count)

    def give_up(self, ids: Sequence[str], reason: str) -> None:
        """Note that there is no answer, and that none will come by itself."""
        self._move("state = 'unknown', reason = ?", ("attempted", "unknown"), ids, (reason,))

    def late(self, before_us: int) -> list[tuple[str, int]]:
        """Planned decisions whose hour was before a moment, with their temporary refusals."""
        asked = "SELECT decision_id, tries FROM deliveries WHERE state = 'planned' "
        return list(self._file.execute(f"{asked} AND send_at_us < ?", (before_us,)))

    def unreported(self, most: int) -> list[DeliveryOutcome]:
        """What the policy server does not know yet."""
        asked = (
            "SELECT decision_id, contact_id, message, topic, event, at_us, code, status "
            "FROM deliveries WHERE event IS NOT NULL ORDER BY rowid LIMIT ?"
        )
        return [DeliveryOutcome(*row) for row in self._file.execute(asked, (most,))]

    def report(self, ids: Sequence[str]) -> None:
        """Note that the policy server knows; the row forgets its contact."""
        update = "UPDATE deliveries SET event = NULL, contact_id = NULL WHERE decision_id = ?"
        self._many(update, [(name,) for name in ids])

    def counts(self) -> dict[str, int]:
        """Decisions by state."""
        asked = "SELECT state, count(*) FROM deliveries GROUP BY state ORDER BY state"
        return dict(self._file.execute(asked))

    def _move(
        self, change: str, before: Sequence[State], ids: Sequence[str], given: tuple[object, ...]
    ) -> None:
        """Change rows that are in certain states, all or none."""
        states = ", ".join(f"'{state}'" for state in before)
        update = f"UPDATE deliveries SET {change} WHERE decision_id = ? AND state IN ({states})"
        forget = f"UPDATE deliveries SET {_FORGET} WHERE decision_id = ? AND state IN "
        forget += "('accepted', 'refused', 'withdrawn')"
        self._file.execute("BEGIN IMMEDIATE")
        try:
            for name in ids:
                if self._file.execute(update, (*given, name)).rowcount != 1:
                    raise DeliveryError(
                        f"decision {name}: expected it {' or '.join(before)} in {self.path}, got "
                        "another state: another program changes the ledger; stop it"
                    )
                self._file.execute(forget, (name,))
        except BaseException:
            if self._file.in_transaction:  # a full disk may have ended it
                self._file.execute("ROLLBACK")
            raise
        self._file.execute("COMMIT")

    def _many(self, sql: str, rows: Sequence[tuple[object, ...]]) -> None:
        self._file.execute("BEGIN IMMEDIATE")
        try:
            self._file.executemany(sql, rows)
        except BaseException:
            if self._file.in_transaction:  # a full disk may have ended it
                self._file.execute("ROLLBACK")
            raise
        self._file.execute("COMMIT")

    def _begin(self) -> None:
        (application,) = self._file.execute("PRAGMA application_id").fetchone()
        (version,) = self._file.execute("PRAGMA user_version").fetchone()
        (tables,) = self._file.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if tables and (application, version) != (_APPLICATION, _VERSION):
            raise DeliveryError(
                f"expected a ledger of deliveries of version {_VERSION} at {self.path}, got "
                "another database; nothing was written: give another path"
            )
        self._file.execute("PRAGMA journal_mode = WAL")
        self._file.execute("PRAGMA synchronous = FULL")
        self._file.execute("PRAGMA secure_delete = ON")  # a contact that is forgotten is gone
        if not tables:
            self._file.executescript(
                f"BEGIN IMMEDIATE; {_TABLE} PRAGMA application_id = {_APPLICATION}; "
                f"PRAGMA user_version = {_VERSION}; COMMIT;"
            )

    def _unusable(self, error: Exception) -> DeliveryError:
        return DeliveryError(
            f"expected a ledger that can be written at {self.path}, got: {error}; give another "
            "path or mend its permissions"
        )

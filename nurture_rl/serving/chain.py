"""The hash chain over what was decided and what became of it: nothing of it changes unseen.

An entry stands for one row that is never changed: of `decisions`, `withdrawals`, `confirmations` or
`erasures`. It keeps the row's digest and a link, SHA-256 over the link before and this digest, in
the order of commit. So the last link vouches for every row before it. An erased row leaves its
digest: the chain stays whole.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from nurture_rl.serving.rows import Row

STORE, DECISION, WITHDRAWAL, CONFIRMATION, ERASURE = (
    *("store", "decision", "withdrawal", "confirmation"),
    "erasure",
)
TABLE_OF = {
    DECISION: "decisions",
    WITHDRAWAL: "withdrawals",
    CONFIRMATION: "confirmations",
    ERASURE: "erasures",
}
# `id` is the row's key, null where it was erased by the entry with the number `erasure`.
TABLES = """
CREATE TABLE IF NOT EXISTS chain (
  number INTEGER PRIMARY KEY, kind TEXT NOT NULL, id TEXT, digest BLOB NOT NULL,
  link BLOB NOT NULL, erasure INTEGER, UNIQUE (id, kind)) STRICT;
CREATE TABLE IF NOT EXISTS erasures (
  number TEXT PRIMARY KEY, at_us INTEGER NOT NULL, reason TEXT NOT NULL, rows INTEGER NOT NULL,
  digest BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS erased_contacts (mark TEXT PRIMARY KEY, at_us INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS erased_actions (
  journey TEXT NOT NULL, action TEXT NOT NULL, times INTEGER NOT NULL,
  PRIMARY KEY (journey, action)) STRICT;
"""
_MADE_ONCE = (WITHDRAWAL, CONFIRMATION)  # of these a second one of an id leaves the first
_ROWS = 1_000  # of one statement
_START = "INSERT INTO chain VALUES (0, 'store', '', ?, ?, NULL) ON CONFLICT DO NOTHING"

Link = tuple[str, str, bytes]  # kind, id and digest of a row


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the chain."""

    number: int  # 0 for the store itself, then counted up in the order of commit
    kind: str  # STORE or a key of TABLE_OF
    id: str | None  # of the row; None where it was erased
    digest: bytes  # of the row
    link: bytes
    erasure: int | None = None  # number of the entry of the erasure that took the row


def row_digest(row: Sequence[object]) -> bytes:
    """SHA-256 of a row of a table, in the table's order of columns.

    Nulls at the end do not count: a column that is added later leaves older rows as they were.
    """
    end = len(row)
    while end and row[end - 1] is None:
        end -= 1
    return hashlib.sha256(msgspec.msgpack.encode(list(row[:end]))).digest()


def chain_link(before: bytes, digest: bytes) -> bytes:
    """The link of an entry, from the link before and the digest of its row."""
    return hashlib.sha256(before + digest).digest()


def links(kind: str, rows: Iterable[Row]) -> list[Link]:
    """What `append` takes for rows of one kind, whose key is their first cell."""
    return [(kind, row[0], row_digest(row)) for row in rows]


def append(connection: sqlite3.Connection, new: Sequence[Link]) -> None:
    """Add entries for rows that are added in the same transaction.

    Nobody else may append until it is committed: a second entry of one number is refused. What is
    linked already stays as it is, as its row does.
    """
    fresh = _fresh(connection, new)
    if not fresh:
        return
    asked = "SELECT number, link FROM chain ORDER BY number DESC LIMIT 1"
    last = connection.execute(asked).fetchone()
    if last is None:
        raise sqlite3.DatabaseError("the store's chain is gone; bring the store back from a backup")
    number, link = last
    cells: list[object] = []
    for kind, name, digest in fresh:
        number, link = number + 1, chain_link(link, digest)
        cells += (number, kind, name, digest, link)
    # One statement for many rows: each call of SQLite gives way to all other threads.
    for start in range(0, len(cells), 5 * _ROWS):
        some = cells[start : start + 5 * _ROWS]
        places = ", ".join(["(?, ?, ?, ?, ?, NULL)"] * (len(some) // 5))
        connection.execute(f"INSERT INTO chain VALUES {places}", some)


def _fresh(connection: sqlite3.Connection, new: Sequence[Link]) -> list[Link]:
    again = [name for kind, name, _ in new if kind in _MADE_ONCE]
    if not again:
        return list(new)
    asked = "SELECT kind, id FROM chain WHERE id IN (SELECT value FROM json_each(?))"
    there = set(connection.execute(asked, (json.dumps(again),)))
    fresh = {(kind, name): (kind, name, digest) for kind, name, digest in reversed(new)}
    return [one for at, one in reversed(fresh.items()) if at not in there]


def store_digest(seed: int) -> bytes:
    """What the first entry stands for: the seed of all the store's decisions."""
    return row_digest((STORE, seed))


def begin(connection: sqlite3.Connection, seed: int) -> None:
    """Begin the chain of a store, and link the rows of a store that has none yet."""
    digest = store_digest(seed)
    if not connection.execute(_START, (digest, chain_link(b"", digest))).rowcount:
        return
    for kind in (DECISION, WITHDRAWAL, CONFIRMATION):
        found = connection.execute(f"SELECT * FROM {TABLE_OF[kind]} ORDER BY rowid")
        while block := found.fetchmany(10_000):
            append(connection, links(kind, block))


class ErasedEntries:
    """Entries that one erasure takes the rows of, counted and hashed in the order of numbers."""

    def __init__(self) -> None:
        self._total, self.count = hashlib.sha256(), 0

    def add(self, number: int, digest: bytes) -> None:
        """Take the next one."""
        self._total.update(number.to_bytes(8, "big") + digest)
        self.count += 1

    @property
    def digest(self) -> bytes:
        """SHA-256 over numbers and digests."""
        return self._total.digest()

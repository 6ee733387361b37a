"""The hash chain over what was decided and what became of it: nothing of it changes unseen.

An entry stands for one row that is never changed: of `decisions`, `withdrawals`, `confirmations` or
`erasures`. It keeps the row's digest and a link, SHA-256 over the link before and this digest, in
the order of commit. So the last link vouches for every row before it. An erased row leaves its
digest: the chain stays whole.
"""

from __future__ import annotations

import hashlib
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
"""
# One statement, which must have the chain to itself until it is committed: a second entry of one
# number is refused. What is linked already stays as it is, as its row does.
ADD_LINK = (
    "INSERT INTO chain SELECT number + 1, ?1, ?2, ?3, chain_link(link, ?3), NULL FROM chain "
    "WHERE TRUE ORDER BY number DESC LIMIT 1 ON CONFLICT (id, kind) DO NOTHING"
)
_START = "INSERT INTO chain VALUES (0, 'store', '', ?, ?, NULL) ON CONFLICT DO NOTHING"


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


def links(kind: str, rows: Iterable[Row]) -> list[tuple[str, str, bytes]]:
    """What ADD_LINK takes for rows of one kind, whose key is their first cell."""
    return [(kind, row[0], row_digest(row)) for row in rows]


def store_digest(seed: int) -> bytes:
    """What the first entry stands for: the seed of all the store's decisions."""
    return row_digest((STORE, seed))


def prepare(connection: sqlite3.Connection) -> None:
    """Teach a connection the function of ADD_LINK."""
    connection.create_function("chain_link", 2, chain_link, deterministic=True)


def begin(connection: sqlite3.Connection, seed: int) -> None:
    """Begin the chain of a store, and link the rows of a store that has none yet."""
    digest = store_digest(seed)
    if not connection.execute(_START, (digest, chain_link(b"", digest))).rowcount:
        return
    for kind in (DECISION, WITHDRAWAL, CONFIRMATION):
        found = connection.execute(f"SELECT * FROM {TABLE_OF[kind]} ORDER BY rowid")
        while block := found.fetchmany(10_000):
            connection.executemany(ADD_LINK, links(kind, block))


def erased_digest(entries: Iterable[tuple[int, bytes]]) -> bytes:
    """SHA-256 over numbers and digests of erased entries, in the order of their numbers."""
    total = hashlib.sha256()
    for number, digest in entries:
        total.update(erased_bytes(number, digest))
    return total.digest()


def erased_bytes(number: int, digest: bytes) -> bytes:
    """What one entry adds to `erased_digest`."""
    return number.to_bytes(8, "big") + digest

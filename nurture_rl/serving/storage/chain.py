"""The hash chain over what was decided and what became of it: nothing of it changes unseen.

An entry stands for one row that is never changed: of `decisions`, `withdrawals`, `confirmations` or
`erasures`. It keeps the row's digest and a link, SHA-256 over the link before and this digest, in
the order of commit. So the last link vouches for every row before it. An erased row leaves its
digest: the chain stays whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from nurture_rl.serving.records import DECISION_COLUMNS
from nurture_rl.serving.store_errors import StoreLost

Cells = tuple[Any, ...]
# Runs a statement, in which `?` stands for a cell, and gives the rows that it finds or returns.
Run = Callable[[str, Sequence[object]], list[Cells]]

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
# Of each kind's table, in the order of their digest; a later column comes at the end.
COLUMNS_OF = {
    DECISION: DECISION_COLUMNS,
    WITHDRAWAL: ("decision_id", "at_us", "reason", "freed"),
    CONFIRMATION: ("decision_id", "at_us"),
    ERASURE: ("erasure_id", "at_us", "reason", "taken", "digest"),
}
# What waits in `waiting_links` is appended next, where rows are committed without a lock on the
# chain.
# `id` is the row's key, null where it was erased by the erasure with the id `erasure`.
TABLES = """
CREATE TABLE IF NOT EXISTS chain (
  number INTEGER PRIMARY KEY, kind TEXT NOT NULL, id TEXT, digest BLOB NOT NULL,
  link BLOB NOT NULL, erasure TEXT, UNIQUE (id, kind)) STRICT;
CREATE TABLE IF NOT EXISTS erasures (
  erasure_id TEXT PRIMARY KEY, at_us INTEGER NOT NULL, reason TEXT NOT NULL,
  taken INTEGER NOT NULL, digest BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS waiting_links (
  kind TEXT NOT NULL, id TEXT NOT NULL, digest BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS erased_contacts (mark TEXT PRIMARY KEY, at_us INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS erased_actions (
  journey TEXT NOT NULL, action TEXT NOT NULL, times INTEGER NOT NULL,
  PRIMARY KEY (journey, action)) STRICT;
"""
COLUMNS = {"erased_contacts": ("mark", "at_us")}
MADE_ONCE = (WITHDRAWAL, CONFIRMATION)  # of these a second one of an id leaves the first
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
    erasure: str | None = None  # id of the erasure that took the row


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


def links(kind: str, rows: Iterable[Cells]) -> list[Link]:
    """What `append` takes for rows of one kind, whose key is their first cell."""
    return [(kind, row[0], row_digest(row)) for row in rows]


def store_digest(seed: int) -> bytes:
    """What the first entry stands for: the seed of all the store's decisions."""
    return row_digest((STORE, seed))


def append(run: Run, new: Sequence[Link]) -> None:
    """Add entries for rows that are added in the same transaction.

    Nobody else may append until it is committed: a second entry of one number is refused. What is
    linked already stays as it is, as its row does.
    """
    fresh = _fresh(run, new)
    if not fresh:
        return
    last = run("SELECT number, link FROM chain ORDER BY number DESC LIMIT 1", ())
    if not last:
        raise StoreLost("the store's chain is gone; bring the store back from a backup")
    number, link = last[0]
    cells: list[object] = []
    for kind, name, digest in fresh:
        number, link = number + 1, chain_link(link, digest)
        cells += (number, kind, name, digest, link)
    # One statement for many rows: each call of a database gives way to all other threads.
    for start in range(0, len(cells), 5 * _ROWS):
        some = cells[start : start + 5 * _ROWS]
        places = ", ".join(["(?, ?, ?, ?, ?)"] * (len(some) // 5))
        added = "INSERT INTO chain (number, kind, id, digest, link) VALUES "
        run(f"{added}{places} RETURNING number", some)


def link_waiting(run: Run) -> None:
    """Add entries for what waits for them in the copy of a store that linked after its commits."""
    waiting = run("DELETE FROM waiting_links RETURNING rowid, kind, id, digest", ())
    append(run, [(kind, name, digest) for _, kind, name, digest in sorted(waiting)])


def begin(run: Run, seed: int) -> None:
    """Begin the chain of a store, and link the rows of a store that has none yet."""
    if run("SELECT number FROM chain WHERE number = 0", ()):
        return
    digest = store_digest(seed)
    first = "INSERT INTO chain (number, kind, id, digest, link) VALUES (0, ?, '', ?, ?)"
    run(f"{first} RETURNING number", (STORE, digest, chain_link(b"", digest)))
    for kind in (DECISION, WITHDRAWAL, CONFIRMATION):
        table, last = TABLE_OF[kind], -1
        asked = (
            f"SELECT rowid, {', '.join(COLUMNS_OF[kind])} FROM {table} WHERE rowid > ? "
            f"ORDER BY rowid LIMIT {_ROWS}"
        )
        while block := run(asked, (last,)):
            append(run, links(kind, [row[1:] for row in block]))
            last = block[-1][0]


def _fresh(run: Run, new: Sequence[Link]) -> list[Link]:
    again = sorted({name for kind, name, _ in new if kind in MADE_ONCE})
    there: set[Cells] = set()
    for start in range(0, len(again), _ROWS):
        some = again[start : start + _ROWS]
        places = ", ".join("?" * len(some))
        there |= set(run(f"SELECT kind, id FROM chain WHERE id IN ({places})", some))
    fresh: list[Link] = []
    for kind, name, digest in new:
        if kind not in MADE_ONCE or (kind, name) not in there:
            there.add((kind, name))
            fresh.append((kind, name, digest))
    return fresh


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

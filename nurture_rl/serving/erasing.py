"""Erasing people from a store: their rows go, the chain keeps the digests, a mark stays.

The mark is a salted hash of the contact's key, which says nothing about the person to whoever does
not know the id already. It keeps an old log or a forgotten list from bringing them back; only
consent that they give later does (`Store`).
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from nurture_envs.stops import forbids, say_of
from nurture_rl.serving import opening
from nurture_rl.serving.chain import ERASURE, ErasedEntries, append, links
from nurture_rl.serving.erased_marks import SALT, mark_of
from nurture_rl.serving.mentions import mentions
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.reading import StoreReader

_ADD_TIMES = (
    "INSERT INTO erased_actions VALUES (?, ?, 1) "
    "ON CONFLICT (journey, action) DO UPDATE SET times = times + 1"
)
_CONTACTS_AT_ONCE = 500  # of one transaction, and one entry of the chain


def erase_contacts(
    path: Path, ids: Sequence[str], reason: str, forgotten: bool = False
) -> Counter[str]:
    """Erase people from a store that nobody else writes.

    Args:
        path: of the store, brought up to date.
        ids: the contacts, in any spelling.
        reason: for the entry in the chain; says nothing about the people.
        forgotten: leave no mark of those to whom mail was allowed: they come back as anybody new.

    Returns:
        Rows that are gone, by table, and nothing of tables without any.
    """
    with closing(opening.connect(path)) as store:
        return erase_in(store, path, ids, reason, forgotten)


def erase_in(
    store: sqlite3.Connection,
    path: Path,
    ids: Sequence[str],
    reason: str,
    forgotten: bool = False,
) -> Counter[str]:
    """As `erase_contacts`, by a connection of its caller."""
    keys = sorted({contact_key(name) for name in ids})
    gone: Counter[str] = Counter()
    store.create_function("contact_key", 1, contact_key, deterministic=True)
    gone["quarantine"] = _erase_quarantined(store, set(keys))
    with closing(StoreReader(path)) as reader:
        for start in range(0, len(keys), _CONTACTS_AT_ONCE):
            some = keys[start : start + _CONTACTS_AT_ONCE]
            store.execute("BEGIN IMMEDIATE")
            try:
                gone += _erase(store, reader, some, reason, forgotten)
                store.execute("COMMIT")
            except BaseException:
                store.execute("ROLLBACK")
                raise
    # What SQLite has deleted may still stand in free space of the file.
    store.execute("VACUUM")
    store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return +gone


def erase_again(copy: Path, store: Path) -> int:
    """Erase from an older copy of a store those who were erased from the store since.

    Returns:
        How many were found in the copy.
    """
    try:
        with closing(opening.connect_reading(store)) as reader:
            salt = _salt(reader)
            if salt is None:
                return 0
            marks = dict(reader.execute("SELECT mark, at_us FROM erased_contacts").fetchall())
        with closing(sqlite3.connect(copy, isolation_level=None)) as older:
            older.execute("INSERT INTO meta VALUES (?, ?) ON CONFLICT DO NOTHING", (SALT, salt))
            back = [key for key in _keys(older) if mark_of(salt, key) in marks]
            if back:
                erase_in(older, copy, back, "erased before the restore")
            if _salt(older) == salt:
                rows = list(marks.items())
                older.executemany("INSERT OR REPLACE INTO erased_contacts VALUES (?, ?)", rows)
            return len(back)
    except sqlite3.OperationalError:  # another version's: it has erased nobody
        return 0


def _salt(store: sqlite3.Connection) -> str | None:
    row = store.execute("SELECT value FROM meta WHERE name = ?", (SALT,)).fetchone()
    return None if row is None else str(row[0])


def _keys(store: sqlite3.Connection) -> Iterator[str]:
    for (key,) in store.execute(
        "SELECT contact_id FROM contacts UNION SELECT contact_id FROM events"
    ):
        yield key


def _erase(
    store: sqlite3.Connection,
    reader: StoreReader,
    keys: Sequence[str],
    reason: str,
    forgotten: bool,
) -> Counter[str]:
    given = (json.dumps(keys),)
    of_contacts = "contact_id IN (SELECT value FROM json_each(?))"
    asked = f"SELECT decision_id, journey, action FROM decisions WHERE {of_contacts}"
    decisions = store.execute(asked, given).fetchall()
    ids = [row[0] for row in decisions]
    freed = {decision.decision_id for decision in reader.freed(ids)}
    counted = [row[1:] for row in decisions if row[0] not in freed]
    store.executemany(_ADD_TIMES, counted)  # an inventory that they used is used
    marked = _refused(store, keys) if forgotten else keys
    taken = _take_out(store, ids)
    gone = Counter[str]()
    # An event of somebody else that names their decision is not theirs: it stays without the name.
    among = "decision_id IN (SELECT value FROM json_each(?))"
    named = f"UPDATE events SET decision_id = NULL WHERE {among} AND NOT {of_contacts}"
    store.execute(named, (json.dumps(ids), *given))
    for table, columns in _tables(store).items():
        if "contact_id" in columns and table != "quarantine":
            gone[table] += store.execute(f"DELETE FROM {table} WHERE {of_contacts}", given).rowcount
        elif "decision_id" in columns:
            rows = store.execute(f"DELETE FROM {table} WHERE {among}", (json.dumps(ids),)).rowcount
            gone[table] += rows
    _mark(store, marked)
    if gone.total():
        _note(store, taken, reason)
    return gone


def _take_out(store: sqlite3.Connection, ids: Sequence[str]) -> ErasedEntries:
    """Let entries of these decisions, and of what became of them, keep their digests alone."""
    asked = (
        "SELECT number, digest FROM chain WHERE id IN (SELECT value FROM json_each(?)) "
        "AND kind IN ('decision', 'withdrawal', 'confirmation') ORDER BY number"
    )
    entries = store.execute(asked, (json.dumps(ids),)).fetchall()
    number, taken = _next_number(store), ErasedEntries()
    for entry, digest in entries:
        taken.add(entry, digest)
    rows = [(number, entry) for entry, _ in entries]
    store.executemany("UPDATE chain SET id = NULL, erasure = ? WHERE number = ?", rows)
    return taken


def _note(store: sqlite3.Connection, taken: ErasedEntries, reason: str) -> None:
    row = (str(_next_number(store)), time.time_ns() // 1000, reason, taken.count, taken.digest)
    store.execute("INSERT INTO erasures VALUES (?, ?, ?, ?, ?)", row)
    append(lambda sql, given: store.execute(sql, given).fetchall(), links(ERASURE, [row]))


def _next_number(store: sqlite3.Connection) -> int:
    return int(store.execute("SELECT max(number) + 1 FROM chain").fetchone()[0])


def _refused(store: sqlite3.Connection, keys: Sequence[str]) -> list[str]:
    """Those who gave no consent, or ever said a word against mail."""
    given, among = (json.dumps(keys),), "contact_id IN (SELECT value FROM json_each(?))"
    asked = f"SELECT contact_id FROM contacts WHERE NOT consent AND {among}"
    found = {key for (key,) in store.execute(asked, given)}
    asked = f"SELECT DISTINCT contact_id, type, reply_class FROM events WHERE {among}"
    words = store.execute(asked, given).fetchall()
    return sorted(found | {key for key, kind, reply in words if forbids(say_of(kind, reply))})


def _mark(store: sqlite3.Connection, keys: Sequence[str]) -> None:
    fresh = (SALT, secrets.token_hex(32))
    store.execute("INSERT INTO meta VALUES (?, ?) ON CONFLICT DO NOTHING", fresh)
    salt, now_us = str(_salt(store)), time.time_ns() // 1000
    rows = [(mark_of(salt, key), now_us) for key in keys]
    store.executemany("INSERT OR REPLACE INTO erased_contacts VALUES (?, ?)", rows)


def _erase_quarantined(store: sqlite3.Connection, keys: set[str]) -> int:
    found = store.execute("SELECT rowid, contact_id, raw FROM quarantine")
    rows = [
        (row,)
        for row, contact, raw in found
        if (contact is not None and contact_key(contact) in keys) or mentions(raw, keys)
    ]
    store.executemany("DELETE FROM quarantine WHERE rowid = ?", rows)
    return len(rows)


def _tables(store: sqlite3.Connection) -> dict[str, set[str]]:
    """The columns of every table."""
    names = store.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    return {
        name: {row[1] for row in store.execute(f"PRAGMA table_info({name})")} for (name,) in names
    }

"""Erasing people from a store: their rows go, the chain keeps the digests, a mark stays.

The mark is a salted hash of the contact's key, which says nothing about the person to whoever does
not know the id already. It keeps an old log or a forgotten list from bringing them back; only
consent that they give later does (`Store`).
"""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from uuid import uuid4

from nurture_envs.stops import forbids, say_of
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.records import Preferences
from nurture_rl.serving.storage import opening
from nurture_rl.serving.storage.chain import ERASURE, ErasedEntries, links
from nurture_rl.serving.storage.databases import Database, Location, Statement
from nurture_rl.serving.storage.erased_marks import SALT, mark_of
from nurture_rl.serving.storage.locating import is_url, open_for_reading, open_for_writing
from nurture_rl.serving.storage.reading import StoreReader
from nurture_rl.serving.store_errors import StoreError, StoreUnavailable
from nurture_rl.serving.upkeep.mentions import mentions

OF_CONTACT = (  # tables that name a contact
    *("contacts", "events", "episodes", "decisions", "preferences", "consent_ledger"),
    *("contact_states", "waiting", "journey_log"),
)
OF_DECISION = (
    "withdrawals",
    "confirmations",
    "shadows",
    "ghosts",
)  # tables that name a decision alone
_OF_SERVERS = (
    "news",
    "mail_changes",
)  # tables that name a contact where several servers share a store
_ADD_TIMES = (
    "INSERT INTO erased_actions (journey, action, times) VALUES (?, ?, 1) "
    "ON CONFLICT (journey, action) DO UPDATE SET times = erased_actions.times + 1"
)
_ADD_MARK = (
    "INSERT INTO erased_contacts (mark, at_us) VALUES (?, ?) "
    "ON CONFLICT (mark) DO UPDATE SET at_us = excluded.at_us"
)
_ADD_ERASURE = (
    "INSERT INTO erasures (erasure_id, at_us, reason, taken, digest) VALUES (?, ?, ?, ?, ?)"
)
_CONTACTS_AT_ONCE = 500  # of one transaction, and one entry of the chain
_BLOCK = 10_000  # rows read at a time


def erase_contacts(
    location: Location,
    ids: Sequence[str],
    reason: str,
    forgotten: bool = False,
    still: Callable[[Database, Sequence[str]], Sequence[str]] = lambda database, keys: keys,
) -> Counter[str]:
    """Erase people from a store.

    Args:
        location: of the store; nobody else may have a SQLite file.
        ids: the contacts, in any spelling.
        reason: for the entry in the chain; says nothing about the people.
        forgotten: leave no mark of those to whom mail was allowed: they come back as anybody new.
        still: which of some contacts, by key, are to be erased when nobody else can work on them.

    Returns:
        Rows that are gone, by table, and nothing of tables without any.

    Raises:
        StoreError: it is no store, another process has it, or the file cannot be rewritten.
        StoreUnavailable: the database refuses; the contacts at hand are as they were.
    """
    keys = sorted({contact_key(name) for name in ids})
    gone: Counter[str] = Counter()
    with closing(open_for_writing(location, secrets.randbits(48))) as database:
        store = StoreReader(location, database)
        gone["quarantine"] = _erase_quarantined(database, set(keys))
        for start in range(0, len(keys), _CONTACTS_AT_ONCE):
            some = keys[start : start + _CONTACTS_AT_ONCE]
            with database.held("contact", some):
                database.link()
                gone += _erase(database, store, still(database, some), reason, forgotten)
    if not is_url(location):
        _tidy(Path(location))
    return +gone


def erase_again(copy: Path, store: Location) -> int:
    """Erase from an older copy of a store those who were erased from the store since.

    Returns:
        How many were found in the copy.
    """
    try:
        salt, marks = _marks(store)
    except (StoreError, StoreUnavailable, ValueError):  # of another version, or broken
        return 0
    own_salt, known = _marks(copy)
    same = own_salt == salt  # else it is another store's copy
    since = {mark for mark, at_us in marks.items() if not same or known.get(mark) != at_us}
    with closing(opening.connect_reading(copy)) as older:
        asked = "SELECT contact_id FROM contacts UNION SELECT contact_id FROM events"
        back = [key for (key,) in older.execute(asked) if mark_of(salt, key) in since]
    if back:
        erase_contacts(copy, back, "erased before the restore")
    if marks and same:
        with closing(open_for_writing(copy, 0)) as database:
            database.write([Statement(_ADD_MARK, list(marks.items()))])
    return len(back)


def _marks(store: Location) -> tuple[str, dict[str, int]]:
    """The salt of a store, and when each of its marks was made."""
    with closing(open_for_reading(store)) as reader:
        ((salt,),) = reader.read("SELECT value FROM meta WHERE name = ?", (SALT,))
        return salt, dict(reader.read("SELECT mark, at_us FROM erased_contacts"))


def _tidy(path: Path) -> None:
    """Rewrite a file: what SQLite has deleted may still stand in its free space.

    Raises:
        StoreError: it cannot be, as where the disk has no room for a second one.
    """
    claim = opening.claim(path)
    try:
        with closing(opening.connect(path)) as file:
            file.execute("VACUUM")
            file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as error:
        raise StoreError(
            f"expected room to rewrite {path}, got: {error}; what was erased is out of its tables, "
            "and may still stand in its free space: make room for a copy of it, and erase again"
        ) from error
    finally:
        claim.release()


def _erase(
    database: Database, store: StoreReader, keys: Sequence[str], reason: str, forgotten: bool
) -> Counter[str]:
    given, among = (database.listed(keys),), f"contact_id {database.any_of}"
    asked = f"SELECT decision_id, journey, action FROM decisions WHERE {among}"
    decisions = database.read(asked, given)
    ids = [row[0] for row in decisions]
    freed = {decision.decision_id for decision in store.freed(ids)}
    # Of an inventory, for good; in one order, so that two erasures do not wait for each other.
    used = sorted(row[1:] for row in decisions if row[0] not in freed)
    entries = _entries(database, ids)
    taken = ErasedEntries()
    for number, digest in entries:
        taken.add(number, digest)
    name, now_us = uuid4().hex, time.time_ns() // 1000
    marked = _refused(database, store, keys) if forgotten else keys
    marks = [(mark_of(store.salt, key), now_us) for key in marked]
    changes = [
        Statement(_ADD_TIMES, used),
        Statement(_ADD_MARK, marks),
        Statement(
            "UPDATE chain SET id = NULL, erasure = ? WHERE number = ?",
            [(name, number) for number, _ in entries],
        ),
    ]
    deletions = {
        table: Statement(f"DELETE FROM {table} WHERE {column} = ?", [(one,) for one in values])
        for column, values, tables in (
            ("contact_id", keys, OF_CONTACT + (_OF_SERVERS if database.is_shared else ())),
            ("decision_id", ids, OF_DECISION),
        )
        for table in tables
    }
    # Version 1 took spellings of an id for people: of two episodes one kept the id as it came.
    spelled = (
        "DELETE FROM episodes WHERE episode_id IN "
        "(SELECT episode_id FROM decisions WHERE contact_id = ?)"
    )
    first = Statement(spelled, [(key,) for key in keys])
    # An event of somebody else that names their decision is not theirs: it stays without the name.
    unnamed = "UPDATE events SET decision_id = NULL WHERE decision_id = ?"
    changes.append(Statement(unnamed, [(one,) for one in ids]))
    there = any(
        database.read(f"SELECT 1 FROM {t} WHERE {among} LIMIT 1", given) for t in OF_CONTACT
    )
    row = (name, now_us, reason, taken.count, taken.digest)
    noted = [Statement(_ADD_ERASURE, [row], links(ERASURE, [row]))] if there else []
    # What is called erased and the entry that says so are seen together, or neither.
    others, *counts = database.write_linked([first, *deletions.values(), *changes, *noted])
    return Counter(dict(zip(deletions, counts, strict=False))) + Counter(episodes=others)


def _entries(database: Database, ids: Sequence[str]) -> list[tuple[int, bytes]]:
    """Number and digest of the entries of these decisions, and of what became of them."""
    asked = (
        f"SELECT number, digest FROM chain WHERE id {database.any_of} "
        "AND kind IN ('decision', 'withdrawal', 'confirmation') ORDER BY number"
    )
    return [(number, digest) for number, digest in database.read(asked, (database.listed(ids),))]


def _refused(database: Database, store: StoreReader, keys: Sequence[str]) -> list[str]:
    """Those who gave no consent, ever said a word against mail, or want it limited."""
    given, among = (database.listed(keys),), f"contact_id {database.any_of}"
    asked = f"SELECT contact_id FROM contacts WHERE consent = 0 AND {among}"
    found = {key for (key,) in database.read(asked, given)}
    asked = f"SELECT DISTINCT contact_id, type, reply_class FROM events WHERE {among}"
    words = database.read(asked, given)
    found |= {key for key, wish in store.preferences(keys).items() if wish != Preferences()}
    return sorted(found | {key for key, kind, reply in words if forbids(say_of(kind, reply))})


def _erase_quarantined(database: Database, keys: set[str]) -> int:
    """Refused and mended rows that speak of a contact."""
    rows = [(row,) for row in _speaking(database, keys)]
    return database.write([Statement("DELETE FROM quarantine WHERE rowid = ?", rows)])[0]


def _speaking(database: Database, keys: set[str]) -> Iterator[int]:
    with database.blocks(
        "SELECT rowid, contact_id, raw FROM quarantine ORDER BY rowid", _BLOCK
    ) as blocks:
        for block in blocks:
            for row, contact, raw in block:
                if (contact is not None and contact_key(contact) in keys) or mentions(raw, keys):
                    yield row

"""The verb `retention`: people of whom nothing was heard for long are erased from a store."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from nurture_envs.clock import DAY_US
from nurture_rl.errors import ConfigError
from nurture_rl.serving import opening
from nurture_rl.serving.erasing import erase_contacts
from nurture_rl.serving.locating import file_of
from nurture_rl.serving.reading import StoreReader
from nurture_rl.serving.store import Store
from nurture_rl.verb_result import VerbResult
from nurture_rl.wording import counted

# Contacts whose latest event and decision are older than a moment. Of somebody put without any of
# both nothing says how old they are: they stay.
_SILENT = (
    "SELECT contact_id FROM ("
    "SELECT contact_id, max(occurred_us, recorded_us) AS at_us FROM events UNION ALL "
    "SELECT contact_id, max(decided_us, ifnull(scheduled_us, 0)) FROM decisions) "
    "GROUP BY contact_id HAVING max(at_us) < ? ORDER BY contact_id"
)


@dataclass(frozen=True, slots=True)
class RetentionOptions:
    """How long what is known of people is kept."""

    store: str  # a server's store; to apply, no server may be running on it
    # Days, >= 1: who has no event and no decision since is erased, and refused rows that are older.
    older_than_days: int
    apply: bool = False  # erase them; else they are counted, and everything stays


def retention(options: RetentionOptions) -> VerbResult:
    """The verb `retention`.

    Raises:
        NurtureError: there is no store, the days are none, or a server has the store.
        OSError: the disk refuses.
    """
    path, days = file_of(options.store), options.older_than_days
    if days < 1:
        raise ConfigError(f"older_than_days: expected at least 1, got {days}")
    before_us = time.time_ns() // 1000 - days * DAY_US
    if not options.apply:
        with closing(StoreReader(path)), closing(opening.connect_reading(path)) as store:
            counts = _counts(store, before_us)
        print(f"{_told(counts)} older than {counted(days, 'day')}; nothing was erased")
        print("write apply=true to erase them")
        return VerbResult({**counts, "applied": False})
    with closing(Store(path)), closing(opening.connect(path)) as store:
        counts = _counts(store, before_us)
        store.execute("DELETE FROM quarantine WHERE received_us < ?", (before_us,))
        gone = erase_contacts(path, list(_silent(store, before_us)), "retention", forgotten=True)
    print(f"{_told(counts)} older than {counted(days, 'day')} erased")
    return VerbResult({**counts, "applied": True, "rows": dict(gone)})


def _silent(store: sqlite3.Connection, before_us: int) -> Iterator[str]:
    for (key,) in store.execute(_SILENT, (before_us,)):
        yield key


def _counts(store: sqlite3.Connection, before_us: int) -> dict[str, int]:
    one = "SELECT count(*) FROM {} WHERE contact_id IN (" + _SILENT + ")"
    counts = {"contacts": sum(1 for _ in _silent(store, before_us))}
    for table in ("events", "decisions"):
        counts[table] = store.execute(one.format(table), (before_us,)).fetchone()[0]
    asked = "SELECT count(*) FROM quarantine WHERE received_us < ?"
    counts["quarantine"] = store.execute(asked, (before_us,)).fetchone()[0]
    return counts


def _told(counts: dict[str, int]) -> str:
    events, decisions = counted(counts["events"], "event"), counted(counts["decisions"], "decision")
    refused = counted(counts["quarantine"], "refused row")
    return f"{counted(counts['contacts'], 'contact')} with {events} and {decisions}, {refused}"

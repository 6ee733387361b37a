"""The verb `retention`: people of whom nothing was heard for long are erased from a store."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from nurture_envs.clock import DAY_US
from nurture_rl.errors import ConfigError
from nurture_rl.serving.storage.databases import ReadableDatabase, Statement
from nurture_rl.serving.storage.locating import open_for_reading, open_for_writing, require_there
from nurture_rl.serving.upkeep.erasing import erase_contacts
from nurture_rl.verb_result import VerbResult
from nurture_rl.wording import counted

# Contacts whose latest event and decision are older than a moment. Of somebody put without any of
# both nothing says how old they are: they stay.
_SILENT = (
    "SELECT contact_id FROM ("
    "SELECT contact_id, occurred_us AS at_us FROM events WHERE {among} "
    "UNION ALL SELECT contact_id, recorded_us FROM events WHERE {among} "
    "UNION ALL SELECT contact_id, decided_us FROM decisions WHERE {among} "
    "UNION ALL SELECT contact_id, scheduled_us FROM decisions "
    "WHERE scheduled_us IS NOT NULL AND {among}"
    ") AS heard GROUP BY contact_id HAVING max(at_us) < {before_us}"
)
_BLOCK = 50_000  # rows read at a time


@dataclass(frozen=True, slots=True)
class RetentionOptions:
    """How long what is known of people is kept."""

    store: str  # a server's store; to apply, no server may have a SQLite file
    # Days, >= 1: who has no event and no decision since is erased, and refused rows that are older.
    older_than_days: int
    apply: bool = False  # erase them; else they are counted, and everything stays


def retention(options: RetentionOptions) -> VerbResult:
    """The verb `retention`.

    Raises:
        NurtureError: there is no store, the days are none, or a server has the file.
        OSError: the disk refuses.
    """
    days = options.older_than_days
    if days < 1:
        raise ConfigError(f"older_than_days: expected at least 1, got {days}")
    require_there(options.store)
    before_us = time.time_ns() // 1000 - days * DAY_US
    if not options.apply:
        with closing(open_for_reading(options.store)) as database:
            counts = _counts(database, before_us)
        print(f"{_told(counts)} older than {counted(days, 'day')}; nothing was erased")
        print("write apply=true to erase them")
        return VerbResult({**counts, "applied": False})
    with closing(open_for_writing(options.store, secrets.randbits(48))) as database:
        counts = _counts(database, before_us)
        old = "DELETE FROM quarantine WHERE received_us < ?"
        database.write([Statement(old, [(before_us,)])])
        silent = list(_silent(database, before_us))

    def still(database: ReadableDatabase, keys: Sequence[str]) -> list[str]:
        among = f"contact_id {database.any_of}"
        asked = _SILENT.format(before_us=before_us, among=among)
        given = (database.listed(keys),) * asked.count(among)
        return [key for (key,) in database.read(asked, given)]

    gone = erase_contacts(options.store, silent, "retention", forgotten=True, still=still)
    print(f"{_told(counts)} older than {counted(days, 'day')} erased")
    return VerbResult({**counts, "applied": True, "rows": dict(gone)})


def _silent(database: ReadableDatabase, before_us: int) -> Iterator[str]:
    with database.blocks(_SILENT.format(before_us=before_us, among="TRUE"), _BLOCK) as blocks:
        for block in blocks:
            yield from (key for (key,) in block)


def _counts(database: ReadableDatabase, before_us: int) -> dict[str, int]:
    silent = _SILENT.format(before_us=before_us, among="TRUE")
    asked = {
        "contacts": f"SELECT count(*) FROM ({silent}) AS silent",
        "events": f"SELECT count(*) FROM events WHERE contact_id IN ({silent})",
        "decisions": f"SELECT count(*) FROM decisions WHERE contact_id IN ({silent})",
        "quarantine": f"SELECT count(*) FROM quarantine WHERE received_us < {before_us}",
    }
    return {name: database.read(sql)[0][0] for name, sql in asked.items()}


def _told(counts: dict[str, int]) -> str:
    events, decisions = counted(counts["events"], "event"), counted(counts["decisions"], "decision")
    refused = counted(counts["quarantine"], "refused row")
    return f"{counted(counts['contacts'], 'contact')} with {events} and {decisions}, {refused}"

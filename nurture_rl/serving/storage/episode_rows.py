"""Who is in which journey in the store's database: episodes, who waits, and the log of both."""

from __future__ import annotations

from typing import Any

from nurture_rl.serving.names import contact_key
from nurture_rl.serving.records import Decision, Ending, EpisodeRow, JourneyEntry, Waiting

Cells = tuple[Any, ...]

EPISODES = """
CREATE TABLE IF NOT EXISTS episodes (
  episode_id TEXT PRIMARY KEY, contact_id TEXT NOT NULL, journey TEXT NOT NULL,
  anchor_us INTEGER NOT NULL, number INTEGER NOT NULL, priority INTEGER NOT NULL,
  began_us INTEGER, over_us INTEGER, ended_us INTEGER, reason TEXT, why TEXT, paused_us INTEGER,
  decided_step INTEGER, paused_until INTEGER, UNIQUE (contact_id, journey, number)) STRICT;
"""
# Nobody has two open episodes, in whatever journeys: the index is the lock.
LOCK = """
CREATE UNIQUE INDEX IF NOT EXISTS one_active_journey ON episodes (contact_id)
  WHERE ended_us IS NULL;
"""
BESIDE = """
CREATE TABLE IF NOT EXISTS waiting (
  contact_id TEXT NOT NULL, journey TEXT NOT NULL, priority INTEGER NOT NULL,
  since_us INTEGER NOT NULL, why TEXT NOT NULL, PRIMARY KEY (contact_id, journey)) STRICT;
CREATE TABLE IF NOT EXISTS journey_log (
  at_us INTEGER NOT NULL, who TEXT NOT NULL, journey TEXT NOT NULL, contact_id TEXT NOT NULL,
  episode_id TEXT, what TEXT NOT NULL, why TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS journey_log_of_contact ON journey_log (contact_id);
"""
TABLES = EPISODES + LOCK + BESIDE
COLUMNS = {
    "episodes": EpisodeRow.__slots__,
    "waiting": Waiting.__slots__,
    "journey_log": JourneyEntry.__slots__,
}
# Whom a policy let go before an end was kept; then, of a person who had several journeys at once
# before there was a lock, the latest goes on.
ONE_EACH = """
UPDATE episodes SET reason = 'exit', why = 'the policy left', ended_us =
  (SELECT max(decided_us) FROM decisions WHERE decisions.episode_id = episodes.episode_id)
  WHERE EXISTS (SELECT 1 FROM decisions WHERE decisions.episode_id = episodes.episode_id
  AND decisions.action = 'exit');
UPDATE episodes SET reason = 'superseded', why = 'another journey began later', ended_us = coalesce(
  (SELECT max(decided_us) FROM decisions WHERE decisions.episode_id = episodes.episode_id), 0)
  WHERE ended_us IS NULL AND EXISTS (SELECT 1 FROM episodes AS later
  WHERE later.contact_id = episodes.contact_id AND later.ended_us IS NULL
  AND later.rowid > episodes.rowid);
"""
# The roles that a store knew were those of the one journey that it served.
OF_JOURNEY = """
UPDATE policy_log SET journey =
  coalesce((SELECT journey FROM episodes ORDER BY rowid DESC LIMIT 1), '');
"""
OTHER_INDEXES = """
DROP INDEX IF EXISTS decisions_by_step;
DROP INDEX IF EXISTS long_pauses;
"""


def _insert(table: str) -> str:
    names = COLUMNS[table]
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"


ADD_EPISODE = f"{_insert('episodes')} ON CONFLICT (episode_id) DO NOTHING"
END_EPISODE = (
    "UPDATE episodes SET ended_us = ?, reason = ?, why = ? WHERE episode_id = ? "
    "AND ended_us IS NULL"
)
COMPLETE_EPISODES = (
    "UPDATE episodes SET over_us = anchor_us + ? WHERE journey = ? AND over_us IS NULL"
)
HOLD_EPISODE = "UPDATE episodes SET paused_us = ? WHERE episode_id = ?"
ADD_WAITING = f"{_insert('waiting')} ON CONFLICT (contact_id, journey) DO NOTHING"
DROP_WAITING = "DELETE FROM waiting WHERE contact_id = ? AND journey = ?"
ADD_ENTRY = _insert("journey_log")


def cells_of(record: EpisodeRow | JourneyEntry | Waiting) -> Cells:
    """The fields of a record in their order; no text holds a NUL, which some databases refuse."""
    cells = {name: getattr(record, name) for name in record.__slots__}
    cells["contact_id"] = contact_key(record.contact_id)
    return tuple(
        cell.replace("\0", "") if isinstance(cell, str) else cell for cell in cells.values()
    )


def opening_cells(decision: Decision, span_us: int | None) -> Cells:
    """The episode that a first decision opens, as its table has it; later ones open none."""
    one, over_us = decision, None if span_us is None else decision.anchor_us + span_us
    name, contact = one.episode_id.replace("\0", ""), contact_key(one.contact_id)
    began = (name, contact, one.journey, one.anchor_us, 1, 0, one.decided_us, over_us)
    return (*began, None, None, None, None, None, None)


def exit_of(decision: Decision) -> Ending:
    """That a decision to exit ends its episode."""
    return Ending(decision.episode_id, decision.decided_us, "exit", "the policy left")


def ending_cells(ending: Ending) -> Cells:
    """What `END_EPISODE` is given."""
    return (ending.at_us, ending.reason, ending.why.replace("\0", ""), ending.episode_id)

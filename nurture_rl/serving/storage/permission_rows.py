"""What contacts prefer and the consent ledger in the store's database; and the audit of limits."""

from __future__ import annotations

import json
from typing import Any

from nurture_rl.serving.names import contact_key
from nurture_rl.serving.records import AuditEntry, ConsentEntry, Preferences

Cells = tuple[Any, ...]

TABLES = """
CREATE TABLE IF NOT EXISTS preferences (
  contact_id TEXT PRIMARY KEY, refused_topics TEXT NOT NULL, only_topics TEXT,
  refused_channels TEXT NOT NULL, per_week INTEGER, paused_until_us INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS consent_ledger (
  at_us INTEGER NOT NULL, contact_id TEXT NOT NULL, source TEXT NOT NULL, purpose TEXT NOT NULL,
  word TEXT NOT NULL, topic TEXT, channel TEXT, proof TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS consent_of_contact ON consent_ledger (contact_id);
CREATE TABLE IF NOT EXISTS audit (
  at_us INTEGER NOT NULL, what TEXT NOT NULL, subject TEXT NOT NULL, state TEXT NOT NULL,
  why TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS decisions_by_hour ON decisions (scheduled_us)
  WHERE scheduled_us IS NOT NULL;
CREATE INDEX IF NOT EXISTS calls_by_time ON decisions (decided_us) WHERE action = 'escalate';
CREATE INDEX IF NOT EXISTS events_of_harm ON events (type, occurred_us)
  WHERE type IN ('complaint', 'hard_bounce');
"""
COLUMNS = {
    "preferences": ("contact_id", *Preferences.__slots__),
    "consent_ledger": ConsentEntry.__slots__,
    "audit": AuditEntry.__slots__,
}


def _insert(table: str) -> str:
    names = COLUMNS[table]
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"


PUT_PREFERENCES = f"{_insert('preferences')} ON CONFLICT (contact_id) DO UPDATE SET " + ", ".join(
    f"{name} = excluded.{name}" for name in Preferences.__slots__
)
ADD_CONSENT_ENTRY = _insert("consent_ledger")
ADD_AUDIT_ENTRY = _insert("audit")
ADD_SECRET = "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING"


def preferences_row(contact_id: str, wish: Preferences) -> Cells:
    """A contact's preferences as their table has them."""
    only = None if wish.only_topics is None else json.dumps(sorted(wish.only_topics))
    topics, channels = json.dumps(sorted(wish.refused_topics)), sorted(wish.refused_channels)
    key = contact_key(contact_id)
    return (key, topics, only, json.dumps(channels), wish.per_week, wish.paused_until_us)


def preferences_of(row: Cells) -> Preferences:
    """The preferences of a row."""
    topics, only, channels = (None if c is None else frozenset(json.loads(c)) for c in row[1:4])
    return Preferences(topics or frozenset(), only, channels or frozenset(), row[4], row[5])


def consent_row(entry: ConsentEntry) -> Cells:
    """A line of the consent ledger as its table has it."""
    cells = cells_of(entry)
    return (cells[0], contact_key(entry.contact_id), *cells[2:])


def cells_of(record: AuditEntry | ConsentEntry) -> Cells:
    """The fields of a record in their order; no text holds a NUL, which some databases refuse."""
    cells = (getattr(record, name) for name in record.__slots__)
    return tuple(cell.replace("\0", "") if isinstance(cell, str) else cell for cell in cells)

"""Records of the server and rows of its database: one place that knows both."""

from __future__ import annotations

import json
import struct
from functools import lru_cache
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np

from nurture_rl.serving.names import contact_key
from nurture_rl.serving.records import (
    DECISION_COLUMNS,
    STATE_ROW,
    Contact,
    ContactState,
    Decision,
    Event,
    MailWords,
    Quarantined,
    Withdrawal,
)
from nurture_rl.serving.storage import (
    arm_rows,
    chain,
    episode_rows,
    permission_rows,
    policy_rows,
    state_tables,
)

Row = tuple[Any, ...]

VERSION = "11"  # of the tables

TABLES = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS contacts (
  contact_id TEXT PRIMARY KEY, account_id TEXT, time_zone TEXT, zone_confidence REAL NOT NULL,
  consent INTEGER NOT NULL, attributes TEXT NOT NULL, spelling TEXT, account_key TEXT) STRICT;
CREATE INDEX IF NOT EXISTS contacts_of_account ON contacts (account_key);
CREATE TABLE IF NOT EXISTS events (
  event_id TEXT PRIMARY KEY, contact_id TEXT NOT NULL, occurred_us INTEGER NOT NULL,
  recorded_us INTEGER NOT NULL, type TEXT NOT NULL, source TEXT NOT NULL, message_id TEXT,
  decision_id TEXT, topic TEXT, page_category TEXT, reply_class TEXT, stage TEXT, value REAL,
  is_machine INTEGER NOT NULL, properties TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS events_of_contact ON events (contact_id);
CREATE INDEX IF NOT EXISTS events_of_decision ON events (decision_id)
  WHERE decision_id IS NOT NULL;
CREATE TABLE IF NOT EXISTS decisions (
  decision_id TEXT PRIMARY KEY, contact_id TEXT NOT NULL, journey TEXT NOT NULL,
  episode_id TEXT NOT NULL, anchor_us INTEGER NOT NULL, step INTEGER NOT NULL,
  decided_us INTEGER NOT NULL, action TEXT NOT NULL, propensity REAL NOT NULL,
  probabilities BLOB NOT NULL, mask BLOB NOT NULL, reasons BLOB NOT NULL, features BLOB,
  policy_id TEXT NOT NULL, arm TEXT NOT NULL, catalog TEXT NOT NULL, scheduled_us INTEGER,
  note TEXT, confirm_by_us INTEGER, experiment TEXT, arm_share REAL,
  UNIQUE (episode_id, step)) STRICT;
CREATE INDEX IF NOT EXISTS decisions_to_confirm ON decisions (confirm_by_us)
  WHERE confirm_by_us IS NOT NULL;
CREATE TABLE IF NOT EXISTS catalogs (hash TEXT PRIMARY KEY, ids TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS withdrawals (
  decision_id TEXT PRIMARY KEY, at_us INTEGER NOT NULL, reason TEXT NOT NULL,
  freed INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS confirmations (
  decision_id TEXT PRIMARY KEY, at_us INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS quarantine (
  received_us INTEGER NOT NULL, door TEXT NOT NULL, contact_id TEXT, reason TEXT NOT NULL,
  raw TEXT NOT NULL) STRICT;
"""
TABLES += episode_rows.TABLES + policy_rows.TABLES + chain.TABLES + permission_rows.TABLES
TABLES += state_tables.TABLES + arm_rows.TABLES
COLUMNS = {  # of tables whose rows become records, in the order of the records' fields
    "contacts": (
        *("contact_id", "account_id", "time_zone", "zone_confidence", "consent", "attributes"),
        *("spelling", "account_key"),
    ),
    "events": Event.__slots__,
    "decisions": DECISION_COLUMNS,
    "quarantine": Quarantined.__slots__,
    **episode_rows.COLUMNS,
    **policy_rows.COLUMNS,
    **chain.COLUMNS,
    **permission_rows.COLUMNS,
    **state_tables.COLUMNS,
    **arm_rows.COLUMNS,
}
_cells_of_event = attrgetter(*Event.__slots__)
_LONGEST_RAW = 65_536  # characters of a quarantined row that are kept


def _insert(table: str, count: int, rest: str) -> str:
    return f"INSERT INTO {table} VALUES ({', '.join('?' * count)}) {rest}".rstrip()


PUT_CONTACT = _insert(
    "contacts",
    8,
    "ON CONFLICT (contact_id) DO UPDATE SET account_id = excluded.account_id, "
    "time_zone = excluded.time_zone, zone_confidence = excluded.zone_confidence, "
    "consent = excluded.consent, attributes = excluded.attributes, spelling = excluded.spelling, "
    "account_key = excluded.account_key",
)
ADD_CONTACT = _insert("contacts", 8, "ON CONFLICT (contact_id) DO NOTHING")
TAKE_CONSENT = "UPDATE contacts SET consent = 0 WHERE contact_id = ?"
ADD_EVENT = _insert("events", 15, "ON CONFLICT (event_id) DO NOTHING")
# By name: a column that was added to a table of PostgreSQL stands after its `rowid`.
ADD_DECISION = (
    f"INSERT INTO decisions ({', '.join(DECISION_COLUMNS)}) "
    f"VALUES ({', '.join('?' * len(DECISION_COLUMNS))})"
)
PUT_MARK = _insert("meta", 2, "ON CONFLICT (name) DO UPDATE SET value = excluded.value")
ADD_CATALOG = _insert("catalogs", 2, "ON CONFLICT (hash) DO NOTHING")
ADD_WITHDRAWAL = _insert("withdrawals", 4, "ON CONFLICT (decision_id) DO NOTHING")
ADD_CONFIRMATION = _insert("confirmations", 2, "ON CONFLICT (decision_id) DO NOTHING")
ADD_QUARANTINED = _insert("quarantine", 5, "")


def contact_row(contact: Contact) -> Row:
    """A contact as its table has it: under its key, with the spelling where that differs."""
    key = contact_key(contact.contact_id)
    spelling = contact.spelling or (None if contact.contact_id == key else contact.contact_id)
    return (
        key,
        contact.account_id,
        contact.time_zone,
        contact.zone_confidence,
        int(contact.consent),
        json.dumps(dict(contact.attributes)),
        spelling,
        account_key(contact),
    )


def account_key(contact: Contact) -> str | None:
    """The form in which a contact's account is compared; None: they have none."""
    return contact_key(contact.account_id or "") or None


def contact_of(row: Row) -> Contact:
    """The contact of a row."""
    return Contact(row[0], row[1], row[2], row[3], bool(row[4]), _attributes(row[5]), row[6])


def _attributes(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (
        msgspec.MsgspecError,
        UnicodeError,
    ):  # JSON has no NaN, nor half of a character; Python has
        return json.loads(text)


def event_row(event: Event) -> Row:
    """An event as its table has it."""
    name, contact, *middle, is_machine, properties = _cells_of_event(event)
    return (name, contact_key(contact), *middle, int(is_machine), properties)


def event_of(row: Row) -> Event:
    """The event of a row."""
    return Event(*(*row[:-2], bool(row[-2]), row[-1]))


def state_row(contact: str, journey: str, folding: str, state: ContactState) -> Row:
    """A state as its table has it: sums as bytes of STATE_ROW, the rest as JSON."""
    words = state.words
    rest = {
        "open": [event_row(word) for word in words.open],
        "bounced": words.bounced,
        "away_until_us": words.away_until_us,
        "soft_us": words.soft_us,
        "sends": state.sends,
    }
    about = (contact_key(contact), journey, folding, state.through, state.as_of_us, state.zone)
    return (*about, state.rows.tobytes(), json.dumps(rest))


def state_of(row: Row) -> ContactState:
    """The state of a row."""
    *_, through, as_of_us, zone, sums, text = row
    rest = json.loads(text)
    words = MailWords(
        open=tuple(event_of(tuple(cells)) for cells in rest["open"]),
        bounced=rest["bounced"],
        away_until_us=rest["away_until_us"],
        soft_us=tuple(rest["soft_us"]),
    )
    sends = tuple((at_us, message) for at_us, message in rest["sends"])
    return ContactState(through, as_of_us, zone, np.frombuffer(sums, STATE_ROW), words, sends)


def withdrawal_row(withdrawal: Withdrawal) -> Row:
    """A withdrawal as its table has it."""
    one = withdrawal
    # Not every database keeps a NUL, and the chain vouches for what is kept.
    reason = one.reason.replace("\0", "")
    return (one.decision.decision_id, one.at_us, reason, int(one.freed))


def quarantine_row(row: Quarantined) -> Row:
    """A refused or mended row as its table has it."""
    raw = row.raw[:_LONGEST_RAW].replace("\0", "")
    return (row.received_us, row.door, row.contact_id, row.reason, raw)


def decision_row(decision: Decision) -> Row:
    """A decision as its table has it: lists as the bytes of float64, bool, int64 and float32."""
    one, features = decision, decision.features
    return (
        one.decision_id,
        contact_key(one.contact_id),
        one.journey,
        one.episode_id,
        one.anchor_us,
        one.step,
        one.decided_us,
        one.action,
        one.propensity,
        _packed("d", one.probabilities),
        _packed("?", one.mask),
        _packed("q", one.reasons),
        None if features is None else _packed("f", features),
        one.policy_id,
        one.arm,
        one.catalog,
        one.scheduled_us,
        None if one.note is None else one.note.replace("\0", ""),
        one.confirm_by_us,
        one.experiment,
        one.arm_share,
    )


def _packed(kind: str, numbers: tuple[Any, ...]) -> bytes:
    """Numbers of a kind as an array holds them."""
    try:
        return _packing(kind, len(numbers)).pack(*numbers)
    except (struct.error, OverflowError):  # no decision's, but what somebody wrote in an export
        return np.array(numbers, kind).tobytes()


@lru_cache(maxsize=256)
def _packing(kind: str, n: int) -> struct.Struct:
    """Writes n numbers of a kind one behind the other, as arrays lie in memory."""
    return struct.Struct(f"={n}{kind}")


def decision_of(row: Row) -> Decision:
    """The decision of a row."""
    cells = dict(zip(DECISION_COLUMNS, row, strict=True))
    features = cells["features"]
    cells["probabilities"] = tuple(np.frombuffer(cells["probabilities"], np.float64).tolist())
    cells["mask"] = tuple(np.frombuffer(cells["mask"], np.bool_).tolist())
    cells["reasons"] = tuple(np.frombuffer(cells["reasons"], np.int64).tolist())
    if features is not None:
        cells["features"] = tuple(np.frombuffer(features, np.float32).tolist())
    return Decision(**cells)

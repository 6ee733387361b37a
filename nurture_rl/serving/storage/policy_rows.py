"""Policies in the store's database: the log of their roles, and what shadows said."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import msgspec
import numpy as np

from nurture_rl.serving.records import Shadow
from nurture_rl.serving.roles import PolicyChange, Roles

Cells = tuple[Any, ...]

LOG = """
CREATE TABLE IF NOT EXISTS policy_log (
  at_us INTEGER NOT NULL, who TEXT NOT NULL, action TEXT NOT NULL, policy_id TEXT, before TEXT,
  after TEXT NOT NULL, why TEXT NOT NULL, journey TEXT NOT NULL DEFAULT '',
  after_row INTEGER) STRICT;
"""
# Which decision was the last one before a change: a clock that is set back tells another story.
AFTER_ROWS = """
ALTER TABLE policy_log ADD COLUMN after_row INTEGER;
UPDATE policy_log SET after_row =
  (SELECT max(rowid) FROM decisions WHERE decided_us < policy_log.at_us);
"""
TABLES = f"""{LOG}
CREATE TABLE IF NOT EXISTS shadows (
  decision_id TEXT NOT NULL, policy_id TEXT NOT NULL, at_us INTEGER NOT NULL, probability REAL,
  probabilities BLOB, note TEXT, PRIMARY KEY (decision_id, policy_id)) STRICT;
"""
COLUMNS = {"policy_log": PolicyChange.__slots__, "shadows": Shadow.__slots__}
ADD_CHANGE = (
    "INSERT INTO policy_log (at_us, who, action, policy_id, before, after, why, "
    "journey, after_row) VALUES (?, ?, ?, ?, ?, ?, ?, ?, (SELECT max(rowid) FROM decisions))"
)
ADD_SHADOW = (
    "INSERT INTO shadows (decision_id, policy_id, at_us, probability, probabilities, note) "
    "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)

_roles = msgspec.json.Decoder(Roles)


def change_row(change: PolicyChange, journey: str) -> Cells:
    """A change of a journey's policies as its table has it."""
    before = None if change.before is None else _text(change.before)
    after = _text(change.after)
    return (
        *(change.at_us, change.who, change.action, change.policy_id),
        *(before, after, change.why, journey),
    )


def change_of(row: Cells) -> PolicyChange:
    """The change of a row."""
    at_us, who, action, policy_id, before, after, why = row
    old = None if before is None else roles_of(before)
    return PolicyChange(at_us, who, action, policy_id, old, roles_of(after), why)


def roles_of(text: str) -> Roles:
    """The roles of a cell."""
    return _roles.decode(text)


def shadow_row(shadow: Shadow) -> Cells:
    """What a shadow said, as its table has it: probabilities as the bytes of float64."""
    said = shadow.probabilities
    return (
        *(shadow.decision_id, shadow.policy_id, shadow.at_us, shadow.probability),
        *(None if said is None else np.array(said, np.float64).tobytes(), shadow.note),
    )


def shadow_of(row: Cells) -> Shadow:
    """What a shadow said, of a row."""
    decision_id, policy_id, at_us, chance, said, note = row
    read = None if said is None else tuple(np.frombuffer(said, np.float64).tolist())
    return Shadow(decision_id, policy_id, at_us, chance, read, note)


def _text(roles: Roles) -> str:
    return msgspec.json.encode(asdict(roles)).decode()

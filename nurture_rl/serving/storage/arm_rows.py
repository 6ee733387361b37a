"""Experiments in the store's database: their plans, and ghost decisions of who is held out."""

from __future__ import annotations

from typing import Any

import numpy as np

from nurture_rl.serving.arm_records import Ghost, StartedPlan
from nurture_rl.serving.storage.state_tables import LONG_PAUSE

Cells = tuple[Any, ...]

# What earlier versions lack of decisions.
OF_DECISIONS = """
ALTER TABLE decisions ADD COLUMN experiment TEXT;
ALTER TABLE decisions ADD COLUMN arm_share REAL;
"""
TABLES = f"""
CREATE TABLE IF NOT EXISTS plans (
  experiment TEXT PRIMARY KEY, journey TEXT NOT NULL, name TEXT NOT NULL,
  began_us INTEGER NOT NULL, plan TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS ghosts (
  decision_id TEXT PRIMARY KEY, episode_id TEXT NOT NULL, step INTEGER NOT NULL,
  action TEXT NOT NULL, propensity REAL NOT NULL, probabilities BLOB NOT NULL,
  mask BLOB NOT NULL, policy_id TEXT NOT NULL, note TEXT) STRICT;
CREATE INDEX IF NOT EXISTS ghost_pauses ON ghosts (episode_id, step)
  WHERE {LONG_PAUSE} OR action = 'exit';
"""
COLUMNS = {"plans": StartedPlan.__slots__, "ghosts": Ghost.__slots__}


def _insert(table: str, rest: str) -> str:
    names = COLUMNS[table]
    places = ", ".join("?" * len(names))
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({places}) {rest}".rstrip()


ADD_GHOST = _insert("ghosts", "")
ADD_PLAN = _insert("plans", "ON CONFLICT (experiment) DO NOTHING")
# Of a row of `episodes`: the latest ghost that began a long pause, or the exit.
GHOST_PAUSE = (
    "FROM ghosts WHERE ghosts.episode_id = episodes.episode_id "
    f"AND ({LONG_PAUSE} OR action = 'exit') ORDER BY step DESC LIMIT 1"
)
# Of a row of `decisions`: whose its ghost is.
GHOST_OF = "SELECT policy_id FROM ghosts WHERE ghosts.decision_id = decisions.decision_id"


def plan_row(plan: StartedPlan) -> Cells:
    """A plan as its table has it."""
    return tuple(getattr(plan, name) for name in StartedPlan.__slots__)


def ghost_row(ghost: Ghost) -> Cells:
    """A ghost as its table has it: lists as the bytes of float64 and bool."""
    one, note = ghost, None if ghost.note is None else ghost.note.replace("\0", "")
    chances, legal = (
        np.array(of, kind).tobytes() for of, kind in ((one.probabilities, "d"), (one.mask, "?"))
    )
    about = (one.decision_id, one.episode_id, one.step, one.action, one.propensity)
    return (*about, chances, legal, one.policy_id, note)


def ghost_of(row: Cells) -> Ghost:
    """The ghost of a row."""
    cells = dict(zip(Ghost.__slots__, row, strict=True))
    for name, kind in (("probabilities", np.float64), ("mask", np.bool_)):
        cells[name] = tuple(np.frombuffer(cells[name], kind).tolist())
    return Ghost(**cells)

"""The table of contacts' states in the store's database, and what finds a contact's decisions."""

from __future__ import annotations

# Of a row of `decisions`; written as the index of such rows is.
LONG_PAUSE = "substr(action, 1, 6) = 'pause:' AND action <> 'pause:1'"
LONG_PAUSES = f"""
CREATE INDEX IF NOT EXISTS long_pauses ON decisions (episode_id, step) WHERE {LONG_PAUSE};
"""
TABLES = """
CREATE TABLE IF NOT EXISTS contact_states (
  contact_id TEXT NOT NULL, journey TEXT NOT NULL, folding TEXT NOT NULL, through TEXT NOT NULL,
  as_of_us INTEGER NOT NULL, zone TEXT NOT NULL, sums BLOB NOT NULL, rest TEXT NOT NULL,
  PRIMARY KEY (contact_id, journey)) STRICT;
CREATE INDEX IF NOT EXISTS decisions_by_time ON decisions (contact_id, decided_us);
CREATE INDEX IF NOT EXISTS decisions_by_moment ON decisions (journey, decided_us);
CREATE INDEX IF NOT EXISTS calls_of_contact ON decisions (contact_id) WHERE action = 'escalate';
"""
TABLES += LONG_PAUSES
COLUMNS = {
    "contact_states": (
        *("contact_id", "journey", "folding", "through", "as_of_us", "zone", "sums", "rest"),
    ),
}
PUT_STATE = (
    f"INSERT INTO contact_states ({', '.join(COLUMNS['contact_states'])}) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (contact_id, journey) DO UPDATE SET "
    "folding = excluded.folding, through = excluded.through, as_of_us = excluded.as_of_us, "
    "zone = excluded.zone, sums = excluded.sums, rest = excluded.rest"
)
# A mail that was reported before its decision was made: the state could not know which it is.
DROP_STATE = (
    "DELETE FROM contact_states WHERE contact_id = ? AND EXISTS "
    "(SELECT 1 FROM events WHERE decision_id = ?)"
)

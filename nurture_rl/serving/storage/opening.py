"""Opening a store's SQLite file: check its owner and version, and lock it for one writer.

Another program's database is never touched. Only one process writes a store at a time: two would
hold separate locks and could mail one contact twice.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from nurture_rl.serving.names import contact_key
from nurture_rl.serving.storage import arm_rows, chain, episode_rows, policy_rows, rows
from nurture_rl.serving.storage.erased_marks import SALT
from nurture_rl.serving.store_errors import StoreError, StoreLost

_OWNER_ALONE = 0o600  # mode of new files: they hold people's names and what they did
_APPLICATION = 0x4E555254  # "NURT", where SQLite keeps whose file it is
_FIRST_TABLES = frozenset({"meta", "contacts", "events", "episodes", "decisions"})  # of version 1

_TO_VERSION_2 = """
ALTER TABLE contacts RENAME TO contacts_1;
CREATE TABLE contacts (
  contact_id TEXT PRIMARY KEY, account_id TEXT, time_zone TEXT, zone_confidence REAL NOT NULL,
  consent INTEGER NOT NULL, attributes TEXT NOT NULL, spelling TEXT) STRICT;
INSERT OR REPLACE INTO contacts
  SELECT contact_key(contact_id), account_id, time_zone, zone_confidence, consent, attributes,
    nullif(contact_id, contact_key(contact_id))
  FROM contacts_1 ORDER BY consent DESC, rowid;
DROP TABLE contacts_1;
UPDATE events SET contact_id = contact_key(contact_id);
UPDATE decisions SET contact_id = contact_key(contact_id);
UPDATE OR IGNORE episodes SET contact_id = contact_key(contact_id);
"""
# What was taken back under version 2 still counts, as it did then; only its reason is kept.
_TO_VERSION_3 = """
ALTER TABLE contacts ADD COLUMN account_key TEXT;
UPDATE contacts SET account_key = nullif(contact_key(account_id), '') WHERE account_id IS NOT NULL;
ALTER TABLE decisions ADD COLUMN confirm_by_us INTEGER;
CREATE TABLE IF NOT EXISTS withdrawals (
  decision_id TEXT PRIMARY KEY, at_us INTEGER NOT NULL, reason TEXT NOT NULL) STRICT;
ALTER TABLE withdrawals ADD COLUMN freed INTEGER NOT NULL DEFAULT 0;
UPDATE withdrawals SET reason = reason_alone(reason);
UPDATE meta SET value = '3' WHERE name = 'version';
"""
_TO_VERSION_4 = """
UPDATE meta SET value = '4' WHERE name = 'version';
"""  # it has tables that version 3 lacks, and lacks none
# The chain over what is there already is made by `chain.begin`.
_TO_VERSION_5 = "UPDATE meta SET value = '5' WHERE name = 'version';"
# New tables alone; an older program, which does not know what contacts prefer, must not serve it.
_TO_VERSION_6 = "UPDATE meta SET value = '6' WHERE name = 'version';"
# Other indexes take its place; contacts' states are made as they are needed.
_TO_VERSION_7 = """
DROP INDEX IF EXISTS decisions_of_contact;
UPDATE meta SET value = '7' WHERE name = 'version';
"""
# Episodes have a number, an end and a lock; roles are those of a journey, which the latest one had.
_TO_VERSION_8 = f"""
ALTER TABLE episodes RENAME TO episodes_7;
{episode_rows.EPISODES}
INSERT INTO episodes (episode_id, contact_id, journey, anchor_us, number, priority)
  SELECT episode_id, contact_id, journey, anchor_us, 1, 0 FROM episodes_7 ORDER BY rowid;
DROP TABLE episodes_7;
{episode_rows.ONE_EACH}{episode_rows.OTHER_INDEXES}
CREATE TABLE IF NOT EXISTS policy_log (
  at_us INTEGER NOT NULL, who TEXT NOT NULL, action TEXT NOT NULL, policy_id TEXT, before TEXT,
  after TEXT NOT NULL, why TEXT NOT NULL) STRICT;
ALTER TABLE policy_log RENAME TO policy_log_7;
CREATE TABLE policy_log (
  at_us INTEGER NOT NULL, who TEXT NOT NULL, action TEXT NOT NULL, policy_id TEXT, before TEXT,
  after TEXT NOT NULL, why TEXT NOT NULL, journey TEXT NOT NULL DEFAULT '') STRICT;
INSERT INTO policy_log (at_us, who, action, policy_id, before, after, why)
  SELECT at_us, who, action, policy_id, before, after, why FROM policy_log_7 ORDER BY rowid;
DROP TABLE policy_log_7;
{episode_rows.OF_JOURNEY}
UPDATE meta SET value = '8' WHERE name = 'version';
"""
# A new index, and a table by another name, which is empty in a file.
_TO_VERSION_9 = """
DROP TABLE IF EXISTS unlinked;
UPDATE meta SET value = '9' WHERE name = 'version';
"""
_TO_VERSION_10 = f"{policy_rows.AFTER_ROWS}UPDATE meta SET value = '10' WHERE name = 'version';"
# Who was dealt to which arm with which chance; tables of ghosts and plans are new.
_TO_VERSION_11 = f"{arm_rows.OF_DECISIONS}UPDATE meta SET value = '11' WHERE name = 'version';"
_FROM_9 = _TO_VERSION_10 + _TO_VERSION_11
_FROM_8 = _TO_VERSION_9 + _FROM_9
_FROM_7 = _TO_VERSION_8 + _FROM_8
_FROM_4 = _TO_VERSION_5 + _TO_VERSION_6 + _TO_VERSION_7 + _FROM_7
_STEPS = {  # from each older version
    "1": _TO_VERSION_2 + _TO_VERSION_3 + _TO_VERSION_4 + _FROM_4,
    "2": _TO_VERSION_3 + _TO_VERSION_4 + _FROM_4,
    "3": _TO_VERSION_4 + _FROM_4,
    "4": _FROM_4,
    "5": _TO_VERSION_6 + _TO_VERSION_7 + _FROM_7,
    "6": _TO_VERSION_7 + _FROM_7,
    "7": _FROM_7,
    "8": _FROM_8,
    "9": _FROM_9,
    "10": _TO_VERSION_11,
}
# What version 2 kept of a withdrawn decision: all that it had answered.
_ANSWERED = re.compile(
    r"decision .* was \S+ and must not be carried out any more: "
    r"(.*); send nothing, and ask anew without this request_id",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class WriterLock:
    """The right to write a store, held until the process ends or lets go."""

    descriptor: int

    def release(self) -> None:
        """Let others write."""
        os.close(self.descriptor)


def claim(path: Path) -> WriterLock:
    """Take the store for this process alone; the lock dies with the process, however it ends.

    Raises:
        StoreError: another process has it, or the lock file cannot be made.
    """
    real = path.resolve()
    _require_one_name(real)
    lock = real.with_name(f"{real.name}.lock")
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _OWNER_ALONE)
    except OSError as error:
        raise StoreError(
            f"expected a store that can be written at {path}, got: {error}; "
            "give another path or mend its permissions"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise StoreError(
            f"expected a store that nobody else writes at {path}, but another server has it: two "
            "would mail one contact twice; stop the other one, or give this one a store of its own"
        ) from error
    return WriterLock(descriptor)


def _require_one_name(path: Path) -> None:
    """Guard the files beside a store's: by another name of it SQLite would make others.

    Two writers would not see each other, and what a crash leaves in a log beside is lost.
    """
    if not path.exists():
        return
    found = path.stat()
    if found.st_nlink > 1:
        raise StoreError(
            f"expected a store that has one name, got {found.st_nlink} hard links to {path}: what "
            "is decided by one would be unknown by another; copy it, and delete the other names"
        )
    if found.st_dev != path.parent.stat().st_dev:
        raise StoreError(
            f"expected a store in its own folder, got a file mounted alone at {path}: the log that "
            "SQLite keeps beside it would stay behind; mount the folder that holds it"
        )


def require_own(path: Path) -> None:
    """Look at a file without touching it.

    Raises:
        StoreError: it is something else, or of a version that cannot be read.
    """
    if not path.exists() or path.stat().st_size == 0:
        return
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            tables = {name for (name,) in names}
            version = None
            if tables >= _FIRST_TABLES:
                asked = "SELECT value FROM meta WHERE name = 'version'"
                (version,) = connection.execute(asked).fetchone() or (None,)
    except sqlite3.Error as error:
        raise _unusable(path, error) from error
    if (tables and version is None) or application not in (0, _APPLICATION):
        held = f"with the tables {', '.join(sorted(tables)[:5])}" if tables else "without tables"
        raise StoreError(
            f"expected a store of this server at {path}, got another program's database {held}; "
            "nothing was written: give another path"
        )
    if version not in (None, rows.VERSION, *_STEPS):
        raise StoreError(
            f"expected a store of version {rows.VERSION} at {path}, got {version}; "
            "serve it with the version that made it, or give a new path"
        )


def make(path: Path, fresh_seed: int) -> None:
    """Make the tables where there are none, and bring an older store up to date.

    Args:
        path: of the store.
        fresh_seed: of all decisions of a new store; an old one keeps its own.

    Raises:
        StoreError: the file cannot be written.
    """
    try:
        # SQLite gives the files beside it the same mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _OWNER_ALONE))
        with closing(connect(path)) as store:
            store.create_function("contact_key", 1, contact_key, deterministic=True)
            store.create_function("reason_alone", 1, _reason_alone, deterministic=True)
            asked = "SELECT count(*) FROM sqlite_master WHERE name = 'meta'"
            steps = ""
            if store.execute(asked).fetchone()[0]:
                found = "SELECT value FROM meta WHERE name = 'version'"
                steps = _STEPS.get((store.execute(found).fetchone() or ("",))[0], "")
            about = (
                f"INSERT INTO meta VALUES ('version', '{rows.VERSION}'), ('seed', '{fresh_seed}'), "
                f"('{SALT}', '{secrets.token_hex(32)}') ON CONFLICT DO NOTHING; "
                f"PRAGMA application_id = {_APPLICATION};"
            )
            store.executescript(f"BEGIN IMMEDIATE;{steps}{rows.TABLES}{about}")
            (seed,) = store.execute("SELECT value FROM meta WHERE name = 'seed'").fetchone()
            chain.begin(lambda sql, given: store.execute(sql, given).fetchall(), int(seed))
            chain.link_waiting(lambda sql, given: store.execute(sql, given).fetchall())
            store.execute("COMMIT")
    except (sqlite3.Error, OSError) as error:
        raise _unusable(path, error) from error


def connect(path: Path) -> sqlite3.Connection:
    """A connection that writes durably."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10.0)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def connect_reading(path: Path) -> sqlite3.Connection:
    """A connection that cannot write."""
    return sqlite3.connect(
        f"{path.resolve().as_uri()}?mode=ro",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=10.0,
    )


class PathWatch:
    """Notices when the file at a path is no longer the one that was opened."""

    def __init__(self, path: Path) -> None:
        self._path, self._files = path, (str(path), f"{path}-wal")
        self._opened = self._found()

    def require_there(self) -> None:
        """Prove that what is written goes where the next start will read.

        Raises:
            StoreLost: the file was deleted, moved or replaced.
        """
        if self._found() != self._opened:
            raise StoreLost(
                f"the store at {self._path} was deleted or replaced while it was served; bring it "
                "back from a copy and start again"
            )

    def _found(self) -> tuple[tuple[int, int], ...] | None:
        try:
            files = [os.stat(name) for name in self._files]
        except OSError:
            return None
        return tuple((file.st_dev, file.st_ino) for file in files)


def _reason_alone(answer: str) -> str:
    found = _ANSWERED.fullmatch(answer)
    return found[1] if found else answer


def _unusable(path: Path, error: Exception) -> StoreError:
    return StoreError(
        f"expected a store that can be written at {path}, got: {error}; "
        "give another path or mend its permissions"
    )

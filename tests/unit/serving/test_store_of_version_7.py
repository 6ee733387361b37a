"""A store whose episodes had no number and no end is brought up to date, on both databases."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.records import Decision
from nurture_rl.serving.storage.databases import Location
from nurture_rl.serving.storage.reading import StoreReader
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.store_errors import StoreError
from nurture_rl.serving.upkeep.verifying import verify_store
from tests.postgres import PostgresServer
from tests.unit.serving.contacts import Clock, contact
from tests.unit.serving.enrolled import MONDAY, serving

# What version 7 had in place of the tables of today; `{rowid}` is PostgreSQL's own.
_AS_IT_WAS = """
ALTER TABLE decisions DROP COLUMN experiment;
ALTER TABLE decisions DROP COLUMN arm_share;
DROP TABLE ghosts;
DROP TABLE plans;
DROP TABLE waiting;
DROP TABLE journey_log;
DROP INDEX long_pauses;
ALTER TABLE policy_log DROP COLUMN journey;
ALTER TABLE policy_log DROP COLUMN after_row;
UPDATE policy_log SET at_us = at_us + 1;
DROP TABLE episodes;
CREATE TABLE episodes (
  episode_id TEXT PRIMARY KEY, contact_id TEXT NOT NULL, journey TEXT NOT NULL,
  anchor_us BIGINT NOT NULL, UNIQUE (contact_id, journey){rowid});
INSERT INTO episodes (episode_id, contact_id, journey, anchor_us) VALUES
  ('old-ada', 'ada', 'gone', 0), ('old-bob', 'bob', 'gone', 0),
  ('base:ada:2026-04-06', 'ada', 'base', {anchor}),
  ('base:cleo:2026-04-06', 'cleo', 'base', {anchor});
CREATE INDEX decisions_by_step ON decisions (contact_id, journey, step);
CREATE INDEX long_pauses ON decisions (contact_id, journey, step)
  WHERE substr(action, 1, 6) = 'pause:' AND action <> 'pause:1';
DROP INDEX IF EXISTS decisions_by_moment;
UPDATE meta SET value = '7' WHERE name = 'version';
"""
# What PostgreSQL alone has since.
_AS_THERE = """
ALTER TABLE waiting_links RENAME TO unlinked;
DROP TABLE stripes, mail_changes;
DROP INDEX decisions_by_row;
DROP FUNCTION link_waiting, note_own_mail, note_decided_mail, note_known_mail, note_all_mail
  CASCADE;
"""


def _check(bundle: Bundle, location: Location, change: Callable[[str], None], rowid: str) -> None:
    clock = Clock(MONDAY)
    with closing(Store(location)) as store:
        store.put_contacts([contact(name, time_zone="UTC") for name in ("ada", "bob", "cleo")])
        served = serving(bundle, store, clock, ["base"])
        served.decide([Ask("ada", "first")])
        (cleo,) = served.decide([Ask("cleo", "let go")])
        assert isinstance(cleo, Decision)
        gone = replace(cleo, decision_id="exit", step=1, action="exit", scheduled_us=None)
        store.append_decisions([gone])
    change(_AS_IT_WAS.format(rowid=rowid, anchor=MONDAY))
    with pytest.raises(StoreError, match="start the server on it once"):
        StoreReader(location)
    clock.now_us += 86_400_000_000
    with closing(Store(location)) as store:
        rows = {
            row.episode_id: row
            for some in store.passes(["ada", "bob", "cleo"]).values()
            for row in some
        }
        assert {name: (row.number, row.reason) for name, row in rows.items()} == {
            "old-ada": (1, "superseded"),
            "old-bob": (1, None),
            "base:ada:2026-04-06": (1, None),
            "base:cleo:2026-04-06": (1, "exit"),
        }
        served = serving(bundle, store, clock, ["base", "low"])
        assert served.policies.changes[0].action == "start"
        assert store.last_before("base", MONDAY + 1) == 3
        assert store.last_before("base", MONDAY) == 0
        (goes_on, anew) = served.decide([Ask("ada"), Ask("bob")])
        assert isinstance(goes_on, Decision)
        assert isinstance(anew, Decision)
        assert (goes_on.episode_id, goes_on.step) == ("base:ada:2026-04-06", 1)
        assert (anew.episode_id, anew.step) == ("base:bob:2026-04-07", 0)
        over = {row.episode_id: row.reason for row in store.passes(["bob"])["bob"]}
        assert over == {"old-bob": "closed", "base:bob:2026-04-07": None}
    assert verify_store(location).broken_places == []


def test_a_file_of_version_7(bundle: Bundle, tmp_path: Path) -> None:
    def change(sql: str) -> None:
        with closing(sqlite3.connect(tmp_path / "s.db")) as store:
            store.executescript(sql)

    _check(bundle, tmp_path / "s.db", change, "")


def test_a_database_of_version_7(bundle: Bundle, postgres: PostgresServer) -> None:
    url = postgres.fresh_url()

    def change(sql: str) -> None:
        with closing(psycopg.connect(url, autocommit=True)) as store:
            store.execute((sql + _AS_THERE).encode())

    _check(bundle, url, change, ", rowid BIGINT GENERATED ALWAYS AS IDENTITY")

"""Tables of a database become files of a log: counted, whole, and read alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq
import pytest

from nurture_rl.errors import ConfigError
from nurture_rl.logs.ingest import ingest_folder
from nurture_rl.logs.mapped.table_copy import copy_table
from nurture_rl.workflow.map_verb import MapOptions, map_file
from tests.postgres import PostgresServer

SCRIPT = """
CREATE SCHEMA IF NOT EXISTS crm;
CREATE TABLE crm.clicks (email text, clicked_at timestamptz, campaign text, note jsonb);
SET timezone = 'Europe/Berlin';
INSERT INTO crm.clicks VALUES
  ('ada@firm.com', '2026-07-01 10:00', 'spring "sale", one', '{"a": 1}'),
  ('ben@firm.com', '2026-07-02 10:00:00.25', E'two\\nlines', NULL),
  ('cleo@firm.com', '2026-07-03 10:00', '', NULL);
CREATE VIEW crm.of_ada AS SELECT * FROM crm.clicks WHERE email LIKE 'ada%';
"""


@pytest.fixture
def address(postgres: PostgresServer) -> str:
    found = postgres.fresh_url()
    with psycopg.connect(found) as connection:
        connection.execute("DROP SCHEMA IF EXISTS crm CASCADE")
        connection.execute(SCRIPT)
    return found


def test_a_table_becomes_events_of_a_log(address: str, tmp_path: Path) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    options = MapOptions(str(folder / "clicks.csv"), database=address, table="crm.clicks")
    result = map_file(options)
    assert result.code == 0, (folder / "clicks.map.yaml").read_text("utf-8")
    ingest_folder(folder, tmp_path / "out", None, None, lambda line: None)
    told = pq.read_table(tmp_path / "out" / "events.parquet").sort_by("occurred_at").to_pylist()
    assert [row["type"] for row in told] == ["click"] * 3
    hours = [row["occurred_at"].strftime("%m-%d %H:%M:%S.%f") for row in told]
    assert hours == ["07-01 08:00:00.000000", "07-02 08:00:00.250000", "07-03 08:00:00.000000"]
    people = pq.read_table(tmp_path / "out" / "contacts.parquet")["attributes"].to_pylist()
    campaigns = {json.loads(one).get("campaign") for one in people}
    assert campaigns == {'spring "sale", one', "two\nlines", None}


def test_views_are_read_and_nothing_is_written(address: str, tmp_path: Path) -> None:
    out = tmp_path / "ada.csv"
    assert copy_table(address, "crm.of_ada", out) == 1
    assert out.read_text("utf-8").splitlines()[0] == "email,clicked_at,campaign,note"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ada.csv"]
    with psycopg.connect(address) as connection:
        connection.execute(
            "CREATE FUNCTION crm.writes() RETURNS int LANGUAGE sql AS "
            "'INSERT INTO crm.clicks VALUES (''eve'') RETURNING 1'"
        )
        connection.execute("CREATE VIEW crm.sly AS SELECT crm.writes() AS one")
    with pytest.raises(ConfigError, match="read-only transaction"):
        copy_table(address, "crm.sly", tmp_path / "sly.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ada.csv"]


@pytest.mark.parametrize("table", ["crm.nobody", "nobody", "crm.clicks; DROP TABLE crm.clicks", ""])
def test_what_is_no_table_is_told_and_leaves_no_file(
    address: str, tmp_path: Path, table: str
) -> None:
    with pytest.raises(ConfigError, match="to be a table or view"):
        copy_table(address, table, tmp_path / "x.csv")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"table": None}, "expected both"),
        ({"database": None}, "expected both"),
        ({"database": "mysql://crm/x"}, "expected postgresql://"),
        ({"file": "clicks.parquet"}, r"ends in \.csv"),
        ({"database": "postgresql://nobody@127.0.0.1:1/x"}, "to be a table or view of 127"),
    ],
)
def test_wrong_settings_are_told(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    given: dict[str, Any] = {
        "file": "clicks.csv",
        "database": "postgresql://crm/x",
        "table": "clicks",
        **changed,
    }
    with pytest.raises(ConfigError, match=said):
        map_file(MapOptions(**{**given, "file": str(tmp_path / given["file"])}))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_kept(address: str, tmp_path: Path) -> None:
    out = tmp_path / "clicks.csv"
    out.write_text("mine", "utf-8")
    with pytest.raises(ConfigError, match="is there already"):
        map_file(MapOptions(str(out), database=address, table="crm.clicks"))
    assert out.read_text("utf-8") == "mine"

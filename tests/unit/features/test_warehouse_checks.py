"""Tables from which no right feature can be made are refused in one sentence, by every engine."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nurture_rl.errors import ConfigError, LogError
from nurture_rl.workflow.features_verb import FeaturesOptions, features
from tests.postgres import PostgresServer
from tests.unit.features.small_journey import shop_journey
from tests.unit.features.small_log import at, contacts_table, decisions_table, events_table

EVENT = {"contact_id": "a", "occurred_at": at("2026-03-05 09:00")}
VIEW = EVENT | {"type": "page_view", "page_category": "pricing"}
ANCHOR = datetime(2026, 3, 5)
ASKED = {"contact_id": "a", "anchor": ANCHOR, "step": 1, "decided_at": at("2026-03-06 09:00")}
TABLES = {
    "events": events_table([VIEW]),
    "contacts": contacts_table([{"contact_id": "a", "time_zone": "UTC"}]),
    "decisions": decisions_table([ASKED, ASKED | {"contact_id": "b"}]),
}

Written = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """The verb over tables, some of them changed; the rows that it writes."""
    (tmp_path / "shop.yaml").write_text(str(dict(shop_journey().resolved)), "utf-8")

    def run(folder: str = "log", **changed: pa.Table) -> list[dict[str, Any]]:
        (tmp_path / folder).mkdir(parents=True)
        for name, table in (TABLES | changed).items():
            pq.write_table(table, tmp_path / folder / f"{name}.parquet")
        out = tmp_path / "made.parquet"
        journey, log = str(tmp_path / "shop.yaml"), str(tmp_path / folder)
        try:
            features(FeaturesOptions(journey=journey, log=log, zone="UTC", out=str(out)))
        except BaseException:
            assert [path for path in tmp_path.iterdir() if "made.parquet" in path.name] == []
            raise
        return sorted(pq.read_table(out).to_pylist(), key=lambda row: row["decision_id"])

    return run


def with_column(name: str, column: str, values: Any) -> dict[str, pa.Table]:
    """A table in which a column holds something else."""
    table = TABLES[name]
    place = table.column_names.index(column)
    return {name: table.set_column(place, pa.field(column, values.type), values)}


def twice(name: str) -> dict[str, pa.Table]:
    return {name: pa.concat_tables([TABLES[name], TABLES[name]])}


def amount(value: float) -> dict[str, pa.Table]:
    return {"events": events_table([EVENT | {"type": "purchase", "value": value}])}


def attributes(text: str) -> dict[str, pa.Table]:
    return {"contacts": contacts_table([{"contact_id": "a", "attributes": text}])}


@pytest.mark.parametrize(
    "changed, told",
    [
        (twice("events"), "events: expected each event_id once, got 1 rows that come again"),
        (twice("contacts"), "contacts: expected each contact_id once, got 'a' in 2 rows"),
        (twice("decisions"), "a decision_id of its own for each of 4 rows, got 2 different ones"),
        ({"decisions": TABLES["decisions"].slice(0, 0)}, "decisions: the table has no row"),
        (amount(float("inf")), "events: expected values between -8.79609e+12 and 8.79609e+12"),
        (amount(-1e300), "got others in 1 rows"),
        (attributes('{"size": 4'), "expected a JSON object as attributes of contact 'a'"),
        (attributes('["size"]'), "expected a JSON object as attributes of contact 'a'"),
        (
            with_column("decisions", "step", pa.array([1, -1])),
            "decisions: expected a step of 0 or more, got -1",
        ),
        *(
            (
                with_column("decisions", column, pa.array([given, None], kind)),
                f"decisions: expected {column} in each of 2 rows, got none in 1",
            )
            for column, given, kind in (
                ("decision_id", "d0", pa.string()),
                ("contact_id", "a", pa.string()),
                ("anchor", ANCHOR, pa.timestamp("us")),
                ("step", 1, pa.int32()),
                ("decided_at", ASKED["decided_at"], pa.timestamp("us", "UTC")),
            )
        ),
    ],
)
def test_rows_that_would_make_wrong_numbers_are_refused(
    changed: dict[str, pa.Table], told: str, written: Written
) -> None:
    with pytest.raises(LogError) as refused:
        written(**changed)
    assert told in str(refused.value)


@pytest.mark.parametrize(
    "changed, told",
    [
        (
            with_column("events", "occurred_at", pa.array(["2026-03-05"])),
            "events.occurred_at: expected a time stamp, got string; make a view",
        ),
        (
            with_column("events", "is_machine", pa.array([0])),
            "events.is_machine: expected true or false, got int64",
        ),
        (with_column("events", "value", pa.array(["3"])), "events.value: expected a number, got"),
        (
            with_column("decisions", "step", pa.array([1.5, 2.0])),
            "decisions.step: expected a whole number, got float64",
        ),
        (
            with_column(
                "decisions",
                "anchor",
                pa.array([ANCHOR] * 2, pa.timestamp("us", "Europe/Berlin")),
            ),
            "decisions.anchor: expected the contact's wall clock, a date or a time stamp without",
        ),
    ],
)
def test_a_column_of_another_kind_is_refused_rather_than_rounded_or_shifted(
    changed: dict[str, pa.Table], told: str, written: Written
) -> None:
    with pytest.raises(ConfigError) as refused:
        written(**changed)
    assert told in str(refused.value)


def test_ids_may_be_numbers_and_anchors_dates(written: Written) -> None:
    plain = written()
    changed: dict[str, pa.Table] = {}
    for name, column, values in (
        ("events", "contact_id", pa.array(["a"], pa.large_string())),
        ("decisions", "decision_id", pa.array([7, 8], pa.uint16())),
        ("decisions", "anchor", pa.array([ANCHOR.date()] * 2)),
    ):
        table = changed.get(name, TABLES[name])
        place = table.column_names.index(column)
        changed[name] = table.set_column(place, pa.field(column, values.type), values)
    numbered = [row | {"decision_id": str(7 + place)} for place, row in enumerate(plain)]
    assert written("again", **changed) == numbered
    assert plain[0]["views_3"] == 1.0


def test_a_time_that_means_none_ends_no_table(written: Written) -> None:
    """Some systems write the year 1 where they know no time; in New York that is before it."""
    home = contacts_table([{"contact_id": "a", "time_zone": "America/New_York"}])
    never = VIEW | {"type": "reply", "reply_class": "objection", "occurred_at": at("0001-01-01")}
    asked, _ = written(events=events_table([VIEW, never]), contacts=home)
    assert asked["views_3"] == 1.0


@pytest.mark.parametrize("folder", ["a*", "lo[g]", "lo?", "contact_id=zz/step=4", "it's"])
def test_a_log_is_read_from_the_folder_that_was_named(folder: str, written: Written) -> None:
    """DuckDB reads patterns of names, and takes columns out of names of folders."""
    plain = written("log")
    twelve = events_table([VIEW] * 12)
    written("alog", events=twelve)
    assert written(folder) == plain


def test_a_database_tells_in_words_what_it_cannot_do(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    address = postgres.fresh_url()
    with psycopg.connect(address) as connection:
        connection.execute(
            "CREATE TABLE events (contact_id uuid, occurred_at timestamptz, type text, topic text, "
            "page_category text, reply_class text, stage text, value numeric, is_machine boolean)"
        )
        connection.execute(
            "CREATE TABLE contacts (contact_id uuid, time_zone text, attributes jsonb)"
        )
        connection.execute(
            "CREATE TABLE decisions (decision_id bigint, contact_id uuid, anchor date, "
            "step smallint, decided_at timestamptz)"
        )
        who = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
        connection.execute("INSERT INTO contacts VALUES (%s, 'UTC', '{\"size\": 4}')", [who])
        connection.execute(
            "INSERT INTO decisions VALUES (1, %s, '2026-03-05', 1, '2026-03-06 09:00+00')", [who]
        )
        connection.execute(
            "INSERT INTO events VALUES (%s, '2026-03-05 09:00+00', 'purchase', NULL, NULL, NULL, "
            "NULL, 2.5, false)",
            [who],
        )
    (tmp_path / "shop.yaml").write_text(str(dict(shop_journey().resolved)), "utf-8")
    out = tmp_path / "made.parquet"
    options = FeaturesOptions(str(tmp_path / "shop.yaml"), None, address, "UTC", str(out))
    features(options)
    (row,) = pq.read_table(out).to_pylist()
    assert (row["decision_id"], row["contact_id"]) == ("1", who)
    assert (row["size"], row["spent_4"]) == (4.0, 2.5)
    with psycopg.connect(address) as connection:
        connection.execute("UPDATE decisions SET decided_at = 'infinity'")
    with pytest.raises(ConfigError, match="the database refuses: cannot convert infinity"):
        features(options)

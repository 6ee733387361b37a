"""Features worked out where the log lies: the same bits from DuckDB, PostgreSQL and Spark."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nurture_envs.clock import utc_microseconds
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_rl.errors import ConfigError, LeakageError
from nurture_rl.features import decision_table
from nurture_rl.workflow.features_verb import FeaturesOptions, features
from tests.postgres import PostgresServer
from tests.unit.features.small_journey import SLOT_FEATURES, shop_journey
from tests.unit.features.small_log import at, contacts_table, decisions_table, events_table

pytestmark = pytest.mark.slow

CLOCK = {"period_hours": 24, "slots_hours": [1, 9.5], "periods": 4}
PEOPLE = {
    "ann": "Europe/Berlin",
    "bob": "America/New_York",
    "cem": "Australia/Lord_Howe",
    "dee": None,
    "eve": "Asia/Kolkata",  # not in the table of contacts, as the next
    "o'neil": "Asia/Kolkata",
}
HOME = "Asia/Kolkata"
# Clocks change in these nights.
ANCHORS = (datetime(2026, 3, 27), datetime(2026, 10, 31), datetime(1969, 12, 29, 7, 30))
WORDS: tuple[dict[str, Any], ...] = (
    {"type": "sent"},
    {"type": "page_view", "page_category": "pricing"},
    {"type": "click", "topic": "security"},
    {"type": "click", "topic": "security", "is_machine": True},
    {"type": "reply", "reply_class": "objection"},
    {"type": "product_used", "topic": "x"},
    {"type": "product_used", "topic": "core"},
    {"type": "purchase"},
    {"type": "stage_changed", "stage": "warm"},
    {"type": "stage_changed", "stage": "hot"},
    {"type": "visit"},
)
VALUES = (None, float("nan"), 0.1, -7.3, 2.5 / 1024, 3.5 / 1024, -0.5 / 1024, 40.0)


def journey() -> Journey:
    """Every kind of feature, on a clock of two slots a day."""
    return shop_journey(SLOT_FEATURES, CLOCK)


def instant(who: str, local: datetime) -> datetime:
    us = np.array([np.datetime64(local, "us").astype(np.int64)])
    utc = int(utc_microseconds(us, np.array([PEOPLE[who] or HOME]))[0])
    return datetime(1970, 1, 1, tzinfo=at("1970-01-01 00:00").tzinfo) + timedelta(microseconds=utc)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log as ingest leaves it."""
    folder, luck = tmp_path_factory.mktemp("log"), np.random.default_rng(5)
    start = journey().clock.start_us
    decisions, events = [], []
    for who in PEOPLE:
        for episode, anchor in enumerate(ANCHORS):
            for step in range(journey().clock.horizon):
                begins = anchor + timedelta(microseconds=int(start(step)))
                asked = instant(who, begins + timedelta(hours=step % 2))
                told = {"contact_id": who, "episode_id": f"{who}{episode}", "anchor": anchor}
                decisions.append({**told, "step": step, "decided_at": asked})
            for _ in range(40):
                shift = int(luck.choice([0, -1, 1, 900_000_000, 7_300_000_001]))
                begins = anchor + timedelta(microseconds=int(start(int(luck.integers(-9, 9)))))
                happened = instant(who, begins + timedelta(microseconds=shift))
                late = timedelta(hours=float(luck.choice([0, 0, -1, 0.5, 40])))
                told = {"contact_id": who, "occurred_at": happened, "recorded_at": happened + late}
                value = VALUES[int(luck.integers(len(VALUES)))]
                events.append({**told, "value": value, **WORDS[int(luck.integers(len(WORDS)))]})
    contacts = [
        {"contact_id": who, "time_zone": zone, "attributes": f'{{"size": "{i}.5", "plan": "team"}}'}
        for i, (who, zone) in enumerate(PEOPLE.items())
        if zone != HOME
    ]
    for name, table in (
        ("events", events_table(events + events[::7])),  # some are told twice, in no order
        ("contacts", contacts_table(contacts)),
        ("decisions", decisions_table(decisions)),
    ):
        order = luck.permutation(len(table))
        pq.write_table(table.take(pa.array(order)), folder / f"{name}.parquet")
    return folder


@pytest.fixture(scope="module")
def expected(log: Path) -> dict[str, bytes]:
    """What a training on the log reads, by decision."""
    tables = [
        pq.read_table(log / f"{name}.parquet") for name in ("events", "contacts", "decisions")
    ]
    events, contacts, decisions = tables
    made = decision_table(events, contacts, decisions, journey(), default_zone=HOME)
    return _bits(made.table, np.array(made.table["features"].to_pylist(), np.float32))


def _bits(table: pa.Table, values: np.ndarray) -> dict[str, bytes]:
    ids = table["decision_id"].to_pylist()
    return {name: row.tobytes() for name, row in zip(ids, values, strict=True)}


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., dict[str, bytes]]:
    """The verb, and what its file holds."""
    (tmp_path / "shop.yaml").write_text(str(dict(journey().resolved)), "utf-8")

    def run(**options: Any) -> dict[str, bytes]:
        out = tmp_path / "made.parquet"
        chosen = {"journey": str(tmp_path / "shop.yaml"), "zone": HOME, "out": str(out), **options}
        features(FeaturesOptions(**chosen))
        table = pq.read_table(out)
        columns = FeatureSpec.of(journey()).columns
        assert table.column_names == ["decision_id", "contact_id", *columns]
        assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
        return _bits(table, np.column_stack([np.asarray(table[name]) for name in columns]))

    return run


def test_duckdb_reads_the_files_of_a_log(
    log: Path, expected: dict[str, bytes], written: Callable[..., dict[str, bytes]]
) -> None:
    assert len(expected) == len(PEOPLE) * len(ANCHORS) * 8
    assert written(log=str(log)) == expected


def test_postgresql_reads_its_own_tables(
    log: Path,
    expected: dict[str, bytes],
    written: Callable[..., dict[str, bytes]],
    postgres: PostgresServer,
) -> None:
    address = postgres.fresh_url()
    with psycopg.connect(address) as connection:
        for name, columns in _TABLES.items():
            made = ", ".join(f"{column} {kind}" for column, kind in columns.items())
            connection.execute(f"CREATE TABLE {name} ({made})")
            table = pq.read_table(log / f"{name}.parquet").select(list(columns))
            with connection.cursor().copy(f"COPY {name} FROM STDIN") as copied:
                for row in table.to_pylist():
                    copied.write_row(tuple(row.values()))
    assert written(backend=address) == expected


_TABLES: dict[str, dict[str, str]] = {
    "events": {
        "contact_id": "text",
        "occurred_at": "timestamptz",
        "recorded_at": "timestamptz",
        "type": "text",
        "topic": "text",
        "page_category": "text",
        "reply_class": "text",
        "stage": "text",
        "value": "double precision",
        "is_machine": "boolean",
    },
    "contacts": {"contact_id": "text", "time_zone": "text", "attributes": "text"},
    "decisions": {
        "decision_id": "text",
        "contact_id": "text",
        "anchor": "timestamp",
        "step": "integer",
        "decided_at": "timestamptz",
    },
}


@pytest.fixture
def spark() -> Iterator[None]:
    """A small local session, which the verb finds."""
    from pyspark.sql import SparkSession

    builder: Any = SparkSession.builder
    small = {
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "1",
        "spark.sql.adaptive.enabled": "false",
        "spark.sql.codegen.wholeStage": "false",  # compiling takes longer than these few rows
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    }
    session = builder.master("local[1]").config(map=small).getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    yield
    session.stop()


@pytest.mark.timeout(900)  # a virtual machine for Java starts
# pyspark leaves sockets to the garbage
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_spark_reads_the_files_of_a_log(
    log: Path, expected: dict[str, bytes], written: Callable[..., dict[str, bytes]], spark: None
) -> None:
    assert written(log=str(log), backend="spark") == expected


def test_a_decision_before_its_own_bin_is_refused_as_in_a_training(
    log: Path, tmp_path: Path, written: Callable[..., dict[str, bytes]]
) -> None:
    early = [
        {"contact_id": "ann", "anchor": ANCHORS[0], "step": 3, "decided_at": at("2026-03-27 20:00")}
    ]
    for name in ("events", "contacts"):
        (tmp_path / f"{name}.parquet").write_bytes((log / f"{name}.parquet").read_bytes())
    pq.write_table(decisions_table(early), tmp_path / "decisions.parquet")
    with pytest.raises(LeakageError, match="contact 'ann' would use events after it"):
        written(log=str(tmp_path), out=str(tmp_path / ".." / "made.parquet"))


@pytest.mark.parametrize(
    "options, told",
    [
        (
            {"backend": "oracle://u:secret@host/db"},
            "expected duckdb, spark or postgresql://..., got 'host/db'",
        ),
        ({"backend": "duckdb"}, "duckdb reads a folder of Parquet files, and none is named"),
        ({"log": "nowhere"}, "expected nowhere/decisions.parquet"),
        ({"memory_gb": 0.0}, "memory_gb: expected a number > 0, got 0"),
        ({"out": "nowhere/made.parquet", "log": "x"}, "out: expected a folder at"),
        ({"out": "x/made.parquet", "log": "x"}, "out: expected a folder at"),
    ],
)
def test_what_cannot_be_read_or_written_is_told(
    options: dict[str, Any], told: str, written: Callable[..., dict[str, bytes]]
) -> None:
    with pytest.raises(ConfigError) as refused:
        written(**options)
    assert told in str(refused.value)


def test_a_column_that_is_missing_is_named(
    log: Path, tmp_path: Path, written: Callable[..., dict[str, bytes]]
) -> None:
    for name in ("events", "contacts", "decisions"):
        table = pq.read_table(log / f"{name}.parquet")
        pq.write_table(
            table.drop_columns(["topic"]) if name == "events" else table,
            tmp_path / f"{name}.parquet",
        )
    out = tmp_path.parent / "made.parquet"
    with pytest.raises(ConfigError, match="got none called topic"):
        written(log=str(tmp_path), out=str(out))
    assert not out.exists()

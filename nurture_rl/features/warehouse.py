"""Engines that work out features where the tables of a log lie: DuckDB, PostgreSQL, Spark."""

from __future__ import annotations

import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq

from nurture_envs.features import FeatureSpec
from nurture_rl.errors import ConfigError
from nurture_rl.features.added_up import bytes_of_sums
from nurture_rl.features.by_contact import features_by_contact, numbered_by_contact
from nurture_rl.features.query import feature_query

_BATCH = 100_000  # rows read from an engine at once


class Warehouse(ABC):
    """One engine, connected: the tables of a log, and tables of our own beside them."""

    @abstractmethod
    def table(self, name: str) -> ir.Table:
        """A table of the log.

        Raises:
            ConfigError: there is none.
        """

    @abstractmethod
    def micros(self, time: ir.TimestampValue) -> ir.IntegerValue:
        """Microseconds since 1970 of a time; of a time without a zone as if it were UTC."""

    @abstractmethod
    def own(self, table: pa.Table) -> ir.Table:
        """A small table put beside those of the log while the engine is connected."""

    @abstractmethod
    def read(self, query: ir.Table) -> Iterator[pa.RecordBatch]:
        """The rows of a query, in parts."""

    @abstractmethod
    def small(self, query: ir.Table) -> pa.Table:
        """The rows of a query that has few."""

    def features(
        self, events: ir.Table, decisions: ir.Table, spec: FeatureSpec
    ) -> Iterator[pa.RecordBatch]:
        """decision_id, contact_id, and feature_0, ... of each decision, in parts.

        Args:
            events: as `signal_query` tells them.
            decisions: as `decision_times` tells them, numbered.
            spec: the declared features.
        """
        yield from self.read(feature_query(events, decisions, spec, ("decision_id", "contact_id")))

    def numbered(self, decisions: ir.Table) -> ir.Table:
        """Decisions with `row`, by which their features are told apart: their id."""
        return decisions.mutate(row=decisions.decision_id)


@contextmanager
def warehouse(backend: str, folder: Path | None, memory_gb: float) -> Iterator[Warehouse]:
    """Connect to an engine.

    Args:
        backend: `duckdb`, `spark`, or a `postgresql://` address.
        folder: where events.parquet, contacts.parquet and decisions.parquet lie; None: they are
            tables of the engine.
        memory_gb: most memory that DuckDB takes, 10**9 bytes; what does not fit waits on disk.

    Raises:
        ConfigError: no such engine, it does not answer, or it refuses.
    """
    if backend == "duckdb":
        with tempfile.TemporaryDirectory(prefix="features-") as spill:
            made: Warehouse = _DuckDB(_folder(folder, backend), Path(spill), memory_gb)
            try:
                yield made
            except RuntimeError as error:
                if str(error) != "Query interrupted":
                    raise
                raise KeyboardInterrupt from error  # what the user pressed, in DuckDB's words
    elif backend == "spark":
        yield _Spark(folder)
    elif backend.startswith(("postgres://", "postgresql://")):
        postgres = _Postgres(backend)
        try:
            yield postgres
        except postgres.refusals as error:
            raise ConfigError(f"backend: the database refuses: {error}") from error
        finally:
            postgres.close()
    else:
        raise ConfigError(
            f"backend: expected duckdb, spark or postgresql://..., got {backend.split('@')[-1]!r}"
        )


def _folder(folder: Path | None, backend: str) -> Path:
    if folder is None:
        raise ConfigError(f"log: {backend} reads a folder of Parquet files, and none is named")
    return folder


def _file(folder: Path, name: str) -> Path:
    path = folder / f"{name}.parquet"
    if not path.exists():
        raise ConfigError(
            f"log: expected {path}, and found none; give the tables of a run's ingest, or what "
            "nurture export_log wrote"
        )
    return path


class _DuckDB(Warehouse):
    """Files of a folder, read by DuckDB."""

    def __init__(self, folder: Path, spill: Path, memory_gb: float) -> None:
        self._folder = folder
        self._engine = ibis.duckdb.connect(
            str(spill / "work.duckdb"),
            memory_limit=f"{memory_gb}GB",
            temp_directory=str(spill),
            preserve_insertion_order=False,
        )

    def table(self, name: str) -> ir.Table:
        path = str(_file(self._folder, name))
        # One file, by its name: no pattern of names, and no columns out of names of folders.
        plain = "".join(f"[{sign}]" if sign in "*?[" else sign for sign in path)
        return self._engine.read_parquet(plain, hive_partitioning=False)

    def micros(self, time: ir.TimestampValue) -> ir.IntegerValue:
        return _epoch_us(time)

    def own(self, table: pa.Table) -> ir.Table:
        return self._engine.create_table(ibis.util.gen_name("own"), table)

    def numbered(self, decisions: ir.Table) -> ir.Table:
        return numbered_by_contact(self._engine, decisions)

    def features(
        self, events: ir.Table, decisions: ir.Table, spec: FeatureSpec
    ) -> Iterator[pa.RecordBatch]:
        if bytes_of_sums(spec):
            yield from features_by_contact(self._engine, events, decisions, spec)
        else:
            yield from super().features(events, decisions, spec)

    def read(self, query: ir.Table) -> Iterator[pa.RecordBatch]:
        yield from self._engine.raw_sql(self._engine.compile(query)).to_arrow_reader(_BATCH)

    def small(self, query: ir.Table) -> pa.Table:
        return self._engine.raw_sql(self._engine.compile(query)).to_arrow_table()


class _Postgres(Warehouse):
    """Tables of a PostgreSQL database, on the address's search path."""

    def __init__(self, address: str) -> None:
        try:
            import psycopg
        except ImportError as error:
            raise ConfigError(
                "backend: postgresql needs psycopg; type pip install 'nurture-rl[postgres]'"
            ) from error
        self.refusals = psycopg.Error
        try:
            self._connection = psycopg.connect(address)
        except psycopg.Error as error:
            raise ConfigError(
                f"backend: {address.split('@')[-1]} does not answer: {error}"
            ) from error
        self._engine = ibis.postgres.from_connection(self._connection)

    def table(self, name: str) -> ir.Table:
        from ibis.common.exceptions import TableNotFound

        try:
            return self._engine.table(name)
        except TableNotFound as error:
            raise ConfigError(
                f"backend: no table {name!r} on the search path of the database; create it, or a "
                "view of that name"
            ) from error

    def micros(self, time: ir.TimestampValue) -> ir.IntegerValue:
        return time.truncate("s").epoch_seconds().cast("int64") * 1_000_000 + time.microsecond()

    def own(self, table: pa.Table) -> ir.Table:
        name = ibis.util.gen_name("own")
        made = self._engine.create_table(name, schema=ibis.schema(table.schema), temp=True)
        with self._connection.transaction(), self._connection.cursor() as cursor:
            with cursor.copy(f"COPY {name} FROM STDIN") as copied:
                for batch in table.to_batches(_BATCH):
                    for row in zip(*batch.to_pydict().values(), strict=True):
                        copied.write_row(row)
            cursor.execute(f"ANALYZE {name}")  # so that queries are planned by what it holds
        return made

    def read(self, query: ir.Table) -> Iterator[pa.RecordBatch]:
        yield from self._engine.to_pyarrow_batches(query, chunk_size=_BATCH)

    def small(self, query: ir.Table) -> pa.Table:
        return self._engine.to_pyarrow(query)

    def close(self) -> None:
        """Give the connection back."""
        self._connection.close()


class _Spark(Warehouse):
    """Files of a folder, or tables of the catalogue, read by the session that is there."""

    def __init__(self, folder: Path | None) -> None:
        try:
            from pyspark.sql import SparkSession
        except ImportError as error:
            raise ConfigError(
                "backend: spark needs pyspark; type pip install 'nurture-rl[spark]', and have "
                "Java 17 or later"
            ) from error
        builder: Any = SparkSession.builder
        self._folder, self._session = folder, builder.getOrCreate()
        self._engine = ibis.pyspark.connect(self._session)

    def table(self, name: str) -> ir.Table:
        if self._folder is not None:
            path = str(_file(self._folder, name))
            plain = "".join(f"\\{sign}" if sign in "*?[]{}\\" else sign for sign in path)
            table = self._engine.read_parquet(plain)
        elif name in self._engine.list_tables():
            table = self._engine.table(name)
        else:
            raise ConfigError(f"backend: Spark's catalogue has no table {name!r}; name a log")
        kinds = self._session.table(table.get_name()).dtypes
        instants = [column for column, kind in kinds if kind == "timestamp"]
        # Ibis tells these as it tells wall clocks, which Spark calls timestamp_ntz.
        return table.mutate(**{name: table[name].cast("timestamp('UTC')") for name in instants})

    def micros(self, time: ir.TimestampValue) -> ir.IntegerValue:
        return _unix_micros(time.cast("timestamp('UTC')"))

    def own(self, table: pa.Table) -> ir.Table:
        name = ibis.util.gen_name("own")
        self._session.createDataFrame(table).createOrReplaceTempView(name)
        return self._engine.table(name)

    def read(self, query: ir.Table) -> Iterator[pa.RecordBatch]:
        """Spark writes the rows by all its workers; they are read from there."""
        folder = Path(tempfile.mkdtemp(prefix="features-"))
        try:
            self._frame(query).write.parquet(str(folder / "rows"))
            for part in sorted((folder / "rows").glob("*.parquet")):
                with pq.ParquetFile(part) as file:
                    yield from file.iter_batches(_BATCH)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def small(self, query: ir.Table) -> pa.Table:
        return self._frame(query).toArrow()

    def _frame(self, query: ir.Table) -> Any:
        return self._session.sql(self._engine.compile(query))


def _builtin(name: str) -> Any:
    """A function that an engine has, of a time: whole microseconds since 1970."""

    def micros(time: Any) -> Any: ...

    return ibis.udf.scalar.builtin(micros, name=name, signature=(("timestamp",), "int64"))


_epoch_us, _unix_micros = _builtin("epoch_us"), _builtin("unix_micros")

"""What a batch of decisions keeps on disk until it is whole: whom it asks for, what is done."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from nurture_rl.errors import ConfigError, LogError
from nurture_rl.logs.atomic import atomic_write_bytes, sync
from nurture_rl.serving.names import contact_key

PART = 10_000  # contacts of one part of the table
_IDS = pa.schema([pa.field("contact_id", pa.string(), nullable=False)])


class BulkWork:
    """The hidden folder beside a table that is not whole yet.

    The same settings take it up where it stopped: the same contacts, the same decision ids.
    """

    def __init__(self, out: Path, settings: Mapping[str, Any]) -> None:
        """Begin, or go on with what was begun.

        Args:
            out: the table to come.
            settings: what the decisions depend on, JSON-able.

        Raises:
            ConfigError: the table is there already, another process makes it, it was begun with
                other settings, or a file is in the way.
            LogError: what was begun is damaged.
            OSError: the disk refuses.
        """
        if out.exists() or out.is_symlink():
            raise ConfigError(
                f"expected nothing at {out}, got a file: a batch replaces none; give another path"
            )
        self.out, self.folder = out, out.with_name(f".{out.name}.work")
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            self.folder.mkdir(mode=0o700, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise ConfigError(
                f"expected folders at {out.parent} and {self.folder}, got a file where one of them "
                "has to be; give another path"
            ) from error
        self._lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise ConfigError(
                f"expected that nobody makes {out}, but another process does; wait for it, or give "
                "another path"
            ) from error
        self._whole = self.folder / "whole.partial"
        self.asked, record = self.folder / "asked.parquet", self.folder / "settings.json"
        if not self.asked.exists():  # nobody was decided for: a mended command begins anew
            self._clear()
            began = {**settings, "began_us": time.time_ns() // 1000}
            atomic_write_bytes(record, json.dumps(began).encode())
        begun = self._begun(record)
        self._require_same(begun, settings)
        self.began_us = int(begun["began_us"])  # names the batch, microseconds since 1970 UTC

    def close(self) -> None:
        """Let others work on it."""
        os.close(self._lock)

    def ask_for(self, ids: Iterable[str]) -> None:
        """Note whom the batch asks for; what was noted before stays."""
        if self.asked.exists():
            return
        partial, rest = self.asked.with_suffix(".partial"), iter(ids)
        with pq.ParquetWriter(partial, _IDS) as writer:
            while some := list(islice(rest, PART)):
                writer.write_table(pa.table({"contact_id": some}, schema=_IDS))
        sync(partial)
        partial.replace(self.asked)
        sync(self.folder)

    def parts(self) -> Iterator[tuple[int, list[str]]]:
        """Numbers of the parts that are not done, with the contacts of each."""
        file = pq.ParquetFile(self.asked)
        for number in range(file.num_row_groups):
            if not self._part(number).exists():
                yield number, file.read_row_group(number)["contact_id"].to_pylist()

    @property
    def count(self) -> int:
        """How many contacts are asked for."""
        return int(pq.read_metadata(self.asked).num_rows)

    def keep(self, number: int, table: pa.Table, refused: Mapping[str, int]) -> None:
        """Keep a part, with the contacts that got no decision, by code."""
        sink, about = pa.BufferOutputStream(), {b"refused": json.dumps(dict(refused)).encode()}
        pq.write_table(table.replace_schema_metadata(about), sink, compression="zstd")
        atomic_write_bytes(self._part(number), memoryview(sink.getvalue()))

    def kept(self) -> Iterator[tuple[pa.Table, dict[str, int]]]:
        """The parts in order, as `keep` was given them.

        Raises:
            LogError: one of them is damaged.
        """
        for number in range(pq.read_metadata(self.asked).num_row_groups):
            part = self._part(number)
            try:
                table = pq.read_table(part)
                refused = json.loads(table.schema.metadata[b"refused"])
            except (pa.ArrowException, ValueError) as error:
                raise LogError(
                    f"{part} is damaged ({error}); remove this file and give the same command "
                    "again: it takes the decisions from the store"
                ) from error
            yield table.replace_schema_metadata(None), refused

    def write(self, blocks: Iterable[pa.Table], schema: pa.Schema) -> None:
        """Write the whole table, which is at its place only when `finish` returns."""
        with pq.ParquetWriter(self._whole, schema, compression="zstd") as writer:
            for block in blocks:
                writer.write_table(block)
        sync(self._whole)

    def finish(self) -> None:
        """Put the table in its place and take the folder away."""
        self._whole.replace(self.out)
        sync(self.out.parent)
        shutil.rmtree(self.folder)

    def _begun(self, record: Path) -> dict[str, Any]:
        """The settings of what was begun, and a proof that the list of contacts can be read."""
        try:
            begun: dict[str, Any] = json.loads(record.read_text("utf-8"))
            if self.asked.exists():
                pq.read_metadata(self.asked)
        except (pa.ArrowException, ValueError, OSError) as error:
            self.close()
            raise LogError(
                f"{self.folder} is damaged ({error}); give another path: who has a decision of "
                "this bin gets no second one, the store has it"
            ) from error
        return begun

    def _clear(self) -> None:
        for path in self.folder.iterdir():
            if path.name != "lock":
                path.unlink()

    def _part(self, number: int) -> Path:
        return self.folder / f"part-{number:06d}.parquet"

    def _require_same(self, begun: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
        other = [name for name in settings if begun.get(name) != settings[name]]
        if other:
            name = other[0]
            self.close()
            raise ConfigError(
                f"{self.out} was begun with {name} {begun.get(name)!r} and is not whole, got "
                f"{settings[name]!r}; give what it was begun with, or another path"
            )


def listed_contacts(path: Path) -> Iterator[str]:
    """The column `contact_id` of a Parquet or CSV file.

    Raises:
        LogError: it cannot be read, has no such column, or leaves an id out.
    """
    try:
        for column in _columns(path):
            if column.null_count:
                raise LogError(f"{path}: expected an id in every row, got none in some; drop them")
            yield from column.cast(pa.string()).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise LogError(
            f"{path}: {error}; give a Parquet or CSV file with a column contact_id"
        ) from error


def _columns(path: Path) -> Iterator[pa.Array]:
    if path.suffix == ".csv":
        options = pc.ConvertOptions(
            include_columns=["contact_id"],
            column_types={"contact_id": pa.string()},
            null_values=[""],
            strings_can_be_null=True,
        )
        with pc.open_csv(path, convert_options=options) as reader:
            yield from (batch.column(0) for batch in reader)
        return
    file = pq.ParquetFile(path)
    if "contact_id" not in file.schema_arrow.names:
        raise LogError(
            f"{path}: expected a column contact_id, got {', '.join(file.schema_arrow.names)}; "
            "name it so"
        )
    yield from (batch.column(0) for batch in file.iter_batches(PART, columns=["contact_id"]))


class Once:
    """Ids of a list without those that name a contact a second time, 8 bytes of memory each."""

    def __init__(self, path: Path) -> None:
        """Look at a list as of `listed_contacts`, which is read twice."""
        self._path, self.repeated = path, 0
        numbers = np.fromiter((_number(name) for name in listed_contacts(path)), np.uint64)
        numbers.sort()
        self._twice = set(numbers[1:][numbers[1:] == numbers[:-1]].tolist())

    def __iter__(self) -> Iterator[str]:
        seen: set[str] = set()
        for name in listed_contacts(self._path):
            if self._twice and _number(name) in self._twice:
                if (key := contact_key(name)) in seen:
                    self.repeated += 1
                    continue
                seen.add(key)
            yield name


def _number(name: str) -> int:
    key = contact_key(name).encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(key, digest_size=8).digest(), "big")

"""What the adapters' tests share: running one, reading its tables, and what every log must keep."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from nurture_envs.actions import ActionCatalog
from nurture_envs.clock import local_microseconds
from nurture_envs.journey_file import load_journey
from nurture_rl.features.table import decision_table
from nurture_rl.logs.adapters.common import Adapter, AdapterNotes
from nurture_rl.logs.ingest import ingest_folder
from nurture_rl.logs.schema import CONTACTS, DECISIONS, EVENTS


@dataclass(frozen=True, slots=True)
class Adapted:
    """One adapter's answer."""

    notes: AdapterNotes
    folder: Path
    events: pa.Table
    contacts: pa.Table
    decisions: pa.Table

    def column(self, table: str, name: str) -> NDArray[Any]:
        """One column as numpy, [n]."""
        column = getattr(self, table)[name]
        kind = column.type
        if pa.types.is_timestamp(kind):
            column = column.cast(pa.int64())
        values: NDArray[Any] = column.to_numpy(zero_copy_only=False)
        return values.astype(str) if pa.types.is_string(kind) else values

    def matrix(self, name: str) -> NDArray[Any]:
        """A list column of the decisions, [n, a]."""
        lists = self.decisions[name].combine_chunks()
        flat = np.asarray(lists.flatten().to_numpy(zero_copy_only=False))
        return flat.reshape(len(lists), -1)

    def total(self, kind: str, value: bool = False) -> NDArray[np.float64]:
        """Number (or value) of the events of a type that answer each decision, [decisions]."""
        rows = {name: i for i, name in enumerate(self.column("decisions", "decision_id"))}
        mine = self.events.filter(pa.array(self.column("events", "type") == kind))
        sums = np.zeros(len(rows))
        amounts = mine["value"].to_pylist() if value else [1.0] * len(mine)
        for decision, amount in zip(mine["decision_id"].to_pylist(), amounts, strict=True):
            if decision is not None:
                sums[rows[decision]] += amount
        return sums


def adapt(write_raw: Adapter, source: Path, folder: Path) -> Adapted:
    """Run an adapter and read what it wrote."""
    notes = write_raw(source, folder, np.random.default_rng(0))
    tables = [pq.read_table(folder / f"{name}.parquet") for name in _TABLES]
    return Adapted(notes, folder, *tables)


_TABLES = ("events", "contacts", "decisions")


def write_csv(path: Path, columns: Mapping[str, Sequence[object]]) -> None:
    """A small CSV file, gzipped where the name says so."""
    with pa.output_stream(str(path)) as stream:
        pa_csv.write_csv(pa.table(dict(columns)), stream)


def without(columns: Mapping[str, Sequence[object]], name: str) -> dict[str, Sequence[object]]:
    """The same columns but one."""
    return {key: values for key, values in columns.items() if key != name}


def assert_keeps_the_contract(log: Adapted) -> None:
    """The columns are the contract's, decisions are a proper lottery, and times fit the bins."""
    assert log.events.schema.equals(EVENTS)
    assert log.contacts.schema.equals(CONTACTS)
    assert log.decisions.schema.equals(DECISIONS)
    journey = load_journey(log.notes.journey)
    catalog = ActionCatalog.of(journey)
    probabilities, mask = log.matrix("probabilities"), log.matrix("mask")
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-12)
    assert (probabilities[~mask.astype(bool)] == 0).all()
    chosen = catalog.indices(log.column("decisions", "action").tolist())
    rows = np.arange(len(chosen))
    assert mask[rows, chosen].all()
    np.testing.assert_array_equal(
        log.column("decisions", "propensity"), probabilities[rows, chosen]
    )
    assert set(log.column("decisions", "catalog")) == {catalog.hash}
    np.testing.assert_array_equal(bins_of(log, "decisions"), log.column("decisions", "step"))


def bins_of(log: Adapted, table: str) -> NDArray[np.int64]:
    """The bin of each decision, or of each event, on its contact's clock."""
    contact = log.column(table, "contact_id")
    ids = log.column("contacts", "contact_id")
    zones = dict(zip(ids, log.column("contacts", "time_zone"), strict=True))
    owner = log.column("decisions", "contact_id")
    anchors = dict(zip(owner, log.column("decisions", "anchor"), strict=True))
    time = log.column(table, "decided_at" if table == "decisions" else "occurred_at")
    local = local_microseconds(time, np.array([zones[c] for c in contact]))
    clock = load_journey(log.notes.journey).clock
    return clock.bin_of(local, np.array([anchors[c] for c in contact]))


def share_matured(log: Adapted) -> float:
    """Share of the decisions whose outcomes the log knows in full, in [0, 1]."""
    journey = load_journey(log.notes.journey)
    table = decision_table(log.events, log.contacts, log.decisions, journey).table
    return float(np.mean(table["matured"].to_numpy()))


def assert_ingests_whole(log: Adapted, out: Path) -> None:
    """The ingest step takes every row."""
    catalog = ActionCatalog.of(load_journey(log.notes.journey))
    said: list[str] = []
    tell: Callable[[str], None] = said.append
    ingest_folder(log.folder, out, catalog.ids, catalog.hash, tell)
    assert pq.read_table(out / "quarantine.parquet").num_rows == 0
    for name in _TABLES:
        assert pq.read_table(out / f"{name}.parquet").num_rows == getattr(log, name).num_rows


def words_of(log: Adapted) -> str:
    """Every column name and JSON text of the tables, to look for what must not be there."""
    names = [name for table in _TABLES for name in getattr(log, table).column_names]
    attributes, properties = log.contacts["attributes"], log.events["properties"]
    return " ".join([*names, *attributes.to_pylist(), *set(properties.to_pylist())])

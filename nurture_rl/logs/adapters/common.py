"""What every adapter shares: reading with good errors, building raw tables, notes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.json as pa_json
import pyarrow.parquet as pq
from numpy.typing import NDArray

from nurture_envs.actions import ActionCatalog
from nurture_envs.journey import Journey
from nurture_rl.errors import LogError
from nurture_rl.logs.atomic import atomic_folder
from nurture_rl.logs.schema import CONTACTS, DECISIONS, EVENTS, TableKind

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
StrArray = NDArray[np.str_]

POLICY_ID = "design"
ARM = "logged"


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Rows of the source that made no decision, and why."""

    reason: str
    rows: int


@dataclass(frozen=True, slots=True)
class AdapterNotes:
    """What a report must say about a log that was rewritten from a data set."""

    journey: str
    rows_read: int  # rows of the source's main table
    excluded: tuple[Exclusion, ...]
    refused_columns: tuple[str, ...]  # columns that know what came after the decision
    supports: tuple[str, ...]  # short sentences: what the log can show
    limits: tuple[str, ...]  # short sentences: what it cannot, and what was assumed


class Adapter(Protocol):
    """Rewrites the folder of one data set into raw events, contacts and decisions."""

    def __call__(self, source: Path, out: Path, rng: np.random.Generator) -> AdapterNotes:
        """Write the three tables into `out`, whole or not at all; see each adapter."""
        ...


@dataclass(frozen=True, slots=True)
class EventRows:
    """Events of one kind, each belonging to one decision; a text or None holds for every row."""

    kind: str  # first part of the event ids, unique in the log
    type: str
    decision: StrArray  # decision ids, [n]
    contact: StrArray  # [n]
    occurred_us: IntArray  # UTC microseconds, [n]
    recorded_us: IntArray | None = None  # UTC, [n]; None: when it happened
    answers_decision: bool = True  # False: it came before, so it names no decision
    message_id: StrArray | None = None  # [n]
    topic: StrArray | str | None = None
    reply_class: StrArray | None = None
    value: FloatArray | None = None  # [n]
    properties: StrArray | None = None  # JSON objects, [n]


@dataclass(frozen=True, slots=True)
class DecisionRows:
    """Decisions of a designed experiment, in catalogue order where actions are meant."""

    id: StrArray  # [n]
    contact: StrArray  # [n]
    anchor_us: IntArray  # local wall time, [n]
    step: IntArray  # bin, [n]
    decided_us: IntArray  # UTC, [n]
    chosen: IntArray  # position of the action taken, [n]
    probabilities: FloatArray  # [n, a]
    mask: BoolArray  # [n, a]


def require_columns(names: Sequence[str], wanted: Sequence[str], path: Path) -> None:
    """Refuse a file that lacks a column.

    Raises:
        LogError: names every missing column.
    """
    missing = [name for name in wanted if name not in names]
    if missing:
        raise LogError(
            f"expected the columns {', '.join(wanted)} in {path.name}, "
            f"{', '.join(missing)} missing; use the file as published"
        )


def require_file(path: Path) -> None:
    """Refuse a folder without the file.

    Raises:
        LogError: no such file.
    """
    if not path.is_file():
        raise LogError(
            f"expected the file {path.name} in {path.parent}, there is none; "
            "point the adapter at the data set's folder"
        )


def csv_names(path: Path) -> list[str]:
    """The header of a CSV file, plain or gzipped.

    Raises:
        LogError: no such file, or not a CSV file.
    """
    require_file(path)
    try:
        with pa_csv.open_csv(path) as reader:
            return list(reader.schema.names)
    except (pa.ArrowInvalid, OSError) as error:
        raise _unreadable(path, error) from error


def read_csv(path: Path, types: Mapping[str, pa.DataType]) -> pa.Table:
    """Read only the named columns of a CSV file, plain or gzipped; empty cells are null.

    Raises:
        LogError: the file or a column is missing, or a cell is not of its type.
    """
    require_columns(csv_names(path), list(types), path)
    options = pa_csv.ConvertOptions(
        include_columns=list(types), column_types=dict(types), strings_can_be_null=True
    )
    try:
        return pa_csv.read_csv(path, convert_options=options)
    except (pa.ArrowInvalid, OSError) as error:
        raise _unreadable(path, error) from error


def read_json_lines(path: Path, types: Mapping[str, pa.DataType]) -> pa.Table:
    """Read only the named members of a file with one JSON object a line, plain or gzipped.

    Raises:
        LogError: the file or a member is missing, or a value is not of its type.
    """
    require_file(path)
    try:
        table = pa_json.read_json(path)
        require_columns(table.column_names, list(types), path)
        return table.select(list(types)).cast(pa.schema(list(types.items())))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> LogError:
    return LogError(f"expected {path.name} as published, got: {error}; fetch the file again")


def cells(table: pa.Table, name: str) -> NDArray[Any]:
    """One column as numpy, [n]; texts as numpy texts.

    Raises:
        LogError: a cell is empty.
    """
    column = table[name]
    if column.null_count:
        raise LogError(
            f"expected a value in every row of {name}, {column.null_count} of {len(column)} "
            "are empty; use the file as published"
        )
    values: NDArray[Any] = column.to_numpy()
    return values.astype(str) if pa.types.is_string(column.type) else values


def joined(*parts: StrArray | str) -> StrArray:
    """Texts put together row by row, [n]."""
    result: Any = parts[0]
    for part in parts[1:]:
        result = np.char.add(result, part)
    return np.asarray(result, np.str_)


def event_table(rows: EventRows, source: str) -> pa.Table:
    """Raw events of one kind."""
    n = len(rows.decision)
    given = {
        "event_id": joined(f"{rows.kind}:", rows.decision),
        "contact_id": rows.contact,
        "type": np.full(n, rows.type),
        "source": np.full(n, source),
        "message_id": rows.message_id,
        "decision_id": rows.decision if rows.answers_decision else None,
        "topic": np.full(n, rows.topic) if isinstance(rows.topic, str) else rows.topic,
        "reply_class": rows.reply_class,
        "value": rows.value,
        "is_machine": np.zeros(n, np.bool_),
        "properties": np.full(n, "{}") if rows.properties is None else rows.properties,
        "occurred_at": rows.occurred_us,
        "recorded_at": rows.occurred_us if rows.recorded_us is None else rows.recorded_us,
    }
    return _table(given, EVENTS, n)


def contact_table(
    ids: StrArray, zones: StrArray, attributes: Sequence[Mapping[str, object]]
) -> pa.Table:
    """Raw contacts, all of whom consented; attributes without a value are left out."""
    n = len(ids)
    texts = [
        json.dumps({name: v for name, v in row.items() if v is not None}, sort_keys=True)
        for row in attributes
    ]
    given = {
        "contact_id": ids,
        "account_id": None,
        "time_zone": zones,
        "zone_confidence": np.ones(n),
        "consent": np.ones(n, np.bool_),
        "attributes": np.array(texts, np.str_),
    }
    return _table(given, CONTACTS, n)


def decision_table(journey: Journey, rows: DecisionRows) -> pa.Table:
    """Raw decisions of a journey; one episode per contact.

    Raises:
        LogError: an action was taken that the design forbids or gives probability 0.
    """
    catalog = ActionCatalog.of(journey)
    n = len(rows.id)
    propensity = rows.probabilities[np.arange(n), rows.chosen]
    legal = rows.mask[np.arange(n), rows.chosen] & (propensity > 0)
    if not legal.all():
        first = int(np.flatnonzero(~legal)[0])
        raise LogError(
            f"expected only actions that the design of {journey.name} allows, decision "
            f"{rows.id[first]} took {catalog.ids[rows.chosen[first]]}; exclude such rows"
        )
    given = {
        "decision_id": rows.id,
        "contact_id": rows.contact,
        "journey": np.full(n, journey.name),
        "episode_id": joined(f"{journey.name}:", rows.contact),
        "anchor": rows.anchor_us,
        "step": rows.step.astype(np.int32),
        "decided_at": rows.decided_us,
        "action": np.array(catalog.ids)[rows.chosen],
        "propensity": propensity,
        "probabilities": rows.probabilities,
        "mask": rows.mask,
        "policy_id": np.full(n, POLICY_ID),
        "arm": np.full(n, ARM),
        "deferred": np.zeros(n, np.bool_),
        "features": None,
        "catalog": np.full(n, catalog.hash),
    }
    return _table(given, DECISIONS, n)


def _table(given: Mapping[str, NDArray[Any] | None], schema: pa.Schema, n: int) -> pa.Table:
    columns = [_column(given.get(field.name), field.type, n) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def _column(values: NDArray[Any] | None, kind: pa.DataType, n: int) -> pa.Array:
    if values is None:
        return pa.nulls(n, kind)
    if values.ndim == 2:
        offsets = np.arange(n + 1, dtype=np.int32) * values.shape[1]
        return pa.ListArray.from_arrays(offsets, pa.array(values.ravel()))
    return pa.array(values).cast(kind)


def write_tables(
    out: Path, events: Sequence[pa.Table], contacts: pa.Table, decisions: pa.Table
) -> None:
    """Write the three raw tables as Parquet; `out` is complete or as it was.

    Raises:
        OSError: the disk refuses.
    """
    with atomic_folder(out) as folder:
        pq.write_table(pa.concat_tables(events), folder / f"{TableKind.EVENTS}.parquet")
        pq.write_table(contacts, folder / f"{TableKind.CONTACTS}.parquet")
        pq.write_table(decisions, folder / f"{TableKind.DECISIONS}.parquet")

"""The feature table of a log's decisions, worked out by an engine and written as one file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nurture_envs.clock import DAY_US
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_rl.errors import ConfigError, LeakageError, LogError
from nurture_rl.features.contact_clocks import contact_clocks, zone_shifts
from nurture_rl.features.query import lasting_signals
from nurture_rl.features.raw_query import (
    decision_times,
    event_columns,
    read_events,
    signal_query,
)
from nurture_rl.features.sql_bins import start_us
from nurture_rl.features.warehouse import Warehouse
from nurture_rl.features.warehouse_checks import (
    columns_of,
    require_decisions,
    require_told_once,
)
from nurture_rl.logs.atomic import atomic_file

_DECIDED = ("decision_id", "contact_id", "anchor", "step", "decided_at")
_IDS = ("decision_id", "contact_id")
_FIRST_CLOCKS_US = -170 * 366 * DAY_US  # before 1800: no zone had changed its clocks yet


@dataclass(frozen=True, slots=True)
class WrittenFeatures:
    """What was written."""

    decisions: int
    columns: int  # of features


def write_features(
    where: Warehouse, journey: Journey, default_zone: str, out: Path
) -> WrittenFeatures:
    """Write decision_id, contact_id and every feature column of each decision, in no order.

    Args:
        where: the engine that holds events, contacts and decisions.
        journey: whose features.
        default_zone: where contacts of unknown time zone live.
        out: file to write; it appears when it is whole.

    Raises:
        ConfigError: a table or a column is missing, a column is of another kind, or a feature has
            the name of an id.
        LeakageError: a decision was made before its own bin began.
        LogError: there are no decisions, or rows that are empty or told twice.
        TimeZoneError: a contact's zone is unknown.
        OSError: the disk refuses.
    """
    spec = FeatureSpec.of(journey)
    if taken := sorted({*_IDS} & {*spec.columns}):
        raise ConfigError(f"features: {taken[0]} is a column of every table; give it another name")
    decisions = columns_of(where.table("decisions"), "decisions", _DECIDED)
    useful = ("recorded_at", "event_id")
    events = columns_of(where.table("events"), "events", event_columns(journey), useful)
    expected = require_decisions(where, decisions)
    contacts = contact_clocks(_contacts(where, decisions, spec), spec, default_zone)
    first_us, last_us = _span(where, contacts, events, spec)
    happened = where.micros(events.occurred_at)
    events = events.filter(happened >= first_us, happened <= last_us)
    require_told_once(where, read_events(events, journey))
    since_us = max(first_us, _FIRST_CLOCKS_US)
    shifts = where.own(zone_shifts(contacts["zone"].to_pylist(), since_us, last_us))
    people = where.own(contacts)
    times = where.numbered(decision_times(decisions, people, shifts, where.micros, spec))
    _require_completed_bins(where, times, spec)
    told = signal_query(events, people, shifts, where.micros, journey)
    names = [*_IDS, *spec.columns]
    kinds = [pa.string()] * len(_IDS) + [pa.float32()] * len(spec.columns)
    schema, rows = pa.schema(zip(names, kinds, strict=True)), 0
    with atomic_file(out) as partial, pq.ParquetWriter(partial, schema) as writer:
        for batch in where.features(told, times, spec):
            made = pa.Table.from_batches([batch]).rename_columns(names).cast(schema)
            writer.write_table(made)
            rows += len(made)
        if rows != expected:
            raise LogError(
                f"decisions: expected features of {expected} rows, made those of {rows}: the "
                "tables changed while they were read; try again, or read a copy"
            )
    return WrittenFeatures(rows, len(spec.columns))


def _contacts(where: Warehouse, decisions: ir.Table, spec: FeatureSpec) -> pa.Table:
    """contact_id, time_zone and attributes of every decided contact, and what it looks back on.

    From since_us (local) to until_us (UTC), microseconds since 1970: the start of the earliest
    window, or the first decision, and the last decision.
    """
    told = where.table("contacts")
    known = columns_of(told, "contacts", ("contact_id", "time_zone", "attributes"))
    decided, anchor = where.micros(decisions.decided_at), where.micros(decisions.anchor)
    begins = anchor + start_us(decisions.step.cast("int64") - spec.window, spec.clock)
    times = decisions.select("contact_id", decided_us=decided, begins_us=begins)
    spans = times.group_by("contact_id").aggregate(
        since_us=ibis.least(times.begins_us.min(), times.decided_us.min()),
        until_us=times.decided_us.max(),
    )
    found = spans.left_join(known, "contact_id").drop("contact_id_right")
    table = where.small(found)
    again = [one for one in pc.value_counts(table["contact_id"]).to_pylist() if one["counts"] > 1]
    if again:
        raise LogError(
            f"contacts: expected each contact_id once, got {again[0]['values']!r} in "
            f"{again[0]['counts']} rows; keep the newest of each, or let ingest join them"
        )
    return table


def _span(
    where: Warehouse, contacts: pa.Table, events: ir.Table, spec: FeatureSpec
) -> tuple[int, int]:
    """The first and the last moment of what is read, microseconds since 1970."""
    first_us = pc.min(contacts["since_us"]).as_py() - DAY_US  # no clock is a day from UTC
    last_us = pc.max(contacts["until_us"]).as_py()
    if lasting_signals(spec):  # whenever they happened
        found = where.micros(events.occurred_at).name("us").as_table()
        (row,) = where.small(found.aggregate(first=found.us.min())).to_pylist()
        first_us = first_us if row["first"] is None else min(first_us, row["first"])
    return first_us, last_us


def _require_completed_bins(where: Warehouse, times: ir.Table, spec: FeatureSpec) -> None:
    """See `bins.early_decisions`."""
    reading = [f.name for f in spec.features if f.kind not in ("attribute", "calendar")]
    early = times.filter(times.decided_local_us < times.begin_us)
    if not reading:
        return
    for row in where.small(early.select("contact_id", "step").limit(1)).to_pylist():
        raise LeakageError(
            f"feature {reading[0]!r} of a decision for contact {row['contact_id']!r} would use "
            f"events after it: it was made before its bin {row['step']} began; check anchor, step "
            "and time zone, and the zone given for contacts without one"
        )

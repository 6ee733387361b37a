"""A journey's features as one Ibis expression: the warehouse engine.

Equal bit for bit with `nurture_envs.features.evaluate` while value sums stay on their exact grid.
Column names inside the query are made by position, because engines fold the case of names.
"""

from __future__ import annotations

from collections.abc import Sequence

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nurture_envs.features import FeatureSpec
from nurture_rl.features.bins import BinnedLog, SignalEvents, require_completed_bins
from nurture_rl.features.past_aggregates import PastAggregates, is_one_of
from nurture_rl.features.sql_bins import bin_of, calendar, start_us


def feature_query(
    events: ir.Table, decisions: ir.Table, spec: FeatureSpec, kept: Sequence[str] = ("row",)
) -> ir.Table:
    """The feature vector of each decision, point-in-time correct.

    An event counts when its bin lies before the decision's and it was known by the decision's
    time. All of the contact's history counts, in whichever episode it fell.

    Args:
        events: contact, local_us, known_us, signal (int64) and value (float64), as in
            `SignalEvents`.
        decisions: row (unique), contact, anchor_us, step, decided_us (int64) and attribute_0,
            attribute_1, ... (float32), as `spec.encode_attributes` gives them.
        spec: the declared features.
        kept: columns of the decisions to keep beside their features.

    Returns:
        The kept columns, and feature_0, feature_1, ... (float32) in the order of `spec.columns`;
        rows in no order.
    """
    asked = PastAggregates(known_pairs(events, decisions, spec), spec)
    attributes = iter(range(len(spec.attribute_columns)))
    columns: list[ir.Value] = []
    for feature in spec.features:
        if feature.kind == "attribute":
            columns += [ibis._[f"attribute_{next(attributes)}"] for _ in spec.names(feature)]
        elif feature.kind == "calendar":
            columns += calendar(ibis._, spec.clock, feature)
        else:
            columns += asked.columns(feature)
    named = {f"feature_{i}": column.cast("float32") for i, column in enumerate(columns)}
    summary, table = asked.by_row(), decisions
    if summary is not None:
        table = decisions.left_join(summary, "row").drop("row_right")
    return table.select(*kept, **named)


def feature_matrix(log: BinnedLog, spec: FeatureSpec) -> NDArray[np.float32]:
    """Run the feature query on DuckDB.

    Returns:
        Features, [n, d], one row per decision as they came, columns as `spec.columns`.

    Raises:
        LeakageError: a decision was made before its own bin began.
    """
    require_completed_bins(log, spec)
    times, events = log.times, log.events
    encoded = spec.encode_attributes(log.contacts.attributes)[times.contact]
    event_table = pa.table({name: getattr(events, name) for name in SignalEvents.__slots__})
    columns = {name: getattr(times, name) for name in ("contact", "anchor_us", "step")}
    columns |= {"decided_us": times.decided_us, "row": np.arange(len(times.contact))}
    columns |= {f"attribute_{i}": encoded[:, i] for i in range(encoded.shape[1])}
    engine = ibis.duckdb.connect()
    try:
        query = feature_query(
            engine.create_table("events", event_table),
            engine.create_table("decisions", pa.table(columns)),
            spec,
        )
        result = engine.to_pyarrow(query.order_by("row")).drop_columns(["row"])
    finally:
        engine.disconnect()
    return np.column_stack([np.asarray(column, np.float32) for column in result.columns])


def lasting_signals(spec: FeatureSpec) -> list[str]:
    """The signals whose events count however long ago they happened."""
    named = [name for f in spec.features if f.kind == "ever" for name in f.of]
    return named + [signal for f in spec.features for _, signal in f.stages]


def known_pairs(events: ir.Table, decisions: ir.Table, spec: FeatureSpec) -> ir.Table:
    """What each decision could know: one row per decision and known event of a completed bin.

    Args:
        events, decisions, spec: as of `feature_query`.

    Returns:
        row, signal, value, lag (bins from the event to the decision, from 1 on) and bin.
    """
    clock = spec.clock
    times = decisions.select(
        "row",
        "contact",
        "anchor_us",
        "step",
        "decided_us",
        begin_us=decisions.anchor_us + start_us(decisions.step, clock),
        since_us=decisions.anchor_us + start_us(decisions.step - spec.window, clock),
    )
    near = events.local_us >= times.since_us
    lasting = lasting_signals(spec)
    useful = near | is_one_of(events, spec, lasting) if lasting else near
    pairs = times.join(
        events,
        [
            times.contact == events.contact,
            events.known_us <= times.decided_us,
            events.local_us < times.begin_us,
            useful,
        ],
    )
    bins = bin_of(pairs.local_us - pairs.anchor_us, clock)
    return pairs.select("row", "signal", "value", lag=pairs.step - bins, bin=bins)

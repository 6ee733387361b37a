"""A journey's features as one Ibis expression: the warehouse engine.

Equal bit for bit with `nurture_envs.features.evaluate` while value sums stay on their exact grid.
Column names inside the query are made by position, because engines fold the case of names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from operator import add, or_

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nurture_envs.clock import DAY_US, HOUR_US, Clock
from nurture_envs.features import NEVER, FeatureSpec
from nurture_envs.features.spec import WEIGHT_GRID, decay_steps, reach_of
from nurture_envs.journey import Feature
from nurture_rl.features.bins import BinnedLog, SignalEvents, require_completed_bins

_THURSDAY = 3  # 1970-01-01
_SEEN = -NEVER // 2  # bins: an event longer ago than this never happened
_WEEK = 7


def feature_query(events: ir.Table, decisions: ir.Table, spec: FeatureSpec) -> ir.Table:
    """The feature vector of each decision, point-in-time correct.

    An event counts when its bin lies before the decision's and it was known by the decision's
    time. All of the contact's history counts, in whichever episode it fell.

    Args:
        events: contact, local_us, known_us, signal (int64) and value (float64), as in
            `SignalEvents`.
        decisions: row (unique), contact, anchor_us, step, decided_us (int64) and attribute_0,
            attribute_1, ... (float32), as `spec.encode_attributes` gives them.
        spec: the declared features.

    Returns:
        feature_0, feature_1, ... (float32) in the order of `spec.columns`, sorted by row.
    """
    past = _past(events, decisions, spec)
    summary = past.group_by("row").aggregate(**_aggregates(past, spec))
    table = _left(decisions, summary)
    for position, feature in enumerate(spec.features):
        if feature.kind == "streak":
            table = _left(table, _streak(past, spec, feature, position))
    columns: list[ir.Value] = []
    attributes = iter(range(len(spec.attribute_columns)))
    for position, feature in enumerate(spec.features):
        if feature.kind == "attribute":
            columns += [table[f"attribute_{next(attributes)}"] for _ in spec.names(feature)]
        elif feature.kind == "calendar":
            columns += _calendar(table, spec.clock, feature)
        else:
            columns += _from_past(table, feature, position, len(spec.names(feature)))
    named = {f"feature_{i}": column.cast("float32") for i, column in enumerate(columns)}
    return table.order_by("row").select(**named)


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
        result = engine.to_pyarrow(query)
    finally:
        engine.disconnect()
    return np.column_stack([np.asarray(column, np.float32) for column in result.columns])


def _past(events: ir.Table, decisions: ir.Table, spec: FeatureSpec) -> ir.Table:
    """What each decision could know: one row per decision and known event of a completed bin."""
    known = [decisions.contact == events.contact, events.known_us <= decisions.decided_us]
    pairs = decisions.select("row", "contact", "anchor_us", "step", "decided_us").join(
        events, known
    )
    bins = _bin_of(pairs.local_us - pairs.anchor_us, spec.clock)
    past = pairs.select("row", "signal", "value", lag=pairs.step - bins, bin=bins)
    useful = past.lag <= spec.window
    ever = [name for f in spec.features if f.kind == "ever" for name in f.of]
    ever += [signal for f in spec.features for _, signal in f.stages]
    if ever:
        useful = useful | _is_one_of(past, spec, ever)
    return past.filter((past.lag >= 1) & useful)


def _aggregates(past: ir.Table, spec: FeatureSpec) -> dict[str, ir.Value]:
    wanted: dict[str, ir.Value] = {"any": past.count()}  # an aggregation needs one column
    for position, feature in enumerate(spec.features):
        if feature.kind in ("count", "ratio"):
            near = past.lag <= feature.window
            wanted[f"top_{position}"] = _total(past, spec, feature.of, near)
        if feature.kind == "ratio":
            wanted[f"below_{position}"] = _total(past, spec, feature.over, near)
        if feature.kind == "trend":
            for name, bins in (("late", feature.window), ("both", reach_of(feature))):
                wanted[f"{name}_{position}"] = _total(past, spec, feature.of, past.lag <= bins)
        if feature.kind == "decayed":
            wanted[f"decayed_{position}"] = _decayed(past, spec, feature)
        if feature.kind in ("distinct", "affinity"):
            for place, (of, where) in enumerate(_groups(past, spec, feature)):
                wanted[f"some_{position}_{place}"] = _total(past, spec, of, where)
        if feature.kind in ("recency", "ever"):
            wanted[f"since_{position}"] = _since(past, spec, feature.of)
        if feature.kind == "memory":
            for ago in range(1, feature.window + 1):
                near = past.lag == ago
                wanted[f"ago_{position}_{ago}"] = _total(past, spec, feature.of, near)
        for place, (_, signal) in enumerate(feature.stages):
            wanted[f"since_{position}_{place}"] = _since(past, spec, (signal,))
    return wanted


def _total(
    past: ir.Table, spec: FeatureSpec, names: Sequence[str], near: ir.BooleanValue
) -> ir.Value:
    """Sum of channels over some bins; exact, so the engine may add in any order."""
    counts = [name for name in names if not name.endswith(".value")]
    values = [name for name in names if name.endswith(".value")]
    parts: list[ir.Value] = []
    if counts:
        parts.append(past.count(where=near & _is_one_of(past, spec, counts)).cast("float64"))
    if values:
        mine = near & _is_one_of(past, spec, values)
        parts.append(past.value.sum(where=mine).fill_null(0.0))
    return reduce(add, parts)


def _decayed(past: ir.Table, spec: FeatureSpec, feature: Feature) -> ir.Value:
    """Sum of channels in steps of weight: whole numbers, so the engine may add in any order."""
    steps = [(ago, int(step)) for ago, step in enumerate(decay_steps(feature), start=1) if step]
    # What counts nothing stays out: 0 times a negative value is -0.
    near = past.lag <= len(steps)
    weight = past.lag.cases(*steps, else_=0)
    parts: list[ir.Value] = []
    for valued in (False, True):
        names = [name for name in feature.of if name.endswith(".value") == valued]
        amount = past.value * weight.cast("float64") if valued else weight
        if names:
            total = amount.sum(where=near & _is_one_of(past, spec, names))
            parts.append(total.cast("float64").fill_null(0.0))
    return reduce(add, parts)


def _groups(
    past: ir.Table, spec: FeatureSpec, feature: Feature
) -> Iterator[tuple[Sequence[str], ir.BooleanValue]]:
    """What each group of a feature that tells events apart counts: channels, and which bins."""
    near = past.lag <= feature.window
    for _, channels in feature.groups:
        yield channels, near
    if not feature.groups:
        slots = len(spec.clock.slots_hours)
        _, slot = _divmod(past.bin, slots)
        for number in range(slots):
            yield feature.of, near & (slot == number)


def _since(past: ir.Table, spec: FeatureSpec, names: Sequence[str]) -> ir.Value:
    return past.lag.min(where=_is_one_of(past, spec, names))


def _is_one_of(past: ir.Table, spec: FeatureSpec, names: Sequence[str]) -> ir.BooleanValue:
    """Whether an event adds to any of these channels; a value of 0 adds nothing."""
    counts = [spec.channels.index(name) for name in names if not name.endswith(".value")]
    values = [name.removesuffix(".value") for name in names if name.endswith(".value")]
    tests: list[ir.BooleanValue] = []
    if counts:
        tests.append(past.signal.isin(counts))
    if values:
        valued = past.signal.isin([spec.channels.index(name) for name in values])
        tests.append(valued & (past.value != 0.0))
    return reduce(or_, tests)


def _streak(past: ir.Table, spec: FeatureSpec, feature: Feature, position: int) -> ir.Table:
    """Per decision the events in the bins after the last one that ends the streak."""
    near = past.filter(past.lag <= feature.window)
    enders = near.filter(_is_one_of(near, spec, feature.until))
    ended = enders.group_by("row").aggregate(ended=enders.lag.min())
    counted = _left(near.filter(_is_one_of(near, spec, feature.of)), ended)
    still = counted.filter(counted.ended.isnull() | (counted.lag < counted.ended))
    return still.group_by("row").aggregate(**{f"streak_{position}": still.count()})


def _from_past(table: ir.Table, feature: Feature, position: int, width: int) -> list[ir.Value]:
    if feature.kind == "stage":
        return _stage(table, feature, position)
    if feature.kind == "streak":
        return [table[f"streak_{position}"].fill_null(0)]
    if feature.kind == "memory":
        agos = range(1, feature.window + 1)
        return [table[f"ago_{position}_{ago}"].fill_null(0.0) for ago in agos]
    if feature.kind in ("count", "ratio"):
        top = table[f"top_{position}"].fill_null(0.0)
        if feature.kind == "count":
            return [top]
        below = table[f"below_{position}"].fill_null(0.0)
        # Two float32 numbers divided in float64 and rounded once give the float32 quotient.
        quotient = top / ibis.ifelse(below != 0.0, below, 1.0)
        return [ibis.ifelse(below != 0.0, quotient, 0.0)]
    if feature.kind == "trend":
        late, both = (table[f"{name}_{position}"].fill_null(0.0) for name in ("late", "both"))
        return [late - (both - late)]
    if feature.kind == "decayed":
        return [table[f"decayed_{position}"].fill_null(0.0) / float(WEIGHT_GRID)]
    if feature.kind in ("distinct", "affinity"):
        return _told_apart(table, feature, position, width)
    since = table[f"since_{position}"].fill_null(-NEVER)
    if feature.kind == "recency":
        return [ibis.least(since, feature.window)]
    return [since < _SEEN]


def _told_apart(table: ir.Table, feature: Feature, position: int, width: int) -> list[ir.Value]:
    """How many groups happened, or the shrunken share of each."""
    groups = len(feature.groups) or width
    some = [table[f"some_{position}_{place}"].fill_null(0.0) for place in range(groups)]
    if feature.kind == "distinct":
        return [reduce(add, [(one > 0.0).cast("float64") for one in some])]
    below = (reduce(add, some) + float(feature.prior)) * float(groups)
    return [(one * float(groups) + float(feature.prior)) / below for one in some]


def _stage(table: ir.Table, feature: Feature, position: int) -> list[ir.Value]:
    """One-hot of the stage entered last; the later stage of the order wins a tie."""
    lags = [
        table[f"since_{position}_{place}"].fill_null(-NEVER) for place in range(len(feature.stages))
    ]
    latest = ibis.least(*lags, _SEEN)
    current: ir.Value = ibis.literal(-1)
    for place, lag in enumerate(lags):
        current = ibis.ifelse(lag == latest, place, current)
    return [current == place for place in range(len(lags))]


def _calendar(table: ir.Table, clock: Clock, feature: Feature) -> list[ir.Value]:
    if feature.part == "bin":
        return [table.step]
    slots = len(clock.slots_hours)
    period, slot = _divmod(table.step, slots)
    if feature.part == "slot":
        return [slot == number for number in range(slots)]
    start = table.anchor_us + period * round(clock.period_hours * HOUR_US)
    for number, hours in enumerate(clock.slots_hours):
        start = start + ibis.ifelse(slot == number, round(hours * HOUR_US), 0)
    day, _ = _divmod(start, DAY_US)
    _, weekday = _divmod(day + _THURSDAY, _WEEK)
    return [weekday == number for number in range(_WEEK)]


def _bin_of(delta_us: ir.IntegerValue, clock: Clock) -> ir.IntegerValue:
    """`Clock.bin_of` in SQL."""
    whole, rest = _divmod(delta_us, round(clock.period_hours * HOUR_US))
    edges = [round(hours * HOUR_US) for hours in clock.slots_hours]
    begun = reduce(add, [(rest >= edge).cast("int64") for edge in edges])
    return whole * len(edges) + begun - 1


def _divmod(number: ir.IntegerValue, by: int) -> tuple[ir.IntegerValue, ir.IntegerValue]:
    """Floor division and its remainder, in [0, by); SQL alone truncates towards zero."""
    rest = ((number % by) + by) % by
    return ((number - rest) / by).cast("int64"), rest  # exact, even where `/` is a float's


def _left(table: ir.Table, more: ir.Table) -> ir.Table:
    return table.left_join(more, "row").drop("row_right")

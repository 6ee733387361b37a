"""From the tables of a log, wherever they lie, to what the feature query reads."""

from __future__ import annotations

from collections.abc import Callable

import ibis
import ibis.expr.types as ir

from nurture_envs.clock import DAY_US
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey, Signal
from nurture_envs.signals import GRID
from nurture_rl.features.past_aggregates import is_one_of
from nurture_rl.features.query import lasting_signals
from nurture_rl.features.sql_bins import start_us

Micros = Callable[[ir.TimestampValue], ir.IntegerValue]  # microseconds since 1970 of a time


def used_signals(journey: Journey) -> tuple[Signal, ...]:
    """The signals that features read, in the journey's order."""
    read = {
        name.removesuffix(".value")
        for feature in journey.features
        for name in (*feature.of, *feature.over, *feature.until, *(by for _, by in feature.stages))
    }
    return tuple(signal for signal in journey.signals if signal.name in read)


def event_columns(journey: Journey) -> tuple[str, ...]:
    """Columns of the events table that the features of a journey need."""
    used = used_signals(journey)
    pinned = {column for signal in used for column in signal.filters()}
    pinned |= {"value"} if any(signal.valued for signal in used) else set()
    return ("contact_id", "occurred_at", *sorted(pinned | {"type"}))


def read_events(events: ir.Table, journey: Journey) -> ir.Table:
    """The events that features of a journey read."""
    used = [_is(events, signal) for signal in used_signals(journey)]
    return events.filter(ibis.or_(*used) if used else False)


def decision_times(
    decisions: ir.Table, people: ir.Table, shifts: ir.Table, micros: Micros, spec: FeatureSpec
) -> ir.Table:
    """Decisions on their contact's clock.

    Args:
        decisions: decision_id, contact_id, anchor, step and decided_at.
        people: contact_id, contact, zone and attribute_0, ...; see `contact_clocks`.
        shifts: zone, from_us, until_us and offset_us.
        micros: of the engine.
        spec: the declared features.

    Returns:
        What `feature_query` reads of decisions, but for `row`; and decision_id, contact_id,
        decided_local_us, and begin_us, the start of the decision's bin.
    """
    timed = decisions.select(
        "decision_id",
        "contact_id",
        anchor_us=micros(decisions.anchor),
        step=decisions.step.cast("int64"),
        decided_us=micros(decisions.decided_at),
    )
    attributes = [f"attribute_{i}" for i in range(len(spec.attribute_columns))]
    known = people.select("contact_id", "contact", "zone", *attributes)
    local = _shifted(timed.join(known, "contact_id"), shifts, "decided_us")
    return local.select(
        "decision_id",
        "contact_id",
        "contact",
        "anchor_us",
        "step",
        "decided_us",
        *attributes,
        decided_local_us=local.decided_us + local.offset_us,
        begin_us=local.anchor_us + start_us(local.step, spec.clock),
    )


def signal_query(
    events: ir.Table, people: ir.Table, shifts: ir.Table, micros: Micros, journey: Journey
) -> ir.Table:
    """The events that features of these contacts' decisions read, on their contact's clock.

    An event is known once it is both recorded and past; without `recorded_at`, once it is past.
    What no decision of the contact looks back on, or knew yet, is left out.

    Args:
        events: the columns of `event_columns`, and `recorded_at` where the log has it.
        people, shifts, micros: as of `decision_times`.
        journey: whose signals.

    Returns:
        contact, local_us, known_us, signal and value, as `feature_query` reads them.
    """
    cases = [
        (_is(events, signal), journey.signals.index(signal)) for signal in used_signals(journey)
    ]
    signal = ibis.cases(*cases) if cases else ibis.null("int64")
    occurred = micros(events.occurred_at)
    known = occurred
    if "recorded_at" in events.columns:
        known = ibis.greatest(occurred, micros(events.recorded_at))
    value = _grid(events.value) if "value" in events.columns else ibis.literal(0.0)
    told = events.select(
        "contact_id", signal=signal.cast("int64"), occurred_us=occurred, known_us=known, value=value
    )
    known = people.select("contact_id", "contact", "zone", "since_us", "until_us")
    mine = told.filter(told.signal.notnull()).join(known, "contact_id")
    spec = FeatureSpec.of(journey)
    # No zone's clock is a day or more from UTC.
    useful, lasting = mine.occurred_us >= mine.since_us - DAY_US, lasting_signals(spec)
    useful = useful | is_one_of(mine, spec, lasting) if lasting else useful
    mine = mine.filter(useful, mine.known_us <= mine.until_us)
    local = _shifted(mine, shifts, "occurred_us")
    return local.select(
        "contact", "known_us", "signal", "value", local_us=local.occurred_us + local.offset_us
    )


def _is(events: ir.Table, signal: Signal) -> ir.BooleanValue:
    tests = [events[column] == wanted for column, wanted in signal.filters().items()]
    return ibis.and_(*tests)


def _shifted(mine: ir.Table, shifts: ir.Table, at_us: str) -> ir.Table:
    """Rows with the offset of their zone at a moment, the column `at_us`."""
    told = shifts.rename(its_zone="zone")
    inside = [mine.zone == told.its_zone, mine[at_us] >= told.from_us, mine[at_us] < told.until_us]
    return mine.join(told, inside)


def _grid(value: ir.FloatingValue) -> ir.FloatingValue:
    """`nurture_envs.signals.grid`: the nearest multiple of 1 / GRID, ties to even; missing is 0."""
    given = value.cast("float64")
    steps = ibis.ifelse(given.isnull() | given.isnan(), 0.0, given) * float(GRID)
    below = steps.floor().cast("float64")
    rest = steps - below
    odd = (below - 2.0 * (below / 2.0).floor().cast("float64")) != 0.0
    up = (rest > 0.5) | ((rest == 0.5) & odd)
    return ibis.ifelse(up, below + 1.0, below) / float(GRID)

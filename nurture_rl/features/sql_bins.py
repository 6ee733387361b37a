"""A journey's clock in the language of queries: bins, where they begin, and the calendar."""

from __future__ import annotations

from functools import reduce
from operator import add

import ibis
import ibis.expr.types as ir

from nurture_envs.clock import DAY_US, HOUR_US, Clock
from nurture_envs.journey import Feature

_THURSDAY = 3  # 1970-01-01
_WEEK = 7


def bin_of(delta_us: ir.IntegerValue, clock: Clock) -> ir.IntegerValue:
    """`Clock.bin_of`: the bin at a time from the anchor on, microseconds."""
    whole, rest = divided(delta_us, round(clock.period_hours * HOUR_US))
    edges = [round(hours * HOUR_US) for hours in clock.slots_hours]
    begun = reduce(add, [mark(rest >= edge) for edge in edges])
    return whole * len(edges) + begun - 1


def start_us(bins: ir.IntegerValue, clock: Clock) -> ir.IntegerValue:
    """`Clock.start_us`: microseconds from the anchor to the start of a bin."""
    period, slot = divided(bins, len(clock.slots_hours))
    start = period * round(clock.period_hours * HOUR_US)
    for number, hours in enumerate(clock.slots_hours):
        start = start + ibis.ifelse(slot == number, round(hours * HOUR_US), 0)
    return start


def calendar(table: ir.Table, clock: Clock, feature: Feature) -> list[ir.Value]:
    """The columns of a calendar feature.

    Args:
        table: with `anchor_us` and `step`.
        clock: of the journey.
        feature: of kind `calendar`.
    """
    if feature.part == "bin":
        return [table.step]
    slots = len(clock.slots_hours)
    if feature.part == "slot":
        _, slot = divided(table.step, slots)
        return [mark(slot == number) for number in range(slots)]
    day, _ = divided(table.anchor_us + start_us(table.step, clock), DAY_US)
    _, weekday = divided(day + _THURSDAY, _WEEK)
    return [mark(weekday == number) for number in range(_WEEK)]


def mark(holds: ir.BooleanValue) -> ir.IntegerValue:
    """1 where something holds, else 0; not every engine casts truths."""
    return ibis.ifelse(holds, 1, 0)


def divided(number: ir.IntegerValue, by: int) -> tuple[ir.IntegerValue, ir.IntegerValue]:
    """Floor division and its remainder, in [0, by); SQL alone truncates towards zero."""
    rest = ((number % by) + by) % by
    return ((number - rest) / by).cast("int64"), rest  # exact, even where `/` is a float's

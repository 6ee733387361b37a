"""Signals of a contact that came one after the other, as events of their own: a path."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, pairwise

import pyarrow as pa

from nurture_envs.clock import HOUR_US
from nurture_envs.derived_rules import PathEvents
from nurture_envs.journey import Journey
from nurture_rl.logs.derived_rows import SignalRow, derived_event, signal_rows
from nurture_rl.logs.schema import EVENTS


def path_events(events: pa.Table, rule: PathEvents, journey: Journey) -> pa.Table:
    """An event each time that the steps of a path were gone, at the last of them known.

    The steps are taken in the order in which the log knew of them, and other signals may lie in
    between. Then the path begins anew, as it does with a signal of `until`. Of a path of first
    steps only the first signal of each step counts, until a signal of `until`.

    Args:
        events: rows of the events table, all of each contact, in any order.
        rule: the path.
        journey: whose signals.

    Returns:
        Rows of the events table; their value is the days from the first step to the last.
    """
    distinct = tuple(dict.fromkeys(rule.steps))
    rows = signal_rows(events, (*((step,) for step in distinct), rule.until), journey)
    gone = _first_gone if rule.first else _gone
    made = []
    for _, own in groupby(rows, key=lambda row: row.contact):
        for row, began in gone(own, rule, distinct):
            days = max(row.at - began, 0) / HOUR_US / 24.0
            reason = f"{', then '.join(rule.steps)} within {days:.1f} days"
            made.append(derived_event(rule.type, row, round(days, 6), reason))
    return pa.Table.from_pylist(made, schema=EVENTS)


def _gone(
    rows: Iterable[SignalRow], rule: PathEvents, distinct: tuple[str, ...]
) -> Iterator[tuple[SignalRow, int]]:
    """The rows that complete the path, and when its first step was."""
    span, steps = round(rule.hours * HOUR_US), [distinct.index(step) for step in rule.steps]
    began: list[int | None] = [None] * len(steps)  # the latest begin of a path of so many steps
    for row in rows:
        if row.role == len(distinct):
            began = [None] * len(steps)
            continue
        for place in reversed(range(len(steps))):  # a row is one step of a path, not two
            if steps[place] != row.role:
                continue
            start = row.at if place == 0 else began[place - 1]
            if start is None or abs(row.at - start) > span:
                continue
            if place == len(steps) - 1:
                yield row, start
                began = [None] * len(steps)
                break
            began[place] = start


def _first_gone(
    rows: Iterable[SignalRow], rule: PathEvents, distinct: tuple[str, ...]
) -> Iterator[tuple[SignalRow, int]]:
    """The same where only the first signal of each step counts; what came at once has no order."""
    span, last = round(rule.hours * HOUR_US), len(distinct) - 1
    first: dict[int, SignalRow] = {}
    for row in rows:
        if row.role > last:
            first.clear()
        elif row.role not in first:
            first[row.role] = row
            steps, times = list(first.values()), [one.at for one in first.values()]
            ordered = list(first) == list(range(last + 1)) and _apart(steps)
            if ordered and max(times) - min(times) <= span:
                yield row, first[0].at


def _apart(rows: Sequence[SignalRow]) -> bool:
    return all((one.known, one.at) < (other.known, other.at) for one, other in pairwise(rows))

"""From events to a journey's vocabulary: which signal an event is, and what it adds to channels.

Every engine (warehouse, server, simulator) goes through these functions, so that a value is
rounded once, the same way everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nurture_envs.errors import ShapeError
from nurture_envs.journey import Journey, Signal
from nurture_envs.once import once

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
Column = Sequence[Any] | NDArray[Any]

NO_SIGNAL = -1
GRID = 1024  # steps per unit of value


@dataclass(frozen=True, slots=True)
class EventColumns:
    """The columns of the events table that a signal may pin; each [m], None where unknown."""

    type: Column
    topic: Column
    page_category: Column
    reply_class: Column
    stage: Column
    is_machine: Column  # bool


@dataclass(frozen=True, slots=True)
class ChannelRows:
    """What events add to channels: one row per count, and one per value of a valued signal."""

    event: IntArray  # position of the event, [k]
    channel: IntArray  # position in `journey.channels`, [k]
    amount: FloatArray  # 1 for a count, the value on its grid for a value, [k]


def classify(events: EventColumns, signals: Sequence[Signal]) -> IntArray:
    """The signal each event is.

    Args:
        events: m events.
        signals: the journey's signals; they never overlap, so at most one fits.

    Returns:
        Positions in `signals`, [m]; NO_SIGNAL where none fits.

    Raises:
        ShapeError: the columns are not equally long.
    """
    lengths = {name: len(getattr(events, name)) for name in EventColumns.__slots__}
    if len(set(lengths.values())) != 1:
        raise ShapeError(f"event columns must be equally long, got {lengths}")
    positions = np.full(lengths["type"], NO_SIGNAL, np.int64)
    rows_of: dict[str, list[int]] = {}
    for row, kind in enumerate(_plain(events.type)):
        rows_of.setdefault(kind, []).append(row)
    for position, signal in enumerate(signals):
        if signal.type not in rows_of:
            continue
        rows = rows_of[signal.type]
        for name, wanted in signal.filters().items():
            if name != "type" and rows:
                column = getattr(events, name)
                rows = [row for row in rows if column[row] == wanted]
        if rows:
            positions[rows] = position
    return positions


def grid(value: ArrayLike) -> FloatArray:
    """Values rounded to the nearest 1/GRID, ties to even; a missing value (NaN) adds 0.

    Sums of such numbers are exact, whatever their order, while they stay below 2**14 in float32
    (the width of the feature state) and below 2**43 in float64.
    """
    exact = np.asarray(value, np.float64)
    return np.asarray(np.rint(np.where(np.isnan(exact), 0.0, exact) * GRID) / GRID)


def channel_rows(signal: IntArray, value: ArrayLike, journey: Journey) -> ChannelRows:
    """Turn classified events into (event, channel, amount) rows.

    Args:
        signal: what `classify` said, [m]; events that are no signal are left out.
        value: the events' `value`, [m], NaN where there is none.
        journey: whose channels.

    Returns:
        First every count in event order, then every value that is not 0 in event order.

    Raises:
        ShapeError: `signal` and `value` are not [m].
    """
    signal, values = np.asarray(signal, np.int64), grid(value)
    if signal.ndim != 1 or signal.shape != values.shape:
        raise ShapeError(
            f"signal and value must both be [m], got {signal.shape} and {values.shape}"
        )
    counted = np.flatnonzero(signal != NO_SIGNAL)
    of_value = _value_channels(journey)[signal]
    valued = np.flatnonzero((signal != NO_SIGNAL) & (of_value != NO_SIGNAL) & (values != 0.0))
    return ChannelRows(
        event=np.concatenate([counted, valued]),
        channel=np.concatenate([signal[counted], of_value[valued]]),
        amount=np.concatenate([np.ones(len(counted)), values[valued]]),
    )


@once
def _value_channels(journey: Journey) -> IntArray:
    """The value channel of each signal, [signals], NO_SIGNAL where it has none."""
    places = {channel: position for position, channel in enumerate(journey.channels)}
    wanted = [places.get(f"{signal.name}.value", NO_SIGNAL) for signal in journey.signals]
    return np.array(wanted, np.int64)


def _plain(column: Column) -> Sequence[Any]:
    return column.tolist() if isinstance(column, np.ndarray) else column

"""Where a log ends: not at a lone time stamp far after everything else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nurture_envs.clock import DAY_US
from nurture_envs.journey import Journey

IntArray = NDArray[np.int64]

SILENCE_DAYS = 90  # without a decision or an event: what comes after such a gap is a wrong clock
HORIZONS = 3  # or this many horizons, where they are longer


@dataclass(frozen=True, slots=True)
class Strays:
    """Events whose time is not the log's."""

    rows: IntArray  # which, ascending, [strays]
    reasons: pa.Array  # against each, [strays] strings
    end_us: int  # UTC microseconds of the log's last moment, as of which their keys are known


def find_strays(
    known: IntArray, decisions: pa.Table, journey: Journey | None, now_us: int | None
) -> Strays:
    """Find events with a time stamp far after the end of the log.

    An event is stray if it comes after the last decision and after a gap without any event that is
    longer than `SILENCE_DAYS` (or `HORIZONS` horizons of the journey). Where all decisions lie
    before the reading, an event more than a day after the reading is stray too. The keys that a
    stray event links still count, as if known at the end of the log: only its time is wrong.

    Args:
        known: when each checked event was recorded, UTC microseconds, [n].
        decisions: checked decisions.
        journey: whose log it is; None for a horizon that is not known.
        now_us: UTC instant of the reading, microseconds; None where the log keeps its own time.
    """
    decided = _supporting(decisions, journey)
    if not known.size:
        return Strays(np.zeros(0, np.int64), pa.array([], pa.string()), 0)
    start = int(decided.max()) if decided.size else int(np.median(known))
    end = limit = last = _end(known, start, _silence_us(journey))
    told = late = f"stray time: the log's other records end at {_told(end)} UTC"
    if now_us is not None and start <= now_us:
        limit, last = min(end, now_us + DAY_US), min(end, now_us)
        late = f"stray time: it lies after the reading at {_told(now_us)} UTC"
    rows = np.flatnonzero(known > limit)
    after = pa.array(known[rows] > end)
    return Strays(rows, pc.if_else(after, pa.scalar(told), pa.scalar(late)), last)


def lone_end(events: pa.Table, decisions: pa.Table, journey: Journey) -> str | None:
    """What to say of a log whose end rests on one record, long after the one before it."""
    known = np.sort(
        np.concatenate(
            [
                _microseconds(events, "occurred_at", "recorded_at"),
                _microseconds(decisions, "decided_at"),
            ]
        )
    )
    long = int(journey.clock.start_us(np.array(journey.clock.horizon))) // 4
    if known.size < 2 or known[-1] - known[-2] <= long:
        return None
    return (
        f"the log is taken to be complete up to {_told(int(known[-1]))} UTC on the word of one "
        f"record; the one before it is of {_told(int(known[-2]))}: data.complete_until can say"
    )


def _supporting(decisions: pa.Table, journey: Journey | None) -> IntArray:
    """When each decision was made; a stamp after its episode's end counts as that end."""
    decided = _microseconds(decisions, "decided_at")
    if journey is None:
        return decided
    horizon = int(journey.clock.start_us(np.array(journey.clock.horizon)))
    over = _microseconds(decisions, "anchor") + horizon + DAY_US  # a day for zones
    return np.minimum(decided, over)


def _end(known: IntArray, start: int, silence_us: int) -> int:
    """The last time that no longer silence parts from `start`."""
    later = np.sort(known[known > start])
    steps = np.diff(later, prepend=start)
    gaps = np.flatnonzero(steps > silence_us)
    if not gaps.size:
        return int(max(start, later[-1])) if later.size else start
    return start if gaps[0] == 0 else int(later[gaps[0] - 1])


def _silence_us(journey: Journey | None) -> int:
    least = SILENCE_DAYS * DAY_US
    if journey is None:
        return least
    bins = np.array(journey.clock.horizon + max(journey.delays))
    return max(least, HORIZONS * int(journey.clock.start_us(bins)))


def _microseconds(table: pa.Table, *names: str) -> IntArray:
    """The latest of some columns of times, [n]."""
    columns = [np.asarray(table[name].cast(pa.int64()), np.int64) for name in names]
    return np.asarray(np.maximum.reduce(columns))


def _told(instant_us: int) -> str:
    return str(np.datetime64(instant_us, "us").astype("datetime64[m]")).replace("T", " ")

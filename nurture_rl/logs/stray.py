"""Where a log ends: not at a lone time stamp far after everything else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nurture_envs.clock import DAY_US
from nurture_envs.journey import Journey
from nurture_rl.logs.quarantine import reason_where, sift
from nurture_rl.logs.readers import RawTable
from nurture_rl.logs.schema import QUARANTINE, UTC_TIME, TableKind

IntArray = NDArray[np.int64]

SILENCE_DAYS = 90  # without a decision or an event: what comes after such a gap is a wrong clock
HORIZONS = 3  # or this many horizons, where they are longer


@dataclass(frozen=True, slots=True)
class Sifted:
    """Events of the log's time, and those of none."""

    events: RawTable
    strays: pa.Table  # for the keys they link, as if of the log's last moment


def sift_strays(
    events: pa.Table, decisions: pa.Table, journey: Journey | None, now_us: int | None
) -> Sifted:
    """Set aside events with a time stamp far after the end of the log.

    An event is stray if it comes after the last decision and after a gap without any event that is
    longer than `SILENCE_DAYS` (or `HORIZONS` horizons of the journey). Where all decisions lie
    before the reading, an event more than a day after the reading is stray too. The keys that a
    stray event links still count, as if known at the end of the log: only its time is wrong.

    Args:
        events: checked events.
        decisions: checked decisions.
        journey: whose log it is; None for a horizon that is not known.
        now_us: UTC instant of the reading, microseconds; None where the log keeps its own time.
    """
    known = _microseconds(events, "occurred_at", "recorded_at")
    decided = _supporting(decisions, journey)
    if not known.size:
        return Sifted(RawTable(events, QUARANTINE.empty_table()), events)
    start = int(decided.max()) if decided.size else int(np.median(known))
    end = _end(known, start, _silence_us(journey))
    reasons = reason_where(
        pa.array(known > end), f"stray time: the log's other records end at {_told(end)} UTC"
    )
    if now_us is not None and start <= now_us:
        future = (known > now_us + DAY_US) & (known <= end)
        late = reason_where(
            pa.array(future), f"stray time: it lies after the reading at {_told(now_us)} UTC"
        )
        reasons = pc.coalesce(reasons, late)
        end = min(end, now_us)
    strays = events.filter(reasons.is_valid())
    seen = pa.array(np.full(len(strays), end)).cast(UTC_TIME)
    for name in ("occurred_at", "recorded_at"):
        strays = strays.set_column(strays.schema.get_field_index(name), name, seen)
    return Sifted(RawTable(*sift(events, TableKind.EVENTS, reasons)), strays)


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

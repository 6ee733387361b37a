"""Bins of the contact's local wall clock, and the way from UTC to that clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from nurture_envs.errors import ShapeError, TimeZoneError

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
_QUARTER_US = HOUR_US // 4  # every zone in use shifts on a quarter hour
_QUARTER = timedelta(microseconds=_QUARTER_US)
_FEW = 512  # rows
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_THURSDAY = 3  # 1970-01-01


@dataclass(frozen=True, slots=True)
class Clock:
    """When a journey decides: bin edges repeated every period, counted from an episode's anchor.

    Bin b begins at `anchor + (b // n_slots) * period + slots[b % n_slots]`; negative bins are
    history before entry.
    """

    period_hours: float  # hours, > 0
    slots_hours: tuple[float, ...]  # hours after the start of a period, increasing, first >= 0
    periods: int  # periods of one episode, >= 1

    @property
    def horizon(self) -> int:
        """Decisions of an episode that nothing ends early."""
        return self.periods * len(self.slots_hours)

    def bin_of(self, local_us: IntArray, anchor_us: IntArray) -> IntArray:
        """The bin each local time falls into.

        Args:
            local_us: local wall time, [n], microseconds since 1970.
            anchor_us: the episode's anchor on the same clock, [n] or scalar.

        Returns:
            Bin numbers, [n]; negative before the first bin.
        """
        period = round(self.period_hours * HOUR_US)
        delta = np.asarray(local_us, np.int64) - np.asarray(anchor_us, np.int64)
        if self.slots_hours == (0.0,):  # a bin is a period
            return np.asarray(delta // period, np.int64)
        whole, rest = np.divmod(delta, period)
        edges = np.array([round(slot * HOUR_US) for slot in self.slots_hours], np.int64)
        slot = np.searchsorted(edges, rest, side="right") - 1
        return np.asarray(whole * len(edges) + slot, np.int64)

    def start_us(self, bins: Any) -> Any:
        """Microseconds from the anchor to the start of each bin; numpy or torch integers, [n]."""
        n_slots = len(self.slots_hours)
        start = (bins // n_slots) * round(self.period_hours * HOUR_US)
        if n_slots == 1:
            return start + round(self.slots_hours[0] * HOUR_US)
        slot = bins % n_slots
        for index, hours in enumerate(self.slots_hours):
            start = start + (slot == index) * round(hours * HOUR_US)
        return start


def weekday_of(local_us: Any) -> Any:
    """Day of the week of local times, Monday = 0; numpy or torch integers, [n]."""
    return (local_us // DAY_US + _THURSDAY) % 7


_OF_MACHINE = frozenset({"localtime", "posixrules"})  # files beside the zones, and no zones


@lru_cache(maxsize=512)
def require_zone(name: str) -> ZoneInfo:
    """The IANA time zone of that name.

    Raises:
        TimeZoneError: no such zone, or one that is another on another machine.
    """
    try:
        if name in _OF_MACHINE:
            raise ValueError(f"{name} is whatever a machine is set to")
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # a folder of zones is OSError
        raise TimeZoneError(
            f"expected an IANA time zone such as 'Europe/Berlin', got {name!r}; "
            "leave it empty when it is not known"
        ) from error


def local_microseconds(utc_us: IntArray, zones: NDArray[np.str_]) -> IntArray:
    """Local wall time of UTC instants.

    Args:
        utc_us: instants, [n], microseconds since 1970 UTC.
        zones: IANA zone names, [n].

    Returns:
        Wall-clock microseconds, [n]; daylight saving included.

    Raises:
        TimeZoneError: a zone name is unknown.
    """
    return _shift(utc_us, zones, _offset_at_utc, sign=1)


def utc_microseconds(local_us: IntArray, zones: NDArray[np.str_]) -> IntArray:
    """UTC instants of local wall times, [n]; the first of two when clocks go back."""
    return _shift(local_us, zones, _offset_at_local, sign=-1)


def set_forward_hours(
    now_us: IntArray, local_us: IntArray, zones: NDArray[np.str_]
) -> FloatArray | None:
    """Hours by which clocks are set forward between now and each whole hour of today.

    Args:
        now_us: instants, [n], microseconds since 1970 UTC.
        local_us: the same on the local wall clock, [n].
        zones: IANA zone names, [n].

    Returns:
        [n, 24], negative where clocks go back; None where none of them is set today.

    Raises:
        TimeZoneError: a zone name is unknown.
    """
    midnight = np.asarray(local_us) - np.asarray(local_us) % DAY_US
    ends = [utc_microseconds(midnight + days * DAY_US, zones) for days in (0, 1)]
    if (ends[1] - ends[0] == DAY_US).all():
        return None
    hours = midnight[:, None] + np.arange(24) * HOUR_US
    then = utc_microseconds(hours.ravel(), np.repeat(zones, 24)).reshape(-1, 24)
    passed = then - np.asarray(now_us)[:, None]
    return np.asarray((hours - np.asarray(local_us)[:, None] - passed) / HOUR_US)


def _shift(times: IntArray, zones: NDArray[np.str_], offset: Any, sign: int) -> IntArray:
    times = np.asarray(times, np.int64)
    zones = np.asarray(zones)
    if times.shape != zones.shape or times.ndim != 1:
        raise ShapeError(f"times and zones must both be [n], got {times.shape} and {zones.shape}")
    if not len(times):
        return times
    quarters = times // _QUARTER_US
    if len(times) <= _FEW:  # asking for each is faster than finding those that are alike
        pairs = zip(quarters.tolist(), map(str, zones.tolist()), strict=True)
        return times + sign * np.array([offset(*pair) for pair in pairs], np.int64)
    result = times.copy()
    for name in zones[:1] if (zones == zones[0]).all() else np.unique(zones):
        rows = np.flatnonzero(zones == name)
        different, inverse = np.unique(quarters[rows], return_inverse=True)
        offsets = np.array([offset(q, str(name)) for q in different.tolist()], np.int64)
        result[rows] += sign * offsets[inverse]
    return result


@lru_cache(maxsize=4096)
def _offset_at_utc(quarter: int, zone: str) -> int:
    utc = _EPOCH + quarter * _QUARTER
    return _microseconds(utc.astimezone(require_zone(zone)).utcoffset())


@lru_cache(maxsize=4096)
def _offset_at_local(quarter: int, zone: str) -> int:
    wall = (_EPOCH + quarter * _QUARTER).replace(tzinfo=require_zone(zone))
    return _microseconds(wall.utcoffset())


def _microseconds(offset: timedelta | None) -> int:
    return int((offset or timedelta()).total_seconds()) * 1_000_000

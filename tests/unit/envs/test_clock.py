"""Bins of local time, and local time of instants, weekdays and changes of clocks included."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nurture_envs.clock import (
    HOUR_US,
    Clock,
    local_microseconds,
    require_zone,
    utc_microseconds,
    weekday_of,
)
from nurture_envs.errors import ShapeError, TimeZoneError

DAILY = Clock(24.0, (0.0,), 14)
UNEVEN = Clock(24.0, (5.0, 11.0, 14.0, 16.5, 19.0), 63)
ODD = Clock(36.5, (0.0, 7.25), 3)
CLOCKS = (DAILY, UNEVEN, ODD)
EPOCH = datetime(1970, 1, 1)


def wall(text: str) -> int:
    """Microseconds of a wall time that carries no zone."""
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)


def local(utc: str, zone: str) -> str:
    found = local_microseconds(np.array([wall(utc)]), np.array([zone]))
    return str(EPOCH + timedelta(microseconds=int(found[0])))


def bins(clock: Clock, hours: list[float], anchor_hours: float = 0.0) -> list[int]:
    times = np.array([round(h * HOUR_US) for h in hours])
    found: list[int] = clock.bin_of(times, np.array(round(anchor_hours * HOUR_US))).tolist()
    return found


def test_a_bin_begins_at_its_edge_and_ends_just_before_the_next() -> None:
    edge = 24 * HOUR_US
    times = np.array([0, edge - 1, edge, 2 * edge - 1, 2 * edge])
    assert DAILY.bin_of(times, np.array(0)).tolist() == [0, 0, 1, 1, 2]


def test_bins_before_the_anchor_are_negative_and_count_on() -> None:
    assert bins(DAILY, [-0.5, -24, -24.5, -48], 0) == [-1, -1, -2, -2]
    assert bins(DAILY, [9.0], anchor_hours=10.0) == [-1]


def test_uneven_slots_of_a_day_are_bins_and_the_small_hours_belong_to_the_evening_before() -> None:
    # 4.75 h lies before the first slot: still the last bin of the day before
    hours = [4.75, 5, 10.99, 11, 14, 16.49, 16.5, 19, 23.9, 24 + 4.9, 24 + 5]
    assert bins(UNEVEN, hours) == [-1, 0, 0, 1, 2, 2, 3, 4, 4, 4, 5]


def test_the_horizon_is_periods_times_slots() -> None:
    assert (DAILY.horizon, UNEVEN.horizon, ODD.horizon) == (14, 315, 6)


def test_starts_of_bins_are_the_declared_hours() -> None:
    starts = UNEVEN.start_us(np.array([-1, 0, 3, 5])) / HOUR_US
    assert starts.tolist() == [-5.0, 5.0, 16.5, 29.0]
    assert (ODD.start_us(np.array([0, 1, 2, 3])) / HOUR_US).tolist() == [0.0, 7.25, 36.5, 43.75]
    late = Clock(24.0, (8.5,), 2)
    assert (late.start_us(np.array([0, 1])) / HOUR_US).tolist() == [8.5, 32.5]


@given(st.sampled_from(CLOCKS), st.integers(-2000, 2000), st.integers(-(10**15), 10**15))
def test_the_bin_of_a_bins_start_is_the_bin_and_a_moment_before_is_the_one_before(
    clock: Clock, bin_: int, anchor: int
) -> None:
    start = anchor + np.asarray(clock.start_us(np.array([bin_])))
    assert clock.bin_of(start, np.array(anchor)).tolist() == [bin_]
    assert clock.bin_of(start - 1, np.array(anchor)).tolist() == [bin_ - 1]


@pytest.mark.parametrize("clock", CLOCKS)
def test_starts_are_the_same_in_numpy_and_torch(clock: Clock) -> None:
    wanted = np.arange(-12, 12)
    starts = clock.start_us(torch.as_tensor(wanted))
    assert starts.dtype == torch.int64
    np.testing.assert_array_equal(starts.numpy(), clock.start_us(wanted))


@pytest.mark.parametrize(
    "utc, zone, expected",
    [
        ("2026-03-29 00:59:59.999999", "Europe/Berlin", "2026-03-29 01:59:59.999999"),
        ("2026-03-29 01:00", "Europe/Berlin", "2026-03-29 03:00:00"),  # 02:xx does not exist
        ("2026-10-25 00:30", "Europe/Berlin", "2026-10-25 02:30:00"),  # summer time
        ("2026-10-25 01:30", "Europe/Berlin", "2026-10-25 02:30:00"),  # an hour later, winter time
        ("2026-03-08 06:59", "America/New_York", "2026-03-08 01:59:00"),
        ("2026-03-08 07:00", "America/New_York", "2026-03-08 03:00:00"),
        ("2026-04-04 14:59", "Australia/Lord_Howe", "2026-04-05 01:59:00"),
        ("2026-04-04 15:00", "Australia/Lord_Howe", "2026-04-05 01:30:00"),  # back by half an hour
        ("2026-06-01 00:00", "Asia/Kathmandu", "2026-06-01 05:45:00"),
    ],
)
def test_local_time_follows_the_zone_through_both_changes_of_clocks(
    utc: str, zone: str, expected: str
) -> None:
    assert local(utc, zone) == expected


@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2037, 12, 31)),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]),
)
def test_local_time_is_what_the_standard_library_says(moment: datetime, zone: str) -> None:
    expected = moment.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    assert local(moment.isoformat(), zone) == str(expected)


def test_every_row_has_its_own_zone() -> None:
    noon = np.full(3, wall("2026-07-01 12:00"))
    zones = np.array(["Europe/Berlin", "America/New_York", "Europe/Berlin"])
    hours = (local_microseconds(noon, zones) - noon) / HOUR_US
    assert hours.tolist() == [2.0, -4.0, 2.0]


def test_of_two_equal_wall_times_the_first_is_meant_and_a_missing_one_is_moved_on() -> None:
    times = np.array([wall("2026-10-25 02:30"), wall("2026-03-29 02:30")])
    found = utc_microseconds(times, np.full(2, "Europe/Berlin"))
    assert found.tolist() == [wall("2026-10-25 00:30"), wall("2026-03-29 01:30")]


@pytest.mark.parametrize(
    "name", ["Mars/Base", "", "Europe", "localtime", "../etc/passwd", "A" * 300]
)
def test_an_unknown_zone_is_refused_by_name(name: str) -> None:
    with pytest.raises(TimeZoneError, match=r"expected an IANA time zone .* got '.*leave it empty"):
        require_zone(name)


def test_an_unknown_zone_among_known_ones_is_refused() -> None:
    zones = np.array(["Europe/Berlin", "Europe/Berlyn"])
    with pytest.raises(TimeZoneError, match="'Europe/Berlyn'"):
        local_microseconds(np.zeros(2, np.int64), zones)


def test_times_and_zones_must_be_equally_long() -> None:
    with pytest.raises(ShapeError, match=r"got \(2,\) and \(1,\)"):
        local_microseconds(np.zeros(2, np.int64), np.array(["UTC"]))


@given(st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)))
def test_weekdays_are_those_of_the_calendar(moment: datetime) -> None:
    micros = (moment - EPOCH) // timedelta(microseconds=1)
    assert weekday_of(np.array([micros])).tolist() == [moment.weekday()]
    assert weekday_of(torch.tensor([micros])).tolist() == [moment.weekday()]


def test_many_rows_at_once_are_as_each_alone() -> None:
    names = ("Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu", "America/New_York", "UTC")
    rng = np.random.default_rng(0)
    times = rng.integers(wall("2026-01-01"), wall("2027-01-01"), 2_000)
    zones = np.array(names)[rng.integers(0, len(names), len(times))]
    for shifted in (local_microseconds, utc_microseconds):
        alone = [shifted(times[i : i + 1], zones[i : i + 1])[0] for i in range(len(times))]
        assert shifted(times, zones).tolist() == alone

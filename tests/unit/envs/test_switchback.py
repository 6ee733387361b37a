"""Arms by time: which block a moment lies in, which arm it has, and what a file says of it."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pytest

from nurture_envs.clock import HOUR_US
from nurture_envs.errors import JourneyError
from nurture_envs.journey_experiment import least_rounds
from nurture_envs.switchback import Switchback, block_arm
from tests.unit.envs.toy_journey import toy

AUTUMN: dict[str, Any] = {
    "name": "autumn",
    "unit": "time",
    "shares": {"policy": 0.5, "usual": 0.5},
    "first_day": "2027-03-01",
    "zone": "Europe/Berlin",
    "blocks": 12,
}
ZONES = ("Europe/Berlin", "America/Havana", "Africa/Cairo", "America/Asuncion", "Asia/Kolkata")


def _utc(year: int, month: int, day: int, hour: int) -> int:
    return int(datetime(year, month, day, hour, tzinfo=UTC).timestamp()) * 1_000_000


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("days", [1, 7])
def test_a_block_begins_with_its_first_moment_whatever_clocks_do(zone: str, days: int) -> None:
    """Also where midnight is left out, or comes twice, as in Cairo, Havana and Asuncion."""
    one = Switchback(date(2023, 1, 1), zone, days, 0, 12)
    for block in range(-3, 400 // days):
        begins = one.begins_us(block)
        assert (one.block_at(begins), one.block_at(begins - 1)) == (block, block - 1)


def test_a_week_has_an_hour_less_when_clocks_are_set_forward() -> None:
    one = Switchback(date(2027, 3, 22), "Europe/Berlin", 7, 1, 12)
    assert one.begins_us(0) == _utc(2027, 3, 21, 23)
    assert one.begins_us(1) == _utc(2027, 3, 28, 22)
    assert one.begins_us(1) - one.begins_us(0) == (7 * 24 - 1) * HOUR_US


def test_each_round_has_each_arm_once_in_an_order_that_chance_draws() -> None:
    for arms in (("policy", "usual"), ("policy", "usual", "holdout")):
        k, orders, last = len(arms), Counter[tuple[str, ...]](), list[tuple[str, ...]]()
        for turn in range(-600, 600):
            order = tuple(block_arm("s", arms, turn * k + place) for place in range(k))
            assert sorted(order) == sorted(arms)
            orders[order] += 1
            last.append(order)
        expected = 1200 / len(orders)
        assert len(orders) == {2: 2, 3: 6}[k]
        # five standard deviations
        assert all(abs(n - expected) < 5 * expected**0.5 for n in orders.values())
        same = np.mean([a == b for a, b in zip(last[1:], last[:-1], strict=True)])
        assert abs(same - 1 / len(orders)) < 0.06  # rounds know nothing of each other


def test_the_order_is_that_of_a_table_that_never_changes() -> None:
    """Whoever replays an experiment of an earlier release finds its arms; names' order is none."""
    arms = [block_arm("autumn-2027", ("policy", "usual"), block) for block in range(12)]
    assert arms == [block_arm("autumn-2027", ("usual", "policy"), block) for block in range(12)]
    assert "".join(arm[0] for arm in arms) == "pupuuppuupup"
    assert arms != [block_arm("autumn-2028", ("policy", "usual"), block) for block in range(12)]


def test_a_journey_file_deals_time_by_week_with_a_day_of_washout() -> None:
    found = toy(experiment=AUTUMN).experiment
    assert found is not None
    assert found.switchback == Switchback(date(2027, 3, 1), "Europe/Berlin", 7, 1, 12)
    assert (found.unit, found.goals.units, found.goals.velocity) == ("time", 12, None)
    whole = toy(experiment={**AUTUMN, "block_days": 14, "washout_days": 0}).experiment
    assert whole is not None
    assert whole.switchback == Switchback(date(2027, 3, 1), "Europe/Berlin", 14, 0, 12)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"shares": {"policy": 0.6, "usual": 0.4}}, "experiment.shares: expected equal ones"),
        ({"units": 400}, "experiment.units: expected `blocks` in its place"),
        ({"velocity": {"signal": "clicked", "days": 28}}, "experiment.velocity: expected none"),
        ({"blocks": 13}, "experiment.blocks: expected a multiple of the 2 arms, got 13"),
        ({"blocks": 10}, "experiment.blocks: expected 12 or more"),
        ({"blocks": None}, "experiment.blocks: expected a whole number"),
        ({"washout_days": 7}, "experiment.washout_days: expected fewer days than a block has, 7"),
        ({"zone": "Mars"}, "experiment.zone: expected an IANA time zone"),
        ({"zone": "localtime"}, "experiment.zone: expected an IANA time zone"),
        ({"salt": ""}, "experiment.salt: expected text, got ''"),
        ({"first_day": "9999-12-31"}, "experiment.first_day: expected a day from 1970 to 2999"),
        ({"zone": None}, "experiment.zone: expected text, it is missing"),
        ({"first_day": "soon"}, "experiment.first_day: expected a day"),
        ({"first_day": None}, "experiment.first_day: expected the day with which the first block"),
        ({"unit": "contact", "units": 400}, "experiment.blocks: no such key"),
    ],
)
def test_what_cannot_be_compared_is_refused_by_its_key(change: dict[str, Any], told: str) -> None:
    with pytest.raises(JourneyError, match=told):
        toy(experiment={**AUTUMN, **change})


def test_the_least_rounds_are_those_of_a_sign_test() -> None:
    """With five pairs that all agree, chance alone does so in one of sixteen."""
    assert [least_rounds(level) for level in (0.5, 0.9, 0.95, 0.99)] == [2, 5, 6, 8]

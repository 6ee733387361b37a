"""Recording delays are recovered from a log that has not seen everything yet."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from experiments.common.played import LONG_AGO
from nurture_rl.errors import FitError, ShapeError
from nurture_rl.simulator.data import WorldData
from nurture_rl.simulator.delays import (
    RecordingDelays,
    declared,
    estimate_delays,
    observed,
    reverse_product_limit,
)
from tests.unit.envs.toy_journey import toy
from tests.unit.simulator.lamp_shop import SEND, lamp_log, lamp_shop

IntArray = NDArray[np.int64]
JOURNEY = lamp_shop()
BOUGHT, PAID, SENT = (JOURNEY.channel_index(name) for name in ("bought", "bought.value", "sent"))
CHANCE, STAY = 0.15, 0.7  # of a purchase; of a record to wait one more bin


def log_read_early(n: int, seed: int) -> WorldData:
    """Purchases at a constant hazard, recorded with geometric delay, in bins aged 0 to 7."""
    rng = np.random.default_rng(seed)
    data = lamp_log(n // 6, seed)
    rows = len(data.action)
    bought = rng.random(rows) < CHANCE
    amounts = data.amounts.copy()
    amounts[:, BOUGHT], amounts[:, PAID] = bought, 5.0 * bought
    delay = np.where(amounts != 0.0, 0, -1)
    late = rng.geometric(1.0 - STAY, rows) - 1
    for channel in (BOUGHT, PAID):
        delay[:, channel] = np.where(bought, late, -1)
    age = rng.integers(0, 8, rows)
    return replace(data, amounts=amounts, event_delay=delay, age=age, matured=age >= 1)


def geometric(days: int) -> NDArray[np.float64]:
    """Chance of each delay up to `days`, given that it is no longer."""
    chance = STAY ** np.arange(days + 1)
    return np.asarray(chance / chance.sum())


def test_the_estimate_matches_hand_calculation() -> None:
    # Events (delay, age): (0, 0), (0, 1), (1, 1), (0, 2), (2, 2).
    # j = 2: one of (0, 2), (2, 2) took exactly 2. j = 1: of (0, 1), (1, 1), (0, 2) one took 1.
    # F(2) = 1, F(1) = 1 - 1/2, F(0) = F(1) (1 - 1/3) = 1/3.
    delay, age = np.array([0, 0, 1, 0, 2]), np.array([0, 1, 1, 2, 2])
    chance = reverse_product_limit(delay, age, fewest_at_risk=1)
    np.testing.assert_allclose(chance, [1 / 3, 1 / 6, 1 / 2])


def test_without_truncation_it_is_the_histogram() -> None:
    delay = np.random.default_rng(0).integers(0, 4, 200)
    chance = reverse_product_limit(delay, np.full(200, 10))
    np.testing.assert_allclose(chance, np.bincount(delay) / 200)


def test_a_geometric_delay_is_recovered_where_the_histogram_is_not() -> None:
    rng = np.random.default_rng(1)
    delay, age = rng.geometric(1.0 - STAY, 40_000) - 1, rng.integers(0, 9, 40_000)
    seen = delay <= age
    chance = reverse_product_limit(delay[seen], age[seen])
    assert np.abs(chance - geometric(8)).max() < 0.01
    histogram = np.bincount(delay[seen]) / seen.sum()
    assert histogram[0] > geometric(8)[0] + 0.05  # the quick ones are seen more often


def test_the_error_shrinks_with_the_root_of_the_events() -> None:
    spread = []
    for n in (1_000, 16_000):
        errors = []
        for seed in range(12):
            rng = np.random.default_rng(seed)
            delay, age = rng.geometric(1.0 - STAY, n) - 1, rng.integers(0, 9, n)
            seen = delay <= age
            found = reverse_product_limit(delay[seen], age[seen])
            errors.append(found[0] - geometric(len(found) - 1)[0])
        spread.append(float(np.sqrt(np.mean(np.square(errors)))))
    assert 2.0 < spread[0] / spread[1] < 8.0  # 4 expected


def test_one_late_event_does_not_take_all_the_mass() -> None:
    delay = np.concatenate([np.zeros(100, np.int64), [30]])
    age = np.concatenate([np.full(100, 5), [30]])
    np.testing.assert_array_equal(reverse_product_limit(delay, age), [1.0])
    trusting = reverse_product_limit(delay, age, fewest_at_risk=1)
    assert trusting[30] == 1.0  # negative control


def test_hazards_are_unbiased_on_a_log_read_in_the_middle() -> None:
    data = log_read_early(60_000, seed=2)
    delays = estimate_delays(data, JOURNEY)
    seen = observed(data, delays)
    happened = seen.amounts[:, BOUGHT] > 0
    rate = happened.sum() / seen.row_exposure[:, BOUGHT].sum()
    within = 1.0 - STAY**8  # the longest delay that any bin is old enough to show
    assert rate == pytest.approx(CHANCE * within, rel=0.03)
    assert happened.mean() < 0.75 * CHANCE  # taking silence for an answer
    kept = seen.matured  # dropping by the declared delay of 0 bins
    assert happened[kept].mean() < 0.9 * CHANCE


def test_each_bin_counts_with_the_chance_that_its_events_are_known() -> None:
    data = log_read_early(60_000, seed=3)
    seen = observed(data, estimate_delays(data, JOURNEY))
    for age in (0, 3, 7):
        wanted = (1 - STAY ** (age + 1)) / (1 - STAY**8)
        exposure = seen.row_exposure[data.age == age, BOUGHT]
        np.testing.assert_allclose(exposure, wanted, atol=0.02)
    assert (seen.row_exposure[:, SENT] == 1.0).all()


def test_nothing_is_known_with_more_than_certainty() -> None:
    # Summed in this order, the first four exceed 1 by rounding.
    shares = np.array([0.2, 0.4, 0.3, 0.1, 0.0])
    assert shares.cumsum().max() > 1.0
    delays = RecordingDelays(shares[:, None], np.ones(1, bool), np.array([99]), 4)
    known = delays.known_within(np.arange(-1, 7))[:, 0]
    assert known.tolist() == pytest.approx([0.0, 0.2, 0.6, 0.9, 1.0, 1.0, 1.0, 1.0])
    assert known.max() == 1.0


def test_declared_delays_are_the_latest_that_a_journey_says() -> None:
    late = declared(toy())
    delay = {"clicked": 0, "warm": 1, "hot": 2}
    for name, bins in delay.items():
        assert late.chance[:, toy().channel_index(name)].tolist() == np.eye(3)[bins].tolist()
    assert (late.longest_age, late.events.sum()) == (2, 0)
    assert not late.estimated.any()


def test_a_value_is_known_when_its_signal_is() -> None:
    data = log_read_early(6_000, seed=4)
    assert data.event_delay is not None
    late = data.event_delay.copy()
    late[:, PAID] = -1  # all were worth nothing
    delays = estimate_delays(replace(data, event_delay=late), JOURNEY)
    assert delays.estimated[PAID]
    np.testing.assert_array_equal(delays.chance[:, PAID], delays.chance[:, BOUGHT])


def test_what_actions_make_and_rare_events_keep_their_declared_delay() -> None:
    delays = estimate_delays(log_read_early(6_000, seed=5), JOURNEY)
    answered = JOURNEY.channel_index("answered")  # three events
    assert delays.estimated[BOUGHT]
    for channel in (SENT, answered):
        assert not delays.estimated[channel]
        assert delays.chance[0, channel] == 1.0


def test_a_channel_whose_few_events_show_no_delay_keeps_the_declared_one() -> None:
    # A served log of some weeks: enough events, and no delay that was open to 20 of them.
    data = log_read_early(6_000, seed=5)
    assert data.event_delay is not None
    late = data.event_delay.copy()
    rows = np.flatnonzero(late[:, BOUGHT] >= 0)
    late[rows[24:], BOUGHT] = -1
    late[rows[:24], BOUGHT] = np.arange(24) % 2
    young = np.full(len(data.age), 1)
    delays = estimate_delays(replace(data, event_delay=late, age=young), JOURNEY)
    assert delays.estimated[BOUGHT]  # negative control: a delay of 1 was open to all 24
    young[rows[:24:2]] = 0  # those with a delay of 0
    delays = estimate_delays(replace(data, event_delay=late, age=young), JOURNEY)
    assert (delays.estimated[BOUGHT], delays.events[BOUGHT]) == (False, 0)
    assert delays.chance[0, BOUGHT] == 1.0


def test_a_log_read_long_after_its_end_is_left_alone() -> None:
    data = replace(log_read_early(6_000, seed=6), age=np.full(6_000, LONG_AGO))
    delays = estimate_delays(data, JOURNEY)
    seen = observed(data, delays)
    assert (seen.row_exposure == 1.0).all()
    np.testing.assert_array_equal(seen.amounts, data.amounts)
    assert seen.delays is delays.chance
    assert delays.chance[0, BOUGHT] == pytest.approx(1.0 - STAY, abs=0.05)


def test_open_bins_cannot_be_used() -> None:
    age = np.arange(6_000) % 8 - 1
    data = replace(log_read_early(6_000, seed=7), age=age)
    seen = observed(data, declared(JOURNEY))
    assert seen.usable.tolist() == (age >= 0).tolist()
    assert (data.action[seen.usable] == SEND).any()


def test_an_event_known_after_the_reading_is_refused() -> None:
    with pytest.raises(FitError, match="known later than the log was read"):
        reverse_product_limit(np.array([3]), np.array([2]))


def test_delays_and_ages_of_different_events_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"must both be \[m\]"):
        reverse_product_limit(np.array([3]), np.array([2, 4]))


def test_a_log_that_does_not_say_when_it_knew_is_refused() -> None:
    with pytest.raises(FitError, match="time each event was recorded"):
        estimate_delays(lamp_log(20, seed=0), JOURNEY)

"""What may be said of a number in a log and in a world."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.simulator.gap.compare import (
    Comparison,
    ComparisonResult,
    Estimate,
    judged,
    log_ratio,
    ratios,
)
from nurture_rl.simulator.gap.rates import first_events, funnel, reward
from nurture_rl.simulator.gap.trajectories import episode_values, rewards
from tests.unit.gap.gap_logs import JOURNEY, episodes, random_log
from tests.unit.simulator.lamp_shop import SEND, WAIT


def compared(gap: float, stderr: float, margin: float = 0.2) -> Comparison:
    nothing = Estimate(0.0, 0.0)
    return Comparison("rate", "clicked", "all", nothing, nothing, gap, stderr, margin, "difference")


def finding(gap: float, stderr: float) -> ComparisonResult:
    return judged([compared(gap, stderr)], 0.05)[0].finding


def test_a_huge_log_does_not_fail_for_a_trifle() -> None:
    assert finding(gap=0.1, stderr=0.001) is ComparisonResult.AGREES  # a hundred errors from 0


def test_a_tiny_log_is_not_passed_for_lack_of_power() -> None:
    assert finding(gap=0.1, stderr=1.0) is ComparisonResult.UNCLEAR


def test_a_gap_beyond_the_margin_by_many_errors_differs() -> None:
    assert finding(gap=0.5, stderr=0.05) is ComparisonResult.DIFFERS


def test_a_gap_at_the_margin_is_found_half_of_the_time() -> None:
    assert compared(0.2, 0.01).p_value == pytest.approx(0.5)


def test_few_of_many_equal_numbers_are_found_to_differ() -> None:
    rng = np.random.default_rng(0)
    worlds = [
        judged([compared(float(z), 1.0, margin=0.0) for z in rng.normal(size=300)], 0.05)
        for _ in range(40)
    ]
    with_finding = [
        any(one.finding is ComparisonResult.DIFFERS for one in world) for world in worlds
    ]
    assert sum(with_finding) <= 7  # 2 expected where every null is true
    # Negative control: one by one at 5 %, every world would show several.
    alone = sum(one.p_value < 0.05 for one in worlds[0])
    assert alone > 5


def test_a_rate_and_its_error_count_contacts_not_rows() -> None:
    # Contact 0 clicks in both of its bins, contact 1 in neither: rate 1/2, sum of squares 2 * 1,
    # times m / (m - 1) = 2, over 4 rows: sqrt(2 * 2) / 4.
    log = episodes([2, 2], [SEND] * 4, clicked=[1, 1, 0, 0])
    clicks = log.amounts[:, [JOURNEY.channel_index("clicked")]]
    value, stderr = ratios(log, clicks, np.ones(4))
    assert value[0] == 0.5
    assert stderr[0] == pytest.approx(0.5)


def test_rates_of_several_signals_are_sums_over_contacts() -> None:
    log = episodes([1, 2, 1], [SEND] * 4, clicked=[1, 0, 0, 1], viewed=[1, 1, 0, 1])
    both = log.amounts[:, [JOURNEY.channel_index(name) for name in ("clicked", "viewed")]]
    value, stderr = ratios(log, both, np.ones(4))
    assert value.tolist() == [0.5, 0.75]
    # Contacts have 1, 2 and 1 rows: clicks less half of them 0.5, -1, 0.5; views 0.25, -0.5, 0.25.
    assert stderr == pytest.approx(np.sqrt(np.array([1.5, 0.375]) * 3 / 2) / 4)


def test_rows_left_out_are_as_rows_that_count_for_nothing() -> None:
    log = episodes([1, 2, 1], [SEND] * 4, clicked=[1, 0, 1, 1])
    log = log.reweighted(np.array([1.0, 0.5, 2.0, 1.5]))
    clicks = log.amounts[:, [JOURNEY.channel_index("clicked")]]
    inside = np.array([True, False, True, False])  # nothing of the last contact
    found = np.array(ratios(log, clicks, np.ones(4), inside))
    blank = np.array(ratios(log, clicks * inside[:, None], inside * 1.0))
    np.testing.assert_allclose(found, blank, rtol=1e-12)
    assert not np.allclose(found, np.array(ratios(log, clicks, np.ones(4))))


def test_weights_move_a_rate() -> None:
    log = episodes([1, 1], [SEND, SEND], clicked=[1, 0]).reweighted(np.array([3.0, 1.0]))
    clicks = log.amounts[:, [JOURNEY.channel_index("clicked")]]
    assert ratios(log, clicks, np.ones(2))[0][0] == 0.75


def test_a_log_ratio_has_the_delta_error() -> None:
    gap, stderr = log_ratio(Estimate(0.1, 0.01), Estimate(0.2, 0.01), 0.0)
    assert gap == pytest.approx(np.log(2.0))
    assert stderr == pytest.approx(np.hypot(0.1, 0.05))


def test_only_the_first_event_of_an_episode_counts_in_the_funnel() -> None:
    log = episodes([3, 2], [WAIT] * 5, viewed=[1, 1, 0, 0, 2])
    viewed = first_events(log, JOURNEY)[:, 2]
    assert viewed.tolist() == [1, 0, 0, 0, 1]


def test_the_funnel_compares_shares_of_episodes() -> None:
    real, world = random_log(400, 0), random_log(400, 1)
    rows = {one.head: one for one in funnel(real, world, JOURNEY, 0.2)}
    # Six bins at 0.3 each: 1 - 0.7 ** 6 = 0.882.
    assert rows["viewed"].real.value == pytest.approx(0.882, abs=0.05)
    assert abs(rows["viewed"].gap) < 0.1


def test_reward_counts_what_the_actions_cost() -> None:
    log = episodes([2], [SEND, WAIT], **{"bought.value": [0.0, 7.0]})
    assert rewards(log, JOURNEY).tolist() == [-0.5, 7.0]


def test_the_value_of_an_episode_is_discounted_and_weighted() -> None:
    journey = replace(JOURNEY, reward=replace(JOURNEY.reward, discount=0.5))
    log = episodes([3, 1], [WAIT] * 4, **{"bought.value": [8.0, 0.0, 4.0, 5.0]})
    weighted = log.reweighted(np.array([1.0, 1.0, 2.0, 3.0]))
    assert episode_values(weighted, journey).tolist() == [8.0 + 0.25 * 4.0 * 2.0, 5.0 * 3.0]


def test_the_margin_of_reward_is_a_share_of_the_money_that_flows() -> None:
    log = episodes([2, 2], [SEND, WAIT] * 2, **{"bought.value": [0.0, 7.0, 0.0, 3.0]})
    one = reward(log, replace(log), JOURNEY, 0.2)
    assert one.gap == 0.0
    assert one.margin == pytest.approx(0.2 * (7.0 + 3.0 + 2 * 0.5) / 2)

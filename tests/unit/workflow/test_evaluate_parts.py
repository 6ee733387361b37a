"""What the simulator says of a policy, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import t

from nurture_envs.journey import Journey
from nurture_envs.journey_file import load_journey
from nurture_envs.rollout import Returns
from nurture_rl.workflow.simulated import MemberMeans, WorldRow, bound, collected, less, summary


def journey(estimand: str = "per_episode") -> Journey:
    return replace(load_journey("inbound_lead"), estimand=estimand)


def played(value: list[float], decisions: list[int]) -> Returns:
    """Returns of a few contacts; each has 6 of every channel."""
    amounts = np.full((len(value), len(load_journey("inbound_lead").channels)), 6.0)
    return Returns(np.array(value), amounts, np.array(decisions), np.zeros((1, 2)), {})


POLICY, REFERENCE = [3.0, 5.0, 10.0, 6.0], [2.0, 2.0, 6.0, 6.0]  # differences 1, 3, 4, 0


def row(estimand: str, decisions: list[int], level: float = 0.95) -> WorldRow:
    two = [played(POLICY[:2], decisions[:2]), played(POLICY[2:], decisions[2:])]
    base = [played(REFERENCE[:2], [1, 1]), played(REFERENCE[2:], [1, 1])]
    found = journey(estimand)
    return summary(found, collected([two], found), collected([base], found), level)


def test_the_difference_is_paired_with_the_reference_contact_by_contact() -> None:
    found = row("per_episode", [1, 2, 2, 3])
    assert (found.value, found.difference) == (6.0, 2.0)
    assert found.by_seed == (4.0, 8.0)
    # differences 1, 3, 4, 0 have variance 10 / 3; of the mean of four, 10 / 12
    half = 1.959964 * np.sqrt(10 / 12)
    assert found.difference_lower == pytest.approx(2.0 - half, abs=1e-5)
    assert found.difference_upper == pytest.approx(2.0 + half, abs=1e-5)
    # values 3, 5, 10, 6 have variance 26 / 3
    assert found.upper - found.value == pytest.approx(1.959964 * np.sqrt(26 / 12), abs=1e-5)


def test_the_level_widens_the_difference_and_not_the_value() -> None:
    narrow, wide = (row("per_episode", [1] * 4, level) for level in (0.95, 0.99))
    assert wide.difference_upper > narrow.difference_upper
    assert wide.upper == narrow.upper


def test_the_reference_differs_from_itself_by_nothing() -> None:
    base = collected([[played(REFERENCE, [1] * 4)]], journey())
    found = summary(journey(), base, base, 0.95)
    assert (found.difference, found.difference_lower, found.difference_upper) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("apart, counts", [(1e-14, False), (1e-6, True)])
def test_what_is_rounding_beside_what_was_earned_is_no_difference(
    apart: float, counts: bool
) -> None:
    # 0.1 + 0.2 - 0.3 is 5e-17: a contact that earned nothing has no size of its own.
    base = [30.0, 0.0, 10.0, 20.0]
    near = [value + apart for value in base]
    far = [value + 1.0 for value in base]
    one = collected([[played(base, [1] * 4)]] * 2, journey())
    other = collected([[played(near, [1] * 4)], [played(far, [1] * 4)]], journey())
    found = less(other, one, 0.95)
    assert (found.worst.lower > 0.0) is counts
    assert (found.by_member[0] != 0.0) is counts
    row_ = summary(journey(), other, one, 0.95)
    assert (row_.worst.difference_lower > 0.0) is counts
    assert found.by_member[1] == 1.0


def test_values_per_decision_are_divided_by_each_policys_own_decisions() -> None:
    found = row("per_decision", [1, 2, 2, 3])
    assert found.value == pytest.approx((3.0 + 2.5 + 5.0 + 2.0) / 4)
    assert found.difference == pytest.approx((3.0 + 2.5 + 5.0 + 2.0 - 16.0) / 4)


def test_the_spread_of_the_members_widens_the_interval() -> None:
    # members' means 2 and 6 have variance 8, of one more member like them 8 * (1 + 1 / 2) = 12;
    # contacts earn 3, 5, 4, 4 over both: variance 2 / 3, of the mean of four 1 / 6
    found = bound(np.array([[1.0, 3.0, 2.0, 2.0], [5.0, 7.0, 6.0, 6.0]]), 0.95)
    total = 12.0 + 1 / 6
    half = t.ppf(0.975, (total / 12.0) ** 2) * np.sqrt(total)
    assert found.value == 4.0
    assert found.between == pytest.approx(np.sqrt(8.0))
    assert found.upper == pytest.approx(4.0 + half)
    assert found.lower == pytest.approx(4.0 - half)


def test_members_that_agree_leave_the_chance_of_playing_alone() -> None:
    one = np.array([[3.0, 5.0, 10.0, 6.0]])
    alone, five = bound(one, 0.9), bound(np.repeat(one, 5, axis=0), 0.9)
    assert five.upper == pytest.approx(alone.upper)
    assert (five.between, alone.between) == (0.0, None)


def test_what_members_make_of_the_same_luck_is_no_disagreement() -> None:
    # means 3 and 4 have variance 1 / 2, but contacts swap sides: 0, 6, 3 against 6, 0, 6
    found = bound(np.array([[0.0, 6.0, 3.0], [6.0, 0.0, 6.0]]), 0.95)
    # residuals around contact and member means: -5 / 2, 7 / 2, -1 and their negatives
    assert (2 * (6.25 + 12.25 + 1.0)) / (1 * 2 * 3) > 0.5
    assert found.between == 0.0


def test_a_world_that_is_a_draw_from_where_the_members_came_from_lies_inside_as_often_as_said() -> (
    None
):
    rng = np.random.default_rng(0)
    inside, naive = 0, 0
    for _ in range(2000):
        member = rng.normal(0.0, 2.0, 6)  # five members and the truth
        values = member[:5, None] + rng.normal(0.0, 10.0, 100)  # the same luck in every member
        values += rng.normal(0.0, 10.0, (5, 100))  # and what they make of it
        found = bound(values, 0.9)
        inside += found.lower <= member[5] <= found.upper
        pooled = bound(values.mean(axis=0)[None], 0.9)
        naive += pooled.lower <= member[5] <= pooled.upper
    # 1800 expected; four binomial standard deviations are 54, and freedom is approximated
    assert 1740 <= inside <= 1880
    assert naive < 1500  # negative control: the chance of playing alone


def members(*means: float) -> WorldRow:
    """A row of a policy that earns so much on average in each member, and the reference 1."""
    found = journey()
    own = [[played([mean - 1.0, mean + 1.0], [1, 1])] for mean in means]
    base = [[played([1.0, 1.0], [1, 1])] for _ in means]
    return summary(found, collected(own, found), collected(base, found), 0.95)


def test_the_worst_of_up_to_ten_members_is_the_lowest() -> None:
    found = members(5.0, 2.0, 9.0)
    assert found.by_member == MemberMeans((5.0, 2.0, 9.0), (4.0, 1.0, 8.0))
    assert (found.worst.value, found.worst.difference) == (2.0, 1.0)
    # in that member the difference of two contacts is 0 and 2: variance 2, of their mean 1
    assert found.worst.difference_lower == pytest.approx(1.0 - 1.959964, abs=1e-5)


@pytest.mark.slow
def test_the_worst_of_many_members_is_their_tenth_from_below() -> None:
    means = [float(k) for k in range(21)]
    assert members(*means).worst.value == 2.0  # 2 of 20 steps

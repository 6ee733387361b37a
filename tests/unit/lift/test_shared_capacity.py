"""Arms that share a sales team: side by side they are biased, block by block they are not.

A day of the world: an arm hands over a random number of leads; salespeople call ten a day, the
newest first; who was called neither on the day nor on the next has gone cold; a third of calls
become a meeting. The policy hands over fourteen leads a day, business as usual six.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from nurture_envs.switchback import block_arm
from nurture_rl.lift.sign_flips import flipped_interval

LEADS = {"policy": 14.0, "usual": 6.0}  # a day, if everybody had the arm
CALLS = 10  # a day
MEETING = 1 / 3  # of a call
PATIENCE = 2  # days in which a lead can be called: its own, and the next
DAYS, WEEK, WASHOUT = 84, 7, 1
PROGRAMMES = 1_000
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Played:
    """Meetings of each programme: [programmes, days] by the day they happen, and of the lead."""

    happened: Counts
    handed_over: Counts


def played(
    leads: Counts, rng: np.random.Generator, patience: int = PATIENCE, calls: int = CALLS
) -> Played:
    """Call leads, the newest first, while they can be called.

    Args:
        leads: of each day, [programmes, days].
        rng: draws who becomes a meeting.
        patience: days in which a lead can be called.
        calls: of all salespeople, a day.
    """
    happened, by_lead = np.zeros_like(leads), np.zeros_like(leads)
    waiting = leads.copy()
    for day in range(leads.shape[1]):
        left = np.full(len(leads), calls)
        for handed_over in range(day, max(day - patience, -1), -1):
            called = np.minimum(waiting[:, handed_over], left)
            waiting[:, handed_over] -= called
            left = left - called
            met = rng.binomial(called, MEETING)
            happened[:, day] += met
            by_lead[:, handed_over] += met
    return Played(happened, by_lead)


def arms_of(programme: int) -> list[str]:
    """The arm of each day."""
    return [block_arm(f"salt {programme}", tuple(LEADS), day // WEEK) for day in range(DAYS)]


def weather(rng: np.random.Generator) -> NDArray[np.float64]:
    """How many more or fewer leads there are on each day, whoever decides: seasons and chance."""
    shocks = rng.normal(0.0, 0.05, (PROGRAMMES, DAYS + 30))
    kernel = 0.9 ** np.arange(30)
    slow = np.stack([np.convolve(row, kernel, "valid")[:DAYS] for row in shocks])
    return np.asarray(np.exp(slow + 0.002 * np.arange(DAYS)))


@cache
def truth() -> float:
    """Meetings a day, everybody under the policy less everybody under business as usual."""
    rng = np.random.default_rng(1)
    means = {}
    for arm, rate in LEADS.items():
        leads = rng.poisson(rate * np.tile(weather(rng), (4, 1)))
        means[arm] = played(leads, rng).happened[:, WASHOUT:].mean()
    return float(means["policy"] - means["usual"])


def differences(
    meetings: Counts, arms: list[list[str]], washout: int = WASHOUT
) -> NDArray[np.float64]:
    """Policy less usual in each pair of weeks, meetings a day, [programmes, pairs]."""
    weeks = meetings.reshape(len(meetings), -1, WEEK)[:, :, washout:].mean(axis=2)
    signs = np.array([[1.0 if arm == "policy" else -1.0 for arm in one[::WEEK]] for one in arms])
    return np.asarray((weeks * signs).reshape(len(meetings), -1, 2).sum(axis=2))


def covered(found: NDArray[np.float64], true: float) -> float:
    """Share of programmes whose interval at 95 % holds the truth."""
    ends = [flipped_interval(one, 0.95) for one in found]
    return float(np.mean([lower <= true <= upper for lower, upper in ends]))


@cache
def switched(
    patience: int = PATIENCE, teams: int = 1
) -> tuple[Played, tuple[tuple[str, ...], ...]]:
    """Programmes whose weeks are dealt."""
    rng = np.random.default_rng(2)
    arms = [arms_of(programme) for programme in range(PROGRAMMES)]
    rates = np.array([[LEADS[arm] for arm in one] for one in arms])
    leads = rng.poisson(teams * rates * weather(rng))
    return played(leads, rng, patience, teams * CALLS), tuple(tuple(one) for one in arms)


def weeks() -> tuple[Played, list[list[str]]]:
    found, arms = switched()
    return found, [list(one) for one in arms]


def test_contacts_dealt_side_by_side_are_far_off_and_surely_so() -> None:
    """Half of the leads come of each arm, and calls go to who hands over more."""
    rng = np.random.default_rng(3)
    sky = weather(rng)
    leads = {arm: rng.poisson(rate / 2.0 * sky) for arm, rate in LEADS.items()}
    both = played(leads["policy"] + leads["usual"], rng).happened
    all_leads = np.maximum(leads["policy"] + leads["usual"], 1)
    mine = rng.binomial(both, leads["policy"] / all_leads)
    found = 2.0 * (mine - (both - mine))  # as if everybody had the arm, meetings a day
    lift = found.mean(axis=1)
    error = found.std(axis=1, ddof=1) / DAYS**0.5
    assert 1.1 < truth() < 1.2
    assert lift.mean() > 2.0 * truth()
    assert np.mean(np.abs(lift - truth()) <= 1.96 * error) < 0.25


def test_weeks_dealt_in_pairs_hold_the_truth() -> None:
    found, arms = weeks()
    pairs = differences(found.happened, arms)
    # 97 % of programmes by design; and four standard deviations of 1,000 draws less
    assert covered(pairs, truth()) > 0.93
    assert abs(pairs.mean() - truth()) < 4.0 * pairs.mean(axis=1).std() / PROGRAMMES**0.5
    told = np.mean([flipped_interval(one, 0.95)[0] > 0.0 for one in pairs])
    assert told > 0.3  # and they tell it, often enough to be of use


def test_events_told_of_the_decision_before_them_are_not_what_the_world_would_do() -> None:
    """Leads of the policy's Sunday take calls of business as usual's Monday: they count there."""
    found, arms = weeks()
    happened, told = (
        differences(one, arms).mean() - truth() for one in (found.happened, found.handed_over)
    )
    assert told > 0.06
    assert abs(happened) < told / 2.0


def test_without_an_effect_one_programme_in_twenty_is_told_at_most() -> None:
    """A/A: both arms hand over the same, and the queue, the seasons and the trend are as before."""
    rng = np.random.default_rng(5)
    arms = [arms_of(programme) for programme in range(PROGRAMMES)]
    meetings = played(rng.poisson(9.0 * weather(rng)), rng).happened
    found = [flipped_interval(one, 0.95) for one in differences(meetings, arms)]
    wrong = np.mean([not lower <= 0.0 <= upper for lower, upper in found])
    assert wrong <= 0.05 + 4.0 * (0.03 * 0.97 / PROGRAMMES) ** 0.5
    assert wrong > 0.0  # and it is a test at all


def warnings(played_weeks: Played, arms: list[list[str]]) -> tuple[float, float]:
    """The mean difference of late counted days to early ones, and the share that is warned."""
    days = played_weeks.happened.reshape(PROGRAMMES, -1, WEEK)
    early, late = (
        differences(np.repeat(days[:, :, some].mean(axis=2), WEEK, axis=1), arms, 0)
        for some in (slice(WASHOUT, 4), slice(4, WEEK))
    )
    ends = [flipped_interval(one, 0.9) for one in late - early]
    return float((late - early).mean()), float(
        np.mean([lower > 0.0 or upper < 0.0 for lower, upper in ends])
    )


def test_leads_that_wait_for_longer_than_the_washout_are_warned_of() -> None:
    """A week of business as usual works off what the policy's left, in its first days.

    A team of twenty times the size: six pairs of a small team's weeks show little of it.
    """
    found, arms = switched(5, teams=20)
    later, warned = warnings(found, [list(one) for one in arms])
    assert later > 20 * 0.3
    assert warned > 0.25
    clean, same = switched(teams=20)
    later, warned = warnings(clean, [list(one) for one in same])
    assert abs(later) < 20 * 0.1
    assert warned < 0.12  # by chance one in ten

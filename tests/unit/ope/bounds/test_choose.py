"""Each rule of the choice is met where it must be, and its interval is the named one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from nurture_rl.errors import ShapeError
from nurture_rl.ope.bounds.choose import chosen_interval, clustered_interval, interval_by_contact
from nurture_rl.ope.bounds.few import (
    Component,
    binomial_interval,
    sum_of_parts,
    weighted_poisson,
)
from nurture_rl.ope.bounds.rare_outcomes import rare_outcomes
from nurture_rl.ope.bounds.skewed import skewed_interval
from nurture_rl.ope.estimators import ips, snips
from nurture_rl.ope.log import EvaluationLog, FloatArray
from tests.unit.ope.log_makers import bandit_log


def rare_log(n: int, sales: int, propensity: float = 0.5, amount: float = 4.0) -> EvaluationLog:
    reward = np.zeros(n)
    reward[: 2 * sales : 2] = amount  # of the rows whose action is 0
    return bandit_log([0, 1] * (n // 2), [propensity, 1 - propensity] * (n // 2), reward.tolist())


def only(log: EvaluationLog, action: int) -> FloatArray:
    return np.asarray(log.action == action, dtype=np.float64)


def test_a_share_of_matched_outcomes_gets_the_exact_interval() -> None:
    log = rare_log(400, 3)
    taken = only(log, 0)
    found = chosen_interval(ips(log, taken), 0.95, rare_outcomes(log, taken))
    exact = binomial_interval(3, 400, 0.95, scale=8.0)
    assert (found.lower, found.upper, found.method) == (exact.lower, exact.upper, exact.method)
    assert "3 matched outcomes of one weight in 400 episodes" in found.reason


def test_no_matched_outcome_is_no_certainty() -> None:
    log = rare_log(400, 3)
    taken = only(log, 1)
    assert ips(log, taken).stderr == 0.0
    found = chosen_interval(ips(log, taken), 0.95, rare_outcomes(log, taken))
    assert found.upper == pytest.approx(binomial_interval(0, 400, 0.95, 8.0).upper)


def test_few_outcomes_of_unequal_weights_get_the_weighted_poisson() -> None:
    log = rare_log(400, 3)
    taken = np.where(np.arange(400) % 4 < 2, 0.2, 0.6) * np.where(log.action == 0, 1.0, 0.5)
    outcomes = rare_outcomes(log, taken)
    assert outcomes is not None
    found = chosen_interval(ips(log, taken), 0.95, outcomes)
    due = weighted_poisson(outcomes.gained, outcomes.further_gain, 0.95)
    assert found.method == "weighted-poisson"
    assert (found.lower, found.upper) == pytest.approx((due.lower, due.upper))
    assert "3 matched outcomes worth 2 of one weight, fewer than 200" in found.reason


def test_what_is_not_an_outcome_joins_with_its_own_interval() -> None:
    log = rare_log(400, 3)
    taken = np.where(np.arange(400) % 4 < 2, 0.2, 0.6) * np.where(log.action == 0, 1.0, 0.5)
    outcomes = rare_outcomes(log, taken)
    assert outcomes is not None
    estimate = snips(log, taken)
    found = chosen_interval(estimate, 0.9, outcomes)
    rest = interval_by_contact(
        estimate.value - outcomes.net, estimate.influence - outcomes.influence(), 0.9
    )
    due = sum_of_parts(
        weighted_poisson(outcomes.gained, outcomes.further_gain, 0.9),
        Component(0.0, 0.0, 0.0),
        Component(estimate.value - outcomes.net, rest.lower, rest.upper),
    )
    assert (found.lower, found.upper) == pytest.approx((due.lower, due.upper))
    assert found.lower < estimate.value < found.upper


def test_losses_pull_the_other_way() -> None:
    gains = rare_log(400, 3)
    taken = np.where(np.arange(400) % 4 < 2, 0.2, 0.6) * np.where(gains.action == 0, 1.0, 0.5)
    losses = replace(gains, reward=-gains.reward)
    found = chosen_interval(ips(gains, taken), 0.9, rare_outcomes(gains, taken))
    mirrored = chosen_interval(ips(losses, taken), 0.9, rare_outcomes(losses, taken))
    assert (mirrored.lower, mirrored.upper) == pytest.approx((-found.upper, -found.lower))


def test_the_same_value_with_another_error_is_not_the_bare_share() -> None:
    log = rare_log(400, 3)
    taken = only(log, 0)
    estimate = ips(log, taken)
    noisy = replace(estimate, influence=estimate.influence + np.tile([1e-5, -1e-5], 200))
    shifted = replace(estimate, value=estimate.value + 1e-8)
    for other in (noisy, shifted):
        found = chosen_interval(other, 0.95, rare_outcomes(log, taken))
        assert found.method == "weighted-poisson"


def test_many_outcomes_need_no_count() -> None:
    taken = np.full(5000, 0.25)
    many = rare_log(5000, 200, propensity=0.4)
    outcomes = rare_outcomes(many, taken)
    assert outcomes is not None
    assert outcomes.effective == pytest.approx(200.0)
    assert chosen_interval(ips(many, taken), 0.95, outcomes).method != "weighted-poisson"
    fewer = rare_log(5000, 199, propensity=0.4)
    found = chosen_interval(ips(fewer, taken), 0.95, rare_outcomes(fewer, taken))
    assert found.method == "weighted-poisson"


def test_frequent_outcomes_are_no_poisson_count() -> None:
    log = bandit_log([0, 0, 1, 1] * 10, [0.5] * 40, [5.0, 0.0, 5.0, 0.0] * 10)
    taken = only(log, 0)
    outcomes = rare_outcomes(log, taken)
    found = chosen_interval(snips(log, taken), 0.95, outcomes)
    assert found.method in ("clustered-t", "skewed-t")
    assert chosen_interval(ips(log, taken), 0.95, outcomes).method == "clopper-pearson"


def test_contacts_alike_get_the_textbook_interval() -> None:
    values = np.random.default_rng(0).uniform(size=2000)
    influence = (values - values.mean()) / 2000
    found = interval_by_contact(values.mean(), influence, 0.9)
    due = stats.t.interval(0.9, 1999, loc=values.mean(), scale=stats.sem(values))
    assert found.method == "clustered-t"
    assert (found.lower, found.upper) == pytest.approx(due)
    assert "2000 contacts, and no single one dominates the error" in found.reason


def test_skewed_or_few_contacts_get_the_corrected_interval() -> None:
    skewed = np.random.default_rng(1).exponential(size=300)
    influence = (skewed - skewed.mean()) / 300
    found = interval_by_contact(1.0, influence, 0.95)
    due = skewed_interval(1.0, influence, 0.95)
    assert (found.lower, found.upper, found.method) == (due.lower, due.upper, "skewed-t")
    assert "skewness +0.1" in found.reason
    mirrored = interval_by_contact(1.0, -influence, 0.95)
    assert mirrored.method == "skewed-t"
    # Symmetric, yet 20 of 4000 contacts are all there is: about 40 degrees of freedom.
    heavy = np.zeros(4000)
    heavy[:20] = np.tile([1.0, -1.0], 10)
    assert interval_by_contact(1.0, heavy, 0.95).method == "skewed-t"
    # Few contacts of equal size know their error as well as C - 1 degrees of freedom say.
    assert interval_by_contact(1.0, np.tile([0.1, -0.1], 10), 0.95).method == "clustered-t"


def test_one_contact_gives_an_unbounded_interval() -> None:
    found = interval_by_contact(1.0, np.zeros(1), 0.95)
    assert (found.lower, found.upper) == (-np.inf, np.inf)
    two = clustered_interval(1.0, 0.5, 2, 0.95)
    assert two.upper == pytest.approx(1.0 + 0.5 * stats.t.ppf(0.975, 1))
    assert two.lower == pytest.approx(1.0 - 0.5 * stats.t.ppf(0.975, 1))


def test_outcomes_of_other_contacts_are_refused() -> None:
    log, other = rare_log(400, 3), rare_log(402, 3)
    with pytest.raises(ShapeError, match="402 contacts, the estimate to 400"):
        chosen_interval(ips(log, only(log, 0)), 0.95, rare_outcomes(other, only(other, 0)))

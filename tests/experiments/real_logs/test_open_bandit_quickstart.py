"""Published estimates on the small Open Bandit sample, met as closely as definitions fix them.

The figures are those of the quickstart of the Open Bandit Pipeline: the Bernoulli Thompson policy
that had gathered data beforehand, evaluated on the log of the random policy, all campaigns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from experiments.real_logs.open_bandit import POSITIONS, Impressions, read_impressions
from experiments.real_logs.sources import impression_log
from nurture_rl.ope.estimators import dm, dr, ips
from nurture_rl.ope.log import EvaluationLog
from nurture_rl.ope.value_model import (
    ValueModelConfig,
    ValuePredictions,
    fit_value,
    value_design,
)
from tests.shared_data import shared_data

FloatArray = NDArray[np.float64]

IPW, IPW_LOWER, IPW_UPPER, DM, DR = 0.004553, 0.0015, 0.0093, 0.003545, 0.004727
RANDOM_MEAN, BTS_MEAN = 0.0038, 0.0042
DRAWS = 100_000  # with which the quickstart simulates the policy's probabilities

# Clicks and views that the policy had seen of each item, as published with the data set.
CLICKS = """
47 8 62 142 3 14 7 857 12 15 6 100 48 23 71 61 13 16 518 30 7 4 23 8 10 11 11 18 121 11 11 10 14 9
204 58 3 19 42 1013 2 328 15 31 14 138 45 55 23 38 10 401 52 6 3 6 5 32 35 133 52 820 43 195 8 42
40 4 32 30 9 22 6 23 5 54 8 22 65 246
"""
OTHERS = """
12198 3566 15993 35522 2367 4609 3171 181745 4372 4951 3100 24665 13210 7061 18061 17449 5644 6787
111326 8776 3334 2271 7389 2659 3665 4724 3561 5085 27407 4601 4756 4120 4736 3788 45292 14719 2189
5589 11995 222255 2308 70034 4801 8274 5421 31912 12213 13576 6230 10382 4141 85731 12811 2707 2250
2668 2886 9581 9465 28336 12062 162793 12107 41240 3162 11604 10818 2923 8897 8654 4000 6580 3174
6766 2602 14506 3968 7523 16532 51964
"""


@dataclass(frozen=True, slots=True)
class Made:
    """The random log, the policy's probabilities on it, and a value model of the policy."""

    shown: Impressions
    chance: FloatArray  # of each item at each position, [3, 80]
    log: EvaluationLog
    target: FloatArray  # [N, 80]
    taken: FloatArray  # [N]
    predictions: ValuePredictions


def rank_probabilities(clicks: FloatArray, others: FloatArray) -> FloatArray:
    """Probability that an item's Beta draw is the highest, second and third of all, [3, K].

    By quadrature: with F the chance that an item draws below t, how many others draw above t is a
    sum of independent trials, of which only 0, 1 and 2 matter.
    """
    grid = np.linspace(1e-9, 0.02, 6000)
    below = stats.beta.cdf(grid, clicks[:, None], others[:, None])
    density = stats.beta.pdf(grid, clicks[:, None], others[:, None])
    found = np.zeros((POSITIONS, clicks.size))
    for item in range(clicks.size):
        above = np.zeros((POSITIONS, grid.size))
        above[0] = 1.0
        for other in np.delete(np.arange(clicks.size), item):
            shifted = np.vstack([np.zeros(grid.size), above[:-1]])
            above = above * below[other] + shifted * (1.0 - below[other])
        found[:, item] = np.trapezoid(above * density[item], grid, axis=1)
    return found


@pytest.fixture(scope="module")
def made() -> Made:
    shown = read_impressions(shared_data("open_bandit_sample"), "random", "all")
    clicks, others = (np.array(text.split(), np.float64) for text in (CLICKS, OTHERS))
    chance = rank_probabilities(clicks, others)
    log = impression_log(shown, even=True)
    target = chance[shown.position]
    design = value_design(log, np.random.default_rng(0), ValueModelConfig())
    taken = target[np.arange(log.n_rows), log.action]
    return Made(shown, chance, log, target, taken, fit_value(design, target))


def simulation_error(made: Made) -> float:
    """Standard error of the published value, for its probabilities are shares of DRAWS draws."""
    cells = np.zeros_like(made.chance)
    np.add.at(cells, (made.shown.position, made.shown.item), made.shown.click)
    scale = made.shown.n_items / made.log.n_rows
    return float(scale * np.sqrt((cells**2 * made.chance * (1.0 - made.chance) / DRAWS).sum()))


def test_probabilities_of_ranks_are_distributions_and_right_for_two_items() -> None:
    two = rank_probabilities(np.array([1.0, 1.0]), np.array([1000.0, 2000.0]))
    # P(X > Y) of Beta(1, 1000) and Beta(1, 2000) is 2000 / 3000.
    np.testing.assert_allclose(two[0], [2 / 3, 1 / 3], atol=1e-3)
    np.testing.assert_allclose(two[1], [1 / 3, 2 / 3], atol=1e-3)


def test_each_position_shows_one_item(made: Made) -> None:
    np.testing.assert_allclose(made.chance.sum(axis=1), 1.0, atol=1e-4)


def test_the_logs_own_means_are_the_published_ones(made: Made) -> None:
    assert ips(made.log, made.log.propensity).value == pytest.approx(RANDOM_MEAN, abs=1e-12)
    bts = read_impressions(shared_data("open_bandit_sample"), "bts", "all")
    own = impression_log(bts, even=False)
    assert ips(own, own.propensity).value == pytest.approx(BTS_MEAN, abs=1e-12)


def test_importance_weighting_meets_the_published_value(made: Made) -> None:
    # The same sum over the same clicks; only the simulation of the probabilities differs.
    noise = simulation_error(made)
    assert noise < 2e-5
    assert abs(ips(made.log, made.taken).value - IPW) < 4.0 * noise + 5e-7  # printed to 6 places


def test_resampled_impressions_meet_the_published_interval(made: Made) -> None:
    weighted = (made.taken / made.log.propensity * made.log.reward)[made.log.reward > 0.0]
    counts = np.random.default_rng(1).poisson(1.0, (20_000, weighted.size))
    low, high = np.quantile(counts @ weighted / made.log.n_rows, (0.025, 0.975))
    # Printed to 4 places; sums of 38 clicks of which few weigh most move in steps.
    assert low == pytest.approx(IPW_LOWER, abs=1e-4)
    assert high == pytest.approx(IPW_UPPER, abs=2e-4)


def test_the_doubly_robust_value_differs_by_its_model_alone(made: Made) -> None:
    # Two models q, q' change the value by mean(d(x) - w d(x, a)) with |d| at most what click
    # rates differ by: within the spread of the weights that is below 4 max|d| s.e.(w).
    weight = made.taken / made.log.propensity
    largest = 0.01  # both models stay below a click rate of 1 %
    slack = 4.0 * largest * float(weight.std()) / np.sqrt(made.log.n_rows)
    ours = dr(made.log, made.taken, made.predictions)
    assert made.predictions.q_logged.max() < largest
    assert abs(ours.value - DR) < slack
    assert slack < ours.stderr  # and the models matter less than the sample


def test_the_direct_method_lies_between_models_of_38_clicks(made: Made) -> None:
    # Any model that is calibrated on the log predicts its mean up to the error of 38 clicks.
    noise = np.sqrt(RANDOM_MEAN / made.log.n_rows)
    ours = dm(made.log, made.predictions).value
    assert abs(ours - DM) < 2.0 * noise
    assert abs(DM - RANDOM_MEAN) < 2.0 * noise

"""The exact coverage of intervals of rare outcomes is the known one, and the records are honest."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.rare_outcomes.skewed_weights import Chain, draw_chain, true_value
from experiments.rare_outcomes.study import MAKERS, Rare, exact_coverage, simulated
from nurture_rl.ope.bounds.choose import chosen_interval
from nurture_rl.ope.bounds.rare_outcomes import rare_outcomes
from nurture_rl.ope.estimators import ips
from nurture_rl.ope.log import evaluation_log


@pytest.mark.parametrize(
    ("name", "n", "coverage", "width"),
    [
        ("normal", 1_000, 0.632, 3.0),
        ("normal", 10_000, 0.926, 1.22),
        ("normal", 100_000, 0.945, 0.39),
        ("Wilson × K", 1_000, 0.920, 5.3),
        ("Wilson × K", 10_000, 0.963, 1.28),
        ("Wilson × K", 100_000, 0.949, 0.39),
        ("Clopper-Pearson × K", 1_000, 0.981, 5.3),
        ("Clopper-Pearson × K", 10_000, 0.976, 1.34),
        ("Clopper-Pearson × K", 100_000, 0.955, 0.40),
        ("empirical Bernstein", 1_000, 1.0, 25.0),
        ("empirical Bernstein", 10_000, 1.0, 3.9),
        ("Hoeffding", 1_000, 1.0, 86.0),
        ("Hoeffding", 10_000, 1.0, 27.0),
    ],
)
def test_coverage_of_known_intervals_is_the_known_one(
    name: str, n: int, coverage: float, width: float
) -> None:
    found = exact_coverage(Rare(n), MAKERS[name])
    assert found.coverage == pytest.approx(coverage, abs=6e-4)
    assert found.width == pytest.approx(width, rel=0.02)
    assert found.below <= 1.0 - found.coverage + 1e-12


@pytest.mark.parametrize("matched", [0, 1, 7])
def test_the_study_s_log_is_the_one_a_pipeline_sees(matched: int) -> None:
    n, k = 1_000, 10
    action = np.arange(n) % k
    reward = np.zeros(n)
    reward[np.flatnonzero(action == 3)[:matched]] = 1.0
    reward[np.flatnonzero(action == 4)[:2]] = 1.0
    log = evaluation_log(
        features=np.zeros((n, 0)),
        mask=np.ones((n, k)),
        action=action,
        propensity=np.full(n, 1 / k),
        reward=reward,
        episode=np.arange(n),
        step=np.zeros(n),
        cluster=np.arange(n),
        terminal=np.ones(n),
        action_factors=np.zeros((k, 0)),
        discount=1.0,
        unit="EUR",
    )
    taken = (action == 3).astype(np.float64)
    found = chosen_interval(ips(log, taken), 0.95, rare_outcomes(log, taken))
    assert (found.lower, found.upper) == pytest.approx(MAKERS["chosen"](Rare(n), matched))


def test_simulated_coverage_counts_both_sides() -> None:
    found = simulated(np.array([[0.0, 1.0], [2.0, 4.0], [-3.0, -2.0], [0.0, 3.0]]), -2.5)
    assert (found.coverage, found.below) == (0.25, 0.0)
    assert found.width == pytest.approx(7.0 / 4 / 2.5)
    assert found.stderr == pytest.approx(np.sqrt(0.25 * 0.75 / 4))
    assert simulated(np.array([[0.0, 1.0]]), 2.0).below == 1.0


def test_the_chain_pays_what_its_truth_says() -> None:
    chain = Chain(40_000)
    log, taken = draw_chain(chain, np.random.default_rng(0))
    per_episode = log.reward.reshape(-1, 10).sum(axis=1)
    error = per_episode.std() / 200.0
    assert per_episode.mean() == pytest.approx(true_value(chain, 0.15), abs=4 * error)
    assert (taken / log.propensity).mean() == pytest.approx(1.0, abs=0.01)
    frequent, _ = draw_chain(Chain(40_000, rate=None), np.random.default_rng(0))
    mean = frequent.reward.reshape(-1, 10).sum(axis=1).mean()
    assert mean == pytest.approx(true_value(chain, 0.15), rel=0.03)

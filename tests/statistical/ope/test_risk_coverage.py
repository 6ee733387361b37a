"""Bounds on harm, tails and the best of many policies hold as often as they say."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from nurture_rl.appraisal.risk.harm import harm_bound
from nurture_rl.appraisal.risk.return_distribution import TailConfig, tail_risk
from nurture_rl.appraisal.selection.policy_comparison import compare_policies
from nurture_rl.ope.estimators import ValueEstimate, ips
from nurture_rl.ope.intervals import interval_of
from nurture_rl.ope.log import EvaluationLog, evaluation_log

FloatArray = NDArray[np.float64]
LOGGING = np.array([[0.5, 0.3, 0.2], [0.2, 0.2, 0.6]])  # by state and action
TARGET = np.array([[0.2, 0.4, 0.4], [0.3, 0.5, 0.2]])
MEAN = np.array([[0.2, 0.5, 0.9], [0.6, 0.1, 0.4]])  # EUR, by state and action
COMPLAINT = np.array([[0.001, 0.004, 0.002], [0.003, 0.001, 0.006]])  # chance per decision


def drawn(
    rng: np.random.Generator, contacts: int, reward_noise: float, mean: FloatArray = MEAN
) -> tuple[EvaluationLog, NDArray[np.int64], NDArray[np.bool_]]:
    """Two decisions of each contact in its own state, with a luck it keeps; and complaints."""
    state = np.repeat(rng.integers(2, size=contacts), 2)
    n = state.size
    action = (rng.random((n, 1)) > LOGGING[state].cumsum(axis=1)).sum(axis=1)
    luck = np.repeat(rng.normal(scale=reward_noise, size=contacts), 2)
    log = evaluation_log(
        features=state[:, None],
        mask=np.ones((n, 3)),
        action=action,
        propensity=LOGGING[state, action],
        reward=mean[state, action] + luck + rng.normal(scale=reward_noise, size=n),
        episode=np.arange(n),
        step=np.zeros(n),
        cluster=np.repeat(np.arange(contacts), 2),
        terminal=np.ones(n),
        action_factors=np.eye(3),
        discount=1.0,
        unit="EUR",
    )
    return log, state, rng.random(n) < COMPLAINT[state, action]


@pytest.mark.parametrize("contacts", [100, 400, 2000])
def test_the_bound_on_complaints_holds_at_every_count(contacts: int) -> None:
    """About 0.5, 2 and 10 complaints are seen; the normal bound fails where none is."""
    rng = np.random.default_rng(0)
    truth = float((TARGET * COMPLAINT).sum(axis=1).mean())
    held, normal = 0, 0
    for _ in range(600):
        log, state, complaints = drawn(rng, contacts, 0.1)
        taken = TARGET[state, log.action]
        events = complaints.astype(np.float64)
        held += harm_bound(log, taken, events, 0.95).upper >= truth
        weighted = taken / log.propensity * events
        plain = weighted.mean() + 1.645 * weighted.std() / np.sqrt(weighted.size)
        normal += plain >= truth
    # 570 are due; three binomial standard deviations are 16.
    assert held >= 554
    if contacts == 100:
        assert normal < 400


def test_quantiles_and_the_mean_of_the_worst_are_covered() -> None:
    rng = np.random.default_rng(1)
    truth = true_returns(np.random.default_rng(2))
    config = TailConfig(shares=(0.1, 0.5, 0.9), tail=0.1, level=0.9)
    quantiles = np.quantile(truth, config.shares)
    worst = truth[truth <= quantiles[0]].mean()
    hits, tail = np.zeros(3), 0
    for _ in range(300):
        log, state, _ = drawn(rng, 400, 0.3)
        found = tail_risk(log, TARGET[state, log.action], config)
        inside = [
            q.interval.lower <= t <= q.interval.upper
            for q, t in zip(found.quantiles, quantiles, strict=True)
        ]
        hits += np.array(inside)
        tail += found.cvar_interval.lower <= worst <= found.cvar_interval.upper
    # 270 are due; four binomial standard deviations are 21.
    assert (hits >= 249).all()
    assert (hits <= 291).all()
    assert 249 <= tail <= 291


def true_returns(rng: np.random.Generator) -> FloatArray:
    n = 400_000
    state = rng.integers(2, size=n)
    action = (rng.random((n, 1)) > TARGET[state].cumsum(axis=1)).sum(axis=1)
    noise = rng.normal(scale=0.3 * np.sqrt(2.0), size=n)
    return np.asarray(MEAN[state, action] + noise, dtype=np.float64)


def test_the_best_of_many_policies_is_told_honestly() -> None:
    """Nine policies, nearly alike: what looks best is overstated, what is said of it is not."""
    rng = np.random.default_rng(3)
    pure = np.eye(3) * 0.85 + 0.05  # each action in turn, by state
    policies = [np.stack([pure[i], pure[j]]) for i in range(3) for j in range(3)]
    mean = 0.1 * MEAN
    truth = np.array([(policy * mean).sum(axis=1).mean() for policy in policies])
    trials, level = 200, 0.9
    together, differences, holds_best, covered, median, plain = 0, 0, 0, 0, 0, 0
    overstated = []
    for _ in range(trials):
        log, state, _ = drawn(rng, 150, 1.0, mean)
        estimates: dict[str, ValueEstimate] = {
            f"p{i}": ips(log, policy[state, log.action]) for i, policy in enumerate(policies)
        }
        found = compare_policies(estimates, "p0", level, rng)
        place = {one.name: int(one.name[1:]) for one in found.policies}
        together += all(
            one.interval.lower <= truth[place[one.name]] <= one.interval.upper
            for one in found.policies
        )
        differences += all(
            one.difference_interval.lower - 1e-12
            <= truth[place[one.name]] - truth[0]
            <= one.difference_interval.upper + 1e-12
            for one in found.policies
        )
        holds_best += f"p{truth.argmax()}" in found.best_set
        worth, own = found.winner_value, truth[place[found.winner]]
        covered += worth.interval.lower <= own <= worth.interval.upper
        median += worth.corrected > own
        overstated.append(worth.naive - own)
        naive = interval_of(estimates[found.winner], level)
        plain += naive.lower <= own <= naive.upper
    # 180 are due, 100 of the median; four binomial standard deviations are 17 and 28.
    assert min(together, differences, holds_best, covered) >= 163
    assert 72 <= median <= 128
    assert np.mean(overstated) > 4.0 * np.std(overstated) / np.sqrt(trials)
    assert plain < covered

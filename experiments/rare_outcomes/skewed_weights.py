"""How often intervals cover when weights are products over many decisions; simulated, truth exact.

Two actions, ten decisions an episode. The logger sends with chance p, the target with chance 2 p,
so an episode's weight is a product of ten ratios. A send costs 0.50; the last decision pays by the
number of sends.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from experiments.rare_outcomes.study import Covered, simulated
from nurture_rl.ope.bounds.choose import chosen_interval
from nurture_rl.ope.bounds.rare_outcomes import rare_outcomes
from nurture_rl.ope.estimators import dr, ips, snips
from nurture_rl.ope.intervals import interval_of, paired_difference
from nurture_rl.ope.log import EvaluationLog, evaluation_log
from nurture_rl.ope.value_model import ValuePredictions

FloatArray = NDArray[np.float64]

RATIO = 2.0  # target over logging chance of a send
COST = 0.5  # EUR per send
SALE = 300.0  # EUR
RISE = 0.25  # of the rate of sales, per send, for the first five


@dataclass(frozen=True, slots=True)
class Chain:
    """A log of episodes with ten decisions each, every contact one episode."""

    episodes: int
    send: float = 0.15  # logging chance of a send
    rate: float | None = 0.08  # of a sale without any send; None pays a frequent amount instead
    length: int = 10
    level: float = 0.95


def gains(chain: Chain, sends: NDArray[np.int64]) -> FloatArray:
    """Expected payment after so many sends."""
    rate = 0.08 if chain.rate is None else chain.rate
    return np.asarray(SALE * rate * (1.0 + RISE * np.minimum(sends, 5)))


def true_value(chain: Chain, send: float) -> float:
    """Value per episode of sending with chance `send`: a binomial sum."""
    sends = np.arange(chain.length + 1)
    chance = stats.binom.pmf(sends, chain.length, send)
    return float(chance @ gains(chain, sends)) - COST * chain.length * send


def draw_chain(chain: Chain, rng: np.random.Generator) -> tuple[EvaluationLog, FloatArray]:
    """A log, and the target's probability of each logged action."""
    n, length = chain.episodes, chain.length
    action = (rng.random((n, length)) < chain.send).astype(np.int64)
    due = gains(chain, action.sum(axis=1))
    if chain.rate is None:
        paid = np.asarray(due * rng.exponential(size=n), dtype=np.float64)
    else:
        paid = np.where(rng.random(n) < due / SALE, SALE, 0.0)
    reward = -COST * action
    reward[:, -1] += paid
    rows = n * length
    logged = np.where(action == 1, chain.send, 1.0 - chain.send).ravel()
    target = np.where(action == 1, RATIO * chain.send, 1.0 - RATIO * chain.send).ravel()
    log = evaluation_log(
        features=np.zeros((rows, 0)),
        mask=np.ones((rows, 2)),
        action=action.ravel(),
        propensity=logged,
        reward=reward.ravel(),
        episode=np.repeat(np.arange(n), length),
        step=np.tile(np.arange(length), n),
        cluster=np.arange(n),
        terminal=np.arange(rows) % length == length - 1,
        action_factors=np.zeros((2, 0)),
        discount=1.0,
        unit="EUR",
    )
    return log, target


def chain_coverage(
    chain: Chain, logs: int, rng: np.random.Generator
) -> dict[str, tuple[Covered, Covered]]:
    """Plain clustered t and chosen interval of each estimator, and of the paired difference.

    The doubly robust estimates get one constant as their model: a poor one, but honest, as it has
    seen no contact. The difference is to the logging policy.
    """
    value = true_value(chain, RATIO * chain.send)
    lift = value - true_value(chain, chain.send)
    level = chain.level
    plain: dict[str, list[tuple[float, float]]] = {}
    chosen: dict[str, list[tuple[float, float]]] = {}
    for _ in range(logs):
        log, taken = draw_chain(chain, rng)
        outcomes = rare_outcomes(log, taken)
        guess = np.full(log.n_rows, 1.3 * value)
        robust = dr(log, taken, ValuePredictions(guess, guess))
        named = {"ips": ips(log, taken), "snips": snips(log, taken), "dr": robust}
        for name, estimate in named.items():
            old, new = interval_of(estimate, level), chosen_interval(estimate, level, outcomes)
            plain.setdefault(name, []).append((old.lower, old.upper))
            chosen.setdefault(name, []).append((new.lower, new.upper))
        base = ips(log, log.propensity)
        between = rare_outcomes(log, taken, log.propensity)
        found = paired_difference(robust, base, level, between)
        quantile = float(stats.t.ppf(0.5 + level / 2.0, found.n_clusters - 1))
        half = quantile * found.stderr
        plain.setdefault("difference", []).append((found.value - half, found.value + half))
        ends = (found.interval.lower, found.interval.upper)
        chosen.setdefault("difference", []).append(ends)
    truth = {name: lift if name == "difference" else value for name in plain}
    return {
        name: (
            simulated(np.array(plain[name]), truth[name]),
            simulated(np.array(chosen[name]), truth[name]),
        )
        for name in plain
    }

"""Limits kept by prices, against the truth: run by run, on a log of contacts mailed by lot."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from experiments.prices.world import SEND, Crowd, Logged, best, crowd, logged, of_sends
from nurture_rl.bandits.cost_sensitive import CostSensitiveConfig, fit_cost_sensitive
from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.learned.training_log import TrainingLog
from nurture_rl.rl.dual_prices import PlayedColumn, Search, priced, search_prices

FloatArray = NDArray[np.float64]
LEVEL = 0.95
FRESH = 50_000  # contacts by whom the truth is told
_TIGHTENED = 4
_STEP = 0.1  # of a limit, for the finite difference


@dataclass(frozen=True, slots=True)
class Limits:
    """Most mails and opt-outs per contact."""

    sends: float = 0.4
    opt_outs: float = 0.003

    def array(self) -> FloatArray:
        """In the order of the search."""
        return np.array([self.sends, self.opt_outs])


def one_run(seed: int, contacts: int, limits: Limits) -> dict[str, Any]:
    """Learn within limits from one log, and tell the truth of it; JSON values.

    Half of the log's contacts teach the policies, the other half says what each uses up.
    """
    rng = np.random.default_rng(seed)
    taught, asked = (logged(crowd(contacts // 2, rng), rng) for _ in range(2))
    fresh = everybody()
    policies: list[ScoredPolicy | None] = [None]  # nobody is mailed first

    def learn(prices: FloatArray) -> PlayedColumn:
        policies.append(learned(taught, prices))
        return _column(policies[-1], asked)

    found = search_prices(learn, [_column(None, asked)], limits.array(), 12, 0.002)
    shares = _within(found, policies, asked, limits)
    sent = np.sum([w * _sends(p, fresh) for w, p in zip(shares, policies, strict=True)], axis=0)
    return {
        "truth": asdict(of_sends(sent, fresh)),
        "prices": found.best.prices.tolist(),
        "trainings": len(policies) - 1,
        "ranking": _ranking(taught, fresh, limits.sends),
    }


def learned(taught: Logged, prices: FloatArray) -> ScoredPolicy:
    """The learner's policy at prices of a mail and of an opt-out."""
    log = taught.log
    cost = prices[0] * (log.action == SEND) + prices[1] * taught.opt_out
    reward = log.reward - cost
    priced = replace(log, reward=reward, returns=reward)
    return fit_cost_sensitive(priced, CostSensitiveConfig(floor=0.0), 0, lambda step, told: None)


def _sends(policy: ScoredPolicy | None, contacts: Crowd) -> FloatArray:
    n = len(contacts.features)
    if policy is None:
        return np.zeros(n)
    return policy.action_probabilities(contacts.features, np.ones((n, 2), bool))[:, SEND]


def _column(policy: ScoredPolicy | None, asked: Logged) -> PlayedColumn:
    """What a policy earns beyond mailing nobody, and uses up, by the half that did not teach."""
    value, uses = _by_log(policy, asked)
    return PlayedColumn(float(value.mean()), np.array([use.mean() for use in uses]))


def _by_log(
    policy: ScoredPolicy | None, asked: Logged
) -> tuple[FloatArray, tuple[FloatArray, FloatArray]]:
    """By contact: the value by inverse propensities, mails, and opt-outs.

    What features tell of the reward is taken off it: weights are 0 on average in every context.
    """
    log = asked.log
    n = log.action.size
    if policy is None:
        return np.zeros(n), (np.zeros(n), np.zeros(n))
    sent = policy.action_probabilities(log.features, log.mask)[:, SEND]
    weight = np.where(log.action == SEND, sent, -sent) / log.propensity
    x = np.column_stack([np.ones(n), log.features])
    rest = log.reward - x @ np.linalg.lstsq(x, log.reward, rcond=None)[0]
    return weight * rest, (sent, sent * (log.action == SEND) / 0.5 * asked.opt_out)


def _within(
    found: Search, policies: list[ScoredPolicy | None], asked: Logged, limits: Limits
) -> FloatArray:
    """Shares of the policies at which the upper bounds of both uses keep to the limits."""
    uses = np.stack([np.stack(_by_log(policy, asked)[1]) for policy in policies])
    score = float(ndtri(1.0 - (1.0 - LEVEL) / 2.0))  # both limits together
    room, shares, upper = limits.array(), found.best.shares, np.zeros(2)
    for _ in range(_TIGHTENED):  # as much below the limits as the bounds are above the means
        shares = priced(found.columns, room).shares
        mixed = np.tensordot(shares, uses, 1)
        above = score * mixed.std(axis=1, ddof=1) / mixed.shape[1] ** 0.5
        upper, room = mixed.mean(axis=1) + above, limits.array() - above
    kept = min(1.0, float((limits.array() / upper).min()))
    return np.asarray(kept * shares + (1.0 - kept) * np.eye(len(policies))[0])


def everybody() -> Crowd:
    """The contacts by whom every run is judged."""
    return crowd(FRESH, np.random.default_rng(987_654))


def true_prices(limits: Limits) -> dict[str, Any]:
    """The best there is within the limits, and what one more unit of each truly gains."""
    fresh = everybody()
    return {
        "best": best(fresh, limits.sends, limits.opt_outs),
        "slopes": [_slope(fresh, limits, name) for name in ("sends", "opt_outs")],
    }


def _slope(contacts: Crowd, limits: Limits, name: str) -> float:
    at = getattr(limits, name)
    ends = [replace(limits, **{name: at * (1.0 + side * _STEP)}) for side in (1, -1)]
    more, less = (best(contacts, one.sends, one.opt_outs) for one in ends)
    return float((more - less) / (2.0 * _STEP * at))


def _ranking(taught: Logged, fresh: Crowd, budget: float) -> dict[str, float]:
    """Contacts mailed up to a budget, by what a mail adds and by who is likely to meet; EUR."""
    log = taught.log
    n = int(budget * len(fresh.features))
    scores = {
        "incremental value": _margin(learned(taught, np.zeros(2)), fresh),
        "chance to meet": fresh.features @ _propensity(log),
        "truth": fresh.gain,
    }
    found = {}
    for name, score in scores.items():
        sent = np.zeros(len(score))
        sent[np.argsort(-score, kind="stable")[:n]] = 1.0
        found[name] = of_sends(sent, fresh).value
    return found


def _margin(policy: ScoredPolicy, contacts: Crowd) -> FloatArray:
    """What the policy takes a mail to add, [n]."""
    import torch

    with torch.no_grad():
        scores = policy.module.scores(torch.tensor(contacts.features)).mean(dim=2).numpy()
    return np.asarray(scores[:, 0] - scores[:, 1], np.float64)


def _propensity(log: TrainingLog) -> FloatArray:
    """Least squares of meetings among the mailed: how marketing ranks by likelihood, [d]."""
    rows = log.action == SEND
    x = log.features[rows].astype(np.float64)
    return np.asarray(np.linalg.lstsq(x, log.reward[rows] - log.reward[rows].mean(), rcond=None)[0])

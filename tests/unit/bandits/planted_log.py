"""Logs of single decisions whose truth is known, and what a policy is worth in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nurture_envs.actions import ActionCatalog
from nurture_rl.learned.training_log import TrainingLog
from nurture_rl.policies.policy import Policy, normalised, sample_actions
from tests.unit.policies.planted_journeys import INBOUND, changed

FloatArray = NDArray[np.float64]
Truth = Callable[[FloatArray], FloatArray]  # contexts [n, d] -> expected returns [n, a]

FOUR = ActionCatalog.of(
    changed(
        messages={"welcome": INBOUND.resolved["messages"]["welcome"]},
        actions={"slots": [9, 15], "pauses": [1, 3]},
        drip={},
        rules=[],
        expert=[],
    )
)  # send:welcome@09, send:welcome@15, pause:1, pause:3
WAIT = FOUR.wait


def crossing(x: FloatArray) -> FloatArray:
    """Linear: the first action earns 4 per unit of x_1, the second loses as much; waiting is 1."""
    none = np.zeros(len(x))
    return 10.0 + 2.0 * x[:, :1] + np.stack([4.0 * x[:, 1], -4.0 * x[:, 1], none + 1.0, none], 1)


def exclusive(x: FloatArray) -> FloatArray:
    """Not linear: the first action earns 4 where x_0 and x_1 have one sign, else it loses 4."""
    same = np.where(x[:, 0] * x[:, 1] > 0.0, 4.0, -4.0)
    none = np.zeros(len(x))
    return np.stack([same, -same, none, none], 1)


def cliff(x: FloatArray) -> FloatArray:
    """The first action earns 2 but where x_0 is low: there it loses 6. The rest earn nothing.

    The best choice is linear in the context, the value of the action is not.
    """
    none = np.zeros(len(x))
    return np.stack([np.where(x[:, 0] > -0.3, 2.0, -6.0), none, none, none], 1)


@dataclass(frozen=True, slots=True, eq=False)
class Planted:
    """A log, and the truth it was drawn from."""

    log: TrainingLog
    truth: Truth

    def value(self, policy: Policy, n: int = 20_000) -> float:
        """What a policy earns on fresh contexts, as a share of the way from chance to the best."""
        features, mask = contexts(n, 991)
        means = self.truth(features.astype(np.float64))
        earned = (policy.action_probabilities(features, mask) * means).sum(axis=1).mean()
        chance = (normalised(np.ones(mask.shape), mask) * means).sum(axis=1).mean()
        best = np.where(mask, means, -np.inf).max(axis=1).mean()
        return float((earned - chance) / (best - chance))


def contexts(n: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Contexts [n, 3] and legal actions [n, 4]; `pause:1` is always legal."""
    rng = np.random.default_rng(seed)
    mask = rng.random((n, len(FOUR))) < 0.8
    mask[:, WAIT] = True
    return rng.normal(size=(n, 3)).astype(np.float32), mask


def planted(
    n: int,
    seed: int,
    truth: Truth = crossing,
    noise: float = 4.0,
    tilt: float = 0.0,
    told: bool = True,
) -> Planted:
    """A log by a random policy, two decisions a contact.

    Args:
        n: decisions.
        seed: of contexts, actions and noise.
        truth: expected returns.
        noise: standard deviation of a return.
        tilt: how much the log prefers the first action where x_0 is high, in log-odds.
        told: whether the log tells its propensities.
    """
    features, mask = contexts(n, seed)
    rng = np.random.default_rng([seed, 1])
    odds = np.ones((n, len(FOUR)))
    odds[:, 0] = np.exp(tilt * features[:, 0])
    probabilities = normalised(odds, mask)
    action = sample_actions(probabilities, rng.random(n))
    returns = truth(features.astype(np.float64))[np.arange(n), action]
    returns = returns + rng.normal(0.0, noise, n)
    propensity = probabilities[np.arange(n), action]
    return Planted(log_of(features, mask, action, returns, propensity if told else None), truth)


def log_of(
    features: NDArray[np.float32],
    mask: NDArray[np.bool_],
    action: NDArray[np.int64],
    returns: FloatArray,
    propensity: FloatArray | None,
    catalog: ActionCatalog = FOUR,
) -> TrainingLog:
    """Single decisions, two a contact."""
    n = action.size
    return TrainingLog(
        catalog=catalog,
        columns=tuple(f"x{column}" for column in range(features.shape[1])),
        features=features,
        mask=mask,
        action=action,
        reward=returns,
        returns=returns,
        propensity=np.full(n, np.nan) if propensity is None else propensity,
        episode=np.arange(n),
        step=np.zeros(n, np.int64),
        cluster=np.arange(n) // 2,
        discount=0.0,
    )


def silent(step: int, numbers: dict[str, float]) -> None:
    """Nobody is told."""

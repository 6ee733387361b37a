"""The policy that made a log: estimated from what it logged, and how the log is put under it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from nurture_envs.actions import ActionCatalog
from nurture_envs.rollout import ActsOnArrays
from nurture_rl.simulator.gap.trajectories import BoolArray, FloatArray, Trajectories

_ROWS = 20_000  # enough for a softmax regression of any catalogue
_PRIOR = 1.0  # precision of its weights


@dataclass(frozen=True, slots=True, eq=False)
class EstimatedPolicy:
    """A softmax regression on the features over the legal actions.

    An action's logit falls by `crowding` times the logarithm of the number of legal actions of its
    routing: 0 is a plain softmax, 1 a policy that first draws a routing and then an action of it.
    """

    mean: FloatArray  # [d]
    scale: FloatArray  # [d]
    weights: FloatArray  # [d + 1, a], the intercept last
    crowding: float
    same: BoolArray  # [a, a], actions of one routing

    def action_probabilities(
        self, features: NDArray[np.float32], mask: NDArray[np.bool_]
    ) -> FloatArray:
        """Probability of every action, 0 where masked, [n, a]."""
        x = (features - self.mean) / self.scale
        logits = x @ self.weights[:-1] + self.weights[-1]
        logits = logits - self.crowding * np.log(np.maximum(mask @ self.same, 1))
        logits = np.where(mask, logits, -np.inf)
        chance = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(chance / chance.sum(axis=1, keepdims=True))


def estimate_policy(
    log: Trajectories, catalog: ActionCatalog, rng: np.random.Generator
) -> EstimatedPolicy:
    """Project the logged distributions on the features: what the policy does where it is seen.

    The targets are the logged probabilities where they are known, else the actions taken. Penalised
    maximum likelihood by L-BFGS.
    """
    n = len(log.action)
    rows = rng.choice(n, _ROWS, replace=False) if n > _ROWS else np.arange(n)
    x = log.features[rows].astype(np.float64)
    spread = x.std(axis=0)
    mean, scale = x.mean(axis=0), np.where(spread > 1e-6, spread, 1.0)
    same = np.array([[a.routing == b.routing for b in catalog.actions] for a in catalog.actions])
    target = np.eye(len(catalog))[log.action[rows]]
    if log.probabilities is not None:
        target = log.probabilities[rows]
    mask = log.mask[rows] | (target > 0.0)
    design = np.concatenate([(x - mean) / scale, np.ones((len(rows), 1))], axis=1)
    crowd = np.log(np.maximum(mask @ same, 1))
    weights, crowding = _fit(design, target, mask, crowd)
    return EstimatedPolicy(mean, scale, weights, crowding, same)


def _fit(
    x: FloatArray, target: FloatArray, mask: BoolArray, crowd: FloatArray
) -> tuple[FloatArray, float]:
    """Weights [d + 1, a] and crowding of least penalised cross-entropy."""
    n, shape = len(x), (x.shape[1], target.shape[1])
    penalised = np.append(np.ones(shape[0] - 1), 0.0)[:, None] * _PRIOR / n

    def objective(parameters: FloatArray) -> tuple[float, FloatArray]:
        weights = parameters[:-1].reshape(shape)
        logits = np.where(mask, x @ weights - parameters[-1] * crowd, -np.inf)
        logits = logits - logits.max(axis=1, keepdims=True)
        chance = np.exp(logits)
        total = chance.sum(axis=1, keepdims=True)
        told = np.where(mask, logits - np.log(total), 0.0)
        loss = -(target * told).sum() / n + 0.5 * (penalised * weights**2).sum()
        off = (chance / total - target) / n
        slope = np.append(x.T @ off + penalised * weights, -(off * crowd).sum())
        return float(loss), slope

    start = np.append(np.zeros(shape), 0.5)
    found = minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 200})
    return found.x[:-1].reshape(shape), float(found.x[-1])


@dataclass(frozen=True, slots=True, eq=False)
class PolicyWeights:
    """Chance of each logged action under the replayed policy over that under the logging one."""

    step: FloatArray  # [N], of the decision alone
    until: FloatArray  # [N], of all decisions of the episode until then
    ess_share: float  # effective episodes as a share of all, in (0, 1]


def policy_weights(log: Trajectories, policy: ActsOnArrays) -> PolicyWeights:
    """Weights that make the log look as if the replayed policy had made it.

    They are 1 where that policy is the logging policy. What the logging policy knew and the
    features do not hold is in them: a replay can only choose by what it sees.
    """
    table = policy.action_probabilities(log.features, log.mask)
    chance = table[np.arange(len(log.action)), log.action]
    step = np.where(np.isfinite(log.propensity), chance / log.propensity, 1.0)
    logs = np.log(np.maximum(step, 1e-12))
    total = np.cumsum(logs)
    before = np.append(0.0, total)[log.first]
    until = np.exp(total - before[log.episode])
    last = until[log.last]
    return PolicyWeights(step, until, float(last.sum() ** 2 / (last @ last) / len(last)))

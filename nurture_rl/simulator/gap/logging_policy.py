"""The policy that made a log: estimated from what it logged, and how the log is put under it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nurture_envs.actions import ActionCatalog
from nurture_envs.rollout import ActsOnArrays
from nurture_rl.simulator.gap.trajectories import BoolArray, FloatArray, Trajectories

_ROWS = 40_000  # enough for a softmax regression of any catalogue
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
    weights, crowding = _fit(
        torch.as_tensor(design),
        torch.as_tensor(target),
        torch.as_tensor(mask),
        torch.as_tensor(np.log(np.maximum(mask @ same, 1))),
    )
    return EstimatedPolicy(mean, scale, weights, crowding, same)


def _fit(x: Tensor, target: Tensor, mask: Tensor, crowd: Tensor) -> tuple[FloatArray, float]:
    weights = torch.zeros(x.shape[1], target.shape[1], dtype=torch.float64, requires_grad=True)
    crowding = torch.full((1,), 0.5, dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS(
        [weights, crowding], max_iter=60, tolerance_change=1e-7, line_search_fn="strong_wolfe"
    )

    def objective() -> Tensor:
        search.zero_grad()
        logits = (x @ weights - crowding * crowd).masked_fill(~mask, -1e9)
        fit = -(target * torch.log_softmax(logits, dim=1)).sum() / len(x)
        loss = fit + 0.5 * _PRIOR * (weights[:-1] ** 2).sum() / len(x)
        torch.autograd.backward([loss])
        return loss

    search.step(objective)  # type: ignore[no-untyped-call]
    return weights.detach().numpy(), float(crowding.detach())


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

"""The policy that made a log: estimated from what it logged, and how the log is put under it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nurture_envs.actions import ActionCatalog
from nurture_envs.rollout import ActsOnArrays
from nurture_rl.policies.softmax import Softmax
from nurture_rl.simulator.gap.trajectories import FloatArray, Trajectories
from nurture_rl.simulator.softmax_fit import Seen, fit_softmax

_ROWS = 20_000  # enough for a softmax regression of any catalogue


def estimate_policy(log: Trajectories, catalog: ActionCatalog, rng: np.random.Generator) -> Softmax:
    """Project the logged distributions on the features: what the policy does where it is seen.

    The targets are the logged probabilities where they are known, else the actions taken.
    """
    n = len(log.action)
    rows = rng.choice(n, _ROWS, replace=False) if n > _ROWS else np.arange(n)
    target = np.eye(len(catalog))[log.action[rows]]
    if log.probabilities is not None:
        target = log.probabilities[rows]
    return fit_softmax(Seen(log.features[rows], log.mask[rows], target), catalog).policy


@dataclass(frozen=True, slots=True, eq=False)
class PolicyWeights:
    """Chance of each logged action under the replayed policy over that under the logging one."""

    step: FloatArray  # [N], of the decision alone
    until: FloatArray  # [N], of all decisions of the episode until then
    ess_share: float  # effective episodes as a share of all, in (0, 1]


def policy_weights(log: Trajectories, policy: ActsOnArrays) -> PolicyWeights:
    """Weights that make the log look as if the replayed policy had made it.

    They are 1 where that policy is the logging policy. They correct for facts that the logging
    policy knew and the features lack: a replayed policy sees the features alone.
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

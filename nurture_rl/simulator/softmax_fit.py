"""The fit of a softmax policy to the distributions, or the actions, that a log holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from nurture_envs.actions import ActionCatalog
from nurture_rl.policies.policy import BoolArray, FeatureArray, FloatArray
from nurture_rl.policies.softmax import Softmax, crowd

_PRIOR = 1.0  # precision of the weights
_LEAST = 1e-12  # chance below which the logarithm stays where it is


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What a policy was seen to do."""

    features: FeatureArray  # [n, d]
    mask: BoolArray  # True where legal, [n, a]
    target: FloatArray  # its distribution, or 1 at the action it took, [n, a]


@dataclass(frozen=True, slots=True, eq=False)
class SoftmaxFit:
    """A softmax, and how often the base was followed instead."""

    policy: Softmax
    share: float  # of the base, in [0, 1); 0 where there was none


def fit_softmax(seen: Seen, catalog: ActionCatalog, base: FloatArray | None = None) -> SoftmaxFit:
    """Project distributions on the features: what the policy does where it is seen.

        target ~ share base + (1 - share) softmax(W x)

    Penalised maximum likelihood by L-BFGS.

    Args:
        seen: contexts and what the policy did in them.
        catalog: the actions.
        base: probabilities of a program that the policy may follow in a share of decisions, [n, a].
    """
    x = seen.features.astype(np.float64)
    spread = x.std(axis=0)
    mean, scale = x.mean(axis=0), np.where(spread > 1e-6, spread, 1.0)
    mask = seen.mask | (seen.target > 0.0)
    design = np.concatenate([(x - mean) / scale, np.ones((len(x), 1))], axis=1)
    weights, crowding, share = _fit(design, seen.target, mask, crowd(mask, catalog), base)
    return SoftmaxFit(Softmax(catalog, mean, scale, weights, crowding), share)


def _fit(
    x: FloatArray, target: FloatArray, mask: BoolArray, crowded: FloatArray, base: FloatArray | None
) -> tuple[FloatArray, float, float]:
    """Weights [d + 1, a], crowding and the base's share of least penalised cross-entropy."""
    n, shape = len(x), (x.shape[1], target.shape[1])
    penalised = np.append(np.ones(shape[0] - 1), 0.0)[:, None] * _PRIOR / n
    program = np.zeros(target.shape) if base is None else base

    def objective(parameters: FloatArray) -> tuple[float, FloatArray]:
        weights, share = parameters[:-2].reshape(shape), 0.0
        if base is not None:
            share = float(expit(parameters[-1]))
        logits = np.where(mask, x @ weights - parameters[-2] * crowded, -np.inf)
        chance = np.exp(logits - logits.max(axis=1, keepdims=True))
        chance = chance / chance.sum(axis=1, keepdims=True)
        told = np.maximum(share * program + (1.0 - share) * chance, _LEAST)
        loss = -(target * np.log(told)).sum() / n + 0.5 * (penalised * weights**2).sum()
        pull = (1.0 - share) * target / told / n
        off = chance * ((pull * chance).sum(axis=1, keepdims=True) - pull)
        rise = -(target / told * (program - chance)).sum() / n * share * (1.0 - share)
        slope = np.append(x.T @ off + penalised * weights, [-(off * crowded).sum(), rise])
        return float(loss), slope

    start = np.append(np.zeros(shape), [0.5, 0.0])
    optimum = minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 300})
    share = 0.0 if base is None else float(expit(optimum.x[-1]))
    return optimum.x[:-2].reshape(shape), float(optimum.x[-2]), share

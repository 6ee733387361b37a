"""A policy of action values that tilts a logging policy instead of taking the best action."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import torch

from nurture_rl.learned.choice_rules import Boltzmann, Greedy
from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.policies.policy import BoolArray, FeatureArray, FloatArray


def has_values(policy: object) -> bool:
    """Whether it takes the action that it values most, so that its values can tilt."""
    return isinstance(policy, ScoredPolicy) and isinstance(policy.module.rule, Greedy)


def tempered(policy: ScoredPolicy, temperature: float) -> ScoredPolicy:
    """The same values, acted on by exp(value / temperature).

    Args:
        policy: of action values.
        temperature: in their unit, > 0.

    Raises:
        PolicyError: a temperature out of range.
    """
    module = copy.copy(policy.module)
    module.rule = Boltzmann(temperature)
    return replace(policy, module=module)


def spread_of_values(
    policy: ScoredPolicy, features: FeatureArray, mask: BoolArray, logging: FloatArray
) -> float:
    """Standard deviation of the values of what the logging policy does, in their unit.

        s = sqrt(mean_n sum_a mu(a|n) (q(n, a) - sum_b mu(b|n) q(n, b))^2)

    Args:
        policy: of action values q.
        features: contexts, [n, d].
        mask: True where legal, [n, a].
        logging: mu, 0 where not legal, [n, a].
    """
    with torch.no_grad():
        values = policy.module.scores(torch.tensor(features)).mean(dim=2).numpy()
    values = np.where(mask, values, 0.0)
    mean = (logging * values).sum(axis=1, keepdims=True)
    return float(np.sqrt((logging * (values - mean) ** 2).sum(axis=1).mean()))

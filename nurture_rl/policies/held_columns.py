"""A policy that is shown some features at fixed values, as if nobody knew them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nurture_rl.policies.policy import BoolArray, FeatureArray, FloatArray, Policy, Spec


@dataclass(frozen=True)
class HeldColumns:
    """Decides as `policy` does where the held columns have these values."""

    policy: Policy
    held: Mapping[int, float]  # value by position of the feature column

    def action_probabilities(self, features: FeatureArray, mask: BoolArray) -> FloatArray:
        """The policy's distribution on the features with the columns held, [n, a]."""
        return self.policy.action_probabilities(with_held(features, self.held), mask)

    def spec(self) -> Spec:
        """As the policy describes itself; what is held is no part of the description."""
        return self.policy.spec()


def with_held(features: FeatureArray, held: Mapping[int, float]) -> FeatureArray:
    """A copy of features with some columns at fixed values, [n, d]."""
    changed = np.array(features, np.float32)
    for column, value in held.items():
        changed[:, column] = value
    return changed


def usual_values(features: FeatureArray) -> dict[int, float]:
    """The lower median of each column: a value that it often has, and the one of a constant.

    Args:
        features: of the decisions that are learned from, [n, d], n >= 1.
    """
    middle = np.sort(features, axis=0)[(len(features) - 1) // 2]
    return {column: float(value) for column, value in enumerate(middle)}

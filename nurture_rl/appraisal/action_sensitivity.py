"""How often a decision would be another one if something were not known.

A prediction that changes no action is reporting. So each feature, and each source of features, is
held at the value that it usually has, and the policy is asked again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nurture_rl.policies.held_columns import with_held
from nurture_rl.policies.policy import BoolArray, FeatureArray, Policy


@dataclass(frozen=True, slots=True)
class ActionSensitivity:
    """What becomes of decisions when some columns are held."""

    changed: float  # share whose most probable action is another one, in [0, 1]
    moved: float  # mean probability that goes to other actions, in [0, 1]

    @property
    def bound(self) -> bool:
        """Whether what is held moves any decision at all."""
        return self.moved > 0.0 or self.changed > 0.0


def action_sensitivities(
    policy: Policy,
    features: FeatureArray,
    mask: BoolArray,
    groups: Mapping[str, Sequence[int]],
    usual: Mapping[int, float],
) -> dict[str, ActionSensitivity]:
    """Ask a policy again with each group of columns held at usual values.

    Args:
        policy: that decides.
        features: of decisions, [n, d]; those with one legal action have no say.
        mask: legal actions, [n, a].
        groups: feature columns by name.
        usual: the value of each column.

    Returns:
        By group. A group of constant columns gives exactly 0.
    """
    choice = mask.sum(axis=1) > 1
    features, mask = features[choice], mask[choice]
    if not len(features):
        return {name: ActionSensitivity(0.0, 0.0) for name in groups}
    first = policy.action_probabilities(features, mask)
    best = first.argmax(axis=1)
    found = {}
    for name, columns in groups.items():
        changed = with_held(features, {column: usual[column] for column in columns})
        rows = np.flatnonzero((changed != features).any(axis=1))
        moved, other = 0.0, 0
        if rows.size:
            second = policy.action_probabilities(changed[rows], mask[rows])
            moved = float(np.abs(second - first[rows]).sum()) / 2.0
            other = int((second.argmax(axis=1) != best[rows]).sum())
        found[name] = ActionSensitivity(other / len(features), moved / len(features))
    return found

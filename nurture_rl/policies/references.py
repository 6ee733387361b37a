"""Reference policies that look at no feature: what learners and journeys are compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nurture_envs.actions import ActionCatalog
from nurture_rl.policies.policy import (
    BoolArray,
    FeatureArray,
    FloatArray,
    IntArray,
    PolicyError,
    Spec,
    certain,
    normalised,
    require_batch,
)

ROUTINGS = ("send", "pause", "slow", "escalate", "exit")
RANDOM_WEIGHTS: Mapping[str, float] = {"pause": 0.5, "send": 0.44, "escalate": 0.05, "exit": 0.01}
SLOW_WEIGHT = 0.02  # besides, in a journey that can slow down


@dataclass(frozen=True)
class NoContact:
    """Never do anything: `pause:1` in every bin."""

    catalog: ActionCatalog

    def action_probabilities(self, features: FeatureArray, mask: BoolArray) -> FloatArray:
        """Probability 1 on `pause:1`, [n, a]."""
        require_batch(features, mask, len(self.catalog))
        return certain(np.full(len(mask), self.catalog.wait, np.int64), len(self.catalog))

    def spec(self) -> Spec:
        """The kind alone."""
        return {"kind": "no_contact"}


@dataclass(frozen=True)
class Always:
    """One action in every bin in which it is legal, else `pause:1`."""

    catalog: ActionCatalog
    action: str  # action id

    def __post_init__(self) -> None:
        self.catalog.index(self.action)

    def action_probabilities(self, features: FeatureArray, mask: BoolArray) -> FloatArray:
        """Probability 1 on the action, or on `pause:1` where it is masked, [n, a]."""
        require_batch(features, mask, len(self.catalog))
        wanted = np.full(len(mask), self.catalog.index(self.action), np.int64)
        return certain(or_wait(wanted, mask, self.catalog), len(self.catalog))

    def spec(self) -> Spec:
        """The kind and the action id."""
        return {"kind": "always", "action": self.action}


@dataclass(frozen=True)
class Random:
    """Draws a routing kind by weight among the legal ones, then an action of it uniformly."""

    catalog: ActionCatalog
    weights: tuple[tuple[str, float], ...]  # (routing kind, weight >= 0)

    def __post_init__(self) -> None:
        unknown = [kind for kind, _ in self.weights if kind not in ROUTINGS]
        if unknown:
            raise PolicyError(f"expected weights of {', '.join(ROUTINGS)}, got {unknown}")
        _require_weights("random", dict(self.weights))

    def action_probabilities(self, features: FeatureArray, mask: BoolArray) -> FloatArray:
        """Weights of the legal kinds, shared equally inside a kind, [n, a].

        A row whose legal kinds all have weight 0 pauses one bin.
        """
        require_batch(features, mask, len(self.catalog))
        weights = np.zeros(mask.shape)
        for kind, weight in self.weights:
            legal = mask & self.catalog.routed(kind)
            weights += weight * legal / np.maximum(legal.sum(axis=1, keepdims=True), 1)
        return _normalised_or_wait(weights, mask, self.catalog)

    def spec(self) -> Spec:
        """The kind and every weight."""
        return {"kind": "random", "weights": dict(self.weights)}


@dataclass(frozen=True)
class Fixed:
    """One distribution for everybody, scaled up over the legal actions in proportion.

    The design of a randomised trial, such as a third each of two mails and none.
    """

    catalog: ActionCatalog
    probabilities: tuple[tuple[str, float], ...]  # (action id, probability), sums to 1

    def __post_init__(self) -> None:
        for action_id, _ in self.probabilities:
            self.catalog.index(action_id)
        _require_weights("fixed", dict(self.probabilities))
        total = sum(probability for _, probability in self.probabilities)
        # Wide enough for thirds written with two decimals; a forgotten action misses by more.
        if abs(total - 1.0) > 0.02:
            raise PolicyError(
                f"fixed probabilities must sum to 1, got {total:g}; add the missing action ids"
            )

    def action_probabilities(self, features: FeatureArray, mask: BoolArray) -> FloatArray:
        """The distribution restricted to legal actions, [n, a]; `pause:1` where none is left."""
        require_batch(features, mask, len(self.catalog))
        weights = np.zeros(len(self.catalog))
        for action_id, probability in self.probabilities:
            weights[self.catalog.index(action_id)] = probability
        return _normalised_or_wait(np.where(mask, weights, 0.0), mask, self.catalog)

    def spec(self) -> Spec:
        """The kind and the probability of every named action."""
        return {"kind": "fixed", "probabilities": dict(self.probabilities)}


def or_wait(action: IntArray, mask: BoolArray, catalog: ActionCatalog) -> IntArray:
    """The action of each row where legal, else `pause:1`, [n]."""
    legal = mask[np.arange(action.size), action]
    return np.where(legal, action, catalog.wait).astype(np.int64)


def _normalised_or_wait(weights: FloatArray, mask: BoolArray, catalog: ActionCatalog) -> FloatArray:
    weightless = weights.sum(axis=1) <= 0.0
    weights[weightless, catalog.wait] = 1.0
    return normalised(weights, mask)


def _require_weights(kind: str, weights: Mapping[str, float]) -> None:
    values = np.array(list(weights.values()), np.float64)
    if not np.isfinite(values).all() or (values < 0.0).any() or values.sum() <= 0.0:
        raise PolicyError(f"{kind} weights must be finite, >= 0 and not all 0, got {dict(weights)}")

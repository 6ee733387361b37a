"""A softmax regression on the features: what stands for a policy that only its log describes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nurture_envs.actions import ActionCatalog
from nurture_rl.policies.policy import (
    BoolArray,
    FeatureArray,
    FloatArray,
    PolicyError,
    Spec,
    normalised,
    require_batch,
)


@dataclass(frozen=True, slots=True, eq=False)
class Softmax:
    """A softmax regression on the features over the legal actions.

    An action's logit falls by `crowding` times the logarithm of the number of legal actions of its
    routing: 0 is a plain softmax, 1 a policy that first draws a routing and then an action of it.
    """

    catalog: ActionCatalog
    mean: FloatArray  # [d]
    scale: FloatArray  # [d], > 0
    weights: FloatArray  # [d + 1, a], the intercept last
    crowding: float

    def __post_init__(self) -> None:
        d, a = len(self.mean), len(self.catalog)
        if self.scale.shape != (d,) or self.weights.shape != (d + 1, a):
            raise PolicyError(
                f"softmax: expected scale [{d}] and weights [{d + 1}, {a}], got "
                f"{self.scale.shape} and {self.weights.shape}; fit it on this journey's log"
            )
        parts = (self.mean, self.scale, self.weights, np.array(self.crowding))
        if not all(np.isfinite(part).all() for part in parts) or not (self.scale > 0.0).all():
            raise PolicyError("softmax: expected finite numbers and scales > 0; fit it again")

    def action_probabilities(self, features: FeatureArray, mask: BoolArray) -> FloatArray:
        """Probability of every action, 0 where masked, [n, a]."""
        require_batch(features, mask, len(self.catalog))
        x = (features - self.mean) / self.scale
        # Unlike a product of matrices, einsum adds up a row alone as it does in a batch.
        logits = np.einsum("nd,da->na", x, self.weights[:-1]) + self.weights[-1]
        logits = logits - self.crowding * crowd(mask, self.catalog)
        logits = np.where(mask, logits, -np.inf)
        return normalised(np.exp(logits - logits.max(axis=1, keepdims=True)), mask)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Softmax)
            and self.catalog == other.catalog
            and self.spec() == other.spec()
        )

    def __hash__(self) -> int:
        return hash((self.catalog, self.weights.tobytes()))

    def spec(self) -> Spec:
        """The kind and every number."""
        return {
            "kind": "softmax",
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
            "weights": self.weights.tolist(),
            "crowding": self.crowding,
        }


def crowd(mask: BoolArray, catalog: ActionCatalog) -> FloatArray:
    """Logarithm of how many actions of each action's routing are legal, [n, a]."""
    same = np.array([[a.routing == b.routing for b in catalog.actions] for a in catalog.actions])
    # numpy multiplies boolean matrices by "or": counts need numbers.
    return np.asarray(np.log(np.maximum(mask.astype(np.float64) @ same, 1.0)))

"""Parity vectors: a few states and the probabilities the policy must give for them, anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nurture_rl.errors import BundleError, NurtureError
from nurture_rl.policies.policy import (
    BoolArray,
    FeatureArray,
    FloatArray,
    Policy,
    check_probabilities,
)

TOLERANCE = 1e-5  # of probability, between a policy and its export, on any machine


@dataclass(frozen=True, slots=True)
class States:
    """Contexts with their masks."""

    features: FeatureArray  # [n, d]
    mask: BoolArray  # [n, a]


def random_states(
    features: FeatureArray, wait: int, n_actions: int, n: int, rng: np.random.Generator
) -> States:
    """States around given contexts: each a jittered copy of one, with a random mask.

    Args:
        features: contexts seen in training, [m, d].
        wait: position of `pause:1`, which every mask allows.
        n_actions: actions in the catalogue, a.
        n: states wanted.
        rng: draws contexts, noise of half a standard deviation, and masks.
    """
    base = features[rng.integers(0, len(features), n)]
    noise = rng.normal(size=base.shape) * 0.5 * features.std(axis=0)
    mask = rng.random((n, n_actions)) < rng.random((n, 1))
    mask[:, wait] = True
    return States((base + noise).astype(np.float32), mask)


def normal_states(
    mean: FloatArray, scale: FloatArray, shape: tuple[int, int], wait: int, rng: np.random.Generator
) -> States:
    """Normal features with the training moments and random masks.

    Args:
        mean: of each feature, [d].
        scale: standard deviation of each feature, [d].
        shape: (states n, actions a).
        wait: position of `pause:1`, which every mask allows.
        rng: draws features and masks.
    """
    n, n_actions = shape
    features = (mean + scale * rng.normal(size=(n, len(mean)))).astype(np.float32)
    mask = rng.random((n, n_actions)) < rng.random((n, 1))
    mask[:, wait] = True
    return States(features, mask)


def parity_data(policy: Policy, states: States) -> dict[str, Any]:
    """The policy's answers on the states, as plain data."""
    table = policy.action_probabilities(states.features, states.mask)
    check_probabilities(table, states.mask)
    return {
        "features": states.features.astype(float).tolist(),
        "mask": states.mask.tolist(),
        "probabilities": table.tolist(),
    }


def require_parity(policy: Policy, data: Mapping[str, Any], name: str) -> None:
    """Refuse a policy that answers otherwise than when it was exported.

    Raises:
        BundleError: a probability is off by more than TOLERANCE, or the file has another form.
    """
    try:
        with np.errstate(over="ignore"):  # infinite features give no probabilities
            features = np.array(data["features"], np.float32)
        mask = np.array(data["mask"], np.bool_)
        expected = np.array(data["probabilities"], np.float64)
        actual = policy.action_probabilities(features, mask)
    except BundleError:
        raise
    except (KeyError, TypeError, ValueError, OverflowError, NurtureError) as error:
        raise BundleError(
            f"{name}: expected features, mask and probabilities, got: {error!r}; export it again"
        ) from error
    if actual.shape != expected.shape or not len(actual):
        raise BundleError(
            f"{name}: expected probabilities {actual.shape} of at least one state, got "
            f"{expected.shape}; export it again"
        )
    worst = float(np.abs(actual - expected).max())
    if not worst <= TOLERANCE:
        raise BundleError(
            f"{name}: the policy's probabilities differ by {worst:.2g} from those of its export, "
            f"at most {TOLERANCE:g} is allowed; export it again with the libraries of this machine"
        )

"""What features did to the probability of an action: each alone set to its reference."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nurture_envs.features import (
    NEVER,
    FeatureSpec,
    FeatureState,
    described_columns,
    evaluate,
)
from nurture_rl.policies.policy import Policy
from nurture_rl.serving.http.explain_wire import FeatureEffect, FeatureEffects
from nurture_rl.serving.layers import probabilities
from nurture_rl.serving.records import Decision

METHOD = (
    "effect = probability of the action taken, less what it would be if this feature alone had its "
    "reference value: that of a contact without attributes and without any event, in the same bin "
    "of an episode with the same beginning. The mask stays. Features act together, so effects do "
    "not add up"
)

_SMALLEST = 1e-6  # of probability; less is rounding


def feature_effects(
    spec: FeatureSpec, policy: Policy, decision: Decision, action: int
) -> FeatureEffects:
    """The effect of each feature on a decision, largest first.

    Columns of one feature, such as the levels of an attribute, are set together. Source: one-at-a-
    time occlusion, as in Zeiler & Fergus (2014), Visualizing and Understanding Convolutional
    Networks, section 2.1, on features in place of pixels.

    Args:
        spec: names the columns of `decision.features`.
        policy: that decided.
        decision: with features.
        action: position of the action taken.

    Raises:
        NurtureError: the decision was made on other features, or the policy gives no distribution.
        Exception: whatever the policy raises.
    """
    own = np.array([decision.features], np.float32)
    mask = np.array([decision.mask], np.bool_)
    base = float(probabilities(policy, own, mask)[0, action])
    reference = reference_features(spec, decision.step, decision.anchor_us)
    columns = described_columns(spec)
    found = []
    for name, places in groups_of(spec):
        if np.array_equal(own[0, places], reference[places]):
            continue
        other = own.copy()
        other[0, places] = reference[places]
        effect = base - float(probabilities(policy, other, mask)[0, action])
        if abs(effect) >= _SMALLEST:
            names = [spec.columns[place] for place in places]
            values = dict(zip(names, own[0, places].tolist(), strict=True))
            instead = dict(zip(names, reference[places].tolist(), strict=True))
            meaning = columns[places[0]].meaning
            found.append(FeatureEffect(name, meaning, values, instead, effect))
    found.sort(key=lambda one: (-abs(one.effect), one.feature))
    return FeatureEffects(METHOD, found, len(spec.features) - len(found))


def reference_features(spec: FeatureSpec, step: int, anchor_us: int) -> NDArray[np.float32]:
    """The features of a contact of whom nothing is known, [d].

    Args:
        spec: the features.
        step: the bin that is decided.
        anchor_us: the episode's beginning, local wall time, microseconds.
    """
    channels = len(spec.channels)
    nothing = FeatureState(
        np.zeros((1, spec.window, channels), np.float32), np.full((1, channels), NEVER, np.int32)
    )
    at = np.array([step], np.int64), np.array([anchor_us], np.int64)
    found = evaluate(spec, nothing, *at, spec.encode_attributes([{}]))
    return np.asarray(found[0], np.float32)


def groups_of(spec: FeatureSpec) -> list[tuple[str, list[int]]]:
    """Each feature and the positions of its columns."""
    found, start = [], 0
    for feature in spec.features:
        width = len(spec.names(feature))
        found.append((feature.name, list(range(start, start + width))))
        start += width
    return found

"""Asking a policy about many contacts at once, so that each gets the answer it would get alone.

Matrix products of one row may be rounded otherwise than those of several. A decision that depended
on the company it was made in could not be made again from its own row of the log.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from nurture_rl.policies.policy import Policy

FeatureArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]

_TRIED = 37  # rows of the trial: no multiple of what processors take at once
_SOME = (2, 5, 16)  # rows of further trials


def in_any_company(policy: Policy, features: FeatureArray, mask: BoolArray) -> FloatArray:
    """Probabilities of each contact, the same whoever is asked for beside it, [n, a].

    A policy that answers rows of one batch alike in every batch is asked for all at once, and for
    one contact as for two who are the same; any other is asked for one contact after the other.

    Args:
        policy: who is asked.
        features: of the contacts, [n, d].
        mask: True where legal, [n, a].

    Raises:
        Exception: whatever the policy raises.
    """
    if not len(mask):
        return np.zeros(mask.shape)
    if not _answers_alike(_ByIdentity(policy), features.shape[1], mask.shape[1]):
        return _one_by_one(policy, features, mask)
    return _together(policy, features, mask)


def alone(policy: Policy, features: FeatureArray, mask: BoolArray) -> list[FloatArray]:
    """Every answer that `in_any_company` may have given for one contact, [1, a] each.

    Args:
        policy: who is asked.
        features: of the contact, [1, d].
        mask: True where legal, [1, a].

    Raises:
        Exception: whatever the policy raises.
    """
    return [way(policy, features, mask) for way in (_together, _one_by_one)]


def _together(policy: Policy, features: FeatureArray, mask: BoolArray) -> FloatArray:
    n = len(mask)
    if n == 1:
        features, mask = np.repeat(features, 2, axis=0), np.repeat(mask, 2, axis=0)
    return np.asarray(policy.action_probabilities(features, mask))[:n]


def _one_by_one(policy: Policy, features: FeatureArray, mask: BoolArray) -> FloatArray:
    rows = range(len(mask))
    return np.vstack(
        [policy.action_probabilities(features[i : i + 1], mask[i : i + 1]) for i in rows]
    )


class _ByIdentity:
    """A policy by itself, for those that cannot be hashed."""

    __slots__ = ("policy",)

    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    def __hash__(self) -> int:
        return id(self.policy)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByIdentity) and other.policy is self.policy


@lru_cache(maxsize=64)
def _answers_alike(key: _ByIdentity, d: int, a: int) -> bool:
    """Whether a policy gave the same bits for made-up contacts in batches of several sizes."""
    rng, policy = np.random.default_rng(0), key.policy
    features = rng.normal(size=(_TRIED, d)).astype(np.float32)
    mask = np.ones((_TRIED, a), np.bool_)
    try:
        table = _together(policy, features, mask)
        each = [_together(policy, features[i : i + 1], mask[i : i + 1]) for i in range(_TRIED)]
        some = [_together(policy, features[:n], mask[:n]) for n in _SOME]
    except Exception:  # whatever it raises: asked for real contacts it raises again, or does not
        return False
    same = bool((np.vstack(each) == table).all())
    return same and all(bool((few == table[: len(few)]).all()) for few in some)

"""One factor of the usual program is left to a policy; every other factor stays as it is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nurture_envs.actions import Action, ActionCatalog
from nurture_envs.journey import Message
from nurture_rl.policies.policy import (
    BoolArray,
    FeatureArray,
    FloatArray,
    Policy,
    PolicyError,
    Spec,
    certain,
)

FREE_FACTORS = ("timing", "content", "offer", "routing")


@dataclass(frozen=True)
class Locked:
    """The usual program, of whose actions a policy chooses one factor.

    Free is the hour of a mail that the program sends (`timing`); which message of that hour and
    channel it is, with the same entry of the journey's `offers` or none (`content`); which offer
    the same content comes with (`offer`); or whether it goes at all (`routing`: it may be held
    back, and contacts may be slowed down, escalated or let go). Where the program sends no mail,
    none is sent.
    """

    catalog: ActionCatalog
    policy: Policy
    usual: Policy
    free: str  # one of FREE_FACTORS

    def __post_init__(self) -> None:
        if self.free not in FREE_FACTORS:
            raise PolicyError(
                f"expected as free factor one of {', '.join(FREE_FACTORS)}, got {self.free!r}"
            )

    def action_probabilities(self, features: FeatureArray, mask: BoolArray) -> FloatArray:
        """The policy's choice among the actions that keep the locked factors, [n, a].

            q(a) = sum_b u(b) p(a) / p(N_b)  over b with a in N_b

        u is the usual program, p the policy, N_b the actions that differ from b in no locked
        factor. Where p gives none of them a chance, b itself is taken.
        """
        own = np.asarray(self.policy.action_probabilities(features, mask), np.float64)
        usual = np.asarray(self.usual.action_probabilities(features, mask), np.float64)
        table = np.zeros(mask.shape)
        for place in np.flatnonzero((usual > 0.0).any(axis=0)).tolist():
            table += usual[:, [place]] * self._near(place, own)
        return table

    def _near(self, place: int, own: FloatArray) -> FloatArray:
        """What the policy makes of one usual action, [n, a]."""
        if self.free == "routing":  # a mail, whichever the policy means, is what is usual
            weights = np.where(self._sends, 0.0, own)
            weights[:, place] += own[:, self._sends].sum(axis=1)
        else:
            weights = np.where(self._alike[place], own, 0.0)
        total = weights.sum(axis=1, keepdims=True)
        some = total > 0.0
        alone = certain(np.full(len(own), place, np.int64), own.shape[1])
        return np.where(some, weights / np.where(some, total, 1.0), alone)

    @cached_property
    def _sends(self) -> BoolArray:
        return self.catalog.routed("send")

    @cached_property
    def _alike(self) -> BoolArray:
        """Whether the action of a column keeps what is locked of the action of a row, [a, a]."""
        whole = self.catalog.actions
        return np.array([[self._keeps(one, other) for other in whole] for one in whole])

    def _keeps(self, usual: Action, other: Action) -> bool:
        one, two = usual.message, other.message
        if one is None or two is None:
            return usual == other
        if self.free == "timing":
            return one == two
        if self.free == "content":
            kept = (usual.slot, usual.offer, one.channel)
            return kept == (other.slot, other.offer, two.channel)
        return usual.slot == other.slot and _content(one) == _content(two)

    def spec(self) -> Spec:
        """The kind, both parts and the free factor."""
        return {
            "kind": "locked",
            "policy": self.policy.spec(),
            "usual": self.usual.spec(),
            "free": self.free,
        }


def _content(message: Message) -> tuple[str, ...]:
    """What a message says beside its offer, and by which channel."""
    return (message.job, message.topic, message.proof, message.call_to_action, message.channel)

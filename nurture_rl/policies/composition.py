"""Policies made of policies: mixtures, the trust region around a logger, exploration floors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nurture_rl.policies.policy import (
    BoolArray,
    FeatureArray,
    FloatArray,
    Policy,
    PolicyError,
    Spec,
)

_HALF = 0.5  # share of the other up to which a mixture is its policy's


@dataclass(frozen=True)
class Mixture:
    """Follows `other` in a share of decisions, `policy` in the rest."""

    policy: Policy
    other: Policy
    share: float  # of `other`, in [0, 1]

    def __post_init__(self) -> None:
        _require_share("share", self.share)

    def action_probabilities(self, features: FeatureArray, mask: BoolArray) -> FloatArray:
        """(1 - share) policy + share other, [n, a]."""
        first = self.policy.action_probabilities(features, mask)
        second = self.other.action_probabilities(features, mask)
        return (1.0 - self.share) * first + self.share * second

    def spec(self) -> Spec:
        """The kind, both parts and the share."""
        return {
            "kind": "mixture",
            "policy": self.policy.spec(),
            "other": self.other.spec(),
            "share": self.share,
        }


@dataclass(frozen=True)
class TrustRegion:
    """The policy, held near an anchor so that its importance weights stay bounded."""

    policy: Policy
    anchor: Policy  # usually the logging policy
    max_ratio: float  # c, the largest importance ratio to the anchor, >= 1
    explore: float  # share of decisions that follow the anchor, in [0, 1]
    tilt: bool = False  # the policy's probabilities are factors on the anchor's, see `tilted`

    def __post_init__(self) -> None:
        _require_region(self.max_ratio, self.explore)

    def action_probabilities(self, features: FeatureArray, mask: BoolArray) -> FloatArray:
        """(1 - explore) capped(policy) + explore anchor, [n, a]; see `capped`."""
        wanted = self.policy.action_probabilities(features, mask)
        anchor = self.anchor.action_probabilities(features, mask)
        if self.tilt:
            wanted = tilted(wanted, anchor)
        inside = capped(wanted, anchor, self.max_ratio)
        return (1.0 - self.explore) * inside + self.explore * anchor

    def spec(self) -> Spec:
        """The kind, both parts, both limits, and `tilt` where it tilts."""
        return {
            "kind": "trust_region",
            "policy": self.policy.spec(),
            "anchor": self.anchor.spec(),
            "max_ratio": self.max_ratio,
            "explore": self.explore,
            **({"tilt": True} if self.tilt else {}),
        }


@dataclass(frozen=True)
class Region:
    """A trust region that is yet without a policy: what a learner is told of its release."""

    anchor: Policy  # usually the logging policy
    max_ratio: float  # c, the largest importance ratio to the anchor, >= 1
    explore: float  # share of decisions that follow the anchor, in [0, 1]

    def __post_init__(self) -> None:
        _require_region(self.max_ratio, self.explore)

    def around(self, policy: Policy) -> TrustRegion:
        """The policy as it will be released."""
        return TrustRegion(policy, self.anchor, self.max_ratio, self.explore)


@dataclass(frozen=True)
class Floor:
    """The policy with at least `epsilon` on every legal action."""

    policy: Policy
    epsilon: float  # probability, epsilon times the legal actions may not exceed 1

    def __post_init__(self) -> None:
        _require_share("epsilon", self.epsilon)

    def action_probabilities(self, features: FeatureArray, mask: BoolArray) -> FloatArray:
        """The policy mixed with epsilon on each legal action, [n, a]; see `with_floor`."""
        return with_floor(self.policy.action_probabilities(features, mask), mask, self.epsilon)

    def spec(self) -> Spec:
        """The kind, the policy and the floor."""
        return {"kind": "floor", "policy": self.policy.spec(), "epsilon": self.epsilon}


def unheld(policy: Policy) -> Policy:
    """The policy that trust regions, floors and mixtures of at most one half are put around."""
    while isinstance(policy, TrustRegion | Floor) or (
        isinstance(policy, Mixture) and policy.share <= _HALF
    ):
        policy = policy.policy
    return policy


def held_alike(spec: Spec, inner: Spec) -> Spec:
    """A composition's description with another policy in the place of its `unheld` one.

    Args:
        spec: of the composition, as its `spec` gives it.
        inner: description of the other policy.
    """
    kind = spec["kind"]
    if kind in ("trust_region", "floor") or (kind == "mixture" and spec["share"] <= _HALF):
        return {**spec, "policy": held_alike(spec["policy"], inner)}
    return inner


def capped(wanted: FloatArray, anchor: FloatArray, max_ratio: float) -> FloatArray:
    """The distribution nearest to p among those of at most `max_ratio` times the anchor.

        q = min(lambda p, c mu),    with lambda >= 1 such that q sums to 1

    It minimises KL(q || p): what is cut off goes to the policy's next choices, in its own
    proportions. Where all that p wants is at its limit already, the rest is shared out by the
    headroom c mu - q of the other actions. So q <= c mu everywhere, and q = 0 where mu = 0. A
    distribution inside the region is unchanged; at c = 1 the result is the anchor.

    Args:
        wanted: p, rows sum to 1, [n, a].
        anchor: mu, rows sum to 1, [n, a].
        max_ratio: c, >= 1.

    Source: Csiszar (1975), I-Divergence Geometry of Probability Distributions.
    """
    limit = max_ratio * anchor
    full = wanted >= limit  # at their limits; the others share what is left
    left, total, scaled = _shared(wanted, limit, full)
    more = ~full & (scaled > limit)
    while len(rows := np.flatnonzero(more.any(axis=1))):
        full[rows] |= more[rows]
        left[rows], total[rows], scaled[rows] = _shared(wanted[rows], limit[rows], full[rows])
        more = np.zeros_like(full)
        more[rows] = ~full[rows] & (scaled[rows] > limit[rows])
    kept = np.where(full, limit, scaled)
    # Rounding can leave the deficit an ulp above the room; the cap must hold all the same.
    deficit = np.where(total > 0.0, 0.0, left)
    headroom = np.where(full, 0.0, limit)
    room = headroom.sum(axis=1, keepdims=True)
    share = np.divide(deficit, room, out=np.zeros_like(room), where=room > 0.0)
    return np.asarray(kept + np.minimum(share, 1.0) * headroom, np.float64)


def tilted(factors: FloatArray, anchor: FloatArray) -> FloatArray:
    """The anchor with its probabilities multiplied by factors, [n, a]; it alone where all are 0.

        p(a) = mu(a) f(a) / sum_b mu(b) f(b)

    With f = exp(q / t), a policy of action values q, it maximises sum_a p q - t KL(p || mu): it
    leaves the anchor where that gains enough, and stays with it where all actions are worth the
    same. Capped, it is the best of that kind inside the region.

    Args:
        factors: f, of any scale, >= 0, [n, a].
        anchor: mu, rows sum to 1, [n, a].

    Source: Peters, Mulling & Altun (2010), Relative Entropy Policy Search.
    """
    product = factors * anchor
    total = product.sum(axis=1, keepdims=True)
    some = total > 0.0
    return np.asarray(np.where(some, product / np.where(some, total, 1.0), anchor), np.float64)


def _shared(
    wanted: FloatArray, limit: FloatArray, full: BoolArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """What full actions leave, what the others want, [n, 1], and what they get of it, [n, a]."""
    left = np.maximum(1.0 - np.where(full, limit, 0.0).sum(axis=1, keepdims=True), 0.0)
    free = np.where(full, 0.0, wanted)
    total = free.sum(axis=1, keepdims=True)
    return left, total, left * (free / np.where(total > 0.0, total, 1.0))


def with_floor(probabilities: FloatArray, mask: BoolArray, epsilon: float) -> FloatArray:
    """Mix so that every legal action has at least epsilon: p' = epsilon + (1 - k epsilon) p.

    Args:
        probabilities: rows sum to 1, exactly 0 where masked, [n, a].
        mask: True where legal; k legal actions in a row, [n, a].
        epsilon: probability, >= 0.

    Raises:
        PolicyError: a row has so many legal actions that k epsilon exceeds 1.
    """
    legal = mask.sum(axis=1, keepdims=True)
    most = int(legal.max(initial=0))
    if epsilon * most > 1.0:
        raise PolicyError(
            f"a floor of {epsilon:g} on each of {most} legal actions exceeds 1; "
            f"lower it to at most {1.0 / most:g}"
        )
    return np.asarray(mask * epsilon + (1.0 - legal * epsilon) * probabilities, np.float64)


def _require_region(max_ratio: float, explore: float) -> None:
    if not 1.0 <= max_ratio < np.inf:
        raise PolicyError(
            f"max_ratio must be >= 1 and finite, got {max_ratio}; below 1 no distribution fits"
        )
    _require_share("explore", explore)


def _require_share(name: str, value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise PolicyError(f"{name} must lie in [0, 1], got {value}")

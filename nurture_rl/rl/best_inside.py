"""The best that a policy may do inside the trust region that it will be released with.

A policy that ranks actions by what they are worth is released as `capped` puts it: the best action
up to its limit c mu, then the next best up to its own, until all is handed out. Values that are
learned from this policy, not from the best action alone, are values of what will be released.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nurture_rl.policies.composition import Region
from nurture_rl.policies.policy import BoolArray, FeatureArray
from nurture_rl.rl.masking import all_on_best, legal_only

_LEAST = 1e-30  # in place of 0, where nothing is to be shared


def best_inside(scores: Tensor, mask: Tensor, limit: Tensor) -> Tensor:
    """Probabilities of the highest mean score that stay under the limits, [n, a].

        maximise sum_a p(a) score(a),    0 <= p(a) <= limit(a), sum_a p(a) = 1

    This linear programme is a knapsack of divisible goods: it is filled in the order of the scores,
    of equal ones the first. What actions outside the mask are scored counts for nothing; where
    the limits inside the mask sum to less than 1, they share the rest by their limits, as `capped`
    shares what nobody wants.

    Args:
        scores: [n, a].
        mask: True where a score counts, [n, a].
        limit: largest probabilities, 0 where forbidden, rows sum to 1 at least, [n, a].

    Source: Dantzig (1957), Discrete-Variable Extremum Problems.
    """
    order = legal_only(scores, mask).argsort(dim=1, descending=True, stable=True)
    room = torch.where(mask, limit, 0.0).gather(1, order)
    before = room.cumsum(dim=1) - room
    filled = torch.minimum(room, (1.0 - before).clamp_min(0.0))
    table = torch.zeros_like(limit).scatter(1, order, filled)
    left = (1.0 - filled.sum(dim=1, keepdim=True)).clamp_min(0.0)
    spare = limit - table
    share = (left / spare.sum(dim=1, keepdim=True).clamp_min(_LEAST)).clamp_max(1.0)
    return table + share * torch.where(mask, 0.0, spare)


def best_released(scores: Tensor, mask: Tensor, limits: Limits | None) -> Tensor:
    """What ranking actions by scores does once it is released, [n, a].

    Args:
        scores: [n, a].
        mask: True where legal, [n, a].
        limits: of the same decisions; None: there is no trust region, the best legal action is
            done.
    """
    return all_on_best(scores, mask) if limits is None else limits.best(scores, mask)


@dataclass(frozen=True, slots=True, eq=False)
class Limits:
    """What a trust region lets a policy do at each of n decisions."""

    anchor: Tensor  # what the region's anchor does there, [n, a] float32
    max_ratio: float  # c, see `Region`
    explore: float  # share of decisions that follow the anchor

    @classmethod
    def of(
        cls, region: Region, features: FeatureArray, mask: BoolArray, device: str | torch.device
    ) -> Limits:
        """Ask the anchor of a region about decisions.

        The anchor is the policy that limits the release, whether it made the log or was fitted to
        it: the probabilities that the log tells limit nothing.

        Args:
            region: how the policy will be held near its anchor.
            features: raw contexts, [n, d].
            mask: True where legal, [n, a].
            device: where the limits are kept.
        """
        table = region.anchor.action_probabilities(features, mask)
        anchor = torch.as_tensor(table, dtype=torch.float32, device=device)
        return cls(anchor, region.max_ratio, region.explore)

    def take(self, rows: Tensor) -> Limits:
        """Those of some of the decisions."""
        return Limits(self.anchor[rows], self.max_ratio, self.explore)

    def best(self, scores: Tensor, mask: Tensor) -> Tensor:
        """What is released of the policy that ranks actions by scores, [n, a].

        (1 - explore) best_inside(scores, max_ratio anchor) + explore anchor
        """
        inside = best_inside(scores, mask, self.max_ratio * self.anchor)
        return (1.0 - self.explore) * inside + self.explore * self.anchor

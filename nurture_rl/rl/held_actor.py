"""An actor inside the trust region that it will be released with, while it is trained.

The region is where `capped` puts a policy: q = min(lambda p, c mu), then a share of the anchor. A
policy that is trained freely and cut afterwards loses what it built on; one that is trained inside
spends each action's allowance where it is worth most.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nurture_rl.policies.composition import Region, capped

_LEAST = 1e-30  # keeps logarithms finite where nothing is possible


def anchored(region: Region | None, features: Tensor, mask: Tensor) -> Tensor:
    """What the anchor would do, [n, a] float32; [n, 0] without a region.

    Args:
        region: its anchor is a policy on arrays.
        features: contexts, [n, d].
        mask: True where legal, [n, a].
    """
    if region is None:
        return features.new_zeros(len(features), 0)
    table = region.anchor.action_probabilities(features.cpu().numpy(), mask.cpu().numpy())
    return torch.as_tensor(table, dtype=features.dtype, device=features.device)


def held(log_table: Tensor, anchor: Tensor, region: Region) -> Tensor:
    """Log-probabilities of an actor as it will be released, [m, a].

    Which actions are at their limit is found without gradient; the others share what is left in
    the actor's proportions, so the gradient flows through their ratios. An action at its limit has
    the gradient of the actor itself: what it is worth is learned all the same, or a first guess
    that all are at their limits could never change.

    Args:
        log_table: the actor's own log-probabilities, [m, a].
        anchor: probabilities of the same contexts, [m, a].
        region: its limits.
    """
    wanted = log_table.exp()
    limit = region.max_ratio * anchor
    wishes, allowed = (one.detach().cpu().double().numpy() for one in (wanted, anchor))
    found = torch.as_tensor(capped(wishes, allowed, region.max_ratio)).to(wanted)
    full = found >= limit * (1.0 - 1e-6)
    free = torch.where(full, torch.zeros_like(wanted), wanted)
    total = free.sum(dim=1, keepdim=True)
    left = torch.where(full, torch.zeros_like(found), found).sum(dim=1, keepdim=True)
    # Where only headroom was left to share, nothing depends on the actor.
    scaled = torch.where(total > _LEAST, free * left / total.clamp_min(_LEAST), found)
    inside = torch.where(full, found, scaled)
    released = (1.0 - region.explore) * inside + region.explore * anchor
    log_released = released.clamp_min(_LEAST).log()
    return log_released + torch.where(full, log_table - log_table.detach(), 0.0)

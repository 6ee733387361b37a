"""What forbidden actions mean to a learner: they are never best, never drawn and never averaged.

Every bootstrap target, penalty and policy loss of this room asks here; acting asks the choice
rules of `nurture_rl.learned`, which leave out the same actions. Every row has a legal action.
"""

from __future__ import annotations

import torch
from torch import Tensor

OUT_OF_REACH = -1e9  # exp(OUT_OF_REACH - x) is exactly 0 in float32 for every score x that occurs


def legal_only(scores: Tensor, mask: Tensor) -> Tensor:
    """Scores with masked actions out of reach, finite so that gradients are, [n, a].

    Args:
        scores: of every action, [n, a].
        mask: True where legal, [n, a] bool.
    """
    return torch.where(mask, scores, torch.full_like(scores, OUT_OF_REACH))


def all_on_best(scores: Tensor, mask: Tensor) -> Tensor:
    """1 on the legal action of the highest score, the first of equal ones, 0 elsewhere, [n, a]."""
    best = legal_only(scores, mask).argmax(dim=1, keepdim=True)
    return torch.zeros_like(scores).scatter(1, best, 1.0)


def log_sum_exp(scores: Tensor, mask: Tensor) -> Tensor:
    """log of the sum of exp(score) over legal actions, [n]."""
    return torch.logsumexp(legal_only(scores, mask), dim=1)


def log_probabilities(scores: Tensor, mask: Tensor) -> Tensor:
    """Logarithms of the softmax over legal actions, finite everywhere, [n, a]."""
    return torch.log_softmax(legal_only(scores, mask), dim=1)


def mean_over(log_table: Tensor, scores: Tensor) -> Tensor:
    """Mean score under probabilities that are given by their logarithms, [n].

    Args:
        log_table: as `log_probabilities`, [n, a].
        scores: [n, a].
    """
    return (log_table.exp() * scores).sum(dim=1)

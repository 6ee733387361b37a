"""How much better a decision turned out than the critic expected."""

from __future__ import annotations

import torch
from torch import Tensor

from nurture_rl.errors import ShapeError


def generalised_advantages(
    reward: Tensor,
    value: Tensor,
    after: Tensor,
    done: Tensor,
    discount: float,
    trace: float,
) -> Tensor:
    """Generalised advantage estimates, [T, n].

        delta_t = r_t + discount (1 - done_t) V_{t+1} - V_t
        A_t     = delta_t + discount trace (1 - done_t) A_{t+1}

    Nothing is bootstrapped across an ended episode. A journey's horizon is such an end: nothing
    that follows it counts towards the value of an episode, and the bin is one of the features.

    Args:
        reward: [T, n].
        value: the critic before each decision, [T, n].
        after: the critic after the last step, [n].
        done: the episode ended with this step, [T, n] bool.
        discount: per bin, in [0, 1].
        trace: lambda, in [0, 1]; 0 trusts the critic, 1 the returns.

    Raises:
        ShapeError: the tensors do not fit.

    Source: Schulman et al. (2016), High-Dimensional Continuous Control Using Generalized
        Advantage Estimation, eq. 16.
    """
    if not (reward.shape == value.shape == done.shape and after.shape == reward.shape[1:]):
        raise ShapeError(
            "reward, value and done must be [T, n] and after [n], got "
            f"{tuple(reward.shape)}, {tuple(value.shape)}, {tuple(done.shape)}, "
            f"{tuple(after.shape)}"
        )
    advantage = torch.zeros_like(reward)
    ahead = torch.zeros_like(after)
    for t in range(len(reward) - 1, -1, -1):
        goes_on = (~done[t]).to(reward.dtype)
        surprise = reward[t] + discount * goes_on * after - value[t]
        ahead = surprise + discount * trace * goes_on * ahead
        advantage[t], after = ahead, value[t]
    return advantage

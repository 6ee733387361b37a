"""Logs of several policies read as one: what acted, as far as its own past actions tell."""

from __future__ import annotations

import numpy as np

from nurture_rl.errors import PropensityError, ShapeError
from nurture_rl.ope.log import FloatArray, IntArray


def pooled_logging(
    tables: FloatArray, action: IntArray, episode: IntArray, shares: FloatArray
) -> FloatArray:
    """The one behaviour of which a pooled log is a sample: a policy drawn once for each episode.

        p(a | h) = sum_k w_k(h) mu_k(a | x),    w_k(h) ~ share_k prod_s mu_k(a_s | x_s)

    where s runs over the decisions of the episode before this one. The product of p over an
    episode is the mixture of the policies' products, so an episode weighs as much as the balance
    heuristic lets it: at most 1 / share_k times what it would weigh if policy k had made the whole
    log. Each row's own propensity is right, too, and lets episodes of a policy that is far from
    the target weigh without bound.

    Args:
        tables: probabilities of all actions under each policy, in every context, [K, N, a].
        action: logged action, [N].
        episode: 0 .. E-1, each episode's rows together and in order of their steps, [N].
        shares: of the episodes that each policy made, > 0, sum 1, [K].

    Returns:
        Probabilities under the pooled behaviour, [N, a].

    Raises:
        ShapeError: arrays that do not fit together, or episodes that are not in order.
        PropensityError: an action that no policy takes; names the row.

    Source: Veach & Guibas (1995), Optimally Combining Sampling Techniques for Monte Carlo
        Rendering; Agarwal et al. (2017), Effective Evaluation Using Logged Bandit Feedback from
        Multiple Loggers.
    """
    k, n, _ = tables.shape
    if action.shape != (n,) or episode.shape != (n,) or shares.shape != (k,):
        raise ShapeError(
            f"expected action [{n}], episode [{n}] and shares [{k}] beside tables of shape "
            f"{tables.shape}, got {action.shape}, {episode.shape} and {shares.shape}"
        )
    if n and (episode[0] != 0 or not np.isin(np.diff(episode), (0, 1)).all()):
        raise ShapeError("expected episodes 0 .. E-1, one after the other; sort the log by them")
    first = np.flatnonzero(np.diff(episode, prepend=-1))
    length = np.diff(first, append=n)
    belief = np.tile(shares, (len(first), 1))  # who acts in each episode, [E, K]
    pooled = np.empty(tables.shape[1:])
    for position in range(int(length.max(initial=0))):
        still = np.flatnonzero(length > position)
        rows = first[still] + position
        mixed = np.einsum("ek,kea->ea", belief[still], tables[:, rows])
        # Rounding must not take a sure action's chance beyond 1.
        pooled[rows] = mixed / mixed.sum(axis=1, keepdims=True)
        joint = belief[still] * tables[:, rows, action[rows]].T
        total = joint.sum(axis=1, keepdims=True)
        if not (total > 0.0).all():
            row = int(rows[np.flatnonzero(total[:, 0] <= 0.0)[0]])
            raise PropensityError(
                f"row {row} has an action that none of the {k} policies takes there; give the "
                "policies that made this log"
            )
        belief[still] = joint / total
    return pooled

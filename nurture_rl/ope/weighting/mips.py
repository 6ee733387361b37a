"""Importance weights on what an action has in common with others, instead of on the action.

Where the reward depends on an action through some of its factors only, the other factors add
variance to a weight and nothing else.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nurture_rl.errors import OverlapError, ShapeError
from nurture_rl.ope.estimators import ValueEstimate, ips
from nurture_rl.ope.log import EvaluationLog, FloatArray, IntArray


def factor_groups(action_factors: FloatArray, columns: IntArray) -> IntArray:
    """Number of each action's group, actions alike in the chosen factor columns together, [a].

    Raises:
        ShapeError: a column that the catalogue does not have.
    """
    k = action_factors.shape[1]
    if not np.isin(columns, np.arange(k)).all():
        raise ShapeError(f"the catalogue has factor columns 0..{k - 1}, got {columns.tolist()}")
    if columns.size == 0:
        return np.zeros(len(action_factors), dtype=np.int64)
    _, group = np.unique(action_factors[:, columns], axis=0, return_inverse=True)
    return np.asarray(group.reshape(-1), dtype=np.int64)


def mips(log: EvaluationLog, target: FloatArray, groups: IntArray) -> ValueEstimate:
    """Estimate a policy's value by marginalised importance weighting over groups of actions.

        rho_et = target(group of a_et | x_et) / logging(group of a_et | x_et)

    and then as `ips`. Unbiased if what follows a decision depends on its action through the group
    only; else biased by what differs inside a group. Every action a group of its own is `ips`,
    all actions one group is the log's own mean. A group has support where any of its actions has.

    Args:
        log: the logged decisions, with `logged_probabilities`.
        target: target probabilities on the log's rows, [N, a].
        groups: group number of each action, from 0, [a]; see `factor_groups`.

    Raises:
        OverlapError: the log holds no logging distribution, so a group's chance is unknown.
        ShapeError: `target` is not [N, a] or `groups` not [a].
        ProbabilityError: as `cumulative_weights`.

    Source: Saito & Joachims (2022), Off-Policy Evaluation for Large Action Spaces via Embeddings.
    """
    if log.logged_probabilities is None:
        raise OverlapError(
            "marginalised weights need the logging policy's whole distribution, and the log holds "
            "the propensity alone; log `probabilities`, or weight by action"
        )
    if target.shape != log.mask.shape or groups.shape != (log.n_actions,):
        raise ShapeError(
            f"expected target {log.mask.shape} and groups ({log.n_actions},), got {target.shape} "
            f"and {groups.shape}; give one group per action of the catalogue"
        )
    logged = _mass_of_taken(log, log.logged_probabilities, groups)
    # Sums of a group's parts may pass 1 by rounding.
    wanted = np.minimum(_mass_of_taken(log, target, groups), 1.0)
    return ips(replace(log, propensity=logged), wanted)


def _mass_of_taken(log: EvaluationLog, probabilities: FloatArray, groups: IntArray) -> FloatArray:
    """Probability of each logged action's group, [N]."""
    mass = np.zeros(log.n_rows)
    taken = groups[log.action]
    for action, group in enumerate(groups):
        mass += np.where(taken == group, probabilities[:, action], 0.0)
    return mass


def coarsenings(action_factors: FloatArray, most: int) -> list[IntArray]:
    """Groupings from every action for itself to all together, at most `most`, each [a].

    Columns are left out one after another, those that mark the fewest actions first: a message
    before its topic, a topic before the routing. No reward is looked at.
    """
    a, k = action_factors.shape
    by_size = np.argsort(-(action_factors != 0.0).sum(axis=0), kind="stable")
    partitions = [np.arange(a, dtype=np.int64)]
    for m in range(k, -1, -1):
        groups = factor_groups(action_factors, by_size[:m])
        if groups.max() < partitions[-1].max():
            partitions.append(groups)
    chosen = np.unique(np.linspace(0, len(partitions) - 1, most).round().astype(np.int64))
    return [partitions[place] for place in chosen]

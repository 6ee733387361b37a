"""Whether groups come to something equally often, where contacts of one account act alike.

The log-rank test (Mantel 1966) with the variance of sums over accounts (Lee, Wei and Amato 1992):
what a contact adds to the score is worked out, added up within its account, and squared.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import fdtrc

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class LogRank:
    """What the groups had beyond what was to be expected."""

    score: FloatArray  # events of each group less the expected ones, [groups]
    variance: FloatArray  # their covariance if contacts were independent, [groups, groups]
    robust: FloatArray  # the same over accounts, [groups, groups]
    clusters: int  # accounts with somebody at risk

    @property
    def p(self) -> float:
        """The chance that the groups differ as much though they are alike (Hotelling's test).

        In no direction is the variance taken for smaller than that of independent contacts: where
        few things happened, sums over accounts do not show how many might have.
        """
        spread, axes = np.linalg.eigh(self.variance)
        axes = axes[:, spread > 1e-9] / np.sqrt(spread[spread > 1e-9])
        freedom, left = axes.shape[1], self.clusters - axes.shape[1]
        if freedom == 0 or left <= 0:
            return 1.0
        excess, turn = np.linalg.eigh(axes.T @ self.robust @ axes)
        squared = float(((self.score @ axes @ turn) ** 2 / np.maximum(excess, 1.0)).sum())
        return float(fdtrc(freedom, left, squared * left / (freedom * (self.clusters - 1))))

    def error(self, group: int) -> float:
        """Standard error of the score of one group, likewise."""
        return sqrt(max(float(self.variance[group, group]), float(self.robust[group, group])))


def clustered_log_rank(
    days: tuple[FloatArray, FloatArray], came: BoolArray, group: IntArray, cluster: IntArray
) -> LogRank:
    """Hold groups against each other, day by day.

    Args:
        days: after which each is at risk, and on which it comes or is no longer watched, [n] each.
        came: whether it came then, [n].
        group: of each, 0 to k - 1, [n].
        cluster: account of each, [n].
    """
    enters, leaves = days
    k = int(group.max(initial=0)) + 1
    own = np.eye(k)[group]
    score, variance, parts = np.zeros(k), np.zeros((k, k)), np.zeros((len(group), k))
    ever = np.zeros(len(group), bool)
    for day in range(int(np.ceil(leaves.max(initial=0.0))) + 1):
        at_risk = (enters < day) & (leaves >= day)
        wins = at_risk & came & (leaves < day + 1)
        total, won = int(at_risk.sum()), int(wins.sum())
        ever |= at_risk
        if total < 2 or not won:
            continue
        share = own[at_risk].mean(axis=0)
        surprise = wins[at_risk] - won / total
        parts[at_risk] += surprise[:, None] * (own[at_risk] - share)
        score += own[wins].sum(axis=0) - won * share
        spread = np.diag(share) - np.outer(share, share)
        variance += won * spread * (total - won) / (total - 1)
    summed = np.zeros((int(cluster.max(initial=0)) + 1, k))
    np.add.at(summed, cluster, parts)
    many = len(np.unique(cluster[ever]))
    robust = summed.T @ summed * (many / max(many - 1, 1))
    return LogRank(score, variance, robust, many)

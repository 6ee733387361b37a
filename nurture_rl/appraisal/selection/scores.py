"""How well estimates rank policies, where the true values are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nurture_rl.errors import ShapeError
from nurture_rl.ope.log import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class RankingScores:
    """What trusting the estimates would have meant."""

    spearman: float  # rank correlation with the truth, in [-1, 1]; NaN where all are equal
    kendall: float  # tau-b, in [-1, 1]; NaN likewise
    regret: float  # best true value minus the best among the top k, >= 0
    sharpe_ratio: float  # of the top k
    relative_error: float  # mean over policies of |estimate - truth| / |truth|


def score_ranking(
    truth: FloatArray, estimated: FloatArray, baseline: float, k: int
) -> RankingScores:
    """Score estimates of policies against their true values; see the functions for each score.

    Raises:
        ShapeError: not two equally long lists of values, or k outside 1 .. their length.
    """
    spearman, kendall = rank_correlation(truth, estimated)
    return RankingScores(
        spearman=spearman,
        kendall=kendall,
        regret=regret_at_k(truth, estimated, k),
        sharpe_ratio=sharpe_ratio_at_k(truth, estimated, baseline, k),
        relative_error=float(relative_errors(truth, estimated).mean()),
    )


def rank_correlation(truth: FloatArray, estimated: FloatArray) -> tuple[float, float]:
    """Spearman's and Kendall's correlation of two rankings; NaN where one has no order."""
    _require_pairs(truth, estimated, 1)
    if np.ptp(truth) == 0.0 or np.ptp(estimated) == 0.0:
        return float("nan"), float("nan")
    from scipy.stats import kendalltau, spearmanr

    return (
        float(spearmanr(truth, estimated).statistic),
        float(kendalltau(truth, estimated).statistic),
    )


def top_k(estimated: FloatArray, k: int) -> IntArray:
    """Places of the k largest estimates, equal ones in their given order, [k]."""
    return np.argsort(-estimated, kind="stable")[:k].astype(np.int64)


def regret_at_k(truth: FloatArray, estimated: FloatArray, k: int) -> float:
    """max V - max_{i in top k} V_i: what is lost by trying only the k that look best, >= 0."""
    _require_pairs(truth, estimated, k)
    return float(truth.max() - truth[top_k(estimated, k)].max())


def sharpe_ratio_at_k(truth: FloatArray, estimated: FloatArray, baseline: float, k: int) -> float:
    """Gain over the baseline per risk of trying the k policies that look best.

        SharpeRatio@k = (max_{i in top k} V_i - V_baseline) / std_{i in top k} V_i

    High when the top k hold a good policy and no bad ones. With no spread among them (k = 1) it is
    infinite with the sign of the gain, or 0 without one.

    Source: Kiyohara et al. (2024), Towards Assessing and Benchmarking Risk-Return Tradeoff of
        Off-Policy Evaluation.
    """
    _require_pairs(truth, estimated, k)
    tried = truth[top_k(estimated, k)]
    gain, spread = float(tried.max()) - baseline, float(tried.std())
    if spread > 0.0:
        return gain / spread
    return float(np.copysign(np.inf, gain)) if gain != 0.0 else 0.0


def relative_errors(truth: FloatArray, estimated: FloatArray) -> FloatArray:
    """|estimate - truth| / |truth| of each policy, [p]; infinite where only the truth is 0."""
    _require_pairs(truth, estimated, 1)
    off = np.abs(estimated - truth)
    size = np.abs(truth)
    otherwise = np.where(off > 0.0, np.inf, 0.0)
    return np.divide(off, size, out=otherwise, where=size > 0.0)


def _require_pairs(truth: FloatArray, estimated: FloatArray, k: int) -> None:
    if truth.ndim != 1 or truth.shape != estimated.shape or not 1 <= k <= truth.size:
        raise ShapeError(
            f"expected true and estimated values of the same policies and k among them, got "
            f"{truth.shape}, {estimated.shape} and k {k}"
        )

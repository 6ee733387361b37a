"""Scores of a ranking are those worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from nurture_rl.appraisal.selection.scores import (
    rank_correlation,
    regret_at_k,
    relative_errors,
    score_ranking,
    sharpe_ratio_at_k,
    top_k,
)
from nurture_rl.errors import ShapeError

TRUTH = np.array([1.0, 5.0, 3.0, 4.0])
ESTIMATED = np.array([2.0, 1.0, 6.0, 3.0])  # top two: the third and the fourth


def test_the_top_are_the_largest_estimates_and_equals_keep_their_order() -> None:
    assert top_k(ESTIMATED, 2).tolist() == [2, 3]
    assert top_k(np.array([1.0, 2.0, 2.0, 2.0]), 2).tolist() == [1, 2]


def test_regret_by_hand() -> None:
    assert [regret_at_k(TRUTH, ESTIMATED, k) for k in (1, 2, 3, 4)] == [2.0, 1.0, 1.0, 0.0]


def test_sharpe_ratio_by_hand() -> None:
    # Tried 3 and 4: best 4, baseline 1, standard deviation 1/2.
    assert sharpe_ratio_at_k(TRUTH, ESTIMATED, 1.0, 2) == pytest.approx(6.0)


def test_one_tried_policy_has_no_risk() -> None:
    assert sharpe_ratio_at_k(TRUTH, ESTIMATED, 1.0, 1) == np.inf
    assert sharpe_ratio_at_k(TRUTH, ESTIMATED, 5.0, 1) == -np.inf
    assert sharpe_ratio_at_k(TRUTH, ESTIMATED, 3.0, 1) == 0.0


def test_a_bad_policy_among_the_tried_lowers_the_ratio_but_not_the_regret() -> None:
    truth = np.array([5.0, 4.0, -20.0])
    safe, risky = np.array([3.0, 2.0, 1.0]), np.array([3.0, 1.0, 2.0])
    assert regret_at_k(truth, safe, 2) == regret_at_k(truth, risky, 2) == 0.0
    assert sharpe_ratio_at_k(truth, safe, 1.0, 2) > sharpe_ratio_at_k(truth, risky, 1.0, 2)


def test_rank_correlations_of_the_order_its_reverse_and_none() -> None:
    assert rank_correlation(TRUTH, 2.0 * TRUTH + 1.0) == pytest.approx((1.0, 1.0))
    assert rank_correlation(TRUTH, -TRUTH) == pytest.approx((-1.0, -1.0))
    assert np.isnan(rank_correlation(TRUTH, np.ones(4))).all()
    assert np.isnan(rank_correlation(np.ones(4), TRUTH)).all()
    spearman, kendall = rank_correlation(TRUTH, ESTIMATED)
    # Ranks 1 4 2 3 against 2 1 4 3: sum d^2 = 14; of six pairs two agree.
    assert spearman == pytest.approx(1.0 - 6.0 * 14.0 / (4 * 15))
    assert kendall == pytest.approx(stats.kendalltau(TRUTH, ESTIMATED).statistic)


def test_relative_errors_by_hand() -> None:
    found = relative_errors(np.array([2.0, -4.0, 0.0, 0.0]), np.array([3.0, -3.0, 0.0, 1.0]))
    assert found.tolist() == [0.5, 0.25, 0.0, np.inf]


def test_all_scores_together() -> None:
    found = score_ranking(TRUTH, ESTIMATED, 1.0, 2)
    assert (found.regret, found.sharpe_ratio) == (1.0, 6.0)
    assert (found.spearman, found.kendall) == rank_correlation(TRUTH, ESTIMATED)
    assert found.relative_error == pytest.approx((1.0 + 0.8 + 1.0 + 0.25) / 4.0)


@pytest.mark.parametrize(
    ("estimated", "k"), [(ESTIMATED[:3], 1), (ESTIMATED, 0), (ESTIMATED, 5), (np.ones((2, 2)), 1)]
)
def test_values_of_other_policies_are_refused(estimated: np.ndarray, k: int) -> None:
    with pytest.raises(ShapeError, match="of the same policies"):
        regret_at_k(TRUTH, estimated, k)

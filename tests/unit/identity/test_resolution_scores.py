"""Pairwise agreement with known truth."""

from __future__ import annotations

import pytest

from nurture_rl.errors import ShapeError
from nurture_rl.identity.resolution_scores import pairwise_scores


def test_scores_match_hand_counting() -> None:
    # Predicted pairs: {0,1,2} gives 3, {3,4} gives 1: 4. True pairs: {0,1} 1, {2,3,4} 3: 4.
    # Agreed: (0,1) and (3,4).
    scores = pairwise_scores(["a", "a", "a", "b", "b"], ["x", "x", "y", "y", "y"])
    assert (scores.precision, scores.recall, scores.f1) == (0.5, 0.5, 0.5)


def test_precision_and_recall_are_not_exchanged() -> None:
    # One predicted cluster of 3: 3 pairs, of which 1 is true; the one true pair is found.
    scores = pairwise_scores(["a", "a", "a"], ["x", "x", "y"])
    assert scores.precision == pytest.approx(1 / 3)
    assert scores.recall == 1.0
    assert scores.f1 == pytest.approx(0.5)


def test_names_of_clusters_do_not_matter() -> None:
    assert pairwise_scores(["b", "a", "b"], ["1", "2", "1"]).f1 == 1.0


def test_all_alone_where_all_are_one_finds_nothing() -> None:
    scores = pairwise_scores(["a", "b", "c"], ["x", "x", "x"])
    assert (scores.precision, scores.recall, scores.f1) == (1.0, 0.0, 0.0)


def test_unequal_lengths_are_refused() -> None:
    with pytest.raises(ShapeError, match="2 predicted and 1 true"):
        pairwise_scores(["a", "b"], ["x"])

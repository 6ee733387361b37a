"""Weighted rewards average over a contact's decisions and never fall below zero."""

from __future__ import annotations

import numpy as np
import pytest

from nurture_rl.errors import ShapeError
from nurture_rl.ope.bounds.weighted_rewards import Range, weighted_rewards


def test_contacts_average_their_decisions_in_order_of_arrival() -> None:
    found = weighted_rewards(
        np.array([2.0, 1.0, 0.5]), np.array([4.0, 1.0, 3.0]), np.array([8, 2, 8]), Range(1.0, 5.0)
    )
    # Contact 8 first: shares 3/4 and 2/4 of the range, weights 2 and 1/2.
    assert found.earned == pytest.approx([(2 * 0.75 + 0.5 * 0.5) / 2, 0.0])
    assert found.missing == pytest.approx([(2 * 0.25 + 0.5 * 0.5) / 2, 1.0])


def test_weights_one_split_the_range() -> None:
    found = weighted_rewards(np.ones(3), np.array([0.0, 0.3, 1.0]), np.arange(3), Range(0.0, 1.0))
    assert found.earned + found.missing == pytest.approx(np.ones(3))
    assert found.earned == pytest.approx([0.0, 0.3, 1.0])


@pytest.mark.parametrize(
    ("weight", "reward", "limits"),
    [
        (-0.1, 0.5, Range(0.0, 1.0)),
        (1.0, -0.1, Range(0.0, 1.0)),
        (1.0, 1.1, Range(0.0, 1.0)),
        (1.0, 1.0, Range(1.0, 1.0)),
    ],
)
def test_what_would_break_the_bound_is_refused(weight: float, reward: float, limits: Range) -> None:
    with pytest.raises(ShapeError, match="known before any reward"):
        weighted_rewards(np.array([weight]), np.array([reward]), np.array([0]), limits)


def test_one_negative_weight_among_others_is_refused() -> None:
    with pytest.raises(ShapeError, match="weights >= 0"):
        weighted_rewards(np.array([1.0, -0.1]), np.zeros(2), np.arange(2), Range(0.0, 1.0))


def test_columns_of_unequal_length_are_refused() -> None:
    for shapes in ((2, 3, 2), (2, 2, 3), (0, 0, 0)):
        with pytest.raises(ShapeError):
            weighted_rewards(
                np.ones(shapes[0]), np.ones(shapes[1]), np.arange(shapes[2]), Range(0.0, 1.0)
            )
    with pytest.raises(ShapeError, match=r"must be \[N\]"):
        weighted_rewards(np.ones((1, 1)), np.ones((1, 1)), np.ones((1, 1), int), Range(0.0, 1.0))

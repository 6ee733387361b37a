"""Numbers are told apart and ranked as slower functions of numpy and scipy do."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import rankdata

from nurture_rl.ope.numbering import numbered_as_texts, shared_ranks


@pytest.mark.parametrize("most", [9, 120, 10**6, 10**17])
def test_numbers_are_placed_as_their_texts_are_sorted(most: int) -> None:
    codes = np.random.default_rng(0).integers(0, most, 500)
    codes[:4] = [0, 1, 10 % most, 100 % most]  # the first digits are those of others
    placed = numbered_as_texts(codes)
    assert placed is not None
    assert np.array_equal(placed, np.unique(codes.astype(str), return_inverse=True)[1])


def test_what_has_no_order_of_digits_alone_is_left_to_others() -> None:
    assert numbered_as_texts(np.array([3, -1])) is None
    assert numbered_as_texts(np.array([3, 10**17])) is None
    none = numbered_as_texts(np.array([], dtype=np.int64))
    assert none is not None
    assert none.size == 0


@pytest.mark.parametrize("n", [0, 1, 400])
def test_equal_values_share_the_mean_place(n: int) -> None:
    rng = np.random.default_rng(1)
    values = np.column_stack([rng.integers(-3, 3, n), rng.normal(size=n)]).astype(np.float32)
    assert np.array_equal(shared_ranks(values), rankdata(values, axis=0))


def test_places_by_hand() -> None:
    assert shared_ranks(np.array([[2.0], [-0.0], [2.0], [0.0], [5.0]]))[:, 0].tolist() == [
        *(3.5, 1.5, 3.5, 1.5, 5.0)
    ]

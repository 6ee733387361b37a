"""How strongly a search is held back is decided on contacts that it did not see."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from nurture_rl.bandits.logged_choices import LoggedChoices, logged_choices
from nurture_rl.bandits.shrink_choice import GRID, searched
from nurture_rl.bandits.softmax_search import SoftmaxFamily
from nurture_rl.bandits.weighted_value import plain_mean
from tests.unit.bandits.planted_log import planted, silent

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
CHOICES: LoggedChoices = logged_choices(planted(300, seed=6).log, "test")
ASIDE: BoolArray = (np.random.default_rng(0).random(CHOICES.cluster.max() + 1) < 1 / 3)[
    CHOICES.cluster
]


class Search:
    """One context, two actions; the first gains 1 on the rows to learn from, elsewhere as said."""

    def __init__(self, elsewhere: float) -> None:
        n = ASIDE.size
        family = SoftmaxFamily(np.ones((n, 1)), np.ones((n, 2), np.bool_), np.eye(2))
        gains = np.where(ASIDE, elsewhere, 1.0)[:, None] * np.array([1.0, 0.0])
        self.asked: list[tuple[BoolArray, int]] = []

        def objective(numbers: FloatArray, rows: BoolArray) -> tuple[float, FloatArray]:
            self.asked.append((rows, numbers.size))
            return plain_mean(numbers, CHOICES.cluster[rows], 0.0)

        rng = np.random.default_rng(0)
        self.theta, self.shrink = searched(
            CHOICES, family, gains.__getitem__, objective, None, 50, rng, silent
        )


def test_what_holds_on_other_contacts_is_held_back_least() -> None:
    assert Search(elsewhere=1.0).shrink == min(GRID)


def test_what_fails_on_other_contacts_is_held_back_most() -> None:
    found = Search(elsewhere=-1.0)
    assert found.shrink == max(GRID)
    # The last search is on all rows, with that shrink: two thirds gain, one third loses.
    gain = float(np.where(ASIDE, -1.0, 1.0).mean())
    assert gain > 0.0
    first, second = (float(one) for one in found.theta)
    chance = 1.0 / (1.0 + np.exp(second - first))
    expected = gain * chance * (1.0 - chance) * ASIDE.size / max(GRID)
    assert (first, second) == pytest.approx((expected, -expected), rel=0.01)


def test_each_shrink_is_judged_once_on_the_third_that_is_set_aside() -> None:
    found = Search(elsewhere=1.0)
    judged = [rows for rows, _ in found.asked if np.array_equal(rows, ASIDE)]
    assert len(judged) == len(GRID)
    learned = [rows for rows, _ in found.asked if np.array_equal(rows, ~ASIDE)]
    assert len(learned) > len(GRID)
    assert all(size == int(rows.sum()) for rows, size in found.asked)


def test_a_given_shrink_is_used_and_nothing_is_drawn() -> None:
    n = ASIDE.size
    family = SoftmaxFamily(np.ones((n, 1)), np.ones((n, 2), np.bool_), np.eye(2))
    rng = np.random.default_rng(0)
    gains = np.tile([1.0, 0.0], (n, 1)).__getitem__

    def objective(numbers: FloatArray, rows: BoolArray) -> tuple[float, FloatArray]:
        assert rows.all()
        return plain_mean(numbers, CHOICES.cluster[rows], 0.0)

    assert searched(CHOICES, family, gains, objective, 7.0, 50, rng, silent)[1] == 7.0
    assert rng.random() == np.random.default_rng(0).random()

"""Prices of limits against programs whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from nurture_rl.errors import FitError, ShapeError
from nurture_rl.rl.dual_prices import PlayedColumn, priced, search_prices

NOTHING = PlayedColumn(0.0, np.zeros(1))


def column(value: float, *use: float) -> PlayedColumn:
    return PlayedColumn(value, np.array(use))


class Crowd:
    """Contacts who are mailed or not: each mail gains what it gains and uses up of every limit."""

    def __init__(self, seed: int, n: int, k: int) -> None:
        rng = np.random.default_rng(seed)
        self.gain = rng.exponential(1.0, n) - 0.3
        self.use = rng.uniform(0.2, 1.0, (n, k))

    def learn(self, prices: np.ndarray) -> PlayedColumn:
        sent = self.gain > self.use @ prices
        return PlayedColumn(
            float((self.gain * sent).mean()), (self.use * sent[:, None]).mean(axis=0)
        )

    def best(self, limits: np.ndarray) -> float:
        """The value of the best randomised choice, by the whole linear program."""
        from scipy.optimize import linprog

        n = len(self.gain)
        found = linprog(-self.gain / n, A_ub=self.use.T / n, b_ub=limits, bounds=(0.0, 1.0))
        return float(-found.fun)


def test_two_policies_are_mixed_at_the_margin() -> None:
    found = priced([NOTHING, column(3.0, 2.0)], np.array([0.5]))
    assert found.value == pytest.approx(0.75)
    assert found.prices == pytest.approx([1.5])
    assert found.shares == pytest.approx([0.75, 0.25])


def test_a_limit_that_binds_nobody_costs_nothing() -> None:
    found = priced([NOTHING, column(3.0, 2.0)], np.array([2.5]))
    assert found.value == pytest.approx(3.0)
    assert found.prices.tolist() == [0.0]


def test_limits_that_nothing_keeps_to_are_refused() -> None:
    with pytest.raises(FitError, match="raise a limit"):
        priced([column(1.0, 1.0), column(2.0, 2.0)], np.array([0.5]))


def test_uses_of_another_number_of_limits_are_refused() -> None:
    with pytest.raises(ShapeError, match="2 limits"):
        priced([NOTHING], np.array([0.5, 0.5]))


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_search_ends_at_the_best_there_is(k: int) -> None:
    crowd = Crowd(seed=k, n=400, k=k)
    limits = np.full(k, 0.15)
    found = search_prices(crowd.learn, [column(0.0, *[0.0] * k)], limits, 60, 1e-6)
    assert found.best.value == pytest.approx(crowd.best(limits), rel=2e-3)
    assert found.most >= crowd.best(limits) - 1e-9
    used = sum(w * one.use for w, one in zip(found.best.shares, found.columns, strict=True))
    assert (used <= limits + 1e-9).all()


@pytest.mark.parametrize("k", [1, 2])
def test_prices_are_what_one_more_unit_gains(k: int) -> None:
    crowd = Crowd(seed=10 + k, n=4000, k=k)
    limits, step = np.full(k, 0.15), 0.005
    found = search_prices(crowd.learn, [column(0.0, *[0.0] * k)], limits, 60, 1e-6)
    for at in range(k):
        if found.best.prices[at] < 1e-6:
            continue
        more, less = limits.copy(), limits.copy()
        more[at] += step
        less[at] -= step
        gained = (crowd.best(more) - crowd.best(less)) / (2 * step)
        assert found.best.prices[at] == pytest.approx(gained, rel=0.1)


def test_a_search_without_limits_that_bind_needs_one_training() -> None:
    crowd = Crowd(seed=3, n=100, k=1)
    found = search_prices(crowd.learn, [NOTHING], np.array([5.0]), 9, 1e-6)
    assert len(found.columns) == 2
    assert found.best.prices.tolist() == [0.0]

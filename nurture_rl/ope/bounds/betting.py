"""Betting against candidate values: intervals of any weights that hold without approximation.

A gambler bets on each contact that the value is larger than a candidate m. If m is the value the
game is fair, so the gambler's capital exceeds 2/alpha, ever, with chance at most alpha/2. The
candidates at which it did so are refuted. A second gambler bets on what is missing to the largest
reward, and bounds the value from above.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nurture_rl.errors import ShapeError
from nurture_rl.ope.bounds.bernstein import Range
from nurture_rl.ope.bounds.interval import Interval, require_level
from nurture_rl.ope.bounds.weighted import WeightedRewards
from nurture_rl.ope.log import FloatArray

STAKE = 0.5  # of the capital, at most, is lost on one contact
HALVINGS = 50  # of the range of candidates
CHUNK = 512  # contacts against all candidates at a time


@dataclass(frozen=True, slots=True, eq=False)
class Gambler:
    """One gambler's memory: enough to bet on the next contact."""

    contacts: int
    total: float  # sum of X
    square: float  # sum of (X - mean so far)^2
    capital: FloatArray  # logarithm, per candidate, [G]
    refuted: int  # candidates 0 .. refuted - 1 are

    def lower(self, candidates: FloatArray) -> float:
        """The largest refuted candidate, or 0."""
        return float(candidates[self.refuted - 1]) if self.refuted else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class BettingSequence:
    """A confidence sequence by betting; `update` gives the next, nothing changes in place."""

    level: float  # stated coverage at all times together, in (0, 1)
    candidates: FloatArray  # shares of the reward's range, ascending in (0, 1), [G]
    earned: Gambler
    missing: Gambler

    def update(self, seen: WeightedRewards) -> BettingSequence:
        """Bet on further contacts, in the order they came."""
        error = (1.0 - self.level) / 2.0
        return BettingSequence(
            self.level,
            self.candidates,
            _played(self.earned, seen.earned, self.candidates, error),
            _played(self.missing, seen.missing, self.candidates, error),
        )

    def interval(self, limits: Range) -> Interval:
        """The interval now: never wider than at any look before."""
        low = self.earned.lower(self.candidates)
        high = max(1.0 - self.missing.lower(self.candidates), low)
        return Interval(
            limits.lower + limits.width * low,
            limits.lower + limits.width * high,
            self.level,
            "betting-sequence",
        )


def betting_sequence(level: float, candidates: int = 1000, finest: float = 1e-4) -> BettingSequence:
    """A sequence before its first contact.

    Args:
        level: stated coverage at all times together, in (0, 1).
        candidates: how many shares of the reward's range are bet against, at least 2.
        finest: the smallest of them; the grid is geometric, so that rare rewards are resolved.

    Raises:
        ShapeError: a level or smallest candidate outside (0, 1), or fewer than 2 candidates.
    """
    require_level(level)
    if candidates < 2 or not 0.0 < finest < 1.0:
        raise ShapeError(
            f"expected at least 2 candidates down to a share in (0, 1), got {candidates} and "
            f"{finest}"
        )
    low = np.geomspace(finest, 1.0, candidates + 1)[:-1]
    grid = np.unique(np.concatenate([low, 1.0 - low[: candidates // 2]]))
    fresh = Gambler(0, 0.0, 0.0, np.zeros(grid.size), 0)
    return BettingSequence(level, grid, fresh, fresh)


def betting_interval(seen: WeightedRewards, limits: Range, level: float) -> Interval:
    """The interval by betting for a number of contacts that was fixed beforehand.

        capital(m) = prod_c [1 + min(lambda_c, 1/2m) (X_c - m)]
        lambda_c = sqrt(2 ln(2/alpha) / (C s^2_{c-1}))

    Needs no bound on the weights and holds at every C; at some dozens of outcomes it is 1.4 times
    as wide as the exact binomial.

    Args:
        seen: weighted rewards of all contacts, in an order that does not depend on them.
        limits: range of one reward, as given to `weighted_rewards`.
        level: stated coverage, in (0, 1).

    Source: Waudby-Smith & Ramdas (2021), Estimating Means of Bounded Random Variables by Betting;
        for nonnegative weights Waudby-Smith et al. (2022), arXiv 2210.10768.
    """
    require_level(level)
    error = (1.0 - level) / 2.0
    low = _refuted_up_to(seen.earned, error)
    high = max(1.0 - _refuted_up_to(seen.missing, error), low)
    return Interval(
        limits.lower + limits.width * low,
        limits.lower + limits.width * high,
        level,
        "betting",
    )


def _refuted_up_to(values: FloatArray, error: float) -> float:
    """The largest candidate whose capital passes 1/error; capital falls as candidates rise."""
    _, variance, _ = _predictable(Gambler(0, 0.0, 0.0, np.zeros(0), 0), values)
    stake = np.sqrt(2.0 * np.log(1.0 / error) / (values.size * variance))
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2.0
        capital = np.log1p(np.minimum(stake, STAKE / middle) * (values - middle)).sum()
        if capital >= np.log(1.0 / error):
            low = middle
        else:
            high = middle
    return low


def _played(gambler: Gambler, values: FloatArray, candidates: FloatArray, error: float) -> Gambler:
    before, variance, square = _predictable(gambler, values)
    place = gambler.contacts + np.arange(1.0, values.size + 1.0)
    # A sequence spreads its stakes over all times, so they fall with the root of t ln t.
    stake = np.sqrt(2.0 * np.log(1.0 / error) / (variance * place * np.log(1.0 + place)))
    capital, best = gambler.capital, gambler.capital
    for first in range(0, values.size, CHUNK):
        rows = slice(first, first + CHUNK)
        bet = np.minimum(stake[rows, None], STAKE / candidates)
        path = capital + np.cumsum(np.log1p(bet * (values[rows, None] - candidates)), axis=0)
        capital, best = path[-1], np.maximum(best, path.max(axis=0))
    lost = np.flatnonzero(best >= np.log(1.0 / error))
    return Gambler(
        contacts=gambler.contacts + values.size,
        total=before,
        square=square,
        capital=capital,
        refuted=max(gambler.refuted, int(lost[-1]) + 1 if lost.size else 0),
    )


def _predictable(gambler: Gambler, values: FloatArray) -> tuple[float, FloatArray, float]:
    """Sum after all values, the variance known before each, [n], and the squares after all."""
    total = gambler.total + np.cumsum(values)
    place = gambler.contacts + np.arange(1.0, values.size + 1.0)
    mean = (0.5 + total) / (place + 1.0)
    square = gambler.square + np.cumsum((values - mean) ** 2)
    before = np.concatenate([[gambler.square], square[:-1]])
    return float(total[-1]), (0.25 + before) / place, float(square[-1])

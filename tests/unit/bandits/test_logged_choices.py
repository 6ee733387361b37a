"""What off-policy learners refuse of a log, each at its edge."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.bandits.logged_choices import logged_choices, require_enough
from nurture_rl.errors import FitError
from nurture_rl.learned.training_log import TrainingLog
from tests.unit.bandits.planted_log import planted

LOG: TrainingLog = planted(60, seed=1).log


def first(n: int) -> TrainingLog:
    """The first n decisions that have a choice; there are three features."""
    return LOG.take(np.flatnonzero(LOG.choice)[:n])


def test_one_row_more_than_the_columns_of_the_context_is_enough() -> None:
    require_enough(first(5))
    with pytest.raises(FitError, match="expected more than 4 rows for 3 features, got 4"):
        require_enough(first(4))


def test_two_contacts_are_enough() -> None:
    two = replace(first(8), cluster=np.repeat([0, 1], 4))
    require_enough(two)
    with pytest.raises(FitError, match="at least 2 contacts, got 1"):
        require_enough(replace(two, cluster=np.zeros(8, np.int64)))


@pytest.mark.parametrize("level", [0.0, 1e4, -1e4])
def test_returns_that_are_equal_are_refused_and_small_differences_are_not(level: float) -> None:
    rows = first(10)
    require_enough(replace(rows, returns=level + 0.5 * np.arange(10.0)))
    with pytest.raises(FitError, match="expected returns that vary"):
        require_enough(replace(rows, returns=np.full(10, level)))


def test_a_difference_lost_beside_the_largest_return_is_none() -> None:
    rows = first(10)
    hardly = np.full(10, 1e9)
    hardly[0] += 1.0
    with pytest.raises(FitError, match="expected returns that vary"):
        require_enough(replace(rows, returns=hardly))
    require_enough(replace(rows, returns=hardly - 1e9))  # negative control


def test_a_propensity_that_is_not_told_is_counted() -> None:
    rows = first(10)
    propensity = np.array([1.0, 1e-3, *[0.5] * 8])
    logged_choices(replace(rows, propensity=propensity), "test")
    propensity[3] = np.nan
    with pytest.raises(FitError, match=r"test needs the probability .* and 1 of 10 decisions lack"):
        logged_choices(replace(rows, propensity=propensity), "test")

"""SLOPE++: which candidate wins, by hand, and what is said about the winner's error."""

from __future__ import annotations

import numpy as np
import pytest

from nurture_rl.errors import ShapeError
from nurture_rl.ope.estimators import ValueEstimate
from nurture_rl.ope.intervals import interval_of
from nurture_rl.ope.weighting.slope import WIDER, slope, tuned, tuned_interval


def candidate(value: float, half: float) -> ValueEstimate:
    """An estimate whose 95 % interval has the given half-width: t(1) is 12.7062 with 2 contacts."""
    stderr = half / 12.706204736174698
    influence = np.array([stderr / 2.0, -stderr / 2.0])
    return ValueEstimate(value, stderr, 2, 2, 2.0, influence)


def test_widths_are_those_of_the_clustered_interval() -> None:
    own = interval_of(candidate(3.0, 2.0), 0.95)
    assert (own.lower, own.upper) == pytest.approx((1.0, 5.0))


def test_the_narrowest_that_contradicts_no_wider_one_is_chosen() -> None:
    # |2 - 0| <= 0.9 + 1.449 * 1 holds, |2.6 - 0| <= 0.1 + 1.449 * 1 does not.
    found = [candidate(0.0, 1.0), candidate(2.0, 0.9), candidate(2.6, 0.1)]
    assert slope(found) == 1
    assert slope([candidate(0.0, 1.0), candidate(1.5, 0.1)]) == 1
    assert slope([candidate(0.0, 1.0), candidate(-1.5, 0.1)]) == 1
    assert slope([candidate(0.0, 1.0), candidate(1.6, 0.1)]) == 0


def test_the_constant_is_that_of_slope_plus_plus() -> None:
    assert pytest.approx(1.449489742783178) == WIDER


def test_the_boundary_itself_is_still_allowed() -> None:
    wide, narrow = candidate(0.0, 1.0), candidate(0.0, 0.5)
    below = candidate(0.999 * (0.5 + WIDER), 0.5)
    above = candidate(1.001 * (0.5 + WIDER), 0.5)
    assert [slope([wide, other]) for other in (narrow, below, above)] == [1, 1, 0]


def test_the_given_order_is_that_of_bias_and_widths_need_not_fall() -> None:
    # The more biased candidate is wider: it contradicts nothing and still is not chosen.
    assert slope([candidate(1.0, 0.1), candidate(2.0, 1.0)]) == 0
    # Going by width, the second would be believed and the first contradict it.
    assert slope([candidate(9.0, 0.1), candidate(0.0, 1.0), candidate(0.5, 0.5)]) == 0
    assert slope([candidate(1.0, 0.5), candidate(1.0, 1.0), candidate(0.9, 0.1)]) == 2


def test_what_follows_a_contradiction_is_not_looked_at() -> None:
    found = [candidate(0.0, 1.0), candidate(9.0, 0.5), candidate(0.0, 0.1)]
    assert slope(found) == 0


def test_a_lower_level_narrows_what_is_compared() -> None:
    found = [candidate(0.0, 1.0), candidate(1.0, 0.5)]
    assert slope(found, 0.95) == 1
    assert slope(found, 0.5) == 0


def test_the_tuned_estimate_has_the_chosen_value_and_the_least_biased_error() -> None:
    found = tuned({np.inf: candidate(0.0, 1.0), 10.0: candidate(1.2, 0.3)})
    assert found.parameter == 10.0
    assert found.considered == (np.inf, 10.0)
    assert found.estimate.value == 1.2
    assert found.estimate.stderr == found.least_biased.stderr
    assert found.estimate.influence is found.least_biased.influence
    assert found.chosen.stderr == pytest.approx(0.3 * found.least_biased.stderr)


@pytest.mark.parametrize(
    ("value", "lower", "upper"), [(0.5, -1, 1), (1.2, -1, 1.2), (-1.3, -1.3, 1)]
)
def test_the_interval_contains_the_least_biased_one_and_the_value(
    value: float, lower: float, upper: float
) -> None:
    found = tuned({np.inf: candidate(0.0, 1.0), 10.0: candidate(value, 0.3)})
    own = tuned_interval(found, 0.95)
    assert (own.lower, own.upper) == pytest.approx((lower, upper))
    assert own.level == 0.95


def test_nothing_to_choose_from_is_refused() -> None:
    with pytest.raises(ShapeError, match="at least one candidate"):
        slope([])

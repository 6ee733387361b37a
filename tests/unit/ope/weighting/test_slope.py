"""Which candidate wins, by hand, and what is said about the winner's error."""

from __future__ import annotations

import numpy as np
import pytest

from nurture_rl.errors import ShapeError
from nurture_rl.ope.estimators import ValueEstimate
from nurture_rl.ope.intervals import interval_of
from nurture_rl.ope.log import FloatArray
from nurture_rl.ope.weighting.slope import slope, tuned

T = 12.706204736174698  # 97.5 % quantile of t with one degree of freedom


def with_error(value: float, influence: FloatArray) -> ValueEstimate:
    """An estimate from two contacts: s.e.^2 = 2 sum psi^2."""
    stderr = float(np.sqrt(2.0 * influence @ influence))
    return ValueEstimate(value, stderr, 2, 2, 2.0, influence)


def candidate(value: float, half: float) -> ValueEstimate:
    """One whose 95 % interval has the given half-width; all of them share their noise."""
    return with_error(value, np.array([1.0, -1.0]) * half / (2.0 * T))


def test_widths_are_those_of_the_clustered_interval() -> None:
    own = interval_of(candidate(3.0, 2.0), 0.95)
    assert (own.lower, own.upper) == pytest.approx((1.0, 5.0))


def test_a_candidate_may_differ_by_the_error_of_the_difference() -> None:
    # Half-widths 1 and 0.4 of shared noise: their difference is known to 0.6.
    assert slope([candidate(0.0, 1.0), candidate(0.59, 0.4)]) == 1
    assert slope([candidate(0.0, 1.0), candidate(-0.59, 0.4)]) == 1
    assert slope([candidate(0.0, 1.0), candidate(0.61, 0.4)]) == 0
    assert slope([candidate(0.0, 1.0), candidate(-0.61, 0.4)]) == 0


def test_noise_that_is_not_shared_allows_more() -> None:
    own = with_error(0.0, np.array([1.0, -1.0]) / (2.0 * T))
    other = with_error(1.3, -0.4 * own.influence)
    assert slope([own, other]) == 1
    assert slope([own, with_error(1.5, other.influence)]) == 0


def test_every_less_biased_candidate_is_asked() -> None:
    # 0.9 is within 0.95 of the first and not within 0.75 of the second, which is at -0.1.
    assert slope([candidate(0.0, 1.0), candidate(-0.1, 0.8), candidate(0.9, 0.05)]) == 1
    assert slope([candidate(0.0, 1.0), candidate(0.1, 0.8), candidate(0.8, 0.05)]) == 2


def test_what_follows_a_contradiction_is_not_looked_at() -> None:
    assert slope([candidate(0.0, 1.0), candidate(9.0, 0.5), candidate(0.0, 0.1)]) == 0


def test_the_given_order_is_that_of_bias_and_widths_need_not_fall() -> None:
    # The more biased candidate is wider: it contradicts nothing and still is not chosen.
    assert slope([candidate(1.0, 0.1), candidate(1.5, 1.0)]) == 0
    assert slope([candidate(0.0, 0.5), candidate(0.1, 1.0), candidate(0.2, 0.1)]) == 2


def test_equal_candidates_are_no_contradiction_and_the_first_stands() -> None:
    nearly = candidate(3.0 + 1e-13, 1.0)
    assert slope([candidate(3.0, 1.0), nearly, candidate(3.1, 0.5)]) == 2
    assert slope([candidate(3.0, 1.0), candidate(3.0, 1.0)]) == 0


def test_one_contact_says_nothing_against_the_least_biased() -> None:
    alone = [ValueEstimate(v, np.inf, 1, 1, 1.0, np.zeros(1)) for v in (0.0, 5.0)]
    assert slope(alone) == 0
    assert tuned({np.inf: alone[0], 1.0: alone[1]}).estimate.stderr == np.inf


def test_the_tuned_interval_contains_the_least_biased_one_and_no_more() -> None:
    found = tuned({np.inf: candidate(7.0, 1.0), 10.0: candidate(7.5, 0.3)})
    assert found.parameter == 10.0
    assert found.considered == (np.inf, 10.0)
    own = interval_of(found.estimate, 0.95)
    assert (own.lower, own.upper) == pytest.approx((6.0, 9.0))
    below = tuned({np.inf: candidate(7.0, 1.0), 10.0: candidate(6.5, 0.3)})
    own = interval_of(below.estimate, 0.95)
    assert (own.lower, own.upper) == pytest.approx((5.0, 8.0))


def test_the_tuned_estimate_has_the_chosen_value_and_the_stretched_error() -> None:
    found = tuned({np.inf: candidate(7.0, 1.0), 10.0: candidate(7.5, 0.3)})
    assert found.estimate.value == 7.5
    assert found.estimate.stderr == pytest.approx(1.5 * found.least_biased.stderr)
    assert found.estimate.influence == pytest.approx(1.5 * found.least_biased.influence)
    assert found.chosen.stderr == pytest.approx(0.3 * found.least_biased.stderr)
    assert found.chosen.value == 7.5
    assert found.least_biased.value == 7.0


def test_without_any_error_the_first_candidate_stands_as_it_is() -> None:
    found = tuned({np.inf: candidate(2.0, 0.0), 1.0: candidate(2.0, 0.0)})
    assert (found.estimate.value, found.estimate.stderr) == (2.0, 0.0)


def test_nothing_to_choose_from_is_refused() -> None:
    with pytest.raises(ShapeError, match="at least one candidate"):
        slope([])

"""MAGIC finds the least-error blend, and its simplex programme is exact."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.errors import FitError, ShapeError
from nurture_rl.ope.intervals import interval_of
from nurture_rl.ope.log import FloatArray
from nurture_rl.ope.sequential.magic import blend, magic, simplex_minimum
from nurture_rl.ope.sequential.weighted_dr import PartialHorizons, partial_horizons, wdr
from nurture_rl.ope.value_model import ValuePredictions
from tests.unit.ope.log_makers import random_log
from tests.unit.ope.sequential.small_logs import random_predictions, random_taken


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        # independent errors: shares by inverse variance
        ([[1.0, 0.0], [0.0, 3.0]], [0.75, 0.25]),
        # (4 - 1) to (2 - 1) by the minimum-variance rule
        ([[2.0, 1.0], [1.0, 4.0]], [0.75, 0.25]),
        # the unconstrained minimum has a negative share: all goes to the first
        ([[1.0, 2.0], [2.0, 5.0]], [1.0, 0.0]),
        ([[1e-30, 0.0], [0.0, 3e-30]], [0.75, 0.25]),
        ([[0.0, 0.0], [0.0, 0.0]], [0.5, 0.5]),
    ],
)
def test_small_programmes_by_hand(matrix: list[list[float]], expected: list[float]) -> None:
    assert simplex_minimum(np.array(matrix)) == pytest.approx(expected, abs=1e-7)


def test_no_point_of_the_simplex_is_better() -> None:
    rng = np.random.default_rng(0)
    for size in (3, 8):
        half = rng.normal(size=(4, size))
        matrix = half.T @ half
        found = simplex_minimum(matrix)
        assert found.min() >= 0.0
        assert found.sum() == pytest.approx(1.0)
        others = rng.dirichlet(np.ones(size), size=5000)
        least = np.einsum("ni,ij,nj->n", others, matrix, others).min()
        assert found @ matrix @ found <= least + 1e-9


@pytest.mark.parametrize("matrix", [np.zeros((2, 3)), np.zeros(4)])
def test_a_programme_that_is_none_is_refused(matrix: FloatArray) -> None:
    with pytest.raises(ShapeError, match="a square matrix"):
        simplex_minimum(matrix)


def test_errors_beyond_floating_point_are_the_estimators_own_failure() -> None:
    with pytest.raises(FitError, match="leave the range of floating point"):
        simplex_minimum(np.full((2, 2), np.nan))


def three_horizons(model: float, halfway: float, weights: float = 5.0) -> PartialHorizons:
    """A model of no spread, something between, and weights of standard error 2 about 5."""
    spread = np.array([1.0, -1.0, 1.0, -1.0]) * np.sqrt(3 / 4)
    influence = np.column_stack([np.zeros(4), 0.5 * spread, spread])
    return PartialHorizons(np.array([model, halfway, weights]), influence, ess=4.0)


def test_bias_is_the_distance_to_the_half_interval_of_the_weights() -> None:
    # The 50 % interval is 5 +- 2 * 0.6744898 = 5 +- 1.3489795.
    found = blend(three_horizons(8.0, 2.0))
    assert found.covariance[1:, 1:] == pytest.approx(np.array([[1.0, 2.0], [2.0, 4.0]]))
    assert found.bias == pytest.approx([3.0 - 1.3489795, 1.3489795 - 3.0, 0.0])
    assert blend(three_horizons(6.3, 3.7)).bias == pytest.approx([0.0, 0.0, 0.0])


def test_a_model_inside_the_interval_takes_all_and_one_far_outside_nothing() -> None:
    assert blend(three_horizons(6.3, 5.0)).shares == pytest.approx([1.0, 0.0, 0.0], abs=1e-7)
    far = blend(three_horizons(1e4, 1e4)).shares
    assert far == pytest.approx([0.0, 0.0, 1.0], abs=1e-6)


def test_the_estimate_is_the_blend_and_its_interval_reaches_over_that_of_the_weights() -> None:
    log = random_log(1, [2, 3, 1, 2, 3, 3])
    taken, model = random_taken(2, log), random_predictions(3, log.n_rows)
    found = partial_horizons(log, taken, model)
    estimate, unbiased = magic(log, taken, model), wdr(log, taken, model)
    assert estimate.value == pytest.approx(blend(found).shares @ found.values)
    assert estimate.ess == pytest.approx(found.ess)
    assert found.values.min() <= estimate.value <= found.values.max()
    assert estimate.influence / estimate.stderr == pytest.approx(
        unbiased.influence / unbiased.stderr
    )
    own, other = interval_of(estimate, 0.95), interval_of(unbiased, 0.95)
    assert estimate.value != pytest.approx(unbiased.value)
    near = min((own.lower, other.lower), (own.upper, other.upper), key=lambda ends: np.ptp(ends))
    assert near[0] == pytest.approx(near[1])
    assert own.lower <= other.lower + 1e-9
    assert own.upper >= other.upper - 1e-9


def test_the_interval_covers_where_nearly_all_share_lies_on_a_model_that_errs() -> None:
    covered, shares = 0, []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        log = random_log(seed, [1] * 100, cluster=np.arange(100) // 2)
        log = replace(log, reward=rng.normal(size=100) * 3.0)
        model = ValuePredictions(np.full(100, 0.5), np.full(100, 0.5))  # the truth is 0
        taken = random_taken(seed, log)
        shares.append(blend(partial_horizons(log, taken, model)).shares[0])
        interval = interval_of(magic(log, taken, model), 0.95)
        covered += interval.lower <= 0.0 <= interval.upper
    assert np.mean(shares) > 0.3
    assert covered >= 54


def test_one_contact_still_has_a_value() -> None:
    log = random_log(4, [2, 2], cluster=[7, 7])
    estimate = magic(log, random_taken(5, log), random_predictions(6, 4))
    assert np.isfinite(estimate.value)
    assert estimate.stderr == np.inf

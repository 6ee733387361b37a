"""The door every distribution passes, and drawing from it."""

from __future__ import annotations

import numpy as np
import pytest

from nurture_rl.errors import ProbabilityError, ShapeError
from nurture_rl.policies.policy import (
    certain,
    check_probabilities,
    normalised,
    require_batch,
    sample_actions,
)

LEGAL = np.ones((2, 3), np.bool_)


def test_a_distribution_over_the_legal_actions_passes() -> None:
    check_probabilities(
        np.array([[0.25, 0.75, 0.0], [1.0, 0.0, 0.0]]), np.array([[True, True, False]] * 2)
    )


def test_the_first_row_that_misses_one_is_named_with_its_sum() -> None:
    rows = np.array([[0.2, 0.3, 0.5], [0.2, 0.3, 0.4]])
    with pytest.raises(ProbabilityError, match=r"row 1 of 2 misses 1 .* it sums to 0\.9,"):
        check_probabilities(rows, LEGAL)


def test_a_row_off_by_float32_rounding_is_refused() -> None:
    rows = np.full((2, 3), 1.0 / 3.0)
    rows[0, 0] += 3e-8
    with pytest.raises(ProbabilityError, match="row 0"):
        check_probabilities(rows, LEGAL)


def test_the_smallest_probability_on_a_masked_action_is_refused() -> None:
    mask = np.array([[True, True, True], [True, True, False]])
    rows = np.array([[0.5, 0.5, 0.0], [0.5, 0.5, 1e-300]])
    with pytest.raises(ProbabilityError, match="row 1 of 2 puts probability on a masked"):
        check_probabilities(rows, mask)


@pytest.mark.parametrize("bad", [-1e-12, np.nan])
def test_negative_and_missing_entries_are_refused(bad: float) -> None:
    rows = np.array([[1.0, 0.0, 0.0], [1.0 - bad, bad, 0.0]])
    with pytest.raises(ProbabilityError, match="row 1 of 2 has an entry that is negative"):
        check_probabilities(rows, LEGAL)


def test_probabilities_and_mask_of_other_shapes_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"\(2, 2\) and \(2, 3\)"):
        check_probabilities(np.full((2, 2), 0.5), LEGAL)


def test_batches_that_do_not_fit_the_catalogue_are_refused() -> None:
    features = np.zeros((2, 4), np.float32)
    with pytest.raises(ShapeError, match=r"mask \[n, 5\]"):
        require_batch(features, LEGAL, 5)
    with pytest.raises(ShapeError, match="boolean"):
        require_batch(features, np.ones((2, 3)), 3)  # type: ignore[arg-type]
    with pytest.raises(ProbabilityError, match="row 1 has no legal action"):
        require_batch(features, np.array([[True] * 3, [False] * 3]), 3)


def test_normalised_shares_the_legal_weight_by_hand() -> None:
    mask = np.array([[True, True, True], [True, False, True]])
    shares = normalised(np.array([1.0, 2.0, 5.0]), mask)
    assert shares == pytest.approx(np.array([[0.125, 0.25, 0.625], [1 / 6, 0.0, 5 / 6]]))


def test_normalised_refuses_a_row_without_weight() -> None:
    with pytest.raises(ProbabilityError, match="row 0 has weight 0"):
        normalised(np.array([0.0, 1.0]), np.array([[True, False]]))


def test_sampling_inverts_the_cumulative_distribution() -> None:
    row = np.array([0.2, 0.5, 0.3])
    uniforms = np.array([0.0, 0.19, 0.2, 0.69, 0.71, 0.999])
    drawn = sample_actions(np.tile(row, (6, 1)), uniforms)
    assert drawn.tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("uniform", [0.0, np.nextafter(0.0, 1.0), np.nextafter(1.0, 0.0), 1.0])
def test_actions_of_probability_zero_are_never_drawn(uniform: float) -> None:
    rows = np.array([[0.0, 0.1, 0.0, 0.9, 0.0], [0.0, 0.0, 1.0, 0.0, 0.0]])
    drawn = sample_actions(rows, np.full(2, uniform))
    assert (rows[np.arange(2), drawn] > 0.0).all()


def test_sampled_shares_match_the_probabilities() -> None:
    row = np.array([0.6, 0.0, 0.4])
    uniforms = (np.arange(1000) + 0.5) / 1000
    counts = np.bincount(sample_actions(np.tile(row, (1000, 1)), uniforms), minlength=3)
    assert counts.tolist() == [600, 0, 400]


def test_uniforms_outside_the_unit_interval_are_refused() -> None:
    with pytest.raises(ProbabilityError, match=r"\[0, 1\]"):
        sample_actions(np.array([[1.0]]), np.array([np.nan]))
    with pytest.raises(ProbabilityError, match=r"\[0, 1\]"):
        sample_actions(np.array([[1.0]]), np.array([1.5]))
    with pytest.raises(ShapeError, match="uniforms"):
        sample_actions(np.array([[1.0]]), np.zeros(2))


def test_the_highest_uniform_draws_the_last_possible_action() -> None:
    rows = np.array([[0.0, 0.4, 0.6, 0.0], [0.5, 0.5, 0.0, 0.0]])
    assert sample_actions(rows, np.ones(2)).tolist() == [2, 1]


def test_a_row_that_sums_to_less_than_one_by_rounding_keeps_its_shares() -> None:
    # Half of 0.98 is 0.49: just inside the first action; half of 1 would be past it.
    assert sample_actions(np.array([[0.495, 0.485]]), np.array([0.5])).tolist() == [0]
    assert sample_actions(np.array([[0.485, 0.495]]), np.array([0.5])).tolist() == [1]
    assert sample_actions(np.array([[0.505, 0.505]]), np.array([0.5])).tolist() == [1]
    assert sample_actions(np.array([[0.4, 0.1, 0.3]]), np.array([0.55])).tolist() == [1]


def test_certain_puts_everything_on_one_action() -> None:
    assert certain(np.array([1, 0]), 3).tolist() == [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]

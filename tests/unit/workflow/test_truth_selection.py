"""The estimator chosen on a log: the least noise, unless its bias can be told from noise."""

from __future__ import annotations

import numpy as np
import pytest

from nurture_rl.errors import FitError
from nurture_rl.ope.estimators import ValueEstimate
from nurture_rl.ope.log import FloatArray
from nurture_rl.workflow.truth_selection import least_error

SPREAD = np.array([1.0, -1.0, 1.0, -1.0])  # s.e. of one unit: sqrt(4 / 3 * 4) = 2.309


def estimate(value: float, stderr: float, influence: FloatArray) -> ValueEstimate:
    return ValueEstimate(value, stderr, 4, 4, 4.0, influence)


def policy(distance: float, model_stderr: float = 0.1) -> dict[str, ValueEstimate]:
    return {
        "dm": estimate(10.0 + distance, model_stderr, 0.0 * SPREAD),
        "dr": estimate(10.0, 2.309, SPREAD),
    }


def test_a_distance_within_noise_is_no_bias() -> None:
    # The distance 2 is within the s.e. of the difference, 2.309: error 0.01 against 5.33.
    assert least_error([policy(2.0)]) == "dm"
    assert least_error([policy(-2.0)]) == "dm"


def test_a_distance_beyond_noise_is_bias() -> None:
    # 3.27^2 - 5.33 = 5.36 and 3.25^2 - 5.33 = 5.23, against 5.33 of the doubly robust one.
    assert least_error([policy(3.27)]) == "dr"
    assert least_error([policy(3.25)]) == "dm"
    assert least_error([policy(-3.27)]) == "dr"


def test_noise_of_its_own_counts() -> None:
    assert least_error([policy(2.0, model_stderr=2.4)]) == "dr"


def test_policies_are_pooled_before_bias_is_cut_at_zero() -> None:
    # One far and one near: (16 - 5.33 + 0 - 5.33) / 2 = 2.67 is less than 5.33.
    assert least_error([policy(4.0), policy(0.0)]) == "dm"
    # Two far ones: 10.67.
    assert least_error([policy(4.0), policy(-4.0)]) == "dr"


def test_shared_noise_is_no_excuse() -> None:
    # Both err alike, so a distance of 0.5 is bias; but the other's smaller noise pays for it.
    same = {"snips": estimate(10.5, 2.2, SPREAD), **policy(9.0)}
    assert least_error([same]) == "snips"  # 2.2^2 + 0.25 = 5.09
    assert least_error([{**same, "snips": estimate(10.8, 2.2, SPREAD)}]) == "dr"  # 4.84 + 0.64


def test_an_estimator_that_did_not_answer_everywhere_is_not_chosen() -> None:
    assert least_error([policy(0.0), {"dr": policy(0.0)["dr"]}]) == "dr"


def test_nothing_to_choose_from_is_refused() -> None:
    with pytest.raises(FitError, match="got 0 policies"):
        least_error([])
    with pytest.raises(FitError, match="'dr'"):
        least_error([{"dm": policy(0.0)["dm"]}])

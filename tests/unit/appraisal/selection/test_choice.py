"""The estimator with the smallest error is chosen, and the choice says why."""

from __future__ import annotations

import pytest

from nurture_rl.appraisal.selection.choice import EstimatorScore, choose
from nurture_rl.errors import OverlapError


def test_the_smallest_error_comes_first_and_equals_keep_their_order() -> None:
    scores = [
        EstimatorScore("a", 9.0, 5.0, 4.0),
        EstimatorScore("b", 4.0, 0.0, 4.0),
        EstimatorScore("c", 4.0, 1.0, 3.0),
    ]
    found = choose(scores, {"d": "no overlap"})
    assert [score.name for score in found.ranking] == ["b", "c", "a"]
    assert (found.name, found.refusals) == ("b", {"d": "no overlap"})
    assert "b has the smallest estimated error of 3 estimators, 2: bias 0" in found.reason
    assert "standard error 2; next is c" in found.reason


def test_a_single_estimator_is_its_own_next() -> None:
    found = choose([EstimatorScore("a", 13.0, 9.0, 4.0)], {})
    assert "bias 3, standard error 2; next is a" in found.reason


def test_no_estimator_is_no_choice() -> None:
    with pytest.raises(OverlapError, match=r"no estimator gave a number throughout.*d: no overlap"):
        choose([], {"d": "no overlap"})

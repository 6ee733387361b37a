"""Trials tell bias from noise by hand."""

from __future__ import annotations

import numpy as np
import pytest

from nurture_rl.appraisal.selection.trials import Trial, choose_by_trials, settings_problem
from nurture_rl.errors import OverlapError
from nurture_rl.ope.estimators import ValueEstimate
from nurture_rl.ope.suite import Answers


def said(value: float, stderr: float) -> ValueEstimate:
    return ValueEstimate(value, stderr, 8, 8, 8.0, np.zeros(8))


def trial(other: ValueEstimate, share: float, **estimates: ValueEstimate) -> Trial:
    return Trial(Answers(estimates, {}), other, share)


def test_bias_is_what_lies_above_both_variances() -> None:
    trials = [
        trial(said(1.0, 2.0), 0.5, far=said(6.0, 1.0), near=said(2.0, 3.0)),
        trial(said(2.0, 1.0), 0.25, far=said(5.0, 2.0), near=said(2.0, 4.0)),
    ]
    found = choose_by_trials(trials, "ocv")
    # far: (25 - 1 - 4 + 9 - 4 - 1) / 2 = 12; variance (0.5 * 1 + 0.25 * 4) / 2 = 0.75.
    far, near = sorted(found.ranking, key=lambda score: score.name)
    assert (far.bias_squared, far.variance, far.mse) == pytest.approx((12.0, 0.75, 12.75))
    # near: (1 - 9 - 4 + 0 - 16 - 1) / 2 < 0; variance (0.5 * 9 + 0.25 * 16) / 2 = 4.25.
    assert (near.bias_squared, near.variance, near.mse) == pytest.approx((0.0, 4.25, 4.25))
    assert found.name == "near"


def test_an_estimator_that_refused_once_is_not_ranked() -> None:
    one, two = said(0.0, 1.0), said(9.0, 1.0)
    trials = [
        Trial(Answers({"a": one, "b": two}, {}), one, 1.0),
        Trial(Answers({"b": two}, {"a": "no overlap"}), one, 1.0),
    ]
    found = choose_by_trials(trials, "ocv")
    assert [score.name for score in found.ranking] == ["b"]
    assert found.refusals == {"a": "no overlap"}


def test_refusals_throughout_are_refused() -> None:
    with pytest.raises(OverlapError, match="a: no overlap"):
        choose_by_trials([Trial(Answers({}, {"a": "no overlap"}), said(0.0, 1.0), 1.0)], "ocv")


@pytest.mark.parametrize(
    ("targets", "estimators", "splits", "share"),
    [({}, {"e": 0}, 1, 0.5), ({"t": 0}, {}, 1, 0.5), ({"t": 0}, {"e": 0}, 0, 0.5)]
    + [({"t": 0}, {"e": 0}, 1, share) for share in (0.0, 1.0, 50.0)],
)
def test_settings_out_of_range_are_named(
    targets: dict[str, object], estimators: dict[str, object], splits: int, share: float
) -> None:
    problem = settings_problem(targets, estimators, splits, share)
    assert problem is not None
    assert f"{splits} and {share}" in problem


def test_settings_in_range_have_no_problem() -> None:
    assert settings_problem({"t": 0}, {"e": 0}, 1, 0.01) is None

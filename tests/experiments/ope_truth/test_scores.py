"""Scores of estimators against a truth, worked by hand."""

from __future__ import annotations

from dataclasses import replace
from math import isnan

import pytest

from experiments.ope_truth.scores import SELECTED, Choice, choose, scores
from experiments.ope_truth.study import TrueValues, TruthCell, TruthFinding
from experiments.world_ranking.study import LOGGING
from nurture_rl.errors import ShapeError

TRUTH = TrueValues(
    value={LOGGING: 10.0, "a": 14.0, "b": 12.0, "c": 6.0},
    stderr={LOGGING: 0.0, "a": 0.0, "b": 0.0, "c": 0.0},
    decisions_per_contact=5.0,
)
FINDING = TruthFinding(
    policy="a",
    estimator="dr",
    value=12.0,
    lower=11.0,
    upper=14.5,
    ess=200.0,
    feasible=True,
    seconds=0.5,
)


def cell(*findings: TruthFinding) -> TruthCell:
    return TruthCell(
        world="w",
        size=50,
        replicate=1,
        decisions=51,
        contacts=10,
        seed=1,
        model_seconds=1.0,
        findings=findings,
        refusals=(),
    )


def of(policy: str, value: float, feasible: bool = True) -> TruthFinding:
    return replace(
        FINDING, policy=policy, value=value, lower=value - 1, upper=value + 1, feasible=feasible
    )


def test_the_choice_costs_what_the_best_earns_more() -> None:
    names = ["a", "b", "c"]
    # b is taken for the best: 14 - 12 of a gain of 14 - 10.
    assert choose({"a": 11.0, "b": 13.0}, TRUTH, names) == Choice("b", 2.0, 0.5)
    # Everything looks worse than the logging policy, which is known without evaluation.
    assert choose({"a": 9.0, "b": 8.0}, TRUTH, names) == Choice(LOGGING, 4.0, 1.0)
    # What is believed of the logging policy counts where it is given.
    assert choose({"a": 9.0, LOGGING: 8.0}, TRUTH, names) == Choice("a", 0.0, 0.0)
    # Nothing better than the logging policy could be chosen: no gain, no share.
    assert choose({"c": 11.0}, TRUTH, ["c"]) == Choice("c", 4.0, 0.0)
    with pytest.raises(ShapeError, match="expected values of b alone"):
        choose({"a": 1.0}, TRUTH, ["b"])


def test_a_score_by_hand() -> None:
    found = scores(cell(of("a", 13.5), of("b", 14.5), of("c", 6.5, feasible=False)), TRUTH)
    one = found[0]
    assert (one.estimator, one.asked, one.answered, one.carried) == ("dr", 4, 3, 2)
    assert one.error == pytest.approx((0.5 + 2.5 + 0.5) / (14 + 12 + 6))
    assert one.carried_error == pytest.approx((0.5 + 2.5) / (14 + 12))
    assert (one.covered, one.covered_else) == (1, 1)
    assert one.spearman == pytest.approx(0.5)  # ranks 2, 3, 1 against 3, 2, 1
    assert isnan(one.carried_spearman)  # of two policies there is no order to speak of
    assert one.choice == Choice("b", 2.0, 0.5)
    assert one.carried_choice == Choice("b", 2.0, 0.5)
    assert one.seconds == 0.5


def test_only_policies_that_a_log_carries_are_chosen_among_those() -> None:
    found = scores(cell(of("a", 20.0, feasible=False), of("b", 11.0), of("c", 3.0)), TRUTH)[0]
    assert found.choice == Choice("a", 0.0, 0.0)
    assert found.carried_choice == Choice("b", 0.0, 0.0)  # the best that could be chosen


def test_each_estimator_is_scored_by_itself_and_a_refused_policy_can_not_be_chosen() -> None:
    other = replace(of("b", 30.0), estimator="ips", seconds=1.5)
    found = scores(cell(of("a", 13.0), of("b", 12.0), other), TRUTH)
    assert [one.estimator for one in found] == ["dr", "ips", SELECTED]
    assert [one.answered for one in found] == [2, 1, 2]
    assert replace(found[2], estimator="dr") == found[0]  # ips left a policy out
    assert found[1].carried_choice.regret == pytest.approx(2.0)  # a could have been chosen
    assert found[1].seconds == 1.5


def test_a_truth_known_up_to_noise_is_held_more_easily() -> None:
    far = cell(of("a", 12.0), of("b", 14.0))
    assert scores(far, TRUTH)[0].covered == 0
    noisy = replace(TRUTH, stderr={**TRUTH.stderr, "a": 1.0})  # sqrt(1 + 1.96^2) > 2
    assert scores(far, noisy)[0].covered == 1

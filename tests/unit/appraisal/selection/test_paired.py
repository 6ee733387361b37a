"""A biased estimator is chosen only where its bias is shown to be small."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.appraisal.selection.choice import (
    EstimatorChoice,
    EstimatorScore,
    rank_by_pairing,
)
from nurture_rl.errors import OverlapError
from nurture_rl.ope.clusters import clustered_stderr
from nurture_rl.ope.estimators import ValueEstimate, dm, dr
from nurture_rl.ope.log import EvaluationLog, FloatArray
from nurture_rl.ope.named_estimators import ESTIMATORS, FULLY_WEIGHTED, Estimator, Question, answers
from nurture_rl.ope.targets import on_logged_rows
from nurture_rl.ope.value_model import ValueModelConfig, fit_value, value_design
from tests.unit.appraisal.selection.question_makers import asked_log, refuse

MODEL = ValueModelConfig(n_folds=3)


def chosen(
    log: EvaluationLog,
    targets: dict[str, FloatArray],
    estimators: dict[str, Estimator],
    consistent: frozenset[str] = FULLY_WEIGHTED,
) -> EstimatorChoice:
    """The choice among estimators that are asked about every target."""
    design = value_design(log, np.random.default_rng(0), MODEL)
    asked = []
    for target in targets.values():
        question = Question(log, on_logged_rows(log, target), fit_value(design, target))
        judge = dr(log, question.target.taken, question.predictions)
        asked.append((answers(question, estimators), judge))
    return rank_by_pairing(asked, tuple(estimators), consistent)


def shifted(by: float) -> Estimator:
    """The doubly robust answer, off by a constant: nothing but bias."""

    def answer(asked: Question) -> ValueEstimate:
        found = dr(asked.log, asked.target.taken, asked.predictions)
        return replace(found, value=found.value + by)

    return answer


def scores(estimators: dict[str, Estimator], length: int = 1) -> dict[str, EstimatorScore]:
    log, target = asked_log(0, 40, length)
    found = chosen(log, {"t": target}, estimators)
    return {score.name: score for score in found.ranking}


@pytest.mark.parametrize("by", [3.0, -3.0])
def test_a_constant_off_is_bias_without_noise(by: float) -> None:
    found = scores({"off": shifted(by), "dr": ESTIMATORS["dr"]})
    assert found["off"].bias_squared == pytest.approx(9.0)
    assert found["off"].mse == pytest.approx(9.0 + found["dr"].mse)
    assert found["dr"].bias_squared == 0.0


def test_the_bound_of_the_direct_method_is_its_distance_and_one_error_more() -> None:
    log, target = asked_log(0, 40, 2)
    design = value_design(log, np.random.default_rng(0), MODEL)
    predictions = fit_value(design, target)
    taken = target[np.arange(log.n_rows), log.action]
    one, other = dm(log, predictions), dr(log, taken, predictions)
    bound = abs(one.value - other.value) + clustered_stderr(one.influence - other.influence)
    found = scores({"dm": ESTIMATORS["dm"]}, length=2)["dm"]
    assert found.bias_squared == pytest.approx(bound**2)
    assert found.variance == pytest.approx(one.stderr**2)
    assert found.mse == pytest.approx(bound**2 + one.stderr**2)


def test_what_trusts_cells_or_a_model_has_a_bias_to_show() -> None:
    trusting = {"drl", "smis", "dm", "magic"}
    found = scores({name: ESTIMATORS[name] for name in ("drl", "smis", "dm", "magic", "wdr")}, 2)
    assert {name for name, score in found.items() if score.bias_squared > 0.0} == trusting
    assert found["wdr"].bias_squared == 0.0


def test_what_is_declared_consistent_has_no_bias_to_show() -> None:
    log, target = asked_log(0, 40)
    found = chosen(log, {"t": target}, {"off": shifted(3.0)}, frozenset({"off"}))
    assert found.ranking[0].bias_squared == 0.0


def test_a_model_that_errs_is_left_for_the_consistent_and_a_perfect_one_is_not() -> None:
    log, target = asked_log(2, 400)
    three = {name: ESTIMATORS[name] for name in ("ips", "dm", "dr")}
    curved = replace(log, reward=4.0 * np.abs(log.features[:, 0] * log.features[:, 1]) + log.action)
    curved = replace(curved, reward=curved.reward * np.array([-1.0, 1.0, -1.0])[log.action])
    found = chosen(curved, {"t": target}, three)
    assert found.name in ("ips", "dr")
    linear = replace(log, reward=log.features[:, 0].astype(np.float64) * log.action)
    found = chosen(linear, {"t": target}, three)
    assert found.name in ("dm", "dr")
    assert found.ranking[2].name == "ips"


def test_errors_are_averaged_over_targets() -> None:
    log, first = asked_log(3, 40)
    _, second = asked_log(4, 40)
    second = np.where(log.mask, second + 0.1, 0.0)
    second /= second.sum(axis=1, keepdims=True)
    alone = [
        chosen(log, {"t": target}, {"ips": ESTIMATORS["ips"]}).ranking[0]
        for target in (first, second)
    ]
    both = chosen(log, {"a": first, "b": second}, {"ips": ESTIMATORS["ips"]}).ranking[0]
    assert both.mse == pytest.approx((alone[0].mse + alone[1].mse) / 2.0)


def test_an_estimator_that_refuses_is_told_and_not_ranked() -> None:
    log, target = asked_log(5, 40)
    found = chosen(log, {"t": target}, {"shy": refuse, "dr": ESTIMATORS["dr"]})
    assert [score.name for score in found.ranking] == ["dr"]
    assert found.refusals == {"shy": "nothing to say of 40 episodes"}
    with pytest.raises(OverlapError, match="nothing to say"):
        chosen(log, {"t": target}, {"shy": refuse})

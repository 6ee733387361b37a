"""Names of the suite: what answers, and what says whose number it would repeat."""

from __future__ import annotations

import numpy as np
import pytest

from nurture_rl.ope.estimators import dr
from nurture_rl.ope.log import EvaluationLog
from nurture_rl.ope.named_estimators import ESTIMATORS, SLOW_ESTIMATORS, Question, answers
from nurture_rl.ope.sequential.abstraction import value_cells
from nurture_rl.ope.sequential.dice import dice
from nurture_rl.ope.sequential.marginal import drl, smis
from nurture_rl.ope.sequential.weighted_dr import wdr
from nurture_rl.ope.targets import TargetOnLog
from nurture_rl.ope.weighting.self_normalised import sndr
from tests.unit.ope.log_makers import random_log
from tests.unit.ope.sequential.small_logs import random_predictions, random_target, taken_of

OURS = {name: ESTIMATORS[name] for name in ("sndr", "wdr", "drl", "smis", "magic")}


def question(log: EvaluationLog) -> Question:
    target = random_target(1, log)
    taken = taken_of(log, target)
    on_log = TargetOnLog(target, taken, (taken / log.propensity) ** 2, None)
    return Question(log, on_log, random_predictions(2, log.n_rows))


def test_several_decisions_are_answered_by_the_sequential_forms() -> None:
    log = random_log(0, [3] * 40)
    asked = question(log)
    found = answers(asked, OURS)
    assert dict(found.refusals) == {"sndr": "the same as wdr where episodes have several decisions"}
    cells = value_cells(log, asked.predictions)
    taken = asked.target.taken
    assert found.estimates["wdr"].value == wdr(log, taken, asked.predictions).value
    assert found.estimates["drl"].value == drl(log, taken, asked.predictions, cells).value
    assert found.estimates["smis"].value == smis(log, taken, cells).value
    assert np.isfinite(found.estimates["magic"].stderr)
    slow = {"dice": SLOW_ESTIMATORS["dice"]}
    expected = dice(log, asked.target.probabilities, cells).value
    assert answers(asked, slow).estimates["dice"].value == expected


def test_one_decision_names_whose_number_it_would_be() -> None:
    log = random_log(3, [1] * 60)
    asked = question(log)
    found = answers(asked, OURS)
    assert dict(found.refusals) == {
        "wdr": "the same as sndr where episodes have one decision",
        "drl": "the same as dr where episodes have one decision",
    }
    taken, model = asked.target.taken, asked.predictions
    assert wdr(log, taken, model).value == pytest.approx(sndr(log, taken, model).value)
    whole = drl(log, taken, model, value_cells(log, model))
    assert whole.value == pytest.approx(dr(log, taken, model).value)


def test_slow_ones_have_names_of_their_own() -> None:
    assert set(SLOW_ESTIMATORS) == {"fqe", "dice"}
    assert not set(SLOW_ESTIMATORS) & set(ESTIMATORS)

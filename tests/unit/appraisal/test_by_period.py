"""Values by week: the weeks' values are those of the week's episodes alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.appraisal.by_period import FEW, by_period, weeks_of
from nurture_rl.appraisal.estimation import EvaluationConfig, questions
from nurture_rl.errors import ShapeError
from nurture_rl.ope.bounds.choose import chosen_interval
from nurture_rl.ope.estimators import dr, ips
from nurture_rl.ope.log import take_episodes
from nurture_rl.ope.targets import TabulatedPolicy
from nurture_rl.ope.value_model import ValueModelConfig, ValuePredictions, value_design
from tests.unit.ope.log_makers import random_distribution, random_log

LOG = random_log(0, [2] * 120)
TARGET = random_distribution(np.random.default_rng(1), LOG.mask)
DESIGN = value_design(LOG, np.random.default_rng(2), ValueModelConfig())
ASKED = questions(LOG, {"new": TabulatedPolicy(TARGET)}, DESIGN, EvaluationConfig())
PERIODS = np.array(["b"] * 40 + ["a"] * 80)


def test_a_week_is_named_by_its_monday() -> None:
    log = random_log(0, [2, 1, 1])
    # 2026-03-01 is a Sunday, 2026-03-02 a Monday, 1969-12-31 a Wednesday
    day = np.array(["2026-03-01", "2026-03-02", "2026-03-02", "1969-12-31"], "datetime64[D]")
    assert weeks_of(day, log).tolist() == ["2026-02-23", "2026-03-02", "1969-12-29"]


def test_a_period_holds_its_own_episodes_with_the_whole_logs_model() -> None:
    found = by_period(LOG, PERIODS, ASKED, 0.9)
    assert [row.period for row in found["new"]] == ["a", "b"]
    rows = np.arange(80, 240)
    part = take_episodes(LOG, np.arange(40, 120))
    model = ASKED["new"].predictions
    predictions = ValuePredictions(model.q_logged[rows], model.value[rows])
    wanted = dr(part, ASKED["new"].target.taken[rows], predictions)
    first = found["new"][0]
    assert first.value == pytest.approx(wanted.value)
    assert (first.n_episodes, first.n_clusters) == (80, 80)
    assert first.interval == chosen_interval(wanted, 0.9)
    assert found["logged"][0].value == pytest.approx(ips(part, part.propensity).value)


def test_periods_weighted_by_their_episodes_make_the_whole() -> None:
    found = by_period(LOG, PERIODS, ASKED, 0.95)
    whole = dr(LOG, ASKED["new"].target.taken, ASKED["new"].predictions).value
    mean = sum(row.value * row.n_episodes for row in found["new"]) / 120
    assert mean == pytest.approx(whole)


def test_a_week_that_few_contacts_rule_gets_a_lopsided_interval() -> None:
    skewed = replace(LOG, reward=np.where(np.arange(240) % 80 == 0, 50.0, 0.0))
    row = by_period(skewed, PERIODS, {}, 0.95)["logged"][0]
    assert row.interval.method == "skewed-t"
    assert row.interval.upper - row.value > row.value - row.interval.lower


def test_a_period_of_few_contacts_is_left_out() -> None:
    few = np.array(["a"] * (FEW - 1) + ["b"] * (121 - FEW))
    assert [row.period for row in by_period(LOG, few, ASKED, 0.95)["logged"]] == ["b"]
    enough = np.array(["a"] * FEW + ["b"] * (120 - FEW))
    assert [row.period for row in by_period(LOG, enough, ASKED, 0.95)["logged"]] == ["a", "b"]


def test_contacts_are_counted_and_not_episodes() -> None:
    one = replace(LOG, cluster=np.arange(120) % (FEW - 1))
    assert by_period(one, np.array(["a"] * 120), {}, 0.95) == {"logged": []}


def test_labels_of_another_length_are_refused() -> None:
    with pytest.raises(ShapeError, match="one period per episode"):
        by_period(LOG, PERIODS[1:], ASKED, 0.95)
    with pytest.raises(ShapeError, match=r"one day per decision, \[240\]"):
        weeks_of(np.array(["2026-03-02"], "datetime64[D]"), LOG)

"""Weeks are held against the others, feature by feature; steady logs pass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from nurture_rl.ope.checks.context import LogContext
from nurture_rl.ope.checks.drift import drift_findings, week_shifts
from nurture_rl.ope.checks.findings import CheckThresholds, Finding, Severity
from nurture_rl.ope.log import EvaluationLog
from tests.unit.ope.log_makers import random_log

LIMITS = CheckThresholds()
WEEK = np.arange(2000) // 400


def steady_log() -> EvaluationLog:
    log = random_log(0, [1] * 2000)
    return replace(log, reward=np.random.default_rng(1).normal(size=2000))


def found_in(log: EvaluationLog, context: LogContext) -> dict[str, Finding]:
    return {one.code: one for one in drift_findings(log, context, LIMITS)}


def test_shift_and_error_of_two_weeks_are_those_of_two_samples() -> None:
    values = np.array([1.0, 2.0, 6.0, 4.0, 8.0])
    shift, stderr = week_shifts(values, np.array([0, 0, 0, 1, 1]), 2, np.arange(5))
    assert shift == pytest.approx([-3.0, 3.0])
    due = np.sqrt(values[:3].var() / 3 + values[3:].var() / 2)
    assert stderr == pytest.approx([due, due])


def test_a_contact_in_both_weeks_counts_once() -> None:
    values = np.array([1.0, 3.0, 1.0, 3.0])
    shift, stderr = week_shifts(values, np.array([0, 0, 1, 1]), 2, np.array([0, 1, 0, 1]))
    # Every contact has the same value in both weeks: the difference has no error at all.
    assert shift == pytest.approx([0.0, 0.0])
    assert stderr == pytest.approx([0.0, 0.0])


def test_an_empty_week_stands_at_zero_and_divides_nothing() -> None:
    shift, stderr = week_shifts(np.array([1.0, 3.0]), np.array([0, 2]), 3, np.arange(2))
    assert shift == pytest.approx([-2.0, -2.0, 2.0])
    assert np.isfinite(stderr).all()


def test_a_steady_log_passes() -> None:
    found = found_in(steady_log(), LogContext(week=WEEK))
    assert set(found) == {"drift-context", "drift-reward", "drift-propensity"}
    for one in found.values():
        assert one.severity is Severity.OK
        assert one.sentence.startswith("no shift that counts")
        assert one.advice == ""
        assert one.numbers["shifted"] == 0.0


def test_a_feature_that_moved_is_named_with_its_week() -> None:
    log = steady_log()
    features = log.features.copy()
    features[WEEK == 3, 1] += 0.8
    context = LogContext(week=WEEK, feature_names=("opens", "age"))
    found = found_in(replace(log, features=features), context)["drift-context"]
    assert found.severity is Severity.WARN
    assert found.sentence.startswith("age in week 3 is +0.")
    spread = features[:, 1].std()
    others = features[WEEK != 3, 1].mean()
    shift = (features[WEEK == 3, 1].mean() - others) / spread
    assert found.numbers["shift"] == pytest.approx(shift, abs=1e-4)
    assert found.numbers["shifted"] >= 1.0
    assert "latest weeks" in found.advice


def test_rewards_and_propensities_are_looked_at_too() -> None:
    log = steady_log()
    log = replace(
        log,
        reward=log.reward - 0.7 * (WEEK == 0),
        propensity=np.where(WEEK == 4, log.propensity / 2, log.propensity),
    )
    found = found_in(log, LogContext(week=WEEK))
    assert found["drift-reward"].severity is Severity.WARN
    assert found["drift-reward"].numbers["shift"] < -0.3
    assert "reward in week 0 is -0." in found["drift-reward"].sentence
    assert "log propensity in week 4" in found["drift-propensity"].sentence
    assert found["drift-context"].severity is Severity.OK


def test_a_sure_but_tiny_shift_is_no_drift() -> None:
    log = steady_log()
    log = replace(log, reward=np.tile([0.0, 1.0], 1000) + 0.04 * (WEEK == 2))
    p = 2 * stats.norm.sf(0.04 / 0.5 * np.sqrt(2000 * 0.16))
    found = found_in(log, LogContext(week=WEEK))["drift-reward"]
    assert found.severity is Severity.OK
    assert found.numbers["shift"] == pytest.approx(0.08, abs=1e-3)
    assert found.numbers["p"] == pytest.approx(5 * p, rel=0.05)


def test_a_large_shift_that_is_not_sure_is_no_drift() -> None:
    log = random_log(0, [1] * 20)
    found = found_in(log, LogContext(week=np.arange(20) // 4))
    assert all(one.severity is Severity.OK for one in found.values())


@pytest.mark.parametrize("value", [2.0, 0.1, -1.0 / 3.0, 5.3])
def test_a_column_that_never_changes_cannot_drift(value: float) -> None:
    # The mean of two thousand times 0.1 is not 0.1 to the last digit, nor their spread 0.
    log = replace(steady_log(), reward=np.full(2000, value))
    found = found_in(log, LogContext(week=WEEK))["drift-reward"]
    assert (found.severity, found.numbers["p"], found.numbers["shift"]) == (Severity.OK, 1.0, 0.0)


def test_without_weeks_or_with_one_there_is_nothing_to_compare() -> None:
    assert found_in(steady_log(), LogContext()) == {}
    assert found_in(steady_log(), LogContext(week=np.zeros(2000, np.int64))) == {}
    assert len(found_in(steady_log(), LogContext(week=np.arange(2000) % 2))) == 3
    bare = replace(steady_log(), features=np.zeros((2000, 0), dtype=np.float32))
    assert set(found_in(bare, LogContext(week=WEEK))) == {"drift-reward", "drift-propensity"}

"""The door asks everything that can be asked, of the log alone and with a target."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.errors import PropensityError, ShapeError
from nurture_rl.ope.checks.check import check_log, check_target
from nurture_rl.ope.checks.context import LogContext
from nurture_rl.ope.checks.findings import CheckThresholds, Finding, LogChecks, Severity
from nurture_rl.ope.checks.propensity_fit import PropensityFit
from nurture_rl.ope.estimators import cumulative_weights, effective_sample_size
from nurture_rl.ope.log import EvaluationLog
from nurture_rl.ope.targets import TargetOnLog
from nurture_rl.ope.value_model import ValuePredictions
from tests.unit.ope.log_makers import random_log

N = 1200
TARGETED = {
    "support-gap",
    "ess",
    "weight-share",
    "top-mass",
    "tail-index",
    "trajectory-weights",
    "ess-by-horizon",
    "mean-weight",
    "mean-weight-action",
}


def honest_log() -> EvaluationLog:
    """Two decisions each, drawn from what is written down."""
    rng = np.random.default_rng(0)
    log = random_log(0, [2] * (N // 2))
    logged = log.logged_probabilities
    assert logged is not None
    action = (rng.random((N, 1)) > logged.cumsum(axis=1)).sum(axis=1).clip(max=2)
    return replace(log, action=action, propensity=logged[np.arange(N), action])


LOG = honest_log()


def on_log(log: EvaluationLog, probabilities: np.ndarray) -> TargetOnLog:
    logged = log.logged_probabilities
    assert logged is not None
    moment = np.divide(probabilities**2, logged, out=np.zeros_like(logged), where=logged > 0.0)
    taken = probabilities[np.arange(log.n_rows), log.action]
    gap = np.where(logged > 0.0, 0.0, probabilities).sum(axis=1)
    return TargetOnLog(probabilities, taken, moment.sum(axis=1), gap)


def test_an_honest_log_passes_every_check() -> None:
    context = LogContext(
        week=np.arange(N) // 300,
        logger=np.where(np.arange(N) < 600, "drip", "rules"),
        matured=np.ones(N, dtype=bool),
    )
    found = check_log(replace(LOG, reward=np.tile([0.0, 1.0], N // 2)), context)
    assert {one.code for one in found.findings} == {
        "propensities",
        "outcomes",
        "missing-codes",
        "balance",
        "exploration",
        "mean-weight",
        "mean-weight-week",
        "mean-weight-logger",
        "mean-weight-action",
        "propensity-calibration",
        "propensity-likelihood",
        "fitted-propensity",
        "censored",
        "drift-context",
        "drift-reward",
        "drift-propensity",
    }
    assert found.severity is Severity.OK
    assert found.exploration is None


def test_checks_without_their_column_are_left_out() -> None:
    codes = {one.code for one in check_log(replace(LOG, logged_probabilities=None)).findings}
    assert codes == {
        "propensities",
        "outcomes",
        "missing-codes",
        "balance",
        "exploration",
        "mean-weight",
        "mean-weight-action",
        "propensity-likelihood",
        "fitted-propensity",
    }


def by_code(checks: LogChecks) -> dict[str, Finding]:
    return {one.code: one for one in checks.findings}


def test_a_deterministic_log_is_refused_before_anything_is_fitted() -> None:
    log = replace(LOG, propensity=np.ones(N), logged_probabilities=None)
    found = check_log(log)
    assert found.severity is Severity.REFUSE
    assert found.exploration is not None
    known = {"propensities", "outcomes", "missing-codes", "exploration"}
    assert {one.code for one in found.findings} == known


def test_a_log_of_too_few_contacts_is_not_fitted() -> None:
    one = replace(LOG, cluster=np.zeros(N // 2, dtype=np.int64))
    assert "propensity-likelihood" not in by_code(check_log(one))
    three = replace(LOG, cluster=np.arange(N // 2) % 3)
    assert "propensity-likelihood" in by_code(check_log(three))
    strict = check_log(three, fit=PropensityFit(folds=4))
    assert "propensity-likelihood" not in by_code(strict)


def test_wrong_propensities_are_refused() -> None:
    wrong = replace(LOG, propensity=np.full(N, 0.9), logged_probabilities=None)
    assert check_log(wrong).severity is Severity.REFUSE
    lenient = CheckThresholds(warn_p=0.0, refuse_p=0.0, max_calibration_error=1.0)
    assert check_log(wrong, thresholds=lenient).severity is Severity.OK


def test_a_target_near_the_log_passes() -> None:
    logged = LOG.logged_probabilities
    assert logged is not None
    found = check_target(LOG, on_log(LOG, logged))
    assert {one.code for one in found.findings} == TARGETED
    assert found.severity is Severity.OK
    assert found.mixing is not None
    assert found.mixing.alpha == 1.0


def test_a_value_model_and_weeks_are_checked_where_given() -> None:
    logged = LOG.logged_probabilities
    assert logged is not None
    predictions = ValuePredictions(np.zeros(N), np.zeros(N))
    context = LogContext(week=np.arange(N) // 300)
    found = check_target(LOG, on_log(LOG, logged), context, predictions=predictions)
    assert {one.code for one in found.findings} == TARGETED | {
        "mean-weight-week",
        "value-calibration",
        "estimators-agree",
    }
    bad = by_code(found)["value-calibration"]
    assert bad.severity is Severity.WARN  # rewards are the action's position, not 0


def test_a_target_too_far_is_refused_with_the_feasible_step() -> None:
    last = np.zeros((N, 3))
    last[np.arange(N), 2 - LOG.mask[:, ::-1].argmax(axis=1)] = 1.0
    found = check_target(LOG, on_log(LOG, last), thresholds=CheckThresholds(min_ess=300.0))
    assert found.severity is Severity.REFUSE
    assert found.mixing is not None
    assert 0.0 < found.mixing.alpha < 1.0


def test_the_effective_sample_is_that_of_whole_episodes() -> None:
    log = random_log(3, [3] * 200)
    chances = np.tile([0.1, 0.1, 0.8], (600, 1)) * log.mask
    chances /= chances.sum(axis=1, keepdims=True)
    found = by_code(check_target(log, on_log(log, chances)))["ess"]
    weights = cumulative_weights(log, chances[np.arange(600), log.action])
    assert found.numbers["ess"] == pytest.approx(effective_sample_size(weights[:, 2]))


def test_weights_that_overflow_are_a_finding_not_a_crash() -> None:
    log = random_log(0, [400] * 3)
    log = replace(log, propensity=np.full(1200, 1e-9), logged_probabilities=None)
    target = TargetOnLog(np.full((1200, 3), 1 / 3), np.ones(1200), np.ones(1200), None)
    found = check_target(log, target)
    overflow = by_code(found)["weight-overflow"]
    assert overflow.severity is Severity.REFUSE
    assert found.mixing is None


def test_a_broken_log_or_a_column_of_another_raises() -> None:
    with pytest.raises(PropensityError, match="are missing"):
        check_log(replace(LOG, propensity=np.full(N, np.nan)))
    with pytest.raises(ShapeError, match="week must be"):
        check_log(LOG, LogContext(week=np.zeros(3, np.int64)))
    logged = LOG.logged_probabilities
    assert logged is not None
    with pytest.raises(ShapeError, match="week must be"):
        check_target(LOG, on_log(LOG, logged), LogContext(week=np.zeros(3, np.int64)))

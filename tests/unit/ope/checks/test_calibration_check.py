"""Calibration passes what is right, and catches what is planted wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from nurture_rl.ope.action_chances import calibration_error, masked_softmax
from nurture_rl.ope.checks.calibration_check import (
    fit_finding,
    likelihood_finding,
    propensity_finding,
    value_finding,
)
from nurture_rl.ope.checks.findings import CheckThresholds, Severity
from nurture_rl.ope.checks.propensity_fit import FittedPropensities
from nurture_rl.ope.log import EvaluationLog
from nurture_rl.ope.value_model import ValuePredictions
from tests.unit.ope.log_makers import random_log

LIMITS = CheckThresholds()


def drawn_log(n: int, seed: int = 0) -> EvaluationLog:
    """Actions drawn from rows of a softmax over three actions."""
    rng = np.random.default_rng(seed)
    log = random_log(seed, [1] * n)
    logged = masked_softmax(rng.normal(size=(n, 3)), log.mask)
    action = (rng.random((n, 1)) > logged.cumsum(axis=1)).sum(axis=1).clip(max=2)
    return replace(
        log,
        action=action,
        propensity=logged[np.arange(n), action],
        logged_probabilities=logged,
    )


def test_calibration_error_by_hand() -> None:
    predicted = np.repeat([0.1, 0.6], 10)
    seen = np.concatenate([np.zeros(10), np.ones(5), np.zeros(5)])
    # Half of the rows are 0.1 too high, half 0.1 too high as well: 0.1; then one side is right.
    assert calibration_error(predicted, seen) == pytest.approx(0.1)
    seen[0] = 1.0
    assert calibration_error(predicted, seen) == pytest.approx(0.05)


def test_errors_of_both_signs_do_not_cancel() -> None:
    predicted = np.repeat(np.linspace(0.05, 0.95, 10), 20)
    seen = predicted + np.repeat([0.04, -0.04], 100)
    assert calibration_error(predicted, seen) == pytest.approx(0.04)


def test_true_propensities_are_explained_by_no_model_better() -> None:
    log = drawn_log(3000)
    truth = log.logged_probabilities
    assert truth is not None
    noisy = 0.7 * truth + 0.3 * log.mask / log.mask.sum(axis=1, keepdims=True)
    found = likelihood_finding(log, FittedPropensities(np.arange(3000), noisy), LIMITS)
    assert found.severity is Severity.OK
    gain = np.log(noisy[np.arange(3000), log.action] / log.propensity)
    assert found.numbers["gain"] == pytest.approx(gain.mean())
    assert found.numbers["stderr"] == pytest.approx(stats.sem(gain))
    assert found.numbers["p"] == pytest.approx(stats.norm.sf(gain.mean() / stats.sem(gain)))
    assert "no better than" in found.sentence
    assert found.advice == ""


def test_false_propensities_are_given_away_by_a_better_model() -> None:
    log = drawn_log(3000)
    truth = log.logged_probabilities
    assert truth is not None
    uniform = log.mask / log.mask.sum(axis=1, keepdims=True)
    false = replace(log, propensity=uniform[np.arange(3000), log.action])
    found = likelihood_finding(false, FittedPropensities(np.arange(3000), truth), LIMITS)
    assert found.severity is Severity.REFUSE
    assert "better than the logged" in found.sentence
    assert found.advice
    half = likelihood_finding(
        false, FittedPropensities(np.arange(0, 3000, 90), truth[::90]), LIMITS
    )
    gain = np.log(truth[::90][np.arange(34), log.action[::90]] / false.propensity[::90])
    assert half.numbers["gain"] == pytest.approx(gain.mean())
    lenient = replace(LIMITS, refuse_p=0.0)
    warned = likelihood_finding(false, FittedPropensities(np.arange(3000), truth), lenient)
    assert warned.severity is Severity.WARN


def test_the_same_propensities_are_as_good() -> None:
    log = drawn_log(300)
    assert log.logged_probabilities is not None
    found = likelihood_finding(
        log, FittedPropensities(np.arange(300), log.logged_probabilities), LIMITS
    )
    assert (found.severity, found.numbers["p"]) == (Severity.OK, 0.5)


def test_fitted_propensities_are_held_against_frequencies() -> None:
    log = drawn_log(3000)
    truth = log.logged_probabilities
    assert truth is not None
    good = fit_finding(log, FittedPropensities(np.arange(3000), truth), LIMITS)
    assert good.severity is Severity.OK
    assert good.numbers["error"] < 0.02
    turned = FittedPropensities(np.arange(3000), truth[:, [1, 2, 0]])
    bad = fit_finding(log, turned, LIMITS)
    assert bad.severity is Severity.WARN
    assert "do not stand" in bad.advice
    edge = replace(LIMITS, max_calibration_error=bad.numbers["error"])
    assert fit_finding(log, turned, edge).advice == ""


def test_drawn_actions_agree_with_their_distributions() -> None:
    found = propensity_finding(drawn_log(3000), LIMITS)
    assert found is not None
    assert found.severity is Severity.OK
    assert found.numbers["p"] > 0.01
    assert propensity_finding(replace(drawn_log(9), logged_probabilities=None), LIMITS) is None


def test_sharpened_distributions_are_refused_in_the_bin_that_shows_it() -> None:
    log = drawn_log(3000)
    logged = log.logged_probabilities
    assert logged is not None
    sharp = logged**2 / (logged**2).sum(axis=1, keepdims=True)
    found = propensity_finding(replace(log, logged_probabilities=sharp), LIMITS)
    assert found is not None
    assert found.severity is Severity.REFUSE
    assert found.numbers["error"] == pytest.approx(
        calibration_error(
            sharp[log.mask], (np.arange(3) == log.action[:, None])[log.mask].astype(float)
        )
    )
    said, seen = (float(found.sentence.split(word)[1].split()[0]) for word in ("given ", "taken "))
    assert seen - said == pytest.approx(found.numbers["gap"], abs=2e-3)
    assert abs(found.numbers["gap"]) > 0.05
    lenient = propensity_finding(
        replace(log, logged_probabilities=sharp), replace(LIMITS, refuse_p=0.0)
    )
    assert lenient is not None
    assert lenient.severity is Severity.WARN
    assert lenient.advice


def chained() -> tuple[EvaluationLog, ValuePredictions]:
    """Two decisions each; q is right: reward 1 at the second, 0.9 to it."""
    log = random_log(1, [2] * 600)
    rng = np.random.default_rng(2)
    level = np.repeat(rng.uniform(1.0, 2.0, 600), 2)
    noise = rng.normal(size=1200)
    reward = np.where(log.step == 1, level, 0.0) + noise
    q = np.where(log.step == 1, level, 0.9 * level)
    return replace(log, reward=reward), ValuePredictions(q_logged=q, value=q)


def test_a_right_value_model_is_calibrated_along_the_episode() -> None:
    log, predictions = chained()
    found = value_finding(log, predictions, LIMITS)
    assert found.severity is Severity.OK
    assert found.advice == ""
    assert abs(found.numbers["gap"]) < 0.4


def test_a_value_model_off_in_one_tenth_is_caught_there() -> None:
    log, predictions = chained()
    q = predictions.q_logged
    top = q > np.quantile(q, 0.9)
    wrong = ValuePredictions(q_logged=q + 0.8 * top, value=q)
    found = value_finding(log, wrong, LIMITS)
    assert found.severity is Severity.WARN
    assert found.numbers["tenth"] == 9.0
    assert found.numbers["gap"] == pytest.approx(-0.8, abs=0.3)
    assert "10. tenth" in found.sentence
    assert "EUR" in found.sentence


def test_a_model_that_forgets_what_follows_is_caught() -> None:
    log, predictions = chained()
    blind = ValuePredictions(predictions.q_logged * (log.step == 1), predictions.value)
    assert value_finding(log, blind, LIMITS).severity is Severity.WARN

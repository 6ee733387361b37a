"""Estimates with and without features agree, unless a feature gives the outcome away."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.errors import OverlapError
from nurture_rl.ope.bounds.skewed import skewed_p
from nurture_rl.ope.checks.agreement import agreement_finding
from nurture_rl.ope.checks.findings import CheckThresholds, Finding, Severity
from nurture_rl.ope.clusters import clustered_stderr
from nurture_rl.ope.estimators import dr, snips
from nurture_rl.ope.log import EvaluationLog
from nurture_rl.ope.targets import on_logged_rows
from nurture_rl.ope.value_model import ValueModelConfig, ValuePredictions, fit_value, value_design
from tests.unit.ope.log_makers import random_log

LIMITS = CheckThresholds()


def paid(seed: int, leak: bool) -> EvaluationLog:
    """The reward grows with the action; a leaking feature is the reward."""
    log = random_log(seed, [1] * 1200)
    if not leak:
        return log
    return replace(log, features=log.reward[:, None].astype(np.float32))


def asked(log: EvaluationLog) -> tuple[Finding | None, ValuePredictions]:
    uniform = log.mask / log.mask.sum(axis=1, keepdims=True) * np.array([1.0, 1.0, 3.0])
    uniform /= uniform.sum(axis=1, keepdims=True)
    design = value_design(log, np.random.default_rng(0), ValueModelConfig())
    predictions = fit_value(design, uniform)
    return agreement_finding(log, on_logged_rows(log, uniform), predictions, LIMITS), predictions


def test_honest_features_leave_the_two_within_their_error() -> None:
    for seed in range(5):
        found, _ = asked(paid(seed, leak=False))
        assert found is not None
        assert (found.severity, found.advice) == (Severity.OK, "")
        assert "as near as their joint error" in found.sentence


def test_a_feature_that_is_the_outcome_drives_them_apart() -> None:
    log = paid(0, leak=True)
    found, predictions = asked(log)
    assert found is not None
    assert found.severity is Severity.REFUSE
    assert "further apart than their joint error" in found.sentence
    assert "written after the decision" in found.advice
    weights = log.mask * np.array([1.0, 1.0, 3.0])
    target = weights / weights.sum(axis=1, keepdims=True)
    taken = target[np.arange(log.n_rows), log.action]
    robust, plain = dr(log, taken, predictions), snips(log, taken)
    gap = robust.influence - plain.influence
    assert found.numbers["difference"] == pytest.approx(robust.value - plain.value)
    assert found.numbers["stderr"] == pytest.approx(clustered_stderr(gap))
    assert found.numbers["p"] == pytest.approx(skewed_p(robust.value - plain.value, gap))


def test_too_small_a_sample_is_not_asked() -> None:
    log = random_log(1, [1] * 99)
    target = on_logged_rows(log, log.mask / log.mask.sum(axis=1, keepdims=True))
    silent = ValuePredictions(np.zeros(99), np.zeros(99))
    assert agreement_finding(log, target, silent, LIMITS) is None
    far, rare = replace(target, taken=np.ones(99)), replace(log, propensity=np.full(99, 5e-324))
    with pytest.raises(OverlapError):
        agreement_finding(rare, far, silent, LIMITS)

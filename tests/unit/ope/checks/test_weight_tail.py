"""Tail measures meet their closed forms and refuse where the thresholds say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.ope.checks.context import LogContext
from nurture_rl.ope.checks.findings import CheckThresholds, Finding, Severity
from nurture_rl.ope.checks.weight_tail import hill_index, support_finding, tail_findings, top_mass
from nurture_rl.ope.log import EvaluationLog
from nurture_rl.ope.targets import TargetOnLog
from tests.unit.ope.log_makers import random_log

LIMITS = CheckThresholds()


def found_in(weights: np.ndarray, limits: CheckThresholds = LIMITS) -> dict[str, Finding]:
    return {one.code: one for one in tail_findings(weights, limits)}


def test_hill_index_of_a_pareto_tail_is_its_exponent() -> None:
    n = 20_000
    weights = (np.arange(1, n + 1) / n) ** (-1 / 1.5)
    assert hill_index(weights, 500) == pytest.approx(1.5, rel=0.02)


def test_hill_index_by_hand() -> None:
    weights = np.array([1.0, np.e**2, 0.5, np.e])
    # The two largest against the third: (2 + 1) / 2.
    assert hill_index(weights, 2) == pytest.approx(2 / 3)


def test_equal_or_absent_tails_have_every_moment() -> None:
    assert hill_index(np.ones(100), 10) == np.inf
    assert hill_index(np.array([3.0, 0.0, 0.0]), 2) == np.inf
    assert hill_index(np.array([3.0, 2.0, 0.0]), 2) == np.inf


def test_top_mass_counts_at_least_one() -> None:
    weights = np.array([1.0, 2.0, 3.0, 4.0])
    assert top_mass(weights, 0.001) == pytest.approx(0.4)
    assert top_mass(weights, 0.5) == pytest.approx(0.7)
    assert top_mass(weights, 0.51) == pytest.approx(0.9)
    assert top_mass(np.zeros(4), 0.5) == 1.0


def test_even_weights_pass() -> None:
    found = found_in(np.ones(400))
    assert all(one.severity is Severity.OK for one in found.values())
    assert all(one.advice == "" for one in found.values())
    assert found["ess"].numbers["ess"] == pytest.approx(400.0)
    assert found["weight-share"].numbers["share"] == pytest.approx(1 / 400)
    assert found["tail-index"].numbers["top"] == 20.0
    assert "no fewer than 100" in found["ess"].sentence


def test_a_tail_that_is_none_is_told_in_words() -> None:
    for weights in (np.ones(400), np.append(np.ones(20), np.zeros(380))):
        found = found_in(weights)["tail-index"]
        assert found.numbers["index"] == np.inf
        assert found.sentence == (
            "the 20 largest weights are all alike, or no more than these are above 0: they have no "
            "tail, and their variance exists"
        )
    pareto = (np.arange(1, 401) / 400) ** (-1 / 1.5)
    assert "is 1.62 over the 20 largest" in found_in(pareto)["tail-index"].sentence


def test_few_episodes_that_count_are_refused() -> None:
    found = found_in(np.where(np.arange(400) < 99, 1.0, 0.0))
    assert found["ess"].severity is Severity.REFUSE
    assert "worth 99.0 of its 400 episodes, fewer than 100" in found["ess"].sentence
    assert found_in(np.where(np.arange(400) < 100, 1.0, 0.0))["ess"].severity is Severity.OK


def test_one_ruling_episode_is_refused() -> None:
    weights = np.ones(1000)
    weights[0] = 60.0
    found = found_in(weights)
    assert found["weight-share"].severity is Severity.REFUSE
    assert found["weight-share"].numbers["share"] == pytest.approx(60 / 1059)
    weights[0] = 50.0
    assert found_in(weights)["weight-share"].severity is Severity.OK


def test_a_heavy_top_warns_relative_to_the_size_of_the_log() -> None:
    weights = np.ones(10_000)
    weights[:10] = 130.0
    found = found_in(weights)["top-mass"]
    assert found.severity is Severity.WARN
    assert found.numbers["mass"] == pytest.approx(1300 / 11290)
    weights[:10] = 90.0
    assert found_in(weights)["top-mass"].severity is Severity.OK
    # However strict the limit, twice the share of even weights is no heavy top.
    strict = CheckThresholds(max_top_mass=0.0)
    assert found_in(np.ones(10_000), strict)["top-mass"].severity is Severity.OK
    weights[:10] = 2.5
    assert found_in(weights, strict)["top-mass"].severity is Severity.WARN


def test_a_tail_without_variance_warns() -> None:
    weights = (np.arange(1, 10_001) / 10_000) ** (-1 / 1.5)
    found = found_in(weights)["tail-index"]
    assert found.severity is Severity.WARN
    assert found.numbers["top"] == 100.0
    assert "variance may not exist" in found.sentence
    light = (np.arange(1, 10_001) / 10_000) ** (-1 / 4)
    assert found_in(light)["tail-index"].severity is Severity.OK
    assert "variance exists" in found_in(light)["tail-index"].sentence


def test_small_logs_have_short_tails() -> None:
    assert found_in(np.array([1.0, 2.0, 3.0]))["tail-index"].numbers["top"] == 2.0
    assert found_in(np.array([1.0, 2.0]))["tail-index"].numbers["index"] == pytest.approx(
        1 / np.log(2)
    )
    assert found_in(np.arange(1.0, 31.0))["tail-index"].numbers["top"] == 10.0
    assert found_in(np.array([2.0]))["tail-index"].numbers["index"] == np.inf


def test_no_weight_at_all_is_refused() -> None:
    found = found_in(np.zeros(10))
    assert found["ess"].severity is found["weight-share"].severity is Severity.REFUSE


def masked_log(gap: float) -> tuple[EvaluationLog, TargetOnLog]:
    log = random_log(0, [1] * 50)
    logged = np.tile([0.5, 0.5, 0.0], (50, 1))
    target = np.tile([0.6 - gap, 0.4, gap], (50, 1))
    log = replace(
        log,
        mask=logged > -1,
        action=np.zeros(50, np.int64),
        propensity=np.full(50, 0.5),
        logged_probabilities=logged,
    )
    return log, TargetOnLog(target, target[:, 0], np.ones(50), target[:, 2])


def test_a_support_gap_names_its_action() -> None:
    log, target = masked_log(0.25)
    found = support_finding(log, target, LogContext(action_ids=("wait", "mail", "call")), LIMITS)
    assert found is not None
    assert found.severity is Severity.REFUSE
    assert "25.0% of the target's choices" in found.sentence
    assert "most on call (25.0%)" in found.sentence


def test_support_is_fine_when_covered_and_unknown_without_distributions() -> None:
    log, target = masked_log(0.0)
    found = support_finding(log, target, LogContext(), LIMITS)
    assert found is not None
    assert found.severity is Severity.OK
    assert "most on" not in found.sentence
    assert found.advice == ""
    unknown = replace(target, unsupported=None)
    assert support_finding(log, unknown, LogContext(), LIMITS) is None
    blind = replace(log, logged_probabilities=None)
    assert support_finding(blind, target, LogContext(), LIMITS) is None

"""What a log lacks is said, part by part, with what to log instead."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.ope.checks.context import LogContext
from nurture_rl.ope.checks.findings import CheckThresholds, Severity
from nurture_rl.ope.checks.gaps import (
    censoring_finding,
    exploration_finding,
    outcome_finding,
    propensity_values,
)
from nurture_rl.ope.log import EvaluationLog
from tests.unit.ope.log_makers import bandit_log

LIMITS = CheckThresholds()


def half_certain() -> EvaluationLog:
    """Rows 0 to 99 by the toss of a coin, 100 to 399 certain."""
    propensity = np.where(np.arange(400) < 100, 0.5, 1.0)
    return bandit_log([0, 1] * 200, propensity.tolist(), [1.0, 2.0] * 200)


def test_the_smallest_propensity_is_told() -> None:
    found = propensity_values(bandit_log([0, 1], [0.5, 0.125], [0.0, 0.0]))
    assert found.severity is Severity.OK
    assert (found.numbers["least"], found.numbers["largest_inverse"]) == (0.125, 8.0)
    assert "smallest is 0.125" in found.sentence


def test_rewards_that_never_differ_tell_no_policies_apart() -> None:
    found = outcome_finding(bandit_log([0, 1], [0.5, 0.5], [0.0, 0.0]))
    assert found.severity is Severity.REFUSE
    assert "every reward of the 2 decisions is 0" in found.sentence
    assert found.advice
    varied = outcome_finding(bandit_log([0, 1], [0.5, 0.5], [2.0, -1.0]))
    assert varied.severity is Severity.OK
    assert (varied.numbers["least"], varied.numbers["most"]) == (-1.0, 2.0)


def test_chance_everywhere_needs_no_plan() -> None:
    finding, plan = exploration_finding(half_certain(), LogContext(), LIMITS)
    assert finding.severity is Severity.OK
    assert finding.numbers["share"] == pytest.approx(0.25)
    assert finding.numbers["free"] == 400.0
    assert "25.0% of the decisions" in finding.sentence
    assert plan is None


def test_parts_without_chance_are_named() -> None:
    context = LogContext(
        week=np.arange(400) // 100, logger=np.where(np.arange(400) < 200, "drip", "rules")
    )
    finding, plan = exploration_finding(half_certain(), context, LIMITS)
    assert finding.severity is Severity.WARN
    assert "nothing was left to chance in week 1, week 2, week 3, logger rules:" in finding.sentence
    assert finding.numbers["certain_parts"] == 4.0
    assert plan is not None
    assert plan.weeks == pytest.approx(4.0 * plan.contacts / 400)


def test_a_part_of_forced_decisions_is_ordinary() -> None:
    log = half_certain()
    mask = np.ones((400, 2), dtype=bool)
    mask[100:] = np.eye(2, dtype=bool)[log.action[100:]]
    finding, plan = exploration_finding(
        replace(log, mask=mask), LogContext(week=np.arange(400) // 100), LIMITS
    )
    assert finding.severity is Severity.OK
    assert finding.numbers["free"] == 100.0
    assert plan is None


def test_a_log_without_chance_is_refused_with_the_plan_wanted() -> None:
    log = replace(half_certain(), propensity=np.ones(400))
    finding, plan = exploration_finding(log, LogContext(), replace(LIMITS, half_width=0.05))
    assert finding.severity is Severity.REFUSE
    assert "none of 400 decisions" in finding.sentence
    assert plan is not None
    assert finding.advice == plan.text
    assert plan.half_width == pytest.approx(0.05, rel=1e-3)
    forced = replace(log, mask=np.eye(2, dtype=bool)[log.action])
    assert exploration_finding(forced, LogContext(), LIMITS)[0].severity is Severity.REFUSE


@pytest.mark.parametrize(
    ("still_open", "severity"),
    [(4, Severity.OK), (5, Severity.WARN), (80, Severity.WARN), (81, Severity.REFUSE)],
)
def test_censoring_warns_and_refuses_at_its_limits(still_open: int, severity: Severity) -> None:
    found = censoring_finding(
        half_certain(), LogContext(matured=np.arange(400) >= still_open), LIMITS
    )
    assert found is not None
    assert found.severity is severity
    assert found.numbers["share"] == pytest.approx(still_open / 400)
    assert (found.advice == "") == (severity is Severity.OK)


def test_the_action_with_most_open_outcomes_is_named() -> None:
    log = half_certain()
    matured = ~((log.action == 1) & (np.arange(400) < 40))
    found = censoring_finding(log, LogContext(matured=matured, action_ids=("wait", "call")), LIMITS)
    assert found is not None
    assert "most after call (10.0%)" in found.sentence
    assert found.numbers["worst_action"] == pytest.approx(0.1)


def test_unknown_maturity_is_not_guessed() -> None:
    assert censoring_finding(half_certain(), LogContext(), LIMITS) is None
    unused = replace(half_certain(), mask=np.ones((400, 3), dtype=bool))
    found = censoring_finding(unused, LogContext(matured=np.zeros(400, dtype=bool)), LIMITS)
    assert found is not None
    assert found.numbers["share"] == 1.0

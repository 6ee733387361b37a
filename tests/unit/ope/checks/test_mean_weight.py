"""Weights average to 1 where propensities are right, and the part that is off is named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.ope.checks.context import LogContext
from nurture_rl.ope.checks.findings import CheckThresholds, Finding, Severity
from nurture_rl.ope.checks.mean_weight import mean_weight_findings, ratios_of, uniform_policy
from nurture_rl.ope.log import EvaluationLog
from tests.unit.ope.log_makers import random_log

LIMITS = CheckThresholds()


def drawn_log(n: int, logged: list[float], seed: int = 0) -> EvaluationLog:
    """Actions drawn from one distribution everywhere, all legal."""
    rng = np.random.default_rng(seed)
    rows = np.tile(logged, (n, 1))
    action = rng.choice(len(logged), size=n, p=logged)
    return replace(
        random_log(0, [1] * n, n_actions=len(logged)),
        mask=rows > -1.0,
        action=action,
        propensity=rows[np.arange(n), action],
        logged_probabilities=rows,
    )


def checked(log: EvaluationLog, context: LogContext) -> dict[str, Finding]:
    found = mean_weight_findings(log, ratios_of(log, uniform_policy(log)), context, LIMITS)
    return {one.code: one for one in found}


def test_weights_leave_out_what_had_no_chance() -> None:
    log = drawn_log(4, [0.5, 0.5, 0.0])
    ratios = ratios_of(log, np.tile([0.2, 0.3, 0.5], (4, 1)))
    assert ratios.due == pytest.approx(np.full(4, 0.5))
    assert ratios.ratio == pytest.approx(np.where(log.action == 0, 0.4, 0.6))
    assert ratios.policy[0] == pytest.approx([0.2, 0.3, 0.0])
    whole = ratios_of(replace(log, logged_probabilities=None), np.tile([0.2, 0.3, 0.5], (4, 1)))
    assert whole.due == pytest.approx(np.ones(4))


def test_the_uniform_policy_covers_what_had_a_chance() -> None:
    log = drawn_log(2, [0.5, 0.5, 0.0])
    assert uniform_policy(log)[0] == pytest.approx([0.5, 0.5, 0.0])
    blind = replace(log, logged_probabilities=None)
    assert uniform_policy(blind)[0] == pytest.approx([1 / 3, 1 / 3, 1 / 3])


def test_right_propensities_pass_in_every_part() -> None:
    log = drawn_log(4000, [0.2, 0.3, 0.5])
    context = LogContext(
        week=np.arange(4000) // 500, logger=np.where(np.arange(4000) < 9, "a", "b")
    )
    found = checked(log, context)
    assert set(found) == {
        "mean-weight",
        "mean-weight-week",
        "mean-weight-logger",
        "mean-weight-action",
    }
    assert all(one.severity is Severity.OK for one in found.values())
    assert found["mean-weight-week"].numbers["parts"] == 8.0
    assert found["mean-weight-action"].numbers["parts"] == 3.0
    assert "are what they must be" in found["mean-weight"].sentence


def test_parts_without_a_column_are_left_out() -> None:
    assert set(checked(drawn_log(400, [0.5, 0.5]), LogContext())) == {
        "mean-weight",
        "mean-weight-action",
    }


def test_one_bad_week_is_refused_by_name() -> None:
    log = drawn_log(8000, [0.2, 0.3, 0.5])
    week = np.arange(8000) // 1000
    # In week 3 the catalogue order was mixed up.
    wrong = log.logged_probabilities
    assert wrong is not None
    wrong = np.where((week == 3)[:, None], wrong[:, ::-1], wrong)
    log = replace(log, logged_probabilities=wrong, propensity=wrong[np.arange(8000), log.action])
    found = checked(log, LogContext(week=week))["mean-weight-week"]
    assert found.severity is Severity.REFUSE
    assert "off in 1 of 8 parts, most in 3" in found.sentence
    # 1/3 (0.2/0.5 + 0.3/0.3 + 0.5/0.2) = 1.3
    assert found.numbers["excess"] == pytest.approx(0.3, abs=0.06)
    assert "catalogue order" in found.advice


def test_swapped_actions_show_by_action_where_the_total_hides_them() -> None:
    log = drawn_log(4000, [0.4, 0.4, 0.2])
    swapped = replace(log, action=np.where(log.action == 0, 1, log.action))
    found = checked(swapped, LogContext(action_ids=("wait", "mail", "call")))
    assert found["mean-weight"].severity is Severity.OK
    assert found["mean-weight-action"].severity is Severity.REFUSE
    assert "off in 2 of 3 parts" in found["mean-weight-action"].sentence
    assert "most in" in found["mean-weight-action"].sentence


def test_a_doubt_warns_and_certainty_refuses() -> None:
    log = drawn_log(900, [0.5, 0.5])
    taken_less = replace(log, propensity=np.full(900, 0.56), logged_probabilities=None)
    found = checked(taken_less, LogContext())["mean-weight"]
    assert found.severity is Severity.REFUSE
    assert found.sentence.startswith("mean weights overall are off: -0.107 where 0 is due (p ")
    # Half the weights 1, half 1.25 and 0.8 by turns, a mean that is off by three errors.
    ratio = np.where(np.arange(900) % 2, 1.16, 0.86)
    ratios = replace(ratios_of(log, uniform_policy(log)), ratio=ratio + 0.004)
    found = mean_weight_findings(log, ratios, LogContext(), LIMITS)[0]
    assert found.severity is Severity.WARN
    assert 1e-4 < found.numbers["p"] < 0.01


def test_a_propensity_that_is_twice_the_frequency_is_said_to_be() -> None:
    log = drawn_log(2000, [0.25, 0.25, 0.5])
    doubled = np.where(log.action == 1, 0.5, log.propensity)
    found = checked(
        replace(log, propensity=doubled, logged_probabilities=None),
        LogContext(action_ids=("none", "letter", "visit")),
    )["mean-weight-action"]
    assert found.severity is Severity.REFUSE
    share = float((log.action == 1).mean())
    assert found.numbers["factor"] == pytest.approx(0.5 / share)
    assert "most in letter" in found.sentence
    assert f"its propensity is {0.5 / share:.2g} times how often it was taken" in found.sentence


@pytest.mark.parametrize("decimals", [4, 6, 9])
def test_thirds_are_right_with_however_many_decimals_they_are_written(decimals: int) -> None:
    log = drawn_log(900, [1.0 / 3.0] * 3)
    written = np.full(900, round(1.0 / 3.0, decimals))
    log = replace(log, propensity=written, logged_probabilities=None)
    found = checked(log, LogContext())
    assert {one.severity for one in found.values()} == {Severity.OK}


def test_a_propensity_that_no_rounding_explains_is_still_refused() -> None:
    log = replace(drawn_log(900, [1.0 / 3.0] * 3), logged_probabilities=None)
    found = checked(replace(log, propensity=np.full(900, 0.3343)), LogContext())
    assert found["mean-weight"].severity is Severity.REFUSE


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("chance", [1e-3, 1e-4])
def test_a_rare_action_that_did_not_turn_up_refuses_no_log(chance: float, whole: bool) -> None:
    for seed in range(20):
        log = drawn_log(1500, [0.9 - chance, 0.1, chance], seed)
        log = log if whole else replace(log, logged_probabilities=None)
        found = checked(log, LogContext(week=np.arange(1500) // 500))
        assert Severity.REFUSE not in {one.severity for one in found.values()}, (seed, found)


@pytest.mark.parametrize("whole", [True, False])
def test_what_a_greedy_log_explores_rarely_refuses_no_log(whole: bool) -> None:
    """Each context has its own greedy action; the weights of the others are 250 and rare."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        rows = np.full((1500, 5), 0.0002)
        rows[np.arange(1500), rng.integers(0, 2, 1500)] += 0.999
        action = (rng.random((1500, 1)) > rows.cumsum(axis=1)).sum(axis=1).clip(max=4)
        log = replace(
            drawn_log(1500, [0.2] * 5),
            action=action,
            propensity=rows[np.arange(1500), action],
            logged_probabilities=rows if whole else None,
        )
        assert Severity.REFUSE not in {one.severity for one in checked(log, LogContext()).values()}


def test_an_action_that_had_its_chance_and_was_never_taken_is_refused_in_words() -> None:
    log = drawn_log(1500, [0.5, 0.5, 0.0])
    stated = np.tile([0.46, 0.46, 0.08], (1500, 1))
    log = replace(log, propensity=np.full(1500, 0.46), logged_probabilities=stated)
    found = checked(log, LogContext(action_ids=("none", "letter", "visit")))["mean-weight-action"]
    assert found.severity is Severity.REFUSE
    assert "most in visit" in found.sentence
    assert found.sentence.endswith(": it was never taken")
    assert "factor" not in found.numbers

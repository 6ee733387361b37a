"""A deterministic log is refused with a plan that would mend it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.errors import OverlapError
from nurture_rl.ope.checks.context import LogContext
from nurture_rl.ope.checks.exploration import (
    ExplorationPlan,
    exploration_plan,
    free_decisions,
    left_to_chance,
    require_exploration,
)
from nurture_rl.ope.log import EvaluationLog
from tests.unit.ope.log_makers import bandit_log, random_log


def fixed_log(n: int, cluster: list[int] | None = None) -> EvaluationLog:
    reward = [3.0, 1.0] * (n // 2)  # standard deviation 1
    return bandit_log([1] * n, [1.0] * n, reward, cluster)


def test_a_short_log_explores_a_fifth_and_grows() -> None:
    # 100 looks at each of 2 actions need 200 explored decisions: 1,000 at 20 %.
    plan = exploration_plan(fixed_log(400), LogContext(), min_looks=100)
    assert plan.exploration == 0.2
    assert plan.contacts == 1000
    assert plan.looks == pytest.approx(100.0)
    assert plan.shares == pytest.approx((0.1, 0.1))
    assert plan.half_width == pytest.approx(1.959964 / 10.0)


def test_a_long_log_explores_no_more_than_it_must() -> None:
    plan = exploration_plan(fixed_log(4000), LogContext(), min_looks=100)
    assert plan.exploration == pytest.approx(0.05)
    assert plan.contacts == 4000
    least = exploration_plan(fixed_log(40_000), LogContext(), min_looks=100)
    assert (least.exploration, least.contacts) == (0.01, 40_000)
    assert least.looks == pytest.approx(200.0)


def test_a_narrower_interval_takes_more_looks() -> None:
    plan = exploration_plan(fixed_log(400), LogContext(), min_looks=100, half_width=0.1)
    assert plan.looks == pytest.approx((1.959964 / 0.1) ** 2, rel=1e-3)
    assert plan.half_width == pytest.approx(0.1, rel=1e-3)
    assert plan.contacts == 3842
    wide = exploration_plan(fixed_log(400), LogContext(), min_looks=100, half_width=5.0)
    assert wide.looks == pytest.approx(100.0)


def test_looks_follow_the_spread_of_rewards() -> None:
    log = replace(fixed_log(400), reward=3.0 * fixed_log(400).reward)
    plan = exploration_plan(log, LogContext(), min_looks=100, half_width=0.3)
    assert plan.contacts == 3842
    assert plan.half_width == pytest.approx(0.3, rel=1e-3)


def test_the_scarcest_action_sets_the_plan() -> None:
    log = replace(
        random_log(0, [1] * 1000, n_actions=3),
        mask=np.column_stack([np.ones(1000), np.ones(1000), np.arange(1000) < 100]) > 0,
    )
    plan = exploration_plan(log, LogContext(action_ids=("wait", "mail", "call")), min_looks=10)
    # Action 2 is legal in a tenth of decisions, one of three there: 1/30 of explored ones.
    assert plan.actions == ("wait", "mail", "call")
    assert plan.exploration == 0.2
    assert plan.shares[2] == pytest.approx(0.2 / 30)
    assert plan.contacts == 1500
    assert sum(plan.shares) == pytest.approx(plan.exploration)


def test_actions_that_are_never_legal_are_left_out_and_forced_rows_ignored() -> None:
    log = fixed_log(400)
    mask = np.ones((400, 2), dtype=bool)
    mask[::2, 0] = False  # half of the decisions are forced
    plan = exploration_plan(replace(log, mask=mask), LogContext(), min_looks=100)
    assert plan.contacts == 2000
    forced = exploration_plan(replace(log, mask=np.tile([False, True], (400, 1))), LogContext(), 9)
    assert forced.actions == ("action 1",)


def test_time_is_at_the_rate_of_contacts_a_week() -> None:
    log = fixed_log(400, cluster=[c // 2 for c in range(400)])
    plan = exploration_plan(log, LogContext(week=10 + np.arange(400) // 100), min_looks=100)
    # 200 contacts in 4 weeks; 500 are needed.
    assert plan.contacts == 500
    assert plan.weeks == pytest.approx(10.0)
    assert exploration_plan(log, LogContext(), min_looks=100).weeks is None


def test_a_deterministic_log_is_refused_with_the_plan() -> None:
    with pytest.raises(OverlapError) as refusal:
        require_exploration(fixed_log(400), 100, LogContext(week=np.arange(400) // 100))
    message = str(refusal.value)
    assert "all 400 decisions with a choice have propensity 1" in message
    assert "always taken where legal: action 1; legal but never taken: action 0" in message
    assert "log 1000 contacts with at least 20% uniform exploration" in message
    assert "10.0 weeks at this log's rate" in message
    assert "action 0 10.00%, action 1 10.00%; each action is then seen about 100 times" in message
    assert "within 0.196" in message


def test_some_chance_is_enough_and_forced_rows_are_none() -> None:
    log = bandit_log([1, 0], [1.0, 0.5], [1.0, 1.0])
    require_exploration(replace(log, mask=np.array([[False, True], [True, True]])), 100)
    assert left_to_chance(log).tolist() == [False, True]
    forced = replace(log, mask=np.array([[False, True], [True, False]]))
    assert not free_decisions(forced).any()
    with pytest.raises(OverlapError, match="no decision of the log had a choice"):
        require_exploration(forced, 100)


def test_propensities_rounded_to_one_are_certain() -> None:
    assert not left_to_chance(bandit_log([1], [1.0 - 1e-7], [0.0])).any()
    assert left_to_chance(bandit_log([1], [1.0 - 1e-5], [0.0])).all()


def test_an_action_taken_now_and_then_is_neither_always_nor_never() -> None:
    log = replace(fixed_log(400), action=np.arange(400) % 2)
    with pytest.raises(OverlapError, match=r"always taken where legal: none; .* taken: none"):
        require_exploration(log, 100)


def test_long_catalogues_are_cut_short_in_the_text() -> None:
    names = tuple(f"m{i}" for i in range(13))
    plan = ExplorationPlan(names, (0.01,) * 13, 0.13, 50.0, 70, None, 0.5)
    assert "m9 1.00% and 3 more; each" in plan.text
    assert "m10" not in plan.text
    few = ExplorationPlan(names[:10], (0.01,) * 10, 0.1, 50.0, 70, None, 0.5)
    assert "more;" not in few.text
    log = replace(
        random_log(0, [1] * 20, n_actions=13),
        mask=np.ones((20, 13), dtype=bool),
        action=np.zeros(20, dtype=np.int64),
        propensity=np.ones(20),
    )
    with pytest.raises(OverlapError, match=r"action 9, action 10 and 2 more\)"):
        require_exploration(log, 100)

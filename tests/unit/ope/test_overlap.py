"""Overlap diagnostics meet their closed forms and name what a log cannot carry."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.errors import OverlapError, ProbabilityError
from nurture_rl.ope.diagnostics import OverlapThresholds, overlap, require_exploration
from nurture_rl.ope.log import BoolArray, EvaluationLog, FloatArray
from nurture_rl.ope.targets import TargetOnLog, action_mix, target_on_log
from tests.unit.ope.log_makers import bandit_log, random_log

THRESHOLDS = OverlapThresholds()


class Fixed:
    """The same probabilities everywhere, renormalised over legal actions unless told not to."""

    def __init__(self, *probabilities: float, masked: bool = True) -> None:
        self.probabilities = np.array(probabilities)
        self.masked = masked

    def action_probabilities(self, features: object, mask: BoolArray, /) -> FloatArray:
        rows = np.broadcast_to(self.probabilities, mask.shape)
        rows = rows * mask if self.masked else rows
        return np.asarray(rows / rows.sum(axis=1, keepdims=True))


def chain_log(n_episodes: int, length: int) -> EvaluationLog:
    """Independent steps under a uniform logger over two actions, all four paths equally often."""
    log = random_log(0, [length] * n_episodes, n_actions=2)
    rows = log.n_rows
    action = (np.arange(rows) // length >> np.arange(rows) % length) & 1
    return replace(
        log,
        mask=np.ones((rows, 2), dtype=bool),
        action=action,
        propensity=np.full(rows, 0.5),
        logged_probabilities=np.full((rows, 2), 0.5),
    )


def measured(log: EvaluationLog, *probabilities: float) -> TargetOnLog:
    return target_on_log(log, Fixed(*probabilities), "fixed", 7)


def test_ess_of_independent_steps_falls_by_the_second_moment_each_step() -> None:
    # M = (0.2^2 + 0.8^2) / 0.5 = 1.36; the log holds every path equally often, so ESS is exact.
    log = chain_log(400, 2)
    found = overlap(log, measured(log, 0.2, 0.8), THRESHOLDS)
    assert found.ess_by_step == pytest.approx([400 / 1.36, 400 / 1.36**2])
    assert found.predicted_ess == pytest.approx(400 / 1.36**2)
    assert found.mean_weight == pytest.approx([1.0, 1.0])
    assert found.max_weight_share == pytest.approx(1.6**2 / 400)
    assert found.support_gap == 0.0
    assert found.feasible


def test_the_logging_policy_itself_is_carried_in_full() -> None:
    log = chain_log(400, 2)
    found = overlap(log, measured(log, 0.5, 0.5), THRESHOLDS)
    assert found.mean_weight_stderr.tolist() == [0.0, 0.0]
    assert (found.ess, found.feasible) == (400.0, True)


def test_second_moment_without_logged_rows_comes_from_the_ratios() -> None:
    log = replace(chain_log(400, 2), logged_probabilities=None)
    found = overlap(log, measured(log, 0.2, 0.8), THRESHOLDS)
    assert found.predicted_ess == pytest.approx(400 / 1.36**2)
    assert found.support_gap is None


def test_target_mass_the_log_gave_no_chance_is_the_support_gap() -> None:
    log = chain_log(400, 1)
    never = np.tile([1.0, 0.0], (400, 1))
    log = replace(
        log, action=np.zeros(400, np.int64), propensity=np.ones(400), logged_probabilities=never
    )
    found = overlap(log, measured(log, 0.7, 0.3), THRESHOLDS)
    assert found.support_gap == pytest.approx(0.3)
    assert not found.feasible
    assert "30.0% of the target's choices fall on actions the log gave no chance" in found.reason
    assert "mean weight at decision 0 is 0.700" in found.reason


def test_too_small_a_sample_is_named() -> None:
    log = chain_log(8, 1)
    found = overlap(log, measured(log, 0.5, 0.5), THRESHOLDS)
    assert not found.feasible
    assert "effective sample size 8.0 is below 100" in found.reason
    assert "one episode carries 12.5% of all weight" in found.reason


def test_a_wrong_propensity_shows_in_the_mean_weight() -> None:
    log = replace(chain_log(400, 1), propensity=np.full(400, 0.6), logged_probabilities=None)
    assert "propensities are wrong" in overlap(log, measured(log, 0.2, 0.8), THRESHOLDS).reason


def test_zero_overlap_is_infeasible_not_undefined() -> None:
    log = bandit_log([0] * 200, [0.5] * 200, [1.0] * 200)
    found = overlap(log, measured(log, 0.0, 1.0), THRESHOLDS)
    assert (found.ess, found.predicted_ess, found.feasible) == (0.0, 0.0, False)


def test_a_deterministic_log_is_refused_with_a_plan() -> None:
    log = bandit_log([1] * 1000, [1.0] * 1000, [1.0] * 1000)
    with pytest.raises(OverlapError) as refusal:
        require_exploration(log, THRESHOLDS)
    message = str(refusal.value)
    assert "all 1000 decisions with a choice have propensity 1" in message
    assert "always taken where legal: action 1; legal but never taken: action 0" in message
    # 100 looks at each of 2 actions in 1000 decisions: 2 * 100 / 1000.
    assert "at least 20% uniform exploration" in message


def test_forced_rows_alone_do_not_count_as_exploration() -> None:
    log = bandit_log([1, 0], [1.0, 0.5], [1.0, 1.0])
    forced = replace(log, mask=np.array([[False, True], [True, False]]))
    require_exploration(log, THRESHOLDS)
    with pytest.raises(OverlapError, match="no decision of the log had a choice"):
        require_exploration(forced, THRESHOLDS)


@pytest.mark.parametrize("chunk_rows", [1, 4, 100])
def test_rows_asked_in_chunks_are_the_rows_asked_at_once(chunk_rows: int) -> None:
    log = random_log(1, [3, 4, 2])
    found = target_on_log(log, Fixed(0.2, 0.3, 0.5), "fixed", chunk_rows)
    at_once = Fixed(0.2, 0.3, 0.5).action_probabilities(log.features, log.mask)
    assert (found.probabilities == at_once).all()
    assert (found.taken == at_once[np.arange(9), log.action]).all()


def test_mass_on_a_masked_action_is_refused_with_the_policy_and_the_row() -> None:
    log = random_log(1, [3, 4, 2])
    with pytest.raises(ProbabilityError, match=r"policy 'careless' from row 0: .* masked action"):
        target_on_log(log, Fixed(0.2, 0.3, 0.5, masked=False), "careless", 100)


def test_action_mix_averages_over_the_contexts_of_each_bin() -> None:
    log = bandit_log([0, 1, 1], [0.5] * 3, [0.0] * 3)
    log = replace(log, step=np.array([2, 5, 5]))
    mix = action_mix(log, np.array([[1.0, 0.0], [0.4, 0.6], [0.2, 0.8]]))
    assert mix == pytest.approx(np.array([[1.0, 0.0], [0.3, 0.7]]))

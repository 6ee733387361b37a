"""Propensities, leaks, the classifier, weights and the verdict."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

from nurture_envs.actions import ActionCatalog
from nurture_rl.simulator.gap.estimated_logging import estimate_policy, policy_weights
from nurture_rl.simulator.gap.leakage import LeakLimits, suspicious_features
from nurture_rl.simulator.gap.propensities import propensity_check
from nurture_rl.simulator.gap.survival import OPEN, survival_curves
from nurture_rl.simulator.gap.trajectories import Trajectories, whole_episodes
from nurture_rl.simulator.gap.trust import Cause, NamedCause, Trust, verdict
from nurture_rl.simulator.gap.two_sample import two_sample_test, weighted_auc
from tests.unit.gap.gap_logs import JOURNEY, episodes, random_log
from tests.unit.simulator.lamp_shop import EXIT, SEND, WAIT, lamp_log, lamp_shop

RNG = np.random.default_rng


def chosen(n: int, seed: int) -> Trajectories:
    """One-bin episodes of a policy whose chance to send grows with the second feature."""
    rng = RNG(seed)
    x = rng.normal(size=(n, 3)).astype(np.float32)
    logits = np.stack([1.5 * x[:, 1], np.zeros(n), np.full(n, -1.0), np.full(n, -1.0)], axis=1)
    table = np.exp(logits.astype(np.float64))
    table /= table.sum(axis=1, keepdims=True)
    action = (rng.random(n)[:, None] > table.cumsum(axis=1)).sum(axis=1).clip(max=3)
    log = episodes([1] * n, action.tolist())
    taken = table[np.arange(n), action]
    return replace(log, features=x, probabilities=table, propensity=taken)


def test_true_propensities_have_slope_1_and_mean_weight_1() -> None:
    check = propensity_check(chosen(4000, 0), JOURNEY)
    assert check.slope is not None
    assert abs(check.slope.value - 1.0) < 3.0 * check.slope.stderr
    for one in check.weights:
        assert abs(one.gap) < 3.5 * one.stderr


def test_a_certain_decision_among_free_ones_leaves_the_slope_a_number() -> None:
    log = chosen(4000, 0)
    assert log.probabilities is not None
    table = log.probabilities.copy()
    table[0] = np.eye(4)[log.action[0]]
    check = propensity_check(
        replace(log, probabilities=table, propensity=table[np.arange(4000), log.action]), JOURNEY
    )
    assert check.slope is not None
    assert abs(check.slope.value - 1.0) < 3.0 * check.slope.stderr


def test_propensities_of_other_decisions_have_slope_0() -> None:
    log = chosen(4000, 0)
    assert log.probabilities is not None
    table = log.probabilities[RNG(1).permutation(4000)]
    check = propensity_check(
        replace(log, probabilities=table, propensity=table[np.arange(4000), log.action]), JOURNEY
    )
    assert check.slope is not None
    assert check.slope.value < 0.5
    assert check.impossible == 0.0


def test_propensities_that_cannot_be_are_counted() -> None:
    log = episodes([8], [SEND, WAIT] * 4)
    mask, table = log.mask.copy(), np.full((8, 4), 0.25)
    stated = np.full(8, 0.25)
    mask[0] = mask[1] = [True, True, False, False]
    mask[0, WAIT] = False  # no choice, yet a quarter is stated
    table[1] = [0.25, 0.25, 0.5, 0.0]  # half on what is forbidden
    stated[2] = 0.5  # at odds with its distribution
    mask[3] = table[3] = np.eye(4)[WAIT]
    stated[3] = 1.0  # no choice, and none stated
    for row, wrong in ((4, 0.0), (5, -0.1), (6, 1.1)):
        table[row, log.action[row]] = stated[row] = wrong
    check = propensity_check(
        replace(log, mask=mask, probabilities=table, propensity=stated), JOURNEY
    )
    assert check.impossible == 6 / 8  # all but the forced one and the last
    assert check.decisions == 6


def test_the_slope_is_logistic_regression_with_errors_clustered_by_decision() -> None:
    log = chosen(300, 2)
    assert log.probabilities is not None
    x = logit(np.clip(log.probabilities, 1e-4, 1.0 - 1e-4))
    taken = np.eye(4)[log.action]

    def loss(at: NDArray[np.float64]) -> float:
        z = at[0] + at[1] * x
        return float((np.logaddexp(0.0, z) - taken * z).sum())

    best = minimize(loss, np.array([0.0, 1.0]), tol=1e-10).x
    p = expit(best[0] + best[1] * x)
    columns = np.stack([np.ones_like(x), x])
    bread = np.linalg.inv(np.einsum("inj,knj,nj->ik", columns, columns, p * (1.0 - p)))
    scores = np.einsum("inj,nj->ni", columns, taken - p)
    check = propensity_check(log, JOURNEY)
    assert check.slope is not None
    assert check.slope.value == pytest.approx(best[1], abs=1e-4)
    assert check.slope.stderr == pytest.approx(
        np.sqrt((bread @ scores.T @ scores @ bread)[1, 1]), rel=1e-3
    )


def test_missing_propensities_are_not_called_broken() -> None:
    assert not propensity_check(episodes([2], [SEND, WAIT]).without_propensities(), JOURNEY).known


def test_the_logging_policy_is_recovered_from_its_distributions() -> None:
    log = chosen(4000, 0)
    policy = estimate_policy(log, ActionCatalog.of(JOURNEY), RNG(0))
    told = policy.action_probabilities(log.features, log.mask)
    assert log.probabilities is not None
    assert np.abs(told - log.probabilities).max() < 0.03
    assert policy_weights(log, policy).ess_share > 0.99


def test_weights_are_1_under_the_policy_that_logged_and_multiply_along_an_episode() -> None:
    class Even:
        def action_probabilities(
            self, features: object, mask: NDArray[np.bool_]
        ) -> NDArray[np.float64]:
            return np.full(mask.shape, 0.25)

    log = episodes([2, 1], [SEND, WAIT, SEND])
    assert policy_weights(log, Even()).until.tolist() == [1, 1, 1]
    half = replace(log, propensity=np.array([0.5, 0.5, 0.25]))
    assert policy_weights(half, Even()).until == pytest.approx([0.5, 0.25, 1.0])


def test_a_feature_that_holds_its_own_outcome_is_named() -> None:
    real, world = random_log(800, 0), random_log(800, 1)
    column = real.features.copy()
    column[:, 2] = real.amounts[:, JOURNEY.channel_index("clicked")]
    found = suspicious_features(replace(real, features=column), world, JOURNEY, LeakLimits())
    assert (found[0].feature, found[0].head) == ("sends", "clicked")
    assert found[0].auc == 1.0
    assert 0.95 < found[0].lower < 1.0  # even a perfect area has an error
    assert suspicious_features(real, world, JOURNEY, LeakLimits()) == ()


def test_a_feature_that_gains_its_own_outcome_is_named_by_its_change() -> None:
    real, world = random_log(800, 0), random_log(800, 1)
    clicked = real.amounts[:, JOURNEY.channel_index("clicked")]
    column = real.features.copy()
    # A running count over the episode, from a level of its own: the level alone tells little.
    column[:, 2] = clicked.reshape(800, 6).cumsum(axis=1).ravel() + 9.0 * (real.contact % 7)
    real = replace(real, features=column)
    (leak,) = suspicious_features(real, world, JOURNEY, LeakLimits())
    assert (leak.feature, leak.head, leak.by, leak.auc) == ("sends", "clicked", "change", 1.0)
    assert leak.simulated == pytest.approx(0.5, abs=0.05)
    after_the_first = clicked.reshape(800, 6)[:, 1:]
    assert leak.events == after_the_first.sum()


def test_what_the_world_predicts_as_well_is_no_leak() -> None:
    logs = []
    for seed in (0, 1):
        one = random_log(800, seed)
        column = one.features.copy()
        column[:, 2] = one.amounts[:, JOURNEY.channel_index("clicked")]
        logs.append(replace(one, features=column))
    assert suspicious_features(logs[0], logs[1], JOURNEY, LeakLimits()) == ()


def test_an_auc_by_hand() -> None:
    # Pairs (true, false): 3 > 1, 3 > 2, 2 > 1, and 2 = 2 counts half: 3.5 of 4.
    area, _ = weighted_auc(
        np.array([3.0, 2.0, 1.0, 2.0]), np.array([True, True, False, False]), np.ones(4)
    )
    assert area == pytest.approx(3.5 / 4)


def test_the_classifier_cannot_tell_two_logs_of_one_world() -> None:
    test = two_sample_test(random_log(500, 0), random_log(500, 1), JOURNEY, RNG(0))
    assert test.lower < 0.5 < test.upper


def test_the_classifier_names_what_gives_a_world_away() -> None:
    other = random_log(500, 1, view=0.6)
    test = two_sample_test(random_log(500, 0), other, JOURNEY, RNG(0))
    assert test.lower > 0.7
    assert "viewed" in test.giveaways[0].name


def test_what_nothing_reads_gives_no_world_away() -> None:
    # No feature, reward, guardrail or key figure of the lamp shop reads clicks.
    other = random_log(500, 1, click=0.9)
    test = two_sample_test(random_log(500, 0), other, JOURNEY, RNG(0))
    assert test.lower < 0.5 < test.upper


def test_survival_counts_episodes_that_end_before_the_horizon() -> None:
    # One of two episodes leaves in its second bin; nothing falls before that.
    log = episodes([2, 20], [WAIT] * 22, left=[0.0, 1.0] + [0.0] * 20)
    found = {one.head: one for one in survival_curves(log, log, JOURNEY)}
    assert found["left"].real.share[:3] == (1.0, 0.5, 0.5)
    assert found[OPEN].real.share[-1] == 0.5


def test_an_episode_that_misses_its_last_bin_alone_ended_early() -> None:
    log = episodes([19, 20], [WAIT] * 39)  # a horizon of 20
    (early,) = survival_curves(log, log, JOURNEY)
    assert early.head == OPEN
    assert early.real.share[-3:] == (1.0, 0.5, 0.5)


@pytest.mark.parametrize("silent", [0, 1])
def test_distributions_are_known_where_every_decision_has_one(silent: int) -> None:
    table = np.full((18, 4), 0.25)
    table[:silent] = 0.0
    data = replace(lamp_log(3, 0), probabilities=table)
    log = whole_episodes(data, lamp_shop())
    assert (log.probabilities is None) is bool(silent)


def test_episodes_still_running_are_left_out_with_those_that_ended_early() -> None:
    data = lamp_log(3, 0, rows_each=6)
    amounts, action = data.amounts.copy(), np.full(18, WAIT)
    amounts[:, lamp_shop().channel_index("left")] = 0.0
    action[8], ended = EXIT, np.arange(18) != 9  # the second contact exits in its third bin
    kept = ended & (data.cluster * 10 + data.step != 14) & (data.cluster * 10 + data.step != 15)
    age = np.where(data.cluster == 1, 1, 6 - data.step)
    log = replace(data, amounts=amounts, action=action).take(kept)
    assert whole_episodes(log, lamp_shop()).contacts == 3
    running = replace(log, age=age[kept])  # the second contact's horizon is not over yet
    assert whole_episodes(running, lamp_shop()).contacts == 2


def named(cause: Cause, fatal: bool = True) -> NamedCause:
    return NamedCause(cause, 1.0, 0.0, f"{cause.value}.", fatal)


def test_no_cause_at_all_is_trust_for_ranking() -> None:
    assert verdict(()).trust is Trust.RANKING
    assert verdict(()).root is None


def test_roots_come_first_and_their_company_is_marked() -> None:
    found = verdict(
        [named(Cause.DISTINGUISHABLE, False), named(Cause.WRONG_RATES), named(Cause.LEAKED_FEATURE)]
    )
    assert [one.cause for one in found.causes] == [
        Cause.LEAKED_FEATURE,
        Cause.WRONG_RATES,
        Cause.DISTINGUISHABLE,
    ]
    assert [one.symptom for one in found.causes] == [False, True, True]
    assert found.trust is Trust.NOTHING


def test_what_is_not_fatal_leaves_training_with_an_ensemble() -> None:
    found = verdict([named(Cause.UNPROVEN, False)])
    assert found.trust is Trust.TRAINING
    assert not found.causes[0].symptom

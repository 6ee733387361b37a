"""Learners from logged propensities: where they find the best, and where others are misled."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nurture_envs.actions import ActionCatalog
from nurture_rl.bandits.boltzmann import BoltzmannConfig, fit_boltzmann
from nurture_rl.bandits.cost_sensitive import CostSensitiveConfig, fit_cost_sensitive
from nurture_rl.bandits.dr_policy import DRPolicyConfig, fit_dr_policy
from nurture_rl.bandits.dr_scores import dr_scores
from nurture_rl.bandits.ipw_policy import IPWPolicyConfig, fit_ipw_policy
from nurture_rl.bandits.logged_choices import LoggedChoices, logged_choices
from nurture_rl.bandits.mips_policy import MIPSPolicyConfig, fit_mips_policy, groups_of
from nurture_rl.errors import FitError
from nurture_rl.learned.training_log import TrainingLog
from nurture_rl.policies.policy import FloatArray, normalised, sample_actions
from tests.unit.bandits.planted_log import (
    FOUR,
    cliff,
    contexts,
    crossing,
    exclusive,
    log_of,
    planted,
    silent,
)
from tests.unit.policies.planted_journeys import INBOUND

LEARN: dict[Any, Any] = {
    fit_ipw_policy: IPWPolicyConfig(),
    fit_dr_policy: DRPolicyConfig(),
    fit_mips_policy: MIPSPolicyConfig(by="slot"),
    fit_cost_sensitive: CostSensitiveConfig(),
}
MANY = ActionCatalog.of(INBOUND)  # five messages at two hours
# At twelve hours, where the hours share one weight: with two there is little to gain by it.
HOURLY = ActionCatalog.of(
    replace(INBOUND, options=replace(INBOUND.options, slots=tuple(range(8, 20))))
)


@pytest.mark.slow
@pytest.mark.parametrize("fit", LEARN)
def test_a_linear_best_choice_is_learned_and_another_is_not(fit: Any) -> None:
    linear, other = planted(8000, seed=1), planted(8000, seed=1, truth=exclusive)
    assert linear.value(fit(linear.log, LEARN[fit], 0, silent)) > 0.9
    assert other.value(fit(other.log, LEARN[fit], 0, silent)) < 0.5  # negative control


@pytest.mark.slow
@pytest.mark.parametrize("fit", [fit_ipw_policy, fit_dr_policy, fit_mips_policy])
def test_a_wrong_value_model_misleads_no_policy_gradient(fit: Any) -> None:
    rows = planted(8000, seed=2, truth=cliff, noise=2.0, tilt=4.0)
    assert rows.value(fit(rows.log, LEARN[fit], 0, silent)) > 0.9
    modelled = fit_boltzmann(rows.log, BoltzmannConfig(), 0, silent)
    assert rows.value(modelled) < 0.2  # negative control: the log seldom showed the cliff


def test_scores_of_all_contexts_are_not_pulled_towards_the_logs_habits() -> None:
    rows = planted(8000, seed=2, truth=cliff, noise=2.0, tilt=4.0)
    fitted = fit_cost_sensitive(rows.log, CostSensitiveConfig(), 0, silent)
    modelled = fit_boltzmann(rows.log, BoltzmannConfig(), 0, silent)
    assert rows.value(fitted) > rows.value(modelled) + 0.5


@pytest.mark.slow
def test_poor_contexts_are_not_hidden_behind_actions_that_were_seldom_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All actions are alike; where x_0 is low all earn little, and the first is hardly logged."""
    features, mask = contexts(3000, seed=11)
    mask[:] = True
    odds = np.tile([0.003, 1.0, 1.0, 1.0], (3000, 1))
    probabilities = normalised(odds, mask)
    rng = np.random.default_rng(11)
    action = sample_actions(probabilities, rng.random(3000))
    returns = 5.0 * features[:, 0] + rng.normal(0.0, 1.0, 3000)
    log = log_of(features, mask, action, returns, probabilities[np.arange(3000), action])
    honest = fit_ipw_policy(log, IPWPolicyConfig(), 0, silent)
    assert honest.fit["mean_weight"] > 0.85
    monkeypatch.setattr(LoggedChoices, "lead", lambda choices: choices.log.returns)
    hiding = fit_ipw_policy(log, IPWPolicyConfig(caution=0.0), 0, silent)
    assert hiding.fit["lead"] > 1.0  # negative control: all actions are alike
    assert hiding.fit["mean_weight"] < 0.6


@pytest.mark.slow
@pytest.mark.parametrize("fit", [fit_ipw_policy, fit_mips_policy])
def test_false_propensities_do_mislead(fit: Any) -> None:  # negative control
    rows = planted(8000, seed=2, truth=cliff, noise=2.0, tilt=4.0)
    even = normalised(np.ones(rows.log.mask.shape), rows.log.mask)
    false = replace(rows.log, propensity=even[np.arange(8000), rows.log.action])
    told = rows.value(fit(rows.log, LEARN[fit], 0, silent))
    assert rows.value(fit(false, LEARN[fit], 0, silent)) < told - 0.05


def test_scores_are_unbiased_under_a_wrong_model_and_the_model_alone_is_not() -> None:
    rows = planted(60_000, seed=3, truth=cliff, noise=1.0, tilt=1.5)
    choices = logged_choices(rows.log, "test")
    truth = cliff(choices.log.features.astype(np.float64))[:, 0]
    low = choices.log.mask[:, 0] & (choices.log.features[:, 0] < -0.3)
    full = dr_scores(choices, 3, None, 1e9, np.random.default_rng(0)).of(slice(None))[:, 0]
    none = dr_scores(choices, 3, None, 0.0, np.random.default_rng(0)).of(slice(None))[:, 0]
    stderr = full[low].std() / np.sqrt(low.sum())
    assert abs(full[low].mean() - truth[low].mean()) < 4.0 * stderr
    assert abs(none[low].mean() - truth[low].mean()) > 10.0 * stderr  # negative control


def test_no_row_is_scored_by_a_model_that_saw_its_contact() -> None:
    rows = planted(400, seed=4)
    choices = logged_choices(rows.log, "test")
    scores = dr_scores(choices, 4, 2.0, 0.0, np.random.default_rng(0))
    contact = choices.cluster == 7
    moved = replace(choices.log, returns=choices.log.returns + 1e4 * contact)
    again = dr_scores(replace(choices, log=moved), 4, 2.0, 0.0, np.random.default_rng(0))
    row = np.flatnonzero(contact)[0]
    assert again.of(slice(row, row + 1)) == pytest.approx(scores.of(slice(row, row + 1)))
    assert np.array_equal(np.unique(scores.fold[contact]), scores.fold[[row]])
    assert not np.allclose(again.of(slice(None)), scores.of(slice(None)))


def by_message(n: int, seed: int) -> tuple[TrainingLog, FloatArray]:
    """64 actions; what a send earns depends on its message and x_0, and not on its slot."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 3)).astype(np.float32)
    mask = rng.random((n, len(HOURLY))) < 0.8
    mask[:, HOURLY.wait] = True
    group = groups_of(HOURLY, "message")
    slope = np.array([3.0, -3.0, 1.0, -1.0, 0.0, 0.0, 0.0, 0.0, 0.0])[group]
    means = features[:, :1] * slope
    probabilities = normalised(np.ones(mask.shape), mask)
    action = sample_actions(probabilities, rng.random(n))
    returns = means[np.arange(n), action] + rng.normal(0.0, 5.0, n)
    propensity = probabilities[np.arange(n), action]
    return log_of(features, mask, action, returns, propensity, HOURLY), means


@pytest.mark.slow
def test_weights_by_message_learn_more_where_only_the_message_matters() -> None:
    gained = []
    fresh, means = by_message(2000, 50)
    for seed in range(5, 8):
        log, _ = by_message(2000, seed)
        for policy in (
            fit_mips_policy(log, MIPSPolicyConfig(), 0, silent),
            fit_ipw_policy(log, IPWPolicyConfig(), 0, silent),
        ):
            table = policy.action_probabilities(fresh.features, fresh.mask)
            best = np.where(fresh.mask, means, -np.inf).max(axis=1).mean()
            gained.append((table * means).sum(axis=1).mean() / best)
    by_group, by_action = np.array(gained).reshape(3, 2).T
    assert (by_group > by_action).all()
    assert by_group.mean() > by_action.mean() + 0.03


def test_grouping_by_what_does_not_matter_learns_little() -> None:  # negative control
    rows = planted(8000, seed=1, truth=crossing)
    policy = fit_mips_policy(rows.log, MIPSPolicyConfig(by="message"), 0, silent)
    assert rows.value(policy) < 0.5


def test_weights_by_group_have_mean_1_when_the_log_prefers_an_action_inside_of_it() -> None:
    rows = planted(4000, seed=12, tilt=1.0)
    policy = fit_mips_policy(rows.log, MIPSPolicyConfig(by="message"), 0, silent)
    assert policy.fit["mean_weight"] == pytest.approx(1.0, abs=0.05)


def test_actions_of_a_group_are_as_likely() -> None:
    policy = fit_mips_policy(planted(1000, seed=8).log, MIPSPolicyConfig(), 0, silent)
    x, mask = contexts(50, seed=9)
    mask[:] = True
    table = policy.action_probabilities(x, mask)
    assert table[:, 0] == pytest.approx(table[:, 1])
    assert (np.abs(table[:, 0] - table[:, 2]) > 1e-3).any()


def test_groups_follow_the_factor_and_keep_pauses_apart() -> None:
    assert groups_of(FOUR, "message").tolist() == [0, 0, 1, 2]
    assert groups_of(FOUR, "slot").tolist() == [0, 1, 2, 3]
    assert len(set(groups_of(MANY, "routing").tolist())) == 5  # send, two pauses, escalate, exit
    assert len(set(groups_of(MANY, "message").tolist())) == 9
    with pytest.raises(FitError, match="by of MIPSPolicy must be one of message"):
        MIPSPolicyConfig(by="colour")


@pytest.mark.parametrize("fit", LEARN)
def test_a_log_without_propensities_is_refused_in_one_sentence(fit: Any) -> None:
    log = planted(300, seed=10, told=False).log
    name = fit.__name__.removeprefix("fit_")
    with pytest.raises(FitError, match=f"{name} needs the probability .* 297 of 297 decisions"):
        fit(log, LEARN[fit], 0, silent)
    some = planted(300, seed=10).log
    some.propensity[7] = np.nan
    with pytest.raises(FitError, match="1 of 297 decisions"):
        fit(some, LEARN[fit], 0, silent)

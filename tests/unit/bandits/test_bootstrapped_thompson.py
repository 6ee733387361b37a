"""Models of resampled contacts spread as the posterior does, and count contacts, not rows."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt

import numpy as np
import pytest

from nurture_rl.bandits.bootstrapped_thompson import (
    BootstrappedThompsonConfig,
    fit_bootstrapped_thompson,
)
from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.learned.training_log import TrainingLog
from tests.unit.bandits.planted_log import FOUR, WAIT, exclusive, log_of, planted, silent


def fitted(log: TrainingLog, **settings: float) -> ScoredPolicy:
    config = BootstrappedThompsonConfig(**settings)  # type: ignore[arg-type]
    return fit_bootstrapped_thompson(log, config, 0, silent)


def two_arms(n: int) -> TrainingLog:
    """The first action and waiting, alike but for noise of deviation 3; no feature varies."""
    rng = np.random.default_rng(1)
    mask = np.zeros((n, len(FOUR)), np.bool_)
    mask[:, [0, WAIT]] = True
    action = np.where(rng.random(n) < 0.5, 0, WAIT)
    return log_of(np.zeros((n, 1), np.float32), mask, action, rng.normal(1.0, 3.0, n), None)


def lead(policy: ScoredPolicy) -> np.ndarray:
    """How far the first action leads waiting, in each model."""
    return np.asarray(policy.module.maps[:, 0, 0] - policy.module.maps[:, WAIT, 0])


def test_models_of_two_arms_differ_by_the_error_of_their_difference() -> None:
    log = two_arms(2000)
    found = lead(fitted(log, draws=1500, ridge=1e-6))
    first, second = (log.returns[log.action == a] for a in (0, WAIT))
    truth = sqrt(first.var() / first.size + second.var() / second.size)
    assert found.std() == pytest.approx(truth, rel=0.08)
    assert found.mean() == pytest.approx(first.mean() - second.mean(), abs=4 * truth / sqrt(1500))


def test_copies_by_one_contact_are_worth_one_decision() -> None:
    log = two_arms(600)
    four = np.repeat(np.arange(600), 4)
    parts = log.features[four], log.mask[four], log.action[four], log.returns[four]
    copies = replace(log_of(*parts, None), cluster=four)
    strangers = replace(copies, cluster=np.arange(2400))
    alone = replace(log, cluster=np.arange(600))
    once, copied, apart = (
        lead(fitted(one, draws=400, ridge=1e-6)).std() for one in (alone, copies, strangers)
    )
    assert copied == pytest.approx(once, rel=0.15)
    assert apart == pytest.approx(once / 2.0, rel=0.15)  # negative control


@pytest.mark.parametrize("contacts", [2, 3, 8])
def test_few_contacts_leave_no_model_without_decisions(contacts: int) -> None:
    log = replace(two_arms(60), cluster=np.arange(60) % contacts)
    policy = fitted(log, draws=400, ridge=1.0)
    assert np.isfinite(np.asarray(policy.module.maps)).all()


def test_what_was_never_tried_spreads_as_the_prior() -> None:
    log = two_arms(2000)
    policy = fitted(log, draws=1500, ridge=25.0)
    untried = np.asarray(policy.module.maps[:, 1, 0] - policy.module.maps[:, WAIT, 0])
    # Ridge 25: a prior of variance 9 / 25 for an action's own effect; of the two that were tried
    # the data tell the difference alone, so half of that variance is left to waiting.
    assert untried.std() == pytest.approx(sqrt(1.5 * 9.0 / 25.0), rel=0.1)
    assert lead(policy).std() < 0.3 * untried.std()


def test_a_linear_truth_is_learned_and_another_is_not() -> None:
    linear, other = planted(4000, seed=1), planted(4000, seed=1, truth=exclusive)
    assert linear.value(fitted(linear.log)) > 0.9
    assert other.value(fitted(other.log)) < 0.3  # negative control

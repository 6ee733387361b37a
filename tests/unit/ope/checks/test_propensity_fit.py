"""The fitted logging policy recovers a planted one, on contacts it never saw."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.errors import FitError
from nurture_rl.ope.action_chances import masked_softmax
from nurture_rl.ope.checks.propensity_fit import PropensityFit, fit_propensities
from nurture_rl.ope.log import EvaluationLog
from tests.unit.ope.log_makers import random_log

THETA = np.array([[0.5, -0.5, 0.0], [1.0, 0.0, -1.0], [0.0, 0.8, -0.2], [0.0, 0.0, 0.6]])


def softmax_log(n: int, seed: int = 0, length: int = 1) -> EvaluationLog:
    """A logging policy that is a masked softmax of two features and the bin."""
    rng = np.random.default_rng(seed)
    log = random_log(seed, [length] * (n // length))
    features = 100.0 + 10.0 * rng.normal(size=(n, 2))
    x = np.column_stack([np.ones(n), (features - 100.0) / 10.0, log.step])
    logged = masked_softmax(x @ THETA, log.mask)
    action = (rng.random((n, 1)) > logged.cumsum(axis=1)).sum(axis=1)
    return replace(
        log,
        features=features.astype(np.float32),
        action=action,
        propensity=logged[np.arange(n), action],
        logged_probabilities=logged,
    )


def test_masked_softmax_by_hand() -> None:
    scores = np.log(np.array([[1.0, 2.0, 5.0], [1000.0, 3.0, 9.0]]))
    found = masked_softmax(scores, np.array([[True, True, False], [True, True, True]]))
    assert found[0].tolist() == pytest.approx([1 / 3, 2 / 3, 0.0])
    assert found[0, 2] == 0.0
    assert found[1] == pytest.approx(np.array([1000.0, 3.0, 9.0]) / 1012.0)
    huge = masked_softmax(np.array([[1e4, 0.0]]), np.ones((1, 2), dtype=bool))
    assert huge[0].tolist() == [1.0, 0.0]


def test_a_planted_policy_is_recovered() -> None:
    log = softmax_log(6000, length=3)
    found = fit_propensities(log, PropensityFit())
    assert found.rows.tolist() == list(range(6000))
    assert found.probabilities.sum(axis=1) == pytest.approx(np.ones(6000))
    assert (found.probabilities[~log.mask] == 0.0).all()
    truth = log.logged_probabilities
    assert truth is not None
    assert np.abs(found.probabilities - truth).mean() < 0.012


def test_the_ridge_shrinks_effects_but_not_frequencies() -> None:
    log = softmax_log(3000)
    log = replace(log, mask=np.ones((3000, 3), dtype=bool))
    stiff = fit_propensities(log, PropensityFit(ridge=1e4)).probabilities
    assert stiff.std(axis=0).max() < 0.02
    shares = np.bincount(log.action) / 3000
    assert stiff.mean(axis=0) == pytest.approx(shares, abs=0.005)


def test_no_contact_is_predicted_by_a_model_that_saw_it() -> None:
    log = softmax_log(300)
    contact = np.arange(300) % 30
    log = replace(log, cluster=contact)
    before = fit_propensities(log, PropensityFit())
    own = contact == 7
    changed = log.action.copy()
    changed[own] = np.where(log.mask[own, 2], 2, 0)
    after = fit_propensities(replace(log, action=changed), PropensityFit())
    same_fold = (contact % 3) == (7 % 3)
    assert after.probabilities[same_fold] == pytest.approx(before.probabilities[same_fold])
    assert not np.allclose(after.probabilities[~same_fold], before.probabilities[~same_fold])


def test_contacts_beyond_the_cap_are_left_out_evenly() -> None:
    log = softmax_log(1000)
    found = fit_propensities(log, PropensityFit(most_rows=300))
    assert found.rows.tolist() == list(range(0, 1000, 4))
    exact = fit_propensities(log, PropensityFit(most_rows=500))
    assert exact.rows.tolist() == list(range(0, 1000, 2))
    # Too few contacts to leave any out: all rows are used.
    few = replace(log, cluster=np.arange(1000) % 5)
    assert fit_propensities(few, PropensityFit(most_rows=300)).rows.size == 1000


def test_constant_features_say_nothing() -> None:
    log = softmax_log(300)
    flat = replace(log, features=np.full((300, 2), 0.1, dtype=np.float32))
    found = fit_propensities(flat, PropensityFit()).probabilities
    assert np.isfinite(found).all()
    legal = flat.mask.all(axis=1) & (np.arange(300) % 3 == 0)
    assert np.ptp(found[legal], axis=0) == pytest.approx(np.zeros(3), abs=1e-9)


def test_an_action_never_taken_gets_a_small_finite_chance() -> None:
    log = softmax_log(400)
    action = np.where(log.action == 2, 0, log.action)
    log = replace(log, action=action, mask=np.ones((400, 3), dtype=bool))
    found = fit_propensities(log, PropensityFit(ridge=1e-2)).probabilities
    assert 0.0 < found[:, 2].max() < 0.02


def test_too_few_contacts_or_folds_are_refused() -> None:
    log = softmax_log(4)
    with pytest.raises(FitError, match="got 5 folds and 4 contacts"):
        fit_propensities(log, PropensityFit(folds=5))
    with pytest.raises(FitError, match="got 1 folds"):
        fit_propensities(log, PropensityFit(folds=1))
    assert fit_propensities(log, PropensityFit(folds=4)).rows.size == 4
    assert fit_propensities(log, PropensityFit(folds=2)).rows.size == 4

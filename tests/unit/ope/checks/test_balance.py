"""A feature that the action moves is named; one that steered the action is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from nurture_rl.ope.bounds.skewed import skewed_p
from nurture_rl.ope.checks.balance import balance_finding
from nurture_rl.ope.checks.context import LogContext
from nurture_rl.ope.checks.findings import CheckThresholds, Finding, Severity
from nurture_rl.ope.checks.propensity_fit import PropensityFit, fit_propensities
from nurture_rl.ope.log import EvaluationLog
from tests.unit.ope.log_makers import random_log

LIMITS = CheckThresholds()
N = 1500


def steered(seed: int, whole: bool = True, n: int = N) -> EvaluationLog:
    """Actions drawn by the first feature; the second is noise."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 2)).astype(np.float32)
    raw = np.exp(0.8 * features[:, :1] * np.arange(3))
    logged = raw / raw.sum(axis=1, keepdims=True)
    action = (rng.random((n, 1)) > logged.cumsum(axis=1)).sum(axis=1).clip(max=2)
    return replace(
        random_log(seed, [1] * n),
        features=features,
        mask=np.ones((n, 3), dtype=np.bool_),
        action=action,
        propensity=logged[np.arange(n), action],
        logged_probabilities=logged if whole else None,
        reward=rng.normal(size=n) + action,
    )


def asked(log: EvaluationLog, names: tuple[str, ...] = ()) -> Finding:
    found = balance_finding(
        log, LogContext(feature_names=names), LIMITS, fit_propensities(log, PropensityFit())
    )
    assert found is not None
    return found


@pytest.mark.parametrize("whole", [True, False])
def test_a_feature_that_steers_the_action_is_balanced_given_the_propensities(whole: bool) -> None:
    worst = [asked(steered(seed, whole)).numbers["p"] for seed in range(12)]
    assert min(worst) > 1e-3
    assert asked(steered(0, whole)).severity is Severity.OK


@pytest.mark.parametrize("whole", [True, False])
def test_a_feature_that_is_the_outcome_is_refused_by_name(whole: bool) -> None:
    log = steered(1, whole, n=4000)
    leaking = np.stack([log.features[:, 0], log.reward], axis=1).astype(np.float32)
    found = asked(replace(log, features=leaking), ("size", "leak"))
    assert found.severity is Severity.REFUSE
    assert found.sentence.startswith("'leak'")
    assert "'leak' ranks" in found.sentence
    assert "nearly is the reward" in found.sentence
    assert found.advice.startswith("leave 'leak'")
    assert found.numbers["outcome"] == pytest.approx(1.0)
    assert found.numbers["features"] == (1.0 if whole else 2.0)


@pytest.mark.parametrize(("gain", "word"), [(1.0, "higher"), (-1.0, "lower")])
def test_where_the_feature_moves_is_said(gain: float, word: str) -> None:
    log = steered(2)
    moved = log.features.copy()
    moved[:, 1] += np.where(log.action == 2, gain, 0.0)
    found = asked(replace(log, features=moved))
    assert found.severity is Severity.REFUSE
    assert f"{word} than it should under action 2" in found.sentence
    assert "nearly is the reward" not in found.sentence
    assert np.sign(found.numbers["shift"]) == np.sign(gain)


def test_the_shift_is_the_mean_of_the_ranks() -> None:
    """Two actions of one chance, and a feature that is the action: ranks -1/4 and 1/4."""
    n = 400
    action = np.arange(n) % 2
    log = replace(
        random_log(0, [1] * n, n_actions=2),
        features=action[:, None].astype(np.float32),
        mask=np.ones((n, 2), dtype=np.bool_),
        action=action,
        propensity=np.full(n, 0.5),
        logged_probabilities=np.full((n, 2), 0.5),
        reward=np.zeros(n),
    )
    found = asked(log)
    # Taken: 200 draws of 1/2 at rank -1/4; not taken: 200 of -1/2 at 1/4. Over 200 halves.
    assert found.numbers["shift"] == pytest.approx(-0.5)
    assert found.numbers["outcome"] == 0.0
    assert "ranks 50.0% lower" in found.sentence


def test_a_contact_is_one_witness_however_many_decisions_it_has() -> None:
    log = steered(3, n=900)
    moved = log.features.copy()
    moved[:, 1] += np.where(log.action == 2, 0.4, 0.0)
    apart = asked(replace(log, features=moved)).numbers["p"]
    copies = np.repeat(np.arange(300), 3)
    first = 3 * copies
    assert log.logged_probabilities is not None
    same = replace(
        log,
        features=moved[first],
        action=log.action[first],
        propensity=log.propensity[first],
        logged_probabilities=log.logged_probabilities[first],
        cluster=copies,
    )
    assert asked(same).numbers["p"] > 100.0 * apart


def test_few_contacts_and_constant_features_are_not_asked() -> None:
    log = steered(4)
    flat = replace(log, features=np.ones_like(log.features))
    assert balance_finding(flat, LogContext(), LIMITS) is None
    blind = replace(log, logged_probabilities=None)
    assert balance_finding(blind, LogContext(), LIMITS) is None
    few = steered(4, n=40)
    leak = replace(few, features=few.action[:, None].astype(np.float32))
    assert asked(leak).severity is Severity.OK


def test_an_action_without_a_chance_is_asked_only_where_it_has_one() -> None:
    """Where x > 0 the third action is never taken, though legal: no feature is to blame."""
    log = steered(5)
    assert log.logged_probabilities is not None
    barred = log.features[:, 0] > 0.0
    logged = log.logged_probabilities.copy()
    logged[barred, 2] = 0.0
    logged /= logged.sum(axis=1, keepdims=True)
    rng = np.random.default_rng(5)
    action = (rng.random((N, 1)) > logged.cumsum(axis=1)).sum(axis=1).clip(max=2)
    action = np.where(logged[np.arange(N), action] > 0.0, action, 0)
    own = replace(log, action=action, propensity=logged[np.arange(N), action])
    assert asked(replace(own, logged_probabilities=logged)).severity is Severity.OK


def test_no_more_than_five_features_are_named() -> None:
    log = steered(6)
    leaking = np.stack([log.reward + k for k in range(7)], axis=1).astype(np.float32)
    found = asked(replace(log, features=leaking))
    assert "and 2 more depends" in found.sentence
    assert found.sentence.count("'feature") == 6
    five = asked(replace(log, features=leaking[:, :5]))
    assert "more depends" not in five.sentence


def test_p_is_that_of_the_ranks_with_one_more_contact_at_either_end() -> None:
    log = steered(7, n=300)
    log = replace(log, features=log.features[:, 1:])
    assert log.logged_probabilities is not None
    ranks = (stats.rankdata(log.features[:, 0]) - 0.5) / 300 - 0.5
    assert ranks.sum() == pytest.approx(0.0, abs=1e-12)
    expected = []
    for a in range(3):
        chance = log.logged_probabilities[:, a]
        totals = ((log.action == a) - chance) * ranks
        largest = 0.5 * np.maximum(chance, 1.0 - chance).max()
        error = np.append(totals - totals.mean(), [largest, -largest])
        expected.append(skewed_p(float(totals.sum()), error))
    assert asked(log).numbers["p"] == pytest.approx(min(1.0, 3.0 * min(expected)), rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("explored", [0.004, 0.0002])
def test_exploration_that_did_not_turn_up_is_no_imbalance(explored: float, whole: bool) -> None:
    """The greedy action goes by the first feature; weights of the others are heavy and rare."""
    for seed in range(12):
        log = steered(seed, whole)
        rows = np.full((N, 5), explored)
        rows[np.arange(N), (log.features[:, 0] > 0.0).astype(int)] += 1.0 - 5.0 * explored
        rng = np.random.default_rng(seed)
        action = (rng.random((N, 1)) > rows.cumsum(axis=1)).sum(axis=1).clip(max=4)
        log = replace(
            log,
            mask=np.ones((N, 5), dtype=np.bool_),
            action=action,
            propensity=rows[np.arange(N), action],
            logged_probabilities=rows if whole else None,
        )
        found = asked(log)
        assert found.severity is not Severity.REFUSE, (seed, found.sentence)

"""Arms that sleep and recover, held against the others."""

from __future__ import annotations

from dataclasses import replace
from math import exp

import numpy as np
import pytest
import torch

from nurture_rl.bandits.difference_softmax import DifferenceSoftmaxConfig, fit_difference_softmax
from nurture_rl.errors import FitError
from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.learned.training_log import TrainingLog
from nurture_rl.policies.policy import FloatArray
from tests.unit.bandits.planted_log import WAIT, contexts, crossing, log_of, planted, silent


def fitted(log: TrainingLog, **settings: object) -> ScoredPolicy:
    config = DifferenceSoftmaxConfig(**settings)  # type: ignore[arg-type]
    return fit_difference_softmax(log, config, 0, silent)


def ranked(x: FloatArray) -> FloatArray:
    """The same for everybody: 3, 1, 0 and -1 beyond what the context earns."""
    return np.asarray(5.0 * x[:, :1] + np.array([3.0, 1.0, 0.0, -1.0]))


def test_scores_match_a_hand_calculation() -> None:
    # Arm 0 legal in all rows, waiting too. Taken: returns 4, 6 with p = 1/2, 1/4, so weights 2, 4:
    # (8 + 24) / 6 = 16/3. Others: returns 1, 3, 2 with p = 1/2, 1/2, 1/4 and k - 1 = 1, 2, 1, so
    # weights 2, 1, 4: (2 + 3 + 8) / 7 = 13/7.
    mask = np.zeros((5, 4), np.bool_)
    mask[:, [0, WAIT]] = True
    mask[3, 1] = True
    action = np.array([0, 0, WAIT, WAIT, WAIT])
    returns = np.array([4.0, 6.0, 1.0, 3.0, 2.0])
    propensity = np.array([0.5, 0.25, 0.5, 0.5, 0.25])
    log = log_of(np.zeros((5, 1), np.float32), mask, action, returns, propensity)
    policy = fitted(log, temperature=2.0, floor=0.0)
    scores = policy.module.maps[0, :, 0].numpy()
    assert scores[0] == pytest.approx(16.0 / 3.0 - 13.0 / 7.0)
    assert scores[1] == 0.0  # never taken
    row = policy.action_probabilities(np.zeros((1, 1), np.float32), mask[:1])[0]
    assert row[0] / row[WAIT] == pytest.approx(exp((scores[0] - scores[WAIT]) / 2.0))
    log = replace(log, propensity=np.full(5, np.nan))
    plain = fitted(log, temperature=2.0)
    assert plain.module.maps[0, 0, 0] == pytest.approx(5.0 - 2.0)
    with pytest.raises(FitError, match="set the temperature"):
        fitted(log)  # the returns of a contact cancel
    assert (policy.fit["weighted"], plain.fit["weighted"]) == (1.0, 0.0)


def test_the_best_arm_is_taken_and_contexts_are_not_told_apart() -> None:
    rows, other = planted(6000, seed=1, truth=ranked), planted(6000, seed=1, truth=crossing)
    assert rows.value(fitted(rows.log)) > 0.9
    assert other.value(fitted(other.log)) < 0.4  # negative control


def test_an_arm_that_wakes_for_good_contacts_alone_gets_no_credit_for_them() -> None:
    rows = planted(40_000, seed=2, truth=ranked)
    mask = rows.log.mask.copy()
    mask[rows.log.features[:, 0] < 0.5, 3] = False  # the worst arm
    keep = np.flatnonzero(mask[np.arange(40_000), rows.log.action])
    log = replace(rows.log.take(keep), mask=mask[keep])
    log = replace(log, propensity=1.0 / log.mask.sum(axis=1))
    scores = fitted(log).module.maps[0, :, 0].numpy()
    means = np.array([3.0, 1.0, 0.0, -1.0])
    for arm in range(4):
        legal = log.mask[log.mask[:, arm] & log.choice].astype(np.float64)
        legal[:, arm] = 0.0
        others = (legal @ means) / legal.sum(axis=1)
        assert scores[arm] == pytest.approx(means[arm] - others.mean(), abs=0.3)
    taken = [log.returns[log.action == arm].mean() for arm in range(4)]
    assert np.argmax(taken) == 3  # negative control: its plain mean is the highest


def test_propensities_take_the_logs_habits_out() -> None:
    # The log prefers the first arm where x_0 is high, which earns by itself.
    told = planted(20_000, seed=3, truth=ranked, tilt=1.5)
    silent_log = replace(told.log, propensity=np.full(20_000, np.nan))
    truth = 3.0 - 0.0  # over the even mean of the other three, 1, 0 and -1
    assert fitted(told.log).module.maps[0, 0, 0] == pytest.approx(truth, abs=0.4)
    assert fitted(silent_log).module.maps[0, 0, 0] > truth + 1.0  # negative control


def rested(n: int, columns: tuple[str, ...]) -> TrainingLog:
    """A send earns 0.5 for each bin of rest; nothing else earns anything."""
    rng = np.random.default_rng(4)
    _, mask = contexts(n, seed=4)
    mask[:] = True
    rest = rng.integers(0, 15, n).astype(np.float32)
    action = rng.integers(0, 4, n)
    returns = 0.5 * rest * (action < 2) + 0.2 * rest + rng.normal(0.0, 1.0, n)
    features = np.stack([rest, rng.normal(size=n).astype(np.float32)], axis=1)
    return replace(log_of(features, mask, action, returns, np.full(n, 0.25)), columns=columns)


def test_sends_recover_with_rest_as_the_log_has_it() -> None:
    policy = fitted(rested(8000, ("days_since_send", "x1")), temperature=1.0, floor=0.0)
    assert policy.fit["recovery"] == pytest.approx(0.5, abs=0.02)
    mask = np.ones((2, 4), np.bool_)
    fresh, tired = policy.action_probabilities(
        np.array([[14.0, 0.0], [0.0, 0.0]], np.float32), mask
    )
    gained = np.log(fresh[0] / fresh[WAIT]) - np.log(tired[0] / tired[WAIT])
    assert gained == pytest.approx(0.5 * 14.0, abs=0.3)


def test_without_a_column_of_recency_it_says_so_and_does_without() -> None:
    log = rested(2000, ("x0", "x1"))
    policy = fitted(log)
    assert (policy.fit["recency"], policy.fit["recovery"]) == (0.0, 0.0)
    assert torch.equal(policy.module.maps[0, :, 1:], torch.zeros(4, 2, dtype=torch.float64))
    named = fitted(log, recency=("rest", "x0"))
    assert named.fit["recency"] == 1.0
    assert named.fit["recovery"] > 0.4
    assert fitted(log, recency=("x0",), recovery=0.1).fit["recovery"] == 0.1


def test_the_temperature_is_the_error_of_the_scores() -> None:
    # One row each per contact: the difference of two means of deviation 2.
    rows = planted(4000, seed=5, truth=lambda x: np.zeros((len(x), 4)), noise=2.0)
    log = replace(rows.log, mask=np.ones((4000, 4), np.bool_), propensity=np.full(4000, 0.25))
    counts = np.bincount(log.action, minlength=4)
    errors = 4.0 / counts + 4.0 / (4000 - counts)
    assert fitted(log).fit["temperature"] == pytest.approx(np.sqrt(errors.mean()), rel=0.05)


def test_what_one_contact_earns_on_both_sides_cancels_in_the_error() -> None:
    # Three contacts take the arm and wait once each: residuals -2, -1, 3 and -1, -1, 2 thirds, so
    # -1/3, 0 and 1/3 by contact.
    mask = np.zeros((6, 4), np.bool_)
    mask[:, [0, WAIT]] = True
    action = np.array([0, WAIT] * 3)
    returns = np.array([5.0, 1.0, 6.0, 1.0, 10.0, 4.0])
    log = log_of(np.zeros((6, 1), np.float32), mask, action, returns, None)
    assert fitted(log).fit["temperature"] == pytest.approx(np.sqrt(2.0) / 3.0)


def test_an_arm_that_is_always_taken_where_it_is_legal_is_as_good_as_the_others() -> None:
    mask = np.zeros((8, 4), np.bool_)
    mask[:4, [0, WAIT]], mask[4:, [1, WAIT]] = True, True
    action = np.array([0, 0, 0, 0, 1, WAIT, 1, WAIT])
    returns = np.array([9.0, 8.0, 9.0, 7.0, 3.0, 1.0, 5.0, 2.0])
    log = log_of(np.zeros((8, 1), np.float32), mask, action, returns, None)
    scores = fitted(log, temperature=1.0).module.maps[0, :, 0].tolist()
    assert scores[0] == 0.0
    assert scores[1] == pytest.approx(4.0 - 1.5)


def test_rest_is_told_from_where_both_to_send_and_not_to_were_legal() -> None:
    rest = np.tile(np.arange(4.0), 3)
    # Sends beside waiting gain 1 a bin, waiting nothing; where only sends are legal they lose 5.
    mask = np.zeros((12, 4), np.bool_)
    mask[:8, [0, WAIT]], mask[8:, [0, 1]] = True, True
    action = np.repeat([0, WAIT, 0], 4)
    returns = np.r_[rest[:4], np.full(4, 5.0), -5.0 * rest[8:]]
    features = np.column_stack([np.zeros(12), rest]).astype(np.float32)
    log = log_of(features, mask, action, returns, None)
    policy = fitted(log, recency=("x1",), temperature=1.0)
    assert policy.fit["recovery"] == pytest.approx(1.0)
    slopes = policy.module.maps[0, :, 1:].numpy() / np.array([1.0, rest.std()])
    assert slopes == pytest.approx(np.array([[0.0, 1.0]] * 2 + [[0.0, 0.0]] * 2))

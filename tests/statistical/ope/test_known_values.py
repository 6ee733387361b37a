"""Estimators against worlds whose values and variances are known exactly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.ope.diagnostics import OverlapThresholds, overlap
from nurture_rl.ope.estimators import dr, ips, snips
from nurture_rl.ope.log import BoolArray, EvaluationLog, FloatArray, evaluation_log
from nurture_rl.ope.targets import target_on_log
from nurture_rl.ope.value_model import ValueModelConfig, fit_value, value_design


class Same:
    """One distribution everywhere."""

    def __init__(self, *probabilities: float) -> None:
        self.probabilities = np.array(probabilities)

    def action_probabilities(self, features: object, mask: BoolArray, /) -> FloatArray:
        return np.tile(self.probabilities, (len(mask), 1))


def graph_log(
    rng: np.random.Generator, episodes: int, logging: FloatArray, length: int = 4
) -> EvaluationLog:
    """The slippery graph: action 1 pays 1, action 0 pays -1, a quarter of moves slip over."""
    rows = episodes * length
    action = (rng.random(rows) < logging[1]).astype(int)
    slipped = rng.random(rows) < 0.25
    reward = 2.0 * (action ^ slipped) - 1.0
    step = np.tile(np.arange(length), episodes)
    last = np.where(step == 0, 0.0, np.roll(reward, 1))
    return evaluation_log(
        features=np.column_stack([step, last]),
        mask=np.ones((rows, 2)),
        action=action,
        propensity=logging[action],
        logged_probabilities=np.tile(logging, (rows, 1)),
        reward=reward,
        episode=np.repeat(np.arange(episodes), length),
        step=step,
        cluster=np.arange(episodes),
        terminal=step == length - 1,
        action_factors=np.eye(2),
        discount=0.98,
        unit="EUR",
    )


def test_slippery_graph_has_its_published_value() -> None:
    log = graph_log(np.random.default_rng(0), 20_000, np.array([0.8, 0.2]))
    target = np.tile([0.2, 0.8], (log.n_rows, 1))
    taken = target[np.arange(log.n_rows), log.action]
    predictions = fit_value(value_design(log, np.random.default_rng(1), ValueModelConfig()), target)
    for estimate in (ips(log, taken), snips(log, taken), dr(log, taken, predictions)):
        assert abs(estimate.value - 1.1644776) < 4 * estimate.stderr
    own = ips(log, log.propensity)
    assert abs(own.value + 1.1644776) < 4 * own.stderr
    assert own.stderr < 0.02
    # The model alone is right here: rewards and values are linear in action and time.
    assert predictions.value[log.step == 0].mean() == pytest.approx(1.1644776, abs=0.06)


def test_ess_of_the_slippery_graph_is_what_its_second_moment_predicts() -> None:
    log = graph_log(np.random.default_rng(2), 20_000, np.array([0.6, 0.4]))
    found = overlap(log, target_on_log(log, Same(0.4, 0.6), "turned", 10_000), OverlapThresholds())
    # M = 0.16 / 0.6 + 0.36 / 0.4 = 7 / 6
    assert found.predicted_ess == pytest.approx(20_000 * (6 / 7) ** 4)
    assert found.ess == pytest.approx(found.predicted_ess, rel=0.1)
    assert found.feasible


def test_classification_as_a_bandit_has_its_exact_mean_and_variance() -> None:
    """Only the right label pays 1, so V and Var(IPS) are finite sums over the images.

    V = mean target(y_i),   n^2 Var = sum target(y_i)^2 / logging(y_i) - target(y_i)^2
    """
    datasets = pytest.importorskip("sklearn.datasets")
    images, label = datasets.load_digits(return_X_y=True)
    images, label = images[:400] / 16.0, label[:400]
    rng = np.random.default_rng(3)
    logging, target = (
        softmax(scale * images @ rng.normal(size=(64, 10)) / 8.0 + lift * np.eye(10)[label])
        for scale, lift in ((1.0, 0.5), (2.0, 1.5))
    )
    n = label.size
    own, theirs = logging[np.arange(n), label], target[np.arange(n), label]
    log = evaluation_log(
        features=images,
        mask=np.ones((n, 10)),
        action=label,
        propensity=own,
        reward=np.ones(n),
        episode=np.arange(n),
        step=np.zeros(n),
        cluster=np.arange(n),
        terminal=np.ones(n),
        action_factors=np.eye(10),
        discount=1.0,
        unit="hits",
    )
    values = []
    for _ in range(2000):
        action = (rng.random((n, 1)) > logging.cumsum(axis=1)).sum(axis=1).clip(max=9)
        redrawn = replace(
            log,
            action=action,
            propensity=logging[np.arange(n), action],
            reward=(action == label).astype(float),
        )
        values.append(ips(redrawn, target[np.arange(n), action]).value)
    variance = float((theirs**2 / own - theirs**2).sum()) / n**2
    assert abs(np.mean(values) - theirs.mean()) < 4 * np.sqrt(variance / 2000)
    # Four standard deviations of a variance over 2000 draws is 4 * sqrt(2 / 2000) = 0.126.
    assert np.var(values) / variance == pytest.approx(1.0, abs=0.126)


def softmax(scores: FloatArray) -> FloatArray:
    raw = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(raw / raw.sum(axis=1, keepdims=True), dtype=np.float64)

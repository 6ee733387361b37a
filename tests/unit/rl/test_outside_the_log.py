"""Where the log never shows an action, cautious learners leave it and plain ones believe in it."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.learned.training_log import TrainingLog
from nurture_rl.workflow.learners import LEARNERS
from tests.unit.rl.two_step_shop import SEND, WAIT, silent
from tests.unit.rl.world_logs import training_log

pytestmark = pytest.mark.slow

SMALL: dict[str, Any] = {"hidden": (32,), "steps": 2000, "learning_rate": 5e-3}
COLD, WARM = np.array([[-0.2]], np.float32), np.array([[1.0]], np.float32)
LEGAL = np.array([[True, True, False]])


@cache
def one_sided_log(n: int = 4000) -> TrainingLog:
    """Cold contacts (x < 0) are sent to or not; warm ones (x > 0) never are.

    Waiting earns 1; a send earns 2 + 2 x, so a line through what was seen promises 4 at x = 1,
    where in truth it would annoy. The log cannot know that, only that it has not seen it.
    """
    rng = np.random.default_rng(0)
    x = rng.uniform(-1.0, 1.0, n)
    action = np.where((x < 0.0) & (rng.random(n) < 0.5), SEND, WAIT)
    reward = np.where(action == SEND, 2.0 + 2.0 * x, 1.0) + rng.normal(0.0, 0.1, n)
    mask = np.repeat(LEGAL, n, axis=0)
    features = x[:, None].astype(np.float32)
    return training_log(features, mask, action, reward, np.arange(n), np.zeros(n, np.int64), 0.0)


@cache
def learned(name: str) -> ScoredPolicy:
    more = {"fqi": {}, "cql": {**SMALL, "alpha": 0.5}}.get(name, SMALL)
    learner = LEARNERS[name]
    policy: ScoredPolicy = learner.learn(one_sided_log(), learner.settings(**more), 0, silent)
    return policy


@pytest.mark.parametrize("name", ["bcq", "cql", "iql", "crr"])
def test_cautious_learners_leave_what_the_log_never_shows(name: str) -> None:
    assert learned(name).action_probabilities(WARM, LEGAL)[0, SEND] < 0.02


@pytest.mark.parametrize("name", ["fqi", "dqn"])
def test_plain_learners_believe_in_it(name: str) -> None:  # negative control
    assert learned(name).action_probabilities(WARM, LEGAL)[0, SEND] == 1.0


@pytest.mark.parametrize("name", ["bcq", "cql", "iql", "crr", "fqi", "dqn"])
def test_all_of_them_take_it_where_the_log_shows_that_it_pays(name: str) -> None:
    # A send at x = -0.2 earns 1.6 where waiting earns 1.
    assert learned(name).action_probabilities(COLD, LEGAL)[0, SEND] > 0.6


def test_without_its_threshold_batch_constrained_learning_believes_in_it_too() -> None:
    learner = LEARNERS["bcq"]
    policy = learner.learn(one_sided_log(), learner.settings(**SMALL, threshold=0.0), 0, silent)
    assert policy.action_probabilities(WARM, LEGAL)[0, SEND] == 1.0


def test_cloned_probabilities_are_those_the_log_was_made_with() -> None:
    policy = learned("bc")
    x = np.linspace(-0.9, 0.9, 19, dtype=np.float32)[:, None]
    found = policy.action_probabilities(x, np.repeat(LEGAL, 19, axis=0))[:, SEND]
    truth = np.where(x[:, 0] < 0.0, 0.5, 0.0)
    away = np.abs(x[:, 0]) > 0.15  # a network cannot jump
    assert found[away] == pytest.approx(truth[away], abs=0.08)

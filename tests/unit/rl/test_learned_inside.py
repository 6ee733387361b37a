"""Values that are learned inside the region find its best policy; cut afterwards they miss it."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.optimize import linprog

from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.learned.training_log import TrainingLog
from nurture_rl.policies.composition import Region
from nurture_rl.policies.policy import (
    BoolArray,
    FeatureArray,
    FloatArray,
    Spec,
    check_probabilities,
)
from nurture_rl.workflow.learners import LEARNERS
from tests.unit.rl.two_step_shop import silent
from tests.unit.rl.world_logs import training_log

pytestmark = pytest.mark.slow

# State 0 leads to 1, to 2 or to the end. State 1 promises 10, by an action that the log seldom
# takes; state 2 pays something whatever is done. The third action is forbidden in state 2.
NEXT = np.array([[1, 2, 3], [3, 3, 3], [3, 3, 3]])
PAYS = np.array([[0.0, 0.0, 0.0], [10.0, 0.0, 0.0], [4.0, 3.0, 9.0]])
LEGAL = np.array([[True, True, True], [True, True, True], [True, True, False]])
LOGS = np.array([[0.45, 0.45, 0.1], [0.1, 0.45, 0.45], [0.5, 0.5, 0.0]])
STATES = np.eye(3, dtype=np.float32)
SMALL: dict[str, Any] = {"hidden": (16,), "steps": 1500}
SETTINGS: dict[str, dict[str, Any]] = {"fqi": {}, "qr_dqn": {**SMALL, "quantiles": 8}}
VALUES = [name for name, learner in LEARNERS.items() if learner.held]


class Logging:
    """Acts as the log was made."""

    def action_probabilities(self, features: FeatureArray, mask: BoolArray) -> FloatArray:
        return np.asarray(LOGS[features.argmax(axis=1)])

    def spec(self) -> Spec:
        return {"kind": "logging"}


REGION = Region(Logging(), max_ratio=2.0, explore=0.1)


def log_of_process(n: int = 3000) -> TrainingLog:
    rng = np.random.default_rng(0)
    rows: list[tuple[int, int, int, int]] = []  # episode, step, state, action
    for episode in range(n):
        state, step = 0, 0
        while state < 3:
            action = int(rng.choice(3, p=LOGS[state]))
            rows.append((episode, step, state, action))
            step, state = step + 1, NEXT[state, action]
    episode_, step_, state_, action_ = np.array(rows).T
    features, pays = STATES[state_], PAYS[state_, action_]
    return training_log(features, LEGAL[state_], action_, pays, episode_, step_)


def worth(table: FloatArray) -> float:
    """What a policy earns from state 0 on, by summing over what may happen."""
    ahead = (table[1:] * PAYS[1:]).sum(axis=1)
    return float(table[0, 0] * ahead[0] + table[0, 1] * ahead[1])


def best_of(values: NDArray[np.float64], state: int) -> float:
    """The best mean value inside the region, by linear programming."""
    bounds = [(0.0, 2.0 * mu) for mu in LOGS[state]]
    found = linprog(-values, A_eq=np.ones((1, 3)), b_eq=[1.0], bounds=bounds)
    return 0.9 * -float(found.fun) + 0.1 * float(LOGS[state] @ values)


def optimum() -> tuple[float, NDArray[np.float64]]:
    """The best value inside the region, and what the actions of state 0 are worth there."""
    first = np.array([best_of(PAYS[1], 1), best_of(PAYS[2], 2), 0.0])
    return best_of(first, 0), first


@cache
def learned(name: str, inside: bool, seed: int = 0) -> ScoredPolicy:
    learner = LEARNERS[name]
    settings = learner.settings(**SETTINGS.get(name, SMALL))
    region = REGION if inside else None
    policy: ScoredPolicy = learner.learn(log_of_process(), settings, seed, silent, region)
    return policy


def released(policy: ScoredPolicy) -> FloatArray:
    return REGION.around(policy).action_probabilities(STATES, LEGAL)


def test_the_optimum_is_known_by_hand() -> None:
    best, first = optimum()
    # 0.9 * 0.2 * 10 + 0.1 * 0.1 * 10; both actions of state 2 may have all
    assert first.tolist() == pytest.approx([1.9, 0.9 * 4.0 + 0.1 * 3.5, 0.0])
    # 0.9 of the better second action, 0.1 of the first; the anchor's share besides
    second = first[1]
    assert best == pytest.approx(0.9 * (0.9 * second + 0.1 * 1.9) + 0.1 * 0.45 * (second + 1.9))


@pytest.mark.parametrize("name", VALUES)
def test_learned_inside_the_region_its_best_policy_is_found(name: str) -> None:
    best, first = optimum()
    policy = learned(name, inside=True)
    assert worth(released(policy)) == pytest.approx(best, abs=1e-5)
    if name != "cql":  # which values unusual actions low
        found = policy.module.scores(torch.from_numpy(STATES[:1]))[0, :, 0].numpy()
        # Eight quantiles tell the mean of a rare 10 to an eighth of it.
        assert found == pytest.approx(first, abs=1.25 if name == "qr_dqn" else 0.25)


@pytest.mark.parametrize("name", VALUES)
def test_learned_freely_and_cut_afterwards_it_is_missed(name: str) -> None:  # negative control
    assert worth(released(learned(name, inside=False))) < optimum()[0] - 1.0


@pytest.mark.parametrize("name", VALUES)
def test_nothing_is_ever_done_that_is_forbidden_or_beyond_the_limits(name: str) -> None:
    table = released(learned(name, inside=True))
    check_probabilities(table, LEGAL)
    assert (table <= (0.9 * 2.0 + 0.1) * LOGS + 1e-12).all()
    check_probabilities(learned(name, inside=True).action_probabilities(STATES, LEGAL), LEGAL)


@pytest.mark.parametrize("name", VALUES)
def test_equal_seeds_give_equal_policies_inside_too(name: str) -> None:
    learner, tables = LEARNERS[name], []
    short = {"iterations": 2} if name == "fqi" else {"hidden": (4,), "steps": 60, "batch": 32}
    for seed in (3, 3, 4):
        policy = learner.learn(log_of_process(60), learner.settings(**short), seed, silent, REGION)
        tables.append(policy.module.scores(torch.eye(3)))
    assert torch.equal(tables[0], tables[1])
    assert torch.equal(tables[0], tables[2]) == (name == "fqi")  # which draws nothing

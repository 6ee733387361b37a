"""Fitted-Q evaluation in a process with a forbidden action, against enumeration of every path."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nurture_rl.ope.log import EvaluationLog, FloatArray, evaluation_log
from nurture_rl.ope.sequential.fqe import fit_fqe
from nurture_rl.ope.sequential.fqe_config import FqeConfig
from nurture_rl.ope.sequential.fqe_training import (
    Network,
    buffer_of,
    forward,
    goals,
    initial_network,
)
from tests.unit.rl.world_logs import BINS, DISCOUNT, LEGAL, NEXT, PAYS, process_log

TARGET = np.array([[0.5, 0.2, 0.3], [0.1, 0.9, 0.0], [0.6, 0.3, 0.1]])  # of each state
FORBIDDEN = 2  # in state 1
CLOSE = FqeConfig(
    hidden=(16,),
    batch=64,
    refresh=25,
    follow=1.0,
    learning_rate=1e-2,
    max_steps=600,
    settled=0.0,
    n_folds=1,
)


def evaluated(n: int) -> tuple[EvaluationLog, FloatArray]:
    """The log of the process for evaluation, and the state of each row, one-hot."""
    rows = process_log(n)
    last = np.append(rows.episode[1:] != rows.episode[:-1], True)
    log = evaluation_log(
        features=rows.features,
        mask=rows.mask,
        action=rows.action,
        propensity=1.0 / rows.mask.sum(axis=1),
        reward=rows.reward,
        episode=rows.episode,
        step=rows.step,
        cluster=np.arange(n),
        terminal=last,
        action_factors=np.eye(3),
        discount=DISCOUNT,
        unit="EUR",
    )
    return log, rows.features.astype(np.float64)


def paths(state: int, action: int) -> list[tuple[float, float]]:
    """Chance and discounted reward of every path that begins with an action of a state."""
    after = NEXT[state, action]
    if after == 3:
        return [(1.0, PAYS[state, action])]
    onward = DISCOUNT ** BINS[state, action]
    return [
        (TARGET[after, then] * chance, PAYS[state, action] + onward * reward)
        for then in range(3)
        if LEGAL[after, then]
        for chance, reward in paths(after, then)
    ]


def worth(state: int, action: int) -> float:
    """What an action is worth if the target follows, over all paths."""
    found = paths(state, action)
    assert sum(chance for chance, _ in found) == pytest.approx(1.0)
    return sum(chance * reward for chance, reward in found)


def wishing(seed: int, log: EvaluationLog, target: FloatArray) -> Network:
    """A random network that believes the forbidden action to be worth a thousand."""
    buffer = buffer_of(log, target, "cpu")
    network = initial_network(buffer, (4,), torch.Generator().manual_seed(seed))
    network.layers[-1][1][FORBIDDEN] += 1000.0
    return network


def enumerated(log: EvaluationLog, target: FloatArray, network: Network) -> list[float]:
    """Goals row by row over the legal actions of the next row."""
    buffer = buffer_of(log, target, "cpu")
    q = forward(network, buffer.features)[-1].double().numpy()
    found = []
    for row in range(log.n_rows):
        goal = log.reward[row] / buffer.scale
        if not log.terminal[row]:
            legal = np.flatnonzero(log.mask[row + 1])
            ahead = sum(target[row + 1, action] * q[row + 1, action] for action in legal)
            goal += DISCOUNT ** (log.step[row + 1] - log.step[row]) * ahead
        found.append(float(goal))
    return found


def test_goals_are_those_of_enumeration_whatever_the_forbidden_action_would_bring() -> None:
    log, state = evaluated(40)
    target = state @ TARGET
    network = wishing(2, log, target)
    buffer = buffer_of(log, target, "cpu")
    found = goals(buffer, network, torch.arange(log.n_rows))
    assert found.tolist() == pytest.approx(enumerated(log, target, network), rel=1e-4, abs=1e-3)


def test_a_target_that_leaks_to_the_forbidden_action_moves_its_goals() -> None:
    # negative control of the test above
    log, state = evaluated(40)
    leaking = state @ np.array([TARGET[0], [0.1, 0.8, 0.1], TARGET[2]])
    network = wishing(2, log, leaking)
    found = goals(buffer_of(log, leaking, "cpu"), network, torch.arange(log.n_rows))
    gap = np.abs(found.numpy() - enumerated(log, leaking, network))
    into_state_1 = (log.features[:, 0] == 1.0) & (log.action == 0)
    assert (gap[into_state_1] > 50.0).all()
    assert (gap[~into_state_1] < 1e-2).all()


@pytest.mark.slow
def test_what_is_learned_is_the_mean_over_every_path() -> None:
    log, state = evaluated(400)
    found = fit_fqe(log, state @ TARGET, CLOSE).predictions
    place = state.argmax(axis=1)
    exact = [worth(int(s), int(a)) for s, a in zip(place, log.action, strict=True)]
    assert found.q_logged == pytest.approx(np.array(exact), abs=0.1)
    whole = [sum(TARGET[s, a] * worth(s, a) for a in range(3) if LEGAL[s, a]) for s in range(3)]
    assert found.value == pytest.approx(np.array(whole)[place], abs=0.1)

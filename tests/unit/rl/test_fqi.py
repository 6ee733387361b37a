"""Linear fitted values against their equations written out, and how many rounds there are."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from nurture_rl.rl.fqi import FQIConfig, longest, train_fqi
from nurture_rl.rl.transitions import Transitions
from tests.unit.rl.world_logs import process_log

FloatArray = NDArray[np.float64]
LOG = process_log(60)
DATA = Transitions.of(LOG)
RIDGE = 2.0


def written_out(rounds: int) -> tuple[FloatArray, list[float]]:
    """Coefficients of every action after some rounds, [a, d + 1], and the error of each round."""
    x = DATA.features.double().numpy()
    z = np.column_stack([np.ones(len(x)), x])
    reward, onward = (part.double().numpy() for part in (DATA.reward, DATA.onward))
    maps, errors = np.zeros((3, z.shape[1])), []
    even = np.eye(z.shape[1])
    for round_ in range(rounds):
        goals = reward.copy()
        for row in range(len(x) - 1):
            ahead = max(float(z[row + 1] @ maps[a]) for a in np.flatnonzero(LOG.mask[row + 1]))
            goals[row] += onward[row] * ahead if round_ else 0.0
        common = np.linalg.solve(z.T @ z + 1e-6 * len(z) * even, z.T @ goals)
        left = goals - z @ common
        for action in range(3):
            own = z[LOG.action == action]
            sums = own.T @ left[LOG.action == action]
            maps[action] = common + np.linalg.solve(own.T @ own + RIDGE * even, sums)
        fitted = (z * maps[LOG.action]).sum(axis=1)
        errors.append(float(((goals - fitted) ** 2).mean()))
    return maps, errors


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_linear_values_solve_the_written_equations(rounds: int) -> None:
    told: list[float] = []
    config = FQIConfig(ridge=RIDGE, iterations=rounds)
    policy = train_fqi(LOG, config, 0, lambda round_, numbers: told.append(numbers["loss"]))
    maps, errors = written_out(rounds)
    assert policy.module.maps[0].numpy() == pytest.approx(DATA.scale * maps, rel=1e-5, abs=1e-6)
    assert told == pytest.approx(errors, rel=1e-5)
    assert policy.fit["loss"] == told[-1]
    assert policy.fit["iterations"] == rounds


def test_as_many_rounds_as_the_longest_episode_has_decisions_and_twice_of_a_network() -> None:
    assert longest(LOG) == 2
    assert longest(LOG.take(np.arange(len(LOG.action) - 1))) == 2  # the last episode has one
    seen: list[int] = []
    linear = train_fqi(LOG, FQIConfig(), 0, lambda round_, numbers: seen.append(round_))
    assert linear.fit["iterations"] == 2.0
    assert seen == [0, 1]
    network = FQIConfig(hidden=(2,), steps=3, batch=4)
    found = train_fqi(LOG, network, 0, lambda look, numbers: None)
    assert found.fit["iterations"] == 4.0
    assert found.fit["steps"] == 12.0

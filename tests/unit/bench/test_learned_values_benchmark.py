"""The comparison of what is earned reads other libraries' arrays and puts ours beside theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import learned_values
from benchmarks.learned_values import (
    BANDITS,
    bandit_values,
    cartpole_values,
    compared,
    log_of,
    markdown,
    paired,
)
from benchmarks.peer_runs import Peer, Skipped

ROWS = 400


def feedback(seed: int = 0) -> dict[str, Any]:
    """Even decisions among three actions; the first one pays where x_0 is positive."""
    rng = np.random.default_rng(seed)
    x, test = rng.normal(size=(ROWS, 2)), rng.normal(size=(500, 2))
    action = rng.integers(0, 3, ROWS)
    return {
        "features": x,
        "action": action,
        "reward": (rng.random(ROWS) < 0.5 + 0.4 * (action == 0) * np.sign(x[:, 0])).astype(float),
        "propensity": np.full(ROWS, 1 / 3),
        "episode": np.arange(ROWS),
        "step": np.zeros(ROWS, int),
        "test": test,
        "expected": np.stack(
            [0.5 + 0.4 * np.sign(test[:, 0]), np.full(500, 0.5), np.full(500, 0.5)], axis=1
        ),
    }


def test_our_learners_are_judged_by_the_other_librarys_expected_rewards() -> None:
    for name, value in bandit_values(feedback()).items():
        assert 0.62 < value <= 0.71, name  # 0.5 by chance, 0.7 at best


def test_theirs_and_ours_stand_side_by_side_for_each_log(monkeypatch: pytest.MonkeyPatch) -> None:
    def printed(peer: Peer, kept: Path, asked: tuple[str, ...], say: object) -> object:
        for seed in (0, 1):
            np.savez(Path(asked[0]) / f"{seed}.npz", **feedback(seed))
        return {"values": [{"theirs": 0.5}, {"theirs": 0.6}]}, 0.0

    monkeypatch.setattr(learned_values, "peer_json", printed)
    found = compared(
        BANDITS, ("2", "400"), lambda arrays: {"ours": float(arrays["action"][0])}, print
    )
    assert not isinstance(found, Skipped)
    assert found["theirs"] == [0.5, 0.6]
    assert found["ours"] == [float(feedback(seed)["action"][0]) for seed in (0, 1)]
    assert "| feedback | theirs | 0.55 | 0.5 to 0.6 | 2 |" in markdown({"feedback": found})


def test_differences_are_paired_by_log() -> None:
    values = {"the log": [0.0, 9.0], "OBP, x": [0.1, 0.9], "ours, y": [0.2, 1.2]}
    # 0.1 and 0.3: mean 0.2, standard error 0.1; t of one degree of freedom is 12.706.
    row = "| feedback | ours, y | OBP, x | +0.2000 | -1.0706 to +1.4706 | 2 |"
    assert paired({"feedback": values}).splitlines()[2:] == [row]
    alone = {name: of_logs[:1] for name, of_logs in values.items()}
    assert len(paired({"feedback": alone}).splitlines()) == 2


def test_a_log_of_episodes_has_discounted_returns() -> None:
    given = {
        "features": np.zeros((3, 4)),
        "action": np.array([0, 1, 0]),
        "reward": np.ones(3),
        "episode": np.array([0, 0, 1]),
        "step": np.array([0, 1, 0]),
    }
    assert log_of(given, 2, 0.5).returns.tolist() == [1.5, 1.0, 1.0]


@pytest.mark.slow
def test_a_policy_of_hardly_any_training_keeps_the_pole_up_for_some_steps() -> None:
    rng = np.random.default_rng(0)
    given = {
        "features": rng.normal(size=(60, 4)),
        "action": rng.integers(0, 2, 60),
        "reward": np.ones(60),
        "episode": np.repeat(np.arange(6), 10),
        "step": np.tile(np.arange(10), 6),
    }
    for value in cartpole_values(given, steps=3, episodes=4).values():
        assert 8.0 <= value <= 500.0

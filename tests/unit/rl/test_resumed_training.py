"""A killed training goes on from its checkpoint to the same policy, to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from nurture_envs.simulation import Simulation
from nurture_rl.errors import FitError
from nurture_rl.learned.checkpoints import Checkpoints, Resumable, Told, checkpoint_beside
from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.learned.training_log import Progress
from nurture_rl.rl.ppo import PPOConfig, train_ppo
from nurture_rl.workflow.learners import LEARNERS
from tests.unit.learned.test_learned_loops import WORLDS
from tests.unit.rl.two_step_shop import shop_simulation, silent
from tests.unit.rl.world_logs import shop_log

OFFLINE = (
    *("bc", "fqi", "dqn", "qr_dqn", "cql", "iql", "crr", "bcq"),
    *("return_conditioned", "decision_transformer"),
)
SMALL: dict[str, Any] = {"hidden": (4,), "steps": 60, "batch": 16, "refresh": 10}
SETTINGS: dict[str, dict[str, Any]] = {
    "fqi": {"hidden": (4,), "steps": 10, "iterations": 6, "batch": 16},
    "qr_dqn": {**SMALL, "quantiles": 4},
}
PPO = PPOConfig(iterations=6, n_contacts=32, hidden=(8,))
Train = Callable[[Progress], ScoredPolicy]


class _KilledError(Exception):
    """Stands for the end of a process."""


def kept(path: Path, told: Told, killed_after: int | None = None, every: int = 2) -> Resumable:
    """Progress that keeps checkpoints, and dies after some iterations."""
    count = 0

    def tell(step: int, values: dict[str, float]) -> None:
        nonlocal count
        if count == killed_after:
            raise _KilledError
        count += 1
        told.append((step, values))

    return Resumable(tell, Checkpoints(path, every, told))


def same(one: ScoredPolicy, other: ScoredPolicy) -> bool:
    pairs = zip(one.module.state_dict().items(), other.module.state_dict().items(), strict=True)
    return one.fit == other.fit and all(
        names[0] == names[1] and torch.equal(*values)
        for names, values in (zip(*pair, strict=True) for pair in pairs)
    )


def offline(name: str) -> Train:
    learner = LEARNERS[name]
    config = learner.settings(**SETTINGS.get(name, SMALL))
    return lambda progress: learner.learn(shop_log(), config, 3, progress)


def in_shop(progress: Progress) -> ScoredPolicy:
    return train_ppo(shop_simulation(), PPO, 3, progress)


def learned_world(compiled: bool) -> Train:
    config = replace(PPO, n_contacts=64)
    return lambda progress: train_ppo(
        Simulation(WORLDS["linked heads"], compiled=compiled), config, 3, progress
    )


def require_same_after_a_kill(train: Train, path: Path, killed_after: int) -> None:
    whole: Told = []
    straight = train(kept(path.with_suffix(".whole"), whole))
    with pytest.raises(_KilledError):
        train(kept(path, [], killed_after))
    before = path.read_bytes()
    told: Told = []
    progress = kept(path, told)
    assert 0 < len(told) <= killed_after  # from there on, not from the start
    resumed = train(progress)
    assert path.read_bytes() != before  # it did not begin and end at the checkpoint
    assert told == whole
    assert same(resumed, straight)


@pytest.mark.slow
@pytest.mark.parametrize("killed_after", [3, 5])
@pytest.mark.parametrize("name", OFFLINE)
def test_an_offline_learner_goes_on_to_the_same_policy(
    name: str, killed_after: int, tmp_path: Path
) -> None:
    require_same_after_a_kill(offline(name), tmp_path / "checkpoint", killed_after)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["iql", "bcq"])
def test_a_learner_of_two_trainings_goes_on_in_the_second(name: str, tmp_path: Path) -> None:
    require_same_after_a_kill(offline(name), tmp_path / "checkpoint", 9)


@pytest.mark.slow
def test_ppo_goes_on_to_the_same_policy(tmp_path: Path) -> None:
    require_same_after_a_kill(in_shop, tmp_path / "checkpoint", 3)


@pytest.mark.slow
@pytest.mark.parametrize("compiled", [True, False])
def test_ppo_goes_on_in_a_learned_world_whoever_plays_it(compiled: bool, tmp_path: Path) -> None:
    require_same_after_a_kill(learned_world(compiled), tmp_path / "checkpoint", 5)


@pytest.mark.slow
def test_a_training_that_is_cut_short_before_its_first_checkpoint_begins_anew(
    tmp_path: Path,
) -> None:
    with pytest.raises(_KilledError):
        in_shop(kept(tmp_path / "checkpoint", [], 1))
    assert not (tmp_path / "checkpoint").exists()


@pytest.mark.slow
def test_checkpoints_change_no_result(tmp_path: Path) -> None:
    assert same(in_shop(silent), in_shop(kept(tmp_path / "checkpoint", [], every=1)))


@pytest.mark.slow
def test_a_ppo_that_diverges_says_so_and_leaves_no_policy() -> None:
    wild = replace(PPO, learning_rate=1e30)
    with pytest.raises(FitError, match=r"in iteration \d of 6, expected finite numbers.* lower"):
        train_ppo(shop_simulation(), wild, 3, silent)


def test_a_checkpoint_lies_hidden_beside_the_unfinished_folder(tmp_path: Path) -> None:
    unfinished = tmp_path / ".policy-ppo-0123.k3x.partial"
    assert checkpoint_beside(unfinished) == tmp_path / ".policy-ppo-0123.checkpoint"

"""Stable-Baselines3 and sb3-contrib's MaskablePPO train on the registered environment as it is."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from numpy.typing import NDArray

from nurture_envs.contact_env import ContactVectorEnv

EXTRA = 'not installed; pip install "nurture-rl[interop]"'
sb3 = pytest.importorskip("stable_baselines3", reason=f"stable_baselines3 is {EXTRA}")
contrib = pytest.importorskip("sb3_contrib", reason=f"sb3_contrib is {EXTRA}")
checker = pytest.importorskip("stable_baselines3.common.env_checker")
callbacks = pytest.importorskip("stable_baselines3.common.callbacks")

ENV_ID = "nurture_envs/InboundLead-v0"
STEPS, CONTACTS = 6144, 6000  # a few EUR more must be four standard errors


class Watch(callbacks.BaseCallback):  # type: ignore[misc,name-defined]
    """Counts training decisions, and those that the environment had to replace."""

    def __init__(self) -> None:
        super().__init__()
        self.decisions, self.replaced = 0, 0

    def _on_step(self) -> bool:
        self.decisions += 1
        self.replaced += sum(bool(info["replaced"]) for info in self.locals["infos"])
        return True


@pytest.fixture(scope="module")
def trained() -> tuple[Any, Watch]:
    settings = {"n_steps": 512, "batch_size": 128, "learning_rate": 1e-3, "gamma": 1.0}
    model = contrib.MaskablePPO(
        "MlpPolicy", gymnasium.make(ENV_ID), seed=0, device="cpu", **settings
    )
    watch = Watch()
    model.learn(STEPS, callback=watch)
    return model, watch


def episode_returns(act: Any) -> NDArray[np.float64]:
    """Return of the first episode of contacts nobody trained on, [n]."""
    env = gymnasium.make_vec(ENV_ID, num_envs=CONTACTS, vectorization_mode="vector_entry_point")
    assert isinstance(env, ContactVectorEnv)
    observation, info = env.reset(seed=1_000_000)
    earned, open_ = np.zeros(CONTACTS), np.ones(CONTACTS, bool)
    while open_.any():
        action = act(observation, info["action_mask"])
        assert info["action_mask"][np.arange(CONTACTS), action].all()
        observation, reward, terminated, truncated, info = env.step(action)
        earned += np.where(open_, reward, 0.0)
        open_ &= ~(terminated | truncated)
    return earned


def test_the_environment_passes_stable_baselines_own_checks() -> None:
    checker.check_env(gymnasium.make(ENV_ID).unwrapped)


def test_maskable_ppo_finds_the_mask_without_a_wrapper() -> None:
    env = gymnasium.make(ENV_ID)
    assert contrib.common.maskable.utils.is_masking_supported(env)
    _, info = env.reset(seed=0)
    for _ in range(12):
        mask = contrib.common.maskable.utils.get_action_masks(env)
        np.testing.assert_array_equal(mask, info["action_mask"])
        _, _, terminated, truncated, info = env.step(np.flatnonzero(mask)[0])
        if terminated or truncated:
            _, info = env.reset()


def test_training_never_takes_a_forbidden_action(trained: tuple[Any, Watch]) -> None:
    _, watch = trained
    assert watch.decisions == STEPS
    assert watch.replaced == 0


def test_without_masks_forbidden_actions_do_come_and_are_replaced() -> None:  # negative control
    watch = Watch()
    model = sb3.PPO("MlpPolicy", gymnasium.make(ENV_ID), n_steps=256, seed=0, device="cpu")
    model.learn(256, callback=watch)
    assert watch.replaced > 0


def test_a_few_thousand_steps_earn_more_than_uniformly_random_legal_actions(
    trained: tuple[Any, Watch],
) -> None:
    model, _ = trained
    luck = np.random.default_rng(0)

    def learned(seen: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.asarray(model.predict(seen, action_masks=mask, deterministic=True)[0])

    def uniform(seen: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.asarray((luck.random(mask.shape) * mask).argmax(axis=1))

    better, worse = episode_returns(learned), episode_returns(uniform)
    stderr = np.sqrt(better.var() / CONTACTS + worse.var() / CONTACTS)
    assert better.mean() - worse.mean() > 4.0 * stderr

"""Every registered environment keeps Gymnasium's contract and ours."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from numpy.typing import NDArray

from nurture_envs.contact_env import ContactEnv, ContactVectorEnv

IDS = [
    "nurture_envs/InboundLead-v0",
    "nurture_envs/StalledOpportunity-v0",
    "nurture_envs/TrialOnboarding-v0",
    "nurture_envs/ReEngagement-v0",
    "nurture_envs/Renewal-v0",
    "nurture_envs/NullLead-v0",
]


def test_every_registered_environment_is_tested() -> None:
    registered = {name for name in gymnasium.registry if name.startswith("nurture_envs/")}
    assert registered == set(IDS)


def vector_env(env_id: str, n: int) -> ContactVectorEnv:
    env = gymnasium.make_vec(env_id, num_envs=n, vectorization_mode="vector_entry_point")
    assert isinstance(env, ContactVectorEnv)
    return env


def legal(mask: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.int64]:
    return np.array([rng.choice(np.flatnonzero(row)) for row in mask])


@pytest.mark.parametrize("env_id", IDS)
def test_gymnasium_accepts_the_environment(env_id: str) -> None:
    env = gymnasium.make(env_id)
    assert isinstance(env.unwrapped, ContactEnv)
    check_env(env.unwrapped)


@pytest.mark.parametrize("env_id", IDS)
def test_the_mask_has_one_column_per_action_in_catalogue_order(env_id: str) -> None:
    env = vector_env(env_id, 3)
    _, info = env.reset(seed=0)
    assert info["action_mask"].shape == (3, len(env.action_ids))
    assert info["action_mask"][:, env.action_ids.index("pause:1")].all()


@pytest.mark.parametrize("env_id", IDS)
def test_row_i_of_the_vector_is_the_single_environment_of_seed_plus_i(env_id: str) -> None:
    n, rng = 6, np.random.default_rng(1)
    many = vector_env(env_id, n)
    observations, info = many.reset(seed=40)
    singles: list[Any] = [gymnasium.make(env_id).unwrapped for _ in range(n)]
    for row, single in enumerate(singles):
        np.testing.assert_array_equal(single.reset(seed=40 + row)[0], observations[row])
    alive = set(range(n))
    for _ in range(many.simulation.spec.clock.horizon):
        actions = legal(info["action_mask"], rng)
        observations, rewards, terminated, truncated, info = many.step(actions)
        for row in sorted(alive):
            seen, reward, ended, cut, _ = singles[row].step(actions[row])
            over = terminated[row] or truncated[row]
            expected = info["final_obs"][row] if over else observations[row]
            np.testing.assert_array_equal(seen, expected)
            assert (reward, ended, cut) == (rewards[row], terminated[row], truncated[row])
            alive -= {row} if over else set()
    assert not alive


@pytest.mark.parametrize("env_id", IDS)
def test_a_seed_fixes_everything_and_another_seed_does_not(env_id: str) -> None:
    def trace(seed: int) -> list[NDArray[np.float32]]:
        env, rng = vector_env(env_id, 8), np.random.default_rng(2)
        observation, info = env.reset(seed=seed)
        seen = [observation]
        for _ in range(20):
            observation, _, _, _, info = env.step(legal(info["action_mask"], rng))
            seen.append(observation)
        return seen

    first, again, other = trace(3), trace(3), trace(4)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("env_id", IDS)
def test_a_forbidden_action_becomes_a_pause_and_says_so(env_id: str) -> None:
    env = vector_env(env_id, 400)
    _, info = env.reset(seed=5)
    send = 0  # the first send of the catalogue
    _, _, _, _, info = env.step(np.full(400, send))  # a send starts the minimum gap
    assert not info["action_mask"][:, send].all()
    forbidden = ~info["action_mask"][:, send]
    _, _, _, _, after = env.step(np.full(400, send))
    np.testing.assert_array_equal(after["replaced"], forbidden)

"""Many contacts in blocks and threads: the same contacts, wherever they are played."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from numpy.typing import NDArray

from nurture_envs.contact_env import ContactEnv, ContactVectorEnv
from nurture_envs.errors import ActionError, ShapeError
from nurture_envs.population import Population
from nurture_envs.worlds.reference import reference_world

WORLD = reference_world("stalled_opportunity")
N = 90


def trace(**options: Any) -> list[NDArray[Any]]:
    """Everything 90 deals showed over 40 bins under one choice of actions."""
    env = ContactVectorEnv(WORLD, N, **options)
    rng = np.random.default_rng(4)
    observation, info = env.reset(seed=8)
    seen: list[NDArray[Any]] = []
    for _ in range(40):
        seen += [observation.copy(), info["action_mask"], info["reasons"]]
        legal = info["action_mask"] / info["action_mask"].sum(axis=1, keepdims=True)
        actions = (rng.random((N, 1)) < legal.cumsum(axis=1)).argmax(axis=1)
        observation, reward, ended, cut, info = env.step(actions)
        seen += [reward, ended, cut, info["replaced"]]
        if "final_obs" in info:
            seen += [info["final_obs"], info["_final_obs"], info["final_info"]["action_mask"]]
    env.close()
    return seen


@pytest.mark.slow
def test_blocks_and_threads_change_nothing() -> None:
    whole = trace()
    for options in ({"block": 7}, {"block": 40, "threads": 2}, {"block": 1}):
        parts = trace(**options)
        assert len(parts) == len(whole)
        for one, other in zip(whole, parts, strict=True):
            np.testing.assert_array_equal(one, other)


def test_episodes_end_and_begin_on_the_way() -> None:
    env = ContactVectorEnv(WORLD, N)
    env.reset(seed=8)
    waiting = np.full(N, env.action_ids.index("pause:1"))
    infos = [env.step(waiting)[-1] for _ in range(40)]
    endings = sum(int(info["_final_obs"].sum()) for info in infos if "_final_obs" in info)
    assert endings > N  # all in their last bin at the latest, some before


def test_an_action_outside_the_catalogue_is_refused_with_its_range() -> None:
    env = ContactVectorEnv(WORLD, 2)
    env.reset(seed=0)
    last = len(env.action_ids) - 1
    with pytest.raises(ActionError, match=rf"actions in 0\.\.{last}, got 0\.\.99"):
        env.step(np.array([0, 99]))
    with pytest.raises(ActionError, match="got -1"):
        env.step(np.array([-1, 0]))


def test_blocks_and_threads_must_be_at_least_one() -> None:
    with pytest.raises(ShapeError, match="block=0"):
        ContactVectorEnv(WORLD, 2, block=0)


def test_the_mask_can_be_asked_for_by_its_usual_name() -> None:
    env = ContactEnv(WORLD)
    with pytest.raises(ShapeError, match="call reset"):
        env.action_masks()
    _, info = env.reset(seed=3)
    np.testing.assert_array_equal(env.action_masks(), info["action_mask"])
    *_, info = env.step(np.int64(env.action_ids.index("pause:1")))
    np.testing.assert_array_equal(env.action_masks(), info["action_mask"])


def test_a_population_is_asked_for_when_the_environment_is_made() -> None:
    env = gymnasium.make_vec(
        "nurture_envs/InboundLead-v0",
        num_envs=50,
        vectorization_mode="vector_entry_point",
        population={"account_size": 3, "seller_capacity": 0.0},
    )
    env.reset(seed=0)
    *_, info = env.step(np.zeros(50, np.int64))
    assert info["refused"].shape == (50,)


def test_actions_that_are_no_whole_numbers_are_refused() -> None:
    env = ContactVectorEnv(WORLD, 2)
    env.reset(seed=0)
    with pytest.raises(ActionError, match="whole numbers as actions, got float64"):
        env.step(np.array([0.0, 1.0]))


def test_blocks_cut_no_account_in_two() -> None:
    population = Population(account_size=4)
    env = ContactVectorEnv(WORLD, 22, population=population, block=10)
    whole = ContactVectorEnv(WORLD, 22, population=population, block=8)
    env.reset(seed=1)
    whole.reset(seed=1)
    for action in (0, 0, 0):
        one, other = (each.step(np.full(22, action)) for each in (env, whole))
        np.testing.assert_array_equal(one[0], other[0])
    assert [block.n for block in env._player._blocks] == [8, 8, 6]  # type: ignore[attr-defined]


def test_last_observations_are_0_where_no_episode_ended() -> None:
    env = ContactVectorEnv(WORLD, N)
    _, info = env.reset(seed=8)
    leave, stay = env.action_ids.index("exit"), env.action_ids.index("pause:1")
    actions = np.where(np.arange(N) % 9 == 0, leave, stay)
    observation, _, ended, cut, info = env.step(actions)
    over = ended | cut
    assert 0 < over.sum() < N
    np.testing.assert_array_equal(info["_final_obs"], over)
    assert not info["final_obs"][~over].any()
    assert info["final_obs"][over].any(axis=1).all()
    assert (info["final_obs"][over] != observation[over]).any()
    assert not info["final_info"]["action_mask"][~over].any()
    observation, *_, info = env.step(np.full(N, stay))
    if "final_obs" in info:
        assert not info["final_obs"][~info["_final_obs"]].any()


@pytest.mark.parametrize("compiled", [False, None])
def test_writing_into_a_mask_makes_nothing_legal(compiled: bool | None) -> None:
    env = ContactVectorEnv(WORLD, N, compiled=compiled)
    _, info = env.reset(seed=1)
    for _ in range(3):
        legal = info["action_mask"].copy()
        info["action_mask"][:] = True
        info = env.step(np.zeros(N, np.int64))[-1]
        np.testing.assert_array_equal(info["replaced"], ~legal[:, 0])
    assert not legal[:, 0].all()


def test_a_seed_of_numpy_is_a_seed() -> None:
    env = ContactVectorEnv(WORLD, 3)
    np.testing.assert_array_equal(env.reset(seed=np.int64(4))[0], env.reset(seed=4)[0])  # type: ignore[arg-type]

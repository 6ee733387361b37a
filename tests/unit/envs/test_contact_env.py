"""Many contacts in blocks and threads: the same contacts, wherever they are played."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from numpy.typing import NDArray

from nurture_envs.contact_env import ContactEnv, ContactVectorEnv
from nurture_envs.errors import ActionError, ShapeError
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

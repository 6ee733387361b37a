"""Memory is handed out again exactly when nobody can see it any more."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from nurture_envs.contact_env import ContactVectorEnv
from nurture_envs.recycling import Recycled
from nurture_envs.worlds.reference import reference_world


def pool() -> Recycled[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    return Recycled(lambda: (np.zeros(8), np.zeros(4)))


def place(arrays: tuple[NDArray[Any], ...]) -> int:
    return int(arrays[0].__array_interface__["data"][0])


def test_what_nobody_holds_is_handed_out_again() -> None:
    memory = pool()
    first = place(memory.take())
    assert place(memory.take()) == first


@pytest.mark.parametrize("part", [0, 1])
def test_a_held_view_keeps_its_memory(part: int) -> None:
    memory = pool()
    arrays = memory.take()
    first, view = place(arrays), arrays[part][1:3].reshape(1, 2).T
    del arrays
    assert place(memory.take()) != first
    del view
    assert place(memory.take()) == first


def test_memory_of_a_long_hold_is_let_go() -> None:
    memory = pool()
    held = [[*memory.take()] for _ in range(20)]
    watched = [weakref.ref(arrays[0]) for arrays in held]
    assert len({place((arrays[0],)) for arrays in held}) == 20
    del held
    memory.take()
    assert sum(one() is not None for one in watched) == 2


def test_a_tensor_over_a_view_keeps_its_memory() -> None:
    memory = pool()
    arrays = memory.take()
    first, tensor = place(arrays), torch.from_numpy(arrays[0][2:])[1:]
    del arrays
    assert place(memory.take()) != first
    del tensor
    assert place(memory.take()) == first


def test_an_environment_never_changes_what_it_has_shown() -> None:
    env = ContactVectorEnv(reference_world("inbound_lead"), 40)
    observation, info = env.reset(seed=1)
    kept: list[tuple[NDArray[Any], NDArray[Any]]] = []
    rng = np.random.default_rng(0)
    for _ in range(40):
        shown = [observation, info["action_mask"], info["reasons"], info.get("final_obs")]
        kept += [(one, one.copy()) for one in shown if one is not None]
        luck = rng.random(info["action_mask"].shape) * info["action_mask"]
        observation, reward, _, _, info = env.step(luck.argmax(axis=1))
        kept.append((reward, reward.copy()))
    assert len(kept) > 150
    for shown_then, copied in kept:
        np.testing.assert_array_equal(shown_then, copied)

"""Gymnasium environments over a world: many contacts at once, or one."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray
from torch import Tensor

from nurture_envs.errors import ShapeError
from nurture_envs.population import Population
from nurture_envs.simulation import Decision, Simulation
from nurture_envs.simulation_state import SimulationState
from nurture_envs.worlds.draws import contact_keys, next_episode
from nurture_envs.worlds.world import World

Observations = NDArray[np.float32]
Actions = NDArray[np.int64]
Info = dict[str, Any]

_LARGEST = 1e6  # no count, recency or value of a contact comes near


class ContactVectorEnv(VectorEnv[Observations, Actions, NDArray[Any]]):
    """n contacts of one journey, stepped together, one decision each per bin.

    Observation: the journey's features, [n, d] float32, in the order of `feature_names`.
    Action: index into the journey's catalogue, [n]; an action that the guardrails forbid is
    replaced by `pause:1`, and `info["replaced"]` [n] says where.
    Reward: what the bin brought, in the journey's unit, [n].
    Ends: terminated by exit, success or opt-out; truncated at the journey's horizon.
    Info: `action_mask` [n, a] bool, `reasons` [n, a] int32 (`guardrails.Reason` bits), and in a
    population `refused` [n] int32, why a shared limit replaced the action.

    Row i under seed s is the single environment under seed s + i, step for step, unless a
    `population` lets contacts bear on each other. Arrays are stored column by column, so that
    `observation @ weights` needs no copy.
    An episode that ends restarts within the same step; the last observation and info are then in
    `info["final_obs"]` and `info["final_info"]`.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 (Gymnasium declares it so)
        "render_modes": [],
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(
        self,
        world: World,
        num_envs: int,
        device: torch.device | str = "cpu",
        autoreset: bool = True,
        population: Population | None = None,
        pessimism: float = 0.0,
    ) -> None:
        if num_envs < 1:
            raise ShapeError(f"expected at least one contact, got num_envs={num_envs}")
        self.simulation = Simulation(world, device, population, pessimism)
        self.num_envs = num_envs
        self.autoreset = autoreset
        if not autoreset:
            self.metadata = {**self.metadata, "autoreset_mode": AutoresetMode.DISABLED}
        self.feature_names = self.simulation.spec.columns
        self.action_ids = self.simulation.catalog.ids
        width = len(self.feature_names)
        self.single_observation_space = Box(-_LARGEST, _LARGEST, (width,), np.float32)
        self.single_action_space = Discrete(len(self.action_ids))
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._state: SimulationState | None = None
        self._decision: Decision | None = None

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, Info]:
        """Start n fresh contacts; without a seed, from the environment's own generator."""
        if isinstance(seed, int):
            super().reset(seed=seed)
            keys = contact_keys(seed, self.num_envs, self.simulation.device)
        elif seed is None:
            drawn = self.np_random.integers(0, 2**31)
            keys = contact_keys(int(drawn), self.num_envs, self.simulation.device)
        else:
            if len(seed) != self.num_envs or any(one is None for one in seed):
                raise ShapeError(f"expected {self.num_envs} seeds, one per contact, got {seed!r}")
            keys = torch.cat([contact_keys(int(one or 0), 1) for one in seed])
            keys = keys.to(self.simulation.device)
        self._state = self.simulation.begin(keys)
        self._decision = self.simulation.decision(self._state)
        return self._observe(self._decision)

    def step(
        self, actions: Actions
    ) -> tuple[Observations, NDArray[Any], NDArray[Any], NDArray[Any], Info]:
        """Play one bin for every contact."""
        if self._state is None or self._decision is None:
            raise ShapeError("step came before reset: call reset() first")
        chosen = torch.as_tensor(np.asarray(actions), device=self.simulation.device).long()
        if chosen.shape != (self.num_envs,):
            raise ShapeError(f"expected actions [{self.num_envs}], got {tuple(chosen.shape)}")
        after = self.simulation.step(self._state, self._decision, chosen)
        done = after.terminated | after.truncated
        state, final = after.state, self.simulation.decision(after.state)
        rows = torch.nonzero(done)[:, 0] if self.autoreset else done[:0]
        decision = final
        if len(rows):
            fresh = self.simulation.begin(next_episode(state.keys[rows]))
            decision = _patched(final, self.simulation.decision(fresh), rows)
            state = self.simulation.renew(state, fresh, rows)
        self._state, self._decision = state, decision
        observation, info = self._observe(decision)
        info["replaced"] = (after.action != chosen).cpu().numpy()
        if after.refused is not None:
            info["refused"] = after.refused.cpu().numpy()
        if len(rows):
            info["final_obs"], info["final_info"] = self._observe(final)
            info["_final_obs"] = info["_final_info"] = done.cpu().numpy()
        return (
            observation,
            after.reward.cpu().numpy().astype(np.float64),
            after.terminated.cpu().numpy(),
            after.truncated.cpu().numpy(),
            info,
        )

    def _observe(self, decision: Decision) -> tuple[Observations, Info]:
        info = {
            "action_mask": decision.mask.cpu().numpy(),
            "reasons": decision.reasons.cpu().numpy(),
        }
        return decision.features.cpu().numpy(), info


class ContactEnv(gymnasium.Env[Observations, np.int64]):
    """One contact: `ContactVectorEnv` with n = 1, and nothing added.

    Observation [d], action, reward, ends and info as there, without the first dimension.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012

    def __init__(self, world: World, device: torch.device | str = "cpu") -> None:
        self._many = ContactVectorEnv(world, 1, device, autoreset=False)
        self.observation_space = self._many.single_observation_space
        self.action_space = self._many.single_action_space
        self.feature_names = self._many.feature_names
        self.action_ids = self._many.action_ids
        self._mask: NDArray[np.bool_] | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, Info]:
        """Start a fresh contact."""
        super().reset(seed=seed)
        start = int(self.np_random.integers(0, 2**31)) if seed is None else seed
        observation, info = self._many.reset(seed=start, options=options)
        self._mask = info["action_mask"][0]
        return observation[0], _first(info)

    def action_masks(self) -> NDArray[np.bool_]:
        """Legal actions now, [a]; the name under which maskable learners ask for them.

        Raises:
            ShapeError: no episode has begun.
        """
        if self._mask is None:
            raise ShapeError("action_masks came before reset: call reset() first")
        return self._mask

    def step(self, action: np.int64) -> tuple[Observations, float, bool, bool, Info]:
        """Play one bin."""
        observation, reward, terminated, truncated, info = self._many.step(np.array([action]))
        self._mask = info["action_mask"][0]
        return (
            observation[0],
            float(reward[0]),
            bool(terminated[0]),
            bool(truncated[0]),
            _first(info),
        )


def _patched(decision: Decision, fresh: Decision, rows: Tensor) -> Decision:
    """The decision with that of fresh contacts at `rows`; contacts stay the last dimension."""
    parts = zip(_parts(decision), _parts(fresh), strict=True)
    return Decision(*(old.T.index_copy(1, rows, new.T).T for old, new in parts))


def _parts(decision: Decision) -> tuple[Tensor, Tensor, Tensor]:
    return decision.features, decision.mask, decision.reasons


def _first(info: Info) -> Info:
    return {key: value[0] for key, value in info.items()}

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

from nurture_envs.errors import ActionError, ShapeError
from nurture_envs.player_protocol import BlockThreads
from nurture_envs.playing import fastest_player
from nurture_envs.population import Population
from nurture_envs.simulation import Simulation
from nurture_envs.simulation_state import PolicyInput
from nurture_envs.worlds.draws import contact_keys
from nurture_envs.worlds.world import World

Observations = NDArray[np.float32]
Actions = NDArray[np.int64]
Info = dict[str, Any]

BLOCK = 32_768  # contacts: enough to outweigh the cost of calls, few enough for the cache
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

    Contacts are played in blocks of `block`, `threads` of them at a time (with torch's own threads
    set to 1). On a CPU whole bins are compiled loops (`compiled`: None) for worlds that treat
    contacts alike: the same events, draws and features, but that a chance within rounding of its
    draw may fall the other way. Where torch must play instead, a `SlowPathWarning` says so once a
    process and cause, and `player` names the cause. A population lives in one block, which cuts no
    account in two: larger environments hold several.
    An episode that ends restarts within the same step; the last observation and info are then in
    `info["final_obs"]` and `info["final_info"]`, whose rows of other contacts are 0.
    What was handed out is never written again. Observations are read again in the next step by
    worlds that answer by features: change a copy, not what was handed out.
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
        block: int = BLOCK,
        threads: int = 1,
        compiled: bool | None = None,
    ) -> None:
        if num_envs < 1:
            raise ShapeError(f"expected at least one contact, got num_envs={num_envs}")
        if block < 1 or threads < 1:
            raise ShapeError(
                f"expected blocks of at least one contact and at least one thread, got "
                f"block={block} and threads={threads}"
            )
        self.simulation = Simulation(world, device, population, pessimism, compiled)
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
        block = _whole_accounts(block, population)
        self._crew = BlockThreads(min(threads, -(-num_envs // block)))
        self._player, self.player = fastest_player(self.simulation, autoreset, block, self._crew)
        self._begun = False

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, Info]:
        """Start n fresh contacts; without a seed, from the environment's own generator.

        Args:
            seed: of all, or one per contact, [n].
            options: none are known.

        Returns:
            Observations [n, d], and the info.

        Raises:
            ShapeError: a list of seeds that has not one for every contact.
        """
        if isinstance(seed, int | np.integer):
            super().reset(seed=int(seed))
            keys = contact_keys(int(seed), self.num_envs, self.simulation.device)
        elif seed is None:
            drawn = self.np_random.integers(0, 2**31)
            keys = contact_keys(int(drawn), self.num_envs, self.simulation.device)
        else:
            if len(seed) != self.num_envs or any(one is None for one in seed):
                raise ShapeError(f"expected {self.num_envs} seeds, one per contact, got {seed!r}")
            keys = torch.cat([contact_keys(int(one or 0), 1) for one in seed])
            keys = keys.to(self.simulation.device)
        seen = self._player.begin(keys)
        self._begun = True
        return seen.features.cpu().numpy(), _info(seen, _own_mask(seen))

    def step(
        self, actions: Actions
    ) -> tuple[Observations, NDArray[Any], NDArray[Any], NDArray[Any], Info]:
        """Play one bin for every contact.

        Args:
            actions: positions in the catalogue, [n].

        Returns:
            Observations [n, d], rewards [n], terminated [n], truncated [n], and the info.

        Raises:
            ShapeError: `reset` was not called, or `actions` is not [n].
            ActionError: an action is no whole number, or not in the catalogue.
        """
        if not self._begun:
            raise ShapeError("step came before reset: call reset() first")
        chosen = self._checked(actions)
        after = self._player.step(torch.as_tensor(chosen, device=self.device))
        # Its own mask the environment keeps to itself: no one can make an action legal.
        info = _info(after.seen, _own_mask(after.seen))
        info["replaced"] = after.action.cpu().numpy() != chosen
        if after.refused is not None:
            info["refused"] = after.refused.cpu().numpy()
        ended, cut = after.terminated.cpu().numpy(), after.truncated.cpu().numpy()
        if after.final is not None:
            info["final_obs"] = after.final.features.cpu().numpy()
            info["final_info"] = _info(after.final, after.final.mask.cpu().numpy())
            info["_final_obs"] = info["_final_info"] = ended | cut
        reward = after.reward.cpu().numpy().astype(np.float64)
        return after.seen.features.cpu().numpy(), reward, ended, cut, info

    def _checked(self, actions: Actions) -> Actions:
        """Actions as whole numbers of the catalogue, [n]."""
        chosen = np.asarray(actions)
        if chosen.shape != (self.num_envs,):
            raise ShapeError(f"expected actions [{self.num_envs}], got {list(chosen.shape)}")
        if not np.issubdtype(chosen.dtype, np.integer):
            raise ActionError(
                f"expected whole numbers as actions, got {chosen.dtype}; take catalogue indices"
            )
        if chosen.min() < 0 or chosen.max() >= len(self.action_ids):
            raise ActionError(
                f"expected actions in 0..{len(self.action_ids) - 1}, got {chosen.min()}.."
                f"{chosen.max()}; take them from action_space"
            )
        return chosen.astype(np.int64, copy=False)

    @property
    def device(self) -> torch.device:
        """Where contacts live."""
        return self.simulation.device

    def close_extras(self, **kwargs: Any) -> None:
        """Let the threads go."""
        self._crew.leave()


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
        self.player = self._many.player
        self._mask: NDArray[np.bool_] | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, Info]:
        """Start a fresh contact: its observation [d], and the info."""
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
        """Play one bin: observation [d], reward, terminated, truncated, and the info."""
        observation, reward, terminated, truncated, info = self._many.step(np.array([action]))
        self._mask = info["action_mask"][0]
        return (
            observation[0],
            float(reward[0]),
            bool(terminated[0]),
            bool(truncated[0]),
            _first(info),
        )


def _info(seen: PolicyInput, mask: NDArray[Any]) -> Info:
    return {"action_mask": mask, "reasons": seen.reasons.cpu().numpy()}


def _own_mask(seen: PolicyInput) -> NDArray[Any]:
    """A copy of the mask: no one can make an action legal."""
    return np.asarray(seen.mask.cpu().numpy().copy(order="K"))


def _whole_accounts(block: int, population: Population | None) -> int:
    """The block size that cuts no account in two."""
    size = 1 if population is None else population.account_size
    return max(size, block - block % size)


def _first(info: Info) -> Info:
    return {key: value[0] for key, value in info.items()}

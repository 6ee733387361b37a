"""Gymnasium environments over a world: many contacts at once, or one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, TypeVar

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray
from torch import Tensor

from nurture_envs.errors import ActionError, ShapeError
from nurture_envs.population import Population
from nurture_envs.simulation import Simulation, Transition
from nurture_envs.simulation_state import Decision, Rows, SimulationState
from nurture_envs.worlds.draws import contact_keys, next_episode
from nurture_envs.worlds.world import World

Observations = NDArray[np.float32]
Actions = NDArray[np.int64]
Info = dict[str, Any]

Job = TypeVar("Job")
Result = TypeVar("Result")

BLOCK = 32_768  # contacts: enough to outweigh the cost of calls, few enough for the cache
_LARGEST = 1e6  # no count, recency or value of a contact comes near


class ContactVectorEnv(VectorEnv[Observations, Actions, NDArray[Any]]):
    """n contacts of one journey, stepped together, one decision each per bin.

    Observation: the journey's features, [n, d] float32, in the order of `feature_names`.
    Action: index into the journey's catalogue, [n]; an action that the guardrails forbid is
    replaced by `pause:1`, and `info["replaced"]` [n] says where.
    Reward: what the bin brought, in the journey's unit, [n].
    Ends: terminated by exit, success or opt-out; truncated at the journey's horizon.
    Info: `action_mask` [n, a] bool, `reasons` [n, a] int16 (`guardrails.Reason` bits), and in a
    population `refused` [n] int32, why a shared limit replaced the action.

    Row i under seed s is the single environment under seed s + i, step for step, unless a
    `population` lets contacts bear on each other. Arrays are stored column by column, so that
    `observation @ weights` needs no copy.

    Contacts are played in blocks of `block`, `threads` of them at a time (with torch's own threads
    set to 1), by compiled loops where numba is installed (`compiled`: None), with the same result
    bit for bit. A population lives in one block: larger environments hold several.
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
        self.simulation = Simulation(world, device, population, pessimism)
        self.num_envs = num_envs
        self._compiled = _can_compile(self.simulation) if compiled is None else compiled
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
        self._columns = [slice(i, min(i + block, num_envs)) for i in range(0, num_envs, block)]
        self._blocks: list[tuple[SimulationState, Decision]] = []
        self._pool = ThreadPoolExecutor(threads) if threads > 1 and len(self._columns) > 1 else None

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
        shown = self._rows()

        def start(columns: slice) -> tuple[SimulationState, Decision]:
            state = self.simulation.begin(keys[columns])
            if self._compiled:
                state = self.simulation.packed(state)
            return state, self.simulation.decision(state, shown.take(columns))

        self._blocks = self._map(start, self._columns)
        return _numpy(shown.features), _info(shown)

    def step(
        self, actions: Actions
    ) -> tuple[Observations, NDArray[Any], NDArray[Any], NDArray[Any], Info]:
        """Play one bin for every contact."""
        if not self._blocks:
            raise ShapeError("step came before reset: call reset() first")
        chosen = torch.as_tensor(np.asarray(actions), device=self.simulation.device).long()
        if chosen.shape != (self.num_envs,):
            raise ShapeError(f"expected actions [{self.num_envs}], got {tuple(chosen.shape)}")
        if int(chosen.min()) < 0 or int(chosen.max()) >= len(self.action_ids):
            raise ActionError(
                f"expected actions in 0..{len(self.action_ids) - 1}, got {int(chosen.min())}.."
                f"{int(chosen.max())}; take them from action_space"
            )
        last, shown = self._rows(), self._rows()
        jobs = zip(self._blocks, self._columns, strict=True)

        def play(job: tuple[tuple[SimulationState, Decision], slice]) -> _Played:
            (state, decision), at = job
            return self._play(state, decision, chosen[at], last.take(at), shown.take(at))

        played = self._map(play, list(jobs))
        self._blocks = [
            (one.state, shown.take(at).decision())
            for one, at in zip(played, self._columns, strict=True)
        ]
        ended = torch.cat([one.after.terminated for one in played])
        cut = torch.cat([one.after.truncated for one in played])
        info = _info(shown)
        info["replaced"] = np.concatenate([one.replaced for one in played])
        if self.simulation.population is not None:
            refused = [one.after.refused for one in played if one.after.refused is not None]
            info["refused"] = torch.cat(refused).cpu().numpy()
        done = ended | cut
        if self.autoreset and bool(done.any()):
            info["final_obs"], info["final_info"] = _numpy(last.features), _info(last)
            info["_final_obs"] = info["_final_info"] = done.cpu().numpy()
        reward = torch.cat([one.after.reward for one in played])
        return (
            _numpy(shown.features),
            reward.cpu().numpy().astype(np.float64),
            ended.cpu().numpy(),
            cut.cpu().numpy(),
            info,
        )

    def _play(
        self,
        state: SimulationState,
        decision: Decision,
        action: Tensor,
        last: Rows,
        shown: Rows,
    ) -> _Played:
        """One bin of a block; writes what was known before and after new episodes began."""
        after = self.simulation.step(state, decision, action)
        replaced = (after.action != action).cpu().numpy()
        state = after.state
        self.simulation.decision(state, last)
        pairs = list(zip(shown, last, strict=True))
        for new, old in pairs:
            new.copy_(old)
        done = after.terminated | after.truncated
        rows = torch.nonzero(done)[:, 0] if self.autoreset else done[:0]
        if len(rows):
            fresh = self.simulation.begin(next_episode(state.keys[rows]))
            first = self.simulation.decision(fresh)
            for new, begun in zip(shown, (first.features, first.mask, first.reasons), strict=True):
                new.index_copy_(1, rows, begun.T)
            state = self.simulation.renew(state, fresh, rows)
        return _Played(after, state, replaced)

    def _map(self, work: Callable[[Job], Result], jobs: Sequence[Job]) -> list[Result]:
        """Every job's result, on several threads where there are some; torch lets go of the GIL."""
        if self._pool is None:
            return [work(job) for job in jobs]
        return list(self._pool.map(work, jobs))

    def _rows(self) -> Rows:
        """Room for what all contacts show."""
        return Rows.of(len(self.feature_names), len(self.action_ids), self.num_envs, self.device)

    @property
    def device(self) -> torch.device:
        """Where contacts live."""
        return self.simulation.device

    def close_extras(self, **kwargs: Any) -> None:
        """Let the threads go."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None


@dataclass(frozen=True, slots=True)
class _Played:
    """One bin of a block."""

    after: Transition
    state: SimulationState  # with new episodes where old ones ended
    replaced: NDArray[np.bool_]  # [n]: the action was not legal, or was refused


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


def _numpy(features: Tensor) -> Observations:
    return features.T.cpu().numpy()


def _info(rows: Rows) -> Info:
    return {
        "action_mask": rows.mask.T.cpu().numpy(),
        "reasons": rows.reasons.T.cpu().numpy(),
    }


def _can_compile(simulation: Simulation) -> bool:
    return find_spec("numba") is not None and simulation.device.type == "cpu"


def _first(info: Info) -> Info:
    return {key: value[0] for key, value in info.items()}

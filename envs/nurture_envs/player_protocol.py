"""What is asked of whoever plays contacts: plain torch here, loops elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from nurture_envs.errors import SimulationError
from nurture_envs.simulation import Simulation, Transition
from nurture_envs.simulation_state import (
    DecisionBuffers,
    PolicyInput,
    SimulationState,
    Standing,
    select,
)
from nurture_envs.worlds.draws import next_episode

Job = TypeVar("Job")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Stepped:
    """One bin of all contacts."""

    seen: PolicyInput
    final: (
        PolicyInput | None
    )  # of episodes that ended, 0 elsewhere; None where none ended and began
    reward: Tensor  # [n] f32, the journey's unit
    terminated: Tensor  # [n] bool
    truncated: Tensor  # [n] bool
    action: Tensor  # [n] i64: what was done
    refused: Tensor | None  # [n] i32, see `Transition`
    amounts: Tensor | None  # [n, c] f32; None where the world's answers are compiled, too


class Player(Protocol):
    """Plays all contacts, one bin at a time. It never changes an array that it has returned."""

    def begin(self, keys: Tensor) -> PolicyInput:
        """Contacts at their first bin, one per key [n]."""
        ...

    def step(self, action: Tensor) -> Stepped:
        """One bin by actions of the catalogue, [n]; an illegal one becomes `pause:1`."""
        ...

    def standing(self) -> Standing:
        """Who the contacts are, and where they stand."""
        ...

    def keep(self, rows: Tensor) -> PolicyInput:
        """Go on with the contacts at ascending `rows` [k] alone.

        Raises:
            SimulationError: the contacts are played in several blocks.
        """
        ...


class BlockThreads:
    """Threads that work through a player's blocks; one: the caller's own."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def __reduce__(self) -> tuple[type[BlockThreads], tuple[int]]:
        """Copies have threads of their own."""
        return BlockThreads, (self._threads,)

    def map(self, work: Callable[[Job], Result], jobs: Sequence[Job]) -> list[Result]:
        """Every job's result, in order."""
        if self._pool is None or len(jobs) == 1:
            return [work(job) for job in jobs]
        return list(self._pool.map(work, jobs))

    def leave(self) -> None:
        """Let the threads go."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None


def in_blocks(n: int, block: int) -> list[slice]:
    """n contacts in blocks of at most `block`."""
    return [slice(first, min(first + block, n)) for first in range(0, n, block)]


def require_one_block(blocks: Sequence[object]) -> None:
    """Refuse to drop contacts of several blocks.

    Raises:
        SimulationError: there is not one block.
    """
    if len(blocks) != 1:
        raise SimulationError(
            f"contacts can be dropped where one block holds all, got {len(blocks)} blocks; "
            "play each block by a player of its own"
        )


class PlainPlayer:
    """Plays blocks of contacts by torch, on any device.

    Args:
        simulation: the compiled world.
        autoreset: whether new episodes begin where old ones ended.
        block: contacts that are played together, at most.
        crew: plays blocks at the same time; torch lets go of the interpreter's lock.
    """

    def __init__(
        self, simulation: Simulation, autoreset: bool, block: int, crew: BlockThreads
    ) -> None:
        self.simulation, self.autoreset = simulation, autoreset
        self._block, self._crew = block, crew
        self._columns: list[slice] = []
        self._blocks: list[tuple[SimulationState, PolicyInput]] = []

    def begin(self, keys: Tensor) -> PolicyInput:
        """See `Player`."""
        self._columns = in_blocks(len(keys), self._block)
        shown = self._rows()

        def start(columns: slice) -> tuple[SimulationState, PolicyInput]:
            state = self.simulation.begin(keys[columns])
            return state, self.simulation.decision(state, shown.take(columns))

        self._blocks = self._crew.map(start, self._columns)
        return shown.decision()

    def step(self, action: Tensor) -> Stepped:
        """See `Player`."""
        shown = self._rows()
        last = self._rows() if self.autoreset else shown
        jobs = list(zip(self._blocks, self._columns, strict=True))

        def play(job: tuple[tuple[SimulationState, PolicyInput], slice]) -> _Played:
            (state, decision), at = job
            return self._play(state, decision, action[at], last.take(at), shown.take(at))

        played = self._crew.map(play, jobs)
        self._blocks = [
            (one.state, shown.take(at).decision())
            for one, at in zip(played, self._columns, strict=True)
        ]
        after = [one.after for one in played]
        refused = [one.refused for one in after if one.refused is not None]
        began = any(one.began for one in played)
        return Stepped(
            shown.decision(),
            last.decision() if began else None,
            torch.cat([one.reward for one in after]),
            torch.cat([one.terminated for one in after]),
            torch.cat([one.truncated for one in after]),
            torch.cat([one.action for one in after]),
            torch.cat(refused) if refused else None,
            torch.cat([one.amounts for one in after]),
        )

    def standing(self) -> Standing:
        """See `Player`."""
        parts = zip(*(_standing(state) for state, _ in self._blocks), strict=True)
        return Standing(*(torch.cat(part) for part in parts))

    def keep(self, rows: Tensor) -> PolicyInput:
        """See `Player`."""
        require_one_block(self._blocks)
        state, before = self._blocks[0]
        self._columns = in_blocks(len(rows), self._block)
        parts = (before.features, before.mask, before.reasons)
        decision = PolicyInput(*(part.T.index_select(1, rows).T for part in parts))
        self._blocks = [(select(state, rows), decision)]
        return decision

    def _play(
        self,
        state: SimulationState,
        decision: PolicyInput,
        action: Tensor,
        last: DecisionBuffers,
        shown: DecisionBuffers,
    ) -> _Played:
        """One bin of a block; writes what ended episodes showed last, and what all show now."""
        after = self.simulation.step(state, decision, action)
        state = after.state
        self.simulation.decision(state, shown)
        if not self.autoreset:
            return _Played(after, state, False)
        done = after.terminated | after.truncated
        for old, new in zip(last, shown, strict=True):
            torch.mul(new, done, out=old) if new.dtype != torch.bool else torch.logical_and(
                new, done, out=old
            )
        rows = torch.nonzero(done)[:, 0]
        if len(rows):
            fresh = self.simulation.begin(next_episode(state.keys[rows]))
            first = self.simulation.decision(fresh)
            for new, begun in zip(shown, (first.features, first.mask, first.reasons), strict=True):
                new.index_copy_(1, rows, begun.T)
            state = self.simulation.renew(state, fresh, rows)
        return _Played(after, state, len(rows) > 0)

    def _rows(self) -> DecisionBuffers:
        """Room for what all contacts show."""
        simulation = self.simulation
        n = self._columns[-1].stop
        sizes = (len(simulation.spec.columns), len(simulation.catalog), n)
        return DecisionBuffers.of(*sizes, simulation.device)


@dataclass(frozen=True, slots=True)
class _Played:
    """One bin of a block."""

    after: Transition
    state: SimulationState  # with new episodes where old ones ended
    began: bool  # some did


def _standing(state: SimulationState) -> tuple[Tensor, ...]:
    return state.keys, state.bins, state.anchor_us, state.zone_known

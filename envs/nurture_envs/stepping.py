"""What an environment asks of whoever plays its contacts: plain torch here, loops elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nurture_envs.simulation import Simulation, Transition
from nurture_envs.simulation_state import Decision, Rows, SimulationState
from nurture_envs.worlds.draws import next_episode

Job = TypeVar("Job")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Seen:
    """What contacts are shown, stored column by column."""

    features: NDArray[np.float32]  # [n, d]
    mask: NDArray[np.bool_]  # [n, a]
    reasons: NDArray[np.int16]  # [n, a]


@dataclass(frozen=True, slots=True)
class Stepped:
    """One bin of all contacts."""

    seen: Seen
    final: Seen | None  # of episodes that ended, 0 elsewhere; None where none ended and began anew
    reward: NDArray[np.float64]  # [n]
    terminated: NDArray[np.bool_]  # [n]
    truncated: NDArray[np.bool_]  # [n]
    action: NDArray[np.int64]  # [n]: what was done
    refused: NDArray[np.int32] | None  # [n], see `Transition`


class Player(Protocol):
    """Plays an environment's contacts."""

    def begin(self, keys: Tensor) -> Seen:
        """Contacts at their first bin, one per key [n]."""
        ...

    def step(self, action: NDArray[np.int64]) -> Stepped:
        """One bin; new episodes begin where old ones ended, if that was asked for."""
        ...


class Crew:
    """Threads that work through the blocks of an environment; one: the caller's own."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def __reduce__(self) -> tuple[type[Crew], tuple[int]]:
        """Copies have threads of their own."""
        return Crew, (self._threads,)

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


class PlainPlayer:
    """Plays blocks of contacts by torch, on any device.

    Args:
        simulation: the compiled world.
        columns: the contacts of each block.
        autoreset: whether new episodes begin where old ones ended.
        crew: plays blocks at the same time; torch lets go of the interpreter's lock.
    """

    def __init__(
        self, simulation: Simulation, columns: Sequence[slice], autoreset: bool, crew: Crew
    ) -> None:
        self.simulation, self.autoreset, self._crew = simulation, autoreset, crew
        self._columns = list(columns)
        self._blocks: list[tuple[SimulationState, Decision]] = []

    def begin(self, keys: Tensor) -> Seen:
        """Contacts at their first bin, one per key [n]."""
        shown = self._rows()

        def start(columns: slice) -> tuple[SimulationState, Decision]:
            state = self.simulation.begin(keys[columns])
            return state, self.simulation.decision(state, shown.take(columns))

        self._blocks = self._crew.map(start, self._columns)
        return _seen(shown)

    def step(self, action: NDArray[np.int64]) -> Stepped:
        """One bin of every block."""
        chosen = torch.as_tensor(action, device=self.simulation.device)
        last, shown = self._rows(), self._rows()
        jobs = list(zip(self._blocks, self._columns, strict=True))

        def play(job: tuple[tuple[SimulationState, Decision], slice]) -> _Played:
            (state, decision), at = job
            return self._play(state, decision, chosen[at], last.take(at), shown.take(at))

        played = self._crew.map(play, jobs)
        self._blocks = [
            (one.state, shown.take(at).decision())
            for one, at in zip(played, self._columns, strict=True)
        ]
        after = [one.after for one in played]
        refused = [one.refused for one in after if one.refused is not None]
        began = self.autoreset and any(one.began for one in played)
        return Stepped(
            _seen(shown),
            _seen(last) if began else None,
            _joined([one.reward for one in after]).astype(np.float64),
            _joined([one.terminated for one in after]),
            _joined([one.truncated for one in after]),
            _joined([one.action for one in after]),
            _joined(refused) if refused else None,
        )

    def _play(
        self, state: SimulationState, decision: Decision, action: Tensor, last: Rows, shown: Rows
    ) -> _Played:
        """One bin of a block; writes what ended episodes showed last, and what all show now."""
        after = self.simulation.step(state, decision, action)
        state = after.state
        self.simulation.decision(state, shown)
        done = after.terminated | after.truncated
        if not self.autoreset:
            return _Played(after, state, False)
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

    def _rows(self) -> Rows:
        """Room for what all contacts show."""
        simulation = self.simulation
        n = self._columns[-1].stop
        sizes = (len(simulation.spec.columns), len(simulation.catalog), n)
        return Rows.of(*sizes, simulation.device)


@dataclass(frozen=True, slots=True)
class _Played:
    """One bin of a block."""

    after: Transition
    state: SimulationState  # with new episodes where old ones ended
    began: bool  # some did


def _seen(rows: Rows) -> Seen:
    return Seen(*(part.T.cpu().numpy() for part in rows))


def _joined(parts: list[Tensor]) -> NDArray[Any]:
    return np.asarray(torch.cat(parts).cpu().numpy())

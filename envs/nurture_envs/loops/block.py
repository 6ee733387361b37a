"""Contacts of an environment that compiled loops play: their state, and one call a bin."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nurture_envs.guardrails.rules import sends_remembered
from nurture_envs.loops import beginning, limits, play, records
from nurture_envs.loops.binding import WorldLoops, journey_of, world_loops
from nurture_envs.loops.past import NEVER, Past
from nurture_envs.loops.rules import Contacts
from nurture_envs.population import LOTTERY, HasReputation, Population
from nurture_envs.simulation import Simulation

_LINE = 16  # float32 of a line of cache


def padded(n: int) -> int:
    """Length of rows for n contacts: an odd number of cache lines.

    Rows a power of two apart would all fall into the same few sets of the cache.
    """
    lines = -(-n // _LINE)
    return (lines + 1 - lines % 2) * _LINE


class Loops:
    """A simulation's loops, shared by the blocks of an environment.

    Raises:
        UntraceableError: the world cannot be written as loops.
    """

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self.world: WorldLoops = world_loops(simulation)
        self.journey = journey_of(simulation)
        self._rooms = threading.local()

    def __deepcopy__(self, memo: dict[int, Any]) -> Loops:
        """Itself: nothing of it changes but the rooms that threads keep to themselves."""
        return self

    def __reduce__(self) -> tuple[type[Loops], tuple[Simulation]]:
        """Compiled loops do not travel; they are taken from the disk or made again."""
        return Loops, (self.simulation,)

    def state(self, n: int) -> records.State:
        """Room for n contacts."""
        simulation, width = self.simulation, padded(n)
        running, journey = simulation.running, self.journey
        rows = len(journey.sets.windows)
        late = (max(1, len(journey.late.chances)), len(journey.late.channels), width)
        floats, wholes, flags = self.world.latents
        ring = max([1, *journey.sets.windows.tolist()])
        past = Past(
            ring=np.zeros((ring, len(running.kept), width), np.float32),
            sums=np.zeros((rows, width), np.float32),
            last=np.full((len(running.lasts), width), NEVER, np.float32),
            since=np.zeros(width, np.float32),
            waiting=np.zeros(late, np.float32),
            due=np.zeros(late, np.int8),
        )
        whole: Any = [np.zeros(width, np.int64) for _ in range(4)]
        flag: Any = [np.zeros(width, np.bool_) for _ in range(3)]
        parts: list[Any] = [
            *whole,
            *flag,
            np.zeros((sends_remembered(simulation.journey.guardrails), width)),
            np.zeros((len(simulation.spec.attribute_columns), width), np.float32),
            np.zeros((floats, width), np.float32),
            np.zeros((wholes, width), np.int64),
            np.zeros((flags, width), np.bool_),
            np.zeros(width, np.float32),
            np.zeros(width, np.float32),
            past,
        ]
        return records.State._make(parts)

    def room(self) -> tuple[records.Scratch, records.Shown]:
        """Scratch memory of the thread that asks."""
        if not hasattr(self._rooms, "made"):
            self._rooms.made = self._made()
        made: tuple[records.Scratch, records.Shown] = self._rooms.made
        return made

    def _made(self) -> tuple[records.Scratch, records.Shown]:
        width, loops = records.WIDTH, (self.world.start, self.world.answer)
        rows = {array: max(1, *(loop.rows.get(array, 1) for loop in loops)) for array in "fqbd"}
        facts: Any = [np.zeros(width, np.uint8) for _ in range(8)]
        hours: Any = [np.zeros(width) for _ in range(2)]
        fresh = self._fresh()
        scratch = records.Scratch(
            np.zeros(rows["f"] * width, np.float32),
            np.zeros(rows["q"] * width, np.int64),
            np.zeros(rows["b"] * width, np.bool_),
            np.zeros(rows["d"] * width),
            Contacts._make([*facts, *hours, np.zeros(width, np.int64)]),
            np.zeros(width, np.float32),
            np.zeros((2, width), np.float32),
            np.zeros(width, np.int64),
            fresh,
        )
        columns, actions = len(self.simulation.spec.columns), len(self.simulation.catalog)
        return scratch, records.Shown(
            np.zeros(columns * width, np.float32),
            np.zeros(actions * width, np.bool_),
            np.zeros(actions * width, np.int16),
            width,
        )

    def _fresh(self) -> records.State:
        """A tile of contacts at their first bin; their rings hold what is known before entry."""
        width, made = records.WIDTH, self.state(records.WIDTH)

        def cut(part: NDArray[Any]) -> NDArray[Any]:
            return np.ascontiguousarray(part[..., :width])

        known = max(1, self.world.known)
        past = Past(*(cut(part) for part in made.past))
        past = past._replace(ring=np.zeros((known, past.ring.shape[1], width), np.float32))
        parts = {name: cut(part) for name, part in made._asdict().items() if name != "past"}
        parts["sends"][:] = -np.inf
        return records.State(**parts, past=past)


@dataclass(slots=True)
class Block:
    """Some of an environment's contacts, changed in place."""

    loops: Loops
    column: int  # of the first contact among all
    n: int
    state: records.State
    clock: int = 0
    share: float = 1.0
    volume: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))

    @classmethod
    def begin(
        cls, loops: Loops, keys: NDArray[np.int64], column: int, shown: records.Shown
    ) -> Block:
        """Contacts at their first bin; writes what they are shown."""
        block = cls(loops, column, len(keys), loops.state(len(keys)))
        block.state.keys[: len(keys)] = keys
        population = loops.simulation.population
        if population is not None:
            floor = population.volume_floor * block.n / 1000.0
            block.volume = np.full(population.trailing_bins, floor, np.float32)
        start, (scratch, fresh) = loops.world.start, loops.room()
        beginning.begin_all(
            start.run, start.model, block.state, loops.journey, block.n, scratch, fresh, shown,
            column,
        )  # fmt: skip
        return block

    def play(
        self,
        chosen: NDArray[np.int64],
        before: records.Shown,
        shown: records.Shown,
        final: records.Final,
        autoreset: bool,
        result: records.Result,
    ) -> int:
        """Play a bin; says how many episodes ended.

        Args:
            chosen: catalogue indices, [n], every one in the catalogue.
            before, shown, final, autoreset, result: see `loops.play.play`; `result` is of the
                block's contacts.
        """
        loops, actions = self.loops, self.loops.journey.actions
        limits.choose(before.mask, before.stride, self.column, chosen, actions.wait, result.action)
        population = loops.simulation.population
        if population is not None:
            rooms = limits.rooms_of(population, self.volume, self.n)
            limits.settle(
                self.state.keys, self.state.bins, LOTTERY, (actions.calls, actions.sends), rooms,
                actions.wait, result.action, result.refused,
            )  # fmt: skip
        answer, start, (scratch, fresh) = loops.world.answer, loops.world.start, loops.room()
        ended: int = play.play(
            answer.run, answer.model, start.run, start.model, self.state, self.clock,
            loops.journey, self.n, self.share, scratch, fresh, before, shown, self.column, final,
            autoreset, result,
        )  # fmt: skip
        self.clock += 1
        if population is not None:
            self._live_on(population, result)
        return ended

    def _live_on(self, population: Population, result: records.Result) -> None:
        """The company after a bin; see `population.lived_on`."""
        size = population.account_size
        if size > 1:
            limits.of_others(result.sent, size, self.state.colleague_sends)
            limits.of_others(result.talked, size, self.state.colleague_talks)
        self.volume = np.concatenate([[np.float32(result.sent.sum())], self.volume[:-1]])
        world = self.loops.simulation.world
        if isinstance(world, HasReputation):
            totals = torch.from_numpy(result.totals.astype(np.float32))
            share = world.next_inbox_share(torch.tensor(self.share), totals)
            self.share = float(share)

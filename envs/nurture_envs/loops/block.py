"""Contacts that compiled loops play: their state, and what is called in a bin."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nurture_envs.guardrails.remembered import sends_remembered
from nurture_envs.loops import beginning, keeping, loop_records, play, shared_limits
from nurture_envs.loops.binding import journey_of, world_loops
from nurture_envs.loops.functions import TorchWorld, WorldLoops
from nurture_envs.loops.guardrail_loops import LoopFacts
from nurture_envs.loops.past import NEVER, Past
from nurture_envs.population import LOTTERY, HasReputation
from nurture_envs.simulation import Simulation
from nurture_envs.simulation_state import Standing
from nurture_envs.worlds.draws import next_episode
from nurture_envs.worlds.world import HasDisagreement, Start, Surroundings, View

_LINE = 16  # float32 of a line of cache


def padded(n: int) -> int:
    """Length of rows for n contacts: an odd number of cache lines.

    Rows a power of two apart would all fall into the same few sets of the cache.
    """
    lines = -(-n // _LINE)
    return (lines + 1 - lines % 2) * _LINE


class Loops:
    """A simulation's loops, shared by the blocks of a player.

    Args:
        simulation: what is played.
        answers: whether the world's functions are loops too; else it answers in torch.

    Raises:
        UntraceableError: the world cannot be written as loops.
    """

    def __init__(self, simulation: Simulation, answers: bool) -> None:
        self.simulation, self.answers = simulation, answers
        self.world = world_loops(simulation) if answers else TorchWorld.of(simulation)
        self.journey = journey_of(simulation)
        self._rooms = threading.local()

    def __deepcopy__(self, memo: dict[int, Any]) -> Loops:
        """Itself: nothing of it changes but the rooms that threads keep to themselves."""
        return self

    def __reduce__(self) -> tuple[type[Loops], tuple[Simulation, bool]]:
        """Compiled loops do not travel; they are taken from the disk or made again."""
        return Loops, (self.simulation, self.answers)

    def state(self, n: int) -> loop_records.State:
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
            np.zeros((sends_remembered(simulation.rails), width)),
            np.zeros((len(simulation.spec.attribute_columns), width), np.float32),
            np.zeros((floats, width), np.float32),
            np.zeros((wholes, width), np.int64),
            np.zeros((flags, width), np.bool_),
            np.zeros(width, np.float32),
            np.zeros(width, np.float32),
            past,
        ]
        return loop_records.State._make(parts)

    def room(self) -> tuple[loop_records.Scratch, loop_records.Shown]:
        """Scratch memory of the thread that asks."""
        if not hasattr(self._rooms, "made"):
            self._rooms.made = self._made()
        made: tuple[loop_records.Scratch, loop_records.Shown] = self._rooms.made
        return made

    def _made(self) -> tuple[loop_records.Scratch, loop_records.Shown]:
        width, rows = loop_records.WIDTH, self.world.rows
        facts: Any = [np.zeros(width, np.uint8) for _ in range(8)]
        hours: Any = [np.zeros(width) for _ in range(2)]
        fresh = self._fresh()
        scratch = loop_records.Scratch(
            np.zeros(rows["f"] * width, np.float32),
            np.zeros(rows["q"] * width, np.int64),
            np.zeros(rows["b"] * width, np.bool_),
            np.zeros(rows["d"] * width),
            LoopFacts._make(
                [
                    *facts,
                    *hours,
                    np.zeros(width, np.int64),
                    np.zeros(width, np.uint8),
                    np.zeros(width, np.int64),
                    np.zeros(width, np.float32),
                    np.zeros(width, np.uint8),
                ]
            ),
            np.zeros(width, np.float32),
            np.zeros((2, width), np.float32),
            np.zeros(width, np.int64),
            fresh,
        )
        columns, actions = len(self.simulation.spec.columns), len(self.simulation.catalog)
        return scratch, loop_records.Shown(
            np.zeros(columns * width, np.float32),
            np.zeros(actions * width, np.bool_),
            np.zeros(actions * width, np.int32),
            width,
        )

    def _fresh(self) -> loop_records.State:
        """A tile of contacts at their first bin; their rings hold what is known before entry."""
        width, made = loop_records.WIDTH, self.state(loop_records.WIDTH)

        def cut(part: NDArray[Any]) -> NDArray[Any]:
            return np.ascontiguousarray(part[..., :width])

        known = max(1, self.world.known)
        past = Past(*(cut(part) for part in made.past))
        past = past._replace(ring=np.zeros((known, past.ring.shape[1], width), np.float32))
        parts = {name: cut(part) for name, part in made._asdict().items() if name != "past"}
        parts["sends"][:] = -np.inf
        return loop_records.State(**parts, past=past)


@dataclass(frozen=True, slots=True)
class Bin:
    """A bin of a block's contacts: what is asked, and where the answers are written."""

    chosen: NDArray[np.int64]  # catalogue indices, [n], every one in the catalogue
    before: loop_records.Shown  # what the contacts were shown
    shown: loop_records.Shown  # what they are shown next, written
    final: loop_records.Final | None  # of ended episodes, written; None: no new ones begin
    result: loop_records.Result  # written


class Block(ABC):
    """Some of a player's contacts, changed in place; how they begin and answer is the subclass's.

    Args:
        loops: of their simulation.
        n: how many they are.
        column: of the first contact among all.
    """

    def __init__(self, loops: Loops, n: int, column: int) -> None:
        self.loops, self.column, self.n = loops, column, n
        self.state = loops.state(n)
        self.clock, self.share = 0, 1.0
        self.volume = np.zeros(0, np.float32)
        population = loops.simulation.population
        if population is not None:
            floor = population.volume_floor * n / 1000.0
            self.volume = np.full(population.trailing_bins, floor, np.float32)

    @abstractmethod
    def play(self, now: Bin) -> tuple[int, Tensor | None]:
        """Play a bin; says how many episodes ended, and what happened, [c, n], where known."""

    def standing(self) -> Standing:
        """Where the contacts stand."""
        state = self.state
        parts = (state.keys, state.bins, state.anchor, state.zone)
        return Standing(*(torch.from_numpy(part[: self.n].copy()) for part in parts))

    def keep(
        self, rows: NDArray[np.int64], before: loop_records.Shown, shown: loop_records.Shown
    ) -> None:
        """Go on with the contacts at ascending `rows` [k] alone.

        Args:
            rows: who stays.
            before: what all are shown.
            shown: what those who stay are shown, written.
        """
        keeping.keep(self.state, rows)
        keeping.keep_shown(before, rows, shown)
        self.n = len(rows)

    def _act(self, now: Bin) -> None:
        """Write the actions that are done, and what shared limits refused."""
        loops, actions, state = self.loops, self.loops.journey.actions, self.state
        before, result = now.before, now.result
        shared_limits.choose(
            before.mask, before.stride, self.column, now.chosen, actions.wait, result.action
        )
        population = loops.simulation.population
        if population is not None:
            rooms = shared_limits.rooms_of(population, self.volume, self.n)
            shared_limits.settle(
                state.keys, state.bins, LOTTERY, (actions.calls, actions.sends), rooms,
                actions.wait, result.action, result.refused,
            )  # fmt: skip

    def _live_on(self, result: loop_records.Result) -> None:
        """The next bin; in a population with what this one left, see `population.lived_on`."""
        self.clock += 1
        population = self.loops.simulation.population
        if population is None:
            return
        size = population.account_size
        if size > 1:
            shared_limits.of_others(result.sent, size, self.state.colleague_sends)
            shared_limits.of_others(result.talked, size, self.state.colleague_talks)
        self.volume = np.concatenate([[np.float32(result.sent.sum())], self.volume[:-1]])
        world = self.loops.simulation.world
        if isinstance(world, HasReputation):
            totals = torch.from_numpy(result.totals.astype(np.float32))
            share = world.next_inbox_share(torch.tensor(self.share), totals)
            self.share = float(share)


class CompiledBlock(Block):
    """Contacts of a world whose functions are loops."""

    def __init__(self, loops: Loops, keys: Tensor, column: int, shown: loop_records.Shown) -> None:
        super().__init__(loops, len(keys), column)
        self.state.keys[: self.n] = keys.numpy()
        start, (scratch, fresh) = self._world.start, loops.room()
        beginning.begin_all(
            start.run, start.model, self.state, loops.journey, self.n, scratch, fresh, shown,
            column,
        )  # fmt: skip

    @property
    def _world(self) -> WorldLoops:
        assert isinstance(self.loops.world, WorldLoops)
        return self.loops.world

    def play(self, now: Bin) -> tuple[int, Tensor | None]:
        """See `Block.play`."""
        self._act(now)
        world, loops, (scratch, fresh) = self._world, self.loops, self.loops.room()
        nothing = loop_records.Final(*(np.empty((0, 0), kind) for kind in ("f4", "?", "i2")))
        ended: int = play.play(
            world.answer.run, world.answer.model, world.start.run, world.start.model, self.state,
            self.clock, loops.journey, self.n, self.share, scratch, fresh, now.before, now.shown,
            self.column, now.final or nothing, now.final is not None, now.result,
        )  # fmt: skip
        self._live_on(now.result)
        return ended, None


class AnsweredBlock(Block):
    """Contacts whose world answers in torch: to the last bit what plain torch plays."""

    def __init__(self, loops: Loops, keys: Tensor, column: int, shown: loop_records.Shown) -> None:
        super().__init__(loops, len(keys), column)
        start = loops.simulation.world.start(keys)
        self._latent = {name: part.clone() for name, part in start.latent.items()}
        self._begin(keys, start, np.arange(self.n), shown)

    def keep(
        self, rows: NDArray[np.int64], before: loop_records.Shown, shown: loop_records.Shown
    ) -> None:
        """See `Block.keep`."""
        super().keep(rows, before, shown)
        at = torch.from_numpy(rows)
        self._latent = {name: part[at] for name, part in self._latent.items()}

    def play(self, now: Bin) -> tuple[int, Tensor | None]:
        """See `Block.play`."""
        self._act(now)
        loops, simulation, n = self.loops, self.loops.simulation, self.n
        shown, final, result = now.shown, now.final, now.result
        view, keys = self._view(now.before, result)
        outcome = simulation.world.respond(view, keys)
        self._latent = outcome.latent
        amounts, ended = outcome.amounts.contiguous(), np.empty(n, np.int64)
        count = play.close(
            self.state, self.clock, loops.journey, amounts.numpy(),
            outcome.available.contiguous().numpy(), n, loops.room()[0], shown, self.column, result,
            ended,
        )  # fmt: skip
        if simulation.pessimism and isinstance(simulation.world, HasDisagreement):
            apart = simulation.pessimism * simulation.world.disagreement(view)
            result.reward[:] -= apart.numpy()
        self._live_on(result)
        if final is not None and count:
            play.keep_last(shown, self.column, ended, count, final)
            self._restart(ended[:count], shown)
        return count, amounts

    def _view(self, before: loop_records.Shown, result: loop_records.Result) -> tuple[View, Tensor]:
        """What the contacts answer to, and their keys: copies, for the state changes in place."""
        at, now = slice(self.column, self.column + self.n), self.standing()
        around = Surroundings()
        if self.loops.simulation.population is not None:
            sends, talks = self.state.colleague_sends, self.state.colleague_talks
            around = Surroundings(
                torch.from_numpy(sends[: self.n].copy()),
                torch.from_numpy(talks[: self.n].copy()),
                torch.tensor(self.share),
            )
        view = View(
            features=torch.from_numpy(before.features.reshape(-1, before.stride)[:, at]),
            action=torch.from_numpy(result.action),
            bins=now.bins,
            anchor_us=now.anchor_us,
            latent=self._latent,
            around=around,
        )
        return view, now.keys

    def _restart(self, ended: NDArray[np.int64], shown: loop_records.Shown) -> None:
        """Begin new episodes where old ones ended."""
        keys, rows = next_episode(torch.from_numpy(self.state.keys[ended])), torch.from_numpy(ended)
        start = self.loops.simulation.world.start(keys)
        self._latent = {
            name: part.index_copy(0, rows, start.latent[name])
            for name, part in self._latent.items()
        }
        self._begin(keys, start, ended, shown)

    def _begin(
        self, keys: Tensor, start: Start, rows: NDArray[np.int64], shown: loop_records.Shown
    ) -> None:
        loops, (scratch, fresh), world = self.loops, self.loops.room(), self.loops.world
        assert isinstance(world, TorchWorld)
        beginning.begin_at(
            *world.beginnings(loops.simulation, keys, start), world.begins, self.state, self.clock,
            loops.journey, rows, scratch, fresh, shown, self.column,
        )  # fmt: skip

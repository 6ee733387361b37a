"""Plays an environment's contacts by compiled loops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from nurture_envs.loops import records
from nurture_envs.loops.block import Block, Loops, padded
from nurture_envs.loops.tracing import UntraceableError
from nurture_envs.recycling import Recycled
from nurture_envs.simulation import Simulation
from nurture_envs.stepping import Crew, PlainPlayer, Seen, Stepped
from nurture_envs.worlds.draws import contact_keys

_FEW, _BINS = 200, 6  # contacts and bins that show whether a trace is right
_ROUNDED = 2  # of them may have a chance within rounding of its draw

_Memory = tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.int16]]
_Finals = tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.int16], NDArray[np.bool_]]


def loop_player(
    simulation: Simulation, columns: Sequence[slice], autoreset: bool, crew: Crew
) -> LoopPlayer:
    """Loops for a simulation's contacts, once they have shown that they play its world.

    Raises:
        UntraceableError: the world cannot be written as loops.
    """
    loops = Loops(simulation)
    _require_alike(loops)
    return LoopPlayer(loops, columns, autoreset, crew)


def _require_alike(loops: Loops) -> None:
    """A trace is of one contact: see that a few show by loops what they show by torch."""
    some, crew, keys = [slice(0, _FEW)], Crew(1), contact_keys(0, _FEW)
    players = (
        PlainPlayer(loops.simulation, some, True, crew),
        LoopPlayer(loops, some, True, crew),
    )
    seen = [player.begin(keys) for player in players]
    luck, differ = np.random.default_rng(0), np.zeros(_FEW, np.bool_)
    for _ in range(_BINS):
        differ |= _differ(seen[0], seen[1])
        action = (luck.random(seen[0].mask.shape) * seen[0].mask).argmax(axis=1)
        plain, by_loops = (player.step(action) for player in players)
        for name in ("reward", "terminated", "truncated", "action"):
            differ |= getattr(plain, name) != getattr(by_loops, name)
        if plain.final is not None and by_loops.final is not None:
            differ |= _differ(plain.final, by_loops.final)
        seen = [plain.seen, by_loops.seen]
    differ |= _differ(seen[0], seen[1])
    if differ.sum() > _ROUNDED:
        raise UntraceableError(
            f"{differ.sum()} of {_FEW} contacts show something else by loops: the world must treat "
            "contacts alike, however many there are"
        )


def _differ(one: Seen, other: Seen) -> NDArray[np.bool_]:
    """Which contacts are shown something else, [n]."""
    pairs = ((one.features, other.features), (one.mask, other.mask), (one.reasons, other.reasons))
    differ: NDArray[np.bool_] = np.logical_or.reduce([(a != b).any(axis=1) for a, b in pairs])
    return differ


class LoopPlayer:
    """Plays blocks of contacts by loops that hold no lock; see `stepping.PlainPlayer`."""

    def __init__(self, loops: Loops, columns: Sequence[slice], autoreset: bool, crew: Crew) -> None:
        self._loops, simulation = loops, loops.simulation
        self.autoreset, self._crew = autoreset, crew
        self._columns, self._n = list(columns), columns[-1].stop
        self._width, self._actions = len(simulation.spec.columns), len(simulation.catalog)
        self._channels = len(simulation.journey.channels)
        self._limited = simulation.population is not None
        self._shown: Recycled[_Memory] = Recycled(self._memory)
        self._final: Recycled[_Finals] = Recycled(self._finals)
        self._blocks: list[Block] = []
        self._before: records.Shown | None = None

    def _memory(self) -> _Memory:
        rows = padded(self._n)
        return (
            np.empty(self._width * rows, np.float32),
            np.empty(self._actions * rows, np.bool_),
            np.empty(self._actions * rows, np.int16),
        )

    def _finals(self) -> _Finals:
        n = self._n if self.autoreset else 0
        actions = (n, self._actions)
        return (
            np.zeros((n, self._width), np.float32),
            np.zeros(actions, np.bool_),
            np.zeros(actions, np.int16),
            np.zeros(n, np.bool_),
        )

    def _next(self) -> records.Shown:
        """Room for what is shown next; what was shown before becomes `_before`."""
        return records.Shown(*self._shown.take(), padded(self._n))

    def begin(self, keys: Tensor) -> Seen:
        """Contacts at their first bin, one per key [n]."""
        shown, numbers = self._next(), keys.numpy()

        def start(at: slice) -> Block:
            return Block.begin(self._loops, numbers[at], at.start, shown)

        self._blocks = self._crew.map(start, self._columns)
        self._before = shown
        return self._seen(shown)

    def step(self, action: NDArray[np.int64]) -> Stepped:
        """One bin of every block."""
        assert self._before is not None
        before, shown, n = self._before, self._next(), self._n
        final, result = records.Final(*self._final.take()), self._result(n)
        chosen = np.ascontiguousarray(action)

        def one(block: Block) -> int:
            at = slice(block.column, block.column + block.n)
            parts: Any = [part[at] for part in result[:-1]]
            own = records.Result._make([*parts, np.zeros(self._channels)])
            return block.play(chosen[at], before, shown, final, self.autoreset, own)

        ended = sum(self._crew.map(one, self._blocks))
        self._before = shown
        return Stepped(
            self._seen(shown),
            Seen(*final[:3]) if ended and self.autoreset else None,
            result.reward,
            result.terminated,
            result.truncated,
            result.action,
            result.refused if self._limited else None,
        )

    def _result(self, n: int) -> records.Result:
        flags: Any = [np.empty(n, np.bool_) for _ in range(4)]
        parts: list[Any] = [
            np.empty(n, np.int64),
            np.empty(n, np.int32),
            np.empty(n),
            *flags,
            np.empty(0),
        ]
        return records.Result._make(parts)

    def _seen(self, shown: records.Shown) -> Seen:
        parts: Any = [part.reshape(-1, shown.stride)[:, : self._n].T for part in shown[:3]]
        return Seen(*parts)

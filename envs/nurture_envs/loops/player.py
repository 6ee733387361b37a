"""Plays contacts by compiled loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nurture_envs.loops import loop_records
from nurture_envs.loops.block import AnsweredBlock, Bin, Block, CompiledBlock, Loops, padded
from nurture_envs.loops.tracing import UntraceableError
from nurture_envs.player_protocol import (
    BlockThreads,
    PlainPlayer,
    Player,
    Stepped,
    in_blocks,
    require_one_block,
)
from nurture_envs.simulation import Simulation
from nurture_envs.simulation_state import PolicyInput, Standing
from nurture_envs.worlds.draws import contact_keys

_FEW, _BINS = 200, 6  # contacts and bins that show whether a trace is right
_ROUNDED = 2  # of them may have a chance within rounding of its draw


def loop_player(
    simulation: Simulation, answers: bool, autoreset: bool, block: int, crew: BlockThreads
) -> LoopPlayer:
    """Loops for a simulation's contacts.

    Args:
        simulation: what is played.
        answers: whether the world's answers are loops, too: sooner, but that a chance within
            rounding of its draw may fall the other way. They are only used once they have shown
            that they play the world.
        autoreset, block, crew: see `PlainPlayer`.

    Raises:
        UntraceableError: `answers` of a world that cannot be written as loops.
    """
    loops = Loops(simulation, answers)
    if answers:
        _require_alike(loops)
    return LoopPlayer(loops, autoreset, block, crew)


def _require_alike(loops: Loops) -> None:
    """A trace is of one contact: see that a few show by loops what they show by torch."""
    crew, keys = BlockThreads(1), contact_keys(0, _FEW)
    players: tuple[Player, Player] = (
        PlainPlayer(loops.simulation, True, _FEW, crew),
        LoopPlayer(loops, True, _FEW, crew),
    )
    seen = [player.begin(keys) for player in players]
    luck, differ = np.random.default_rng(0), torch.zeros(_FEW, dtype=torch.bool)
    for _ in range(_BINS):
        differ |= _differ(seen[0], seen[1])
        mask = seen[0].mask.numpy()
        action = torch.from_numpy((luck.random(mask.shape) * mask).argmax(axis=1))
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


def _differ(one: PolicyInput, other: PolicyInput) -> Tensor:
    """Which contacts are shown something else, [n]."""
    return (
        (one.features != other.features).any(dim=1)
        | (one.mask != other.mask).any(dim=1)
        | (one.reasons != other.reasons).any(dim=1)
    )


class LoopPlayer:
    """Plays blocks of contacts by loops that hold no lock; see `stepping.PlainPlayer`."""

    def __init__(self, loops: Loops, autoreset: bool, block: int, crew: BlockThreads) -> None:
        self._loops, simulation = loops, loops.simulation
        self.autoreset = autoreset
        self._block, self._crew, self._n = block, crew, 0
        self._width, self._actions = len(simulation.spec.columns), len(simulation.catalog)
        self._channels = len(simulation.journey.channels)
        self._limited = simulation.population is not None
        self._blocks: list[Block] = []
        self._before: loop_records.Shown | None = None

    def begin(self, keys: Tensor) -> PolicyInput:
        """See `Player`."""
        self._n = len(keys)
        shown = self._before = self._memory()

        kind = CompiledBlock if self._loops.answers else AnsweredBlock

        def begun(at: slice) -> Block:
            return kind(self._loops, keys[at], at.start, shown)

        self._blocks = self._crew.map(begun, in_blocks(self._n, self._block))
        return self._decision(shown)

    def step(self, action: Tensor) -> Stepped:
        """See `Player`."""
        assert self._before is not None, "step comes after begin"
        before, shown = self._before, self._memory()
        final, result = self._final(), self._result()
        chosen = np.ascontiguousarray(action.numpy())

        def one(block: Block) -> tuple[int, Tensor | None]:
            at = slice(block.column, block.column + block.n)
            parts: Any = [part[at] for part in result[:-1]]
            own = loop_records.Result._make([*parts, np.zeros(self._channels)])
            return block.play(Bin(chosen[at], before, shown, final, own))

        played = self._crew.map(one, self._blocks)
        self._before = shown
        amounts = [one.T for _, one in played if one is not None]
        began = final is not None and any(ended for ended, _ in played)
        return Stepped(
            self._decision(shown),
            PolicyInput(*map(torch.from_numpy, final)) if final is not None and began else None,
            torch.from_numpy(result.reward),
            torch.from_numpy(result.terminated),
            torch.from_numpy(result.truncated),
            torch.from_numpy(result.action),
            torch.from_numpy(result.refused) if self._limited else None,
            torch.cat(amounts) if amounts else None,
        )

    def standing(self) -> Standing:
        """See `Player`."""
        parts = [block.standing() for block in self._blocks]
        names = Standing.__slots__
        return Standing(*(torch.cat([getattr(one, name) for one in parts]) for name in names))

    def keep(self, rows: Tensor) -> PolicyInput:
        """See `Player`."""
        require_one_block(self._blocks)
        assert self._before is not None, "keep comes after begin"
        if len(rows) == self._n:
            return self._decision(self._before)
        self._n = len(rows)
        before, self._before = self._before, self._memory()
        self._blocks[0].keep(rows.numpy(), before, self._before)
        return self._decision(self._before)

    def _memory(self) -> loop_records.Shown:
        """Room for what is shown next."""
        rows = padded(self._n)
        return loop_records.Shown(
            np.empty(self._width * rows, np.float32),
            np.empty(self._actions * rows, np.bool_),
            np.empty(self._actions * rows, np.int32),
            rows,
        )

    def _final(self) -> loop_records.Final | None:
        """Room for what ended episodes showed last, where new ones begin."""
        if not self.autoreset:
            return None
        n, actions = self._n, (self._n, self._actions)
        return loop_records.Final(
            np.zeros((n, self._width), np.float32),
            np.zeros(actions, np.bool_),
            np.zeros(actions, np.int32),
        )

    def _result(self) -> loop_records.Result:
        flags: Any = [np.empty(self._n, np.bool_) for _ in range(4)]
        parts: list[Any] = [
            np.empty(self._n, np.int64),
            np.empty(self._n, np.int32),
            np.empty(self._n, np.float32),
            *flags,
            np.empty(0),
        ]
        return loop_records.Result._make(parts)

    def _decision(self, shown: loop_records.Shown) -> PolicyInput:
        parts: list[NDArray[Any]] = [
            part.reshape(-1, shown.stride)[:, : self._n].T for part in shown[:3]
        ]
        return PolicyInput(*map(torch.from_numpy, parts))

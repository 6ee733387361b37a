"""The past of a simulation laid out for compiled loops: changed in place, on a CPU."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nurture_envs import compiled
from nurture_envs.journey import Feature
from nurture_envs.running import Running, RunningState

_CALENDAR = {"bin": compiled.BIN, "slot": compiled.SLOT, "weekday": compiled.WEEKDAY}


@dataclass(slots=True)
class PackedState:
    """What `RunningState` and `LateState` hold, in one array each."""

    ring: Tensor  # [W, q, n] f32: the bin closed last at (clock - 1) % W
    sums: Tensor  # [S, n] f32
    last: Tensor  # [L, n] f32
    since: Tensor  # [n] f32
    waiting: Tensor  # [D, e, n] f32: late channels' sums of earlier bins
    due: Tensor  # [D, e, n] i8: bins from happening to being known; 0 at once
    clock: int  # bins closed so far

    def take(self, rows: Tensor) -> PackedState:
        """A copy of the contacts at `rows`."""
        return PackedState(
            self.ring[..., rows],
            self.sums[..., rows],
            self.last[..., rows],
            self.since[rows],
            self.waiting[..., rows],
            self.due[..., rows],
            self.clock,
        )

    def arrays(self) -> tuple[Any, ...]:
        """As compiled loops take them."""
        parts = (self.ring, self.sums, self.last, self.since, self.waiting, self.due)
        return (*(part.numpy() for part in parts), self.clock)


class Packed:
    """`Running` for packed states.

    Args:
        running: the compiled feature spec.
        chances: chance that each of its late channels is known within d bins, [D, e].
        draws: which draw says how late each is.
        stream: of these draws.
    """

    def __init__(
        self, running: Running, chances: NDArray[np.float32], draws: list[int], stream: int
    ) -> None:
        self.running, self._depth = running, max(1, len(chances))
        kept = running.kept
        rows = [kept.index(channel) if channel in kept else -1 for channel in running.late]
        self._late = (
            _whole(running.late),
            _whole(rows),
            _whole(draws),
            np.ascontiguousarray(chances.reshape(len(chances), len(running.late))),
            stream,
        )

    @cached_property
    def _sets(self) -> tuple[NDArray[np.int64], ...]:
        sums = [rows for _, sets in self.running.ring_sets for rows in sets]
        windows = [window for window, sets in self.running.ring_sets for _ in sets]
        lasts = list(self.running.lasts)
        return (
            _whole(self.running.kept),
            _whole(windows),
            *_joined(sums),
            *_joined([list(channels) for channels in lasts]),
        )

    def pack(self, state: RunningState) -> PackedState:
        """Contacts at the start of their first bin."""
        n = len(state.since)
        late = (self._depth, len(self.running.late), n)
        return PackedState(
            ring=torch.stack([torch.stack(bin_) for bin_ in reversed(state.ring)]),
            sums=torch.cat(state.sums),
            last=state.last.clone(),
            since=state.since.clone(),
            waiting=torch.zeros(late),
            due=torch.zeros(late, dtype=torch.int8),
            clock=0,
        )

    def close(self, state: PackedState, amounts: Tensor, keys: Tensor, bins: Tensor) -> None:
        """Close a bin in place; amounts [c, n], keys and bins [n]."""
        compiled.close_bin(
            state.arrays(), self._sets, self._late, amounts.numpy(), keys.numpy(), bins.numpy()
        )
        state.clock += 1

    def evaluate(
        self, state: PackedState, bins: Tensor, weekday: Tensor, attributes: Tensor, out: Tensor
    ) -> None:
        """Write the features at the start of a bin into `out` [d, n]."""
        compiled.features_of(
            state.arrays(),
            self._sets,
            self._plan,
            attributes.numpy(),
            bins.numpy(),
            weekday.numpy(),
            out.numpy(),
        )

    def renew(self, state: PackedState, rows: Tensor, fresh: RunningState) -> None:
        """Replace the contacts at `rows` [k] by fresh ones, in place."""
        width = len(state.ring)
        for ago, bin_ in enumerate(fresh.ring[: fresh.known], start=1):
            state.ring[(state.clock - ago) % width].index_copy_(1, rows, torch.stack(bin_))
        state.sums.index_copy_(1, rows, torch.cat(fresh.sums))
        state.last.index_copy_(1, rows, fresh.last)
        state.since.index_copy_(0, rows, fresh.since)
        state.due.index_fill_(2, rows, 0)

    @cached_property
    def _plan(self) -> NDArray[np.int64]:
        """One row per feature column: kind, two numbers that say which, and a window."""
        plan: list[tuple[int, int, int, int]] = []
        attributes = 0
        for feature in self.running.spec.features:
            width = len(self.running.spec.names(feature))
            if feature.kind == "attribute":
                plan += [(compiled.ATTRIBUTE, attributes + i, 0, 0) for i in range(width)]
                attributes += width
            elif feature.kind == "calendar":
                plan += [(_CALENDAR[feature.part], i, width, 0) for i in range(width)]
            elif feature.kind == "stage":
                entered = [self.running.last_row((signal,)) for _, signal in feature.stages]
                plan += [(compiled.STAGE, i, width, entered[i]) for i in range(width)]
            else:
                plan.append(self._of_past(feature))
        return np.array(plan, np.int64).reshape(-1, 4)

    def _of_past(self, feature: Feature) -> tuple[int, int, int, int]:
        if feature.kind == "recency":
            return compiled.RECENCY, self.running.last_row(feature.of), 0, feature.window
        if feature.kind == "ever":
            return compiled.HAPPENED, self.running.last_row(feature.of), 0, 0
        top = self._sum(feature.of, feature.window)
        if feature.kind == "count":
            return compiled.SUM, top, 0, 0
        if feature.kind == "ratio":
            return compiled.RATIO, top, self._sum(feature.over, feature.window), 0
        return compiled.STREAK, top, self.running.last_row(feature.until), feature.window

    def _sum(self, names: tuple[str, ...], window: int) -> int:
        """Row among the sums of all windows."""
        at, row = self.running.place(names, window)
        return sum(len(sets) for _, sets in self.running.ring_sets[:at]) + row


def _whole(values: Any) -> NDArray[np.int64]:
    return np.array(values, np.int64).reshape(-1)


def _joined(groups: list[list[int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each group begins and ends, and all their members."""
    ends = np.cumsum([0, *(len(group) for group in groups)])
    return _whole(ends), _whole([member for group in groups for member in group])

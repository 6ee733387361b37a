"""The feature state of a simulation: sums and last times, updated in a few operations a bin.

What `evaluate` works out from a ring of channel sums, this state carries along: one row per sum
that a feature asks for, contacts along the columns. Counts are whole and values lie on a grid of
2**-10, so running sums are exact and the features equal `evaluate`'s bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from nurture_envs.features import NEVER, FeatureSpec, History
from nurture_envs.journey import Feature

_NEVER = float(NEVER)
_EVER = _NEVER / 2.0  # later than this has happened

Channels = tuple[int, ...]
Ring = tuple[tuple[Tensor, ...], ...]  # by window w, of w completed bins, newest first: [sums, n]


@dataclass(frozen=True, slots=True)
class RunningState:
    """Known past of n contacts at the start of a bin."""

    ring: Ring
    sums: tuple[Tensor, ...]  # by window, [sums, n] f32: totals of the window
    last: Tensor  # [L, n] f32: last bin in which a signal of the set is known to have happened
    since: Tensor  # [n] f32: first bin the ring knows
    known: int  # bins from before entry that the ring may hold

    def take(self, rows: Tensor) -> RunningState:
        """A copy of the contacts at `rows`."""
        return RunningState(
            tuple(tuple(bin_[:, rows] for bin_ in bins) for bins in self.ring),
            tuple(part[:, rows] for part in self.sums),
            self.last[:, rows],
            self.since[rows],
            self.known,
        )


class Running:
    """A feature spec compiled for running sums.

    Args:
        spec: the declared features.
        watched: more sets of signals whose last time is wanted.
        late: channels that may become known after their bin.
        device: where the state lives.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        watched: Iterable[tuple[str, ...]] = (),
        late: Sequence[int] = (),
        device: torch.device | str = "cpu",
    ) -> None:
        self.spec, self.device, self.late = spec, torch.device(device), list(late)
        self._windows: dict[int, dict[Channels, int]] = {}  # window -> channels -> row of its sums
        self._lasts: dict[Channels, int] = {}  # channels -> row of `last`
        for feature in spec.features:
            self._declare(feature)
        for names in watched:
            self._add_last(names)
        sets = [of for rows in self._windows.values() for of in rows] + list(self._lasts)
        table = torch.zeros((len(sets), len(spec.channels)))
        for row, of in enumerate(sets):
            table[row, list(of)] = 1.0
        at_once = table.clone()
        at_once[:, self.late] = 0.0
        self._sets = table.to(self.device)  # which channels each sum, then each last time is about
        self._at_once = at_once.to(self.device)
        self._splits = [len(rows) for rows in self._windows.values()] + [len(self._lasts)]

    def _declare(self, feature: Feature) -> None:
        """Give a feature its rows."""
        if feature.kind in ("count", "ratio", "streak"):
            self._add_sum(feature.of, feature.window)
        if feature.kind == "ratio":
            self._add_sum(feature.over, feature.window)
        if feature.kind in ("recency", "ever"):
            self._add_last(feature.of)
        if feature.kind == "streak":
            self._add_last(feature.until)
        for _, signal in feature.stages:
            self._add_last((signal,))

    def _channels(self, names: Sequence[str]) -> Channels:
        return tuple(sorted(self.spec.channel_indices(names)))

    def _add_sum(self, names: Sequence[str], window: int) -> None:
        rows = self._windows.setdefault(window, {})
        rows.setdefault(self._channels(names), len(rows))

    def _add_last(self, names: Sequence[str]) -> None:
        self._lasts.setdefault(self._channels(names), len(self._lasts))

    def last_row(self, names: Sequence[str]) -> int:
        """Row of `last` that holds a set of signals."""
        return self._lasts[self._channels(names)]

    def _place(self, names: Sequence[str], window: int) -> tuple[int, int]:
        """Where the sums of a set over a window are: position of the window, row."""
        return list(self._windows).index(window), self._windows[window][self._channels(names)]

    def begin(self, past: History) -> RunningState:
        """The state of contacts with that past, at the start of bin 0."""
        n, known = past.ring.shape[2], len(past.ring)
        of_bins = torch.split(torch.matmul(self._sets, past.ring), self._splits, dim=1)
        ring, sums = [], []
        for window, tracks in zip(self._windows, of_bins, strict=False):  # tracks [known, sums, n]
            empty = [torch.zeros_like(tracks[0]) for _ in range(window - known)]
            ring.append((*(bin_.clone() for bin_ in tracks[:window]), *empty))
            sums.append(tracks[:window].sum(dim=0))
        bins = past.last.to(torch.float32)
        sets = [bins[list(of)].amax(dim=0, keepdim=True) for of in self._lasts]
        last = torch.cat([bins[:0], *sets])
        since = bins.new_full((n,), -float(known))
        return RunningState(tuple(ring), tuple(sums), last, since, known)

    def close(
        self, state: RunningState, amounts: Tensor, bins: Tensor, late: Tensor | None
    ) -> RunningState:
        """The past at the start of the next bin.

        Args:
            state: the past at the start of the bin that closes; late records enter its ring.
            amounts: channel sums of the bin, [c, n]; those of late channels are not read.
            bins: the bin that closes, [n] f32.
            late: sums of late channels that became known now: at [d] of the bin d before, [D + 1,
                late channels, n].
        """
        known = self._at_once @ amounts
        if late is not None:
            rows, table = self._late_sets
            known.index_add_(0, rows, table @ late[0])
        *tracks, happened = torch.split(known, self._splits)
        ring, sums = [], []
        for window, new, old, total in zip(
            self._windows, tracks, state.ring, state.sums, strict=True
        ):
            # Bins before `since` were another contact's.
            kept = (state.since + window <= bins).to(torch.float32)
            sums.append(torch.addcmul(total + new, old[-1], kept, value=-1.0))
            ring.append((new, *old[:-1]))
        last = torch.where(happened != 0, bins, state.last)
        closed = RunningState(tuple(ring), tuple(sums), last, state.since, state.known)
        return closed if late is None else self._with_late(closed, late[1:], bins)

    @cached_property
    def _late_sets(self) -> tuple[Tensor, Tensor]:
        """Rows of all sets that late channels enter, and which of them enter each, [rows, e]."""
        table = self._sets[:, self.late]
        rows = torch.nonzero(table.any(dim=1))[:, 0]
        return rows, table[rows]

    @cached_property
    def _late_sums(self) -> list[tuple[int, int, int, list[int]]]:
        """Sums that late channels enter: window's position and length, row, late channels."""
        return [
            (at, window, row, [self.late.index(c) for c in of if c in self.late])
            for at, (window, rows) in enumerate(self._windows.items())
            for of, row in rows.items()
            if set(of) & set(self.late)
        ]

    @cached_property
    def _late_lasts(self) -> tuple[Tensor, Tensor]:
        """Last times that late channels enter, and which of them enter each, [rows, e]."""
        table = self._sets[-len(self._lasts) or len(self._sets) :, self.late]
        rows = torch.nonzero(table.any(dim=1))[:, 0]
        return rows, table[rows]

    def _with_late(self, state: RunningState, late: Tensor, bins: Tensor) -> RunningState:
        """Put what came late where it happened; windows reach back over whole bins."""
        for at, window, row, channels in self._late_sums:
            some = late[: window - 1, channels].sum(dim=1)  # [bins back, n]
            state.sums[at][row] += some.sum(dim=0)
            for ago, amounts in enumerate(some, start=1):
                state.ring[at][ago][row] += amounts
        rows, table = self._late_lasts
        if not len(rows):
            return state
        lag = torch.arange(1.0, len(late) + 1.0, device=self.device)[:, None, None]
        seen = torch.where(table @ late != 0, bins - lag, _NEVER).amax(dim=0)
        last = torch.maximum(state.last.index_select(0, rows), seen)
        return replace(state, last=state.last.index_copy(0, rows, last))

    def renew(self, state: RunningState, rows: Tensor, fresh: RunningState) -> RunningState:
        """Replace the contacts at `rows` [k] by fresh ones; the ring of `state` is used up."""
        for old_bins, new_bins in zip(state.ring, fresh.ring, strict=True):
            # Older bins are never read, `since` says so.
            for old, new in zip(old_bins[: fresh.known], new_bins, strict=False):
                old.index_copy_(1, rows, new)
        pairs = zip(state.sums, fresh.sums, strict=True)
        return replace(
            state,
            sums=tuple(old.index_copy(1, rows, new) for old, new in pairs),
            last=state.last.index_copy(1, rows, fresh.last),
            since=state.since.index_copy(0, rows, fresh.since),
        )

    def lags(self, state: RunningState, bins: Tensor) -> Tensor:
        """Bins since each watched set last happened, [L, n] f32; bins [n] f32."""
        return bins - state.last

    def evaluate(
        self, state: RunningState, bins: Tensor, weekday: Tensor, attributes: Tensor, out: Tensor
    ) -> None:
        """Write the features at the start of a bin into `out` [d, n].

        Args:
            state: the known past.
            bins: the bin about to be decided, [n] f32.
            weekday: of that bin, Monday = 0, [n] f32.
            attributes: encoded attribute columns, [attribute columns, n].
            out: receives the features, in the order of `spec.columns`.
        """
        lags = self.lags(state, bins)
        for columns, at, rows in self._copies:
            out[columns] = state.sums[at][rows]
        row = used = 0
        for feature in self.spec.features:
            width = len(self.spec.names(feature))
            target = out[row : row + width]
            if feature.kind == "attribute":
                target.copy_(attributes[used : used + width])
                used += width
            elif feature.kind == "calendar":
                self._calendar(feature, bins, weekday, target)
            elif feature.kind == "stage":
                self._stage(feature, lags, target)
            elif feature.kind != "count":
                self._from_past(feature, state, lags, bins, target[0])
            row += width

    @cached_property
    def _copies(self) -> list[tuple[slice, int, slice]]:
        """Runs of count features that are runs of sums: (features, window, sums)."""
        runs: list[list[int]] = []  # window, first feature column, first row of the sums, length
        column = 0
        for feature in self.spec.features:
            if feature.kind == "count":
                at, row = self._place(feature.of, feature.window)
                last = runs[-1] if runs else [-1, 0, 0, 0]
                if [at, column, row] == [last[0], last[1] + last[3], last[2] + last[3]]:
                    last[3] += 1
                else:
                    runs.append([at, column, row, 1])
            column += len(self.spec.names(feature))
        return [(slice(c, c + k), at, slice(r, r + k)) for at, c, r, k in runs]

    def _calendar(self, feature: Feature, bins: Tensor, weekday: Tensor, target: Tensor) -> None:
        if feature.part == "bin":
            target[0] = bins
            return
        slots = len(self.spec.clock.slots_hours)
        place = torch.remainder(bins, slots) if feature.part == "slot" else weekday
        target.copy_(place == self._places[: len(target)])

    @cached_property
    def _places(self) -> Tensor:
        """0, 1, 2, ... as a column, as many as any one-hot feature needs."""
        widest = max(len(self.spec.names(feature)) for feature in self.spec.features)
        return torch.arange(float(widest), device=self.device)[:, None]

    def _sum(self, state: RunningState, names: tuple[str, ...], window: int) -> Tensor:
        at, row = self._place(names, window)
        return state.sums[at][row]

    def _from_past(
        self, feature: Feature, state: RunningState, lags: Tensor, bins: Tensor, target: Tensor
    ) -> None:
        if feature.kind == "ratio":
            top = self._sum(state, feature.of, feature.window)
            below = self._sum(state, feature.over, feature.window)
            some = below != 0
            target.copy_(torch.where(some, top / torch.where(some, below, 1.0), 0.0))
        elif feature.kind == "recency":
            torch.clamp(lags[self.last_row(feature.of)], max=feature.window, out=target)
        elif feature.kind == "ever":
            target.copy_(state.last[self.last_row(feature.of)] > _EVER)
        else:
            target.copy_(self._streak(feature, state, lags, bins))

    def _streak(self, feature: Feature, state: RunningState, lags: Tensor, bins: Tensor) -> Tensor:
        """Events in the bins after the last one that ends the streak."""
        at, row = self._place(feature.of, feature.window)
        ended = lags[self.last_row(feature.until)]
        reach = torch.minimum(ended, bins - state.since + 1.0)
        total = torch.zeros_like(bins)
        for ago, tracks in enumerate(state.ring[at], start=1):
            total = total + torch.where(reach > ago, tracks[row], 0.0)
        return total

    def _stage(self, feature: Feature, lags: Tensor, target: Tensor) -> None:
        """One-hot of the stage entered last; the later stage of the order wins a tie."""
        best = torch.full_like(lags[0], -_EVER)
        current = torch.full_like(best, -1.0)
        for position, (_, signal) in enumerate(feature.stages):
            lag = lags[self.last_row([signal])]
            newer = lag <= best
            best = torch.where(newer, lag, best)
            current = torch.where(newer, float(position), current)
        target.copy_(current == self._places[: len(target)])

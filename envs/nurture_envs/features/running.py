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

from nurture_envs.features.spec import FeatureSpec
from nurture_envs.features.state import NEVER, History
from nurture_envs.journey import Feature

_NEVER = float(NEVER)
_EVER = _NEVER / 2.0  # later than this has happened
_SUMMED = ("count", "ratio", "streak")  # kinds that look into the ring


@dataclass(frozen=True, slots=True)
class RunningState:
    """Known past of n contacts at the start of a bin."""

    ring: tuple[Tensor, ...]  # W of [T, n] f32: track sums of each completed bin, newest first
    sums: Tensor  # [S, n] f32: track sums over each window asked for
    last: Tensor  # [L, n] f32: last bin in which a signal of the set is known to have happened
    since: Tensor  # [n] f32: first bin the ring knows
    known: int  # bins from before entry that the ring may hold

    def take(self, rows: Tensor) -> RunningState:
        """A copy of the contacts at `rows`."""
        ring = tuple(bin_[:, rows] for bin_ in self.ring)
        return RunningState(
            ring, self.sums[:, rows], self.last[:, rows], self.since[rows], self.known
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
        self.spec, self.device = spec, torch.device(device)
        self.tracks: dict[tuple[int, ...], int] = {}  # channels -> row of the ring
        self.windows: dict[int, dict[int, int]] = {}  # window -> track -> row of the sums
        self.lasts: dict[tuple[int, ...], int] = {}  # channels -> row of `last`
        wanted: list[tuple[int, int]] = []
        for feature in spec.features:
            wanted += self._declare(feature)
        for window, track in sorted(set(wanted)):
            self.windows.setdefault(window, {})[track] = 0
        pairs = [(window, track) for window, of in self.windows.items() for track in of]
        for row, (window, track) in enumerate(pairs):
            self.windows[window][track] = row
        self.sum_rows = len(pairs)
        for names in watched:
            self._last(spec.channel_indices(names))
        reach = [feature.window for feature in spec.features if feature.kind in _SUMMED]
        self.width = max(reach, default=1)
        self.late = list(late)

    def _declare(self, feature: Feature) -> list[tuple[int, int]]:
        """Give a feature its rows; the (window, track) sums it needs."""
        indices = self.spec.channel_indices
        if feature.kind in ("count", "ratio"):
            sets = [feature.of] + ([feature.over] if feature.kind == "ratio" else [])
            return [(feature.window, self._track(indices(names))) for names in sets]
        if feature.kind == "stage":
            for _, signal in feature.stages:
                self._last(indices([signal]))
        elif feature.kind in ("recency", "ever"):
            self._last(indices(feature.of))
        elif feature.kind == "streak":
            self._track(indices(feature.of))
            self._last(indices(feature.until))
        return []

    def _track(self, channels: Sequence[int]) -> int:
        return self.tracks.setdefault(tuple(sorted(channels)), len(self.tracks))

    def _last(self, channels: Sequence[int]) -> int:
        return self.lasts.setdefault(tuple(sorted(channels)), len(self.lasts))

    def last_row(self, names: Sequence[str]) -> int:
        """Row of `last` that holds a watched set."""
        return self.lasts[tuple(sorted(self.spec.channel_indices(names)))]

    def _members(self, sets: dict[tuple[int, ...], int]) -> Tensor:
        """One row per set, 1 at its channels; [sets, c]."""
        table = torch.zeros((len(sets), len(self.spec.channels)), device=self.device)
        for channels, row in sets.items():
            table[row, list(channels)] = 1.0
        return table

    @cached_property
    def _of_track(self) -> Tensor:
        return self._members(self.tracks)

    @cached_property
    def _of_last(self) -> Tensor:
        return self._members(self.lasts)

    @cached_property
    def _sum_tracks(self) -> dict[int, tuple[slice, Tensor]]:
        """Rows of the sums of each window, which lie together, and their tracks."""
        found = {}
        for window, rows in self.windows.items():
            first = min(rows.values())
            tracks = torch.tensor(list(rows), dtype=torch.int64, device=self.device)
            found[window] = (slice(first, first + len(rows)), tracks)
        return found

    def begin(self, past: History) -> RunningState:
        """The state of contacts with that past, at the start of bin 0."""
        known, n = min(len(past.ring), self.width), past.ring.shape[2]
        tracks = torch.matmul(self._of_track, past.ring[:known])  # [known, T, n]
        empty = [tracks.new_zeros((len(self.tracks), n)) for _ in range(self.width - known)]
        ring = (*(bin_.clone() for bin_ in tracks), *empty)
        sums = tracks.new_zeros((self.sum_rows, n))
        for window, (rows, of) in self._sum_tracks.items():
            sums[rows] = tracks[:window].sum(dim=0)[of]
        bins = past.last.to(torch.float32)
        of_sets = [bins[list(channels)].amax(dim=0, keepdim=True) for channels in self.lasts]
        last = torch.cat([bins[:0], *of_sets])
        return RunningState(ring, sums, last, bins.new_full((n,), -float(known)), known)

    def close(
        self, state: RunningState, amounts: Tensor, bins: Tensor, late: Tensor | None
    ) -> RunningState:
        """The past at the start of the next bin.

        Args:
            state: the past at the start of the bin that closes.
            amounts: channel sums of the bin that are known at once, [c, n].
            bins: the bin that closes, [n] f32.
            late: sums of late channels that became known now: at [d] of the bin d + 1 before the
                closing one, [D, late channels, n].
        """
        tracks = self._of_track @ amounts
        sums = [state.sums[:0]]
        for window, (rows, of) in self._sum_tracks.items():
            # Bins before `since` were another contact's.
            kept = (state.since + window <= bins).to(torch.float32)
            sums.append(state.sums[rows] + tracks[of] - state.ring[window - 1][of] * kept)
        happened = self._of_last @ (amounts != 0).to(torch.float32)
        last = torch.where(happened > 0, bins, state.last)
        ring = (tracks, *state.ring[:-1])
        closed = RunningState(ring, torch.cat(sums), last, state.since, state.known)
        return closed if late is None else self._with_late(closed, late, bins)

    @cached_property
    def _sum_of(self) -> Tensor:
        """Track of each sum, [S]."""
        return torch.cat([of for _, of in self._sum_tracks.values()])

    @cached_property
    def _reach(self) -> Tensor:
        """Window of each sum, [S, 1]."""
        spans = [torch.full((len(of), 1), float(w)) for w, (_, of) in self._sum_tracks.items()]
        return torch.cat(spans).to(self.device)

    @cached_property
    def _late_rows(self) -> tuple[list[int], list[int]]:
        """Tracks and last times that late channels enter."""
        touched = [
            [row for channels, row in sets.items() if set(channels) & set(self.late)]
            for sets in (self.tracks, self.lasts)
        ]
        return touched[0], touched[1]

    def _with_late(self, state: RunningState, late: Tensor, bins: Tensor) -> RunningState:
        """Put what came late where it happened; windows reach back over whole bins."""
        tracks, lasts = self._late_rows
        ring, sums, last = list(state.ring), state.sums, state.last
        if tracks:
            for ago, amounts in enumerate(self._of_track[:, self.late] @ late, start=1):  # [T, n]
                if ago < self.width:
                    ring[ago] = ring[ago] + amounts
                sums = sums + torch.where(ago < self._reach, amounts[self._sum_of], 0.0)
        if lasts:
            ago = torch.arange(1.0, len(late) + 1.0, device=self.device)[:, None, None]
            known = (late != 0).to(torch.float32)
            hits = torch.matmul(self._of_last[lasts][:, self.late], known)  # [D, lasts, n]
            seen = torch.where(hits > 0, bins - ago, _NEVER).amax(dim=0)
            last = last.clone()
            last[lasts] = torch.maximum(last[lasts], seen)
        return replace(state, ring=tuple(ring), sums=sums, last=last)

    def renew(self, state: RunningState, rows: Tensor, fresh: RunningState) -> RunningState:
        """Replace the contacts at `rows` [k] by fresh ones; the ring of `state` is used up."""
        for old, new in zip(state.ring[: fresh.known], fresh.ring, strict=False):
            old.index_copy_(1, rows, new)  # older bins are never read, `since` says so
        return replace(
            state,
            sums=state.sums.index_copy(1, rows, fresh.sums),
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
            else:
                self._from_past(feature, state, lags, bins, target[0])
            row += width

    def _calendar(self, feature: Feature, bins: Tensor, weekday: Tensor, target: Tensor) -> None:
        if feature.part == "bin":
            target[0] = bins
            return
        slots = len(self.spec.clock.slots_hours)
        place = torch.remainder(bins, slots) if feature.part == "slot" else weekday
        for index in range(len(target)):
            target[index] = place == index

    def _sum(self, state: RunningState, names: tuple[str, ...], window: int) -> Tensor:
        track = self.tracks[tuple(sorted(self.spec.channel_indices(names)))]
        return state.sums[self.windows[window][track]]

    def _from_past(
        self, feature: Feature, state: RunningState, lags: Tensor, bins: Tensor, target: Tensor
    ) -> None:
        if feature.kind == "count":
            target.copy_(self._sum(state, feature.of, feature.window))
        elif feature.kind == "ratio":
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
        track = self.tracks[tuple(sorted(self.spec.channel_indices(feature.of)))]
        ended = lags[self.last_row(feature.until)]
        reach = torch.minimum(ended, bins - state.since + 1.0)
        total = torch.zeros_like(bins)
        for ago in range(1, feature.window + 1):
            inside = state.ring[ago - 1][track]
            total = total + torch.where(reach > ago, inside, 0.0)
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
        for position in range(len(feature.stages)):
            target[position] = current == position

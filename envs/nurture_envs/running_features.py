"""The feature state of a simulation: sums and last times, updated in a few operations a bin.

What `evaluate` works out from a ring of channel sums, this state carries along: one row per sum
that a feature asks for, contacts along the columns. Counts are whole and values lie on a grid of
2**-10, so running sums are exact and the features equal `evaluate`'s bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor

from nurture_envs.features import NEVER, FeatureSpec, History
from nurture_envs.features.spec import decay_weights, reach_of
from nurture_envs.journey import Feature

_NEVER = float(NEVER)
_EVER = _NEVER / 2.0  # later than this has happened

Channels = tuple[int, ...]
Ring = tuple[tuple[Tensor, ...], ...]  # W completed bins, newest first: q channels' sums, [n] f32


@dataclass(frozen=True, slots=True)
class RunningState:
    """Known past of n contacts at the start of a bin."""

    ring: Ring
    sums: tuple[Tensor, ...]  # by window, [sums, n] f32: totals over the window
    last: Tensor  # [L, n] f32: last bin in which a signal of the set is known to have happened
    since: Tensor  # [n] f32: first bin the ring knows
    known: int  # bins from before entry that the ring may hold

    def take(self, rows: Tensor) -> RunningState:
        """A copy of the contacts at `rows`."""
        return RunningState(
            tuple(tuple(row[rows] for row in bin_) for bin_ in self.ring),
            tuple(part[:, rows] for part in self.sums),
            self.last[:, rows],
            self.since[rows],
            self.known,
        )


class RunningFeatures:
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
        self._windows: dict[int, dict[Channels, int]] = {}  # window -> channels -> row of its sums
        self.lasts: dict[Channels, int] = {}  # channels -> row of `last`
        for feature in spec.features:
            self._declare(feature)
        for names in watched:
            self._add_last(names)
        summed = {c for rows in self._windows.values() for of in rows for c in of}
        self.kept = sorted(summed)  # channels of the ring
        read = summed | {c for of in self.lasts for c in of}
        self.late = [channel for channel in late if channel in read]

    def _declare(self, feature: Feature) -> None:
        """Give a feature its rows."""
        if feature.kind in ("count", "ratio", "streak", "trend", "decayed", "affinity"):
            self._add_sum(feature.of, feature.window)
        if feature.kind == "trend":
            self._add_sum(feature.of, reach_of(feature))
        for _, channels in feature.groups:
            self._add_sum(channels, feature.window)
        if feature.kind == "ratio":
            self._add_sum(feature.over, feature.window)
        if feature.kind == "memory":
            for window in range(1, feature.window + 1):
                self._add_sum(feature.of, window)
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
        self.lasts.setdefault(self._channels(names), len(self.lasts))

    def last_row(self, names: Sequence[str]) -> int:
        """Row of `last` that holds a set of signals."""
        return self.lasts[self._channels(names)]

    def place(self, names: Sequence[str], window: int) -> tuple[int, int]:
        """Where the sums of a set over a window are: position of the window, row."""
        return list(self._windows).index(window), self._windows[window][self._channels(names)]

    @cached_property
    def ring_sets(self) -> list[tuple[int, list[list[int]]]]:
        """Windows, and the ring's rows that each of their sums adds up."""
        return [
            (window, [[self.kept.index(c) for c in of] for of in rows])
            for window, rows in self._windows.items()
        ]

    def begin(self, past: History) -> RunningState:
        """The state of contacts with that past, at the start of bin 0."""
        n, known, width = past.ring.shape[2], len(past.ring), max(self._windows, default=1)
        bins = past.ring[:, self.kept]
        nothing = torch.zeros_like(past.ring[0, 0])
        empty = [(nothing,) * len(self.kept)] * (width - known)
        ring = (*(tuple(bin_.unbind()) for bin_ in bins[:width]), *empty)
        sums = []
        for window, sets in self.ring_sets:
            total = bins[:window].sum(dim=0)
            sums.append(torch.stack([total[rows].sum(dim=0) for rows in sets]))
        last = past.last.to(torch.float32)
        times = [last[list(of)].amax(dim=0, keepdim=True) for of in self.lasts]
        since = last.new_full((n,), -float(known))
        return RunningState(ring, tuple(sums), torch.cat([last[:0], *times]), since, known)

    def close(
        self,
        state: RunningState,
        amounts: Tensor,
        bins: Tensor,
        late: Sequence[Tensor] | None = None,
    ) -> RunningState:
        """The past at the start of the next bin.

        Args:
            state: the past at the start of the bin that closes.
            amounts: channel sums of the bin, [c, n]; those of late channels are not read.
            bins: the bin that closes, [n] f32.
            late: sums of the late channels that became known now: at [d] of the bin d before,
                D + 1 of [late channels, n].
        """
        rows = list(amounts.unbind())
        if late is not None:
            for channel, known in zip(self.late, late[0], strict=True):
                rows[channel] = known
        new = tuple(rows[channel] for channel in self.kept)
        sums = self._summed(state, new, bins)
        last = torch.empty_like(state.last)
        for of, row in self.lasts.items():
            happened = rows[of[0]]
            for channel in of[1:]:
                happened = happened + rows[channel]
            torch.where(happened != 0, bins, state.last[row], out=last[row])
        closed = RunningState((new, *state.ring[:-1]), sums, last, state.since, state.known)
        return closed if late is None else self._with_late(closed, late, bins)

    def _summed(
        self, state: RunningState, entering: tuple[Tensor, ...], bins: Tensor
    ) -> tuple[Tensor, ...]:
        """The totals when a bin's rows enter the windows."""
        sums = []
        for (window, sets), totals in zip(self.ring_sets, state.sums, strict=True):
            # Bins before `since` were another contact's.
            kept = (state.since + window <= bins).to(torch.float32)
            leaving, after = state.ring[window - 1], torch.empty_like(totals)
            for of, before, total in zip(sets, totals.unbind(), after.unbind(), strict=True):
                for row in of:
                    torch.addcmul(before, leaving[row], kept, value=-1.0, out=total)
                    total.add_(entering[row])
                    before = total
            sums.append(after)
        return tuple(sums)

    def _with_late(self, state: RunningState, late: Sequence[Tensor], bins: Tensor) -> RunningState:
        """Put what came late where it happened; windows reach back over whole bins."""
        ring = [list(bin_) for bin_ in state.ring]
        for position, channel in enumerate(self.late):
            row = self.kept.index(channel) if channel in self.kept else -1
            totals = [
                (window, sums[at])
                for (window, sets), sums in zip(self.ring_sets, state.sums, strict=True)
                for at, of in enumerate(sets)
                if row in of
            ]
            lasts = [state.last[at] for of, at in self.lasts.items() if channel in of]
            for ago, known in enumerate(late[1:], start=1):
                amounts = known[position]
                if totals and ago < len(ring):
                    ring[ago][row] = ring[ago][row] + amounts
                for total in [total for window, total in totals if ago < window]:
                    total.add_(amounts)
                seen = torch.where(amounts != 0, bins - ago, _NEVER)
                for last in lasts:
                    torch.maximum(last, seen, out=last)
        return replace(state, ring=tuple(map(tuple, ring)))

    def renew(self, state: RunningState, rows: Tensor, fresh: RunningState) -> RunningState:
        """The state with fresh contacts at `rows` [k]; the sums of `state` are used up."""
        for old, new in zip((*state.sums, state.last), (*fresh.sums, fresh.last), strict=True):
            old.index_copy_(1, rows, new)
        pairs = zip(state.ring[: fresh.known], fresh.ring, strict=False)
        ring = [
            tuple(old.index_copy(0, rows, new) for old, new in zip(olds, news, strict=True))
            for olds, news in pairs
        ]
        since = state.since.index_copy(0, rows, fresh.since)
        # Bins older than `known` keep another contact's sums; `since` says that nobody reads them.
        return replace(state, ring=(*ring, *state.ring[len(ring) :]), since=since)

    def lags(self, state: RunningState, bins: Tensor) -> Tensor:
        """Bins since each watched set last happened, [L, n] f32; bins [n] f32."""
        return bins - state.last

    def evaluate(
        self, state: RunningState, bins: Tensor, weekday: Tensor, attributes: Tensor
    ) -> list[Tensor]:
        """The features at the start of a bin, one row [n] f32 each, in the order of `spec.columns`.

        Args:
            state: the known past.
            bins: the bin about to be decided, [n] f32.
            weekday: of that bin, Monday = 0, [n] f32.
            attributes: encoded attribute columns, [attribute columns, n].
        """
        lags = self.lags(state, bins)
        known = list(attributes.unbind())
        rows: list[Tensor] = []
        for feature in self.spec.features:
            width = len(self.spec.names(feature))
            if feature.kind == "attribute":
                rows += known[:width]
                known = known[width:]
            elif feature.kind == "calendar":
                rows += self._calendar(feature, bins, weekday, width)
            elif feature.kind == "stage":
                rows += self._stage(feature, lags)
            elif feature.kind == "memory":
                rows += self._memory(state, feature)
            elif feature.kind == "affinity":
                rows += self._affinity(feature, state, bins)
            else:
                rows.append(self._from_past(feature, state, lags, bins))
        return rows

    def _calendar(
        self, feature: Feature, bins: Tensor, weekday: Tensor, width: int
    ) -> list[Tensor]:
        if feature.part == "bin":
            return [bins]
        slots = len(self.spec.clock.slots_hours)
        place = torch.remainder(bins, slots) if feature.part == "slot" else weekday
        return _one_hot(place, width)

    def _sum(self, state: RunningState, names: tuple[str, ...], window: int) -> Tensor:
        at, row = self.place(names, window)
        return state.sums[at][row]

    def _memory(self, state: RunningState, feature: Feature) -> list[Tensor]:
        """Events of each bin back: a window less the next shorter one, exact as sums are."""
        totals = [self._sum(state, feature.of, w) for w in range(1, feature.window + 1)]
        return [totals[0], *(more - less for less, more in pairwise(totals))]

    def _from_past(
        self, feature: Feature, state: RunningState, lags: Tensor, bins: Tensor
    ) -> Tensor:
        if feature.kind == "count":
            return self._sum(state, feature.of, feature.window)
        if feature.kind == "ratio":
            top = self._sum(state, feature.of, feature.window)
            below = self._sum(state, feature.over, feature.window)
            some = below != 0
            return torch.where(some, top / torch.where(some, below, 1.0), 0.0)
        if feature.kind == "trend":
            late = self._sum(state, feature.of, feature.window)
            return late - (self._sum(state, feature.of, reach_of(feature)) - late)
        if feature.kind == "distinct":
            groups = [self._sum(state, of, feature.window) != 0 for _, of in feature.groups]
            return torch.stack(groups).sum(dim=0).to(torch.float32)
        if feature.kind == "decayed":
            return self._decayed(feature, state, bins)
        if feature.kind == "recency":
            return torch.clamp(lags[self.last_row(feature.of)], max=feature.window)
        if feature.kind == "ever":
            return (state.last[self.last_row(feature.of)] > _EVER).to(torch.float32)
        return self._streak(feature, state, lags, bins)

    def _streak(self, feature: Feature, state: RunningState, lags: Tensor, bins: Tensor) -> Tensor:
        """Events in the bins after the last one that ends the streak."""
        ended = lags[self.last_row(feature.until)]
        total = torch.zeros_like(bins)
        for ago, inside in enumerate(self._inside(feature, state, bins), start=1):
            total = total + torch.where(ended > ago, inside, 0.0)
        return total

    def _inside(self, feature: Feature, state: RunningState, bins: Tensor) -> Iterator[Tensor]:
        """A feature's events in each bin of its window, the last bin first, [n] f32 each."""
        at, row = self.place(feature.of, feature.window)
        first, *others = self.ring_sets[at][1][row]
        reach = bins - state.since  # bins before are another contact's
        for ago, bin_ in enumerate(state.ring[: feature.window], start=1):
            inside = bin_[first]
            for more in others:
                inside = inside + bin_[more]
            yield torch.where(reach >= ago, inside, 0.0)

    def _decayed(self, feature: Feature, state: RunningState, bins: Tensor) -> Tensor:
        """Events by their weight; added in 64 bits, exactly, and rounded once."""
        total = torch.zeros_like(bins, dtype=torch.float64)
        weights = decay_weights(feature).tolist()
        for weight, inside in zip(weights, self._inside(feature, state, bins), strict=True):
            total = total + inside.to(torch.float64) * weight
        return total.to(torch.float32)

    def _affinity(self, feature: Feature, state: RunningState, bins: Tensor) -> list[Tensor]:
        """Shrunken shares: whole numbers, divided once."""
        if feature.groups:
            some = [self._sum(state, of, feature.window) for _, of in feature.groups]
        else:
            slots = len(self.spec.clock.slots_hours)
            some = [torch.zeros_like(bins) for _ in range(slots)]
            for ago, inside in enumerate(self._inside(feature, state, bins), start=1):
                slot = torch.remainder(bins - ago, slots)
                some = [had + torch.where(slot == s, inside, 0.0) for s, had in enumerate(some)]
        total = self._sum(state, feature.of, feature.window)
        below = (total + feature.prior) * len(some)
        return [(one * len(some) + feature.prior) / below for one in some]

    def _stage(self, feature: Feature, lags: Tensor) -> list[Tensor]:
        """One-hot of the stage entered last; the later stage of the order wins a tie."""
        best = torch.full_like(lags[0], -_EVER)
        current = torch.full_like(best, -1.0)
        for position, (_, signal) in enumerate(feature.stages):
            lag = lags[self.last_row([signal])]
            newer = lag <= best
            best = torch.where(newer, lag, best)
            current = torch.where(newer, float(position), current)
        return _one_hot(current, len(feature.stages))


def _one_hot(place: Tensor, width: int) -> list[Tensor]:
    return [(place == position).to(torch.float32) for position in range(width)]

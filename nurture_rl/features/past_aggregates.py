"""What features of the past ask of each decision's events, in one pass over them.

Every sum is of whole numbers or of values on their grid: exact, so an engine may add in any order.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add, or_

import ibis
import ibis.expr.types as ir

from nurture_envs.features import NEVER, FeatureSpec
from nurture_envs.features.spec import WEIGHT_GRID, decay_steps, reach_of
from nurture_envs.journey import Feature
from nurture_rl.features.sql_bins import divided, mark

_SEEN = -NEVER // 2  # bins: an event longer ago than this never happened


class PastAggregates:
    """Aggregates by decision, each made once however many features read it.

    Columns are told before there is a table that holds them, as ibis's deferred values.

    Args:
        past: row, signal, value, lag and bin: one row per decision and event that it could know.
        spec: the declared features.
    """

    def __init__(self, past: ir.Table, spec: FeatureSpec) -> None:
        self._past, self._spec = past, spec
        self._wanted: dict[object, ir.Value] = {}  # by what they are

    def by_row(self) -> ir.Table | None:
        """The aggregates of every row that has events; None where nothing was asked."""
        if not self._wanted:
            return None
        named = {f"past_{place}": value for place, value in enumerate(self._wanted.values())}
        return self._past.group_by("row").aggregate(**named)

    def columns(self, feature: Feature) -> list[ir.Value]:
        """The columns of a feature of the past."""
        if feature.kind == "stage":
            return self._stage(feature)
        if feature.kind == "memory":
            agos = range(1, feature.window + 1)
            return [self._total(feature.of, ago, ago) for ago in agos]
        if feature.kind == "affinity":
            return _shares(self._groups(feature), float(feature.prior))
        return [self._column(feature)]

    def _column(self, feature: Feature) -> ir.Value:
        if feature.kind == "count":
            return self._total(feature.of, 1, feature.window)
        if feature.kind == "ratio":
            top, below = (self._total(of, 1, feature.window) for of in (feature.of, feature.over))
            # Two float32 numbers divided in float64 and rounded once give the float32 quotient.
            return ibis.ifelse(below != 0.0, top / ibis.ifelse(below != 0.0, below, 1.0), 0.0)
        if feature.kind == "trend":
            late = self._total(feature.of, 1, feature.window)
            return late - self._total(feature.of, feature.window + 1, reach_of(feature))
        if feature.kind == "decayed":
            return self._decayed(feature)
        if feature.kind == "distinct":
            return reduce(add, [mark(one > 0.0) for one in self._groups(feature)])
        if feature.kind == "streak":
            return self._streak(feature)
        since = self._since(feature.of)
        return (
            ibis.least(since, feature.window) if feature.kind == "recency" else mark(since < _SEEN)
        )

    def _asked(self, key: object, value: ir.Value, otherwise: float) -> ir.Value:
        """An aggregate in the joined table, `otherwise` where a row has no events."""
        self._wanted.setdefault(key, value)
        place = list(self._wanted).index(key)
        return ibis._[f"past_{place}"].fill_null(otherwise)

    def _total(self, names: Sequence[str], first: int, last: int) -> ir.Value:
        """Sum of channels from one bin back to another."""
        return self._sum(names, (first, last), self._past.lag.between(first, last))

    def _sum(self, names: Sequence[str], bins: object, near: ir.BooleanValue) -> ir.Value:
        parts: list[ir.Value] = []
        counts, values = _split(names)
        if counts:
            number = self._past.count(where=near & self._is_one_of(counts)).cast("float64")
            parts.append(self._asked(("count", counts, bins), number, 0.0))
        if values:
            total = self._past.value.sum(where=near & self._is_one_of(values))
            parts.append(self._asked(("value", values, bins), total, 0.0))
        return reduce(add, parts)

    def _since(self, names: Sequence[str]) -> ir.Value:
        lag = self._past.lag.min(where=self._is_one_of(names))
        return self._asked(("since", tuple(sorted(names))), lag, -NEVER)

    def _decayed(self, feature: Feature) -> ir.Value:
        steps = [(ago, int(step)) for ago, step in enumerate(decay_steps(feature), start=1) if step]
        near, weight = self._past.lag <= len(steps), self._past.lag.cases(*steps, else_=0)
        parts: list[ir.Value] = []
        for valued, names in enumerate(_split(feature.of)):
            if not names:
                continue
            amount = self._past.value * weight.cast("float64") if valued else weight
            # What counts nothing stays out: 0 times a negative value is -0.
            total = amount.sum(where=near & self._is_one_of(names)).cast("float64")
            key = ("decayed", names, feature.window, feature.half_life)
            parts.append(self._asked(key, total, 0.0))
        return reduce(add, parts) / float(WEIGHT_GRID)

    def _groups(self, feature: Feature) -> list[ir.Value]:
        """Events of each group that a feature tells apart."""
        if feature.groups:
            return [self._total(of, 1, feature.window) for _, of in feature.groups]
        slots = len(self._spec.clock.slots_hours)
        _, slot = divided(self._past.bin, slots)
        near = self._past.lag <= feature.window
        bins = [("slot", number, feature.window) for number in range(slots)]
        return [self._sum(feature.of, one, near & (slot == one[1])) for one in bins]

    def _streak(self, feature: Feature) -> ir.Value:
        """Events in the bins after the last one that ends the streak."""
        ended = self._since(feature.until)
        agos = range(1, feature.window + 1)
        each = [ibis.ifelse(ended > ago, self._total(feature.of, ago, ago), 0.0) for ago in agos]
        return reduce(add, each)

    def _stage(self, feature: Feature) -> list[ir.Value]:
        """One-hot of the stage entered last; the later stage of the order wins a tie."""
        lags = [self._since((signal,)) for _, signal in feature.stages]
        latest = ibis.least(*lags, _SEEN)
        current: ir.Value = ibis.literal(-1)
        for place, lag in enumerate(lags):
            current = ibis.ifelse(lag == latest, place, current)
        return [mark(current == place) for place in range(len(lags))]

    def _is_one_of(self, names: Sequence[str]) -> ir.BooleanValue:
        return is_one_of(self._past, self._spec, names)


def is_one_of(events: ir.Table, spec: FeatureSpec, names: Sequence[str]) -> ir.BooleanValue:
    """Whether an event adds to any of these channels; a value of 0 adds nothing."""
    counts, values = _split(names)
    tests: list[ir.BooleanValue] = []
    if counts:
        tests.append(_among(events.signal, [spec.channels.index(name) for name in counts]))
    if values:
        plain = [spec.channels.index(name.removesuffix(".value")) for name in values]
        tests.append(_among(events.signal, plain) & (events.value != 0.0))
    return reduce(or_, tests)


def _among(signal: ir.IntegerValue, places: list[int]) -> ir.BooleanValue:
    """Neighbouring signals, as a pattern of names makes them, are compared by their ends."""
    first, last = min(places), max(places)
    if len(set(places)) == last - first + 1:
        return signal == first if first == last else signal.between(first, last)
    return signal.isin(sorted(set(places)))


def _split(names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Channels of counts, and those of values; sorted."""
    values = {name for name in names if name.endswith(".value")}
    return tuple(sorted({*names} - values)), tuple(sorted(values))


def _shares(some: Sequence[ir.Value], prior: float) -> list[ir.Value]:
    """Shrunken shares: whole numbers divided once."""
    below = (reduce(add, some) + prior) * float(len(some))
    return [(one * float(len(some)) + prior) / below for one in some]

"""The compiled feature spec as arrays that loops read."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nurture_envs.features.spec import decay_weights, reach_of
from nurture_envs.journey import Feature
from nurture_envs.loops import past_features
from nurture_envs.loops.past_features import ColumnPlan
from nurture_envs.running_features import RunningFeatures

Wholes = NDArray[np.int64]
_Row = tuple[int, int, int, int]

_CALENDAR = {"bin": past_features.BIN, "slot": past_features.SLOT, "weekday": past_features.WEEKDAY}


def sets_of(running: RunningFeatures) -> tuple[Wholes, ...]:
    """The fields of `past.Sets`."""
    sums = [rows for _, sets in running.ring_sets for rows in sets]
    windows = [window for window, sets in running.ring_sets for _ in sets]
    return (
        _whole(running.kept),
        _whole(windows),
        *_joined(sums),
        *_joined([list(channels) for channels in running.lasts]),
    )


def plan_of(running: RunningFeatures) -> ColumnPlan:
    """How each feature column is worked out."""
    lists: list[int] = []
    weights: list[float] = []
    columns: list[_Row] = []
    attributes = 0
    for feature in running.spec.features:
        width = len(running.spec.names(feature))
        if feature.kind == "attribute":
            columns += [(past_features.ATTRIBUTE, attributes + i, 0, 0) for i in range(width)]
            attributes += width
        elif feature.kind == "affinity":
            columns += _shares(running, feature, lists)
        elif feature.kind == "distinct":
            columns.append((past_features.DISTINCT, len(lists), len(feature.groups), 0))
            lists += [_sum(running, of, feature.window) for _, of in feature.groups]
        elif feature.kind == "decayed":
            at = _sum(running, feature.of, feature.window), len(weights)
            columns.append((past_features.DECAYED, *at, feature.window))
            weights += decay_weights(feature).tolist()
        elif feature.kind in ("calendar", "stage", "memory"):
            columns += _together(running, feature, width)
        else:
            columns.append(_of_past(running, feature))
    table = np.array(columns, np.int64).reshape(-1, 4)
    return ColumnPlan(table, _whole(lists), np.array(weights, np.float64))


def _together(running: RunningFeatures, feature: Feature, width: int) -> list[_Row]:
    """The columns of a calendar, of stages or of a memory."""
    if feature.kind == "calendar":
        return [(_CALENDAR[feature.part], i, width, 0) for i in range(width)]
    if feature.kind == "stage":
        entered = [running.last_row((signal,)) for _, signal in feature.stages]
        return [(past_features.STAGE, i, width, entered[i]) for i in range(width)]
    totals = [_sum(running, feature.of, ago) for ago in range(1, width + 1)]
    later = [(past_features.DIFFERENCE, more, less, 0) for less, more in pairwise(totals)]
    return [(past_features.SUM, totals[0], 0, 0), *later]


def _shares(running: RunningFeatures, feature: Feature, lists: list[int]) -> list[_Row]:
    """The columns of an affinity; what they need goes to the end of `lists`."""
    whole, rows = _sum(running, feature.of, feature.window), []
    kind = past_features.SHARE if feature.groups else past_features.SLOT_SHARE
    width = len(running.spec.names(feature))
    for place in range(width):
        rows.append((kind, len(lists), 0, feature.window))
        if feature.groups:
            lists += [_sum(running, feature.groups[place][1], feature.window), whole]
        else:
            lists += [whole, place]
        lists += [width, feature.prior]
    return rows


def _of_past(running: RunningFeatures, feature: Feature) -> _Row:
    if feature.kind == "recency":
        return past_features.RECENCY, running.last_row(feature.of), 0, feature.window
    if feature.kind == "ever":
        return past_features.HAPPENED, running.last_row(feature.of), 0, 0
    top = _sum(running, feature.of, feature.window)
    if feature.kind == "count":
        return past_features.SUM, top, 0, 0
    if feature.kind == "trend":
        return past_features.TREND, top, _sum(running, feature.of, reach_of(feature)), 0
    if feature.kind == "ratio":
        return past_features.RATIO, top, _sum(running, feature.over, feature.window), 0
    return past_features.STREAK, top, running.last_row(feature.until), feature.window


def _sum(running: RunningFeatures, names: tuple[str, ...], window: int) -> int:
    """Row among the sums of all windows."""
    at, row = running.place(names, window)
    return sum(len(sets) for _, sets in running.ring_sets[:at]) + row


def _whole(values: Any) -> Wholes:
    return np.array(values, np.int64).reshape(-1)


def _joined(groups: list[list[int]]) -> tuple[Wholes, Wholes]:
    """Where each group begins and ends, and all their members."""
    ends = np.cumsum([0, *(len(group) for group in groups)])
    return _whole(ends), _whole([member for group in groups for member in group])

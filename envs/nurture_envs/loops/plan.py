"""The compiled feature spec as arrays that loops read."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nurture_envs.journey import Feature
from nurture_envs.loops import past
from nurture_envs.running_features import RunningFeatures

Wholes = NDArray[np.int64]

_CALENDAR = {"bin": past.BIN, "slot": past.SLOT, "weekday": past.WEEKDAY}


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


def columns_of(running: RunningFeatures) -> Wholes:
    """One row per feature column: kind, two numbers that say which, and a window."""
    plan: list[tuple[int, int, int, int]] = []
    attributes = 0
    for feature in running.spec.features:
        width = len(running.spec.names(feature))
        if feature.kind == "attribute":
            plan += [(past.ATTRIBUTE, attributes + i, 0, 0) for i in range(width)]
            attributes += width
        elif feature.kind == "calendar":
            plan += [(_CALENDAR[feature.part], i, width, 0) for i in range(width)]
        elif feature.kind == "stage":
            entered = [running.last_row((signal,)) for _, signal in feature.stages]
            plan += [(past.STAGE, i, width, entered[i]) for i in range(width)]
        elif feature.kind == "memory":
            totals = [_sum(running, feature.of, ago) for ago in range(1, width + 1)]
            plan.append((past.SUM, totals[0], 0, 0))
            plan += [(past.DIFFERENCE, more, less, 0) for less, more in pairwise(totals)]
        else:
            plan.append(_of_past(running, feature))
    return np.array(plan, np.int64).reshape(-1, 4)


def _of_past(running: RunningFeatures, feature: Feature) -> tuple[int, int, int, int]:
    if feature.kind == "recency":
        return past.RECENCY, running.last_row(feature.of), 0, feature.window
    if feature.kind == "ever":
        return past.HAPPENED, running.last_row(feature.of), 0, 0
    top = _sum(running, feature.of, feature.window)
    if feature.kind == "count":
        return past.SUM, top, 0, 0
    if feature.kind == "ratio":
        return past.RATIO, top, _sum(running, feature.over, feature.window), 0
    return past.STREAK, top, running.last_row(feature.until), feature.window


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

"""Features of a block of decisions from the events that each could know, added up in arrays.

Sums of 64 bits, as in the query: numbers on their grid are added exactly, in any order.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nurture_envs.features import NEVER, FeatureSpec, FeatureState, evaluate

_AT_ONCE = 4096  # decisions evaluated together: their sums stay in the processor's cache


def _narrow(spec: FeatureSpec) -> FeatureSpec:
    """The same features with no other channels than they read: smaller sums."""
    named = {name for f in spec.features for name in (*f.of, *f.over, *f.until)}
    named |= {signal for f in spec.features for _, signal in f.stages}
    kept = tuple(channel for channel in spec.channels if channel in named)
    return FeatureSpec(spec.features, kept, spec.clock)


def bytes_of_sums(spec: FeatureSpec) -> int:
    """Memory that one decision takes while its events are added up; 0: features read no events."""
    return len(_narrow(spec).channels) * (spec.window * 8 + 4)


def added_up(
    pairs: Iterable[pa.RecordBatch], decisions: pa.Table, spec: FeatureSpec
) -> NDArray[np.float32]:
    """The feature vectors of some decisions.

    Args:
        pairs: place (of the decision, from 0), signal, value and lag, in any order: one row for
            each decision and event that it could know, as `query.known_pairs` finds them.
        decisions: anchor_us, step (int64) and attribute_0, ... of each place.
        spec: the declared features.

    Returns:
        Features, [n, d], columns as `spec.columns`.
    """
    few = _narrow(spec)
    # No feature asks when a value was last seen: `last` is of counts alone.
    steps, anchors = (np.asarray(decisions[name]) for name in ("step", "anchor_us"))
    n, w, c = len(decisions), few.window, len(few.channels)
    ring, last = np.zeros(n * w * c), np.full(n * c, NEVER, np.int32)
    counts, values = _places(spec, few)
    for batch in pairs:
        place, signal, lag = (np.asarray(batch[name]) for name in ("place", "signal", "lag"))
        cell = (place * w + lag - 1) * c
        near = lag <= w
        for channels, amounts in ((counts, None), (values, np.asarray(batch["value"]))):
            channel = channels[signal]
            told = near & (channel >= 0)
            np.add.at(ring, (cell + channel)[told], 1.0 if amounts is None else amounts[told])
        channel = counts[signal]
        told = channel >= 0
        at, happened = place[told] * c + channel[told], (steps[place] - lag)[told]
        np.maximum.at(last, at, happened.astype(np.int32))
    rings, lasts = ring.reshape(n, w, c), last.reshape(n, c)
    attributes = np.empty((n, len(spec.attribute_columns)), np.float32)
    for i in range(attributes.shape[1]):
        attributes[:, i] = decisions[f"attribute_{i}"]
    made = np.empty((n, len(spec.columns)), np.float32)
    for first in range(0, n, _AT_ONCE):
        own = slice(first, first + _AT_ONCE)
        state = FeatureState(rings[own], lasts[own])
        made[own] = evaluate(few, state, steps[own], anchors[own], attributes[own])
    return made


def _places(spec: FeatureSpec, few: FeatureSpec) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where a signal is counted among the few channels and where its value is added; -1: nowhere.

    [signals] each, by the signal's place among all channels.
    """
    kept = {name: place for place, name in enumerate(few.channels)}
    counts = [kept.get(name, -1) for name in spec.channels]
    values = [kept.get(f"{name}.value", -1) for name in spec.channels]
    return np.array(counts, np.int64), np.array(values, np.int64)

"""What the loops of a bin hand each other; numba keeps them compiled until this file changes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nurture_envs.loops.guardrail_loops import LoopFacts, Tables
from nurture_envs.loops.past import Late, Past, Sets
from nurture_envs.loops.past_features import ColumnPlan

Floats = NDArray[np.float32]
Wholes = NDArray[np.int64]
Flags = NDArray[np.bool_]

HOUR_US, DAY_US = 3.6e9, 8.64e10

WIDTH = 512  # contacts of a tile, and of a row of scratch
LANES = 32  # contacts that loops of worlds take at a time

# Rows of scratch that a world's loops are handed; its latents follow.
KEY, ACTION, BINS, ANCHOR = range(4)  # of whole numbers
SENDS, TALKS, SHARE = range(3)  # of floats


class State(NamedTuple):
    """n contacts at the start of a bin; see `SimulationState`."""

    keys: Wholes  # [n]
    bins: Wholes  # [n]
    anchor: Wholes  # [n] microseconds
    paused: Wholes  # [n] first bin after the pause
    zone: Flags  # [n]
    consent: Flags  # [n]
    available: Flags  # [n]
    sends: NDArray[np.float64]  # [k, n] local hours, newest first, by `Tables.kept_from`
    attributes: Floats  # [columns, n]
    floats: Floats  # [.., n] latents by type
    wholes: Wholes
    flags: Flags
    colleague_sends: Floats  # [n]
    colleague_talks: Floats  # [n]
    past: Past


class Actions(NamedTuple):
    """What each of a actions is."""

    wait: int
    sends: Flags  # [a]
    calls: Flags
    leaves: Flags
    pauses: Wholes  # bins of a long pause, else 0
    slots: NDArray[np.float64]  # microseconds after midnight; below 0: at once
    kept: Wholes  # [a, w]: whose sends a send joins besides all, see `Tables.kept_from`; 0: no more
    made: Wholes  # channels that actions make, [m]
    effects: Floats  # [m, a]


class Worth(NamedTuple):
    """What a bin earns, and which channels end or begin something."""

    channels: Wholes
    weights: Floats
    prices: Floats  # of every action, [a]
    terminals: Wholes
    talks: Wholes


class LoopJourney(NamedTuple):
    """Everything of a journey that loops read."""

    actions: Actions
    worth: Worth
    sets: Sets
    late: Late
    plan: ColumnPlan
    rules: Tables
    conditions: Wholes  # [.., 3]: limited offer, feature column, comparison (see `deciding`)
    thresholds: Floats  # of each condition
    offers: int  # limited ones
    # [.., 4]: fact (see `_facts`), last time, most bins since (-1: ever), last time of what ends it
    standing: Wholes  # (-1: nothing)
    activity: int  # its last time, -1 where the journey does not ask
    probes: tuple[int, float]  # stream and share of the lot that lets them through
    intent: bool  # of everybody, where the journey asks for no signal
    offsets: NDArray[np.float64]  # microseconds from a period's start to each slot
    period: float  # microseconds
    horizon: int


class Model(NamedTuple):
    """A world's loops: a function of `emitting.SIGNATURE`, what it is handed, and its rows."""

    floats: Floats  # constants
    doubles: NDArray[np.float64]
    float_table: Floats
    whole_table: Wholes
    rows: Wholes  # see `Answers` and `Beginnings` in `binding`


class Shown(NamedTuple):
    """Memory of a decision: element i of row k at k * stride + i."""

    features: Floats
    mask: Flags
    reasons: NDArray[np.int32]
    stride: int


class Final(NamedTuple):
    """Last observations of episodes that ended, one row per contact; 0 where none did."""

    features: Floats  # [N, d]
    mask: Flags  # [N, a]
    reasons: NDArray[np.int32]  # [N, a]


class Result(NamedTuple):
    """What a bin brought, [n]."""

    action: Wholes
    refused: NDArray[np.int32]
    reward: Floats
    terminated: Flags
    truncated: Flags
    sent: Flags
    talked: Flags
    totals: NDArray[np.float64]  # [c]: channel sums of all contacts


class Scratch(NamedTuple):
    """Room for a tile."""

    floats: Floats
    wholes: Wholes
    flags: Flags
    doubles: NDArray[np.float64]
    facts: LoopFacts
    weekday: Floats  # [WIDTH]
    spare: Floats  # [2, WIDTH]
    ended: Wholes  # [WIDTH]: contacts whose episode is over
    fresh: State  # contacts at their first bin, [.., WIDTH]

"""Decisions as a foreign source gives them, and what their numbers stand for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
Texts = NDArray[np.object_]


@dataclass(frozen=True, slots=True, eq=False)
class Meaning:
    """What the numbers of a log stand for."""

    actions: tuple[str, ...]  # action k of the log, [a]
    features: tuple[str, ...]  # columns of the context, [d]
    factors: FloatArray  # factor columns of the actions, [a, k]
    unit: str = "reward"  # of every reward
    discount: float = 1.0  # per bin, in (0, 1]
    missing: tuple[float, ...] = ()  # numbers that the log writes where it has none


@dataclass(frozen=True, slots=True, eq=False)
class LoggedRows:
    """Decisions as a source gives them, before any check."""

    source: str  # file or object, for messages
    place: str  # what `line` counts: "line" or "row"
    line: IntArray  # 1-based, [n]
    meaning: Meaning
    action: IntArray  # position among the actions, -1 for none of them, [n]
    propensity: FloatArray  # NaN where missing, [n]
    reward: FloatArray  # NaN where missing, [n]
    contact: IntArray  # number of the contact, -1 where missing, [n]
    episode: IntArray  # number of the episode, [n]
    step: IntArray  # bin of the decision, [n]
    features: FloatArray  # [n, d]
    mask: BoolArray  # legal actions, [n, a]
    logged: FloatArray | None = None  # the logging policy's distribution, [n, a]
    terminal: BoolArray | None = None  # None: the last decision of each episode is, [n]
    targets: Mapping[str, FloatArray] = field(default_factory=dict)  # by policy, [n, a] each
    day: NDArray[np.datetime64] | None = None  # of the decision, [n]
    segments: Mapping[str, Texts] = field(default_factory=dict)  # labels by name, [n] each
    outcomes: Mapping[str, FloatArray] = field(default_factory=dict)  # beside the reward, [n] each
    faults: Texts | None = None  # why a row could not be read, "" where it could, [n]
    broken: tuple[RefusedRow, ...] = ()  # lines that are no row at all
    notes: tuple[str, ...] = ()  # what was assumed


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row that was set aside."""

    file: str
    line: int  # 1-based
    reason: str  # "<kind of problem>: <detail>"

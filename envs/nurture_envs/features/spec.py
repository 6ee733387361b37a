"""The columns that a journey's declared features make."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nurture_envs.clock import Clock
from nurture_envs.errors import JourneyError
from nurture_envs.journey import SLOT, Feature, Journey

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_OF_SOME_KINDS = ("half_life", "by", "groups", "prior")
_TRUTHS = ("true", "false")
_LARGEST = float(np.finfo(np.float32).max)
WEIGHT_GRID = 2**20  # steps per unit of weight
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True)
class FeatureSpec:
    """The features of a journey, bound to its channels and clock."""

    features: tuple[Feature, ...]
    channels: tuple[str, ...]
    clock: Clock

    @classmethod
    def of(cls, journey: Journey) -> FeatureSpec:
        """The spec a journey declares."""
        return cls(journey.features, journey.channels, journey.clock)

    @cached_property
    def window(self) -> int:
        """Completed bins the state must remember."""
        return max(reach_of(feature) for feature in self.features)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Names of the feature columns, in order."""
        return tuple(name for names in self.names_of_each for name in names)

    @cached_property
    def names_of_each(self) -> tuple[tuple[str, ...], ...]:
        """The columns that each feature makes."""
        return tuple(self.names(feature) for feature in self.features)

    @cached_property
    def places(self) -> Mapping[tuple[str, ...], tuple[int, ...]]:
        """Positions of the channels that features name together."""
        entered = [tuple(signal for _, signal in feature.stages) for feature in self.features]
        named = [part for f in self.features for part in (f.of, f.over, f.until)]
        named += [part for f in self.features for _, part in f.groups]
        return {names: tuple(self.channel_indices(names)) for names in (*named, *entered)}

    def names(self, feature: Feature) -> tuple[str, ...]:
        """The columns one feature makes."""
        if feature.kind == "attribute" and feature.levels:
            return tuple(f"{feature.name}={level}" for level in feature.levels)
        if feature.kind == "stage":
            return tuple(f"{feature.name}={stage}" for stage, _ in feature.stages)
        if feature.kind == "calendar" and feature.part == "weekday":
            return tuple(f"{feature.name}={day}" for day in _WEEKDAYS)
        if feature.kind == "calendar" and feature.part == "slot":
            return tuple(f"{feature.name}={i}" for i in range(len(self.clock.slots_hours)))
        if feature.kind == "memory":
            return tuple(f"{feature.name}@{ago}" for ago in range(1, feature.window + 1))
        if feature.kind == "affinity" and feature.by == SLOT:
            return tuple(f"{feature.name}={i}" for i in range(len(self.clock.slots_hours)))
        if feature.kind == "affinity":
            return tuple(f"{feature.name}={value}" for value, _ in feature.groups)
        return (feature.name,)

    def column(self, name: str) -> int:
        """Position of a feature column, for arrays of this process.

        Raises:
            JourneyError: there is no such column.
        """
        if name not in self.columns:
            raise JourneyError("features", [f"no feature column is called {name!r}"])
        return self.columns.index(name)

    def channel_indices(self, names: Sequence[str]) -> list[int]:
        """Positions of channels."""
        return [self.channels.index(name) for name in names]

    @cached_property
    def attribute_columns(self) -> tuple[str, ...]:
        """The columns that come from attributes, in order."""
        kinds = [feature for feature in self.features if feature.kind == "attribute"]
        return tuple(name for feature in kinds for name in self.names(feature))

    def encode_attributes(self, rows: Sequence[Mapping[str, Any]]) -> NDArray[np.float32]:
        """Numbers of the attribute columns, [n, attribute columns].

        A level nobody declared, or none, is all zeros; a number that is missing or cannot be read
        takes its default. Numbers and truths may be written as text.
        """
        encoded = np.zeros((len(rows), len(self.attribute_columns)), np.float32)
        for feature, start, columns_of in self._attributes:
            values = [row.get(feature.attribute) for row in rows]
            if not feature.levels:
                encoded[:, start] = [_number(value, feature.default) for value in values]
                continue
            for row, value in enumerate(values):
                for column in columns_of.get(_level(value), ()):
                    encoded[row, column] = 1.0
        return encoded

    @cached_property
    def _attributes(self) -> list[tuple[Feature, int, dict[str, list[int]]]]:
        """Features of attributes, the first column of each, and the columns of each level."""
        found, start = [], 0
        for feature in self.features:
            if feature.kind == "attribute":
                columns: dict[str, list[int]] = {}
                for column, level in enumerate(feature.levels, start):
                    columns.setdefault(_level(level), []).append(column)
                found.append((feature, start, columns))
                start += len(self.names(feature))
        return found

    @cached_property
    def hash(self) -> str:
        """Content hash of definitions, channels and clock."""
        content = [[_said(f) for f in self.features], self.channels, asdict(self.clock)]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def reach_of(feature: Feature) -> int:
    """Completed bins that a feature looks back on."""
    return 2 * feature.window if feature.kind == "trend" else feature.window


def decay_steps(feature: Feature) -> NDArray[np.int64]:
    """Weights of a decayed count for each bin back, [window], in steps of 1 / WEIGHT_GRID.

    An event of the last bin has the weight 1, WEIGHT_GRID steps. Products of steps and of values on
    their grid are whole numbers of 2**-10: sums of them in 64 bits are exact, whatever their order,
    while the decayed sum stays below 2**23. It is rounded once, to 32 bits.
    """
    exact = 0.5 ** (np.arange(feature.window) / feature.half_life)
    return np.asarray(np.rint(exact * WEIGHT_GRID), np.int64)


def decay_weights(feature: Feature) -> NDArray[np.float64]:
    """The same weights as numbers in [0, 1], [window]; exact."""
    return np.asarray(decay_steps(feature) / WEIGHT_GRID)


def _said(feature: Feature) -> dict[str, Any]:
    """A feature's fields; fields that only some kinds have are told where they say something."""
    said = asdict(feature)
    return {name: value for name, value in said.items() if value or name not in _OF_SOME_KINDS}


def attribute_number(value: Any) -> float | None:
    """The number an attribute says, also as text; None where it says none.

    What 32 bits cannot hold is none, and so are true and false.
    """
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value)
    fits = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if fits and abs(value) <= _LARGEST else None


def is_given(value: Any) -> bool:
    """Whether an attribute says anything at all; null and empty text do not."""
    return value is not None and not (isinstance(value, str) and not value.strip())


def _level(value: Any) -> str:
    """The level an attribute says: whole numbers without a point, truths as True and False."""
    if isinstance(value, str) and value.lower() in _TRUTHS:
        return value.capitalize()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _number(value: Any, default: float) -> float:
    number = attribute_number(value)
    return default if number is None else number

"""The columns that a journey's declared features make."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nurture_envs.clock import Clock
from nurture_envs.errors import JourneyError
from nurture_envs.journey import Feature, Journey

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
        return max(feature.window for feature in self.features)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Names of the feature columns, in order."""
        return tuple(name for feature in self.features for name in self.names(feature))

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

        A level nobody declared, or none, is all zeros; a missing number takes its default.
        """
        encoded = np.zeros((len(rows), len(self.attribute_columns)), np.float32)
        start = 0
        for feature in self.features:
            if feature.kind != "attribute":
                continue
            values = [row.get(feature.attribute) for row in rows]
            if feature.levels:
                for offset, level in enumerate(feature.levels):
                    encoded[:, start + offset] = [str(value) == level for value in values]
            else:
                encoded[:, start] = [_number(value, feature.default) for value in values]
            start += len(self.names(feature))
        return encoded

    @cached_property
    def hash(self) -> str:
        """Content hash of definitions, channels and clock."""
        content = [[asdict(f) for f in self.features], self.channels, asdict(self.clock)]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def _number(value: Any, default: float) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and np.isfinite(value):
        return float(value)
    return default

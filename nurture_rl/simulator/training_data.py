"""From logged decisions to what a fit may believe: late records and the policy's taste undone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nurture_envs.journey import Journey
from nurture_rl.errors import ConfigError
from nurture_rl.simulator.data import WorldData
from nurture_rl.simulator.delays import RecordingDelays, declared, estimate_delays, observed
from nurture_rl.simulator.weights import PropensityWeights, propensity_weights

WEIGHTINGS = ("propensity", "none")
DELAYS = ("fitted", "declared")


@dataclass(frozen=True, slots=True, eq=False)
class TrainingData:
    """What a world is fitted to, and how it was made of the log."""

    data: WorldData
    delays: RecordingDelays
    weights: PropensityWeights | None  # None: every decision counts alike

    def summary(self, journey: Journey) -> Mapping[str, Any]:
        """The numbers a reader needs to judge the evidence, as plain data."""
        late = self.delays.chance.T @ np.arange(len(self.delays.chance))
        columns = zip(
            journey.channels, late, self.delays.estimated, self.delays.events, strict=True
        )
        weights = self.weights
        return {
            "rows": int(self.data.usable.sum()),
            "not_matured": int((self.data.usable & ~self.data.matured).sum()),
            "weighted": weights is not None,
            "effective_rows": None if weights is None else weights.effective_rows,
            "clipped": None if weights is None else weights.clipped,
            "propensities_fitted": None if weights is None else weights.guessed,
            "delays": {
                name: {"mean_bins": float(mean), "events": int(events)}
                for name, mean, estimated, events in columns
                if estimated
            },
            "warnings": list(() if weights is None else weights.warnings),
        }


def training_data(data: WorldData, journey: Journey, weighting: str, delays: str) -> TrainingData:
    """Weigh the decisions and say how well each was observed.

    Args:
        data: logged decisions as read.
        journey: names channels and actions.
        weighting: "propensity" weighs each decision by how unlikely it was; "none" does not.
        delays: "fitted" estimates how late records are, and counts every bin that is over with the
            chance that its events are known; "declared" believes the journey, and leaves out bins
            that are not matured.

    Raises:
        ConfigError: no such weighting, or no such delays.
        FitError: a propensity is no chance, or the log does not say when it knew of its events.
    """
    require_words(weighting, delays)
    if delays == "fitted":
        late = estimate_delays(data, journey)
        data = observed(data, late)
    else:
        late = declared(journey)
        data = replace(data, exposure=None, delays=late.chance)
    weights = propensity_weights(data) if weighting == "propensity" else None
    return TrainingData(
        replace(data, weight=None if weights is None else weights.weight), late, weights
    )


def require_words(weighting: str, delays: str) -> None:
    """Refuse a word that means nothing before any work starts.

    Raises:
        ConfigError: no such weighting, or no such delays.
    """
    for name, got, known in (
        ("weighting", weighting, WEIGHTINGS),
        ("delays", delays, DELAYS),
    ):
        if got not in known:
            raise ConfigError(f"world.{name}: expected one of {', '.join(known)}, got {got!r}")

"""What a decision may know: the declared features and the state they are computed from."""

from nurture_envs.features.described import Column, Scale, described_columns
from nurture_envs.features.spec import FeatureSpec
from nurture_envs.features.state import (
    NEVER,
    FeatureState,
    History,
    evaluate,
    state_from_events,
)

__all__ = [
    "NEVER",
    "Column",
    "FeatureSpec",
    "FeatureState",
    "History",
    "Scale",
    "described_columns",
    "evaluate",
    "state_from_events",
]

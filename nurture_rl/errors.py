"""Errors of everything that reads logs, learns, evaluates and serves."""

from __future__ import annotations

from nurture_envs.errors import (
    ActionError,
    JourneyError,
    NurtureError,
    ProbabilityError,
    ShapeError,
    TimeZoneError,
    WorldError,
)


class LogError(NurtureError):
    """A log cannot be used at all: it is empty, or a whole table is missing."""


class LeakageError(NurtureError):
    """A feature would know what happened after its decision."""


class OverlapError(NurtureError):
    """The target policy takes actions that the log never could have shown."""


class SameEstimateError(NurtureError):
    """An estimator would only repeat what another one already says of this log."""


class PropensityError(NurtureError):
    """A propensity is missing, zero, above one, or not what the logged distribution says."""


class ConfigError(NurtureError):
    """A setting is missing, misspelt or of the wrong kind."""


class FitError(NurtureError):
    """A model cannot be fitted to this data."""


class BundleError(NurtureError):
    """A policy bundle is incomplete, altered, or made for another schema."""


class DeliveryError(NurtureError):
    """Mail cannot be delivered as asked; nothing went out for what the message names."""


class GateRefusal(NurtureError):
    """The evidence does not carry a release; the message says which part and why."""


__all__ = [
    "ActionError",
    "BundleError",
    "ConfigError",
    "DeliveryError",
    "FitError",
    "GateRefusal",
    "JourneyError",
    "LeakageError",
    "LogError",
    "NurtureError",
    "OverlapError",
    "ProbabilityError",
    "PropensityError",
    "SameEstimateError",
    "ShapeError",
    "TimeZoneError",
    "WorldError",
]

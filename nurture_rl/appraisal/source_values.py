"""What each source of a log is worth to a policy that is learned from it, as a record."""

from __future__ import annotations

from dataclasses import dataclass

from nurture_rl.appraisal.action_sensitivity import ActionSensitivity


@dataclass(frozen=True, slots=True)
class Loss:
    """What a policy earns less, the journey's unit, with its interval."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class SourceValue:
    """One source, and the policy learned again without it."""

    source: str
    columns: tuple[str, ...]  # features that it brings
    knows: float | None  # share of decisions that knew an event of it; None: not of events
    sensitivity: ActionSensitivity  # of the policy as it is
    loss: Loss | None  # by the held-out log; None: the log cannot tell
    true_loss: Loss | None  # in the reference world; None where nobody knows it


@dataclass(frozen=True, slots=True)
class FeatureBinding:
    """One feature, and whether any decision hangs on it."""

    feature: str
    sources: tuple[str, ...]
    sensitivity: ActionSensitivity


@dataclass(frozen=True, slots=True)
class SourcesReport:
    """All of it."""

    policy: str
    unit: str
    level: float  # of all losses by the log together
    estimator: str | None  # that the losses by the log rest on
    decisions: int  # of held-out contacts, with a choice
    value: float | None  # of the policy with all sources, by the log
    sources: tuple[SourceValue, ...]
    features: tuple[FeatureBinding, ...]  # what moves most first

    @property
    def unbound(self) -> tuple[str, ...]:
        """Features that move no decision."""
        return tuple(one.feature for one in self.features if not one.sensitivity.bound)

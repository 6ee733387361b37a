"""The record of every check: what was found, how bad it is and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from nurture_rl.ope.checks.exploration import ExplorationPlan


class Severity(StrEnum):
    """What a finding means for the numbers that follow."""

    OK = "ok"  # as it should be
    WARN = "warn"  # the numbers stand, with this said beside them
    REFUSE = "refuse"  # no number


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check."""

    code: str  # machine-readable, such as "mean-weight-week"
    severity: Severity
    numbers: Mapping[str, float]  # what it rests on
    sentence: str  # what was found
    advice: str = ""  # what to do; empty when all is well


@dataclass(frozen=True, slots=True)
class MixingStep:
    """How far from the logging policy toward the target a log still carries trajectory weights."""

    alpha: float  # (1 - alpha) logging + alpha target, in [0, 1]
    predicted_ess: float  # episodes, at that step
    full_ess: float  # episodes, at the target itself
    min_ess: float  # what was asked for
    horizon: int  # decisions whose weights are multiplied


@dataclass(frozen=True, slots=True)
class LogChecks:
    """All findings about a log, or about a target policy on it."""

    findings: tuple[Finding, ...]
    exploration: ExplorationPlan | None = None  # where the log was left too little to chance
    mixing: MixingStep | None = None  # of a target policy

    @property
    def severity(self) -> Severity:
        """The worst of the findings."""
        severities = {finding.severity for finding in self.findings}
        for worst in (Severity.REFUSE, Severity.WARN):
            if worst in severities:
                return worst
        return Severity.OK

    def of(self, severity: Severity) -> tuple[Finding, ...]:
        """The findings of one severity."""
        return tuple(finding for finding in self.findings if finding.severity == severity)


@dataclass(frozen=True, slots=True)
class CheckThresholds:
    """From where on a check warns or refuses."""

    min_ess: float = 100.0  # episodes; below, weights are refused
    max_weight_share: float = 0.05  # of all weight on one episode; above, refused
    max_support_gap: float = 0.01  # mean target mass where the log had none; above, refused
    warn_p: float = 0.01  # family-wise p from which a group of tests warns
    refuse_p: float = 1e-4  # family-wise p from which wrong propensities are refused
    min_tail_index: float = 2.0  # Hill index of the weights; below, their variance may not exist
    max_top_mass: float = 0.1  # of all weight on the heaviest 0.1 % of episodes; above, a warning
    max_censored: float = 0.01  # share of decisions not yet matured; above, a warning
    refuse_censored: float = 0.2  # above, refused
    max_shift: float = 0.1  # of a week's mean, in standard deviations; above, drift is worth a word
    max_calibration_error: float = 0.05  # mean distance of a predicted from a seen probability
    half_width: float | None = None  # wanted of each action's mean reward, for exploration plans


def by_p(p: float, thresholds: CheckThresholds) -> Severity:
    """How bad a family-wise p is."""
    if p < thresholds.refuse_p:
        return Severity.REFUSE
    return graded(p < thresholds.warn_p, Severity.WARN)


def graded(failed: bool, severity: Severity) -> Severity:
    """`severity` when the check failed, else ok."""
    return severity if failed else Severity.OK

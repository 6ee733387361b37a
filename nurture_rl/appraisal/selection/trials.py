"""What trials on parts of a log say of estimators' errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nurture_rl.appraisal.selection.choice import EstimatorChoice, EstimatorScore, choose
from nurture_rl.ope.estimators import ValueEstimate
from nurture_rl.ope.suite import Answers


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """Estimators asked on some contacts for what was also estimated without bias on others."""

    found: Answers
    other: ValueEstimate  # the unbiased estimate
    share: float  # of an estimator's variance here that is left at the size it is chosen for


def choose_by_trials(trials: Sequence[Trial], method: str) -> EstimatorChoice:
    """Rank estimators by the error that independent estimates of the same values show.

        bias^2 = max(mean[(V - U)^2 - var V - var U], 0),    mse = bias^2 + mean[share var V]

    An estimator that refused in any trial is not ranked.

    Raises:
        OverlapError: every estimator refused in some trial.
    """
    refusals: dict[str, str] = {}
    for trial in trials:
        refusals.update(trial.found.refusals)
    asked = [name for name in trials[0].found.estimates if name not in refusals]
    return choose([_score(trials, name) for name in asked], refusals, method)


def _score(trials: Sequence[Trial], name: str) -> EstimatorScore:
    own = [trial.found.estimates[name] for trial in trials]
    pairs = list(zip(own, trials, strict=True))
    excess = [
        (one.value - trial.other.value) ** 2 - one.stderr**2 - trial.other.stderr**2
        for one, trial in pairs
    ]
    bias_squared = max(float(np.mean(excess)), 0.0)
    variance = float(np.mean([trial.share * one.stderr**2 for one, trial in pairs]))
    return EstimatorScore(name, bias_squared + variance, bias_squared, variance)


def settings_problem(
    targets: Mapping[str, object], estimators: Mapping[str, object], splits: int, share: float
) -> str | None:
    """What is wrong with a selection's settings, None when nothing is."""
    if targets and estimators and splits >= 1 and 0.0 < share < 1.0:
        return None
    return (
        f"expected targets, estimators, splits and a share in (0, 1), got {len(targets)}, "
        f"{len(estimators)}, {splits} and {share}"
    )

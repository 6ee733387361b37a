"""How much sooner a stage is reached: the restricted mean of a time that not all have finished."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nurture_rl.errors import ShapeError
from nurture_rl.lift.contrast import BoolArray, Contrast, FloatArray

IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class StageTimes:
    """Whole days from enrolment until a stage, of every contact."""

    days: IntArray  # days watched: until the stage, or until the end of what is known, [n], >= 0
    reached: BoolArray  # the stage came on the last day watched, [n]
    unit: IntArray  # what was dealt to arms: position among units, [n]


def velocity_contrast(treated: BoolArray, times: StageTimes, horizon: int) -> Contrast:
    """Difference of the mean days to a stage within a horizon; below 0: the treated are sooner.

        h_k = d_k / Y_k                              chance of the stage on day k, of Y_k at risk
        mu = sum_{j < horizon} prod_{k <= j} (1 - h_k)        days without it, per arm

    Who is not yet there counts with the days watched (Kaplan-Meier); a mean over finished ones
    would call a programme fast that finishes its easy cases alone. Who left for good never gets
    there and is watched on. The difference is not adjusted for covariates.

    Args:
        treated: which units have the arm that is asked about, [u].
        times: of the contacts.
        horizon: days after which a contact counts as `horizon` days, above 0.

    Raises:
        ShapeError: an arm has fewer than two units, or nobody who was watched for a whole day.

    Source: Royston & Parmar (2013), Restricted mean survival time; influence by the delta method
        on the hazards.
    """
    arm = treated[times.unit]
    (first, one), (second, other) = (
        _restricted_mean(times, arm == side, treated.size, horizon) for side in (True, False)
    )
    influence = one - other
    m = np.array([np.unique(times.unit[arm == side]).size for side in (True, False)])
    if m.min() < 2:
        raise ShapeError(f"expected at least 2 units in each arm, got {m.tolist()}")
    scale = np.where(treated, np.sqrt(m[0] / (m[0] - 1.0)), np.sqrt(m[1] / (m[1] - 1.0)))
    influence = influence * scale
    gain = first - second
    error = float(np.sqrt(np.square(influence).sum()))
    return Contrast(first, second, gain, error, influence, gain, 0.0)


def watched_share(times: StageTimes, horizon: int, units: int) -> float:
    """Units whose following-up is over, counting who is half-way as half a unit, [0, units].

    Information on a restricted mean grows as contacts are watched, not as they are enrolled.
    """
    done = np.where(times.reached, 1.0, np.minimum(times.days / horizon, 1.0))
    contacts = np.maximum(np.bincount(times.unit, minlength=units), 1)
    return float((np.bincount(times.unit, weights=done, minlength=units) / contacts).sum())


def _restricted_mean(
    times: StageTimes, chosen: BoolArray, units: int, horizon: int
) -> tuple[float, FloatArray]:
    """Days without the stage within the horizon, and the influence of each unit, [u]."""
    days, reached = times.days[chosen], times.reached[chosen]
    at_risk, came = _counts(days, reached, horizon)
    if at_risk[0] == 0:
        raise ShapeError("expected contacts that were watched for a day in each arm; wait longer")
    hazard = np.divide(came, at_risk, out=np.zeros(horizon), where=at_risk > 0)
    survival = np.cumprod(1.0 - hazard)
    later = np.ones(horizon)  # days still to come, of who is without it at the end of day k
    for k in range(horizon - 2, -1, -1):
        later[k] = 1.0 + (1.0 - hazard[k + 1]) * later[k + 1]
    before = np.append(1.0, survival[:-1])
    slope = -before * later  # of the mean in h_k
    per_day = np.divide(slope, at_risk, out=np.zeros(horizon), where=at_risk > 0)
    # A contact adds slope_k (event - h_k) / Y_k on each day at risk: a running sum of the h part.
    running = np.append(0.0, np.cumsum(per_day * hazard))
    watched = np.minimum(days, horizon)
    event = reached & (days < horizon)
    ends = np.where(event, watched + 1, watched)
    own = np.where(event, per_day[np.minimum(days, horizon - 1)], 0.0) - running[ends]
    influence = np.bincount(times.unit[chosen], weights=own, minlength=units)
    return float(survival.sum()), np.asarray(influence, np.float64)


def _counts(days: IntArray, reached: BoolArray, horizon: int) -> tuple[FloatArray, FloatArray]:
    """Contacts at risk on each day, and those whose stage came on it, [horizon].

    A contact watched for D whole days without the stage was at risk on days 0 to D - 1; one whose
    stage came on day D was at risk on it too.
    """
    last = np.where(reached, days, days - 1)
    ends = np.bincount(np.clip(last + 1, 0, horizon), minlength=horizon + 1)
    at_risk = days.size - np.cumsum(ends)[:horizon]
    inside = reached & (days < horizon)
    came = np.bincount(days[inside], minlength=horizon)[:horizon]
    return at_risk.astype(np.float64), came.astype(np.float64)

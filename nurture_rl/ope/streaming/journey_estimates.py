"""Sequential estimates from sums over blocks, equal to the estimators in memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nurture_rl.errors import OverlapError
from nurture_rl.ope.checks.feasibility import predicted_ess
from nurture_rl.ope.diagnostics import Overlap
from nurture_rl.ope.estimators import ValueEstimate
from nurture_rl.ope.log import FloatArray
from nurture_rl.ope.streaming.estimates import clustered_estimate
from nurture_rl.ope.streaming.journey_sums import (
    FamilySums,
    JourneyErrors,
    JourneySums,
    StepSums,
)
from nurture_rl.ope.weighting.slope import half_width, narrowest, reaching_over


@dataclass(frozen=True, slots=True, eq=False)
class JourneySummary:
    """A policy's sums over the whole log, and what they belong to."""

    sums: JourneySums
    errors: JourneyErrors
    start: FloatArray  # the model's value of what each contact begins with, summed, [C]
    episodes: FloatArray  # of each contact, [C]

    @property
    def n_episodes(self) -> int:
        """Episodes, E."""
        return int(self.episodes.sum())

    @property
    def ess(self) -> FloatArray:
        """Effective sample size under the weights up to each decision, [H]."""
        steps = self.sums.steps
        over = np.where(steps.largest > 0.0, steps.largest, 1.0)
        square = np.where(steps.square > 0.0, steps.square, 1.0)
        return np.asarray((steps.weight / over) ** 2 / square)


def mean_by_contact(totals: FloatArray, episodes: FloatArray, ess: float) -> ValueEstimate:
    """The mean over episodes of what each contact sums up, [C]."""
    n = float(episodes.sum())
    value = float(totals.sum() / n)
    return clustered_estimate(value, (totals - value * episodes) / n, int(n), ess)


def journey_estimates(of: JourneySummary) -> dict[str, ValueEstimate]:
    """Every estimate that blocks of contacts tell, tuned ones included.

    `snips` and `wdr` are missing where all weights of some step are 0.
    """
    sums, ess = of.sums, float(of.ess[-1])
    weighted, corrected = sums.contacts.T
    estimates = {
        "ips": mean_by_contact(weighted, of.episodes, ess),
        "dm": mean_by_contact(of.start, of.episodes, float(of.n_episodes)),
        "dr": mean_by_contact(corrected, of.episodes, ess),
    }
    if (sums.steps.weight > 0.0).all():
        estimates |= _normalised(of, estimates["dm"], ess)
    unbiased = {"clipped_ips": "ips", "switch_dr": "dr", "dros": "dr"}
    for name, base in unbiased.items():
        estimates[name] = _tuned(sums.families[name], estimates[base], of.episodes)
    return estimates


def no_overlap(steps: StepSums, n_episodes: int) -> OverlapError:
    """Why self-normalised estimates have no answer."""
    dead = int(np.flatnonzero(steps.weight <= 0.0)[0])
    return OverlapError(
        f"all {n_episodes} importance weights are 0 from decision {dead} of the episodes on: the "
        "target policy never does what was logged; compare the action sets, or log with more "
        "exploration"
    )


def journey_overlap(of: JourneySummary, support_gap: float | None) -> Overlap:
    """How much of the log a policy can use, not yet held against thresholds.

    Args:
        of: its sums.
        support_gap: mean target mass where the log had none; None where that is not known.
    """
    steps, n, contacts = of.sums.steps, of.n_episodes, of.episodes.size
    ess, total = of.ess, float(steps.weight[-1])
    stderr = np.full(steps.weight.size, np.inf)
    if contacts > 1:
        stderr = np.sqrt(contacts / (contacts - 1) * of.errors.weight)
    return Overlap(
        n_episodes=n,
        n_clusters=contacts,
        ess=float(ess[-1]),
        ess_by_step=ess,
        predicted_ess=predicted_ess(n, steps.second / n),
        max_weight_share=float(steps.largest[-1]) / total if ess[-1] > 0.0 else 1.0,
        mean_weight=steps.weight / n,
        mean_weight_stderr=stderr,
        support_gap=support_gap,
        feasible=False,
        reason="",
    )


def _normalised(of: JourneySummary, dm: ValueEstimate, ess: float) -> dict[str, ValueEstimate]:
    steps, n = of.sums.steps, of.n_episodes
    plain, corrected = of.errors.contacts.T
    gain = float((steps.gain / steps.weight).sum())
    beyond = float((steps.difference / steps.weight).sum())
    return {
        "snips": clustered_estimate(gain, plain, n, ess),
        "wdr": clustered_estimate(dm.value + beyond, dm.influence + corrected, n, ess),
    }


def _tuned(sums: FamilySums, unbiased: ValueEstimate, episodes: FloatArray) -> ValueEstimate:
    """What `tuned` says of the candidates, by their sums; the first of them is `unbiased`."""
    n, contacts = float(episodes.sum()), episodes.size
    value = sums.total / n
    shared = np.outer(value, sums.episodes)
    covariance = sums.products - shared - shared.T
    covariance = (covariance + float(episodes @ episodes) * np.outer(value, value)) / n**2
    correction = contacts / max(contacts - 1, 1)

    def width(square: float) -> float:
        return half_width(float(np.sqrt(correction * max(square, 0.0))), contacts)

    def apart(i: int, j: int) -> float:
        return width(covariance[i, i] + covariance[j, j] - 2.0 * covariance[i, j])

    half = np.array([width(square) for square in np.diagonal(covariance)])
    return reaching_over(unbiased, float(value[narrowest(value.tolist(), half, apart)]))

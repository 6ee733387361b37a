"""The interval that holds for what an estimate rests on, and why that one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import special

from nurture_rl.errors import ShapeError
from nurture_rl.ope.bounds.few import Component, binomial_interval, sum_of_parts, weighted_poisson
from nurture_rl.ope.bounds.interval import Interval, require_level
from nurture_rl.ope.bounds.rare_outcomes import RareOutcomes
from nurture_rl.ope.bounds.skewed import skewed_interval, skewness_of
from nurture_rl.ope.clusters import clustered_stderr
from nurture_rl.ope.estimators import ValueEstimate
from nurture_rl.ope.log import FloatArray
from nurture_rl.ope.ties import negligible
from nurture_rl.wording import counted

FEW_OUTCOMES = 200.0  # equally weighted outcomes below which a count is no mean yet
SKEWED = 0.05  # skewness of the error from which plain t misses on one side
FEW_DOF = 200.0  # degrees of freedom of the standard error below which it is itself uncertain


def clustered_interval(value: float, stderr: float, n_clusters: int, level: float) -> Interval:
    """value +- t(C-1) stderr, unbounded when there is one contact.

    Args:
        value: the estimate.
        stderr: its standard error, clustered by contact.
        n_clusters: contacts, C.
        level: stated coverage, in (0, 1).

    Source: Cameron & Miller (2015), A Practitioner's Guide to Cluster-Robust Inference, sec. VI.
    """
    require_level(level)
    if n_clusters < 2:
        return Interval(-np.inf, np.inf, level, "clustered-t")
    half = float(special.stdtrit(n_clusters - 1, 0.5 + level / 2.0)) * stderr
    return Interval(value - half, value + half, level, "clustered-t")


def interval_by_contact(value: float, influence: FloatArray, level: float) -> Interval:
    """The clustered t interval, corrected where the contacts' errors are skewed or heavy.

    Args:
        value: the estimate.
        influence: its error split by contact, [C].
        level: stated coverage, in (0, 1).
    """
    tail = skewness_of(influence)
    heavy = abs(tail.skewness) > SKEWED or tail.dof < min(FEW_DOF, influence.size - 1.0)
    if influence.size < 2 or not heavy:
        interval = clustered_interval(value, clustered_stderr(influence), influence.size, level)
        contacts = counted(influence.size, "contact")
        return replace(interval, reason=f"{contacts}, and no single one dominates the error")
    return replace(
        skewed_interval(value, influence, level),
        reason=f"few contacts dominate the error: skewness {tail.skewness:+.2f}, "
        f"{tail.dof:.0f} degrees of freedom",
    )


def chosen_interval(
    estimate: ValueEstimate, level: float, outcomes: RareOutcomes | None = None
) -> Interval:
    """The interval of an estimate that holds for the outcomes and contacts it rests on.

    1. A share of matched outcomes with one weight: exact binomial.
    2. Few matched outcomes of unequal weights, or in clusters, or with a model's help: weighted
       Poisson for the outcomes, joined with the interval of the rest.
    3. Skewed or heavy contacts: skewness-corrected t.
    4. Otherwise the t interval clustered by contact.

    Args:
        estimate: an estimate whose outcomes enter with the full importance weights, if `outcomes`
            are given: ips, snips, dr and sndr, not dm, clipped or switched ones.
        level: stated coverage, in (0, 1).
        outcomes: what `rare_outcomes` found for the same log and policy; without them rules 1 and 2
            do not apply.

    Returns:
        The interval; `method` says which and `reason` why.

    Raises:
        ShapeError: outcomes of other contacts, or a level outside (0, 1).
    """
    return chosen_for(estimate.value, estimate.influence, level, outcomes)


def chosen_for(
    value: float, influence: FloatArray, level: float, outcomes: RareOutcomes | None
) -> Interval:
    """`chosen_interval` of anything that has a value and an error split by contact."""
    require_level(level)
    if outcomes is None:
        return interval_by_contact(value, influence, level)
    if outcomes.gained.shape != influence.shape:
        raise ShapeError(
            f"the outcomes belong to {outcomes.gained.size} contacts, the estimate to "
            f"{influence.size}; take both from one log"
        )
    rest = value - outcomes.net
    remainder = influence - outcomes.influence()
    size = float(np.abs(influence).sum())
    alone = bool(negligible(rest, value) & negligible(np.abs(remainder).sum(), size))
    share = outcomes.share
    if share is not None and alone:
        exact = binomial_interval(share.successes, share.trials, level, share.scale)
        return replace(
            exact,
            reason=f"{counted(share.successes, 'matched outcome')} of one weight in "
            f"{counted(share.trials, 'episode')}",
        )
    if not outcomes.sparse or outcomes.effective >= FEW_OUTCOMES:
        return interval_by_contact(value, influence, level)
    other = interval_by_contact(rest, remainder, level)
    joined = sum_of_parts(
        weighted_poisson(outcomes.gained, outcomes.further_gain, level),
        weighted_poisson(outcomes.lost, outcomes.further_loss, level),
        Component(rest, rest, rest) if alone else Component(rest, other.lower, other.upper),
    )
    return Interval(
        joined.lower,
        joined.upper,
        level,
        "weighted-poisson",
        f"{counted(outcomes.matched, 'matched outcome')} worth {outcomes.effective:.0f} of one "
        f"weight, fewer than {FEW_OUTCOMES:.0f}",
    )

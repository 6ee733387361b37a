"""Limits on harms: whether the log allows a policy to do more harm than is acceptable.

A limit is set on an upper bound. What the log cannot bound may be anything, so it breaks the limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf

from nurture_rl.appraisal.estimation import outcomes_of
from nurture_rl.appraisal.evaluation import LOGGED
from nurture_rl.appraisal.risk.harm import harm_bound
from nurture_rl.errors import OverlapError
from nurture_rl.ope.estimators import ips
from nurture_rl.ope.intervals import SAME, paired_difference
from nurture_rl.ope.log import EvaluationLog, FloatArray
from nurture_rl.ope.ties import alike


@dataclass(frozen=True, slots=True, eq=False)
class Limit:
    """A harm that must stay rare."""

    name: str
    per: str  # "contact", "decision" or "send"
    events: FloatArray  # of each decision, [N]
    exposure: FloatArray | None  # what `at_most` is counted over, [N]; None: contacts
    at_most: float | None
    above_reference: float | None  # per contact


@dataclass(frozen=True, slots=True)
class LimitKept:
    """One policy held against a limit; a bound is infinite where the log cannot give one."""

    rate: float  # events per `per`
    upper: float
    added: float | None  # upper bound of what it adds to the reference's, per contact
    kept: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class LimitFinding:
    """A limit, and who keeps to it."""

    name: str
    per: str
    at_most: float | None
    above_reference: float | None
    level: float  # chance that an upper bound is no smaller than the rate, each by itself
    policies: Mapping[str, LimitKept]


def limit_finding(
    log: EvaluationLog,
    limit: Limit,
    carried: Mapping[str, FloatArray],
    policies: tuple[str, ...],
    reference: str,
    level: float,
) -> LimitFinding:
    """Hold every policy against a limit.

    Args:
        log: the decisions.
        limit: the harm and what is acceptable.
        carried: chances of the logged actions under the policies to be believed, and as logged,
            [N] each.
        policies: names of all that are asked about.
        reference: one of them, or "logged".
        level: stated coverage of the bounds.
    """
    kept = {name: _held(log, limit, carried, name, reference, level) for name in policies}
    told = (limit.at_most, limit.above_reference, level)
    return LimitFinding(limit.name, limit.per, *told, kept)


def _held(
    log: EvaluationLog,
    limit: Limit,
    carried: Mapping[str, FloatArray],
    name: str,
    reference: str,
    level: float,
) -> LimitKept:
    if name not in carried or not (carried[name] > 0.0).any():
        sentence = f"this log cannot bound {limit.name} of {name!r}, so the limit is not kept"
        return LimitKept(inf, inf, None, False, sentence)
    bound = harm_bound(log, carried[name], limit.events, level, limit.exposure)
    kept, parts = True, []
    if limit.at_most is not None:
        kept = bound.upper <= limit.at_most
        parts.append(f"at most {bound.upper:.3g} per {limit.per}, {limit.at_most:g} is the limit")
    added = None
    if limit.above_reference is not None and name != reference:
        added = _added(log, limit, carried, (name, reference), level)
        kept &= added <= limit.above_reference
        parts.append(
            f"at most {added:.3g} per contact beyond {reference!r}, {limit.above_reference:g} is "
            "the limit"
        )
    sentence = f"{limit.name} of {name!r}: {'; '.join(parts)}"
    return LimitKept(bound.rate, bound.upper, added, bool(kept), sentence)


def _added(
    log: EvaluationLog,
    limit: Limit,
    carried: Mapping[str, FloatArray],
    pair: tuple[str, str],
    level: float,
) -> float:
    """Upper bound of a policy's events per contact less the reference's, contact by contact."""
    if pair[1] not in carried:
        return inf
    counted = replace(log, reward=limit.events, discount=1.0)
    mine, base = (carried[one] for one in pair)
    if alike(mine, base).all():
        return 0.0
    try:
        gap = paired_difference(
            ips(counted, mine), ips(counted, base), level, outcomes_of(counted, mine, base)
        )
    except OverlapError:
        return inf
    if gap.interval.method == SAME:  # no event was seen that tells them apart; one may come
        return harm_bound(log, mine, limit.events, level).upper
    return gap.interval.upper


def broken(limits: tuple[LimitFinding, ...], name: str) -> tuple[str, ...]:
    """The limits that a policy does not keep to, in words."""
    held = [limit.policies[name] for limit in limits if name != LOGGED]
    return tuple(one.sentence for one in held if not one.kept)

"""How long a trust region may be, by contacts that the policy inside it was not learned from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf, nan, sqrt

import numpy as np

from nurture_rl.appraisal.estimation import AUTO, FALLBACKS, EvaluationConfig, evaluate_policies
from nurture_rl.appraisal.evaluation import LOGGED, PolicyEvaluation
from nurture_rl.errors import NurtureError
from nurture_rl.ope.diagnostics import (
    Overlap,
    OverlapThresholds,
    held_against,
    overlap,
    require_exploration,
)
from nurture_rl.ope.log import EvaluationLog
from nurture_rl.ope.targets import TabulatedPolicy, TargetOnLog, TargetPolicy, target_on_log


@dataclass(frozen=True, slots=True)
class JudgedRatio:
    """What the contacts kept aside say of a policy inside a trust region of one length."""

    max_ratio: float  # largest importance ratio to the logging policy
    ess: float  # effective sample size on the contacts kept aside, episodes
    expected_ess: float  # the same, to be expected on the contacts of the release, episodes
    carried: bool  # those will be able to judge the policy
    reason: str  # what was met, or what was not
    difference: float  # policy less reference, the log's unit per episode; NaN: not asked
    lower: float  # bound of it, to be expected on the contacts of the release; NaN: not asked


@dataclass(frozen=True, slots=True)
class ChosenRatio:
    """The length of a trust region, and the figures that it was chosen by."""

    max_ratio: float
    reason: str
    reference: str  # whom the policy is compared with
    unit: str  # of the differences, per episode
    episodes: int  # of the contacts kept aside
    release_episodes: int  # of the contacts that the release is judged on
    ratios: tuple[JudgedRatio, ...]  # all that were tried, the shortest first


def choose_ratio(
    log: EvaluationLog,
    inside: Mapping[float, TargetPolicy],
    reference: TargetPolicy | None,
    name: str,
    release_episodes: int,
    rng: np.random.Generator,
    config: EvaluationConfig,
) -> ChosenRatio:
    """Choose the length of a trust region that the release will be able to show most of.

    Of the lengths up to the first that the contacts of the release could not carry, it is the one
    of the highest lower bound of the paired difference to the reference, the shorter of two alike;
    the shortest of all where none can be carried. The bound is that of the contacts kept aside,
    with its distance to the estimate shrunk to as many contacts as the release has:

        expected bound = difference - (difference - bound) sqrt(n aside / n release)

    The effective sample grows, and the largest share of the weight falls, in proportion to n.

    The policy must not have been learned from these contacts: it would know the luck of each, and
    the longest region would always look best.

    Args:
        log: episodes of the contacts kept aside.
        inside: the policy inside trust regions, by their largest ratio.
        reference: whom the policy must beat; None: the logging policy itself.
        name: of the reference, for people.
        release_episodes: of the contacts that the release will be judged on.
        rng: deals contacts to the folds of the value model.
        config: level, thresholds and estimators.

    Raises:
        NurtureError: no length is given.
        OverlapError: the log never left a decision to chance.
        FitError: fewer than three contacts.
    """
    if not inside:
        raise NurtureError("expected trust regions of one length or more to choose from, got none")
    require_exploration(log, config.thresholds)
    share = log.n_episodes / release_episodes
    targets = {
        ratio: target_on_log(log, inside[ratio], f"ratio {ratio:g}", config.chunk_rows)
        for ratio in sorted(inside)
    }
    overlaps = {ratio: overlap(log, one, config.thresholds) for ratio, one in targets.items()}
    expected = {
        ratio: _at_release(one, share, config.thresholds) for ratio, one in overlaps.items()
    }
    last = next((ratio for ratio, one in expected.items() if not one.feasible), inf)
    asked = {ratio: target for ratio, target in targets.items() if ratio < last}
    judged = _judged(log, asked, reference, rng, config)
    rows = []
    for ratio, then in expected.items():
        difference, lower = _bound(judged.get(ratio), share)
        rows.append(
            JudgedRatio(
                max_ratio=ratio,
                ess=overlaps[ratio].ess,
                expected_ess=then.ess,
                carried=then.feasible,
                reason=then.reason,
                difference=difference,
                lower=lower,
            )
        )
    best = _best(rows)
    return ChosenRatio(
        max_ratio=best.max_ratio,
        reason=_reason(best, rows, name, log.unit),
        reference=name,
        unit=log.unit,
        episodes=log.n_episodes,
        release_episodes=release_episodes,
        ratios=tuple(rows),
    )


def _at_release(found: Overlap, share: float, thresholds: OverlapThresholds) -> Overlap:
    """The overlap that is to be expected on 1 / share times as many contacts."""
    grown = replace(found, ess=found.ess / share, max_weight_share=found.max_weight_share * share)
    return held_against(grown, thresholds)


def _judged(
    log: EvaluationLog,
    targets: Mapping[float, TargetOnLog],
    reference: TargetPolicy | None,
    rng: np.random.Generator,
    config: EvaluationConfig,
) -> dict[float, PolicyEvaluation]:
    """The policy against the reference, by length."""
    if not targets:
        return {}
    preferred = FALLBACKS[0] if config.preferred == AUTO else config.preferred
    estimators = tuple(dict.fromkeys((preferred, *FALLBACKS)))
    config = replace(config, estimators=estimators, preferred=preferred, rules=None)
    policies: dict[str, TargetPolicy | TabulatedPolicy] = {
        str(ratio): TabulatedPolicy(one.probabilities) for ratio, one in targets.items()
    }
    against = LOGGED if reference is None else "reference"
    if reference is not None:
        policies[against] = reference
    found = evaluate_policies(log, policies, against, rng, config)
    return {ratio: found.policies[str(ratio)] for ratio in targets}


def _bound(found: PolicyEvaluation | None, share: float) -> tuple[float, float]:
    """The difference, and its lower bound on 1 / share times as many contacts."""
    if found is None or found.difference is None:
        return nan, nan
    told = found.difference
    return told.value, told.value - (told.value - told.interval.lower) * sqrt(share)


def _best(rows: list[JudgedRatio]) -> JudgedRatio:
    known = [one for one in rows if one.lower == one.lower]
    return max(known, key=lambda one: one.lower) if known else rows[0]


def _reason(best: JudgedRatio, rows: list[JudgedRatio], name: str, unit: str) -> str:
    beyond = next((one for one in rows if not one.carried), None)
    if best.lower != best.lower:
        return (
            f"ratio {best.max_ratio:g}, the shortest, for none can be judged: "
            f"{(beyond or best).reason}"
        )
    end = "" if beyond is None else f"; {beyond.max_ratio:g} cannot be judged: {beyond.reason}"
    return (
        f"ratio {best.max_ratio:g}: of it most can be shown, {best.lower:+.4g} {unit} more than "
        f"{name} at least are to be expected, with an effective sample of "
        f"{best.expected_ess:.0f} episodes{end}"
    )

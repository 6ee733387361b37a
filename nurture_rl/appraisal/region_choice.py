"""How long a trust region may be, by contacts that the policy inside it was not learned from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, isnan, nan, sqrt

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
class RegionSize:
    """How far a trust region lets a policy go."""

    max_ratio: float  # largest importance ratio to the logging policy, >= 1
    # Of a policy that tilts the logging policy, in the unit of its scores: the gain for which it
    # makes an action e times as likely. None: it goes as far as the ratio allows for any gain.
    temperature: float | None = None

    def __str__(self) -> str:
        """In words, such as "ratio 8, temperature 12.5"."""
        soft = "" if self.temperature is None else f", temperature {self.temperature:.4g}"
        return f"ratio {self.max_ratio:g}{soft}"


@dataclass(frozen=True, slots=True)
class JudgedRegion:
    """What the contacts left aside say of a policy inside one trust region."""

    size: RegionSize
    ess: float  # effective sample size on the contacts left aside, episodes
    expected_ess: float  # the same, to be expected on the contacts of the release, episodes
    carried: bool  # those will be able to judge the policy
    reason: str  # what was met, or what was not
    difference: float  # policy less reference, the log's unit per episode; NaN: not asked
    lower: float  # bound of it, to be expected on the contacts of the release; NaN: not asked


@dataclass(frozen=True, slots=True)
class ChosenRegion:
    """A trust region, and the figures that it was chosen by."""

    size: RegionSize
    reason: str
    reference: str  # whom the policy is compared with
    unit: str  # of the differences, per episode
    episodes: int  # of the contacts left aside
    release_episodes: int  # of the contacts that the release is judged on
    regions: tuple[JudgedRegion, ...]  # all that were tried, by temperature, the shortest first


def choose_region(
    log: EvaluationLog,
    inside: Mapping[RegionSize, TargetPolicy],
    reference: TargetPolicy | None,
    name: str,
    release_episodes: int,
    rng: np.random.Generator,
    config: EvaluationConfig,
) -> ChosenRegion:
    """Choose the trust region of whose policy the release will be able to show most.

    At each temperature the ratios up to the first that the contacts of the release could not carry
    are asked about. Of all these regions it is the one of the highest lower bound of the paired
    difference to the reference; where none can be carried, the one of the largest effective
    sample. The bound is that of the contacts left aside, with its distance to the estimate shrunk
    to as many contacts as the release has:

        expected bound = difference - (difference - bound) sqrt(n aside / n release)

    The effective sample grows, and the largest share of the weight falls, in proportion to n.

    The policy must not have been learned from these contacts: it would know the luck of each, and
    show a gain where there is none.

    Args:
        log: episodes of the contacts left aside.
        inside: the policy inside trust regions of several sizes.
        reference: whom the policy must beat; None: the logging policy itself.
        name: of the reference, for people.
        release_episodes: of the contacts that the release will be judged on.
        rng: deals contacts to the folds of the value model.
        config: level, thresholds and estimators.

    Raises:
        NurtureError: no region is given.
        OverlapError: the log never left a decision to chance.
        FitError: fewer than three contacts.
    """
    if not inside:
        raise NurtureError("expected trust regions of one size or more to choose from, got none")
    require_exploration(log, config.thresholds)
    share = log.n_episodes / release_episodes
    measured, asked = _measured(log, inside, share, config)
    judged = _judged(log, asked, reference, rng, config)
    rows = []
    for size, (ess, then) in measured.items():
        difference, lower = _bound(judged.get(size), share)
        row = JudgedRegion(size, ess, then.ess, then.feasible, then.reason, difference, lower)
        rows.append(row)
    best = _best(rows)
    return ChosenRegion(
        size=best.size,
        reason=_reason(best, name, log.unit),
        reference=name,
        unit=log.unit,
        episodes=log.n_episodes,
        release_episodes=release_episodes,
        regions=tuple(rows),
    )


def _measured(
    log: EvaluationLog,
    inside: Mapping[RegionSize, TargetPolicy],
    share: float,
    config: EvaluationConfig,
) -> tuple[dict[RegionSize, tuple[float, Overlap]], dict[RegionSize, TargetOnLog]]:
    """The effective sample of each, with the overlap to be expected; and those to be asked about.

    These are the ratios up to the first that is not carried, at each temperature.
    """
    measured: dict[RegionSize, tuple[float, Overlap]] = {}
    asked: dict[RegionSize, TargetOnLog] = {}
    too_far: dict[float | None, float] = {}
    for size in sorted(inside, key=lambda one: (-(one.temperature or 0.0), one.max_ratio)):
        target = target_on_log(log, inside[size], str(size), config.chunk_rows)
        now = overlap(log, target, config.thresholds)
        then = _at_release(now, share, config.thresholds)
        measured[size] = now.ess, then
        if not then.feasible:
            too_far.setdefault(size.temperature, size.max_ratio)
        if size.max_ratio < too_far.get(size.temperature, inf):
            asked[size] = target
    return measured, asked


def _at_release(found: Overlap, share: float, thresholds: OverlapThresholds) -> Overlap:
    """The overlap that is to be expected on 1 / share times as many contacts."""
    grown = replace(found, ess=found.ess / share, max_weight_share=found.max_weight_share * share)
    return held_against(grown, thresholds)


def _judged(
    log: EvaluationLog,
    targets: Mapping[RegionSize, TargetOnLog],
    reference: TargetPolicy | None,
    rng: np.random.Generator,
    config: EvaluationConfig,
) -> dict[RegionSize, PolicyEvaluation]:
    """The policy against the reference, by the size of its region."""
    if not targets:
        return {}
    preferred = FALLBACKS[0] if config.preferred == AUTO else config.preferred
    estimators = tuple(dict.fromkeys((preferred, *FALLBACKS)))
    config = replace(config, estimators=estimators, preferred=preferred, rules=None)
    policies: dict[str, TargetPolicy | TabulatedPolicy] = {
        str(size): TabulatedPolicy(one.probabilities) for size, one in targets.items()
    }
    against = LOGGED if reference is None else "reference"
    if reference is not None:
        policies[against] = reference
    found = evaluate_policies(log, policies, against, rng, config)
    return {size: found.policies[str(size)] for size in targets}


def _bound(found: PolicyEvaluation | None, share: float) -> tuple[float, float]:
    """The difference, and its lower bound on 1 / share times as many contacts."""
    if found is None or found.difference is None:
        return nan, nan
    told = found.difference
    return told.value, told.value - (told.value - told.interval.lower) * sqrt(share)


def _best(rows: Sequence[JudgedRegion]) -> JudgedRegion:
    known = [one for one in rows if not isnan(one.lower)]
    if known:
        return max(known, key=lambda one: one.lower)
    return max(rows, key=lambda one: one.ess)


def _reason(best: JudgedRegion, name: str, unit: str) -> str:
    if isnan(best.lower):
        return f"{best.size}, the nearest to the log, for none can be judged: {best.reason}"
    return (
        f"{best.size}: of it most can be shown, at least {best.lower:+.4g} {unit} beside {name} "
        f"are to be expected, with an effective sample of {best.expected_ess:.0f} episodes"
    )

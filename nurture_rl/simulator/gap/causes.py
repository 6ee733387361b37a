"""What the findings of each check mean: causes with number, threshold and sentence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.special import ndtr

from nurture_rl.simulator.gap.compare import Comparison, ComparisonResult
from nurture_rl.simulator.gap.gap_evidence import Evidence
from nurture_rl.simulator.gap.one_step import ArmEffect
from nurture_rl.simulator.gap.propensities import PropensityCheck
from nurture_rl.simulator.gap.settings import GapConfig, GapLimits
from nurture_rl.simulator.gap.trust import Cause, NamedCause
from nurture_rl.wording import counted, plural

_NEARLY = 1e-6
_SURE = 4.0  # standard errors that a single decisive test asks for
_RATE_FAMILIES = ("rate", "arm", "funnel", "reward")
_JUDGED_APART = frozenset({"delay", "effect of sending", "dose", "recovery", "hour"})


def causes(evidence: Evidence, config: GapConfig) -> tuple[NamedCause, ...]:
    """Everything that speaks against the world."""
    checks = (
        _propensities,
        _leaks,
        _few_data,
        _delays,
        _confounding,
        _fatigue,
        _curves,
        _rates,
        _members,
        _distinguishable,
        _unchecked,
        _unproven,
    )
    return tuple(one for check in checks for one in check(evidence, config))


def _differing(comparisons: Sequence[Comparison], *families: str) -> list[Comparison]:
    """The comparisons that differ, least likely by chance first."""
    differing = [
        c for c in comparisons if c.family in families and c.finding is ComparisonResult.DIFFERS
    ]
    return sorted(differing, key=lambda c: -abs(c.gap) / max(c.stderr, 1e-12))


def broken_propensities(check: PropensityCheck, limits: GapLimits) -> NamedCause | None:
    """What shows that the logged propensities cannot be true, if anything does."""
    if not check.known:
        return None
    if check.impossible > limits.impossible:
        return _broken(
            check.impossible,
            limits.impossible,
            f"{100 * check.impossible:.1f} % of the logged propensities cannot be: outside (0, 1], "
            "on forbidden actions, below 1 without a choice, or at odds with the logged "
            "distribution. Log the probabilities of the decision that was really taken.",
        )
    slope = check.slope
    if slope is not None and slope.value + _SURE * slope.stderr < limits.slope:
        return _broken(
            slope.value,
            limits.slope,
            f"Actions follow the logged propensities with a slope of {slope.value:.2f} where true "
            "propensities have 1: they belong to other decisions or another policy.",
        )
    for off in _differing(check.weights, "mean weight")[:1]:
        return _broken(
            off.simulated.value,
            1.0 + off.margin,
            f"The mean importance weight of {off.group} is {off.simulated.value:.2f} where true "
            "propensities have 1.",
        )
    return None


def _broken(number: float, threshold: float, sentence: str) -> NamedCause:
    return NamedCause(Cause.BROKEN_PROPENSITIES, number, threshold, sentence, True)


def _propensities(evidence: Evidence, config: GapConfig) -> Iterator[NamedCause]:
    cause = broken_propensities(evidence.propensities, config.limits)
    if cause is not None:
        yield cause


def _leaks(evidence: Evidence, config: GapConfig) -> Iterator[NamedCause]:
    if evidence.leaks:
        worst = evidence.leaks[0]
        others = len({one.feature for one in evidence.leaks}) - 1
        more = (
            f" So {plural(others, 'does', 'do')} {counted(others, 'other feature')}."
            if others
            else ""
        )
        yield NamedCause(
            Cause.LEAKED_FEATURE,
            worst.auc,
            config.leaks.auc,
            f"The {worst.by} of the feature {worst.feature} alone tells {worst.head} of its own "
            f"bin with an AUC of {worst.auc:.3f} in the log and {worst.simulated:.2f} in the "
            f"world: it was computed after the outcome.{more}",
            True,
        )


def _few_data(evidence: Evidence, config: GapConfig) -> Iterator[NamedCause]:
    limits = config.limits
    if evidence.star_events < limits.star_events:
        yield NamedCause(
            Cause.TOO_FEW_DATA,
            evidence.star_events,
            limits.star_events,
            f"The held-out log of {evidence.contacts} contacts holds "
            f"{counted(round(evidence.star_events), 'event')} of the north star; with fewer than "
            f"{limits.star_events} no world can be judged.",
            True,
        )
    elif evidence.fitted_on is not None and evidence.fitted_on < limits.fitted_episodes:
        yield NamedCause(
            Cause.TOO_FEW_DATA,
            evidence.fitted_on,
            limits.fitted_episodes,
            f"The world was fitted to {evidence.fitted_on} episodes, fewer than "
            f"{limits.fitted_episodes}.",
            True,
        )
    elif evidence.unlearned:
        yield NamedCause(
            Cause.TOO_FEW_DATA,
            len(evidence.unlearned),
            0,
            f"The world had too few events to learn {', '.join(evidence.unlearned[:4])}, which "
            f"happen {limits.judged_events} times or more in the held-out log.",
            True,
        )


def _delays(evidence: Evidence, config: GapConfig) -> Iterator[NamedCause]:
    off = _differing(evidence.comparisons, "delay")
    if not off:
        return
    worst = off[0]
    told = {one.head: one.simulated for one in evidence.delays}.get(worst.head, ())
    fixed = max(told, default=0.0) > 1.0 - _NEARLY
    if worst.group == "known late":
        real, world = (f"{100 * one.value:.0f} % of them" for one in (worst.real, worst.simulated))
    else:
        real, world = (f"{one.value:.2f} bins" for one in (worst.real, worst.simulated))
    yield NamedCause(
        Cause.MISSING_DELAYS if fixed else Cause.WRONG_DELAYS,
        worst.gap,
        worst.margin,
        f"Records of {worst.head} come late by chance in the log ({worst.group}: {real}) and "
        f"{'never by chance' if fixed else 'otherwise'} in the world ({world}), so its features "
        f"know too {'much' if worst.gap < 0 else 'little'}.",
        True,
    )


def _confounding(evidence: Evidence, config: GapConfig) -> Iterator[NamedCause]:
    off = {c.head for c in _differing(evidence.comparisons, "effect of sending")}
    wrong = [one for one in evidence.effects if one.head in off]
    hidden = [one for one in wrong if _explained_by_hiding(one)]
    if hidden:
        worst = max(hidden, key=lambda one: abs(one.hidden.value) / one.hidden.stderr)
        yield NamedCause(
            Cause.IGNORED_CONFOUNDING,
            worst.world - worst.logged.value,
            config.margins.part * max(abs(worst.logged.value), abs(worst.world), worst.base),
            f"A send changes the chance of {worst.head} by {_points(worst.world)} in the world, by "
            f"{_points(worst.logged.value)} in the log weighted by its propensities, and by "
            f"{_points(worst.naive.value)} without what the logging policy knew and the features "
            "do not hold: fit with propensity weights.",
            True,
        )
    plain = [one for one in wrong if one.head in evidence.main and one not in hidden]
    if plain:
        worst = max(plain, key=lambda one: abs(one.world - one.logged.value) / one.logged.stderr)
        yield NamedCause(
            Cause.WRONG_EFFECT,
            worst.world - worst.logged.value,
            config.margins.part * max(abs(worst.logged.value), abs(worst.world), worst.base),
            f"A send changes the chance of {worst.head} by {_points(worst.world)} in the world and "
            f"by {_points(worst.logged.value)} in the log.",
            True,
        )


def _explained_by_hiding(one: ArmEffect) -> bool:
    """Whether facts that the features lack explain most of the gap, beyond chance."""
    gap = one.logged.value - one.world
    sure = abs(one.hidden.value) > 3.0 * one.hidden.stderr
    return sure and one.hidden.value * gap > 0 and abs(one.hidden.value) >= 0.5 * abs(gap)


def _points(share: float) -> str:
    return f"{100 * share:+.2f} points"


def _fatigue(evidence: Evidence, config: GapConfig) -> Iterator[NamedCause]:
    fatigue = evidence.half_lives
    limits = config.limits
    if fatigue is not None:
        factor = fatigue.real.value / fatigue.simulated.value
        factor = max(factor, 1.0 / factor)
        sure = fatigue.p_value < limits.same_fatigue and fatigue.apart
        if sure and factor > limits.half_life_factor:
            yield NamedCause(
                Cause.WRONG_FATIGUE_HALF_LIFE,
                factor,
                limits.half_life_factor,
                f"What earlier sends cost halves within {fatigue.real.shown} in the log and within "
                f"{fatigue.simulated.shown} in the world; one fatigue for both has a chance of "
                f"{fatigue.p_value:.1g}.",
                True,
            )
            return
    off = _differing(evidence.comparisons, "dose", "recovery")
    if off:
        worst = off[0]
        yield NamedCause(
            Cause.WRONG_FATIGUE_HALF_LIFE,
            worst.gap,
            worst.margin,
            f"The log odds of {worst.head} after {worst.group} are {worst.real.value:+.2f} in the "
            f"log and {worst.simulated.value:+.2f} in the world: people recover from mail at "
            "another pace there.",
            True,
        )


def _curves(evidence: Evidence, config: GapConfig) -> Iterator[NamedCause]:
    for worst in _differing(evidence.comparisons, "hour")[:1]:
        yield NamedCause(
            Cause.WRONG_RESPONSE_CURVE,
            worst.gap,
            worst.margin,
            f"The log odds of {worst.head} at {worst.group} are {worst.real.value:+.2f} in the log "
            f"and {worst.simulated.value:+.2f} in the world.",
            False,
        )


def _rates(evidence: Evidence, config: GapConfig) -> Iterator[NamedCause]:
    """Main signals off overall forbid all use; off anywhere, or nearly so, they forbid ranking."""
    leading = (*evidence.main, "return")
    overall = _differing(evidence.comparisons, *_RATE_FAMILIES)
    fatal = [c for c in overall if c.head in leading]
    if fatal:
        yield _rate_cause(Cause.WRONG_RATES, fatal[0], True)
    families = {c.family for c in evidence.comparisons} - _JUDGED_APART
    rest = [c for c in _differing(evidence.comparisons, *families) if c not in fatal]
    beyond = [c for c in _ranked_by(evidence) if abs(c.gap) > c.margin and c not in fatal]
    minor = [c for c in rest if c.head in evidence.read]
    many = len({c.head for c in minor}) > config.limits.minor_heads * len(evidence.read)
    differing = [*(c for c in rest if c.head in leading), *beyond, *(minor if many else ())]
    if differing:
        yield _rate_cause(Cause.WRONG_MINOR_RATES, differing[0], False)


def _ranked_by(evidence: Evidence) -> list[Comparison]:
    """The numbers that rankings rest on: the return and the rate of the north star."""
    return [
        c
        for c in evidence.comparisons
        if c.family == "reward" or (c.family == "rate" and c.head in evidence.star)
    ]


def _rate_cause(cause: Cause, worst: Comparison, fatal: bool) -> NamedCause:
    where = "" if worst.group == "all" else f" among {worst.group}"
    return NamedCause(
        cause,
        worst.gap,
        worst.margin,
        f"{worst.head}{where} ({worst.family}) is {worst.real.value:.4g} in the log and "
        f"{worst.simulated.value:.4g} in the world; the {worst.scale} {worst.gap:+.2f} is beyond "
        f"{worst.margin:.2f}.",
        fatal,
    )


def _members(evidence: Evidence, config: GapConfig) -> Iterator[NamedCause]:
    limit = config.limits.disagreement
    apart = [(h, d) for h, d in evidence.disagreement if h in evidence.main and d > limit]
    if apart:
        head, spread = max(apart, key=lambda pair: pair[1])
        yield NamedCause(
            Cause.MEMBERS_DISAGREE,
            spread,
            limit,
            f"The members' chances of {head} spread by {100 * spread:.0f} % of their mean: the log "
            "does not settle it.",
            False,
        )


def _distinguishable(evidence: Evidence, config: GapConfig) -> Iterator[NamedCause]:
    test, limit = evidence.two_sample, config.margins.auc
    if ndtr((test.auc - limit) / max(test.stderr, 1e-9)) > 0.975:
        by = ", ".join(one.name for one in test.giveaways[:3])
        yield NamedCause(
            Cause.DISTINGUISHABLE,
            test.auc,
            limit,
            f"A classifier tells simulated from logged episodes with an AUC of {test.auc:.2f}, "
            f"above all by {by}.",
            False,
        )


def _unchecked(evidence: Evidence, config: GapConfig) -> Iterator[NamedCause]:
    """What the log cannot show can be wrong in any world."""
    if not evidence.propensities.known:
        yield NamedCause(
            Cause.UNPROVEN,
            0.0,
            1.0,
            "Not every held-out decision has a propensity, so nobody can check what a send changes "
            "or whether the sender knew more than the features; log propensities before ranking "
            "policies by this world.",
            False,
        )
    if not evidence.delays_known:
        yield NamedCause(
            Cause.UNPROVEN,
            0.0,
            1.0,
            "The log does not say when events became known, so nobody can check how late the "
            "world's features know them; log the time of recording before ranking policies by "
            "this world.",
            False,
        )


def _unproven(evidence: Evidence, config: GapConfig) -> Iterator[NamedCause]:
    """The numbers that rankings rest on must be shown to agree, not only fail to differ."""
    wide = _ranked_by(evidence)
    loose = [c for c in wide if max(abs(b) for b in c.bounds) > config.limits.proof * c.margin]
    if loose:
        worst = max(loose, key=lambda c: max(abs(b) for b in c.bounds) / c.margin)
        number = float(np.max(np.abs(worst.bounds)))
        yield NamedCause(
            Cause.UNPROVEN,
            number,
            config.limits.proof * worst.margin,
            f"The gap of {worst.head} may be as large as {number:.3g} ({worst.scale}); hold out "
            "more contacts before ranking policies by this world.",
            False,
        )

"""What a log tells of the rounds to come: cost of exploration, and what a gate could show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, inf, isfinite, sqrt
from typing import TYPE_CHECKING

import numpy as np

from nurture_envs.journey import Journey
from nurture_rl.appraisal.appraise import appraise
from nurture_rl.appraisal.evaluation import LOGGED
from nurture_rl.appraisal.first_look import FirstLook, units_needed
from nurture_rl.appraisal.kpis import KpiEvaluation, KpiValue
from nurture_rl.appraisal.record import Appraisal
from nurture_rl.appraisal.verdict import power_factor
from nurture_rl.codec import read_record
from nurture_rl.decisions import Decisions, load_decisions
from nurture_rl.errors import ConfigError, NurtureError
from nurture_rl.ope.checks.findings import Severity
from nurture_rl.ope.intervals import Difference, Interval
from nurture_rl.ope.log import BoolArray, FloatArray
from nurture_rl.ope.targets import TabulatedPolicy, TargetPolicy
from nurture_rl.report.dated_source import ExplorationPrice, LogProspects, StarSize
from nurture_rl.report.rounds_source import ValueBand
from nurture_rl.wording import counted
from nurture_rl.workflow.held_out import held_out_rows
from nurture_rl.workflow.journey_log import HeldOut, held_out
from nurture_rl.workflow.learn import load_policy

if TYPE_CHECKING:
    from nurture_rl.workflow.pipeline import Pipeline

_BARE, _SAVED = "the programme without exploration", "a tenth less"
_WORTH = 0.1  # of the north star as it is: the gain to be shown where none is named
_EVEN = (0.5, 0.5)  # shares of two arms
_NO_SPREAD = "the log holds no probabilities of the actions that were not taken"
_CERTAIN = 1e-4  # share of decisions that go otherwise, up to which nothing was explored


@dataclass(frozen=True, slots=True)
class ProspectsAsked:
    """What is asked of the log."""

    shares: Sequence[float] | None  # of exploration that is planned; None: as in the log
    worth: float | None  # gain in the north star, per contact; None: a tenth of it as it is
    level: float  # of each gate


def log_prospects(pipeline: Pipeline, asked: ProspectsAsked) -> LogProspects:
    """Read the log; what it cannot tell is said with its reason.

    Raises:
        ConfigError: bad settings.
    """
    if not pipeline.is_decided:
        return _undecided(pipeline, asked)
    run = pipeline.settings.run
    decisions = load_decisions(pipeline.ingested, pipeline.journey, run.data.held_out)
    try:
        held = held_out(decisions, pipeline.journey)
        return _judged(pipeline, asked, decisions, held)
    except ConfigError:
        raise
    except NurtureError as error:  # the log cannot be judged; days can be planned all the same
        return _unjudged(pipeline.journey, asked, decisions, str(error))


def _judged(
    pipeline: Pipeline, asked: ProspectsAsked, decisions: Decisions, held: HeldOut
) -> LogProspects:
    run, logged = pipeline.settings.run, held.log.logged_probabilities
    assert run.policy is not None
    name = run.policy.name
    held = replace(held, beside=replace(held.beside, running=None))  # tables know whole episodes
    share = None if logged is None else otherwise(logged, held.log.mask)
    targets: dict[str, TargetPolicy | TabulatedPolicy] = {
        name: load_policy(pipeline.policies[name], pipeline.journey)
    }
    if logged is not None and share:
        targets[_SAVED] = TabulatedPolicy(turned(logged, 0.9))
    found = _appraised(pipeline, held, targets, LOGGED, asked.level)
    effective, n = found.evaluation.policies[name].overlap.ess, found.evaluation.n_clusters
    carried, star = found.believed(name), found.kpis[0]
    own = star.policies.get(name)
    gain = found.evaluation.policies[name].difference if carried else None
    rough = sqrt(n / effective) if effective else inf  # wider than what was logged, by the weights
    half = _half(gain, found.evaluation.logged.interval, rough)
    star_half = _half(None if own is None else own.difference, star.logged, rough)
    contacts = int(np.unique(decisions.contact).size)
    judging = int(np.unique(decisions.contact[held_out_rows(decisions, pipeline.journey)]).size)
    shares = [share] if asked.shares is None else asked.shares
    return LogProspects(
        log=_in_words(contacts, decisions),
        level=asked.level,
        contacts=contacts,
        judging=judging,
        exploration=share,
        prices=_prices(pipeline, held, shares, share),
        saving=_tenth(found),
        star=_star(star, asked, star_half, judging / run.data.held_out),
        policy=name,
        effective=effective,
        half=half,
        star_half=star_half,
        drift=_drift(found),
        why="" if carried else _why(found, name),
    )


def otherwise(logged: FloatArray, mask: BoolArray) -> float:
    """Share of the decisions with a choice that go otherwise than is likeliest, by their chances.

    Args:
        logged: probabilities of all actions, [N, a].
        mask: which are allowed, [N, a].
    """
    free = mask.sum(axis=1) > 1
    return float((1.0 - logged[free].max(axis=1)).mean()) if free.any() else 0.0


def turned(logged: FloatArray, factor: float) -> FloatArray:
    """The programme that made a log with more or less exploration, [N, a].

    All but the likeliest action of a row has its chance times a factor, at most so far that the
    likeliest stays so, and the likeliest has what is left; at 0 nothing is explored.

    Args:
        logged: probabilities of all actions, [N, a].
        factor: >= 0.
    """
    rows, best = np.arange(len(logged)), logged.argmax(axis=1)
    top = logged[rows, best]
    others = logged.copy()
    others[rows, best] = 0.0
    second, rest = others.max(axis=1), 1.0 - top
    # The likeliest stays so while factor * second <= 1 - factor * rest.
    most = 1.0 / np.maximum(second + rest, np.finfo(float).tiny)
    others *= np.minimum(factor, most)[:, None]
    others[rows, best] = 1.0 - others.sum(axis=1)
    return np.asarray(others)


def _appraised(
    pipeline: Pipeline,
    held: HeldOut,
    targets: Mapping[str, TargetPolicy | TabulatedPolicy],
    reference: str,
    level: float,
) -> Appraisal:
    run = pipeline.settings.run
    first = next(iter(targets))
    config = replace(pipeline.settings.evaluation, level=level, candidates=(first,), rules=None)
    rng = np.random.default_rng(run.seeds.evaluation)
    return appraise(held.log, targets, reference, rng, config, held.beside)


def _prices(
    pipeline: Pipeline, held: HeldOut, shares: Sequence[float | None], share: float | None
) -> tuple[ExplorationPrice, ...]:
    """What each share costs: the programme without exploration less the same with it."""
    known = list(dict.fromkeys(one for one in shares if one is not None))
    logged = held.log.logged_probabilities
    if logged is None or share is None:
        return tuple(ExplorationPrice(one, None, _NO_SPREAD) for one in known)
    if share <= _CERTAIN:
        why = "the log explored nothing, so it shows nothing of what exploring costs"
        return tuple(ExplorationPrice(one, None, why) for one in known)
    tables = {one: turned(logged, one / share) for one in known}
    targets: dict[str, TargetPolicy | TabulatedPolicy] = {
        _named(one): TabulatedPolicy(table) for one, table in tables.items()
    }
    if not targets:
        return ()
    targets[_BARE] = TabulatedPolicy(turned(logged, 0.0))
    found = _appraised(pipeline, held, targets, _BARE, pipeline.settings.run.release.level)
    made = []
    for one, table in tables.items():
        name, least = _named(one), otherwise(table, held.log.mask)
        less, lacks = found.evaluation.policies[name].difference, ""
        if least < one - _CERTAIN:
            lacks = (
                f"beyond {least:.1%} the programme's likeliest actions would be its likeliest no "
                "more"
            )
        for asked in (_BARE, name):
            lacks = lacks or ("" if found.believed(asked) else _why(found, asked))
        cost = None if lacks or less is None else _negative(less)
        made.append(ExplorationPrice(one, cost, lacks))
    return tuple(made)


def _named(share: float) -> str:
    return f"exploration of {share:.4g}"


def _why(found: Appraisal, name: str) -> str:
    """Why the log may not speak of a policy."""
    refused = "; ".join(dict.fromkeys(one.sentence for one in found.refusals(name)))
    feasible = found.evaluation.policies[name].overlap.feasible
    reason = refused if feasible else found.evaluation.policies[name].overlap.reason
    return f"the log does not carry {name}: {reason}"


def _negative(found: Difference) -> ValueBand:
    interval = found.interval
    return ValueBand(-found.value, -interval.upper, -interval.lower)


def _tenth(found: Appraisal) -> ValueBand | None:
    """What a tenth less exploration earns, where the log carries it."""
    if _SAVED not in found.evaluation.policies or not found.believed(_SAVED):
        return None
    told = found.evaluation.policies[_SAVED].difference
    if told is None:
        return None
    return ValueBand(told.value, told.interval.lower, told.interval.upper)


def _half(told: Difference | None, logged: Interval | KpiValue, rough: float) -> float | None:
    """Half an interval of a gain: that of the estimate, or what was logged with fewer contacts."""
    band = logged if told is None else told.interval
    half = (band.upper - band.lower) / 2.0 * (rough if told is None else 1.0)
    return half if isfinite(half) and half > 0.0 else None


def _star(
    star: KpiEvaluation, asked: ProspectsAsked, half: float | None, contacts: float
) -> StarSize:
    """What a gain worth having in the north star takes.

    Args:
        star: as logged and under the policy.
        asked: which gain is worth having, and at which level.
        half: half the interval of a gain, by the contacts that judge.
        contacts: of the log, so many of which judge.
    """
    rate = star.logged.value
    worth = asked.worth or _WORTH * rate
    if worth <= 0.0:
        why = f"nobody reached {star.name}, so no gain in it can be sized; name one by worth="
        return StarSize(star.name, rate, None, None, None, why)
    by_log = None
    if half is not None:
        by_log = ceil(contacts * (half * power_factor(asked.level) / worth) ** 2)
    # A rate of events is no share where a contact has several; arms are not sized by it then.
    by_arms = units_needed(rate, worth, _EVEN) if 0.0 < rate < 1.0 else None
    return StarSize(star.name, rate, worth, by_log, by_arms)


def _undecided(pipeline: Pipeline, asked: ProspectsAsked) -> LogProspects:
    """A log without decisions tells the north star's rate, and what an experiment takes."""
    found = read_record(pipeline.first_look / "first_look.json", FirstLook)
    told, why = found.experiment, "the log has no decisions; the first round logs them"
    worth = asked.worth or told.worth
    arms = units_needed(told.rate, worth, _EVEN)
    rate = None if told.assumed else told.rate
    star = StarSize(pipeline.journey.north_star.name, rate, worth, None, arms, why)
    shares = dict.fromkeys(asked.shares or ())
    return _unknown(found.contacts, "no decision in it", star, shares, asked.level, why)


def _unjudged(
    journey: Journey, asked: ProspectsAsked, decisions: Decisions, why: str
) -> LogProspects:
    """A log that nobody can be judged by."""
    contacts = int(np.unique(decisions.contact).size)
    star = StarSize(journey.north_star.name, None, asked.worth, None, None, why)
    shares = dict.fromkeys(asked.shares or ())
    return _unknown(contacts, _in_words(contacts, decisions), star, shares, asked.level, why)


def _unknown(
    contacts: int, log: str, star: StarSize, shares: Iterable[float], level: float, why: str
) -> LogProspects:
    return LogProspects(
        log=log,
        level=level,
        contacts=contacts,
        judging=0,
        exploration=None,
        prices=tuple(ExplorationPrice(one, None, why) for one in shares),
        saving=None,
        star=star,
        policy=None,
        effective=None,
        half=None,
        star_half=None,
        drift=(),
        why=why,
    )


def _in_words(contacts: int, decisions: Decisions) -> str:
    first, last = (
        np.datetime64(int(day), "D") for day in (decisions.when.min(), decisions.when.max())
    )
    return f"{counted(contacts, 'contact')}, decisions from {first} to {last}"


def _drift(found: Appraisal) -> tuple[str, ...]:
    """What the checks of the log find changed from week to week."""
    return tuple(
        one.sentence
        for one in found.checks.findings
        if one.code.startswith("drift-") and one.severity is not Severity.OK
    )

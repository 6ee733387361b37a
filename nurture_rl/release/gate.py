"""The gate: which evidence carries a release, and why the rest does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nurture_rl.appraisal.record import TOO_FAR
from nurture_rl.ope.checks.findings import Finding
from nurture_rl.ope.ties import negligible
from nurture_rl.release.gate_reasons import GateCause, GateReason, causes_of
from nurture_rl.simulator.gap.trust import Trust

UNDECIDED = "cannot_tell_yet"  # the verdict of an evaluation that found no answer
RULES = "rules_are_enough"  # the verdict of one that found no gain over plain rules worth having

_LOG, _SIMULATOR = "on held-out logs", "in the simulator"
_WORST = "in the ensemble's worst quantile"


@dataclass(frozen=True, slots=True)
class CandidateDifference:
    """Value of the candidate less that of another policy, with its interval."""

    value: float  # the journey's unit, per episode
    lower: float
    upper: float
    level: float  # confidence after any correction for several candidates, in (0, 1)


@dataclass(frozen=True, slots=True)
class WorldJudgement:
    """What the reality gap says of the simulator that judged the candidate."""

    trust: Trust
    cause: str | None  # names of what speaks against the world, None where nothing does
    sentence: str
    worst: CandidateDifference | None = (
        None  # as `simulated`, in the worst quantile of the ensemble
    )


@dataclass(frozen=True, slots=True)
class BarEvidence:
    """The candidate less a program that learned nothing and may be enough."""

    name: str
    logged: CandidateDifference | None  # None: the log cannot judge the program
    simulated: CandidateDifference
    worst: CandidateDifference  # in the worst quantile of the ensemble


@dataclass(frozen=True, slots=True)
class ProgramEvidence:
    """The candidate less a further program that learned nothing, which the log carries too."""

    name: str
    logged: CandidateDifference  # its interval holds for all candidates and programs together


@dataclass(frozen=True, slots=True)
class HarmEvidence:
    """A limit on a harm that a policy is not shown to keep to."""

    limit: str
    bounded: bool  # there is an upper bound, and it is too high; else there is none
    sentence: str


@dataclass(frozen=True, slots=True)
class GateEvidence:
    """What two independent judges say of a candidate, in plain numbers."""

    candidate: str
    reference: str
    unit: str
    logged: CandidateDifference  # doubly robust, on held-out logs
    simulated: CandidateDifference  # in the simulator
    overlap_feasible: bool  # the log could have shown what the candidate does
    overlap_text: str  # the diagnostics' own words, empty where they say nothing
    effective_sample_size: float  # of the candidate's importance weights
    contacts: int  # held-out contacts
    verdict: str  # of the off-policy evaluation
    verdict_text: str
    verdict_on_bar: bool = True  # the rules of that verdict are the bar
    refusals: tuple[Finding, ...] = ()  # checks of the log and of the candidate that refuse
    reference_refusals: tuple[Finding, ...] = ()  # checks of the reference that do
    harms: tuple[HarmEvidence, ...] = ()  # limits on harms that it is not shown to keep to
    world: WorldJudgement | None = None  # None: the simulator was not held against a log
    bar: BarEvidence | None = None  # None: no program to be compared with
    programs: tuple[ProgramEvidence, ...] = ()  # beside the reference and the bar
    earned: float = 0.0  # size of what is compared, >= 0: beside it a difference may be rounding
    estimated: bool = False  # propensities are a model's: nobody logged them


@dataclass(frozen=True, slots=True)
class GateConfig:
    """How much the evidence must show."""

    margin: float = 0.0  # the lower bounds must lie above it, the journey's unit
    level: float = 0.95  # least confidence of the bounds
    judged_world: bool = False  # refuse where the simulator was not held against a log
    ranking: bool = False  # refuse where the simulator may be used for training alone
    accept_estimated: bool = False  # let evidence pass that rests on estimated propensities


@dataclass(frozen=True, slots=True)
class GateDecision:
    """Whether the candidate may be released; without a pass, every reason against it."""

    passed: bool
    reasons: tuple[str, ...]
    rules_enough: bool = False  # refused because it is not shown to beat the bar
    causes: tuple[GateCause, ...] = ()  # the reasons by what causes them, to be read by people


def gate(evidence: GateEvidence, config: GateConfig) -> GateDecision:
    """Let a candidate through when both judges put it above the reference policy and the bar.

    What a check of the log, the candidate or the reference refuses is no evidence, and is named.
    A simulator that must not be trusted is no judge, so nothing passes by it. One that may be
    trusted only as an ensemble carries a release by the ensemble's worst quantile, not by its mean;
    so does any where the log cannot judge the bar. What the log shows to be worse than any program
    that learned nothing is refused, whatever else speaks for it.

    Args:
        evidence: bounds that already hold simultaneously for all candidates compared.
        config: the margin and the confidence required.
    """
    heard = _heard_on_the_bar(evidence, config)
    below = [one for told in heard for one in _above(*told, evidence, config)]
    gain = [*_estimated(evidence, config), *_checks(evidence), *_overlap(evidence)]
    gain += [*_verdict(evidence), *_harms(evidence)]
    gain += [*below, *_veto(evidence), *_world(evidence, config)]
    for where, logged in ((_LOG, evidence.logged), (_SIMULATOR, evidence.simulated)):
        gain += _bound(where, logged, evidence, config)
    for where, over, _ in heard:
        gain += _sure(where, over, config)
    # A log with wrong numbers, unlike one that is too far, is no ground to serve anything on.
    refused = (*evidence.refusals, *evidence.reference_refusals)
    broken = any(one.code not in TOO_FAR for one in refused) or any(_estimated(evidence, config))
    by_the_log = evidence.verdict == RULES and evidence.verdict_on_bar
    enough = by_the_log or (bool(below) and _may_speak(evidence.world, config))
    reasons = tuple(dict.fromkeys(one.text for one in gain))
    return GateDecision(not reasons, reasons, enough and not broken, causes_of(gain))


def _checks(evidence: GateEvidence) -> Iterator[GateReason]:
    for name, refusals in (
        (evidence.candidate, evidence.refusals),
        (evidence.reference, evidence.reference_refusals),
    ):
        for one in refusals:
            advice = f"; {one.advice}" if one.advice else ""
            yield GateReason(
                f"The check {one.code!r} refuses: {one.sentence}{advice}.",
                one.code,
                _not_carried(name) if one.code in TOO_FAR else _not_believed(name),
                one.sentence,
                one.advice,
            )


def _estimated(evidence: GateEvidence, config: GateConfig) -> Iterator[GateReason]:
    """Evidence whose propensities nobody logged, where nobody said that it may pass."""
    if evidence.estimated and not config.accept_estimated:
        told = "The propensities of this log are estimated, and nothing is released on those"
        yield GateReason(
            f"{told}: what the past programme knew and the features do not is in every number; "
            "run an experiment that leaves sends to chance, or say that they may carry a release "
            "by evaluation.estimated_propensities=accept.",
            "estimated-propensities",
            told,
            "what the past programme knew and the features do not is in every number",
            "run an experiment that leaves sends to chance",
        )


def _not_carried(name: str) -> str:
    return f"The log does not carry {name}"


def _not_believed(name: str) -> str:
    return f"This log cannot be believed about {name}"


def _not_above(evidence: GateEvidence, other: str) -> str:
    return f"{evidence.candidate} is not shown to earn more than {other}"


def _overlap(evidence: GateEvidence) -> Iterator[GateReason]:
    if not evidence.overlap_feasible:
        detail = f" ({evidence.overlap_text.rstrip('.')})" if evidence.overlap_text else ""
        told = any(one.code in TOO_FAR for one in evidence.refusals)
        yield GateReason(
            f"The log cannot show what {evidence.candidate} would do{detail}: its effective sample "
            f"size is {evidence.effective_sample_size:.1f} among {evidence.contacts} contacts; "
            "keep it nearer to the logging policy or log with more exploration.",
            "overlap",
            _not_carried(evidence.candidate),
            "" if told else evidence.overlap_text,
        )


def _verdict(evidence: GateEvidence) -> Iterator[GateReason]:
    if evidence.verdict == UNDECIDED:
        detail = f": {evidence.verdict_text.rstrip('.')}" if evidence.verdict_text else ""
        text = f"The off-policy evaluation cannot tell yet{detail}."
        yield GateReason(text, "verdict", _unheard(evidence))
    if evidence.verdict == RULES:
        detail = f": {evidence.verdict_text.rstrip('.')}" if evidence.verdict_text else ""
        on_bar = evidence.bar is not None and evidence.verdict_on_bar
        yield GateReason(
            f"Plain rules are enough{detail}; release them as they are, which needs no gate, or "
            "lower the margin that a gain over them must exceed.",
            "verdict",
            _not_above(evidence, evidence.bar.name) if evidence.bar and on_bar else "",
            evidence.verdict_text,
        )


def _harms(evidence: GateEvidence) -> Iterator[GateReason]:
    for one in evidence.harms:
        text = f"A limit on harm is not kept: {one.sentence}."
        if one.bounded:
            yield GateReason(text, "limits on harm", "Limits on harm are not kept", one.sentence)
        else:
            brief = f"nobody can bound {one.limit}"
            yield GateReason(text, "limits on harm", _unheard(evidence), brief)


def _unheard(evidence: GateEvidence) -> str:
    """What withholds all that would be read off the log, and has been said by what found it."""
    said = [one.cause for one in (*_checks(evidence), *_overlap(evidence))]
    return said[0] if said else ""


def _veto(evidence: GateEvidence) -> Iterator[GateReason]:
    """Programs that learned nothing and that the log shows to earn more."""
    more = [
        f"{evidence.candidate} less {one.name} is {_told(one.logged, evidence.unit)}"
        for one in evidence.programs
        if one.logged.upper < 0.0 and not _rounding(one.logged.upper, one.logged, evidence)
    ]
    if more:
        told = "The log shows that a program that learned nothing earns more"
        yield GateReason(f"{told}: {'; '.join(more)}.", "programs")


def _world(evidence: GateEvidence, config: GateConfig) -> Iterator[GateReason]:
    world = evidence.world
    if world is None:
        if config.judged_world:
            yield GateReason(
                "The simulator was not held against a log; report its reality gap on held-out "
                "contacts first.",
                "reality gap",
            )
    elif world.trust is Trust.NOTHING:
        told = f"The simulator must not be trusted ({world.cause}): {world.sentence}"
        yield GateReason(told, "reality gap")
    elif world.trust is Trust.TRAINING and config.ranking:
        yield GateReason(
            f"The simulator may be used for training, not for ranking ({world.cause}), and this "
            f"release asks for one that may: {world.sentence}",
            "reality gap",
        )
    elif world.trust is Trust.TRAINING and world.worst is None:
        yield GateReason(
            f"The simulator may be trusted only as an ensemble ({world.cause}), and the bound in "
            f"the ensemble's worst quantile was not given: {world.sentence}",
            "reality gap",
        )
    elif world.trust is Trust.TRAINING and world.worst is not None:
        yield from _bound(_WORST, world.worst, evidence, config)


def _may_speak(world: WorldJudgement | None, config: GateConfig) -> bool:
    """Whether a refusal may rest on the simulator."""
    if world is None:
        return not config.judged_world
    return world.trust is Trust.RANKING or (world.trust is Trust.TRAINING and not config.ranking)


def _heard_on_the_bar(
    evidence: GateEvidence, config: GateConfig
) -> list[tuple[str, CandidateDifference, str]]:
    """Who says what of the candidate against the bar; only a simulator that may speak is heard."""
    bar, world = evidence.bar, evidence.world
    if bar is None:
        return []
    heard = [] if bar.logged is None else [(_LOG, bar.logged, bar.name)]
    if not _may_speak(world, config):
        return heard
    heard.append((_SIMULATOR, bar.simulated, bar.name))
    if bar.logged is None or (world is not None and world.trust is Trust.TRAINING):
        heard.append((_WORST, bar.worst, bar.name))
    return heard


def _bound(
    where: str, gain: CandidateDifference, evidence: GateEvidence, config: GateConfig
) -> Iterator[GateReason]:
    """What a bound on the gain over the reference lacks."""
    yield from _sure(where, gain, config)
    yield from _above(where, gain, evidence.reference, evidence, config)


def _sure(where: str, gain: CandidateDifference, config: GateConfig) -> Iterator[GateReason]:
    if not gain.level >= config.level:
        yield GateReason(
            f"The interval {where} holds with {100 * gain.level:.4g} % confidence, "
            f"{100 * config.level:.4g} % are required."
        )


def _above(
    where: str, gain: CandidateDifference, other: str, evidence: GateEvidence, config: GateConfig
) -> Iterator[GateReason]:
    over = gain.lower - config.margin
    # A bound that is not a number must not pass either.
    if not over > 0.0 or _rounding(over, gain, evidence):
        unit, told = evidence.unit, _told(gain, evidence.unit)
        limit = f"lower bound must lie above {config.margin:+.4g} {unit}"
        yield GateReason(
            f"{evidence.candidate} less {other} {where} is {told}; the {limit}.",
            cause=_not_above(evidence, other),
            brief=f"{where} the difference is {told}",
            advice=f"each {limit}",
        )


def _rounding(over: float, gain: CandidateDifference, evidence: GateEvidence) -> bool:
    """Whether a bound lies off its limit by no more than the last digits of what was earned."""
    return bool(negligible(over, abs(gain.value) + evidence.earned))


def _told(gain: CandidateDifference, unit: str) -> str:
    return (
        f"{gain.value:+.4g} {unit} per episode with a {100 * gain.level:.4g} % interval of "
        f"[{gain.lower:+.4g}, {gain.upper:+.4g}]"
    )

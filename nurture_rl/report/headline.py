"""The first thing a page says: what to do or what was found, in one sentence, and why."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nurture_rl.report.numbers import Bounded, bounded, count
from nurture_rl.report.ope_source import (
    OpeSource,
    believed,
    estimator_name,
    feasible,
    refusing,
    rows,
    same_policy,
)
from nurture_rl.report.source import ReportInput, listed, mapping, number, pick, why, words

BADGES = {
    "better": ("released", "Better"),
    "not_better": ("refused", "Not better"),
    "cannot_tell_yet": ("open", "Cannot tell yet"),
    "rules_are_enough": ("refused", "Rules are enough"),
}


_UNSEEN = ", since too few logged contacts were treated the way it would treat them"


@dataclass(frozen=True, slots=True)
class Headline:
    """The verdict as page, Markdown and terminal show it."""

    kind: str  # released, refused or open; the badge's colour
    badge: str
    sentence: str
    reasons: tuple[str, ...]
    settles: tuple[str, ...] = ()  # what would turn the answer into a firm one
    simplest: str = ""  # which policy is enough; empty where nobody knows


def headline(source: ReportInput) -> Headline:
    """Say what the evidence carries: a release, a refusal, or no answer yet."""
    told = _with_estimates(_of_run(source), OpeSource({"appraisal": source.appraisal}))
    return replace(told, simplest=words(source.appraisal, "simplest", "sentence") or "")


def _of_run(source: ReportInput) -> Headline:
    candidate, reference = source.candidate, source.reference
    reasons = tuple(words(cause, "sentence") or "" for cause in listed(source.gate, "causes"))
    if candidate is None:
        sentence = f"Stay with “{reference}”: this run proposes no policy in its place."
        return Headline("open", "Cannot tell yet", sentence, reasons)
    if source.gate is None:
        sentence = f"Stay with “{reference}”: “{candidate}” has not been put before the gate."
        return Headline("open", "Cannot tell yet", sentence, reasons)
    if pick(source.gate, "passed") is True:
        return Headline("released", "Released", _release(source, candidate), reasons)
    if words(source.gate, "verdict") == "rules_are_enough":
        return Headline("refused", "Rules are enough", _enough(source), reasons)
    if _beaten(source, candidate):
        sentence = (
            f"Stay with “{reference}”: the log shows that a program that learned nothing earns "
            f"more than “{candidate}”."
        )
        return Headline("refused", "Refused", sentence, reasons)
    if words(_judgement(source, candidate), "verdict") in (None, "cannot_tell_yet"):
        return Headline("open", "Cannot tell yet", _undecided(source, candidate), reasons)
    known = _so_far(source, candidate)
    if words(_judgement(source, candidate), "verdict") == "better":
        sentence = (
            f"Stay with “{reference}”: the log speaks for “{candidate}”{known}, but the rest of "
            "the evidence does not."
        )
    else:
        sentence = (
            f"Stay with “{reference}”: the evidence does not show that “{candidate}” earns more"
            f"{known}."
        )
    return Headline("refused", "Refused", sentence, reasons)


def _with_estimates(first: Headline, source: OpeSource) -> Headline:
    """A headline that says first that propensities are estimated, where they are, and what to do.

    Args:
        first: the headline as if they had been logged.
        source: what the judge of the log found.
    """
    for one in rows(source.appraisal, "checks", "findings"):
        if words(one, "code") == "estimated-propensities":
            told, advice = (_as_sentence(words(one, key) or "") for key in ("sentence", "advice"))
            return replace(first, reasons=(told, *first.reasons), settles=(advice, *first.settles))
    return first


def _as_sentence(told: str) -> str:
    return f"{told[:1].upper()}{told[1:]}."


def _enough(source: ReportInput) -> str:
    bar = words(source.evaluation, "bar", "name")
    served = words(source.gate, "exported")
    reference = words(source.ope, "reference")
    stay = f" Nor is that one shown to earn more than “{reference}”: stay with “{reference}”."
    held = [one for one in listed(source.gate, "bar_limits") if pick(one, "kept") is not True]
    told = "; ".join(words(one, "sentence") or "" for one in held)
    if served is not None:
        stay = f" The bundle holds “{served}”."
    elif any(pick(one, "kept") is False for one in held):
        stay = " A limit on harm keeps it out of a bundle."
    bundle = f"{stay} Of its limits on harm: {told}." if told else stay
    return (
        f"Rules are enough: no learned policy is shown to earn more than “{bar}”, a program that "
        f"learned nothing.{bundle}"
    )


def logged_difference(source: ReportInput, name: str) -> Bounded:
    """A policy's doubly robust difference to the reference, where both are to be believed."""
    judge = OpeSource({"appraisal": source.appraisal})
    pair = (name, source.reference)
    if not all(one == "logged" or believed(judge, one) for one in pair):
        return Bounded(None)
    difference = pick(source.ope, "policies", name, "difference")
    interval = pick(difference, "interval")
    return Bounded(
        number(difference, "value"), number(interval, "lower"), number(interval, "upper")
    )


def world_difference(source: ReportInput, world: str, name: str) -> Bounded:
    """A policy's difference to the reference when played in the simulator or in the truth."""
    row = pick(source.evaluation, world, "policies", name)
    keys = ("difference", "difference_lower", "difference_upper")
    return Bounded(*(number(row, key) for key in keys))


def world_value(source: ReportInput, world: str, name: str) -> Bounded:
    """A policy's value when played in the simulator or in the truth."""
    return bounded(source.evaluation, world, "policies", name)


def _release(source: ReportInput, candidate: str) -> str:
    logged = logged_difference(source, candidate).shown(signed=True)
    simulated = world_difference(source, "simulator", candidate).shown(signed=True)
    return (
        f"Use “{candidate}” in place of “{source.reference}”: {source.each} it earns {logged} "
        f"{source.unit} by the held-out contact log and {simulated} {source.unit} in the simulator."
    )


def _undecided(source: ReportInput, candidate: str) -> str:
    needed = number(_judgement(source, candidate), "contacts_needed")
    if not only_the_log_is_missing(source, candidate):
        needed = None
    feasible = pick(source.ope, "policies", candidate, "overlap", "feasible")
    power = "" if feasible is False else " with 80 % power"
    more = "" if needed is None else f"; about {count(needed)} contacts would settle it{power}"
    known = _UNSEEN if feasible is False else _so_far(source, candidate)
    return (
        f"Stay with “{source.reference}” for now: this log does not say whether “{candidate}” "
        f"earns more{known}{more}."
    )


def only_the_log_is_missing(source: ReportInput, name: str) -> bool:
    """More contacts settle nothing where the world may not speak, or a judge speaks against it."""
    if words(source.gap, "verdict", "trust") == "do_not_trust" or _beaten(source, name):
        return False
    over_bar = bounded(source.evaluation, "simulator", "policies", name, "over_bar")
    lowers = (world_difference(source, "simulator", name).lower, over_bar.lower)
    return all(lower is None or lower > 0.0 for lower in lowers)


def _beaten(source: ReportInput, name: str) -> bool:
    """Whether the log shows that a further program that learned nothing earns more."""
    uppers = (
        number(one, "interval", "upper")
        for one in mapping(source.appraisal, "over_programs", name).values()
    )
    return any(upper is not None and upper < 0.0 for upper in uppers)


def _so_far(source: ReportInput, candidate: str) -> str:
    difference = logged_difference(source, candidate)
    if difference.value is None:
        return ""
    return f" (difference {difference.shown(signed=True)} {source.unit} {source.each})"


def _judgement(source: ReportInput, name: str) -> object:
    return pick(source.ope, "policies", name, "judgement")


def ope_headline(source: OpeSource) -> Headline:
    """Say what the log carries."""
    kind, badge = BADGES.get(source.verdict, BADGES["cannot_tell_yet"])
    simplest = words(source.appraisal, "simplest", "sentence") or ""
    first = Headline(kind, badge, _sentence(source), _reasons(source), settling(source), simplest)
    return _with_estimates(first, source)


def _sentence(source: OpeSource) -> str:
    name, reference = source.candidate, _against(source)
    gain = f"{source.difference(name).shown(signed=True)} {source.unit} {source.per}"
    if source.verdict == "better":
        return f"“{name}” earns more than {reference}: {gain}."
    if source.verdict == "not_better" and same_policy(source, name):
        return f"“{name}” is no other policy than {reference}: the two act alike."
    if source.verdict == "not_better":
        return f"“{name}” does not earn more than {reference}: {gain}."
    if source.verdict == "rules_are_enough":
        over = source.difference(name, "against_rules").shown(signed=True)
        margin = number(source.appraisal, "margin") or 0.0
        worth = f", where {margin:g} {source.unit} would be worth having" if margin else ""
        return (
            f"“{source.rules}” is enough: over it “{name}” gains {over} {source.unit} "
            f"{source.per}{worth}."
        )
    refused = {words(one, "code") for one in refusing(source, name)}
    few = not refused or refused & {"ess", "weight-share", "trajectory-weights", "weight-overflow"}
    if refused and (not few or "mean-weight" in refused):
        return (
            f"This log cannot be believed about “{name}”: what was asked of it first failed, see "
            "the checks that refuse."
        )
    if not feasible(source, name):
        return (
            f"This log does not say what “{name}” would earn: too few logged contacts were treated "
            "the way it would treat them."
        )
    return f"This log does not say whether “{name}” earns more than {reference}: {gain}."


def _reasons(source: OpeSource) -> tuple[str, ...]:
    reason = why(source.policy(source.candidate))
    basis = source.basis(source.candidate)
    found = [] if reason is None else [f"{reason[0].upper()}{reason[1:]}."]
    if basis is not None and not withheld(source) and not same_policy(source, source.candidate):
        candidates = len(listed(source.appraisal, "candidates"))
        together = (
            f"; the {candidates} candidates' intervals hold together" if candidates > 1 else ""
        )
        found.append(f"By the {estimator_name(basis)} estimator{together}.")
    return tuple(found)


def withheld(source: OpeSource) -> bool:
    """Whether a check, of the log, the candidate or the reference, withholds the verdict."""
    return bool(refusing(source, source.candidate) or refusing(source, source.reference))


def settling(source: OpeSource) -> tuple[str, ...]:
    """What would settle an open verdict, most concrete first."""
    sentences = []
    needed = number(source.policy(source.candidate), "judgement", "contacts_needed")
    if needed is not None:
        now = number(source.evaluation, "n_clusters")
        # Where overlap is short contacts are counted for their weights, not for a difference.
        seen = feasible(source, source.candidate)
        power = " would show such a difference with 80 % power" if seen else ""
        sentences.append(
            f"About {count(needed)} contacts in all{power}; this log has {count(now)}."
        )
    sentences += [str(line) for line in listed(source.appraisal, "settling")]
    return tuple(sentences)


def _against(source: OpeSource) -> str:
    return "what was logged" if source.reference == "logged" else f"“{source.reference}”"

"""The first thing an off-policy report says: the verdict, why, and what would settle it."""

from __future__ import annotations

from dataclasses import dataclass

from nurture_rl.report.numbers import count
from nurture_rl.report.ope_source import OpeSource, estimator_name, feasible, refusing, same_policy
from nurture_rl.report.source import listed, number, why, words

BADGES = {
    "better": ("released", "Better"),
    "not_better": ("refused", "Not better"),
    "cannot_tell_yet": ("open", "Cannot tell yet"),
    "rules_are_enough": ("refused", "Rules are enough"),
}


@dataclass(frozen=True, slots=True)
class OpeHeadline:
    """The verdict as page, Markdown and terminal show it."""

    kind: str  # released, refused or open; the badge's colour
    badge: str
    sentence: str
    reasons: tuple[str, ...]
    settles: tuple[str, ...]  # what would turn the answer into a firm one


def ope_headline(source: OpeSource) -> OpeHeadline:
    """Say what the log carries."""
    kind, badge = BADGES.get(source.verdict, BADGES["cannot_tell_yet"])
    return OpeHeadline(kind, badge, _sentence(source), _reasons(source), settling(source))


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
    found = []
    needed = number(source.policy(source.candidate), "judgement", "contacts_needed")
    if needed is not None:
        now = number(source.evaluation, "n_clusters")
        # Where overlap is short contacts are counted for their weights, not for a difference.
        seen = feasible(source, source.candidate)
        power = " would show such a difference with 80 % power" if seen else ""
        found.append(f"About {count(needed)} contacts in all{power}; this log has {count(now)}.")
    found += [str(line) for line in listed(source.appraisal, "settling")]
    return tuple(found)


def _against(source: OpeSource) -> str:
    return "what was logged" if source.reference == "logged" else f"“{source.reference}”"

"""What the log lacks: decisions left to chance, and outcomes that are in."""

from __future__ import annotations

import numpy as np

from nurture_rl.ope.checks.context import LogContext, OpenEpisodes, groups
from nurture_rl.ope.checks.exploration import (
    ExplorationPlan,
    exploration_plan,
    free_decisions,
    left_to_chance,
)
from nurture_rl.ope.checks.findings import CheckThresholds, Finding, Severity, graded
from nurture_rl.ope.log import EvaluationLog
from nurture_rl.wording import counted, plural

ESTIMATED = "estimated-propensities"  # the finding's code
NEARLY_CERTAIN = 0.98  # chance of an estimated propensity that is as good as none left open


def propensity_values(log: EvaluationLog) -> Finding:
    """How small propensities get; that they lie in (0, 1] and fit is guarded by the log itself."""
    least, inverse = float(log.propensity.min()), float((1.0 / log.propensity).max())
    return Finding(
        "propensities",
        Severity.OK,
        {"least": least, "largest_inverse": inverse},
        f"all {log.n_rows} propensities are present, in (0, 1] and of legal actions; the smallest "
        f"is {least:.3g}",
    )


def exploration_finding(
    log: EvaluationLog, context: LogContext, thresholds: CheckThresholds
) -> tuple[Finding, ExplorationPlan | None]:
    """Whether decisions were left to chance, in the whole log and in each week and by each logger.

    Rows with one legal action are ordinary and say nothing here.
    """
    free, chance = free_decisions(log), left_to_chance(log)
    share = float(chance[free].mean()) if free.any() else 0.0
    certain = [
        f"{kind} {name}"
        for kind, column in (("week", context.week), ("logger", context.logger))
        if column is not None
        for name in _without_chance(column, free, chance)
    ]
    numbers = {"share": share, "free": float(free.sum()), "certain_parts": float(len(certain))}
    if share > 0.0 and not certain:
        sentence = f"{share:.1%} of the decisions with a choice were left to chance"
        return Finding("exploration", Severity.OK, numbers, sentence), None
    plan = exploration_plan(log, context, thresholds.min_ess, thresholds.half_width)
    if share > 0.0:
        sentence = f"nothing was left to chance in {', '.join(certain)}: these parts say nothing"
        return Finding("exploration", Severity.WARN, numbers, sentence, plan.text), plan
    sentence = f"the log is deterministic: none of {int(free.sum())} decisions was left to chance"
    return Finding("exploration", Severity.REFUSE, numbers, sentence, plan.text), plan


def estimated_finding(log: EvaluationLog, plan: ExplorationPlan | None) -> Finding | None:
    """Whether propensities are a model's; what it leaves out may move every number.

    None where they were logged.
    """
    if not log.estimated:
        return None
    free = free_decisions(log)
    if log.logged_probabilities is not None:  # what was never tried was no choice of its
        free = (log.logged_probabilities > 0.0).sum(axis=1) > 1
    chance = log.propensity[free]
    certain = float((chance > NEARLY_CERTAIN).mean()) if chance.size else 1.0
    explore = "" if plan is None else f"; or {plan.text}"
    return Finding(
        ESTIMATED,
        Severity.WARN,
        {"certain": certain, "least": float(log.propensity.min())},
        "propensities are estimated: nobody logged with which chance the past programme acted, so "
        f"what it knew and the features do not is in every number; of {certain:.1%} of the "
        "decisions with a choice the model says that they were as good as certain",
        "read the bounds beside every number; leave a share of the sends to chance, or hold some "
        f"contacts out, to have numbers that need none{explore}",
    )


def outcome_finding(log: EvaluationLog) -> Finding:
    """Whether rewards differ at all: a log that saw one value alone tells no policies apart.

    The spread of such a log is 0 and so is the width of every interval, which says nothing about
    rewards that did not happen to come.
    """
    least, most = float(log.reward.min()), float(log.reward.max())
    if least < most:
        sentence = f"rewards differ, from {least:.4g} to {most:.4g} {log.unit}"
        return Finding("outcomes", Severity.OK, {"least": least, "most": most}, sentence)
    return Finding(
        "outcomes",
        Severity.REFUSE,
        {"least": least, "most": most},
        f"every reward of the {log.n_rows} decisions is {least:.4g} {log.unit}, so no policy can "
        "be told from another",
        "check that outcomes were joined to their decisions, or log until some differ",
    )


def censoring_finding(
    log: EvaluationLog, context: LogContext, thresholds: CheckThresholds
) -> Finding | None:
    """Outcomes that are not in yet, and what was done about them; None where that is not known."""
    if context.open_episodes is not None:
        return _open_finding(context.open_episodes)
    if context.matured is None:
        return None
    share = float((~context.matured).mean())
    severity = graded(share > thresholds.max_censored, Severity.WARN)
    if share > thresholds.refuse_censored:
        severity = Severity.REFUSE
    open_by_action = [
        float((~context.matured[log.action == a]).mean()) if (log.action == a).any() else 0.0
        for a in range(log.n_actions)
    ]
    worst = int(np.argmax(open_by_action))
    return Finding(
        "censored",
        severity,
        {"share": share, "worst_action": open_by_action[worst]},
        f"{share:.1%} of decisions have no outcome yet, most after {context.action(worst)} "
        f"({open_by_action[worst]:.1%})",
        "wait until the window has passed, leave these contacts out, or weight by the chance of "
        "being seen; a missing outcome is no zero"
        if severity is not Severity.OK
        else "",
    )


def _open_finding(counts: OpenEpisodes) -> Finding:
    """Episodes that the log breaks off; a word beside the numbers, for these rest on an assumption.

    How many there are says how recent the log is, and nothing against it.
    """
    whole = counts.episodes - counts.open - counts.late
    numbers = {"open": float(counts.open), "late": float(counts.late), "whole": float(whole)}
    if counts.largest_weight is None:
        done = (
            f"they are left out, and so are {counts.late} that are over but were begun as late: "
            f"these alone would favour whatever ends an episode early; {whole} are left"
        )
    else:
        numbers["largest_weight"] = counts.largest_weight
        done = (
            "in values, differences and key figures each finished one counts by one over the "
            "chance that an episode was followed that long (inverse probability of censoring "
            f"weighting, weights up to {counts.largest_weight:.3g}); all else rests on the {whole} "
            "that were begun early enough to be over however they go"
        )
    return Finding(
        "censored",
        Severity.WARN,
        numbers,
        f"{counts.open} of {counted(counts.episodes, 'episode')} "
        f"{plural(counts.open, 'was', 'were')} still open when the log ends: {done}. It takes that "
        "when an episode begins says nothing about how it goes",
        "where that is in doubt, as when offers or people changed lately, read the log later",
    )


def _without_chance(
    column: np.ndarray[tuple[int], np.dtype[np.generic]],
    free: np.ndarray[tuple[int], np.dtype[np.bool_]],
    chance: np.ndarray[tuple[int], np.dtype[np.bool_]],
) -> list[str]:
    names, place = groups(column)
    choices = np.bincount(place[free], minlength=len(names))
    drawn = np.bincount(place[free & chance], minlength=len(names))
    return [names[g] for g in np.flatnonzero((choices > 0) & (drawn == 0))]

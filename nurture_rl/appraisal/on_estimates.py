"""What a judgement is worth where propensities are a model's: bounds, and no verdict by default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from nurture_rl.appraisal.evaluation import LOGGED, Evaluation
from nurture_rl.appraisal.verdict import Judgement, Verdict
from nurture_rl.errors import OverlapError
from nurture_rl.ope.bounds.hidden_confounding import (
    EACH,
    ONE,
    HiddenConfounding,
    hidden_confounding,
)
from nurture_rl.ope.log import EvaluationLog, FloatArray, single

# What verdicts on estimated propensities may say: nothing yet, or what those of logged ones would.
ON_ESTIMATES = REFUSE_THEM, ACCEPT_THEM = "refuse", "accept"
_FIRM = (Verdict.BETTER, Verdict.RULES_ARE_ENOUGH)


def hidden_by_policy(
    log: EvaluationLog, carried: Mapping[str, FloatArray], level: float
) -> dict[str, tuple[HiddenConfounding, ...]]:
    """Bounds of every policy that the log carries; empty where propensities were logged.

    Args:
        log: the decisions.
        carried: chances of the logged actions, by policy.
        level: stated coverage of each interval.
    """
    if not log.estimated:
        return {}
    spreads = (EACH,) if single(log) else (EACH, ONE)
    found = {}
    for name, taken in carried.items():
        if name == LOGGED:
            continue
        try:
            found[name] = tuple(hidden_confounding(log, taken, level, one) for one in spreads)
        except OverlapError:  # the overlap of the policy says so already
            continue
    return found


def without_verdicts(
    evaluation: Evaluation,
    hidden: Mapping[str, tuple[HiddenConfounding, ...]],
    log: EvaluationLog,
    asked: str,
) -> Evaluation:
    """No firm verdict rests on estimated propensities, unless somebody said that they may.

    Args:
        evaluation: with verdicts as if propensities had been logged.
        hidden: of `hidden_by_policy`.
        log: the decisions.
        asked: one of `ON_ESTIMATES`.
    """
    if not log.estimated or asked == ACCEPT_THEM:
        return evaluation
    policies = {}
    for name, policy in evaluation.policies.items():
        judged = policy.judgement
        if judged is not None and judged.verdict in _FIRM:
            reason = f"{judged.reason}; but the propensities are estimated, {_undone(hidden, name)}"
            judged = Judgement(Verdict.CANNOT_TELL_YET, reason, None, _SETTLE)
        policies[name] = replace(policy, judgement=judged)
    return replace(evaluation, policies=policies)


_SETTLE = "an experiment that leaves a share of the sends to chance, or a holdout, would settle it"


def _undone(hidden: Mapping[str, tuple[HiddenConfounding, ...]], name: str) -> str:
    """How strong a hidden cause would have to be to undo what a policy's numbers say."""
    if name not in hidden:
        return "and nothing bounds what they hide"
    one = hidden[name][-1]
    where = "in one decision of an episode" if len(hidden[name]) > 1 else ""
    if one.undone_at is None:
        return f"and what else drove the sends {where} is not known".replace("  ", " ")
    if one.undone_at <= 1.0:
        return "and even as they are they show no gain over the logged programme"
    return (
        f"and a hidden cause that changes the odds of an action by {one.undone_at:.2f} "
        f"{where} would undo the lift over the logged programme"
    ).replace("  ", " ")

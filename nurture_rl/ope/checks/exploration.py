"""Logs that were left too little to chance, and the exploration that would mend them."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np

from nurture_rl.errors import OverlapError
from nurture_rl.ope.checks.context import LogContext
from nurture_rl.ope.log import BoolArray, EvaluationLog, FloatArray

ROUNDING = 1e-6  # logged probabilities are stored this precisely
LEAST_SHARE = 0.01  # of decisions left to chance, in any plan
MOST_SHARE = 0.2  # of decisions left to chance; beyond it a plan takes more contacts instead
NORMAL_95 = 1.959964  # two-sided 95 % quantile of the normal distribution
SHOWN = 10  # actions listed in a message


@dataclass(frozen=True, slots=True)
class ExplorationPlan:
    """What to leave to chance, for how many contacts and how long."""

    actions: tuple[str, ...]  # to take at random where legal
    shares: tuple[float, ...]  # of all decisions with a choice, by action; sums to `exploration`
    exploration: float  # share of decisions drawn uniformly from the legal actions, in (0, 1]
    looks: float  # times the scarcest action is then seen by chance
    contacts: int  # to log
    weeks: float | None  # at the log's rate of contacts; None where weeks are unknown
    half_width: float  # expected 95 % half width of an action's mean reward, in the log's unit

    @property
    def text(self) -> str:
        """The plan in one sentence."""
        shown = ", ".join(
            f"{action} {share:.2%}"
            for action, share in list(zip(self.actions, self.shares, strict=True))[:SHOWN]
        )
        rest = len(self.actions) - SHOWN
        more = f" and {rest} more" if rest > 0 else ""
        time = "" if self.weeks is None else f", {self.weeks:.1f} weeks at this log's rate"
        return (
            f"log {self.contacts} contacts with at least {self.exploration:.0%} uniform "
            f"exploration over the legal actions{time}, every propensity written down: "
            f"{shown}{more}; each action is then seen about {self.looks:.0f} times or more and its "
            f"mean reward known within {self.half_width:.3g}"
        )


def free_decisions(log: EvaluationLog) -> BoolArray:
    """Decisions with more than one legal action, [N]; the others say nothing about chance."""
    return np.asarray(log.mask.sum(axis=1) > 1)


def left_to_chance(log: EvaluationLog) -> BoolArray:
    """Decisions whose logged action was not certain, [N]."""
    return np.asarray(log.propensity < 1.0 - ROUNDING)


def exploration_plan(
    log: EvaluationLog,
    context: LogContext,
    min_looks: float,
    half_width: float | None = None,
) -> ExplorationPlan:
    """Uniform exploration under which every action of the log's contexts can be judged.

        looks of a = contacts * decisions per contact * share * mean of [a legal] / number legal
        half width = 1.96 sd(reward) / sqrt(looks)

    The share is solved for as many contacts as the log has, between 1 % and 20 %; where 20 % is
    not enough the number of contacts grows instead.

    Args:
        log: the log whose contexts, masks and rate of contacts the plan supposes.
        context: weeks and names of actions, where known.
        min_looks: how often each action must be seen by chance.
        half_width: wanted of each action's mean reward; raises the looks where it needs more.
    """
    free = free_decisions(log)
    mask = log.mask[free] if free.any() else log.mask
    legal = mask / mask.sum(axis=1, keepdims=True)
    chance: FloatArray = legal.mean(axis=0)  # of each action under uniform exploration, [a]
    offered = np.flatnonzero(chance > 0.0)
    scarcest = float(chance[offered].min())
    spread = float(log.reward.std())
    looks = min_looks
    if half_width is not None:
        looks = max(looks, (NORMAL_95 * spread / half_width) ** 2)
    contacts = np.unique(log.cluster).size
    decisions = max(int(free.sum()), 1)
    share = looks / (scarcest * decisions)
    exploration = min(max(share, LEAST_SHARE), MOST_SHARE)
    needed = ceil(contacts * max(share / exploration, 1.0) - ROUNDING)
    seen = needed / contacts * decisions * exploration * scarcest
    return ExplorationPlan(
        actions=tuple(context.action(int(position)) for position in offered),
        shares=tuple((exploration * chance[offered]).tolist()),
        exploration=exploration,
        looks=seen,
        contacts=needed,
        weeks=_weeks(log, context, needed),
        half_width=NORMAL_95 * spread / float(np.sqrt(seen)),
    )


def require_exploration(
    log: EvaluationLog, min_looks: float, context: LogContext | None = None
) -> None:
    """Refuse a log whose decisions were never left to chance.

    Rows with one legal action are ordinary and say nothing here.

    Raises:
        OverlapError: every free decision has propensity 1; the message holds an exploration plan.
    """
    free = free_decisions(log)
    if left_to_chance(log)[free].any():
        return
    if not free.any():
        raise OverlapError(
            "no decision of the log had a choice: each allowed one action alone, so every policy "
            "earns what was logged; name the actions that could have been taken"
        )
    known = context or LogContext()
    offered = log.mask[free].any(axis=0)
    count = np.bincount(log.action[free], minlength=log.n_actions)
    always = (count == log.mask[free].sum(axis=0)) & offered
    raise OverlapError(
        f"the log is deterministic: all {int(free.sum())} decisions with a choice have propensity "
        f"1, so it cannot say what another policy would earn (always taken where legal: "
        f"{_listed(always, known)}; legal but never taken: {_listed(offered & (count == 0), known)}"
        f"); {exploration_plan(log, known, min_looks).text}"
    )


def _weeks(log: EvaluationLog, context: LogContext, contacts: int) -> float | None:
    """Weeks in which so many contacts come, at the rate of contacts per logged week."""
    if context.week is None:
        return None
    span = int(context.week.max() - context.week.min()) + 1
    return contacts * span / np.unique(log.cluster).size


def _listed(chosen: BoolArray, context: LogContext) -> str:
    positions = np.flatnonzero(chosen)
    shown = ", ".join(context.action(int(position)) for position in positions[:SHOWN])
    more = f" and {positions.size - SHOWN} more" if positions.size > SHOWN else ""
    return f"{shown}{more}" if positions.size else "none"

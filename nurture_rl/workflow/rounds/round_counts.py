"""What a round's own contacts brought, and whether anything is not as it was in other rounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import ndtri

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_rl.decisions import Decisions, load_decisions
from nurture_rl.ope.checks.context import LogContext
from nurture_rl.ope.checks.drift import drift_findings
from nurture_rl.ope.checks.findings import CheckThresholds, Severity
from nurture_rl.ope.intervals import simultaneous_level
from nurture_rl.ope.log import FloatArray, evaluation_log
from nurture_rl.report.rounds_source import ValueBand
from nurture_rl.workflow.journey_log import HARMS
from nurture_rl.workflow.simulated import bound

_LEVEL = 0.95  # of what a round earned


@dataclass(frozen=True, slots=True, eq=False)
class RoundCounts:
    """What a round's own contacts brought, held out or not."""

    value: FloatArray  # per episode, the journey's unit, [E]
    amounts: Mapping[str, float]  # sends and harms per episode
    entry: Decisions  # the first decision of each episode

    @property
    def earned(self) -> ValueBand:
        """The mean with its interval."""
        found = bound(self.value[None], _LEVEL)
        return ValueBand(found.value, found.lower, found.upper)


def counted_round(ingested: Path, journey: Journey, held_out: float) -> RoundCounts:
    """Count a round's log."""
    decisions = load_decisions(ingested, journey, held_out)
    first = np.flatnonzero(np.diff(decisions.episode, prepend=-1))
    worth = decisions.reward * journey.reward.discount**decisions.step
    totals = dict(zip(journey.channels, decisions.amounts.sum(axis=0).tolist(), strict=True))
    amounts = {}
    for kind, name in ({"sent": "sends"} | HARMS).items():
        of = [one for one in journey.signals if one.type == kind]
        counted = [one.name for one in of if one.by_action or kind != "sent"]
        if counted:
            amounts[name] = sum(totals[one] for one in counted) / len(first)
    value: FloatArray = np.add.reduceat(worth, first)
    return RoundCounts(value, amounts, decisions.take(first))


def drift_between(
    rounds: Sequence[RoundCounts], ran: Sequence[Any], journey: Journey
) -> tuple[str, ...]:
    """What is not in the last round as it was in others: who comes, and what one policy earns.

    Who comes is told by the features of each episode's first decision, which no policy bears on.
    What is earned is held against every earlier round in which the same policy ran.

    Args:
        rounds: all so far, the last one being asked about.
        ran: the description of the policy of each, with its exploration.
        journey: names features.
    """
    if len(rounds) < 2:
        return ()
    told = []
    who = _who_comes(rounds, journey)
    if who is not None:
        told.append(who)
    last, same = rounds[-1], [k for k, one in enumerate(ran[:-1]) if one == ran[-1]]
    for k in same:
        gap = last.value.mean() - rounds[k].value.mean()
        noise = sum(one.value.var(ddof=1) / len(one.value) for one in (last, rounds[k])) ** 0.5
        limit = float(ndtri(0.5 + simultaneous_level(_LEVEL, len(same)) / 2.0)) * noise
        if abs(gap) > limit:
            told.append(
                f"the same policy earned {gap:+.2f} a contact against round {k + 1}, where chance "
                f"alone makes up to {limit:.2f}"
            )
    return tuple(told)


def _who_comes(rounds: Sequence[RoundCounts], journey: Journey) -> str | None:
    entries = [one.entry for one in rounds]
    number = np.repeat(np.arange(1, len(rounds) + 1), [len(one.action) for one in entries])
    n = number.size
    log = evaluation_log(
        features=np.concatenate([one.features for one in entries]),
        mask=np.concatenate([one.mask for one in entries]),
        action=np.concatenate([one.action for one in entries]),
        propensity=np.concatenate([one.propensity for one in entries]),
        reward=np.zeros(n),
        episode=np.arange(n),
        step=np.zeros(n, np.int64),
        cluster=np.arange(n),
        terminal=np.ones(n, bool),
        action_factors=ActionCatalog.of(journey).factors,
        discount=1.0,
        unit=journey.reward.unit,
    )
    context = LogContext(week=number, feature_names=FeatureSpec.of(journey).columns)
    found = {one.code: one for one in drift_findings(log, context, CheckThresholds())}
    context_drift = found["drift-context"]
    if context_drift.severity is Severity.OK:
        return None
    return context_drift.sentence.replace("week", "round")

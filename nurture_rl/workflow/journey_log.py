"""A journey's held-out contacts as every judge reads them: the log, and what stands beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_rl.appraisal.appraise import appraise
from nurture_rl.appraisal.evaluation import LOGGED
from nurture_rl.appraisal.kpis import KpiQuestion
from nurture_rl.appraisal.record import Appraisal
from nurture_rl.appraisal.risk.harm_limits import Limit
from nurture_rl.appraisal.risk_profile import LogAnnotations, StillRunning
from nurture_rl.decisions import Decisions
from nurture_rl.ope.log import EvaluationLog, first_rows
from nurture_rl.policies.policy import FloatArray, Policy
from nurture_rl.workflow.bar import Field, bar_of, field_of
from nurture_rl.workflow.complexity import with_simplest
from nurture_rl.workflow.held_out import held_out_log, held_out_rows, running_log
from nurture_rl.workflow.ope_log import Labels, few_levels

if TYPE_CHECKING:
    from nurture_rl.workflow.config import Settings

HARMS = {"unsubscribe": "unsubscribes", "complaint": "complaints", "hard_bounce": "hard bounces"}
_COMPARED = 20_000  # decisions in which policies are looked at for being one and the same


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """The decisions that policies are judged on."""

    log: EvaluationLog
    beside: LogAnnotations
    left_out: int  # decisions of training contacts, or whose outcome is not known yet


def held_out(decisions: Decisions, journey: Journey) -> HeldOut:
    """The held-out contacts' whole episodes with what stands beside them, open episodes too.

    Raises:
        FitError: no held-out contact's outcome is known yet.
        PropensityError: a propensity is missing.
    """
    rows = held_out_rows(decisions, journey)
    log, names = held_out_log(decisions, journey), FeatureSpec.of(journey).columns
    amounts = decisions.amounts[rows]
    beside = LogAnnotations(
        day=decisions.when[rows].astype("datetime64[D]"),
        segments=_segments(journey, log.features[first_rows(log)]) or few_levels(log, names),
        kpis=_kpis(journey, amounts),
        harms=_harms(journey, amounts),
        limits=_limits(journey, amounts),
        running=_running(decisions, journey),
        factors=_factors(journey),
        features=names,
        actions=ActionCatalog.of(journey).ids,
    )
    return HeldOut(log, beside, decisions.action.size - int(rows.sum()))


def _running(decisions: Decisions, journey: Journey) -> StillRunning | None:
    running = running_log(decisions, journey)
    if running is None:
        return None
    of, rows = running
    return StillRunning(of, tuple(kpi.amounts for kpi in _kpis(journey, decisions.amounts[rows])))


def field_on(
    held: HeldOut, policies: Mapping[str, Policy], learned: Sequence[str], reference: str
) -> Field:
    """Who may be put forward, by what policies do in the held-out contexts alone.

    Args:
        held: the decisions.
        policies: all of the run, by name.
        learned: names of those that learned.
        reference: what others are compared with.
    """
    features, mask = held.log.features[:_COMPARED], held.log.mask[:_COMPARED]
    tables = {
        name: policy.action_probabilities(features, mask) for name, policy in policies.items()
    }
    if held.log.logged_probabilities is not None:
        tables[LOGGED] = held.log.logged_probabilities[:_COMPARED]
    programs = [name for name in policies if name not in learned]
    return field_of(learned, [reference, *programs], tables)


def appraised_by_log(
    held: HeldOut, policies: Mapping[str, Policy], field: Field, run: Settings
) -> Appraisal:
    """What the held-out contacts say of policies, as the settings of a run ask it.

    Args:
        held: the decisions.
        policies: all of the run, by name.
        field: who may be put forward among them.
        run: reference, rules, margin, level, estimators and the seed of the folds.
    """
    asked = run.run.release
    config = replace(
        run.evaluation,
        level=asked.level,
        candidates=field.candidates,
        rules=bar_of(asked.rules, dict.fromkeys(policies)).name,
        margin=asked.margin,
    )
    rng = np.random.default_rng(run.run.seeds.evaluation)
    found = appraise(held.log, policies, asked.reference, rng, config, held.beside)
    return with_simplest(found, policies, asked.margin or None, run.run.seeds.evaluation)


def _kpis(journey: Journey, amounts: FloatArray) -> tuple[KpiQuestion, ...]:
    entries = [("north star", journey.north_star), *(("supporting", k) for k in journey.supporting)]
    return tuple(
        KpiQuestion(kpi.name, role, kpi.better, _sum_of(journey, amounts, kpi.of))
        for role, kpi in entries
    )


def _sum_of(journey: Journey, amounts: FloatArray, channels: Sequence[str]) -> FloatArray:
    columns = [journey.channel_index(name) for name in channels]
    return np.asarray(amounts[:, columns].sum(axis=1))


def _factors(journey: Journey) -> dict[str, tuple[str, ...]]:
    """The factors that a lift is broken down by, and each action's level, [a] each."""
    levels_of: dict[str, list[str]] = {"routing": [], "offer": [], "content": [], "timing": []}
    for action in ActionCatalog.of(journey).actions:
        message = action.message
        pause = action.routing == "pause"
        levels_of["routing"].append(f"pause:{action.bins}" if pause else action.routing)
        levels_of["content"].append("" if message is None else message.id)
        levels_of["offer"].append("" if message is None else message.offer)
        levels_of["timing"].append("" if message is None else str(action.slot))
    return {name: tuple(levels) for name, levels in levels_of.items() if len(set(levels)) > 1}


def _segments(journey: Journey, first: Any) -> dict[str, Labels]:
    """The attributes with named levels, as labels of the episodes."""
    spec, segments = FeatureSpec.of(journey), {}
    for feature in journey.features:
        if feature.kind == "attribute" and 2 <= len(feature.levels) <= 12:
            columns = [spec.column(name) for name in spec.names(feature)]
            held = first[:, columns]
            names = np.array([*feature.levels, "other"], dtype=object)
            place = np.where(held.max(axis=1) > 0.0, held.argmax(axis=1), len(feature.levels))
            segments[feature.name] = names[place]
    return segments


def _harms(journey: Journey, amounts: FloatArray) -> dict[str, FloatArray]:
    harms: dict[str, FloatArray] = {}
    for kind, name in HARMS.items():
        of = [signal.name for signal in journey.signals if signal.type == kind]
        if of:
            harms[name] = _sum_of(journey, amounts, of)
    return harms


def _limits(journey: Journey, amounts: FloatArray) -> tuple[Limit, ...]:
    sent = [one.name for one in journey.signals if one.type == "sent" and one.by_action]
    exposures = {"decision": np.ones(len(amounts)), "send": _sum_of(journey, amounts, sent)}
    return tuple(
        Limit(
            name=limit.name,
            per=limit.per,
            events=_sum_of(journey, amounts, limit.of),
            exposure=exposures.get(limit.per),
            at_most=limit.at_most,
            above_reference=limit.above_reference,
        )
        for limit in journey.limits
    )

"""The held-out contacts' decisions as the judges read them: whole episodes, or all of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nurture_envs.actions import ActionCatalog
from nurture_envs.journey import Journey
from nurture_rl.decisions import BoolArray, Decisions, FloatArray, whole_episodes
from nurture_rl.errors import FitError
from nurture_rl.ope.censoring import RunningLog, followup
from nurture_rl.ope.log import EvaluationLog, as_single_decisions, evaluation_log


def known_rows(decisions: Decisions, journey: Journey) -> BoolArray:
    """Rows whose worth is known: of whole episodes, or matured where each is judged by itself."""
    return decisions.matured if journey.estimand == "per_decision" else whole_episodes(decisions)


def held_out_rows(decisions: Decisions, journey: Journey) -> BoolArray:
    """Rows that off-policy evaluation may read, [N].

    Episodes whose horizon is not over are left out whole, also those that ended early: a running
    log would else keep the successes. Where every decision is judged by itself, only decisions
    that are not matured are left out.

    Raises:
        FitError: no held-out contact's outcome is known yet.
    """
    rows = decisions.held_out & known_rows(decisions, journey)
    if not rows.any():
        raise FitError(
            "no held-out contact's episode is over, so nothing can be evaluated; wait for the "
            "horizon to pass, or say until when the log is complete (data.complete_until)"
        )
    return np.asarray(rows)


def held_out_log(
    decisions: Decisions, journey: Journey, reward: FloatArray | None = None
) -> EvaluationLog:
    """The held-out contacts' episodes for off-policy evaluation, as `held_out_rows` chooses them.

    Args:
        decisions: of the whole log.
        journey: names unit, discount, factors and estimand.
        reward: another outcome than the journey's reward, [N] of the whole log.

    Raises:
        FitError: no held-out contact's outcome is known yet.
        PropensityError: a propensity is missing.
    """
    rows = held_out_rows(decisions, journey)
    kept = decisions.take(rows)
    log = evaluation_view(kept, journey, None if reward is None else reward[rows])
    return as_single_decisions(log) if journey.estimand == "per_decision" else log


def running_log(decisions: Decisions, journey: Journey) -> tuple[RunningLog, BoolArray] | None:
    """All held-out episodes as far as their bins are over, where some have not ended yet.

    Args:
        decisions: of the whole log.
        journey: horizon, longest delay and estimand.

    Returns:
        The log and its rows [N]; None where every episode has ended, or decisions are judged one
        by one, whose outcomes are in or not whatever they were.

    Raises:
        PropensityError: a propensity is missing.
    """
    if journey.estimand == "per_decision":
        return None
    settle, horizon = max(journey.delays), journey.clock.horizon
    begun = np.full(int(decisions.episode.max()) + 1, np.iinfo(np.int64).max)
    np.minimum.at(begun, decisions.episode, decisions.step)
    place = decisions.step - begun[decisions.episode] + 1  # bins of the episode until this one ends
    # A decision that was never carried out has no age of its own; what it knows is a lower bound.
    known = np.where(decisions.age >= 0, decisions.age + place, 0)
    known = np.maximum(known, np.where(decisions.matured, place + settle, 0))
    known = np.maximum(known, np.where(decisions.complete, horizon + settle, 0))
    followed = np.zeros(begun.size, dtype=np.int64)
    np.maximum.at(followed, decisions.episode, known)
    age = followed[decisions.episode] - place
    rows = decisions.held_out & (age >= 0)
    kept = decisions.take(rows)
    log = evaluation_view(kept, journey)
    lasts = np.maximum(ActionCatalog.of(journey).pause_bins[kept.action], 1)
    running = RunningLog(log, followup(log, age[rows], horizon, settle, lasts=lasts))
    return None if running.followed.observed.all() else (running, rows)


def evaluation_view(
    kept: Decisions, journey: Journey, reward: FloatArray | None = None
) -> EvaluationLog:
    """Whole episodes as estimators read them, with another outcome than the reward or it.

    Raises:
        PropensityError: a propensity is missing.
    """
    catalog = ActionCatalog.of(journey)
    _, first = np.unique(kept.episode, return_index=True)
    log = evaluation_log(
        features=kept.features,
        mask=kept.mask,
        action=kept.action,
        propensity=kept.propensity,
        logged_probabilities=kept.probabilities,
        reward=kept.reward if reward is None else reward,
        episode=kept.episode,
        step=kept.step,
        cluster=np.unique(kept.cluster[first], return_inverse=True)[1],
        terminal=kept.terminal,
        action_factors=catalog.factors,
        discount=journey.reward.discount if reward is None else 1.0,
        unit=journey.reward.unit,
    )
    return replace(log, estimated=kept.estimated is not None and bool(kept.estimated.any()))

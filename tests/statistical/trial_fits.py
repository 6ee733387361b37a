"""The product-trial world of the tests, and the fits that read what is planted from its logs."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from nurture_envs.actions import ActionCatalog
from nurture_envs.journey_file import load_journey, parse_journey
from nurture_envs.worlds.effects import MailParams
from nurture_envs.worlds.trial_onboarding import (
    MILESTONES,
    TOPICS,
    TrialOnboardingParams,
    TrialOnboardingWorld,
)
from tests.statistical.world_logs import Array, Fit, FloatArray, WorldLog, logistic

JOURNEY = load_journey("trial_onboarding")
WAIT = ActionCatalog.of(JOURNEY).wait
# The same program with room for mail and calls, so that their effects differ between users.
OPEN = parse_journey(
    {
        **JOURNEY.resolved,
        "guardrails": {
            **JOURNEY.resolved["guardrails"],
            "frequency_caps": [{"max": 4, "hours": 168}],
            "min_gap_hours": 20,
            "conversation": {},
            "escalation_needs": [],
        },
    }
)
PLANTED = TrialOnboardingParams(
    mail=MailParams(
        topic_pull=1.4,
        hour_pull=1.2,
        click_base=-3.0,
        click_ready=0.0,
        best_hours=(11.0, 11.0),
        hour_spread=0.0,
        leave_base=0.0,
        unreachable=0.0,
        fatigue_drag=0.35,
    ),
    goal_says=1.0,
    interest_shift=0.0,
    habit_spread=0.0,
    ready_spread=0.0,
    size_gain=0.0,
    confused_share=0.0,
    zone_unknown=0.0,
    no_consent=0.0,
    fading=0.05,
    milestone_base=-2.5,
    milestone_habit=1.0,
    milestone_taught=1.6,
    milestone_other=0.5,
    habit_milestone=0.5,
    buy_base=-3.6,
    buy_lapsed=-1.6,
    urgency_days=2.0,
    cancel_base=-4.0,
    cancel_habit=1.0,
    pricing_base=-2.5,
    cooling=0.06,
)
Reading = Callable[[TrialOnboardingParams], Fit]


@lru_cache(maxsize=64)
def log_of(params: TrialOnboardingParams) -> WorldLog:
    return WorldLog.of(TrialOnboardingWorld(OPEN, params), n=3000, waits=20.0, escalates=16.0)


def level(log: WorldLog) -> FloatArray:
    """Milestones reached before each bin."""
    return log.before(log.count(*MILESTONES))


def days(log: WorldLog) -> FloatArray:
    return np.arange(log.action.shape[1])[None, :] * np.ones((len(log.action), 1))


def parts_of_appeal(log: WorldLog) -> dict[str, Array]:
    """What the appeal of a message is made of."""
    p = PLANTED.mail
    width = (24.0 / (2.0 * np.pi * p.hour_width)) ** 2
    hour = np.exp(width * (np.cos(2.0 * np.pi * (log.slot - p.best_hours[0]) / 24.0) - 1.0))
    return {
        "topic": log.topic(TOPICS) == log.level("goal", TOPICS[:4]),
        "hour": hour,
        "weekday": np.array(p.weekdays)[(log.day + 3) % 7],
        "repeat": log.staleness(p.repeat_half_life),
        "fatigue": log.decayed(log.any_of("sent_"), p.fatigue_half_life),
    }


def scale(log: WorldLog, share: float = PLANTED.gain_share) -> FloatArray:
    """By how much hour, day, repeats and fatigue scale what a message teaches."""
    p, parts = PLANTED.mail, parts_of_appeal(log)
    beside = p.hour_pull * parts["hour"] + parts["weekday"]
    beside = beside - p.repeat_drag * parts["repeat"] - p.fatigue_drag * parts["fatigue"]
    return np.asarray(np.exp(share * beside))


def teaches_next(log: WorldLog) -> Array:
    lesson = log.topic(TOPICS)
    tour = np.isin(log.message, [i for i, m in enumerate(OPEN.messages) if m.job == "activate"])
    return np.asarray(log.happened("delivered") & tour & (lesson == level(log)))


def called(log: WorldLog) -> FloatArray:
    """Held calls before each bin, by how well activated users were."""
    gate = 1.0 / (1.0 + np.exp(-3.0 * (level(log) - PLANTED.called_from)))
    return log.before(log.count("call_held") * gate)


def clicks(params: TrialOnboardingParams) -> Fit:
    log = log_of(params)
    return logistic(log.any_of("clicked_"), log.happened("delivered"), parts_of_appeal(log))


def logins(params: TrialOnboardingParams) -> Fit:
    log = log_of(params)
    columns = {"level": level(log), "day": days(log), "taught": teaches_next(log)}
    return logistic(log.happened("logged_in"), log.open & ~log.any_of("clicked_"), columns)


def milestones(params: TrialOnboardingParams, share: float = PLANTED.gain_share) -> Fit:
    log = log_of(params)
    right = teaches_next(log)
    other = log.happened("delivered") & ~right
    columns = {"level": level(log), "day": days(log)}
    columns |= {"taught": right * scale(log, share), "other": other * scale(log, share)}
    among = log.happened("logged_in") & (level(log) < len(MILESTONES))
    return logistic(log.count(*MILESTONES) > 0, among, columns)


def pressure(log: WorldLog) -> dict[str, Array]:
    left = log.attribute("trial_days") - 1.0 - days(log)
    return {
        "urgency": np.exp(-np.abs(left) / PLANTED.urgency_days) * (left >= 0.0),
        "lapsed": left < 0.0,
    }


def buys(params: TrialOnboardingParams) -> Fit:
    log = log_of(params)
    asked = log.happened("delivered") & (log.topic(TOPICS) == TOPICS.index("pricing"))
    columns = {"level": level(log), "day": days(log), "asked": asked, "called": called(log)}
    return logistic(log.happened("converted"), log.open, columns | pressure(log))


def price_views(params: TrialOnboardingParams) -> Fit:
    log = log_of(params)
    columns = {"level": level(log), "day": days(log), "called": called(log)}
    left = log.attribute("trial_days") - 1.0 - days(log)
    columns["urgency"] = np.exp(-np.abs(left) / PLANTED.urgency_days)
    return logistic(log.happened("viewed_pricing"), log.open, columns)


def cancels(params: TrialOnboardingParams) -> Fit:
    log = log_of(params)
    columns = {"level": level(log), "day": days(log)}
    return logistic(log.happened("cancelled"), log.open & ~log.happened("converted"), columns)

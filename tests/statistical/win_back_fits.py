"""Dormant contacts as the tests play them, and the fits that read their logs."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from nurture_envs.actions import ActionCatalog
from nurture_envs.journey_file import load_journey, parse_journey
from nurture_envs.worlds.effects import MailParams
from nurture_envs.worlds.re_engagement import (
    LIKED,
    TOPICS,
    ReEngagementParams,
    ReEngagementWorld,
)
from tests.statistical.world_logs import Array, Fit, WorldLog, logistic

JOURNEY = load_journey("re_engagement")
# The same program decided every three days with room for mail, so that its effects differ.
OPEN = parse_journey(
    {
        **JOURNEY.resolved,
        "clock": {"period_hours": 72, "slots_hours": [0], "periods": 24},
        "guardrails": {
            **JOURNEY.resolved["guardrails"],
            "frequency_caps": [{"max": 8, "hours": 1008}],
            "min_gap_hours": 20,
            "conversation": {},
        },
    }
)
CATALOG = ActionCatalog.of(JOURNEY)
PLANTED = ReEngagementParams(
    mail=MailParams(
        click_base=-3.2,
        click_ready=0.0,
        best_hours=(9.0, 9.0),
        hour_spread=0.0,
        hour_pull=1.2,
        leave_base=0.0,
        unreachable=0.0,
        repeat_half_life=21.0,
        fatigue_half_life=14.0,
        fatigue_drag=0.3,
    ),
    warmth_spread=0.0,
    trap_share=0.0,
    likes_says=1.0,
    interest_shift=0.0,
    zone_unknown=0.0,
    no_consent=0.0,
    cooling=0.02,
    topic_gain=0.6,
    other_gain=0.25,
    view_base=-3.0,
    active_base=-4.5,
    active_clicked=2.0,
    login_base=-3.0,
    keep_base=-1.5,
    keep_gain=1.0,
    mql_base=-4.0,
    buy_base=-6.0,
)
P = PLANTED
TRAPS = replace(ReEngagementParams(), trap_share=0.6)


@lru_cache(maxsize=64)
def log_of(params: ReEngagementParams) -> WorldLog:
    return WorldLog.of(ReEngagementWorld(OPEN, params), n=2500, waits=12.0)


def on_topic(log: WorldLog) -> Array:
    return np.asarray(log.topic(TOPICS) == log.level("liked", LIKED))


def parts_of_appeal(log: WorldLog) -> dict[str, Array]:
    """What the appeal of a message is made of."""
    m = PLANTED.mail
    width = (24.0 / (2.0 * np.pi * m.hour_width)) ** 2
    hour = np.exp(width * (np.cos(2.0 * np.pi * (log.slot - m.best_hours[0]) / 24.0) - 1.0))
    return {
        "topic": on_topic(log),
        "hour": hour,
        "weekday": np.array(m.weekdays)[(log.day + 3) % 7],
        "repeat": log.staleness(m.repeat_half_life),
        "fatigue": log.decayed(log.any_of("sent_"), m.fatigue_half_life),
    }


def warmth(log: WorldLog, share: float = P.gain_share) -> dict[str, Array]:
    """What a contact's warmth is made of."""
    m, parts = PLANTED.mail, parts_of_appeal(log)
    beside = m.hour_pull * parts["hour"] + parts["weekday"]
    beside = beside - m.repeat_drag * parts["repeat"] - m.fatigue_drag * parts["fatigue"]
    gain = log.happened("delivered") * np.exp(share * beside)
    kept = np.minimum(log.before(log.count("kept_topics")), 1.0)
    days = np.arange(log.action.shape[1])[None, :] * log.days * np.ones((len(log.action), 1))
    return {
        "silent": np.log(log.attribute("months_dormant") / P.months[0]),
        "past": log.attribute("past_clicks"),
        "matched": log.before(gain * on_topic(log)),
        "other": log.before(gain * ~on_topic(log)),
        "kept": kept,
        "days": days,
    }


def active(log: WorldLog) -> Array:
    return np.asarray(log.before(log.count("became_active")) > 0)


def clicks(params: ReEngagementParams) -> Fit:
    log = log_of(params)
    return logistic(log.any_of("clicked_"), log.happened("delivered"), parts_of_appeal(log))


def views(params: ReEngagementParams, share: float = P.gain_share) -> Fit:
    """Views of all categories at once, one after the other."""
    log = log_of(params)
    liked = log.level("liked", LIKED)
    seen = np.concatenate([log.happened(f"viewed_{name}") for name in LIKED], axis=1)
    everywhere = {
        name: np.tile(part * np.ones(log.open.shape), (1, len(LIKED)))
        for name, part in warmth(log, share).items()
    }
    per_topic = range(len(LIKED))
    interest = [(liked == k) * np.ones(log.open.shape) for k in per_topic]
    arrived = [log.happened(f"clicked_{LIKED[k]}") for k in per_topic]
    columns = everywhere | {
        "interest": np.concatenate(interest, axis=1),
        "arrived": np.concatenate(arrived, axis=1),
    }
    return logistic(seen, np.tile(log.open, (1, len(LIKED))), columns)


def activations(params: ReEngagementParams) -> Fit:
    log = log_of(params)
    columns = warmth(log) | {"clicked": log.any_of("clicked_")}
    return logistic(log.happened("became_active"), log.open & ~active(log), columns)


def logins(params: ReEngagementParams) -> Fit:
    log = log_of(params)
    return logistic(log.happened("logged_in"), log.open, warmth(log) | {"active": active(log)})


def qualifications(params: ReEngagementParams) -> Fit:
    log = log_of(params)
    fresh = log.open & (log.before(log.count("became_mql")) == 0)
    return logistic(log.happened("became_mql"), fresh, warmth(log) | {"active": active(log)})


def purchases(params: ReEngagementParams) -> Fit:
    log = log_of(params)
    offered = log.happened("delivered") & (log.topic(TOPICS) == TOPICS.index("offer"))
    columns = warmth(log) | {"active": active(log), "offered": offered}
    return logistic(log.happened("won_back"), log.open, columns)


def choices(params: ReEngagementParams) -> Fit:
    log = log_of(params)
    asked = log.happened("delivered") & (log.topic(TOPICS) == TOPICS.index("preference"))
    return logistic(log.happened("kept_topics"), asked, warmth(log))

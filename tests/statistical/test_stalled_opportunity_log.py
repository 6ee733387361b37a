"""What is planted in the stalled-opportunity world can be read from its logs, and can be removed.

Every test knows what a sender would know. Populations are alike in what a log does not show
(readiness at entry, best hours, what the CRM hides), so that the planted size itself is expected.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest

from nurture_envs.journey_file import load_journey
from nurture_envs.worlds.effects import MailParams
from nurture_envs.worlds.stalled_opportunity import (
    OBJECTIONS,
    TOPICS,
    StalledOpportunityParams,
    StalledOpportunityWorld,
)
from tests.statistical import mail_fits
from tests.statistical.deal_fits import idle_days, stage_rows
from tests.statistical.mail_fits import NO_WEEKDAYS, changed, share
from tests.statistical.world_logs import Array, BoolArray, Fit, FloatArray, WorldLog, logistic

JOURNEY = load_journey("stalled_opportunity")
STEADY = MailParams(
    click_base=-2.5,
    reply_base=-3.0,
    reply_mix=(1.0, 1.2, 0.6, 0.0),
    leave_base=0.01,
    best_hours=(9.0, 9.0),
    hour_spread=0.0,
    tolerance=0.25,
    tolerance_spread=0.0,
    fatigue_half_life=8.0,
    unreachable=0.0,
)
MAIL = StalledOpportunityParams(
    mail=STEADY,
    ready_spread=0.0,
    size_gain=0.0,
    cooling=0.0,
    topic_gain=0.0,
    other_gain=0.0,
    objection_shift=0.0,
    crm_says=1.0,
    step_base=-20.0,
    close=(0.0, 0.0, 0.0, 0.0),
    zone_unknown=0.5,
)
MOOD = StalledOpportunityParams(
    mail=replace(
        STEADY,
        hour_pull=0.0,
        weekdays=NO_WEEKDAYS,
        repeat_drag=0.0,
        fatigue_drag=0.0,
        leave_base=0.0,
    ),
    ready_spread=0.0,
    objection_shift=0.0,
    crm_says=1.0,
    other_gain=0.15,
    close=(0.02, 0.01, 0.08, 0.15),
    stages_late=replace(StalledOpportunityParams().stages_late, mean=0.0),
)


@lru_cache(maxsize=64)
def mail_log(params: StalledOpportunityParams) -> WorldLog:
    return WorldLog.of(StalledOpportunityWorld(JOURNEY, params), n=3000)


@lru_cache(maxsize=64)
def mood_log(params: StalledOpportunityParams) -> WorldLog:
    return WorldLog.of(StalledOpportunityWorld(JOURNEY, params), n=5000, waits=8.0, escalates=4.0)


def on_topic(log: WorldLog) -> BoolArray:
    return np.asarray(log.topic(TOPICS) == log.level("objection", OBJECTIONS))


def clicks(params: StalledOpportunityParams) -> Fit:
    log = mail_log(params)
    return mail_fits.clicks(log, MAIL.mail, on_topic(log))


def leaves(params: StalledOpportunityParams) -> Fit:
    log = mail_log(params)
    return mail_fits.leaves(log, MAIL.mail, on_topic(log))


def by_appeal(channel: str) -> Callable[[StalledOpportunityParams], Fit]:
    def fit(params: StalledOpportunityParams) -> Fit:
        log = mail_log(params)
        appeal = mail_fits.appeal(log, MAIL.mail, on_topic(log))
        return logistic(log.happened(channel), log.happened("delivered"), {"appeal": appeal})

    return fit


def history(log: WorldLog) -> dict[str, Array]:
    """What moves readiness."""
    delivered, fits = log.happened("delivered"), on_topic(log)
    return {
        "size": (log.attribute("seats") - 4.0) / 1.2,
        "matched": log.before(delivered & fits),
        "other": log.before(delivered & ~fits),
        "day": np.arange(log.action.shape[1])[None, :] * log.days,
    }


def readiness(log: WorldLog, p: StalledOpportunityParams) -> FloatArray:
    gains = {"size": p.size_gain, "matched": p.topic_gain, "other": p.other_gain}
    gains |= {"day": -p.cooling}
    parts: list[Array] = [gains[name] * part for name, part in history(log).items()]
    return np.asarray(sum(parts))


def views(params: StalledOpportunityParams) -> Fit:
    log = mood_log(params)
    objection = log.level("objection", OBJECTIONS)
    parts = {name: part + np.zeros(log.action.shape) for name, part in history(log).items()}
    columns = {name: np.concatenate([part] * 4) for name, part in parts.items()}
    own = [(objection == i) & (log.action >= 0) for i in range(4)]
    seen = np.concatenate([log.happened(f"viewed_{topic}") for topic in OBJECTIONS])
    return logistic(seen, np.concatenate([log.open] * 4), columns | {"own": np.concatenate(own)})


def steps(params: StalledOpportunityParams) -> Fit:
    log = mood_log(params)
    works = 1.0 / (1.0 + np.exp(-3.0 * (readiness(log, params) - params.called_from)))
    columns = history(log) | {
        "asked": log.asks() & log.happened("delivered"),
        "called": log.happened("escalated") * works,
    }
    return logistic(log.happened("next_step"), log.open, columns)


def verbal(params: StalledOpportunityParams) -> Fit:
    log = mood_log(params)
    among = stage_rows(log)["proposal"]
    return logistic(log.happened("became_verbal"), among, {"ready": readiness(log, params)})


def wins(params: StalledOpportunityParams) -> Fit:
    """Among deals that close: what a win owes to readiness, a verbal yes and waiting."""
    log = mood_log(params)
    stages, closed = stage_rows(log), log.happened("won") | log.happened("lost")
    columns = {
        "ready": readiness(log, params),
        "verbal": stages["verbal"],
        "stalled": np.minimum(idle_days(log) / params.stall_days, 1.0),
    }
    return logistic(log.happened("won"), closed & (stages["proposal"] | stages["verbal"]), columns)


def answers_of_the_ready(prefix: str) -> Callable[[StalledOpportunityParams], Fit]:
    def fit(params: StalledOpportunityParams) -> Fit:
        log = mood_log(params)
        columns = {"ready": readiness(log, params), "topic": on_topic(log)}
        return logistic(log.any_of(prefix), log.happened("delivered"), columns)

    return fit


@dataclass(frozen=True, slots=True)
class Planted:
    """A coefficient that a fit to a log must find, and the switch that removes it."""

    fit: Callable[[StalledOpportunityParams], Fit]
    coefficient: str
    size: float
    off: dict[str, Any]
    world: StalledOpportunityParams = field(default_factory=lambda: MAIL)


M, P = MAIL.mail, MOOD
PLANTED = {
    "a message that answers the objection is clicked": Planted(
        clicks, "topic", M.topic_pull, {"topic_pull": 0.0}
    ),
    "the best hour is clicked, across zones and changes of clocks": Planted(
        clicks, "hour", M.hour_pull, {"hour_pull": 0.0}
    ),
    "weekdays differ as planted": Planted(clicks, "weekday", 1.0, {"weekdays": NO_WEEKDAYS}),
    "a message shown again soon is clicked less, and recovers": Planted(
        clicks, "repeat", -M.repeat_drag, {"repeat_drag": 0.0}
    ),
    "a tired buyer clicks less": Planted(clicks, "fatigue", -M.fatigue_drag, {"fatigue_drag": 0.0}),
    "the subject line shows its share of the appeal": Planted(
        by_appeal("opened"), "appeal", M.open_share, {"open_share": 0.0}
    ),
    "objections feel their share of the appeal": Planted(
        by_appeal("replied_positive"), "appeal", M.reply_share, {"reply_share": 0.0}
    ),
    "fatigue beyond what is borne drives off": Planted(
        leaves, "irritation", M.leave_fatigue, {"leave_fatigue": 0.0}
    ),
    "irrelevant mail drives off": Planted(
        leaves, "irrelevant", M.leave_irrelevant, {"leave_irrelevant": 0.0}
    ),
    "pages on the objection are viewed": Planted(
        views, "own", P.view_interest, {"view_interest": 0.0}, MOOD
    ),
    "ready buyers view": Planted(
        views, "matched", P.view_ready * P.topic_gain, {"view_ready": 0.0}, MOOD
    ),
    "mail that answers the objection makes ready": Planted(
        steps, "matched", P.step_ready * P.topic_gain, {"topic_gain": 0.0}, MOOD
    ),
    "other mail makes less ready": Planted(
        views, "other", P.view_ready * P.other_gain, {"other_gain": 0.0}, MOOD
    ),
    "large deals are readier": Planted(
        steps, "size", P.step_ready * P.size_gain, {"size_gain": 0.0}, MOOD
    ),
    "every day cools": Planted(
        steps, "day", -P.step_ready * P.cooling, {"cooling": 0.0}, MOOD
    ),
    "ready buyers agree to a next step": Planted(
        steps, "matched", P.step_ready * P.topic_gain, {"step_ready": 0.0}, MOOD
    ),
    "who is asked agrees to a next step": Planted(
        steps, "asked", P.step_asked, {"step_asked": 0.0}, MOOD
    ),
    "who is ready and called agrees to a next step": Planted(
        steps, "called", P.step_called, {"step_called": 0.0}, MOOD
    ),
    "ready buyers say yes": Planted(
        verbal, "ready", P.verbal_ready, {"verbal_ready": 0.0}, MOOD
    ),
    "ready buyers are won": Planted(wins, "ready", P.win_ready, {"win_ready": 0.0}, MOOD),
    "deals agreed to in words are won": Planted(
        wins, "verbal", P.win_verbal, {"win_verbal": 0.0}, MOOD
    ),
    "deals without a next step are lost": Planted(
        wins, "stalled", -P.stall_drag, {"stall_drag": 0.0}, MOOD
    ),
    "ready buyers click": Planted(
        answers_of_the_ready("clicked_"), "ready", M.click_ready, {"click_ready": 0.0}, MOOD
    ),
    "ready buyers reply": Planted(
        answers_of_the_ready("replied_positive"), "ready", M.reply_ready, {"reply_ready": 0.0}, MOOD
    ),
}  # fmt: skip


GAINS = {"topic_gain", "other_gain", "size_gain", "cooling"}  # what moves readiness


def removed(world: StalledOpportunityParams, off: dict[str, Any]) -> StalledOpportunityParams:
    """The world without the effect and its like: what moves readiness, or everything else."""
    gains = off.keys() <= GAINS
    likes = [
        p.off for p in PLANTED.values() if p.world == world and (p.off.keys() <= GAINS) == gains
    ]
    return changed(world, {name: value for switch in likes for name, value in switch.items()})


@pytest.mark.parametrize("name", PLANTED)
def test_a_log_shows_the_planted_size_and_nothing_where_it_is_removed(name: str) -> None:
    planted = PLANTED[name]
    found = planted.fit(planted.world)
    assert found.finds(planted.coefficient, planted.size), found
    assert found.sees(planted.coefficient), found
    without = planted.fit(removed(planted.world, planted.off))
    assert without.finds(planted.coefficient, 0.0), without


@pytest.mark.parametrize("pull", [4.0, 0.0])
def test_the_hour_that_counts_moves_with_the_clocks_of_zones_nobody_told(pull: float) -> None:
    sharp = {"hour_pull": pull, "hour_width": 1.0, "best_hours": (17.0, 17.0), "click_base": -3.5}
    world = changed(MAIL, {**sharp, "zone_unknown": 1.0})
    log = mail_log(world)
    among = log.happened("delivered")
    gap = mail_fits.true_hour(log) - log.slot
    assert set(np.unique(gap[among])) == {-9.0, -8.0, -6.0, -5.0, -1.0, 0.0, 6.0, 7.0}
    moving, still = (
        logistic(
            log.any_of("clicked_"),
            among,
            {"hour": mail_fits.nearness(log.slot + g, world.mail), "topic": on_topic(log)},
        )
        for g in (gap, gap[:, :1])
    )
    assert moving.finds("hour", pull)
    gained = moving.log_likelihood - still.log_likelihood
    assert gained > 8.0 if pull else abs(gained) < 4.0


@pytest.mark.parametrize("stage", ["proposal", "verbal"])
def test_deals_close_as_often_as_planted_in_each_stage(stage: str) -> None:
    for rates in (MOOD.close, (0.0, 0.0, 0.0, 0.0)):
        log = mood_log(replace(MOOD, close=rates))
        planted = rates[2 if stage == "proposal" else 3]
        closed = log.happened("won") | log.happened("lost")
        found, stderr = share(closed, stage_rows(log)[stage])
        assert found == pytest.approx(planted, abs=4 * stderr)


@pytest.mark.parametrize("again", [0.25, 0.0])
def test_a_rescheduled_demo_is_missed_again_as_often_as_planted(again: float) -> None:
    log = mood_log(replace(MOOD, no_show_again=again))
    waiting = stage_rows(log)["rescheduled"]
    missed, came = (log.happened(f"became_{stage}") for stage in ("no_show", "proposal"))
    held, stderr = share(missed | came, waiting)
    assert held == pytest.approx(MOOD.held, abs=4 * stderr)
    found, stderr = share(missed, np.asarray(waiting & (missed | came)))
    assert found == pytest.approx(again, abs=4 * stderr)


@pytest.mark.parametrize("shift", [0.06, 0.0])
def test_the_objection_the_crm_names_is_outdated_with_the_planted_shift(shift: float) -> None:
    quiet = replace(MAIL, objection_shift=shift)
    log = WorldLog.of(StalledOpportunityWorld(JOURNEY, quiet), n=5000, waits=1e6)
    named = log.level("objection", OBJECTIONS)[:, 0]
    excess = np.zeros(log.action.shape[1])
    for position, topic in enumerate(OBJECTIONS):
        viewed = log.happened(f"viewed_{topic}")
        excess += viewed[named == position].mean(axis=0) - viewed[named != position].mean(axis=0)
    early, late = excess[:8].mean(), excess[12:20].mean()
    assert 1.0 - (late / early) ** (1 / 12) == pytest.approx(shift, abs=0.012)


def test_replies_come_in_the_planted_mix() -> None:
    log = mail_log(MAIL)
    positive, objection, question, negative = (
        log.happened(f"replied_{name}").sum()
        for name in ("positive", "objection", "question", "negative")
    )
    assert objection / positive == pytest.approx(1.2, abs=4 * 1.6 / np.sqrt(positive))
    assert question / positive == pytest.approx(0.6, abs=4 * 1.0 / np.sqrt(positive))
    assert negative == 0

"""What is planted in the inbound-lead world can be read from its logs, and is gone when removed.

Every test knows what a sender would know. Populations are alike in what a log does not show
(readiness at entry, best hours, what a form hides), so that the planted size itself is expected.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest

from nurture_envs.journey_file import load_journey, parse_journey
from nurture_envs.worlds.effects import MailParams, fatigue_of_weekly_send
from nurture_envs.worlds.inbound_lead import TOPICS, InboundLeadParams, InboundLeadWorld
from tests.statistical import mail_fits
from tests.statistical.mail_fits import NO_WEEKDAYS, changed, share
from tests.statistical.world_logs import (
    Array,
    BoolArray,
    Fit,
    FloatArray,
    WorldLog,
    log_linear,
    logistic,
)

JOURNEY = load_journey("inbound_lead")
_BUSY = {"frequency_caps": [{"max": 4, "hours": 120}], "min_gap_hours": 20}
# The same program with room for many sends, so that fatigue and repeats differ between them.
BUSY = parse_journey(
    {**JOURNEY.resolved, "guardrails": {**JOURNEY.resolved["guardrails"], **_BUSY}}
)
MAIL = InboundLeadParams(
    mail=MailParams(
        click_base=-2.5,
        reply_base=-3.0,
        leave_base=0.005,
        complaint_share=0.3,
        best_hours=(9.0, 9.0),
        hour_spread=0.0,
        tolerance=1.0,
        tolerance_spread=0.0,
        unreachable=0.02,
        gateway_share=0.2,
    ),
    ready_mean=0.0,
    ready_spread=0.0,
    size_gain=0.0,
    software_gain=0.0,
    cooling=0.0,
    topic_gain=0.0,
    other_gain=0.0,
    interest_shift=0.0,
    form_says=1.0,
    meeting_base=-20.0,
    zone_unknown=0.3,
)
MOOD = replace(
    MAIL,
    mail=replace(
        MAIL.mail,
        hour_pull=0.0,
        weekdays=NO_WEEKDAYS,
        repeat_drag=0.0,
        fatigue_drag=0.0,
        leave_base=0.0,
        unreachable=0.0,
    ),
    size_gain=0.25,
    software_gain=0.25,
    cooling=0.05,
    topic_gain=1.1,
    other_gain=0.2,
    meeting_base=-4.0,
)


@lru_cache(maxsize=64)
def mail_log(params: InboundLeadParams) -> WorldLog:
    return WorldLog.of(InboundLeadWorld(BUSY, params), n=5000)


@lru_cache(maxsize=64)
def mood_log(params: InboundLeadParams) -> WorldLog:
    return WorldLog.of(InboundLeadWorld(JOURNEY, params), n=10_000, waits=4.0, escalates=10.0)


def on_topic(log: WorldLog) -> BoolArray:
    return np.asarray(log.topic(TOPICS) == log.level("form_topic", TOPICS))


def clicks(params: InboundLeadParams) -> Fit:
    log = mail_log(params)
    return mail_fits.clicks(log, MAIL.mail, on_topic(log))


def by_appeal(channel: str) -> Callable[[InboundLeadParams], Fit]:
    def fit(params: InboundLeadParams) -> Fit:
        log = mail_log(params)
        appeal = mail_fits.appeal(log, MAIL.mail, on_topic(log))
        return logistic(log.happened(channel), log.happened("delivered"), {"appeal": appeal})

    return fit


def leaves(params: InboundLeadParams) -> Fit:
    log = mail_log(params)
    return mail_fits.leaves(log, MAIL.mail, on_topic(log))


def history(log: WorldLog) -> dict[str, Array]:
    """What moves readiness."""
    delivered, fits = log.happened("delivered"), on_topic(log)
    return {
        "size": (log.attribute("company_size") - 4.0) / 1.2,
        "software": log.attribute("industry=software"),
        "matched": log.before(delivered & fits),
        "other": log.before(delivered & ~fits),
        "day": np.arange(log.action.shape[1])[None, :],
    }


def readiness(log: WorldLog, p: InboundLeadParams) -> FloatArray:
    parts = history(log)
    gains = {"size": p.size_gain, "software": p.software_gain, "matched": p.topic_gain}
    gains |= {"other": p.other_gain, "day": -p.cooling}
    return np.asarray(sum(gains[name] * part for name, part in parts.items()))


def views(params: InboundLeadParams) -> Fit:
    log = mood_log(params)
    parts = {name: part + 0.0 * log.action for name, part in history(log).items()}
    interest = [log.level("form_topic", TOPICS) == i + 0 * log.action for i in range(4)]
    seen = np.concatenate([log.happened(f"viewed_{topic}") for topic in TOPICS])
    columns = {name: np.concatenate([part] * 4) for name, part in parts.items()}
    columns["interest"] = np.concatenate(interest)
    open_ = log.open & (np.arange(len(log.open)) < 4000)[:, None]  # enough, and faster
    return logistic(seen, np.concatenate([open_] * 4), columns)


def meetings(params: InboundLeadParams) -> Fit:
    log = mood_log(params)
    works = 1.0 / (1.0 + np.exp(-3.0 * (readiness(log, params) - params.called_from)))
    columns = history(log) | {
        "asked": log.asks() & log.happened("delivered"),
        "called": log.happened("escalated") * works,
    }
    return logistic(log.happened("meeting_booked"), log.open, columns)


def answers_of_the_ready(channel_prefix: str) -> Callable[[InboundLeadParams], Fit]:
    def fit(params: InboundLeadParams) -> Fit:
        log = mood_log(params)
        columns = {"ready": readiness(log, params), "match": on_topic(log)}
        return logistic(log.any_of(channel_prefix), log.happened("delivered"), columns)

    return fit


@dataclass(frozen=True, slots=True)
class Planted:
    """A coefficient that a fit to a log must find, and the switches that remove it."""

    fit: Callable[[InboundLeadParams], Fit]
    coefficient: str
    size: float
    off: dict[str, Any]
    world: InboundLeadParams = field(default_factory=lambda: MAIL)


M, P = MAIL.mail, MOOD
PLANTED = {
    "a message on the topic of interest is clicked": Planted(
        clicks, "topic", M.topic_pull, {"topic_pull": 0.0}
    ),
    "the best hour, in the contact's own zone, is clicked": Planted(
        clicks, "hour", M.hour_pull, {"hour_pull": 0.0}
    ),
    "weekdays differ as planted": Planted(clicks, "weekday", 1.0, {"weekdays": NO_WEEKDAYS}),
    "a message shown again soon is clicked less, and recovers": Planted(
        clicks, "repeat", -M.repeat_drag, {"repeat_drag": 0.0}
    ),
    "a tired contact clicks less": Planted(
        clicks, "fatigue", -M.fatigue_drag, {"fatigue_drag": 0.0}
    ),
    "the subject line shows its share of the appeal": Planted(
        by_appeal("opened"), "appeal", M.open_share, {"open_share": 0.0}
    ),
    "replies feel their share of the appeal": Planted(
        by_appeal("replied_positive"), "appeal", M.reply_share, {"reply_share": 0.0}
    ),
    "fatigue beyond what is borne drives off": Planted(
        leaves, "irritation", M.leave_fatigue, {"leave_fatigue": 0.0}
    ),
    "irrelevant mail drives off": Planted(
        leaves, "irrelevant", M.leave_irrelevant, {"leave_irrelevant": 0.0}
    ),
    "the topic of interest is viewed": Planted(
        views, "interest", P.view_interest, {"view_interest": 0.0}, MOOD
    ),
    "ready leads view": Planted(
        views, "matched", P.view_ready * P.topic_gain, {"view_ready": 0.0}, MOOD
    ),
    "mail on the topic makes ready": Planted(
        meetings, "matched", P.meeting_ready * P.topic_gain, {"topic_gain": 0.0}, MOOD
    ),
    "other mail makes less ready": Planted(
        views, "other", P.view_ready * P.other_gain, {"other_gain": 0.0}, MOOD
    ),
    "ready leads book": Planted(
        meetings, "matched", P.meeting_ready * P.topic_gain, {"meeting_ready": 0.0}, MOOD
    ),
    "leads of large companies are readier": Planted(
        meetings, "size", P.meeting_ready * P.size_gain, {"size_gain": 0.0}, MOOD
    ),
    "leads of software companies are readier": Planted(
        meetings, "software", P.meeting_ready * P.software_gain, {"software_gain": 0.0}, MOOD
    ),
    "every day cools": Planted(
        meetings, "day", -P.meeting_ready * P.cooling, {"cooling": 0.0}, MOOD
    ),
    "who is asked books": Planted(meetings, "asked", P.meeting_asked, {"meeting_asked": 0.0}, MOOD),
    "a called lead that is ready books": Planted(
        meetings, "called", P.meeting_called, {"meeting_called": 0.0}, MOOD
    ),
    "ready leads click": Planted(
        answers_of_the_ready("clicked_"), "ready", M.click_ready, {"click_ready": 0.0}, MOOD
    ),
    "ready leads reply": Planted(
        answers_of_the_ready("replied_positive"), "ready", M.reply_ready, {"reply_ready": 0.0}, MOOD
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_log_shows_the_planted_size_and_nothing_where_it_is_removed(name: str) -> None:
    planted = PLANTED[name]
    found = planted.fit(planted.world)
    assert found.finds(planted.coefficient, planted.size), found
    assert found.sees(planted.coefficient), found
    without = planted.fit(changed(planted.world, planted.off))
    assert without.finds(planted.coefficient, 0.0), without


@pytest.mark.parametrize("parameter", ["fatigue_half_life", "repeat_half_life"])
@pytest.mark.parametrize("planted", [0.6, 1.2])
def test_the_log_tells_the_planted_half_life_from_a_third_and_a_threefold_of_it(
    parameter: str, planted: float
) -> None:
    factors = (0.3, 0.5, 1.0, 2.0, 3.5)
    half_life = planted * getattr(M, parameter) / 2.0
    log = mail_log(changed(MAIL, {parameter: half_life, "repeat_drag": 3.0}))
    likelihood = {
        factor: mail_fits.clicks(
            log, changed(M, {parameter: factor * half_life}), on_topic(log)
        ).log_likelihood
        for factor in factors
    }
    assert max(likelihood.values()) - likelihood[1.0] < 2.0  # inside a 95 % interval
    assert likelihood[1.0] > max(likelihood[0.3], likelihood[3.5]) + 2.0


def test_only_fatigue_beyond_what_is_borne_irritates() -> None:
    for tolerance in (1.0, 0.0):  # nobody bears anything where it is removed
        log = mail_log(changed(MAIL, {"tolerance": tolerance, "leave_base": 0.003}))
        fatigue = log.decayed(log.any_of("sent_"), M.fatigue_half_life)
        bears = fatigue_of_weekly_send(M)
        below, beyond = np.minimum(fatigue, bears), np.maximum(fatigue - bears, 0.0)
        columns = {"below": below, "beyond": beyond, "irrelevant": ~on_topic(log)}
        fit = log_linear(log.happened("unsubscribed"), log.happened("delivered"), columns)
        assert fit.finds("below", M.leave_fatigue if tolerance == 0.0 else 0.0), fit
        assert fit.finds("beyond", M.leave_fatigue), fit
        assert fit.sees("beyond"), fit


def test_an_unknown_zone_is_felt_at_the_contacts_own_hour_only() -> None:
    log = mail_log(MAIL)
    among = log.happened("delivered") & ~log.start.zone_known.numpy()[:, None]
    sender, own = (mail_fits.nearness(h, M) for h in (log.slot, mail_fits.true_hour(log)))
    assert sender[among].std() < 0.01  # the guardrails leave one slot that is safe in any zone
    fit = logistic(log.any_of("clicked_"), among, {"hour": own, "topic": on_topic(log)})
    assert fit.finds("hour", M.hour_pull)
    assert fit.sees("hour")


@pytest.mark.parametrize(
    "channel, parameter",
    [("opened_by_machine", "proxy_share"), ("gateway_clicked", "gateway_share")],
)
def test_machines_answer_all_mail_of_a_planted_share_of_contacts(
    channel: str, parameter: str
) -> None:
    for planted in (getattr(M, parameter), 0.0):
        log = mail_log(changed(MAIL, {parameter: planted}))
        found, stderr = mail_fits.clicking_machines(log, channel)
        assert found == pytest.approx(planted, abs=4 * stderr)


def test_mail_bounces_from_unreachable_addresses_and_gets_lost_as_planted() -> None:
    off = changed(MAIL, {"unreachable": 0.0, "delivery": 1.0})
    for params in (MAIL, off):
        log = mail_log(params)
        first = np.asarray(log.any_of("sent_") & (log.before(log.any_of("sent_")) == 0.0))
        bounced, stderr = share(log.happened("bounced"), first)
        assert bounced == pytest.approx(params.mail.unreachable, abs=4 * stderr)
        sent = np.asarray(log.any_of("sent_") & ~log.happened("bounced"))
        delivered, stderr = share(log.happened("delivered"), sent)
        assert delivered == pytest.approx(params.mail.delivery, abs=4 * stderr + 1e-12)


def test_complaints_are_a_planted_share_of_unsubscribes() -> None:
    for planted in (M.complaint_share, 0.0):
        log = mail_log(changed(MAIL, {"leave_base": 0.01, "complaint_share": planted}))
        complained, left = (log.happened(c).sum() for c in ("complained", "unsubscribed"))
        assert complained / left == pytest.approx(
            planted, abs=4 * np.sqrt(planted * (1 + planted) / left)
        )


@pytest.mark.parametrize("shift", [0.1, 0.0])
def test_interest_in_the_topic_of_the_form_wanes_with_the_planted_shift(shift: float) -> None:
    quiet = replace(MAIL, interest_shift=shift)
    log = WorldLog.of(InboundLeadWorld(JOURNEY, quiet), n=20_000, waits=1e6)
    interest = log.level("form_topic", TOPICS)
    excess = np.zeros(log.action.shape[1])
    for position, topic in enumerate(TOPICS):
        viewed, own = log.happened(f"viewed_{topic}"), interest == position
        excess += viewed[own[:, 0]].mean(axis=0) - viewed[~own[:, 0]].mean(axis=0)
    slope, _ = np.polyfit(np.arange(len(excess)), np.log(excess), 1)
    assert 1.0 - np.exp(slope) == pytest.approx(shift, abs=0.012)


@pytest.mark.parametrize("spread", [0.7, 0.0])
def test_leads_differ_in_readiness_beyond_what_the_form_shows(spread: float) -> None:
    alike = replace(MAIL, ready_spread=spread)
    log = WorldLog.of(InboundLeadWorld(JOURNEY, alike), n=8000, waits=1e6)
    viewed = log.count(*(f"viewed_{topic}" for topic in TOPICS))
    early, late = viewed[:, :7].sum(axis=1), viewed[:, 7:].sum(axis=1)
    correlation = float(np.corrcoef(early, late)[0, 1])
    assert (correlation > 0.1) if spread else (abs(correlation) < 4 / np.sqrt(len(early)))


@pytest.mark.parametrize("stage, level", [("mql", MOOD.mql_level), ("sql", MOOD.sql_level)])
def test_the_ready_enter_the_next_stage_as_often_as_planted(stage: str, level: float) -> None:
    for chance in (MOOD.stage_chance, 0.0):
        params = replace(MOOD, stage_chance=chance)
        log = mood_log(params)
        is_in = log.before(log.happened("became_mql")) > 0
        among = log.open & (is_in if stage == "sql" else ~is_in)
        among &= log.before(log.happened("became_sql")) == 0
        expected = chance / (1.0 + np.exp(-4.0 * (readiness(log, params) - level)))
        entered = log.happened(f"became_{stage}")
        for low, high in ((-9.0, level - 0.4), (level - 0.4, level + 0.4), (level + 0.4, 9.0)):
            rows = among & (readiness(log, params) > low) & (readiness(log, params) <= high)
            deviation = np.sqrt((expected * (1.0 - expected))[rows].sum())
            assert abs(entered[rows].sum() - expected[rows].sum()) <= 4.0 * deviation

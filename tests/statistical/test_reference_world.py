"""The inbound-lead world has the truth it claims: each effect is there, and can be switched off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import cos, exp, log, pi, sqrt

import pytest
import torch
from torch import Tensor

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.journey_file import load_journey
from nurture_envs.worlds.draws import population_keys
from nurture_envs.worlds.effects import AccountParams, MailParams
from nurture_envs.worlds.inbound_lead import TOPICS, InboundLeadParams, InboundLeadWorld
from nurture_envs.worlds.world import Outcome, Surroundings, View
from tests.statistical.mail_fits import changed

JOURNEY = load_journey("inbound_lead")
CATALOG = ActionCatalog.of(JOURNEY)
PLANTED = InboundLeadParams()
NO_WEEKDAYS = (0.0,) * 7
# The planted effects on rarer events would need far more contacts; raised bases leave them alone.
RAISED = {"click_base": -2.5, "reply_base": -3.0, "meeting_base": -2.5, "leave_base": 0.005}
CLEAR = changed(PLANTED, RAISED | {"weekdays": NO_WEEKDAYS})
SECURITY, PRICING = TOPICS.index("security"), TOPICS.index("pricing")
BRIEF, LATE_BRIEF, GUIDE = (
    "send:security_brief@09",
    "send:security_brief@15",
    "send:pricing_guide@09",
)
Latent = dict[str, float | int | bool]
LATE_FIT = exp((12 / (pi * PLANTED.mail.hour_width)) ** 2 * (cos(6 * pi / 12) - 1))  # 6 hours off

# Somebody of middling readiness who likes security and reads in the morning.
PLAIN: Latent = {
    "interest": SECURITY,
    "ready": 0.0,
    "fatigue": 0.0,
    "best_hour": 9.0,
    "bears": 0.0,
    "reachable": True,
    "proxy": False,
    "mql": False,
    "sql": False,
    "zone": 0,
    "shown": 0,
}


def answer(
    action: str,
    latent: Latent,
    params: InboundLeadParams = CLEAR,
    n: int = 40_000,
    seed: int = 1,
    waited: int = 0,
    around: Surroundings | None = None,
) -> Outcome:
    """How n contacts with the same latent state answer an action after days of silence."""
    world, keys = InboundLeadWorld(JOURNEY, params), population_keys(seed, n)
    start = world.start(keys)
    state = dict(start.latent)
    for name, value in latent.items():
        state[name] = torch.full_like(state[name], value)
    for day in range(waited + 1):
        chosen = CATALOG.index(action) if day == waited else CATALOG.wait
        view = View(
            features=torch.zeros(0, n),
            action=torch.full((n,), chosen),
            bins=torch.full((n,), day),
            anchor_us=start.anchor_us,
            latent=state,
            around=around or Surroundings(),
        )
        outcome = world.respond(view, keys)
        state = outcome.latent
    return outcome


def happened(outcome: Outcome, channel: str) -> Tensor:
    return outcome.amounts[JOURNEY.channel_index(channel)] > 0


def share(outcome: Outcome, channel: str, among: str | None = None) -> tuple[float, int]:
    """Share of the contacts to whom it happened, and of how many."""
    hits = happened(outcome, channel)
    if among is not None:
        hits = hits[happened(outcome, among)]
    return float(hits.double().mean()), len(hits)


def gap(a: tuple[float, int], b: tuple[float, int]) -> tuple[float, float]:
    """Difference of the log-odds of two shares, and its standard error."""
    (p, n), (q, m) = a, b
    effect = log(p / (1 - p)) - log(q / (1 - q))
    return effect, sqrt(1 / (n * p * (1 - p)) + 1 / (m * q * (1 - q)))


@dataclass(frozen=True, slots=True)
class Contrast:
    """Two treatments of the same kind of contact, and the log-odds that one parameter plants."""

    parameter: str
    channel: str
    effect: Callable[[InboundLeadParams], float]
    first: str
    second: str
    first_latent: Latent = field(default_factory=dict)
    second_latent: Latent = field(default_factory=dict)
    among: str | None = "delivered"
    days_before_first: int = 0


def called(ready: float) -> Callable[[InboundLeadParams], float]:
    return lambda p: p.meeting_called / (1 + exp(-3.0 * (ready - p.called_from)))


CONTRASTS = {
    "the topic of interest is clicked": Contrast(
        "topic_pull", "clicked_security", lambda p: p.mail.topic_pull, BRIEF, BRIEF,
        second_latent={"interest": PRICING},
    ),
    "the best hour is clicked": Contrast(
        "hour_pull", "clicked_security", lambda p: p.mail.hour_pull * (1 - LATE_FIT),
        BRIEF, LATE_BRIEF,
    ),
    "ready leads click": Contrast(
        "click_ready", "clicked_security", lambda p: 2 * p.mail.click_ready, BRIEF, BRIEF,
        first_latent={"ready": 2.0},
    ),
    "one unit of fatigue is clicked less": Contrast(
        "fatigue_drag", "clicked_security", lambda p: -p.mail.fatigue_drag, BRIEF, BRIEF,
        first_latent={"fatigue": 1.0},
    ),
    "three units of fatigue are clicked three times less in log-odds": Contrast(
        "fatigue_drag", "clicked_security", lambda p: -3 * p.mail.fatigue_drag, BRIEF, BRIEF,
        first_latent={"fatigue": 3.0},
    ),
    "tired leads open less": Contrast(
        "fatigue_drag", "opened", lambda p: -2 * p.mail.fatigue_drag * p.mail.open_share,
        BRIEF, BRIEF, first_latent={"fatigue": 2.0},
    ),
    "ready leads reply": Contrast(
        "reply_ready", "replied_positive", lambda p: 2 * p.mail.reply_ready, BRIEF, BRIEF,
        first_latent={"ready": 2.0},
    ),
    "ready leads book": Contrast(
        "meeting_ready", "meeting_booked", lambda p: 2 * p.meeting_ready, "pause:1", "pause:1",
        first_latent={"ready": 2.0}, among=None,
    ),
    "a lead left alone for ten days has cooled": Contrast(
        "cooling", "meeting_booked", lambda p: -10 * p.cooling * p.meeting_ready,
        "pause:1", "pause:1", first_latent={"ready": 2.0}, second_latent={"ready": 2.0},
        among=None, days_before_first=10,
    ),
    "who is asked books": Contrast(
        "meeting_asked", "meeting_booked", lambda p: p.meeting_asked,
        "send:book_a_call@09", "send:welcome@09",
    ),
    "a called ready lead books": Contrast(
        "meeting_called", "meeting_booked", called(2.0), "escalate", "pause:1",
        first_latent={"ready": 2.0}, second_latent={"ready": 2.0}, among=None,
    ),
    "calls work half as well at the planted readiness": Contrast(
        "meeting_called", "meeting_booked", called(1.0), "escalate", "pause:1",
        first_latent={"ready": 1.0}, second_latent={"ready": 1.0}, among=None,
    ),
    "the topic of interest is viewed": Contrast(
        "view_interest", "viewed_security", lambda p: p.view_interest, "pause:1", "pause:1",
        second_latent={"interest": PRICING}, among=None,
    ),
    "ready leads view": Contrast(
        "view_ready", "viewed_pricing", lambda p: 2 * p.view_ready, "pause:1", "pause:1",
        first_latent={"ready": 2.0}, among=None,
    ),
}  # fmt: skip


def measured(contrast: Contrast, params: InboundLeadParams) -> tuple[float, float]:
    days = contrast.days_before_first
    first = answer(contrast.first, PLAIN | contrast.first_latent, params, seed=1, waited=days)
    second = answer(contrast.second, PLAIN | contrast.second_latent, params, seed=2)
    return gap(*(share(side, contrast.channel, contrast.among) for side in (first, second)))


@pytest.mark.parametrize("name", CONTRASTS)
def test_an_effect_has_its_planted_size_and_vanishes_with_its_parameter(name: str) -> None:
    contrast = CONTRASTS[name]
    effect, stderr = measured(contrast, CLEAR)
    assert effect == pytest.approx(contrast.effect(CLEAR), abs=4 * stderr)
    assert abs(effect) > 4 * stderr  # large enough to be seen at all
    without, stderr = measured(contrast, changed(CLEAR, {contrast.parameter: 0.0}))
    assert abs(without) < 4 * stderr


@pytest.mark.parametrize("days, forgotten", [(5, 0.5), (10, 0.75)])
def test_silence_forgets_fatigue_with_the_planted_half_life(days: int, forgotten: float) -> None:
    still = replace(CLEAR, cooling=0.0, interest_shift=0.0)
    tired, fresh = (
        answer(BRIEF, PLAIN | {"fatigue": units}, still, seed=seed, waited=waited)
        for units, seed, waited in ((4.0, 1, days), (0.0, 2, 0))
    )
    clicks = (share(side, "clicked_security", "delivered") for side in (tired, fresh))
    effect, stderr = gap(*clicks)
    left = 4.0 * (1.0 - forgotten)
    assert effect == pytest.approx(-left * still.mail.fatigue_drag, abs=4 * stderr)
    assert -effect > 4 * stderr


def test_calling_a_lead_who_is_not_ready_does_nothing() -> None:
    cold: Latent = {**PLAIN, "ready": -0.5}
    effect, stderr = gap(
        share(answer("escalate", cold, seed=1), "meeting_booked"),
        share(answer("pause:1", cold, seed=2), "meeting_booked"),
    )
    assert abs(effect) < 4 * stderr < 1.0


@pytest.mark.parametrize(
    "latent, factor",
    [
        ({"fatigue": 1.0}, lambda p: exp(p.leave_fatigue)),
        ({"fatigue": 2.0, "bears": 0.5}, lambda p: exp(1.5 * p.leave_fatigue)),
        ({"fatigue": 2.0, "bears": 3.0}, lambda p: 1.0),
        ({"interest": PRICING}, lambda p: exp(p.leave_irrelevant)),
    ],
)
def test_irritation_and_irrelevance_multiply_the_chance_of_opting_out(
    latent: Latent, factor: Callable[[MailParams], float]
) -> None:
    off = changed(CLEAR, {"leave_fatigue": 0.0, "leave_irrelevant": 0.0})
    for params in (CLEAR, off):
        p, n = share(answer(BRIEF, PLAIN | latent, params), "unsubscribed", "delivered")
        expected = params.mail.leave_base * factor(params.mail)
        assert p == pytest.approx(expected, abs=4 * sqrt(expected / n))


def test_complaints_are_a_planted_share_of_unsubscribes_and_nobody_does_both() -> None:
    tired = answer(BRIEF, PLAIN | {"fatigue": 3.0})
    complained, n = share(tired, "complained", "delivered")
    expected = CLEAR.mail.complaint_share * share(tired, "unsubscribed", "delivered")[0]
    assert complained == pytest.approx(expected, abs=4 * sqrt(expected / n))
    assert not (happened(tired, "complained") & happened(tired, "unsubscribed")).any()


def test_a_message_shown_again_is_asleep_and_another_is_not() -> None:
    def shown_before(message: int, days: int) -> Latent:
        return {"shown": (21 - days) << (8 * message)}  # the answer comes in bin 20

    def clicked(latent: Latent, params: InboundLeadParams) -> tuple[float, int]:
        still = replace(params, interest_shift=0.0)
        return share(
            answer(BRIEF, PLAIN | latent, still, waited=20), "clicked_security", "delivered"
        )

    brief = [message.id for message in JOURNEY.messages].index("security_brief")
    for params in (CLEAR, changed(CLEAR, {"repeat_drag": 0.0})):
        p, fresh = params.mail, clicked({}, params)
        for message, days, asleep in ((brief, 7, 0.5), (brief, 14, 0.25), (brief + 1, 7, 0.0)):
            effect, stderr = gap(clicked(shown_before(message, days), params), fresh)
            assert effect == pytest.approx(-p.repeat_drag * asleep, abs=4 * stderr)


def test_only_mail_in_the_inbox_is_read_by_people_and_proxies() -> None:
    for inbox in (1.0, 0.4, 0.0):
        outcome = answer(BRIEF, {"fatigue": 0.0}, around=Surroundings(inbox_share=inbox))
        full = answer(BRIEF, {"fatigue": 0.0})
        for channel in ("opened", "opened_by_machine", "clicked_security"):
            p, n = share(outcome, channel, "delivered")
            expected = inbox * share(full, channel, "delivered")[0]
            assert p == pytest.approx(expected, abs=4 * sqrt(0.25 / n))
        assert torch.equal(happened(outcome, "gateway_clicked"), happened(full, "gateway_clicked"))


def test_colleagues_tire_a_contact_and_make_it_ready_or_dampen_an_open_conversation() -> None:
    around = Surroundings(colleague_sends=2.0, colleague_talks=1.0)
    off = replace(PLANTED, account=AccountParams(0.0, 0.0, 0.0))
    for params in (PLANTED, off):
        account = params.account
        for in_talks, moved in ((False, account.talk_gain), (True, -account.talk_damp)):
            latent: Latent = PLAIN | {"sql": in_talks, "mql": in_talks, "fatigue": 0.0}
            after = answer("pause:1", latent, params, n=10, around=around).latent
            torch.testing.assert_close(
                after["ready"], torch.full((10,), moved - params.cooling), atol=1e-6, rtol=0.0
            )
            torch.testing.assert_close(
                after["fatigue"], torch.full((10,), 2.0 * account.send_fatigue)
            )


@pytest.mark.parametrize(
    "action, latent, gain",
    [
        (BRIEF, {}, lambda p: p.topic_gain * exp(p.gain_share * p.mail.hour_pull)),
        (LATE_BRIEF, {}, lambda p: p.topic_gain * exp(p.gain_share * p.mail.hour_pull * LATE_FIT)),
        (GUIDE, {}, lambda p: p.other_gain * exp(p.gain_share * p.mail.hour_pull)),
        (
            BRIEF,
            {"fatigue": 2.0},
            lambda p: (
                p.topic_gain * exp(p.gain_share * (p.mail.hour_pull - 2 * p.mail.fatigue_drag))
            ),
        ),
        (BRIEF, {"reachable": False}, lambda p: 0.0),
        ("pause:1", {}, lambda p: 0.0),
        ("escalate", {}, lambda p: 0.0),
    ],
)
@pytest.mark.parametrize(
    "off", [None, "topic_gain", "hour_pull", "fatigue_drag", "gain_share", "cooling"]
)
def test_relevant_mail_at_the_best_hour_makes_leads_ready_and_every_day_cools_them(
    action: str, latent: Latent, gain: Callable[[InboundLeadParams], float], off: str | None
) -> None:
    alike = changed(PLANTED, {"weekdays": NO_WEEKDAYS})
    params = changed(alike, {off: 0.0}) if off else alike
    outcome = answer(action, PLAIN | latent, params, n=500)
    reached = happened(outcome, "delivered") | (gain(params) == 0.0)
    ready = outcome.latent["ready"][reached]
    expected = torch.full_like(ready, gain(params) - params.cooling)
    torch.testing.assert_close(ready, expected, atol=1e-4, rtol=1e-4)


def test_fatigue_grows_by_one_a_send_and_halves_in_its_half_life() -> None:
    after = answer("pause:1", PLAIN | {"fatigue": 8.0}, n=10, waited=9).latent["fatigue"]
    torch.testing.assert_close(after, torch.full((10,), 2.0))  # ten days are two half-lives
    sent = answer(BRIEF, PLAIN | {"fatigue": 8.0}, n=10).latent["fatigue"]
    torch.testing.assert_close(sent, torch.full((10,), 8.0 * 0.5**0.2 + 1.0))


@pytest.mark.parametrize("shift", [PLANTED.interest_shift, 0.0])
def test_interests_shift_to_any_topic_with_the_planted_chance_a_day(shift: float) -> None:
    after = answer("pause:1", PLAIN, replace(PLANTED, interest_shift=shift)).latent["interest"]
    moved = float((after != SECURITY).double().mean())
    expected = shift * 3 / 4  # one in four shifts stays where it is
    assert moved == pytest.approx(expected, abs=4 * sqrt(expected / len(after)))


def test_stages_come_one_after_the_other_and_only_to_the_ready() -> None:
    ready = answer("pause:1", PLAIN | {"ready": 3.0})
    assert share(ready, "became_mql")[0] == pytest.approx(0.5, abs=0.01)
    assert not happened(ready, "became_sql").any()
    assert share(answer("pause:1", PLAIN | {"ready": -1.0}), "became_mql")[0] < 1e-3
    again = answer("pause:1", PLAIN | {"ready": 3.0, "mql": True})
    assert not happened(again, "became_mql").any()
    assert share(again, "became_sql")[0] == pytest.approx(0.5, abs=0.02)


def test_unreachable_addresses_bounce_and_nothing_else_does() -> None:
    n = 40_000
    for rate in (PLANTED.mail.unreachable, 0.0):
        params = changed(PLANTED, {"unreachable": rate})
        outcome = answer(BRIEF, {"fatigue": 0.0}, params, n=n)
        bounced = happened(outcome, "bounced")
        assert float(bounced.double().mean()) == pytest.approx(rate, abs=4 * sqrt(rate / n))
        assert torch.equal(bounced, ~outcome.latent["reachable"])
        assert not (bounced & happened(outcome, "delivered")).any()
    assert not happened(answer("pause:1", {"fatigue": 0.0}, n=n), "bounced").any()


def test_machine_opens_follow_the_proxy_and_nothing_the_contact_feels() -> None:
    keen: Latent = {"interest": SECURITY, "ready": 3.0, "fatigue": 0.0, "best_hour": 9.0}
    bored: Latent = {"interest": PRICING, "ready": -2.0, "fatigue": 4.0, "best_hour": 15.0}
    for feeling in (keen, bored):
        outcome = answer(BRIEF, feeling)
        reached = happened(outcome, "delivered")
        opened = happened(outcome, "opened_by_machine")
        assert torch.equal(opened, reached & outcome.latent["proxy"])
        rate, n = share(outcome, "opened_by_machine", "delivered")
        assert rate == pytest.approx(PLANTED.mail.proxy_share, abs=4 * sqrt(0.25 / n))
    human = [share(answer(BRIEF, feeling), "opened", "delivered")[0] for feeling in (keen, bored)]
    assert human[0] > 2 * human[1]
    nobody = answer(BRIEF, keen, changed(PLANTED, {"proxy_share": 0.0}))
    assert not happened(nobody, "opened_by_machine").any()


@pytest.mark.parametrize("form_says", [PLANTED.form_says, 0.0])
def test_the_form_names_the_true_topic_as_often_as_planted(form_says: float) -> None:
    n = 50_000
    params = replace(PLANTED, form_says=form_says)
    start = InboundLeadWorld(JOURNEY, params).start(population_keys(3, n))
    columns = FeatureSpec.of(JOURNEY).attribute_columns
    said = [columns.index(f"form_topic={topic}") for topic in TOPICS]
    right = start.attributes[said].argmax(dim=0) == start.latent["interest"]
    expected = form_says + (1 - form_says) / 4
    assert float(right.double().mean()) == pytest.approx(expected, abs=4 * sqrt(0.25 / n))
    assert float((~start.consent).double().mean()) == pytest.approx(PLANTED.no_consent, abs=0.003)
    unknown = float((~start.zone_known).double().mean())
    assert unknown == pytest.approx(PLANTED.zone_unknown, abs=0.006)

"""A guardrail that forbids less than before is never overlooked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nurture_envs.journey import Journey
from nurture_envs.journey_file import load_journey, parse_journey, shipped_journeys
from nurture_rl.papers.compared_limits import GuardrailChange
from nurture_rl.papers.loosening import guardrail_changes
from tests.unit.papers.test_guardrail_words import ADDED
from tests.unit.release.bundles import journey

OFF: dict[str, Any] = {"require_consent": False}


def with_guardrails(guardrails: dict[str, Any], **keys: Any) -> Journey:
    return parse_journey({**journey().resolved, "guardrails": {**OFF, **guardrails}, **keys})


def changes(was: dict[str, Any], now: dict[str, Any]) -> tuple[GuardrailChange, ...]:
    return guardrail_changes(with_guardrails(was), with_guardrails(now))


def effects(was: dict[str, Any], now: dict[str, Any]) -> list[str]:
    return [one.effect for one in changes(was, now)]


@pytest.mark.parametrize("name", ADDED)
def test_a_guardrail_that_is_gone_is_loosened_and_a_new_one_tightened(name: str) -> None:
    setting, _ = ADDED[name]
    assert set(effects(setting, {})) == {"loosened"}
    assert set(effects({}, setting)) == {"tightened"}
    assert effects(setting, setting) == []


def _asked(rest: float = 0.0, **rule: float) -> dict[str, Any]:
    """Questions that a person answers."""
    replies = {"replied_question": {"hours": 24, **rule}}
    return {"served": {"handoffs": {"replies": replies, "rest_hours": rest}}}


# The first of each pair forbids more.
TIGHTER: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "fewer mails": (
        {"frequency_caps": [{"max": 1, "hours": 48}]},
        {"frequency_caps": [{"max": 2, "hours": 48}]},
    ),
    "a longer window": (
        {"frequency_caps": [{"max": 2, "hours": 72}]},
        {"frequency_caps": [{"max": 2, "hours": 48}]},
    ),
    "all messages": (
        {"frequency_caps": [{"max": 1, "hours": 48}]},
        {"frequency_caps": [{"max": 1, "hours": 48, "topic": "pricing"}]},
    ),
    "a topic of several messages": (
        {"frequency_caps": [{"max": 1, "hours": 48, "topic": "product"}]},
        {"frequency_caps": [{"max": 1, "hours": 48, "message": "welcome"}]},
    ),
    "a longer gap": ({"min_gap_hours": 40}, {"min_gap_hours": 39.5}),
    "more quiet hours": ({"quiet_hours": [20, 8]}, {"quiet_hours": [21, 8]}),
    "wider zones": (
        {"quiet_hours": [20, 8], "unknown_zone_slack": [-2, 3]},
        {"quiet_hours": [20, 8], "unknown_zone_slack": [-2, 2]},
    ),
    "more days": (
        {"blackout": [{"from": "2027-12-24", "to": "2027-12-26"}]},
        {"blackout": ["2027-12-24", "2027-12-26"]},
    ),
    "a longer talk": ({"conversation": {"escalated": 3}}, {"conversation": {"escalated": 2}}),
    "a talk without an end of its own": (
        {"conversation_until": {"escalated": ["meeting_booked"]}},
        {"conversation_until": {"escalated": {"until": ["meeting_booked"], "bins": 90}}},
    ),
    "a talk that fewer things end": (
        {"conversation_until": {"escalated": ["meeting_booked"]}},
        {"conversation_until": {"escalated": ["meeting_booked", "replied_positive"]}},
    ),
    "less that allows a call": (
        {"escalation_needs": ["became_mql"]},
        {"escalation_needs": ["became_mql", "clicked_pricing"]},
    ),
    "fewer answers": (
        {"unanswered": {"until": ["replied_positive"], "hours": 48}},
        {"unanswered": {"until": ["replied_positive", "opened"], "hours": 48}},
    ),
    "more visits": (
        {"cool_off": {"welcome": {"after": ["viewed_pricing", "viewed_product"], "hours": 5}}},
        {"cool_off": {"welcome": {"after": ["viewed_pricing"], "hours": 5}}},
    ),
    "fewer calls": ({"seller_capacity": {"open": 3}}, {"seller_capacity": {"open": 4}}),
    "calls that stay open for longer": (
        {"seller_capacity": {"open": 3, "open_days": 20}},
        {"seller_capacity": {"open": 3, "open_days": 10}},
    ),
    "an answer awaited for longer": (_asked(hours=48), _asked(hours=24)),
    "a person who answers sooner": (_asked(times=1), _asked(times=2)),
    "replies counted for longer": (
        _asked(times=2, within_hours=720),
        _asked(times=2, within_hours=100),
    ),
    "a longer rest": (_asked(rest=100), _asked(rest=50)),
    "an account's cap": (
        {"account": {"caps": [{"max": 3, "hours": 72}]}},
        {"account": {"caps": [{"max": 4, "hours": 72}]}},
    ),
    "an account's talks": (
        {"account": {"caps": [{"max": 3, "hours": 72}], "conversation": True}},
        {"account": {"caps": [{"max": 3, "hours": 72}]}},
    ),
}


@pytest.mark.parametrize("name", TIGHTER)
def test_which_of_two_settings_forbids_less_is_told(name: str) -> None:
    more, less = TIGHTER[name]
    assert set(effects(more, less)) == {"loosened"}
    assert set(effects(less, more)) == {"tightened"}


@pytest.mark.parametrize(
    ("was", "now"),
    [
        (
            {"inactivity": {"signals": ["opened"], "tiers": [{"bins": 8, "max": 1, "hours": 72}]}},
            {"inactivity": {"signals": ["opened"], "tiers": [{"bins": 9, "max": 1, "hours": 96}]}},
        ),
        ({"volume": {"warm_up": [50]}}, {"volume": {"warm_up": [60], "growth": 1.1}}),
        (
            {"conversation": {"talk": 2}, "events": {"talk": {"type": "talk_begun"}}},
            {"conversation": {"talk": 2}, "events": {"talk": {"type": "talk_over"}}},
        ),
    ],
)
def test_what_cannot_be_ordered_is_said_to_be_so(was: dict[str, Any], now: dict[str, Any]) -> None:
    assert effects(was, now) == effects(now, was) == ["changed"]


def test_a_signal_that_means_less_is_no_silent_loosening() -> None:
    own = journey().resolved
    narrow = {**own["signals"], "complained": {"type": "complaint", "topic": "pricing"}}
    (change,) = guardrail_changes(journey(), parse_journey({**own, "signals": narrow}))
    assert (change.effect, change.guardrail) == ("changed", "what complained means")


def test_a_message_that_leaves_its_group_is_no_longer_capped_with_it() -> None:
    caps = {"frequency_caps": [{"max": 1, "hours": 48, "topic": "product"}]}
    messages = journey().resolved["messages"]
    moved = {**messages, "welcome": {**messages["welcome"], "topic": "pricing"}}
    (change, *_) = guardrail_changes(with_guardrails(caps), with_guardrails(caps, messages=moved))
    assert (change.effect, change.guardrail) == ("loosened", "frequency cap")


def test_what_a_message_offers_and_claims_may_last_longer_or_reach_more() -> None:
    own = journey().resolved
    claim = {"says": "x", "source": "y", "approver": "z", "expires": "2027-06-30"}
    offer = {"eligible": {"pricing_views_7d": ">= 2"}, "inventory": 5, "expires": "2027-06-30"}
    draft = {**own["messages"], "welcome": {**own["messages"]["welcome"], "approval": "draft"}}

    def of(claim: dict[str, Any], offer: dict[str, Any], messages: Any) -> Journey:
        keys = {"claims": {"certificate": claim}, "offers": {"tour": offer}, "messages": messages}
        return parse_journey({**own, **keys})

    was = of(claim, offer, draft)
    looser = [
        of({**claim, "expires": "2027-07-01"}, offer, draft),
        of(claim, {**offer, "expires": "2027-07-01"}, draft),
        of(claim, {**offer, "inventory": 6}, draft),
        of(claim, {**offer, "eligible": {"pricing_views_7d": ">= 1"}}, draft),
        of(claim, {**offer, "eligible": {}}, draft),
        of(claim, offer, own["messages"]),
    ]
    for now in looser:
        assert [one.effect for one in guardrail_changes(was, now)] == ["loosened"]
        assert [one.effect for one in guardrail_changes(now, was)] == ["tightened"]
    other = of(claim, {**offer, "eligible": {"views_3d": ">= 2"}}, draft)
    assert [one.effect for one in guardrail_changes(was, other)] == ["changed"]


def test_a_limit_does_not_go_by_giving_a_message_another_offer_or_proof() -> None:
    own = journey().resolved
    claim = {"says": "x", "source": "y", "approver": "z", "expires": "2027-06-30"}
    offer = {"eligible": {"pricing_views_7d": ">= 2"}, "inventory": 5, "expires": "2027-06-30"}

    def of(welcome: dict[str, str], **keys: Any) -> Journey:
        others = {name: {**one, "offer": "call"} for name, one in own["messages"].items()}
        messages = {**others, "welcome": {**own["messages"]["welcome"], **welcome}}
        return parse_journey({**own, **keys, "messages": messages})

    limited = {"claims": {"sealed": claim}, "offers": {"tour": offer}}
    was = of({"offer": "tour", "proof": "sealed"}, **limited)
    now = of({"offer": "free_tour", "proof": "a_friend_says_so"})
    for before, after, effect in ((was, now, "loosened"), (now, was, "tightened")):
        told = [
            one for one in guardrail_changes(before, after) if "message welcome" in one.guardrail
        ]
        assert [one.effect for one in told] == [effect] * 4
        assert [one.guardrail for one in told] == [
            "the offer of message welcome, sends",
            "the offer of message welcome",
            "the offer of message welcome, who may have it",
            "the claim of message welcome",
        ]


def test_who_may_have_an_offer_is_another_where_its_feature_counts_otherwise() -> None:
    own = journey().resolved
    offer = {"tour": {"eligible": {"pricing_views_7d": ">= 2"}}}
    longer = {**own["features"]["pricing_views_7d"], "window": 5}
    features = {**own["features"], "pricing_views_7d": longer}
    was = parse_journey({**own, "offers": offer})
    (change,) = guardrail_changes(
        was, parse_journey({**own, "offers": offer, "features": features})
    )
    assert (change.effect, change.guardrail) == ("changed", "what pricing views 7d means")
    assert guardrail_changes(journey(), parse_journey({**own, "features": features})) == ()


def test_another_aim_is_no_way_around_the_wait_for_an_answer() -> None:
    own = journey().resolved
    waits = {"unanswered": {"until": ["replied_positive"], "hours": 48}}
    moved = {**own["messages"], "welcome": {**own["messages"]["welcome"], "job": "qualify"}}
    (change,) = guardrail_changes(with_guardrails(waits), with_guardrails(waits, messages=moved))
    assert (change.effect, change.says) == ("changed", "was activate, is qualify")


def test_days_of_inactivity_change_with_the_clock() -> None:
    own = journey().resolved
    idle = {"inactivity": {"signals": ["opened"], "tiers": [{"bins": 8, "max": 1, "hours": 72}]}}
    clock = {**own["clock"], "period_hours": 12}
    found = guardrail_changes(with_guardrails(idle), with_guardrails(idle, clock=clock))
    assert ("changed", "mail to who does nothing") in {(o.effect, o.guardrail) for o in found}


def test_a_journey_that_nobody_leaves_any_more_is_a_loosening() -> None:
    leave = {"when": {"company_size": ">= 5"}}
    for before, after, effect in (
        ({"leave": leave}, {}, "loosened"),
        ({}, {"leave": leave}, "tightened"),
        ({"leave": leave}, {"leave": {"when": {"company_size": ">= 4"}}}, "changed"),
    ):
        sides = [
            parse_journey({**journey().resolved, "enrolment": {"rest_days": 30, **one}})
            for one in (before, after)
        ]
        (change,) = guardrail_changes(*sides)
        assert (change.effect, change.guardrail) == (effect, "who leaves the journey")


def test_limits_on_harm_ends_and_rests_count_as_guardrails() -> None:
    own = journey().resolved
    for key, less in (
        (
            "limits",
            {**own["limits"], "complaints": {"of": ["complained"], "above_reference": 0.02}},
        ),
        ("limits", {k: v for k, v in own["limits"].items() if k != "opt-outs"}),
        ("terminals", [name for name in own["terminals"] if name != "complained"]),
        ("enrolment", {"rest_days": 30}),
        ("signers", 1),
    ):
        was, now = (
            parse_journey({**own, "signers": 2}),
            parse_journey({"signers": 2, **own, key: less}),
        )
        assert {one.effect for one in guardrail_changes(was, now)} == {"loosened"}, key
        assert {one.effect for one in guardrail_changes(now, was)} == {"tightened"}, key


@pytest.mark.parametrize("name", shipped_journeys())
def test_a_journey_forbids_what_it_forbids(name: str) -> None:
    assert guardrail_changes(load_journey(name), load_journey(name)) == ()


def kept(times: np.ndarray[Any, Any], caps: list[dict[str, int]]) -> bool:
    """Whether mails at these hours keep to all caps; a window is open at its end."""
    return all(
        ((times >= at) & (times < at + cap["hours"])).sum() <= cap["max"]
        for cap in caps
        for at in times
    )


def test_no_schedule_of_mails_shows_a_loosening_that_was_not_told() -> None:
    rng = np.random.default_rng(4)
    told = shown = 0
    for _ in range(150):
        sides = [
            [
                {"max": int(rng.integers(1, 5)), "hours": int(rng.integers(1, 24))}
                for _ in range(rng.integers(1, 4))
            ]
            for _ in range(2)
        ]
        was, now = sides
        loosened = "loosened" in effects({"frequency_caps": was}, {"frequency_caps": now})
        freed = False
        for _ in range(60):
            times = np.flatnonzero(rng.random(48) < rng.uniform(0.05, 0.6))
            freed |= kept(times, now) and not kept(times, was)
        assert loosened or not freed, (was, now)
        told += loosened
        shown += freed
    assert 20 < shown <= told < 150, "the game shows both"

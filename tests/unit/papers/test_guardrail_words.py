"""Every guardrail of a journey is told, with what it forbids and for how long."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from nurture_envs.journey import GuardrailSettings, Journey
from nurture_envs.journey_file import load_journey, parse_journey, shipped_journeys
from nurture_rl.papers.guardrail_words import GuardrailText, guardrails_in_words
from tests.unit.release.bundles import journey

# Each is a guardrail and what the page must say of it.
ADDED: dict[str, tuple[dict[str, Any], str]] = {
    "require_consent": ({"require_consent": True}, "no mail without consent"),
    "opt_out": ({"opt_out": ["complained"]}, "no mail after a spam complaint"),
    "hard_bounce": ({"hard_bounce": ["bounced"]}, "no mail after a bounce for good"),
    "caps": ({"frequency_caps": [{"max": 3, "hours": 48}]}, "more than 3 mails in any 2 days"),
    "min_gap_hours": ({"min_gap_hours": 36}, "two mails close together"),
    "quiet_hours": ({"quiet_hours": [21, 7]}, "from 21:00 to 07:00"),
    "unknown_zone_slack": (
        {"quiet_hours": [21, 7], "unknown_zone_slack": [-3, 4]},
        "3 hours behind to 4 hours ahead",
    ),
    "blackout": ({"blackout": [{"from": "2027-12-24", "to": "2027-12-26"}]}, "any mail"),
    "conversation": ({"conversation": {"replied_question": 3}}, "after a reply (kind question)"),
    "conversation_until": (
        {"conversation_until": {"escalated": {"until": ["meeting_booked"], "bins": 9}}},
        "after a hand-over to sales",
    ),
    "escalation_needs": ({"escalation_needs": ["became_mql"]}, "entering a stage (stage mql)"),
    "availability": ({"availability": True}, "mail to who cannot be reached now"),
    "confirm": ({"confirm": True}, "the server did not confirm right before it"),
    "account": ({"account": {"caps": [{"max": 4, "hours": 72}]}}, "of one company together"),
    "inactivity": (
        {"inactivity": {"signals": ["replied_*"], "tiers": [{"bins": 8, "max": 1, "hours": 72}]}},
        "who did nothing for 8 steps (8 days)",
    ),
    "seller_capacity": ({"seller_capacity": {"per_day": 7}}, "more than 7 calls in any 24 hours"),
    "handoffs": (
        {"served": {"handoffs": {"replies": {"replied_question": {"hours": 30}}}}},
        "end of the journey after a reply (kind question)",
    ),
    "volume": ({"volume": {"warm_up": [50, 90]}}, "than 50, 90 on its first days"),
    "events": (
        {"events": {"deal": {"type": "deal_opened"}}, "conversation": {"deal": 2}},
        "after deal opened",
    ),
    "unanswered": ({"unanswered": {"until": ["replied_*"], "hours": 96}}, "with the same aim"),
    "cool_off": (
        {"cool_off": {"pricing_guide": {"after": ["viewed_pricing"], "hours": 5}}},
        "the message pricing_guide right after a visit to a page (page pricing)",
    ),
}
# Told elsewhere on the page, or how the others came to be.
NO_GUARDRAIL = {"slow", "unserved"}


def told(guardrails: dict[str, Any]) -> tuple[GuardrailText, ...]:
    bare = {"require_consent": False, **guardrails}
    return guardrails_in_words(parse_journey({**journey().resolved, "guardrails": bare}))


def test_every_guardrail_there_is_has_a_line_here() -> None:
    assert {one.name for one in fields(GuardrailSettings)} == {*ADDED, *NO_GUARDRAIL}


@pytest.mark.parametrize("name", ADDED)
def test_a_guardrail_is_told_where_it_is_set_and_nowhere_else(name: str) -> None:
    setting, says = ADDED[name]
    added = [one for one in told(setting) if one not in told({})]
    assert any(says in one.forbids for one in added), added
    assert all(one.lasts for one in added)


def test_what_servers_keep_whatever_a_journey_says_comes_first() -> None:
    names = [one.name for one in told({})]
    assert names == [
        *("A no", "A dead address", "Bounces for now", "A break they asked for"),
        *("Out of office", "Their wishes", "Approval and expiry"),
    ]


def test_who_may_have_an_offer_is_told_and_when_it_runs_out() -> None:
    offer = {"eligible": {"pricing_views_7d": ">= 1"}, "inventory": 500}
    plain: dict[str, Any] = {**journey().resolved, "offers": {"tour": offer}}
    forbids = [one.forbids for one in guardrails_in_words(parse_journey(plain))]
    assert "the offer tour but where `pricing_views_7d` is at least 1" in forbids
    assert "the offer tour after 500 sends to all together" in forbids


def all_shipped() -> list[Journey]:
    return [load_journey(name) for name in shipped_journeys()]


@pytest.mark.parametrize("one", all_shipped(), ids=lambda one: one.name)
def test_every_shipped_journey_can_be_told(one: Journey) -> None:
    texts = guardrails_in_words(one)
    assert all(text.name and text.forbids and text.lasts for text in texts)
    assert len(set(texts)) == len(texts)

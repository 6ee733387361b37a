"""Masks say what the guardrails promise: 100,000 random contacts, four ways of working it out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec, evaluate
from nurture_envs.guardrails import GuardrailFacts, Reason, legal_actions
from nurture_envs.journey import Journey
from nurture_envs.journey_file import load_journey, shipped_journeys
from nurture_rl.serving.crowd import against_crowd
from nurture_rl.serving.facts import known, offered
from nurture_rl.serving.records import (
    Contact,
    ContactView,
    CrowdFacts,
    Episode,
    Event,
    Planned,
    Preferences,
)
from tests.unit.envs.compiled_rules import CompiledRules
from tests.unit.envs.spring_journey import spring
from tests.unit.serving.mask_oracle import DAY_US, HOUR_US, may, standing_of

EACH = 10_000  # contacts of each of the ten journeys
ANCHOR = 20_549 * DAY_US  # 2026-04-06, a Monday
QUARTER = HOUR_US // 4
RARELY = {"unsubscribe", "complaint", "hard_bounce", "consent_withdrawn"}


def event_of(journey: Journey, rng: np.random.Generator, name: str, at_us: int) -> Event:
    """Anything that a journey's contact may do or get, or mail of another system."""
    if rng.random() < 0.15:  # what no journey has to name
        if rng.random() < 0.7:
            return Event(name, "c", at_us, at_us, "soft_bounce")
        days = [None, 2.0][rng.integers(2)]
        return Event(name, "c", at_us, at_us, "reply", reply_class="out_of_office", value=days)
    told = journey.guardrails.events
    among = told if told and rng.random() < 0.15 else journey.signals
    signal = among[rng.integers(len(among))]
    if (signal.type in RARELY and rng.random() < 0.9) or rng.random() < 0.4:
        message = journey.messages[rng.integers(len(journey.messages))]
        stranger = rng.random() < 0.15
        return Event(
            name, "c", at_us, at_us, "sent",
            message_id="newsletter" if stranger else message.id,
            topic=None if stranger else message.topic,
        )  # fmt: skip
    pinned: dict[str, Any] = {k: v for k, v in signal.filters().items() if k != "type"}
    return Event(name, "c", at_us, at_us, signal.type, value=1.5, **pinned)


def a_wish(journey: Journey, rng: np.random.Generator, now_us: int) -> Preferences:
    """What a contact prefers; most say nothing."""
    if rng.random() < 0.6:
        return Preferences()
    topics = sorted({message.topic for message in journey.messages})
    some = frozenset(topic for topic in topics if rng.random() < 0.3)
    return Preferences(
        some if rng.random() < 0.3 else frozenset(),
        some if rng.random() < 0.2 else None,
        frozenset({"email"}) if rng.random() < 0.2 else frozenset(),
        int(rng.integers(1, 4)) if rng.random() < 0.5 else None,
        now_us + int(rng.integers(-20, 20)) * QUARTER if rng.random() < 0.2 else 0,
    )


def a_crowd(rng: np.random.Generator, now_us: int) -> CrowdFacts:
    """What others left; mostly enough."""
    today, full = now_us // DAY_US, rng.random(3) < 0.1
    return CrowdFacts(frozenset({today} if full[0] else {today + 1} if full[1] else ()), full[2])


def a_contact(journey: Journey, rng: np.random.Generator, now_us: int) -> ContactView:
    """A contact with up to four events, sends planned, and a pause."""
    back = rng.integers(0, 900, 4) * QUARTER  # some are more than a week old
    count = rng.integers(0, 5)
    events = [event_of(journey, rng, f"e{k}", now_us - int(back[k])) for k in range(count)]
    plans = []
    if rng.random() < 0.3:
        message = journey.messages[rng.integers(len(journey.messages))]
        at_us = now_us + int(rng.integers(-200, 20)) * QUARTER
        plans.append(Planned("planned", at_us, message.id))
        if rng.random() < 0.3:  # and reported since by a sender who does not say which message
            at_us = min(at_us, now_us)
            events.append(
                Event("report", "c", at_us, at_us, "sent", message_id=message.id,
                      decision_id="planned", topic=message.topic)
            )  # fmt: skip
    unknown = rng.random() < 0.3
    contact = Contact(
        "c", None, None if unknown else "UTC", 1.0, bool(rng.random() < 0.9),
        {"size": float(rng.integers(0, 5))},
    )  # fmt: skip
    bin_ = journey.clock.bin_of(np.array([now_us]), np.array([ANCHOR]))[0]
    paused = int(bin_) + int(rng.integers(-3, 3)) if rng.random() < 0.4 else 0
    available = [None, True, True, False][rng.integers(4)]
    episode = Episode(f"e{rng.integers(1000)}", ANCHOR, None, paused)
    return ContactView(
        "d", contact, tuple(events), episode, tuple(plans),
        available=available, preferences=a_wish(journey, rng, now_us), crowd=a_crowd(rng, now_us),
    )  # fmt: skip


def compiled(
    facts: GuardrailFacts, journey: Journey, catalog: ActionCatalog
) -> tuple[NDArray[np.bool_], NDArray[np.int32]]:
    mask = np.empty((len(catalog), len(facts.now_hours)), np.bool_)
    reasons = np.empty(mask.shape, np.int32)
    CompiledRules(catalog, journey.guardrails)(facts, mask, reasons)
    return mask.T, reasons.T


def tensors(facts: GuardrailFacts) -> GuardrailFacts:
    """The same facts in torch."""
    parts: dict[str, Any] = {name: getattr(facts, name) for name in GuardrailFacts.__slots__}
    return GuardrailFacts(
        **{
            name: torch.from_numpy(np.ascontiguousarray(part))
            if isinstance(part, np.ndarray)
            else part
            for name, part in parts.items()
        }
    )


IDLE = {
    "signals": ["clicked", "bought"],
    "tiers": [{"bins": 1, "max": 2, "hours": 50}, {"bins": 3, "max": 1, "hours": 40}],
    "probe": {"bins": 5, "share": 0.4},
}
JOURNEYS = {"spring": spring(guardrails__inactivity=IDLE)} | {
    name: load_journey(name) for name in shipped_journeys()
}


@pytest.mark.parametrize(
    "name", ["spring", *(pytest.param(name, marks=pytest.mark.slow) for name in shipped_journeys())]
)
def test_what_the_guardrails_allow_is_what_an_independent_reading_allows(name: str) -> None:
    journey = JOURNEYS[name]
    catalog, spec = ActionCatalog.of(journey), FeatureSpec.of(journey)
    rng = np.random.default_rng(list(name.encode()))
    now_us = ANCHOR + rng.integers(0, 14 * 96, EACH) * QUARTER
    views = [a_contact(journey, rng, int(now)) for now in now_us]
    stock = {"gift": 1, "trial": 0}  # of the journey that has them
    found = known(journey, spec, views, now_us, "UTC")
    features = evaluate(spec, found.past, found.bins, found.anchor_us, found.attributes)
    facts = offered(catalog, spec, found.facts, features, stock)
    mask, reasons = legal_actions(facts, catalog, journey.guardrails)
    asked = sorted({c.column for offer in journey.offers for c in offer.eligible})
    columns = [spec.column(column) for column in asked]
    expected = np.empty(mask.shape, np.bool_)
    for row, view in enumerate(views):
        held = dict(zip(asked, features[row, columns].tolist(), strict=True))
        at = standing_of(journey, view, int(now_us[row]), held, stock)
        expected[row] = [may(journey, action, at) for action in catalog.actions]
    served = against_crowd(catalog, views, found, reasons.astype(np.int64), now_us)
    np.testing.assert_array_equal(served == 0, expected)
    np.testing.assert_array_equal(mask, reasons == 0)
    plain = legal_actions(tensors(facts), catalog, journey.guardrails)
    np.testing.assert_array_equal(plain[0].numpy(), mask)
    np.testing.assert_array_equal(plain[1].numpy(), reasons)
    # A simulation counts no stock, and nobody in it prefers anything.
    endless = replace(facts, left=None, refused=None, wanted_from=None)
    some, why = legal_actions(endless, catalog, journey.guardrails)
    loops, loops_why = compiled(endless, journey, catalog)
    np.testing.assert_array_equal(loops, some)
    np.testing.assert_array_equal(loops_why, why)
    assert name != "spring" or against(served) == EVERYTHING


# What stood against something in the journey whose messages are all approved.
ACCOUNTS = {"ACCOUNT_CAP", "ACCOUNT_CONVERSATION"}
EVERYTHING = {reason.name for reason in Reason} - {"NOT_APPROVED"} - ACCOUNTS


def against(reasons: NDArray[np.int64]) -> set[str | None]:
    union = int(np.bitwise_or.reduce(reasons, axis=None))
    return {reason.name for reason in Reason if union & reason}

"""Random contacts whom everything may have happened to that guardrails know of."""

from __future__ import annotations

from typing import Any

import numpy as np

from nurture_envs.journey import Journey
from nurture_envs.journey_file import load_journey, shipped_journeys
from nurture_rl.serving.records import (
    Contact,
    ContactView,
    CrowdFacts,
    Episode,
    Event,
    Planned,
    Preferences,
)
from tests.unit.envs.spring_journey import MESSAGES, spring
from tests.unit.serving.mask_oracle import DAY_US, HOUR_US

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


IDLE = {
    "signals": ["clicked", "bought"],
    "tiers": [{"bins": 1, "max": 2, "hours": 50}, {"bins": 3, "max": 1, "hours": 40}],
    "probe": {"bins": 5, "share": 0.4},
}
_PARTS: dict[str, dict[str, Any]] = {
    "red": {"proof": "number", "blocks": ["intro", "table"]},
    "blue": {"proof": "number", "blocks": ["intro"]},
    "coupon": {"blocks": ["table"]},
    "gift_card": {"proof": "logo"},
}
# What stands in a mail, and what it waits for.
PARTS = {name: {**one, **_PARTS.get(name, {})} for name, one in MESSAGES.items()}
WAITS: dict[str, Any] = {
    "guardrails__repeat_block_hours": 80,
    "guardrails__repeat_claim_hours": 100,
    "guardrails__unanswered": {"until": ["clicked", "bought"], "hours": 150},
    "guardrails__cool_off": {"red": {"after": ["clicked", "warm"], "hours": 30}},
    "guardrails__quiet_hours": [],
}
WAITING = spring(
    messages=PARTS,
    guardrails__frequency_caps=[{"max": 2, "hours": 200, "job": "activate"}],
    guardrails__min_gap_hours=2,
    **WAITS,
)
JOURNEYS = {"spring": spring(guardrails__inactivity=IDLE), "waiting": WAITING} | {
    name: load_journey(name) for name in shipped_journeys()
}
